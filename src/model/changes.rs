//! What changed in a view, for whoever shows or indexes it.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::Root;

/// What a [`Delta`](super::Delta) changed in a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Features to read again, by id, with what changed and who wrote it. They may be gone, or unknown.
    pub features: BTreeMap<Box<str>, FeatureChange>,
    /// Ids of layers that changed. Features in a layer that came or went are read differently from now on.
    pub layers: BTreeSet<Box<str>>,
    /// Ids of notes.
    pub notes: BTreeSet<Box<str>>,
    /// Ids of attachments.
    pub attachments: BTreeSet<Box<str>>,
    /// Sessions whose person changed.
    pub sessions: BTreeSet<Box<str>>,
    /// Whether the title, the format or its version may have changed.
    pub meta: bool,
    /// Whether the list of malformed keys changed.
    pub malformed_keys: bool,
}

/// What of a feature changed, and who wrote what is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureChange {
    kinds: u8,
    by: Vec<Box<str>>,
}

/// A part of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was created, or removed for good.
    Record,
    /// Its geometry.
    Geometry,
    /// Its properties, texts that are edited together among them.
    Properties,
    /// Its layer, order, style and origin.
    Attributes,
    /// It was deleted or restored.
    Deletion,
}

impl ChangeKind {
    const ALL: [Self; 5] = [
        Self::Record,
        Self::Geometry,
        Self::Properties,
        Self::Attributes,
        Self::Deletion,
    ];

    pub(super) fn of(root: Root) -> Self {
        match root {
            Root::Geom | Root::Part | Root::Vert => Self::Geometry,
            Root::Prop | Root::Text => Self::Properties,
            Root::Attr => Self::Attributes,
            Root::Gone => Self::Deletion,
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl FeatureChange {
    /// What changed.
    pub fn kinds(&self) -> impl Iterator<Item = ChangeKind> {
        let kinds = self.kinds;
        ChangeKind::ALL
            .into_iter()
            .filter(move |kind| kinds & kind.bit() != 0)
    }

    /// Sessions that wrote what has come, each once. None where things only went, as when a deletion is taken back, or
    /// where somebody typed (who did is in the attribute `text`).
    pub fn by(&self) -> impl Iterator<Item = &str> {
        self.by.iter().map(|sid| &**sid)
    }

    pub(super) fn note(&mut self, kind: ChangeKind, sid: Option<&str>) {
        self.kinds |= kind.bit();
        if let Some(sid) = sid.filter(|sid| self.by().all(|known| known != *sid)) {
            self.by.push(sid.into());
        }
    }

    fn extend(&mut self, later: Self) {
        self.kinds |= later.kinds;
        later.by.iter().for_each(|sid| {
            if !self.by.contains(sid) {
                self.by.push(sid.clone());
            }
        });
    }
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn feature(&mut self, fid: &str) -> &mut FeatureChange {
        self.features.entry(fid.into()).or_default()
    }

    /// Takes up what changed afterwards.
    pub fn extend(&mut self, later: Self) {
        for (fid, change) in later.features {
            self.features.entry(fid).or_default().extend(change);
        }
        self.layers.extend(later.layers);
        self.notes.extend(later.notes);
        self.attachments.extend(later.attachments);
        self.sessions.extend(later.sessions);
        self.meta |= later.meta;
        self.malformed_keys |= later.malformed_keys;
    }
}
