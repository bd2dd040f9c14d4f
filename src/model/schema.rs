//! How a map lies in a Yjs document: roots, keys, and which entries are well-formed (`map-document` §3, §10).
//!
//! Everything that is read passes through here once; what comes out has its fields.

use std::sync::Arc;

use yrs::{Any, GetString, Out, ReadTxn};

use super::json::{NESTING_MAX, any_nests_within, number, text};
use super::key::is_key;

/// `meta.format` of a map document.
pub const FORMAT: &str = "map";
/// `meta.version` that this code writes, and the greatest it may write to.
pub const VERSION: i64 = 1;
/// Root with `format`, `version`, `title`.
pub(super) const META: &str = "meta";
/// Root with the feature records.
pub(super) const FEAT: &str = "feat";
/// Root with the layers' fields.
pub(super) const LAYER: &str = "layer";
/// Root with the notes.
pub(super) const NOTE: &str = "note";
/// Root with the attachments.
pub(super) const FILE: &str = "file";
/// Root with the sessions' people.
pub(super) const WHO: &str = "who";
/// Features of one document, at most (`map-document` §12).
pub const FEATURES_MAX: u64 = 200_000;
/// Vertices of one document, at most (`map-document` §12).
pub const VERTICES_MAX: u64 = 10_000_000;
/// Bytes of JSON text of a feature's properties, and of one value, at most (`map-document` §12).
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a property's name, at most (`map-document` §3).
pub const NAME_BYTES_MAX: usize = 256;
/// The greatest edit time, 2^53 − 1 seconds: a double holds it exactly.
pub(super) const TIME_MAX: u64 = 9_007_199_254_740_991;

/// A root whose entries overlay features, one slot per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// Whole new geometries.
    Geom,
    /// Added and removed segments.
    Part,
    /// Moved, inserted and removed vertices.
    Vert,
    /// Properties.
    Prop,
    /// Attributes of the system.
    Attr,
    /// Deletions.
    Gone,
    /// Texts edited together.
    Text,
}

impl Root {
    /// All of them; the position of each is its number.
    pub const ALL: [Self; 7] = [
        Self::Geom,
        Self::Part,
        Self::Vert,
        Self::Prop,
        Self::Attr,
        Self::Gone,
        Self::Text,
    ];

    /// The root's name in the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Geom => "geom",
            Self::Part => "part",
            Self::Vert => "vert",
            Self::Prop => "prop",
            Self::Attr => "attr",
            Self::Gone => "gone",
            Self::Text => "text",
        }
    }

    /// Whether its entries count for `seen` (`map-document` §8), and several for one target are a conflict.
    #[must_use]
    pub fn is_edit(self) -> bool {
        !matches!(self, Self::Gone | Self::Text)
    }
}

/// A key in its fields: `fid/sid/target`, or `fid/sid` with an empty target in `gone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'k> {
    pub(super) fid: &'k str,
    pub(super) sid: &'k str,
    pub(super) target: &'k str,
}

impl<'k> Key<'k> {
    /// The fields of a key in an overlay root; `None` if it does not have them.
    pub(super) fn split(root: Root, key: &'k str) -> Option<Self> {
        let (fid, rest) = key.split_once('/')?;
        let (sid, target) = match root {
            Root::Gone => (rest, ""),
            _ => rest.split_once('/')?,
        };
        let complete = match root {
            Root::Gone => !sid.contains('/'),
            Root::Geom => !target.is_empty() && !target.contains('/'),
            Root::Part | Root::Vert => Address::split(root, target).is_some(),
            Root::Prop | Root::Attr | Root::Text => !target.is_empty(),
        };
        (complete && !fid.is_empty() && !sid.is_empty()).then_some(Self { fid, sid, target })
    }

    /// The fields of a key in `layer`: `lid/sid/field`.
    pub(super) fn split_layer(key: &'k str) -> Option<Self> {
        Self::split(Root::Attr, key)
    }

