//! Many features at once: created where they are new, edited as little as possible where they changed.
//!
//! Importing the same features again writes nothing. Features that are not in the input are left alone.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use yrs::{Doc, Map, ReadTxn, Transact, TransactionMut};

use super::edit::{Edit, apply};
use super::editor::introduction;
use super::entry::Overlays;
use super::geometry_edit::Precision;
use super::id::{Lid, Sid};
use super::input::{InputFeature, Place};
use super::keys::OverlayKeys;
use super::opening;
use super::random::Random;
use super::schema::{FEAT, FEATURES_MAX, Raw, VERSION, VERTICES_MAX, Who};
use super::upsert::Upserted;
use super::view::MapView;
use super::writer::Writer;

/// Features that one transaction touches, at most, so that it blocks readers for milliseconds.
pub const FEATURES_PER_TRANSACTION: usize = 1000;
/// A transaction ends when about this many bytes were written, so that each yields one moderate update.
const TRANSACTION_BYTES: usize = 1024 * 1024;
/// Features that were skipped are named up to this number.
pub const SKIPPED_NAMED_MAX: usize = 100;

/// How to import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Name of the layer to put all features in. Without one each goes into the layer that it names itself; if it names
    /// none, a new feature is in no layer and others stay in theirs.
    pub layer: Option<String>,
    /// The writer's session.
    pub sid: Sid,
    /// The person behind the session, written to the document before the first edit.
    pub who: Option<Who>,
    /// Seconds since 1970-01-01 UTC.
    pub now_s: u64,
    /// Seed of the random digits in keys.
    pub seed: u64,
    /// Whether features that were deleted come back; else they stay deleted and are counted.
    pub restore: bool,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Features that are new.
    pub created: u64,
    /// Features that were edited.
    pub changed: u64,
    /// Features that were deleted and came back, edited or not.
    pub restored: u64,
    /// Features that were already as the input has them.
    pub unchanged: u64,
    /// Features that somebody deleted and that stay so.
    pub skipped_deleted: u64,
    /// Features under whose id the document holds something unreadable, which must not be overwritten.
    pub skipped_malformed: u64,
    /// The first [`SKIPPED_NAMED_MAX`] that were skipped.
    pub skipped: Vec<Skipped>,
    /// Transactions that wrote something; each yields one update.
    pub transactions: u64,
}

/// A feature that was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its id as the input gives it, else the document's.
    pub id: String,
    /// Its record in the input.
    pub record: u64,
    /// Whether it is skipped because somebody deleted it; else what the document holds is unreadable.
    pub deleted: bool,
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Features looked at.
    pub features: u64,
    /// The last of them.
    pub place: Place,
}

/// Why an import stopped. What earlier transactions wrote stays.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The document is something other than a map.
    #[error("the document's format is {found:?}, not \"map\": import into another map")]
    NotAMap {
        /// What `meta.format` says.
        found: String,
    },
    /// The document is of a later version of the format.
    #[error(
        "the map has format version {found}, this program writes up to {VERSION}: use a newer one"
    )]
    NewerVersion {
        /// What `meta.version` says.
        found: f64,
    },
    /// More features than a map may have.
    #[error(
        "record {}, line {}: the map would have more than {FEATURES_MAX} features; import into several maps",
        .place.record, .place.line
    )]
    TooManyFeatures {
        /// The record that is one too many.
        place: Place,
    },
    /// More vertices than a map may have.
    #[error(
        "record {}, line {}: the map would have more than {VERTICES_MAX} vertices; simplify, or import into several maps",
        .place.record, .place.line
    )]
    TooManyVertices {
        /// The record that is too much.
        place: Place,
    },
}

/// Creates or edits each feature in transactions of bounded size, and tells `progress` after each of them.
///
/// Equal documents, features and options yield equal edits. A feature that is already as given is not written to,
/// so that an import repeated yields no update at all. The document must not be in a transaction.
///
/// # Errors
/// When the document is no map that may be written to, or would exceed its limits.
pub fn upsert(
    doc: &Doc,
    features: impl Iterator<Item = InputFeature>,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let mut features = features.peekable();
    if features.peek().is_none() {
        return Ok(ImportReport::default());
    }
    let mut import = Import::start(&doc.transact(), options)?;
    let mut seen = 0_u64;
    while features.peek().is_some() {
        let mut txn = doc.transact_mut();
        let mut written = import.write(&mut txn, import.opening.clone());
        import.opening.clear();
        let mut place = Place::default();
        for feature in features.by_ref().take(FEATURES_PER_TRANSACTION) {
            seen += 1;
            place = feature.place();
            written += import.feature(&mut txn, &feature)?;
            if written >= TRANSACTION_BYTES {
                break;
            }
        }
        import.report.transactions += u64::from(written > 0);
        drop(txn);
        progress(Progress {
            features: seen,
            place,
        });
    }
    Ok(import.report)
}

