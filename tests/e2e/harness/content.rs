//! What a document holds, however its bytes are cut: the measure by which copies are equal.

use std::collections::BTreeMap;

use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, Map, Out, ReadTxn, Snapshot, Transact, Update};

/// Clocks, deletions and the root map `feat` of a document.
#[derive(Clone, PartialEq)]
pub struct Content {
    snapshot: Snapshot,
    feat: BTreeMap<String, Any>,
    missing: bool,
}

impl Content {
    /// Of a document.
    pub fn of(doc: &Doc) -> Self {
        let map = doc.get_or_insert_map("feat");
        let txn = doc.transact();
        let value = |out: Out| out.to_json(&txn);
        Self {
            snapshot: txn.snapshot(),
            feat: map
                .iter(&txn)
                .map(|(key, out)| (key.to_owned(), value(out)))
                .collect(),
            missing: txn.has_missing_updates(),
        }
    }

    /// Of a state as the server gives it.
    pub fn of_update(update: &[u8]) -> Self {
        let doc = Doc::new();
        let update = Update::decode_v1(update).expect("an update");
        let applied = doc.transact_mut().apply_update(update);
        applied.expect("a state applies to an empty document");
        Self::of(&doc)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Any> {
        self.feat.get(key)
    }

    /// Keys in order.
    pub fn keys(&self) -> Vec<&str> {
        self.feat.keys().map(String::as_str).collect()
    }

    /// Whether updates wait for others.
    pub fn is_missing_something(&self) -> bool {
        self.missing
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("keys", &self.feat.len())
            .field("clocks", &self.snapshot.state_map)
            .finish_non_exhaustive()
    }
}
