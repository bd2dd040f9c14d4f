//! Shapefiles in a zip archive, read only (Esri white paper J-7855): each `.shp` with its `.dbf`, `.prj` and `.cpg` is a
//! layer under its file name.

mod codepage;
mod dbf;
mod geometry;

use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::sync::Arc;

use serde_json::Map;
use tempfile::SpooledTempFile;

use super::archive::Archive;
use super::crs::{Crs, FileCrs};
use super::error::{Fault, RecordError};
use super::notes::NoteSet;
use super::records::{Item, Reading, Record};
use super::shape::settle;
use super::source::RECORD_BYTES_MAX;
use super::table::row_id;
use crate::model::{Content, Place};
use codepage::CodePage;
use dbf::Table;

/// Bytes of a `.prj` or `.cpg` file, at most.
const SIDE_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of the header of a `.shp` file.
const HEADER_BYTES: usize = 100;
/// The first four bytes of a `.shp` file.
const FILE_CODE: [u8; 4] = 9994_u32.to_be_bytes();

pub(super) struct Reader {
    archive: Archive,
    /// What the archive holds, in order of names.
    shapefiles: VecDeque<Files>,
    crs: FileCrs,
    open: Option<Layer>,
    records: u64,
    ended: bool,
}

/// The files of one shapefile by their names in the archive.
struct Files {
    shp: String,
    dbf: Option<String>,
    prj: Option<String>,
    cpg: Option<String>,
}

struct Layer {
    name: Arc<str>,
    shapes: BufReader<SpooledTempFile>,
    table: Option<Table<BufReader<SpooledTempFile>>>,
    crs: Crs,
    row: i64,
}

impl Reading for Reader {
    fn next(&mut self) -> Option<Record> {
        loop {
            if self.ended {
                return None;
            }
            let Some(layer) = &mut self.open else {
                let files = self.shapefiles.pop_front()?;
                match self.start(&files) {
                    Ok(layer) => self.open = Some(layer),
                    Err(fault) => return Some(Err(self.fatal(fault, &files.shp))),
                }
                continue;
            };
            let name = layer.name.clone();
            match layer.next() {
                Ok(None) => self.open = None,
                Ok(Some(Row::Deleted)) => {}
                Ok(Some(Row::Record(read))) => {
                    self.records += 1;
                    let place = Place {
                        record: self.records,
                        ..Place::default()
                    };
                    return Some(match *read {
                        Ok(item) => Ok(Item { place, ..item }),
                        Err(fault) => {
                            let mut error = RecordError::of_record(place, None, fault);
                            error.layer = Some(name.to_string());
                            Err(error)
                        }
                    });
                }
                Err(fault) => return Some(Err(self.fatal(fault, &name))),
            }
        }
    }
}

impl Reader {
    pub(super) fn open(reader: impl Read, crs: FileCrs) -> Result<Self, Fault> {
        let archive = Archive::open(reader)?;
        let names = archive.names();
        let shapefiles: VecDeque<Files> = names
            .iter()
            .filter(|name| ending(name) == "shp" && !stem(name).starts_with("._"))
            .map(|shp| {
                let beside = |wanted: &str| {
                    let other = names.iter().find(|name| {
                        ending(name) == wanted && base(name).eq_ignore_ascii_case(base(shp))
                    });
                    other.cloned()
                };
                Files {
                    shp: shp.clone(),
                    dbf: beside("dbf"),
                    prj: beside("prj"),
                    cpg: beside("cpg"),
                }
            })
            .collect();
        if shapefiles.is_empty() {
            return Err(Fault::Unreadable {
                what: "the archive has no file that ends in .shp".to_owned(),
                hint: "put all files of the shapefile (.shp, .dbf, .prj, .cpg) into the archive",
            });
        }
        Ok(Self {
            archive,
            shapefiles,
            crs,
            open: None,
            records: 0,
            ended: false,
        })
    }