    /// The text of a key.
    pub(super) fn join(fid: &str, sid: &str, target: &str) -> String {
        if target.is_empty() {
            format!("{fid}/{sid}")
        } else {
            format!("{fid}/{sid}/{target}")
        }
    }
}

/// The target of a `part` entry, `gen/P.S`, or of a `vert` entry, `gen/P.S.V`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address<'k> {
    pub(super) generation: &'k str,
    pub(super) part: &'k str,
    pub(super) segment: &'k str,
    /// The vertex's order key, well-formed or not; empty in `part`.
    pub(super) vertex: &'k str,
}

impl<'k> Address<'k> {
    pub(super) fn split(root: Root, target: &'k str) -> Option<Self> {
        let (generation, rest) = target.split_once('/')?;
        let mut names = rest.split('.');
        let (part, segment) = (names.next()?, names.next()?);
        let vertex = if root == Root::Vert {
            names.next()?
        } else {
            ""
        };
        let names_missing = generation.is_empty() || part.is_empty() || segment.is_empty();
        let vertex_missing = root == Root::Vert && vertex.is_empty();
        let surplus = names.next().is_some() || rest.contains('/');
        (!names_missing && !vertex_missing && !surplus).then_some(Self {
            generation,
            part,
            segment,
            vertex,
        })
    }
}

/// Whether the text can name a part or a segment: a decimal index without leading zeros, or an order key that
/// starts with a letter.
pub(super) fn is_place(name: &str) -> bool {
    match name.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 7 && rest.iter().all(u8::is_ascii_digit),
        [first, ..] => first.is_ascii_alphabetic() && is_key(name),
        [] => false,
    }
}

/// Sorts places: decimal ones first by number, the others by bytes.
pub(super) fn place_order(name: &str) -> (u32, &str) {
    match name.parse() {
        Ok(index) => (index, ""),
        Err(_) => (u32::MAX, name),
    }
}

/// A value in the document as far as it can matter.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// A JSON array.
    Array(Arc<[Any]>),
    /// The present text of a `Y.Text`.
    Text(Arc<str>),
    /// Anything else.
    Other,
}

impl Raw {
    pub(super) fn of(out: Out, txn: &impl ReadTxn) -> Self {
        match out {
            Out::Any(Any::Array(items)) => Self::Array(items),
            Out::YText(text) => Self::Text(text.get_string(txn).into()),
            _ => Self::Other,
        }
    }

    /// Whether two values are certainly equal.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Array(items) => items.iter().map(any_bytes).sum(),
            Self::Text(text) => text.len(),
            Self::Other => 0,
        }
    }

    pub(super) fn array(&self) -> Option<&Arc<[Any]>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}

/// About how many bytes a value takes, however deep it nests.
fn any_bytes(any: &Any) -> usize {
    let (mut bytes, mut left) = (0, vec![any]);
    while let Some(any) = left.pop() {
        bytes += size_of::<Any>();
        match any {
            Any::String(text) => bytes += text.len(),
            Any::Buffer(buffer) => bytes += buffer.len(),
            Any::Array(items) => left.extend(items.iter()),
            Any::Map(members) => {
                bytes += members.keys().map(String::len).sum::<usize>();
                left.extend(members.values());
            }
            _ => {}
        }
    }
    bytes
}

/// The edit time that a value is: an integer from 0 to 2^53 − 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
pub(super) fn time(any: &Any) -> Option<u64> {
    let seconds = number(any)?;
    (seconds.fract() == 0.0 && (0.0..=TIME_MAX as f64).contains(&seconds)).then_some(seconds as u64)
}

/// The integer that a value is; integers beyond the range of kinds are all the same to us.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole; saturates"
)]
pub(super) fn integer(any: &Any) -> Option<i64> {
    number(any)
        .filter(|number| number.fract() == 0.0)
        .map(|number| number as i64)
}

