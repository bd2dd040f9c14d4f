//! What needs a person's eye in a map: the document's own report, and geometries that are not valid.
//!
//! Only what changed is checked again, and only when somebody asks. Who asks again is told what became different.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::geometry::validity::{self, Fault, Limits};
use crate::model::{MapView, Problem};

/// What is wrong with a feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureProblems {
    /// What the document's report says of it (`map-document` §10).
    pub report: Vec<Problem>,
    /// What is wrong with its geometry.
    pub faults: Vec<Fault>,
}

/// Problems by feature, kept up with the index.
#[derive(Debug, Default)]
pub struct Problems {
    found: BTreeMap<Arc<str>, FeatureProblems>,
    unchecked: BTreeSet<Arc<str>>,
    changes: Changes,
}

/// Features whose problems became different lately, in order. One that did so again is there once, in its newer place.
#[derive(Debug, Default)]
struct Changes {
    /// What makes moments of this index different from those of others.
    index: Arc<()>,
    in_order: BTreeMap<u64, Arc<str>>,
    places: HashMap<Arc<str>, u64>,
    last: u64,
    forgotten: u64,
}

/// A moment in the life of an index, to ask from again.
#[derive(Clone, Debug)]
pub struct Moment {
    index: Arc<()>,
    place: u64,
}

/// Features whose problems differ, and the moment up to which that is all.
#[derive(Clone, Debug)]
pub struct ProblemChanges {
    /// In the order of their last change; a feature without problems has none any more.
    pub fids: Vec<Arc<str>>,
    /// To ask from next.
    pub upto: Moment,
}

/// Features with changed problems that an index remembers; who has missed more looks at all.
pub const PROBLEM_CHANGES_MAX: usize = 4_096;

impl Problems {
    /// Notes that a feature has to be checked again.
    pub(super) fn check(&mut self, fid: Arc<str>) {
        self.unchecked.insert(fid);
    }

    /// Checks up to so many of the features that were not checked since they last changed, and whether none is left.
    /// Time in proportion to their vertices.
    pub(super) fn catch_up(&mut self, view: &MapView, features_max: usize) -> bool {
        for _ in 0..features_max {
            let Some(fid) = self.unchecked.pop_first() else {
                break;
            };
            let geometry = view.feature(&fid).and_then(|feature| feature.geometry);
            let found = FeatureProblems {
                report: view.problems_of(&fid),
                faults: geometry
                    .map(|geometry| validity::faults(&geometry, Limits::default()))
                    .unwrap_or_default(),
            };
            let found = Some(found).filter(|f| !f.report.is_empty() || !f.faults.is_empty());
            if self.found.get(&fid) == found.as_ref() {
                continue;
            }
            self.changes.note(fid.clone());
            match found {
                Some(found) => self.found.insert(fid, found),
                None => self.found.remove(&fid),
            };
        }
        self.unchecked.is_empty()
    }

    /// Now: what was found up to the last check.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment {
            index: self.changes.index.clone(),
            place: self.changes.last,
        }
    }

    /// What became different after `since`, at most `limit` features, the earliest first; `None` where that is not
    /// known any more, or `since` is of another index: look at all.
    #[must_use]
    pub fn changes_since(&self, since: &Moment, limit: usize) -> Option<ProblemChanges> {
        let Changes {
            index,
            in_order,
            forgotten,
            ..
        } = &self.changes;
        if !Arc::ptr_eq(index, &since.index) || since.place < *forgotten {
            return None;
        }
        let after = (Bound::Excluded(since.place), Bound::Unbounded);
        let mut following = in_order.range(after).map(|(place, fid)| (*place, fid));
        let page: Vec<(u64, &Arc<str>)> = following.by_ref().take(limit).collect();
        let upto = match (following.next(), page.last()) {
            (Some(_), Some((place, _))) => Moment {
                index: index.clone(),
                place: *place,
            },
            _ => self.moment(),
        };
        let fids = page.into_iter().map(|(_, fid)| fid.clone()).collect();
        Some(ProblemChanges { fids, upto })
    }

    /// All features with problems, in order of their fids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FeatureProblems)> {
        self.found.iter().map(|(fid, found)| (&**fid, found))
    }

    /// Those of one feature, if it has any.
    #[must_use]
    pub fn of(&self, fid: &str) -> Option<&FeatureProblems> {
        self.found.get(fid)
    }

    /// How many features have problems.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether no feature has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl Changes {
    fn note(&mut self, fid: Arc<str>) {
        self.last += 1;
        if let Some(before) = self.places.insert(fid.clone(), self.last) {
            self.in_order.remove(&before);
        }
        self.in_order.insert(self.last, fid);
        if self.in_order.len() > PROBLEM_CHANGES_MAX
            && let Some((place, fid)) = self.in_order.pop_first()
        {
            self.forgotten = place;
            self.places.remove(&fid);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_remembered_up_to_a_bound_and_whoever_missed_more_looks_at_all() {
        let mut problems = Problems::default();
        let begin = problems.moment();
        for n in 0..PROBLEM_CHANGES_MAX {
            problems.changes.note(format!("f{n}").into());
            problems.changes.note("always".into());
        }
        assert_eq!(problems.changes.in_order.len(), PROBLEM_CHANGES_MAX);
        assert_eq!(problems.changes.places.len(), PROBLEM_CHANGES_MAX);
        assert!(problems.changes_since(&begin, 5).is_none());
        let late = problems.moment();
        problems.changes.note("f5".into());
        let changes = problems.changes_since(&late, 5).unwrap();
        assert_eq!(changes.fids, [Arc::from("f5")]);
        let nothing = problems.changes_since(&changes.upto, 5).unwrap();
        assert!(nothing.fids.is_empty());
    }
}
