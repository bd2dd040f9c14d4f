//! A whole feature as it should be, against what the document has: created, or edited as little as possible.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use yrs::Any;

use super::edit::Edit;
use super::entry::Overlays;
use super::feature::State;
use super::geometry_edit::{self, Precision};
use super::id::{Lid, SourceId, hash};
use super::input::InputFeature;
use super::operation::{GeoJson, Operation};
use super::read;
use super::record::{GENERATION, Record};
use super::schema::{Raw, Root};
use super::view::MapView;
use super::writer::{Writer, create, stored};

/// Digits of the generation that coordinates get where the id is not random.
const GENERATION_DIGITS: usize = 8;

/// What became of a feature.
#[derive(Debug)]
pub(super) enum Upserted {
    /// It is deleted and stays so.
    Deleted,
    /// Its record is something unreadable, which must not be overwritten.
    Unreadable,
    /// It is new.
    Created(Vec<Edit>),
    /// It was there; without edits it is already as it should be.
    Updated {
        edits: Vec<Edit>,
        /// Whether it was deleted.
        restored: bool,
    },
}

impl Writer {
    /// Plans what it takes that a feature is as given.
    pub(super) fn upsert(
        &mut self,
        raw: Option<&Raw>,
        overlays: &Overlays<'_>,
        feature: &InputFeature,
        layer: Option<&Lid>,
        restore: bool,
        precision: Precision,
    ) -> Upserted {
        let restored = read::state(overlays) == State::Deleted;
        if restored && !restore {
            return Upserted::Deleted;
        }
        let fid = feature.fid().as_str();
        let mut edits = if restored {
            Self::restore(fid, overlays)
        } else {
            Vec::new()
        };
        match raw.map(Record::read) {
            Some(None) => Upserted::Unreadable,
            None => {
                edits.push(create(fid, &self.record(feature, layer)));
                edits.extend(self.members(overlays, feature));
                Upserted::Created(edits)
            }
            Some(Some(record)) => {
                edits.extend(self.update(&record, overlays, feature, layer, precision));
                Upserted::Updated { edits, restored }
            }
        }
    }

    fn record(&self, feature: &InputFeature, layer: Option<&Lid>) -> Record {
        let fid = feature.fid().as_str();
        let (kind, coords) = stored(feature.geometry());
        let plain = feature
            .id()
            .is_none_or(|id| *id == SourceId::Text(fid.to_owned()));
        Record {
            t: self.now(),
            sid: self.sid.as_str().into(),
            kind,
            generation: generation(feature, kind, &coords).into(),
            coords,
            props: serde_json::to_string(feature.properties())
                .unwrap_or_default()
                .into(),
            lid: layer.map(Lid::as_str).unwrap_or_default().into(),
            id: if plain { None } else { feature.id().cloned() },
        }
    }

    fn update(
        &mut self,
        record: &Record,
        overlays: &Overlays<'_>,
        feature: &InputFeature,
        layer: Option<&Lid>,
        precision: Precision,
    ) -> Vec<Edit> {
        let fid = feature.fid().as_str();
        let wanted = feature.geometry();
        let mut edits = geometry_edit::edits(self, fid, record, overlays, wanted, precision);
        let present = read::properties(record, overlays);
        for (name, value) in changed(&present, feature.properties()) {
            edits.extend(self.set_property(fid, name, overlays, value));
        }
        if let Some(lid) = layer.filter(|lid| read::layer(record, overlays) != lid.as_str()) {
            let value = vec![Any::from(lid.as_str())];
            edits.extend(self.set_target(Root::Attr, fid, "layer", overlays, value));
        }
        edits.extend(self.members(overlays, feature));
        edits
    }

    /// Sets or removes the foreign members of a GeoJSON feature.
    fn members(&self, overlays: &Overlays<'_>, feature: &InputFeature) -> Vec<Edit> {
        if read::members(overlays) == *feature.members() {
            return Vec::new();
        }
        let text = serde_json::to_string(feature.members()).unwrap_or_default();
        let payload = if feature.members().is_empty() {
            Vec::new()
        } else {
            vec![Any::String(text.into())]
        };
        let fid = feature.fid().as_str();
        self.set_target(Root::Attr, fid, read::MEMBERS, overlays, payload)
    }
}

impl MapView {
    /// The operations that make a feature, as this view shows it, into the given one: the smallest edits of its geometry,
    /// and the properties that differ. None if it is so already, or there is no such feature.
    ///
    /// To merge an edit that is based on an older version, plan them against that version and move the plan
    /// [onto](super::Plan::onto) the present one.
    #[must_use]
    pub fn operations_between(&self, fid: &str, wanted: &InputFeature) -> Vec<Operation> {
        let Some(present) = self.feature(fid) else {
            return Vec::new();
        };
        let fid = || fid.to_owned();
        let mut operations = Vec::new();
        if present.geometry.as_ref() != wanted.geometry() {
            operations.push(Operation::ChangeGeometry {
                fid: fid(),
                geometry: GeoJson(wanted.geometry().cloned()),
            });
        }
        let values: BTreeMap<String, Option<Value>> =
            changed(&present.properties, wanted.properties())
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.cloned()))
                .collect();
        if !values.is_empty() {
            operations.push(Operation::SetProperties { fid: fid(), values });
        }
        operations
    }
}

/// Names of properties that differ, sorted, each with its wanted value if it shall have one.
pub(super) fn changed<'p>(
    present: &'p Map<String, Value>,
    wanted: &'p Map<String, Value>,
) -> Vec<(&'p str, Option<&'p Value>)> {
    let mut names: Vec<&str> = present
        .keys()
        .chain(wanted.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| present.get(*name) != wanted.get(*name));
    names
        .into_iter()
        .map(|name| (name, wanted.get(name)))
        .collect()
}

/// The name of coordinates whose feature has an id that is not random: a hash of them, so that an edit of one version
/// of the data is never applied to another. An id that was made from the content says as much already.
fn generation(feature: &InputFeature, kind: i64, coords: &Any) -> String {
    let mut bytes = kind.to_be_bytes().to_vec();
    match coords {
        Any::Buffer(packed) => bytes.extend_from_slice(packed),
        Any::String(text) => bytes.extend_from_slice(text.as_bytes()),
        _ => return GENERATION.to_owned(),
    }
    if feature.is_named() {
        hash(&bytes, GENERATION_DIGITS)
    } else {
        GENERATION.to_owned()
    }
}
