//! Settling conflicts: choosing one of several entries, or dismissing what has no place.

use yrs::Any;

use super::super::edit::Edit;
use super::super::edit_error::EditError;
use super::super::entry::{Overlays, Slot};
use super::super::json::number_any;
use super::super::planning::Planning;
use super::super::report::orphans;
use super::super::schema::{Key, LAYER, Root};
use super::super::writer::sorted;
use super::Known;

impl Planning<'_, '_> {
    pub(in crate::model) fn settle(
        &mut self,
        fid: &str,
        root: &str,
        target: &str,
        sid: &str,
    ) -> Result<(), EditError> {
        if root == LAYER {
            let targets = self.view.targets_of_layer(fid);
            let slot = targets.get(target);
            let payload = chosen(slot, root, &Key::join(fid, sid, target), sid)?;
            let edits = self.writer.set_layer(fid, target, slot, payload);
            self.edits.extend(edits);
            return Ok(());
        }
        let edits = Root::ALL.into_iter().filter(|root| root.is_edit());
        let Some(root) = edits.into_iter().find(|known| known.name() == root) else {
            return Err(EditError::name(
                root,
                "a root with conflicts: geom, part, vert, prop, attr or layer",
            ));
        };
        let Known { overlays, .. } = self.known(fid)?;
        let slot = overlays.slot(root, target);
        let payload = chosen(slot, root.name(), &Key::join(fid, sid, target), sid)?;
        let edits = if root == Root::Geom {
            self.settle_geometry(fid, target, &overlays, payload)
        } else {
            self.writer
                .set_target(root, fid, target, &overlays, payload)
        };
        self.edits.extend(edits);
        Ok(())
    }

    /// Replacements compete across generations, so the chosen one must be later than all and all others go.
    fn settle_geometry(
        &self,
        fid: &str,
        generation: &str,
        overlays: &Overlays<'_>,
        payload: Vec<Any>,
    ) -> Vec<Edit> {
        let root = Root::Geom.name();
        let own = Key::join(fid, self.writer.sid.as_str(), generation);
        let slots = || overlays.targets(Root::Geom);
        let keys = slots().flat_map(|(target, slot)| slot.sids().map(move |sid| (target, sid)));
        let others = keys
            .map(|(target, sid)| Key::join(fid, sid, target))
            .filter(|key| *key != own)
            .map(|key| Edit::Remove { root, key });
        let mut edits = sorted(others.collect());
        let latest = slots().filter_map(|(_, slot)| slot.latest()).max();
        let t = number_any(self.writer.t_after(latest) as f64);
        let value = Any::from([vec![t], payload].concat());
        edits.push(Edit::Put {
            root,
            key: own,
            value,
        });
        edits
    }

    pub(in crate::model) fn dismiss_orphans(&mut self, fid: &str) {
        let overlays = self.view.overlays(fid);
        let record = self.view.record(fid);
        for (root, target) in orphans(record.as_ref(), &overlays) {
            let sids: Vec<&str> = match root {
                Root::Text => overlays.sids_of_text(target),
                _ => overlays
                    .slot(root, target)
                    .map(|slot| slot.sids().collect())
                    .unwrap_or_default(),
            };
            let removed = sids.into_iter().map(|sid| Edit::Remove {
                root: root.name(),
                key: Key::join(fid, sid, target),
            });
            self.edits.extend(sorted(removed.collect()));
        }
    }
}

/// What a session wrote for a target.
fn chosen(
    slot: Option<&Slot<'_>>,
    root: &str,
    key: &str,
    sid: &str,
) -> Result<Vec<Any>, EditError> {
    let entries = slot.into_iter().flat_map(|slot| &slot.entries);
    let mut found = entries.filter(|entry| entry.sid == sid);
    match found.next() {
        Some(entry) => Ok(entry.payload().to_vec()),
        None => Err(EditError::UnknownEntry {
            entry: format!("{root}:{key}"),
        }),
    }
}
