//! A whole document, sorted once and then read feature by feature.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use yrs::{Any, Map, MapRef, Out, ReadTxn};

use super::entry::{Overlays, Targets};
use super::feature::{Edited, Feature, State};
use super::json::{number, text};
use super::layer::{Layer, layer_targets};
use super::note::{Attachment, Note};
use super::pack::vertex_count;
use super::read;
use super::record::Record;
use super::schema::{FEAT, FILE, FORMAT, Key, LAYER, META, NOTE, Raw, Root, VERSION, WHO, Who};

/// The values of one root by key.
pub(super) type Entries = BTreeMap<Box<str>, Raw>;

/// What a document holds at one moment, indexed by key.
///
/// It keeps keys and shares values, about 60 bytes per record and entry; features are made when asked for. It needs
/// no document: it outlives the transaction, and does not see later edits unless a [`Delta`](super::Delta) of a
/// [`Watch`](super::Watch) is applied to it.
/// Nothing that a document can hold makes it panic.
#[derive(Clone, Debug, Default)]
pub struct MapView {
    pub(super) feats: Entries,
    /// By [`Root`] number: keys that have their fields.
    pub(super) overlays: [Entries; 7],
    /// `root:key` of keys that do not have their fields.
    pub(super) malformed_keys: BTreeSet<Box<str>>,
    pub(super) layer_entries: Entries,
    pub(super) layers: BTreeMap<Box<str>, Layer>,
    pub(super) notes: Entries,
    pub(super) files: Entries,
    pub(super) who: Entries,
    pub(super) meta: Meta,
    /// Base vertices of all records.
    pub(super) vertices: u64,
}

impl MapView {
    /// Reads the document that the transaction sees: linear in its entries, plus sorting.
    #[must_use]
    pub fn new(txn: &impl ReadTxn) -> Self {
        let mut view = Self::layers_only(txn);
        view.feats = entries(txn, FEAT);
        view.vertices = view.feats.values().map(vertices).sum();
        for (root, place) in Root::ALL.into_iter().zip(&mut view.overlays) {
            let (good, bad): (Vec<_>, Vec<_>) = entries(txn, root.name())
                .into_iter()
                .partition(|(key, _)| Key::split(root, key).is_some());
            *place = good.into_iter().collect();
            view.malformed_keys
                .extend(bad.iter().map(|(key, _)| malformed_key(root.name(), key)));
        }
        view.notes = entries(txn, NOTE);
        view.files = entries(txn, FILE);
        view
    }

    /// As [`Self::new`], but with nothing except the layers, the sessions' people and what the document says of itself.
    pub(super) fn layers_only(txn: &impl ReadTxn) -> Self {
        let (good, bad): (Vec<_>, Vec<_>) = entries(txn, LAYER)
            .into_iter()
            .partition(|(key, _)| Key::split_layer(key).is_some());
        let layer_entries: Entries = good.into_iter().collect();
        let layers = layer_targets(&layer_entries)
            .iter()
            .filter_map(|(lid, targets)| Some(((*lid).into(), Layer::read(lid, targets)?)))
            .collect();
        Self {
            layers,
            layer_entries,
            malformed_keys: bad
                .iter()
                .map(|(key, _)| malformed_key(LAYER, key))
                .collect(),
            who: entries(txn, WHO),
            meta: Meta::read(txn),
            ..Self::default()
        }
    }

