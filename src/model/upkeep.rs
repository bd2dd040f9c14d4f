//! What only a server does to a document: migrating it to a later version of the format, and removing for good what
//! was deleted long ago.

use std::collections::BTreeSet;

use super::edit::Edit;
use super::edit_error::EditError;
use super::editor::{Plan, Yielded, check_writable};
use super::feature::State;
use super::read;
use super::schema::{FEAT, Root};
use super::view::{MapView, under};

/// A deleted feature is removed for good at the earliest so many seconds after its last edit: 90 days
/// (`map-document` §8).
pub const PURGE_AFTER_S: u64 = 90 * 24 * 60 * 60;

/// From a version of the format to the next.
struct Step {
    from: i64,
    edits: fn(&MapView) -> Vec<Edit>,
}

/// There is one version so far. Overlays are never folded into records: two that did so would lose edits.
const STEPS: [Step; 0] = [];

impl MapView {
    /// What brings the document to this program's version of the format; nothing if it has it. A document without a
    /// version has version 1.
    ///
    /// # Errors
    /// When the document is of a later version, or no map.
    pub fn plan_migration(&self) -> Result<Plan, EditError> {
        check_writable(self)?;
        let mut staged = self.clone();
        let mut edits = Vec::new();
        for step in STEPS {
            if staged.version() == step.from as f64 {
                let more = (step.edits)(&staged);
                staged.stage(&more);
                edits.extend(more);
            }
        }
        Ok(Plan {
            edits,
            yielded: Yielded::default(),
        })
    }

    /// Removes all keys of features that were deleted [`PURGE_AFTER_S`] ago, at most `features` of them. Edits that
    /// still arrive will be orphans. For the server only: whoever was offline for longer would lose work.
    #[must_use]
    pub fn plan_purge(&self, now_s: u64, features: usize) -> Plan {
        let old = |fid: &str| {
            let overlays = self.overlays(fid);
            let Some(record) = self.record(fid) else {
                return false;
            };
            let last = overlays.latest().map(|(t, _)| t).max(Some(record.t));
            read::state(&overlays) == State::Deleted
                && last.is_some_and(|t| t.saturating_add(PURGE_AFTER_S) <= now_s)
        };
        let mut edits = Vec::new();
        let gone = self.overlays.get(Root::Gone as usize).into_iter();
        let fids = gone.flat_map(|entries| entries.keys());
        let fids: BTreeSet<&str> = fids
            .filter_map(|key| Some(key.split_once('/')?.0))
            .collect();
        let due = fids.into_iter().filter(|fid| old(fid));
        for fid in due.take(features) {
            let prefix = format!("{fid}/");
            for (root, entries) in Root::ALL.into_iter().zip(&self.overlays) {
                edits.extend(under(entries, &prefix).map(|(key, _)| Edit::Remove {
                    root: root.name(),
                    key: key.to_owned(),
                }));
            }
            edits.push(Edit::Remove {
                root: FEAT,
                key: fid.to_string(),
            });
        }
        Plan {
            edits,
            yielded: Yielded::default(),
        }
    }
}
