//! A plan on its way to a document that others write to meanwhile.

use yrs::{Map, ReadTxn, TransactionMut};

use super::edit::{Edit, apply};
use super::editor::Plan;
use super::schema::{FEAT, Raw};
use super::view::{MapView, raw_at};

/// A plan, and what its author saw where it deletes or creates.
#[derive(Debug)]
pub struct LatePlan(Vec<(Edit, Option<Raw>)>);

impl Plan {
    /// The plan for a document that may have moved on from `view`, against which it was made.
    #[must_use]
    pub fn seen_in(self, view: &MapView) -> LatePlan {
        let edits = self.edits.into_iter().map(|edit| {
            let seen = view.raw_under(edit.root(), edit.key()).cloned();
            (edit, seen)
        });
        LatePlan(edits.collect())
    }
}

impl LatePlan {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Carries the plan out. What its author did not see is not deleted but stands beside the edit, as if both had
    /// been made at once. False, and nothing is written, where a record that it makes is there by now: plan again.
    #[must_use]
    pub fn write(self, txn: &mut TransactionMut<'_>) -> bool {
        let taken = self.0.iter().any(|(edit, seen)| {
            edit.root() == FEAT && is_put(edit) && !is_as_seen(txn, edit, seen)
        });
        if taken {
            return false;
        }
        let edits = self.0.into_iter().filter(|(edit, seen)| {
            let deletes = matches!(edit, Edit::Remove { .. });
            !deletes || is_as_seen(txn, edit, seen)
        });
        let edits = edits.map(|(edit, _)| edit).collect();
        apply(txn, edits);
        true
    }
}

fn is_put(edit: &Edit) -> bool {
    matches!(edit, Edit::Put { .. })
}

/// Whether the document has under the edit's key what its author saw there.
fn is_as_seen(txn: &impl ReadTxn, edit: &Edit, seen: &Option<Raw>) -> bool {
    let map = txn.get_map(edit.root());
    let map = map.filter(|map| map.contains_key(txn, edit.key()));
    let there = map.map(|map| raw_at(&map, edit.key(), txn));
    match (seen, there) {
        (None, None) | (Some(Raw::Other), Some(Raw::Other)) => true,
        (Some(seen), Some(there)) => seen.is_same(&there),
        _ => false,
    }
}