    /// All features that show, live and contested, in order of their `fid`.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        self.feats
            .iter()
            .filter_map(|(fid, raw)| self.read(fid, &Record::read(raw)?))
    }

    /// One feature; `None` if there is none, it is malformed, or it is deleted.
    #[must_use]
    pub fn feature(&self, fid: &str) -> Option<Feature> {
        self.read(fid, &self.record(fid)?)
    }

    /// Whether a feature shows; `None` if there is none or it is malformed.
    #[must_use]
    pub fn state(&self, fid: &str) -> Option<State> {
        self.record(fid).map(|_| read::state(&self.overlays(fid)))
    }

    /// How many features show. Reads no geometry.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        let shows = |fid: &str, raw: &Raw| {
            Record::read(raw).is_some() && read::state(&self.overlays(fid)) != State::Deleted
        };
        self.feats
            .iter()
            .filter(|(fid, raw)| shows(fid, raw))
            .count()
    }

    /// The layers that were not removed, in order of their id.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.values().filter(|layer| !layer.removed)
    }

    /// Ids of the layers with this name; if there is none, of the one with this id.
    #[must_use]
    pub fn layers_called(&self, wanted: &str) -> Vec<String> {
        let named = self.layers().filter(|layer| layer.title() == wanted);
        let named: Vec<String> = named.map(|layer| layer.lid.clone()).collect();
        if named.is_empty() {
            let by_id = self.layer(wanted).map(|layer| layer.lid.clone());
            by_id.into_iter().collect()
        } else {
            named
        }
    }

    /// In which layer a feature shows, without reading its geometry; `""` where it is in none, or there is none.
    #[must_use]
    pub fn layer_of(&self, fid: &str) -> String {
        let layer = self
            .record(fid)
            .map(|record| read::layer(&record, &self.overlays(fid)));
        layer
            .filter(|lid| self.layer(lid).is_some())
            .unwrap_or_default()
    }

    /// Records and overlay entries that the view keeps.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.feats.len()
            + self
                .overlays
                .iter()
                .map(|entries| entries.len())
                .sum::<usize>()
    }

    /// The layer with this id, if it was not removed.
    #[must_use]
    pub fn layer(&self, lid: &str) -> Option<&Layer> {
        self.layers.get(lid).filter(|layer| !layer.removed)
    }

    /// The layer with this id, removed or not.
    pub(super) fn any_layer(&self, lid: &str) -> Option<&Layer> {
        self.layers.get(lid)
    }

    /// The notes, in order of their id; removed and malformed ones do not show.
    pub fn notes(&self) -> impl Iterator<Item = Note> {
        self.notes
            .iter()
            .filter_map(|(nid, raw)| Note::read(nid, raw))
    }

    /// The attachments, in order of their id; removed and malformed ones do not show.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment> {
        self.files
            .iter()
            .filter_map(|(aid, raw)| Attachment::read(aid, raw))
    }

    /// The person behind a session, as the session says.
    #[must_use]
    pub fn who(&self, sid: &str) -> Option<Who> {
        self.who.get(sid).and_then(Who::read)
    }

    /// The map's title.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.meta
            .title
            .as_ref()
            .and_then(text)
            .map(|title| &**title)
    }

    /// The version that the document says it has, 1 if it says none.
    #[must_use]
    pub fn version(&self) -> f64 {
        let version = self.meta.version.as_ref().and_then(number);
        version.unwrap_or(VERSION as f64)
    }

    /// Whether this code may write to the document: its format is ours and its version not newer.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let format = self.meta.format.as_ref();
        let ours =
            format.is_none_or(|format| text(format).is_some_and(|format| &**format == FORMAT));
        ours && self.version() <= VERSION as f64
    }

    /// Everything that overlays a feature.
    pub(super) fn overlays(&self, fid: &str) -> Overlays<'_> {
        let mut overlays = Overlays::default();
        let prefix = format!("{fid}/");
        for (root, entries) in Root::ALL.into_iter().zip(&self.overlays) {
            for (key, raw) in under(entries, &prefix) {
                // A hostile record's id may hold a slash; nothing can overlay it.
                if let Some(key) = Key::split(root, key).filter(|key| key.fid == fid) {
                    overlays.add(root, key, raw);
                }
            }
        }
        overlays
    }

    /// The entries of the layers, by layer.
    pub(super) fn layer_targets(&self) -> BTreeMap<&str, Targets<'_>> {
        layer_targets(&self.layer_entries)
    }

    /// The entries of one layer.
    pub(super) fn targets_of_layer(&self, lid: &str) -> Targets<'_> {
        let mut overlays = Overlays::default();
        for (key, raw) in under(&self.layer_entries, &format!("{lid}/")) {
            if let Some(key) = Key::split_layer(key) {
                overlays.add(Root::Attr, key, raw);
            }
        }
        overlays.into_targets(Root::Attr)
    }

    /// The ids of all features that have a record or an overlay, sorted, each once.
    pub(crate) fn fids(&self) -> BTreeSet<&str> {
        let overlaid = self
            .overlays
            .iter()
            .flat_map(BTreeMap::keys)
            .filter_map(|key| Some(key.split_once('/')?.0));
        self.feats
            .keys()
            .map(|fid| &**fid)
            .chain(overlaid)
            .collect()
    }

    /// The raw record of a feature.
    pub(super) fn raw(&self, fid: &str) -> Option<&Raw> {
        self.feats.get(fid)
    }

    pub(super) fn record(&self, fid: &str) -> Option<Record> {
        Record::read(self.raw(fid)?)
    }

    fn read(&self, fid: &str, record: &Record) -> Option<Feature> {
        let overlays = self.overlays(fid);
        let state = read::state(&overlays);
        if state == State::Deleted {
            return None;
        }
        let layer = read::layer(record, &overlays);
        Some(Feature {
            fid: fid.to_owned(),
            id: record.id.clone(),
            geometry: read::geometry(record, &overlays).0,
            properties: read::properties(record, &overlays),
            members: read::members(&overlays),
            layer: self.layer(&layer).map(|_| layer).unwrap_or_default(),
            state,
            created: Edited {
                t: record.t,
                sid: record.sid.to_string(),
            },
            changed: read::changed(record, &overlays),
        })
    }
}

