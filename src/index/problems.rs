//! What needs a person's eye in a map: the document's own report, and geometries that are not valid.
//!
//! Only what changed is checked again, and only when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::geometry::validity::{self, Fault, Limits};
use crate::model::{MapView, Problem};

/// What is wrong with a feature.
#[derive(Clone, Debug, Default)]
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
}

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
            if found.report.is_empty() && found.faults.is_empty() {
                self.found.remove(&fid);
            } else {
                self.found.insert(fid, found);
            }
        }
        self.unchecked.is_empty()
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
