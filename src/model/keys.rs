//! Which overlay keys each feature has, kept up to date while an import writes.

use std::collections::{BTreeSet, HashMap};

use yrs::{Map, ReadTxn};

use super::edit::Edit;
use super::entry::Overlays;
use super::schema::{Key, Raw, Root};

/// Overlay keys by feature. Features without edits, the rule in fresh imports, take no space.
#[derive(Clone, Debug, Default)]
pub(super) struct OverlayKeys(HashMap<Box<str>, BTreeSet<(Root, Box<str>)>>);

impl OverlayKeys {
    /// The keys of a document, in one pass.
    pub(super) fn of(txn: &impl ReadTxn) -> Self {
        let mut keys = Self::default();
        for root in Root::ALL {
            if let Some(map) = txn.get_map(root.name()) {
                map.keys(txn).for_each(|key| keys.add(root, key));
            }
        }
        keys
    }

    /// Everything under a feature's keys.
    pub(super) fn overlays<'k>(&'k self, fid: &str, txn: &impl ReadTxn) -> Overlays<'k> {
        let mut overlays = Overlays::default();
        for (root, key) in self.0.get(fid).into_iter().flatten() {
            let value = txn.get_map(root.name()).and_then(|map| map.get(txn, key));
            if let Some(fields) = Key::split(*root, key) {
                overlays.add(
                    *root,
                    fields,
                    &value.map_or(Raw::Other, |value| Raw::of(value, txn)),
                );
            }
        }
        overlays
    }

    /// Notes what edits will have done.
    pub(super) fn follow(&mut self, edits: &[Edit]) {
        for edit in edits {
            match edit {
                Edit::Put { root, key, .. } => {
                    if let Some(root) = overlay(root) {
                        self.add(root, key);
                    }
                }
                Edit::Remove { root, key } => {
                    if let Some(root) = overlay(root) {
                        self.remove(root, key);
                    }
                }
                Edit::Begin { key, .. } => self.add(Root::Text, key),
                Edit::Clear { .. } | Edit::Type { .. } => {}
            }
        }
    }

    fn add(&mut self, root: Root, key: &str) {
        if let Some(fields) = Key::split(root, key) {
            match self.0.get_mut(fields.fid) {
                Some(keys) => drop(keys.insert((root, key.into()))),
                None => drop(
                    self.0
                        .insert(fields.fid.into(), BTreeSet::from([(root, key.into())])),
                ),
            }
        }
    }

    fn remove(&mut self, root: Root, key: &str) {
        if let Some(keys) = Key::split(root, key).and_then(|fields| self.0.get_mut(fields.fid)) {
            keys.remove(&(root, key.into()));
        }
    }
}

fn overlay(name: &str) -> Option<Root> {
    Root::ALL.into_iter().find(|root| root.name() == name)
}
