//! What an import needs to know and to write before its first feature.

use yrs::{Map, ReadTxn};

use super::edit::Edit;
use super::edit_error::EditError;
use super::editor;
use super::id::Lid;
use super::import::ImportError;
use super::json::to_any;
use super::schema::FEAT;
use super::view::{MapView, raw_at, vertices};
use super::writer::Writer;

/// Whether an import may write to the document.
pub(super) fn check_writable(view: &MapView) -> Result<(), ImportError> {
    editor::check_writable(view).map_err(|error| match error {
        EditError::NewerVersion { found } => ImportError::NewerVersion { found },
        EditError::NotAMap { found } => ImportError::NotAMap { found },
        other => ImportError::NotAMap {
            found: other.to_string(),
        },
    })
}

/// Features and base vertices that the document has.
pub(super) fn count(txn: &impl ReadTxn) -> (u64, u64) {
    let Some(feats) = txn.get_map(FEAT) else {
        return (0, 0);
    };
    let counts = feats
        .keys(txn)
        .map(|key| vertices(&raw_at(&feats, key, txn)));
    counts.fold((0, 0), |(features, all), one| (features + 1, all + one))
}

/// The layer of this name, and the edits that make it or bring it back if it is not there.
pub(super) fn layer(view: &MapView, writer: &Writer, name: &str) -> (Lid, Vec<Edit>) {
    let named = view
        .layers()
        .find(|layer| layer.name.as_deref() == Some(name))
        .and_then(|layer| Lid::parse(&layer.lid));
    let lid = named.unwrap_or_else(|| Lid::of_name(name));
    let targets = view.targets_of_layer(lid.as_str());
    let slot = |field: &str| targets.get(field);
    let edits = match view.any_layer(lid.as_str()) {
        None => writer.set_layer(
            lid.as_str(),
            "name",
            slot("name"),
            vec![to_any(&name.into())],
        ),
        Some(layer) if layer.removed => {
            writer.set_layer(lid.as_str(), "gone", slot("gone"), Vec::new())
        }
        Some(layer) if layer.name.is_none() => writer.set_layer(
            lid.as_str(),
            "name",
            slot("name"),
            vec![to_any(&name.into())],
        ),
        Some(_) => Vec::new(),
    };
    (lid, edits)
}
