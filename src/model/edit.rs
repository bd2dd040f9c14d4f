//! Changes of a document as data, and the only place that carries them out.

use yrs::{
    Any, GetString, Map, OffsetKind, Out, ReadTxn, Text, TextPrelim, TextRef, TransactionMut,
    WriteTxn,
};

use super::schema::Root;
use super::text::{self, Splice};

/// One change of the document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edit {
    /// Sets a key of a root.
    Put {
        root: &'static str,
        key: String,
        value: Any,
    },
    /// Deletes a key of a root.
    Remove { root: &'static str, key: String },
    /// Deletes the characters of a `Y.Text`, never its key.
    Clear { key: String },
    /// Puts a new `Y.Text` with a content under a key.
    Begin { key: String, content: String },
    /// Deletes and inserts characters of a `Y.Text`.
    Type { key: String, splice: Splice },
}

impl Edit {
    /// The root that it changes.
    pub(super) fn root(&self) -> &'static str {
        match self {
            Self::Put { root, .. } | Self::Remove { root, .. } => root,
            Self::Clear { .. } | Self::Begin { .. } | Self::Type { .. } => Root::Text.name(),
        }
    }

    /// The key that it changes.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Put { key, .. }
            | Self::Remove { key, .. }
            | Self::Clear { key }
            | Self::Begin { key, .. }
            | Self::Type { key, .. } => key,
        }
    }

    /// About how many bytes the edit adds to an update.
    pub(super) fn size(&self) -> usize {
        /// Ids, lengths and tags around a key and its value.
        const OVERHEAD_BYTES: usize = 16;
        let value = match self {
            Self::Put { value, .. } => any_size(value),
            Self::Remove { .. } | Self::Clear { .. } => 0,
            Self::Begin { content, .. } => content.len(),
            Self::Type { splice, .. } => splice.insert.len(),
        };
        self.key().len() + value + OVERHEAD_BYTES
    }
}

/// About how many bytes a value of bounded nesting takes.
fn any_size(any: &Any) -> usize {
    match any {
        Any::String(text) => text.len() + 4,
        Any::Buffer(bytes) => bytes.len() + 4,
        Any::Array(items) => items.iter().map(any_size).sum::<usize>() + 4,
        Any::Map(members) => {
            members
                .iter()
                .map(|(name, value)| name.len() + any_size(value) + 2)
                .sum::<usize>()
                + 4
        }
        _ => 9,
    }
}

/// Carries edits out in their order.
pub(super) fn apply(txn: &mut TransactionMut<'_>, edits: Vec<Edit>) {
    for edit in edits {
        match edit {
            Edit::Put { root, key, value } => {
                txn.get_or_insert_map(root).insert(txn, key, value);
            }
            Edit::Remove { root, key } => {
                txn.get_or_insert_map(root).remove(txn, &key);
            }
            Edit::Clear { key } => {
                if let Some(text) = text_at(txn, &key) {
                    let length = text.len(txn);
                    if !text.get_string(txn).is_empty() {
                        text.remove_range(txn, 0, length);
                    }
                }
            }
            Edit::Begin { key, content } => {
                txn.get_or_insert_map(Root::Text.name())
                    .insert(txn, key, TextPrelim::new(content));
            }
            Edit::Type { key, splice } => {
                if let Some(text) = text_at(txn, &key) {
                    write_splice(txn, &text, &splice);
                }
            }
        }
    }
}

fn text_at(txn: &TransactionMut<'_>, key: &str) -> Option<TextRef> {
    match txn.get_map(Root::Text.name())?.get(txn, key)? {
        Out::YText(text) => Some(text),
        _ => None,
    }
}

/// Carries a splice out on the text as it is now. Things between the characters, such as embeds, stay.
fn write_splice(txn: &mut TransactionMut<'_>, text: &TextRef, splice: &Splice) {
    let utf16 = txn.doc().offset_kind() == OffsetKind::Utf16;
    let length = |text: &str| {
        let units = if utf16 { text::units(text) } else { text.len() };
        u32::try_from(units).unwrap_or(u32::MAX)
    };
    // Each run of characters: where it starts in the text as yrs counts, and what it says.
    let mut runs: Vec<(u32, String)> = Vec::new();
    let mut at = 0_u32;
    for piece in text.diff(txn, |_| ()) {
        match piece.insert {
            Out::Any(Any::String(run)) => {
                runs.push((at, run.to_string()));
                at = at.saturating_add(length(&run));
            }
            _ => at = at.saturating_add(1),
        }
    }
    let whole: String = runs.iter().map(|(_, run)| run.as_str()).collect();
    let (from, to) = splice.bytes(&whole);
    // Where the insertion goes, and which ranges go, in what yrs counts; runs end where the next begin.
    let mut place = None;
    let mut gone: Vec<(u32, u32)> = Vec::new();
    let mut start = 0_usize;
    for (offset, run) in &runs {
        let end = start + run.len();
        let piece = |from: usize, to: usize| run.get(from - start..to - start).map_or(0, length);
        if place.is_none() && (start..=end).contains(&from) {
            place = Some(offset + piece(start, from));
        }
        let (first, last) = (from.clamp(start, end), to.clamp(start, end));
        if first < last {
            gone.push((offset + piece(start, first), piece(first, last)));
        }
        start = end;
    }
    for (offset, count) in gone.into_iter().rev() {
        text.remove_range(txn, offset, count);
    }
    if !splice.insert.is_empty() {
        text.insert(txn, place.unwrap_or(at), &splice.insert);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use yrs::{Doc, Options, Transact};

    use super::*;

    proptest! {
        #[test]
        fn a_splice_does_to_a_yrs_text_what_it_does_to_a_string(
            pieces in prop::collection::vec("[aé😀]{0,4}", 1..5),
            index in 0_usize..24, delete in 0_usize..24, insert in "[bü🎈]{0,3}", utf16 in any::<bool>(),
        ) {
            let offset_kind = if utf16 { OffsetKind::Utf16 } else { OffsetKind::Bytes };
            let doc = Doc::with_options(Options { offset_kind, ..Options::default() });
            let mut txn = doc.transact_mut();
            let texts = txn.get_or_insert_map("text");
            let text = texts.insert(&mut txn, "f/alice/note", TextPrelim::new(""));
            // Between the pieces lie things that are no characters.
            for piece in &pieces {
                text.push(&mut txn, piece);
                let end = text.len(&txn);
                text.insert_embed(&mut txn, end, true);
            }
            let before = text.get_string(&txn);
            let splice = Splice { index, delete, insert };
            let key = "f/alice/note".to_owned();
            let expected = splice.apply(&before);
            apply(&mut txn, vec![Edit::Type { key, splice }]);
            prop_assert_eq!(text.get_string(&txn), expected);
            let embeds = text.diff(&txn, |_| ());
            let embeds = embeds.iter().filter(|piece| matches!(piece.insert, Out::Any(Any::Bool(_))));
            prop_assert_eq!(embeds.count(), pieces.len());
        }
    }
}