struct Import {
    writer: Writer,
    keys: OverlayKeys,
    /// The layer for everything, where the options name one.
    forced: Option<Lid>,
    /// The layers that features named so far.
    layers: HashMap<Arc<str>, Lid>,
    /// The layer of the present feature.
    layer: Option<Lid>,
    restore: bool,
    /// Edits that make the layer, due before the first feature.
    opening: Vec<Edit>,
    /// Edits that go before the first edit of all.
    header: Vec<Edit>,
    features: u64,
    vertices: u64,
    report: ImportReport,
}

impl Import {
    fn start(txn: &impl ReadTxn, options: &ImportOptions) -> Result<Self, ImportError> {
        let view = MapView::layers_only(txn);
        opening::check_writable(&view)?;
        let writer = Writer::new(
            options.sid.clone(),
            options.now_s,
            Random::new(options.seed),
        );
        let (forced, opening) = match &options.layer {
            Some(name) => {
                let (lid, edits) = opening::layer(&view, &writer, name);
                (Some(lid), edits)
            }
            None => (None, Vec::new()),
        };
        let (features, vertices) = opening::count(txn);
        Ok(Self {
            header: introduction(&view, &writer, options.who.as_ref()),
            writer,
            keys: OverlayKeys::of(txn),
            layer: forced.clone(),
            forced,
            layers: HashMap::new(),
            restore: options.restore,
            opening,
            features,
            vertices,
            report: ImportReport::default(),
        })
    }

    /// Looks at one feature and writes what it takes; about how many bytes.
    fn feature(
        &mut self,
        txn: &mut TransactionMut<'_>,
        feature: &InputFeature,
    ) -> Result<usize, ImportError> {
        let opened = self.open_layer(txn, feature);
        let opened = self.write(txn, opened);
        let fid = feature.fid().as_str();
        let raw = txn
            .get_map(FEAT)
            .and_then(|feats| feats.get(txn, fid))
            .map(|out| Raw::of(out, txn));
        let keys = std::mem::take(&mut self.keys);
        let overlays = keys.overlays(fid, txn);
        let edits = self.plan(raw.as_ref(), &overlays, feature);
        drop(overlays);
        self.keys = keys;
        Ok(opened + self.write(txn, edits?))
    }

    /// Takes the feature's layer as the present one; the edits that make it, where it is new.
    fn open_layer(&mut self, txn: &TransactionMut<'_>, feature: &InputFeature) -> Vec<Edit> {
        if self.forced.is_some() {
            return Vec::new();
        }
        let Some(name) = feature.layer() else {
            self.layer = None;
            return Vec::new();
        };
        if let Some(lid) = self.layers.get(name) {
            self.layer = Some(lid.clone());
            return Vec::new();
        }
        let (lid, edits) = opening::layer(&MapView::layers_only(txn), &self.writer, name);
        self.layers.insert(name.into(), lid.clone());
        self.layer = Some(lid);
        edits
    }

    fn plan(
        &mut self,
        raw: Option<&Raw>,
        overlays: &Overlays<'_>,
        feature: &InputFeature,
    ) -> Result<Vec<Edit>, ImportError> {
        let layer = self.layer.as_ref();
        let upserted = self.writer.upsert(
            raw,
            overlays,
            feature,
            layer,
            self.restore,
            Precision::Exact,
        );
        Ok(match upserted {
            Upserted::Deleted => self.skip(feature, true),
            Upserted::Unreadable => self.skip(feature, false),
            Upserted::Created(edits) => {
                self.count(feature)?;
                self.report.created += 1;
                edits
            }
            Upserted::Updated { edits, restored } => {
                let counter = match (restored, edits.is_empty()) {
                    (true, _) => &mut self.report.restored,
                    (false, false) => &mut self.report.changed,
                    (false, true) => &mut self.report.unchanged,
                };
                *counter += 1;
                edits
            }
        })
    }

    /// Counts a new feature against the limits of a map.
    fn count(&mut self, feature: &InputFeature) -> Result<(), ImportError> {
        let place = feature.place();
        self.features += 1;
        if self.features > FEATURES_MAX {
            return Err(ImportError::TooManyFeatures { place });
        }
        self.vertices += feature
            .geometry()
            .map_or(0, |geometry| geometry.vertex_count() as u64);
        if self.vertices > VERTICES_MAX {
            return Err(ImportError::TooManyVertices { place });
        }
        Ok(())
    }

    fn write(&mut self, txn: &mut TransactionMut<'_>, mut edits: Vec<Edit>) -> usize {
        if edits.is_empty() {
            return 0;
        }
        edits.splice(0..0, std::mem::take(&mut self.header));
        self.keys.follow(&edits);
        let size = edits.iter().map(Edit::size).sum();
        apply(txn, edits);
        size
    }

    /// Leaves a feature as it is and says so.
    fn skip(&mut self, feature: &InputFeature, deleted: bool) -> Vec<Edit> {
        let counter = if deleted {
            &mut self.report.skipped_deleted
        } else {
            &mut self.report.skipped_malformed
        };
        *counter += 1;
        if self.report.skipped.len() < SKIPPED_NAMED_MAX {
            let id = feature
                .id()
                .map_or_else(|| feature.fid().to_string(), ToString::to_string);
            self.report.skipped.push(Skipped {
                id,
                record: feature.place().record,
                deleted,
            });
        }
        Vec::new()
    }
}
