//! What each kind of edit writes: one target at a time, as entries to put and to delete (`map-document` §7).
//! Nothing here touches a document.

use std::collections::HashSet;
use std::sync::Arc;

use yrs::Any;

use super::edit::Edit;
use super::entry::{Overlays, Slot};
use super::id::Sid;
use super::json::{number_any, to_any};
use super::key::{End, beyond};
use super::pack::pack;
use super::random::Random;
use super::record::Record;
use super::schema::{FEAT, Key, LAYER, Root, TIME_MAX};
use super::structure::Current;
use crate::geometry::Geometry;

/// Digits of a new generation's name.
const GENERATION_DIGITS: usize = 6;

/// Who writes, when, and with which random bits.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) sid: Sid,
    pub(super) now_s: u64,
    pub(super) random: Random,
    /// Vertices, segments and parts that this session made at an open end, as `fid/gen/P.S.V`, `fid/gen/P.S`, `fid/gen/P`.
    pub(super) own_ends: HashSet<String>,
}

impl Writer {
    /// A session that made nothing yet.
    pub(super) fn new(sid: Sid, now_s: u64, random: Random) -> Self {
        Self {
            sid,
            now_s,
            random,
            own_ends: HashSet::new(),
        }
    }

    /// The time of something that replaces nothing.
    pub(super) fn now(&self) -> u64 {
        self.t_after(None)
    }

    /// A key beyond the open end of what is named `{prefix}{key}`, remembered so that the session continues its run
    /// there. `outermost` is the last or first key; none if there is nothing yet.
    pub(super) fn beyond_end(
        &mut self,
        prefix: &str,
        outermost: Option<&str>,
        end: End,
    ) -> Option<String> {
        let name = |key: &str| format!("{prefix}{key}");
        let own = outermost.is_some_and(|key| self.own_ends.contains(&name(key)));
        let mut key = beyond(outermost, end, own, &mut self.random)?;
        // A key that this session gave out before belongs to what was removed or is still to be written.
        while !self.own_ends.insert(name(&key)) {
            key = beyond(Some(&key), end, true, &mut self.random)?;
        }
        Some(key)
    }

    /// **Rule T**: later than everything replaced, and not before now.
    pub(super) fn t_after(&self, replaced: Option<u64>) -> u64 {
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

    /// Deletes what others wrote for a target.
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
pub(super) fn remove_all(root: Root, fid: &str, target: &str, slot: &Slot<'_>) -> Vec<Edit> {
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
pub(super) fn sorted(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort_by(|a, b| a.key().cmp(b.key()));
    edits
}
