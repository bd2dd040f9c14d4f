//! What a list of maps tells of a document.

use yrs::{Any, Doc, Map, Out, ReadTxn, Transact};

use super::container::Summary;

/// Counts the features that `doc` shows and reads its title.
pub fn summarize(doc: &Doc) -> Summary {
    let txn = doc.transact();
    let title = txn
        .get_map("meta")
        .and_then(|meta| match meta.get(&txn, "title") {
            Some(Out::Any(Any::String(title))) => Some(title.to_string()),
            _ => None,
        });
    let features = txn.get_map("feat").map_or(0, |feat| feat.len(&txn));
    Summary {
        features: u64::from(features),
        title: title.unwrap_or_default(),
    }
}
