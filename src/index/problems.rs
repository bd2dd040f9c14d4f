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

    /// Checks what was not checked since it last changed: time in proportion to the vertices of that.
    pub(super) fn catch_up(&mut self, view: &MapView) {
        for fid in std::mem::take(&mut self.unchecked) {
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
