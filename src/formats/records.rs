//! Records of any format as features to import: ids are derived and repeated ones found here, once for all formats.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::crs::{Crs, FileCrs};
use super::error::{Fault, RecordError};
use super::notes::{NoteSet, Notes};
use super::shape::Rings;
use super::{Format, csv, fgb, geojson, geojsonseq, gpkg, gpx, kml, shp};
use crate::model::{Content, Fid, InputFeature, Place, SourceId};

/// How to read a file, where it does not say so itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// The reference system of the coordinates, whatever the file says.
    pub crs: Option<Crs>,
    /// The column of longitudes or eastings, in formats of columns.
    pub x: Option<String>,
    /// The column of latitudes or northings, in formats of columns.
    pub y: Option<String>,
    /// What becomes of the direction of rings; counts for GeoJSON.
    pub rings: Rings,
}

impl ReadOptions {
    pub(super) fn file_crs(&self) -> FileCrs {
        FileCrs::new(self.crs.as_ref(), self.rings)
    }
}

/// A record as its format reads it.
pub(super) type Record = Result<Item, RecordError>;

/// What a record says.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) content: Content,
    pub(super) place: Place,
    /// Its layer, in formats that know layers.
    pub(super) layer: Option<Arc<str>>,
    /// Its number in its layer, where that is its id (ruling for formats whose ids count per layer).
    pub(super) row: Option<i64>,
    pub(super) notes: NoteSet,
}

impl Item {
    pub(super) fn new(content: Content, place: Place) -> Self {
        Self {
            content,
            place,
            layer: None,
            row: None,
            notes: NoteSet::default(),
        }
    }

    pub(super) fn noted(self, notes: NoteSet) -> Self {
        Self { notes, ..self }
    }
}

/// A reader of one format.
pub(super) trait Reading {
    /// The next record; at the end nothing. Not asked again after that or after an error that is fatal.
    fn next(&mut self) -> Option<Record>;
}

/// Reads features from a file, record by record.
///
/// A wrong record yields an error and reading goes on, unless the error is fatal. Ids must be unique in a file;
/// a feature without id gets one from its content and from how many equal ones came before it. Memory is bounded by
/// the largest record, plus about 40 bytes per feature for its id. Formats that cannot be read from front to back
/// are copied to a temporary file first.
pub fn read<'r>(reader: impl Read + 'r, format: Format) -> Records<'r> {
    read_with(reader, format, &ReadOptions::default())
}

/// As [`read`], with options.
pub fn read_with<'r>(reader: impl Read + 'r, format: Format, options: &ReadOptions) -> Records<'r> {
    let crs = options.file_crs();
    Records::new(match format {
        Format::GeoJson => Box::new(geojson::Reader::new(reader, crs)),
        Format::GeoJsonSeq => Box::new(geojsonseq::Reader::new(reader, crs)),
        Format::Csv => Box::new(csv::Reader::new(reader, options)),
        Format::Gpx => Box::new(gpx::Reader::new(reader, crs)),
        Format::Kml => Box::new(kml::Reader::new(reader, crs)),
        Format::Kmz => opened(kml::packed(reader, crs)),
        Format::GeoPackage => opened(gpkg::Reader::copy(reader, crs)),
        Format::FlatGeobuf => Box::new(fgb::Reader::new(BufReader::new(reader), crs)),
        Format::Shapefile => opened(shp::Reader::open(reader, crs)),
    })
}

/// As [`read_with`], of a file that is there. Formats that are read in any order need no copy of it then.
///
/// # Errors
/// When the file cannot be opened; what is wrong in it comes from the iterator.
pub fn read_file(
    path: &Path,
    format: Format,
    options: &ReadOptions,
) -> std::io::Result<Records<'static>> {
    let file = File::open(path)?;
    Ok(match format {
        Format::GeoPackage => Records::new(opened(gpkg::Reader::open(path, options.file_crs()))),
        _ => read_with(file, format, options),
    })
}

/// The reader of a file that could be opened, else one that says why not.
fn opened<'r>(reader: Result<impl Reading + 'r, Fault>) -> Box<dyn Reading + 'r> {
    match reader {
        Ok(reader) => Box::new(reader),
        Err(fault) => Box::new(Unopened(Some(fault))),
    }
}

/// A file that could not be opened.
struct Unopened(Option<Fault>);

impl Reading for Unopened {
    fn next(&mut self) -> Option<Record> {
        let fault = self.0.take()?;
        Some(Err(RecordError::of_file(Place::default(), fault)))
    }
}

/// The iterator that [`read`] returns. After a fatal error or the end it yields nothing more.
pub struct Records<'r> {
    inner: Box<dyn Reading + 'r>,
    /// The record that first used an id, by a hash of the id.
    ids: HashMap<[u8; 16], u64>,
    /// How many features without id have had this content, by its hash.
    equal: HashMap<[u8; 16], u64>,
    notes: Notes,
    ended: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<InputFeature, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.inner.next();
        self.ended = match &next {
            Some(Err(error)) => error.fatal,
            Some(Ok(_)) => false,
            None => true,
        };
        next.map(|record| record.and_then(|item| self.identify(item)))
    }
}

impl<'r> Records<'r> {
    fn new(inner: Box<dyn Reading + 'r>) -> Self {
        Self {
            inner,
            ids: HashMap::new(),
            equal: HashMap::new(),
            notes: Notes::default(),
            ended: false,
        }
    }

    /// What was put right so far, without the records that were refused.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    fn identify(&mut self, item: Item) -> Result<InputFeature, RecordError> {
        let Item {
            content,
            place,
            layer,
            row,
            notes,
        } = item;
        let id = content.id.as_ref().map(ToString::to_string);
        let error = |fault| RecordError {
            layer: layer.as_deref().map(str::to_owned),
            ..RecordError::of_record(place, id.clone(), fault)
        };
        let content = content
            .checked()
            .map_err(|fault| error(Fault::Content(fault)))?;
        let fid = match (&content.id, row) {
            (Some(SourceId::Number(_)), Some(row)) => {
                Some(Fid::of_row(layer.as_deref().unwrap_or_default(), row))
            }
            (Some(id), _) => Some(Fid::of_source(id)),
            (None, _) => None,
        };
        let fid = match fid {
            None => {
                let hash = content.hash();
                let count = self.equal.entry(short(&hash)).or_default();
                *count += 1;
                Fid::of_content(&hash, *count - 1)
            }
            Some(fid) => {
                let first = *self
                    .ids
                    .entry(short(blake3::hash(fid.as_str().as_bytes()).as_bytes()))
                    .or_insert(place.record);
                if first != place.record {
                    return Err(error(Fault::DuplicateId { first }));
                }
                fid
            }
        };
        self.notes.count(notes);
        Ok(InputFeature::assemble(fid, content, place).in_layer(layer))
    }
}

/// Half of a hash tells a billion features apart.
fn short(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    half
}