/// What a document says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta {
    pub(super) format: Option<Any>,
    pub(super) version: Option<Any>,
    pub(super) title: Option<Any>,
}

impl Meta {
    /// Something there that is no plain value counts as `undefined`.
    pub(super) fn read(txn: &impl ReadTxn) -> Self {
        let map = txn.get_map(META);
        let value = |key| {
            let map = map.as_ref()?;
            let there = map.contains_key(txn, key);
            match map.get(txn, key) {
                Some(Out::Any(any)) => Some(any),
                Some(_) => Some(Any::Undefined),
                None => there.then_some(Any::Undefined),
            }
        };
        Self {
            format: value("format"),
            version: value("version"),
            title: value("title"),
        }
    }

    /// Whether there is something under a key.
    pub(super) fn has(&self, key: &str) -> bool {
        match key {
            "format" => self.format.is_some(),
            "version" => self.version.is_some(),
            "title" => self.title.is_some(),
            _ => false,
        }
    }
}

/// The entries whose key starts with `prefix`, sorted.
pub(super) fn under<'e>(
    entries: &'e Entries,
    prefix: &str,
) -> impl Iterator<Item = (&'e str, &'e Raw)> {
    entries
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
        .map(|(key, raw)| (&**key, raw))
}

/// How the report calls a key that does not have its fields.
pub(super) fn malformed_key(root: &str, key: &str) -> Box<str> {
    format!("{root}:{key}").into()
}

/// Base vertices of a record, as its coordinates say: at least one if they are not packed.
pub(super) fn vertices(record: &Raw) -> u64 {
    match record.array().and_then(|items| items.get(3)) {
        Some(Any::Buffer(bytes)) => vertex_count(bytes),
        Some(_) => 1,
        None => 0,
    }
}

/// A root's values; none if there is no such root. An entry whose content is no value at all, as a hostile update
/// may bring, has a key all the same.
///
/// Goes by keys, since the iterator of yrs over values recurses for each such entry.
pub(super) fn entries(txn: &impl ReadTxn, root: &str) -> Entries {
    let Some(map) = txn.get_map(root) else {
        return Entries::new();
    };
    map.keys(txn)
        .map(|key| (key.into(), raw_at(&map, key, txn)))
        .collect()
}

/// What lies under a key that is there.
pub(super) fn raw_at(map: &MapRef, key: &str, txn: &impl ReadTxn) -> Raw {
    map.get(txn, key)
        .map_or(Raw::Other, |out| Raw::of(out, txn))
}
