//! What imports write, operation by operation (`map-document` §7). Operations only plan; [`apply`] carries a plan out.

use std::collections::HashSet;
use std::sync::Arc;

use yrs::{Any, GetString, Map, Out, ReadTxn, Text, TransactionMut, WriteTxn};

use super::entry::{Overlays, Slot};
use super::id::Sid;
use super::json::{number_any, to_any};
use super::pack::pack;
use super::random::Random;
use super::record::Record;
use super::schema::{FEAT, Key, LAYER, Root, TIME_MAX};
use super::structure::Current;
use crate::geometry::Geometry;

/// Digits of a new generation's name.
const GENERATION_DIGITS: usize = 6;

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
}

/// Who writes, when, and with which random bits.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) sid: Sid,
    pub(super) now_s: u64,
    pub(super) random: Random,
    /// Targets of vertices that this session made at an open end of a line.
    pub(super) own_ends: HashSet<String>,
}

impl Writer {
    /// **Rule T**: later than everything replaced, and not before now.
    fn t_after(&self, replaced: Option<u64>) -> u64 {
        self.now_s
            .max(replaced.map_or(0, |t| t.saturating_add(1)))
            .min(TIME_MAX)
    }

    /// Sets a target: the own slot is written, all others that are seen are deleted. An empty payload says "removed".
    fn set(
        &self,
        root: &'static str,
        id: &str,
        target: &str,
        slot: Option<&Slot<'_>>,
        payload: Vec<Any>,
    ) -> Vec<Edit> {
        let mut edits = self.clear_others(root, id, target, slot);
        let t = self.t_after(slot.and_then(Slot::latest));
        let mut items = vec![number_any(t as f64)];
        items.extend(payload);
        let key = Key::join(id, self.sid.as_str(), target);
        edits.push(Edit::Put {
            root,
            key,
            value: Any::from(items),
        });
        edits
    }

    fn clear_others(
        &self,
        root: &'static str,
        id: &str,
        target: &str,
        slot: Option<&Slot<'_>>,
    ) -> Vec<Edit> {
        let others = slot
            .into_iter()
            .flat_map(Slot::sids)
            .filter(|sid| *sid != self.sid.as_str());
        sorted(
            others
                .map(|sid| Edit::Remove {
                    root,
                    key: Key::join(id, sid, target),
                })
                .collect(),
        )
    }

    /// Sets a target of a feature.
    pub(super) fn set_target(
        &self,
        root: Root,
        fid: &str,
        target: &str,
        overlays: &Overlays<'_>,
        payload: Vec<Any>,
    ) -> Vec<Edit> {
        self.set(
            root.name(),
            fid,
            target,
            overlays.slot(root, target),
            payload,
        )
    }

    /// Sets a field of a layer.
    pub(super) fn set_layer(
        &self,
        lid: &str,
        field: &str,
        slot: Option<&Slot<'_>>,
        payload: Vec<Any>,
    ) -> Vec<Edit> {
        self.set(LAYER, lid, field, slot, payload)
    }

    /// Replaces the whole geometry: the current generation's seen edits go, a new generation comes.
    pub(super) fn replace(
        &mut self,
        fid: &str,
        current: &Current<'_>,
        overlays: &Overlays<'_>,
        geometry: Option<&Geometry>,
    ) -> Vec<Edit> {
        let mut edits = Vec::new();
        let prefix = format!("{}/", current.generation);
        for root in [Root::Vert, Root::Part] {
            for (target, slot) in overlays.targets_from(root, &prefix) {
                edits.extend(remove_all(root, fid, target, slot));
            }
        }
        if let Some(slot) = overlays.slot(Root::Geom, current.generation) {
            edits.extend(remove_all(Root::Geom, fid, current.generation, slot));
        }
        let (kind, coords) = stored(geometry);
        let generation = self.random.digits(GENERATION_DIGITS);
        let key = Key::join(fid, self.sid.as_str(), &generation);
        let t = number_any(self.t_after(Some(current.t)) as f64);
        edits.push(Edit::Put {
            root: Root::Geom.name(),
            key,
            value: Any::from(vec![t, number_any(kind as f64), coords]),
        });
        edits
    }

    /// Restores a deleted feature.
    pub(super) fn restore(fid: &str, overlays: &Overlays<'_>) -> Vec<Edit> {
        overlays
            .slot(Root::Gone, "")
            .map(|slot| remove_all(Root::Gone, fid, "", slot))
            .unwrap_or_default()
    }

    /// Sets a property, or with no value removes it. Texts edited together under its name are emptied first.
    pub(super) fn set_property(
        &self,
        fid: &str,
        name: &str,
        overlays: &Overlays<'_>,
        value: Option<&serde_json::Value>,
    ) -> Vec<Edit> {
        let mut edits = Vec::new();
        let texts = overlays
            .texts()
            .get(name)
            .into_iter()
            .flatten()
            .filter(|(_, text)| !text.is_empty());
        let cleared = sorted(
            texts
                .map(|(sid, _)| Edit::Clear {
                    key: Key::join(fid, sid, name),
                })
                .collect(),
        );
        if !cleared.is_empty() {
            edits.extend(cleared);
            edits.extend(self.set_target(Root::Attr, fid, "text", overlays, vec![Any::from(name)]));
        }
        edits.extend(self.set_target(
            Root::Prop,
            fid,
            name,
            overlays,
            value.map(to_any).into_iter().collect(),
        ));
        edits
    }
}

/// Creates a feature.
pub(super) fn create(fid: &str, record: &Record) -> Edit {
    Edit::Put {
        root: FEAT,
        key: fid.to_owned(),
        value: record.to_any(),
    }
}

/// Kind and coordinates as a record or a replacement stores them: packed where possible.
pub(super) fn stored(geometry: Option<&Geometry>) -> (i64, Any) {
    match geometry {
        None => (0, Any::Null),
        Some(Geometry::Other(value)) => (7, Any::String(value.to_string().into())),
        Some(Geometry::Shape(shape)) => {
            let bytes: Arc<[u8]> = pack(shape.dims(), shape.parts()).into();
            (shape.kind().number(), Any::Buffer(bytes))
        }
    }
}

/// Deletes every entry of a target.
fn remove_all(root: Root, fid: &str, target: &str, slot: &Slot<'_>) -> Vec<Edit> {
    let root = root.name();
    sorted(
        slot.sids()
            .map(|sid| Edit::Remove {
                root,
                key: Key::join(fid, sid, target),
            })
            .collect(),
    )
}

/// Entries come in the order of a hash map; what is written must not depend on it.
fn sorted(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort_by(|a, b| a.key().cmp(b.key()));
    edits
}

impl Edit {
    fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Remove { key, .. } | Self::Clear { key } => key,
        }
    }

    /// About how many bytes the edit adds to an update.
    pub(super) fn size(&self) -> usize {
        /// Ids, lengths and tags around a key and its value.
        const OVERHEAD_BYTES: usize = 16;
        let value = match self {
            Self::Put { value, .. } => any_size(value),
            Self::Remove { .. } | Self::Clear { .. } => 0,
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
                let text = txn
                    .get_map(Root::Text.name())
                    .and_then(|texts| texts.get(txn, &key));
                if let Some(Out::YText(text)) = text {
                    let length = text.len(txn);
                    if !text.get_string(txn).is_empty() {
                        text.remove_range(txn, 0, length);
                    }
                }
            }
        }
    }
}
