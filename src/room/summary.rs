//! What a list of maps tells of a document.

use yrs::{Doc, Map, ReadTxn, Transact};

use super::container::{Summary, TITLE_BYTES_MAX};
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
    let mut title = title.map(|title| title.to_string(&txn)).unwrap_or_default();
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    Summary { features, title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_any_length_is_cut_for_the_list() {
        let doc = Doc::new();
        let meta = doc.get_or_insert_map("meta");
        meta.insert(
            &mut doc.transact_mut(),
            "title",
            "ü".repeat(TITLE_BYTES_MAX),
        );
        assert_eq!(summarize(&doc).title.len(), TITLE_BYTES_MAX);
    }
}