/// The time and items of a well-formed entry of an overlay root.
pub(super) fn entry(root: Root, target: &str, raw: &Raw) -> Option<(u64, Arc<[Any]>)> {
    let items = raw.array()?;
    let t = time(items.first()?)?;
    let payload = items.get(1..)?;
    let well_formed = match root {
        Root::Geom => matches!(payload, [kind, _] if integer(kind).is_some()),
        Root::Part => payload.len() <= 1,
        Root::Vert => {
            let key = Address::split(root, target).is_some_and(|address| is_key(address.vertex));
            key && matches!(payload.len(), 0 | 2 | 3)
                && payload.iter().all(|item| number(item).is_some())
        }
        Root::Prop | Root::Attr => {
            payload.len() <= 1
                && payload
                    .iter()
                    .all(|value| any_nests_within(value, NESTING_MAX - 1))
        }
        Root::Gone => matches!(payload, [seen] if number(seen).is_some()),
        Root::Text => false,
    };
    well_formed.then(|| (t, items.clone()))
}

/// A person as `who` names a session's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The account, as the writer claims it.
    pub user: String,
    /// The name to show.
    pub name: String,
}

impl Who {
    pub(super) fn read(raw: &Raw) -> Option<Self> {
        match &raw.array()?[..] {
            [t, user, name, ..] => {
                time(t)?;
                Some(Self {
                    user: text(user)?.to_string(),
                    name: text(name)?.to_string(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_split_into_their_fields_or_not_at_all() {
        let split =
            |root, key| Key::split(root, key).map(|key: Key<'_>| (key.fid, key.sid, key.target));
        assert_eq!(split(Root::Prop, "f/s/a/b"), Some(("f", "s", "a/b")));
        assert_eq!(split(Root::Gone, "f/s"), Some(("f", "s", "")));
        assert_eq!(
            split(Root::Vert, "f/s/0/0.1.U000"),
            Some(("f", "s", "0/0.1.U000"))
        );
        assert_eq!(
            split(Root::Part, "f/s/g/Uab1.0"),
            Some(("f", "s", "g/Uab1.0"))
        );
        for (root, key) in [
            (Root::Prop, ""),
            (Root::Prop, "/"),
            (Root::Prop, "f/s"),
            (Root::Prop, "f/s/"),
            (Root::Prop, "/s/a"),
            (Root::Prop, "f//a"),
            (Root::Gone, "f/s/x"),
            (Root::Gone, "f/"),
            (Root::Geom, "f/s/g/x"),
            (Root::Part, "f/s/0"),
            (Root::Part, "f/s/0/0.0.U000"),
            (Root::Part, "f/s//0.0"),
            (Root::Vert, "f/s/0/0.0"),
            (Root::Vert, "f/s/0/0.0."),
            (Root::Vert, "f/s/0/0.0.U/0"),
            (Root::Vert, "f/s/0.0.U000"),
        ] {
            assert_eq!(split(root, key), None, "{root:?} {key}");
        }
    }

    #[test]
    fn places_are_plain_decimals_or_order_keys() {
        for good in ["0", "7", "1234567", "U000", "U000jFqiMU001"] {
            assert!(is_place(good), "{good}");
        }
        for bad in ["", "00", "07", "12345678", "1a", "U00", "-1", "+1", "zzzz1"] {
            assert!(!is_place(bad), "{bad}");
        }
        let mut names = ["U000", "10", "9", "T000", "0"];
        names.sort_by(|a, b| place_order(a).cmp(&place_order(b)));
        assert_eq!(names, ["0", "9", "10", "T000", "U000"]);
    }

    #[test]
    fn times_are_narrow() {
        use super::super::json::number_any;
        assert_eq!(time(&number_any(0.0)), Some(0));
        assert_eq!(time(&number_any(TIME_MAX as f64)), Some(TIME_MAX));
        for bad in [-1.0, 0.5, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY] {
            assert_eq!(time(&number_any(bad)), None, "{bad}");
        }
        assert_eq!(time(&Any::from("5")), None);
    }
}
