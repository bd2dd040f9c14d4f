//! Small views: what a few operations are about, taken out of a large view, and moved by planned edits before they
//! are written.

use std::collections::BTreeSet;

use yrs::Any;

use super::changes::Changes;
use super::edit::Edit;
use super::moving::Keyed;
use super::schema::{META, Raw, Root};
use super::view::{Entries, MapView, under};

impl MapView {
    /// A view of these features alone, with all layers and what the map says of itself. It costs as much as the
    /// features have entries, shares their values, and stays as it is: keep it as the version that an edit is based
    /// on.
    #[must_use]
    pub fn excerpt<'f>(&self, fids: impl IntoIterator<Item = &'f str>) -> Self {
        let mut small = Self {
            layer_entries: self.layer_entries.clone(),
            layers: self.layers.clone(),
            meta: self.meta.clone(),
            ..Self::default()
        };
        let fids: BTreeSet<&str> = fids.into_iter().collect();
        for fid in fids {
            if let Some((fid, raw)) = self.feats.get_key_value(fid) {
                small.feats.insert(fid.clone(), raw.clone());
                small.vertices += super::view::vertices(raw);
            }
            let prefix = format!("{fid}/");
            for (from, to) in self.overlays.iter().zip(&mut small.overlays) {
                to.extend(under(from, &prefix).map(|(key, raw)| (key.into(), raw.clone())));
            }
        }
        small
    }

    /// Copies single entries of roots that an excerpt leaves out.
    pub(super) fn add_entry(&mut self, keyed: Keyed, key: &str, from: &Self) {
        let entries = |view: &Self| -> Option<Raw> { view.entries_of(keyed)?.get(key).cloned() };
        if let Some(raw) = entries(from) {
            self.put(keyed, key.into(), Some(raw), &mut Changes::default());
        }
    }

    /// Moves the view to what it will be when the edits are written.
    pub(super) fn stage(&mut self, edits: &[Edit]) -> Changes {
        let mut changes = Changes::default();
        for edit in edits {
            let (root, key) = (edit.root(), edit.key());
            if root == META {
                self.stage_meta(key, edit);
                changes.meta = true;
                continue;
            }
            let Some(keyed) = Keyed::named(root) else {
                continue;
            };
            let raw = match edit {
                Edit::Put {
                    value: Any::Array(items),
                    ..
                } => Some(Raw::Array(items.clone())),
                Edit::Put { .. } => Some(Raw::Other),
                Edit::Remove { .. } => None,
                Edit::Clear { .. } => Some(Raw::Text("".into())),
                Edit::Begin { content, .. } => Some(Raw::Text(content.as_str().into())),
                Edit::Type { splice, .. } => {
                    match self.entries_of(keyed).and_then(|e| e.get(key)) {
                        Some(Raw::Text(text)) => Some(Raw::Text(splice.apply(text).into())),
                        other => other.cloned(),
                    }
                }
            };
            self.put(keyed, key.into(), raw, &mut changes);
        }
        self.read_layers(&changes.layers);
        changes
    }

    fn stage_meta(&mut self, key: &str, edit: &Edit) {
        let value = match edit {
            Edit::Put { value, .. } => Some(value.clone()),
            _ => None,
        };
        match key {
            "format" => self.meta.format = value,
            "version" => self.meta.version = value,
            "title" => self.meta.title = value,
            _ => {}
        }
    }

    /// What lies under a key of a root by the root's name; `None` for `meta`.
    pub(super) fn raw_under(&self, root: &str, key: &str) -> Option<&Raw> {
        self.entries_of(Keyed::named(root)?)?.get(key)
    }

    pub(super) fn entries_of(&self, keyed: Keyed) -> Option<&Entries> {
        match keyed {
            Keyed::Overlay(root) => self.overlays.get(root as usize),
            Keyed::Feat => Some(&self.feats),
            Keyed::Layer => Some(&self.layer_entries),
            Keyed::Note => Some(&self.notes),
            Keyed::File => Some(&self.files),
            Keyed::Who => Some(&self.who),
        }
    }
}

/// The feature that a change of a key of a root is about, if it is about one.
pub(super) fn feature_of<'k>(root: &str, key: &'k str) -> Option<&'k str> {
    if root == super::schema::FEAT {
        return Some(key);
    }
    let overlay = Root::ALL.into_iter().any(|overlay| overlay.name() == root);
    key.split_once('/').filter(|_| overlay).map(|(fid, _)| fid)
}
