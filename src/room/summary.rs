//! What a list of maps tells of a document.

use yrs::{Doc, Map, ReadTxn, Transact};

use super::container::Summary;
use crate::model::MapView;

/// Counts the features that `doc` shows and reads its title.
pub fn summarize(doc: &Doc) -> Summary {
    let txn = doc.transact();
    let count = |root| txn.get_map(root).map_or(0, |map| map.len(&txn));
    // Where nothing was ever deleted every record is a feature, and no index of the whole map is needed.
    let features = match count("gone") {
        0 => u64::from(count("feat")),
        _ => MapView::new(&txn).feature_count() as u64,
    };
    let title = txn.get_map("meta").and_then(|meta| meta.get(&txn, "title"));
    let title = title.map(|title| title.to_string(&txn)).unwrap_or_default();
    Summary { features, title }
}
