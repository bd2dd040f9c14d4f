//! What an import needs to know and to write before its first feature.

use yrs::{Any, Map, Out, ReadTxn};

use super::edit::{Edit, Writer};
use super::id::Lid;
use super::import::ImportError;
use super::json::{number, number_any, to_any};
use super::pack::vertex_count;
use super::schema::{FEAT, FORMAT, META, VERSION, WHO, Who};
use super::view::MapView;

pub(super) fn check_writable(txn: &impl ReadTxn) -> Result<(), ImportError> {
    let Some(meta) = txn.get_map(META) else {
        return Ok(());
    };
    match meta.get(txn, "format") {
        None => {}
        Some(Out::Any(Any::String(format))) if &*format == FORMAT => {}
        Some(other) => {
            return Err(ImportError::NotAMap {
                found: other.to_string(txn),
            });
        }
    }
    match meta.get(txn, "version") {
        Some(Out::Any(version)) => match number(&version) {
            Some(found) if found > VERSION as f64 => Err(ImportError::NewerVersion { found }),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Features and base vertices that the document has.
pub(super) fn count(txn: &impl ReadTxn) -> (u64, u64) {
    let Some(feats) = txn.get_map(FEAT) else {
        return (0, 0);
    };
    let mut features = 0_u64;
    let mut vertices = 0_u64;
    for key in feats.keys(txn) {
        features += 1;
        if let Some(Out::Any(Any::Array(items))) = feats.get(txn, key) {
            vertices += match items.get(3) {
                Some(Any::Buffer(bytes)) => vertex_count(bytes),
                _ => 1,
            };
        }
    }
    (features, vertices)
}

/// What a document without it gets before its first edit: what it is, and who this session is.
pub(super) fn header(txn: &impl ReadTxn, writer: &Writer, who: Option<&Who>) -> Vec<Edit> {
    let has = |root: &str, key: &str| {
        txn.get_map(root)
            .is_some_and(|map| map.contains_key(txn, key))
    };
    let mut edits = Vec::new();
    let mut put = |root: &'static str, key: &str, value: Any| {
        if !has(root, key) {
            edits.push(Edit::Put {
                root,
                key: key.to_owned(),
                value,
            });
        }
    };
    put(META, "format", Any::from(FORMAT));
    put(META, "version", number_any(VERSION as f64));
    if let Some(who) = who {
        let items = vec![
            number_any(writer.now_s as f64),
            Any::from(who.user.as_str()),
            Any::from(who.name.as_str()),
        ];
        put(WHO, writer.sid.as_str(), Any::from(items));
    }
    edits
}

/// The layer of this name, and the edits that make it or bring it back if it is not there.
pub(super) fn layer(view: &MapView, writer: &Writer, name: &str) -> (Lid, Vec<Edit>) {
    let named = view
        .layers()
        .find(|layer| layer.name.as_deref() == Some(name))
        .and_then(|layer| Lid::parse(&layer.lid));
    let lid = named.unwrap_or_else(|| Lid::of_name(name));
    let targets = view.layer_targets();
    let slot = |field: &str| {
        targets
            .get(lid.as_str())
            .and_then(|targets| targets.get(field))
    };
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
