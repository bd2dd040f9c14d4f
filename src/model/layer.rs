//! Layers: their fields, one slot per session like everything that is edited.

use std::collections::BTreeMap;

use serde_json::Value;
use yrs::Any;

use super::entry::{Overlays, Targets};
use super::json::{from_any, text};
use super::schema::{Key, Root};
use super::view::Entries;

/// A layer of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its id.
    pub lid: String,
    /// Its name, if somebody gave it one.
    pub name: Option<String>,
    /// Order key for drawing and lists.
    pub order: Option<String>,
    /// Whether it is drawn unless a viewer decides otherwise.
    pub visible: bool,
    /// How it is drawn, as its writer left it.
    pub style: Option<Value>,
    /// Its columns and their order, as their writer left them.
    pub columns: Option<Value>,
    /// Whether it was removed; its features then belong to no layer.
    pub removed: bool,
}

impl Layer {
    /// The layer under an id; `None` if nothing well-formed is there.
    pub(super) fn read(lid: &str, targets: &Targets<'_>) -> Option<Self> {
        if targets.values().all(|slot| slot.entries.is_empty()) {
            return None;
        }
        let value = |field: &str| targets.get(field).and_then(|slot| slot.value().flatten());
        Some(Self {
            lid: lid.to_owned(),
            name: value("name").and_then(text).map(ToString::to_string),
            order: value("order").and_then(text).map(ToString::to_string),
            visible: !matches!(value("visible"), Some(Any::Bool(false))),
            style: value("style").map(from_any),
            columns: value("columns").map(from_any),
            removed: matches!(value("gone"), Some(Any::Bool(true))),
        })
    }

    /// The name to show: the name, else the id.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.lid)
    }
}

/// The slots of every layer that has a well-formed or malformed entry.
pub(super) fn layer_targets(entries: &Entries) -> BTreeMap<&str, Targets<'_>> {
    let mut layers: BTreeMap<&str, Overlays<'_>> = BTreeMap::new();
    for (key, raw) in entries {
        if let Some(key) = Key::split_layer(key) {
            layers.entry(key.fid).or_default().add(Root::Attr, key, raw);
        }
    }
    layers
        .into_iter()
        .map(|(lid, overlays)| (lid, overlays.into_targets(Root::Attr)))
        .collect()
}