    fn fatal(&mut self, fault: Fault, name: &str) -> RecordError {
        self.ended = true;
        let mut error = RecordError::of_file(Place::default(), fault);
        error.layer = Some(name.to_owned());
        error
    }

    fn start(&mut self, files: &Files) -> Result<Layer, Fault> {
        let mut crs = self.crs.clone();
        if let Some(prj) = &files.prj {
            let text = self.side_file(prj)?;
            crs.found(|| text.parse())?;
        }
        let code_page = match &files.cpg {
            Some(cpg) => CodePage::from_name(&self.side_file(cpg)?),
            None => None,
        };
        let table = match &files.dbf {
            Some(dbf) => {
                let file = BufReader::new(self.archive.unpack(dbf)?);
                Some(Table::open(file, code_page)?)
            }
            None => None,
        };
        let mut shapes = BufReader::new(self.archive.unpack(&files.shp)?);
        let header = bytes(&mut shapes, HEADER_BYTES)?;
        if header.len() < HEADER_BYTES || header.get(..4) != Some(&FILE_CODE) {
            return Err(Fault::Unreadable {
                what: format!("{:?} is no shapefile", files.shp),
                hint: "copy or download the archive again",
            });
        }
        Ok(Layer {
            name: stem(&files.shp).into(),
            shapes,
            table,
            crs: crs.crs,
            row: 0,
        })
    }

    fn side_file(&mut self, name: &str) -> Result<String, Fault> {
        let mut text = Vec::new();
        self.archive
            .unpack(name)?
            .take(SIDE_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|error| Fault::Io(error.to_string()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// What a line of the table stands for.
enum Row {
    Deleted,
    Record(Box<Result<Item, Fault>>),
}

impl Layer {
    /// The next shape with its properties; a fault of the file where lengths make no sense.
    fn next(&mut self) -> Result<Option<Row>, Fault> {
        let within = "the record";
        let header = bytes(&mut self.shapes, 8)?;
        let length = match header.as_slice() {
            [] => return Ok(None),
            [_, _, _, _, length @ ..] => length.try_into().map(u32::from_be_bytes),
            _ => return Err(Fault::Truncated { within }),
        };
        let words = length.map_err(|_| Fault::Truncated { within })?;
        let length = usize::try_from(words)
            .unwrap_or(usize::MAX)
            .saturating_mul(2);
        if length > RECORD_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let content = bytes(&mut self.shapes, length)?;
        if content.len() < length {
            return Err(Fault::Truncated { within });
        }
        let row = self.row;
        self.row += 1;
        let properties = match &mut self.table {
            None => Some(Map::new()),
            Some(table) => match table.next()? {
                None => Some(Map::new()),
                Some(found) => found,
            },
        };
        let Some(properties) = properties else {
            return Ok(Some(Row::Deleted));
        };
        let mut notes = NoteSet::default();
        let geometry = geometry::read(&content, &mut notes).and_then(|raw| {
            raw.map(|raw| settle(raw, &self.crs, &mut notes))
                .transpose()
        });
        let item = geometry.map(|geometry| {
            let content = Content {
                id: Some(row_id(row)),
                geometry,
                properties,
                members: Map::new(),
            };
            let mut item = Item::new(content, Place::default()).noted(notes);
            item.layer = Some(self.name.clone());
            item.row = Some(row);
            item
        });
        Ok(Some(Row::Record(Box::new(item))))
    }
}

/// So many bytes, or fewer at the end of the file.
fn bytes(reader: &mut impl Read, count: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(count).unwrap_or(u64::MAX);
    let read = reader.by_ref().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| Fault::Io(error.to_string()))?;
    Ok(bytes)
}

/// The ending of a file name, in small letters.
fn ending(name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.to_ascii_lowercase()
}

/// The name without its ending.
fn base(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(base, _)| base)
}

/// The name without folders and ending.
fn stem(name: &str) -> &str {
    base(name).rsplit('/').next().unwrap_or_default()
}
