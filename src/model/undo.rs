//! Taking back one's own operation without touching what others did since (`map-document` §7).

use std::collections::BTreeMap;

use super::edit::Edit;
use super::edit_error::EditError;
use super::editor::{Editor, Plan, check_writable};
use super::entry::Slot;
use super::feature::State;
use super::id::Sid;
use super::json::number_any;
use super::read;
use super::schema::{FEAT, Key, LAYER, Raw, Root};
use super::view::MapView;

/// What it takes to undo a plan once it was written. Keep it beside the plan.
#[derive(Clone, Debug, Default)]
pub struct Undo {
    /// By root, id and target: what the operation left in the own slot, and what showed before it.
    targets: BTreeMap<(&'static str, String, String), Left>,
    created: Vec<String>,
}

#[derive(Clone, Debug)]
struct Left {
    own: Option<Raw>,
    shown_before: Option<Raw>,
}

impl Plan {
    /// How to undo this plan of a session, which was made against the view. Texts, notes, attachments and the title are
    /// not undone; what the plan created will be deleted.
    #[must_use]
    pub fn undo(&self, before: &MapView, sid: &Sid) -> Undo {
        let mut undo = Undo::default();
        for edit in &self.edits {
            let (root, key) = (edit.root(), edit.key());
            if root == FEAT {
                undo.created.push(key.to_owned());
                continue;
            }
            let overlay = Root::ALL.into_iter().find(|overlay| overlay.name() == root);
            let fields = match overlay {
                Some(Root::Text) => None,
                Some(overlay) => Key::split(overlay, key),
                None if root == LAYER => Key::split_layer(key),
                None => None,
            };
            let Some(Key { fid, target, .. }) = fields else {
                continue;
            };
            let own = Key::join(fid, sid.as_str(), target);
            let name = (root, fid.to_owned(), target.to_owned());
            let left = undo.targets.entry(name).or_insert_with(|| Left {
                own: before.raw_under(root, &own).cloned(),
                shown_before: shown(before, root, fid, target),
            });
            if key == own {
                left.own = match edit {
                    Edit::Put {
                        value: yrs::Any::Array(items),
                        ..
                    } => Some(Raw::Array(items.clone())),
                    _ => None,
                };
            }
        }
        undo
    }
}

impl Editor {
    /// What undoing writes now. What others have set since stays as they set it.
    ///
    /// # Errors
    /// When the map may not be written to.
    pub fn plan_undo(
        &mut self,
        view: &MapView,
        now_s: u64,
        undo: &Undo,
    ) -> Result<Plan, EditError> {
        check_writable(view)?;
        let writer = self.at(now_s);
        let sid = writer.sid.as_str();
        let mut edits = Vec::new();
        for ((root, id, target), left) in &undo.targets {
            let own = Key::join(id, sid, target);
            let now = view.raw_under(root, &own);
            let untouched = match (now, &left.own) {
                (None, None) => true,
                (Some(now), Some(left)) => now.is_same(left),
                _ => false,
            };
            if !untouched {
                continue;
            }
            let others = with_slot(view, root, id, target, |slot| {
                slot.sids().any(|other| other != sid)
            });
            match left.shown_before.as_ref().filter(|_| others != Some(true)) {
                Some(Raw::Array(items)) => edits.push(Edit::Put {
                    root,
                    key: own,
                    value: yrs::Any::Array(items.clone()),
                }),
                _ if now.is_some() => edits.push(Edit::Remove { root, key: own }),
                _ => {}
            }
        }
        for fid in &undo.created {
            let mut after = view.excerpt([fid.as_str()]);
            after.stage(&edits);
            let overlays = after.overlays(fid);
            if view.feats.contains_key(fid.as_str()) && read::state(&overlays) != State::Deleted {
                let seen = vec![number_any(overlays.seen() as f64)];
                edits.extend(writer.set_target(Root::Gone, fid, "", &overlays, seen));
            }
        }
        Ok(self.finish(view, edits, super::editor::Yielded::default()))
    }
}

/// The entry that shows for a target.
fn shown(view: &MapView, root: &str, id: &str, target: &str) -> Option<Raw> {
    let sid = with_slot(view, root, id, target, |slot| {
        slot.winner().map(|winner| winner.sid.to_owned())
    });
    view.raw_under(root, &Key::join(id, &sid??, target))
        .cloned()
}

fn with_slot<T>(
    view: &MapView,
    root: &str,
    id: &str,
    target: &str,
    read: impl FnOnce(&Slot<'_>) -> T,
) -> Option<T> {
    if root == LAYER {
        return view.targets_of_layer(id).get(target).map(read);
    }
    let root = Root::ALL.into_iter().find(|known| known.name() == root)?;
    view.overlays(id).slot(root, target).map(read)
}
