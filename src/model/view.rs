//! A whole document, sorted once and then read feature by feature.

use std::collections::BTreeMap;

use yrs::{Any, Map, Out, ReadTxn};

use super::entry::{Overlays, Targets};
use super::feature::{Edited, Feature, State};
use super::json::{number, text};
use super::layer::{Layer, layer_targets};
use super::note::{Attachment, Note};
use super::read;
use super::record::Record;
use super::schema::{FEAT, FILE, FORMAT, Key, LAYER, META, NOTE, Raw, Root, VERSION, WHO, Who};

/// What a document holds at one moment, indexed in one pass over its roots.
///
/// It keeps keys and shares values, about 60 bytes per record and entry; features are made when asked for. It may
/// outlive the transaction and does not see later edits.
/// Nothing that a document can hold makes it panic.
#[derive(Clone, Debug)]
pub struct MapView {
    pub(super) feats: Vec<(Box<str>, Raw)>,
    /// By [`Root`] number: keys that have their fields, sorted.
    overlays: [Vec<(Box<str>, Raw)>; 7],
    pub(super) malformed_keys: Vec<String>,
    layer_entries: Vec<(Box<str>, Raw)>,
    layers: BTreeMap<String, Layer>,
    notes: Vec<(Box<str>, Raw)>,
    files: Vec<(Box<str>, Raw)>,
    who: BTreeMap<Box<str>, Raw>,
    meta: BTreeMap<Box<str>, Any>,
}

impl MapView {
    /// Reads the document that the transaction sees: linear in its entries, plus sorting.
    #[must_use]
    pub fn new(txn: &impl ReadTxn) -> Self {
        let mut malformed_keys = Vec::new();
        let overlays = Root::ALL.map(|root| {
            let (good, bad): (Vec<_>, Vec<_>) = sorted(txn, root.name())
                .into_iter()
                .partition(|(key, _)| Key::split(root, key).is_some());
            malformed_keys.extend(bad.iter().map(|(key, _)| format!("{}:{key}", root.name())));
            good
        });
        Self::with(txn, sorted(txn, FEAT), overlays, malformed_keys)
    }

    fn with(
        txn: &impl ReadTxn,
        feats: Vec<(Box<str>, Raw)>,
        overlays: [Vec<(Box<str>, Raw)>; 7],
        mut malformed_keys: Vec<String>,
    ) -> Self {
        let (layer_entries, bad): (Vec<_>, Vec<_>) = sorted(txn, LAYER)
            .into_iter()
            .partition(|(key, _)| Key::split_layer(key).is_some());
        malformed_keys.extend(bad.iter().map(|(key, _)| format!("{LAYER}:{key}")));
        let targets = layer_targets(&layer_entries);
        let layers = targets
            .iter()
            .map(|(lid, targets)| ((*lid).to_owned(), Layer::read(lid, targets)))
            .collect();
        malformed_keys.sort_unstable();
        Self {
            feats,
            overlays,
            malformed_keys,
            layer_entries,
            layers,
            notes: sorted(txn, NOTE),
            files: sorted(txn, FILE),
            who: sorted(txn, WHO).into_iter().collect(),
            meta: values(txn, META)
                .into_iter()
                .filter_map(|(key, out)| Some((key, plain(out)?)))
                .collect(),
        }
    }

    /// As [`Self::new`], but with nothing except the layers.
    pub(super) fn layers_only(txn: &impl ReadTxn) -> Self {
        Self::with(txn, Vec::new(), Default::default(), Vec::new())
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
        self.meta.get("title").and_then(text).map(|title| &**title)
    }

    /// The version that the document says it has, 1 if it says none.
    #[must_use]
    pub fn version(&self) -> f64 {
        self.meta
            .get("version")
            .and_then(number)
            .unwrap_or(VERSION as f64)
    }

    /// Whether this code may write to the document: its format is ours and its version not newer.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let format = self.meta.get("format");
        let ours =
            format.is_none_or(|format| text(format).is_some_and(|format| &**format == FORMAT));
        ours && self.version() <= VERSION as f64
    }

    /// Everything that overlays a feature.
    pub(super) fn overlays(&self, fid: &str) -> Overlays<'_> {
        let mut overlays = Overlays::default();
        for (root, entries) in Root::ALL.into_iter().zip(&self.overlays) {
            let belongs = |key: &str| {
                key.strip_prefix(fid)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            // Keys of the feature follow each other, but `fid/` is not where `fid` alone would be.
            let start =
                entries.partition_point(|(key, _)| key.bytes().lt(fid.bytes().chain(*b"/")));
            for (key, raw) in entries
                .iter()
                .skip(start)
                .take_while(|(key, _)| belongs(key))
            {
                if let Some(key) = Key::split(root, key) {
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

    /// The ids of all features that have a record or an overlay, sorted, each once.
    pub(super) fn fids(&self) -> Vec<&str> {
        let overlaid = self
            .overlays
            .iter()
            .flatten()
            .filter_map(|(key, _)| Some(key.split_once('/')?.0));
        let mut fids: Vec<&str> = self
            .feats
            .iter()
            .map(|(fid, _)| &**fid)
            .chain(overlaid)
            .collect();
        fids.sort_unstable();
        fids.dedup();
        fids
    }

    /// The raw record of a feature.
    pub(super) fn raw(&self, fid: &str) -> Option<&Raw> {
        let at = self
            .feats
            .binary_search_by(|(other, _)| (**other).cmp(fid))
            .ok()?;
        self.feats.get(at).map(|(_, raw)| raw)
    }

    fn record(&self, fid: &str) -> Option<Record> {
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

/// A root's values by key, sorted; none if there is no such root. An entry whose content is no value at all, as a
/// hostile update may bring, has a key all the same.
///
/// Goes by keys, since the iterator of yrs over values recurses for each such entry.
fn values(txn: &impl ReadTxn, root: &str) -> Vec<(Box<str>, Option<Out>)> {
    let Some(map) = txn.get_map(root) else {
        return Vec::new();
    };
    let mut found: Vec<_> = map
        .keys(txn)
        .map(|key| (key.into(), map.get(txn, key)))
        .collect();
    found.sort_unstable_by(|a: &(Box<str>, _), b| a.0.cmp(&b.0));
    found
}

fn plain(out: Option<Out>) -> Option<Any> {
    match out {
        Some(Out::Any(any)) => Some(any),
        _ => None,
    }
}

fn sorted(txn: &impl ReadTxn, root: &str) -> Vec<(Box<str>, Raw)> {
    values(txn, root)
        .into_iter()
        .map(|(key, out)| (key, out.map_or(Raw::Other, |out| Raw::of(out, txn))))
        .collect()
}
