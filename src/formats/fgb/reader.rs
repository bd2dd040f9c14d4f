//! FlatGeobuf in, from front to back.

use std::io::{self, Read};
use std::sync::Arc;

use flatgeobuf::{
    GeometryType, Header, size_prefixed_root_as_feature, size_prefixed_root_as_header,
};
use serde_json::{Map, Value};

use super::properties::{self, Column};
use super::{MAGIC, geometry};
use crate::formats::crs::{Crs, FileCrs};
use crate::formats::error::{Fault, RecordError};
use crate::formats::notes::NoteSet;
use crate::formats::records::{Item, Reading, Record};
use crate::formats::shape::settle;
use crate::formats::source::RECORD_BYTES_MAX;
use crate::formats::table::{ID_COLUMN, row_id};
use crate::formats::value;
use crate::model::{Content, Place, SourceId};

/// Bytes of the header, at most: thousands of columns fit.
const HEADER_BYTES_MAX: usize = 10 << 20;
/// Bytes of one entry of the index.
const INDEX_ENTRY_BYTES: u64 = 40;

pub(in crate::formats) struct Reader<R> {
    reader: R,
    crs: FileCrs,
    head: Option<Head>,
    records: u64,
    byte: u64,
    ended: bool,
}

struct Head {
    layer: Option<Arc<str>>,
    columns: Vec<Column>,
    geometry: GeometryType,
    /// Features that there are, 0 if the file does not say.
    features: u64,
}

impl<R: Read> Reading for Reader<R> {
    fn next(&mut self) -> Option<Record> {
        if self.ended {
            return None;
        }
        if self.head.is_none() {
            match self.open() {
                Ok(head) => self.head = Some(head),
                Err(fault) => return Some(Err(self.fatal(fault))),
            }
        }
        match self.feature() {
            Ok(record) => record,
            Err(fault) => Some(Err(self.fatal(fault))),
        }
    }
}

impl<R: Read> Reader<R> {
    pub(in crate::formats) fn new(reader: R, crs: FileCrs) -> Self {
        Self {
            reader,
            crs,
            head: None,
            records: 0,
            byte: 0,
            ended: false,
        }
    }

    fn place(&self) -> Place {
        Place {
            record: self.records,
            line: 0,
            byte: self.byte,
        }
    }

    fn fatal(&mut self, fault: Fault) -> RecordError {
        self.ended = true;
        RecordError::of_file(self.place(), fault)
    }

    /// So many bytes, or fewer at the end of the file.
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(count).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(limit).read_to_end(&mut bytes);
        read.map_err(|error| Fault::Io(error.to_string()))?;
        self.byte += bytes.len() as u64;
        Ok(bytes)
    }

    /// A table with its size before it; nothing at the end of the file.
    fn table(&mut self, within: &'static str, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut table = self.bytes(4)?;
        if table.is_empty() {
            return Ok(None);
        }
        let size = table.as_slice().try_into().map(u32::from_le_bytes);
        let size = size.map_err(|_| Fault::Truncated { within })?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > most {
            return Err(Fault::TooLong);
        }
        table.extend(self.bytes(size)?);
        if table.len() < size + 4 {
            return Err(Fault::Truncated { within });
        }
        Ok(Some(table))
    }

    fn open(&mut self) -> Result<Head, Fault> {
        let start = self.bytes(MAGIC.len())?;
        if start.is_empty() {
            return Err(Fault::Empty);
        }
        let (name, version) = (start.get(..3), start.get(3).copied().unwrap_or_default());
        if name != MAGIC.get(..3) || start.get(4..7) != MAGIC.get(4..7) || version > 3 {
            return Err(Fault::Unreadable {
                what: "this is no FlatGeobuf of version 3".to_owned(),
                hint: "check the file's ending, or write it again with a newer program",
            });
        }
        let within = "the header";
        let table = self
            .table(within, HEADER_BYTES_MAX)?
            .ok_or(Fault::Truncated { within })?;
        let header = size_prefixed_root_as_header(&table).map_err(|error| broken(&error))?;
        let features = header.features_count();
        let index = index_bytes(features, header.index_node_size())?;
        if !self.crs.fixed
            && let Some(crs) = reference_system(&header)
        {
            self.crs.found(|| crs)?;
        }
        let head = Head {
            layer: header.name().filter(|name| !name.is_empty()).map(Arc::from),
            columns: columns(&header),
            geometry: header.geometry_type(),
            features,
        };
        let skipped = io::copy(&mut self.reader.by_ref().take(index), &mut io::sink());
        let skipped = skipped.map_err(|error| Fault::Io(error.to_string()))?;
        self.byte += skipped;
        if skipped < index {
            return Err(Fault::Truncated {
                within: "the spatial index",
            });
        }
        Ok(head)
    }

    fn feature(&mut self) -> Result<Option<Record>, Fault> {
        self.records += 1;
        let place = self.place();
        let Some(table) = self.table("the record", RECORD_BYTES_MAX)? else {
            self.ended = true;
            let said = self.head.as_ref().map_or(0, |head| head.features);
            if said > self.records - 1 {
                return Err(Fault::Truncated {
                    within: "the collection",
                });
            }
            return Ok(None);
        };
        let Some(head) = &self.head else {
            return Ok(None);
        };
        let row = i64::try_from(self.records - 1).unwrap_or(i64::MAX);
        Ok(Some(match item(&table, head, &self.crs.crs, row) {
            Ok(item) => Ok(Item { place, ..item }),
            Err(fault) => Err(RecordError::of_record(place, None, fault)),
        }))
    }
}

fn item(table: &[u8], head: &Head, crs: &Crs, row: i64) -> Result<Item, Fault> {
    let feature = size_prefixed_root_as_feature(table).map_err(|error| broken(&error))?;
    let mut notes = NoteSet::default();
    let geometry = match feature.geometry() {
        None => None,
        Some(geometry) => {
            let raw = geometry::read(geometry, head.geometry, &mut notes)?;
            Some(settle(raw, crs, &mut notes)?)
        }
    };
    let bytes = feature.properties().map(|bytes| bytes.bytes());
    let own: Option<Vec<Column>> = feature
        .columns()
        .map(|columns| columns.iter().map(column).collect());
    let columns = own.as_deref().unwrap_or(&head.columns);
    let mut id = None;
    let mut found = Map::new();
    for (name, value) in properties::read(bytes.unwrap_or_default(), columns)? {
        if name != ID_COLUMN {
            found.insert(name.to_owned(), value);
            continue;
        }
        id = match value {
            Value::Number(number) => number.as_f64().map(SourceId::Number),
            other => value::text(&other).map(SourceId::Text),
        };
    }
    let row = id.is_none().then_some(row);
    let content = Content {
        id: id.or_else(|| row.map(row_id)),
        geometry,
        properties: found,
        members: Map::new(),
    };
    let mut item = Item::new(content, Place::default()).noted(notes);
    item.layer.clone_from(&head.layer);
    item.row = row;
    Ok(item)
}

fn columns(header: &Header<'_>) -> Vec<Column> {
    let columns = header.columns().into_iter().flatten();
    columns.map(column).collect()
}

fn column(column: flatgeobuf::Column<'_>) -> Column {
    Column {
        name: column.name().to_owned(),
        kind: column.type_(),
    }
}

/// The file's reference system, if it says one.
fn reference_system(header: &Header<'_>) -> Option<Result<Crs, crate::formats::UnknownCrs>> {
    let crs = header.crs()?;
    let code = u32::try_from(crs.code()).ok().filter(|code| *code > 0);
    match (code, crs.wkt().filter(|wkt| !wkt.is_empty())) {
        (Some(code), wkt) => {
            let name = format!("{}:{code}", crs.org().unwrap_or("EPSG"));
            Some(
                name.parse()
                    .or_else(|error| wkt.and_then(|wkt| wkt.parse().ok()).ok_or(error)),
            )
        }
        (None, Some(wkt)) => Some(wkt.parse()),
        (None, None) => None,
    }
}

/// Bytes of the index over so many features: levels of nodes, each over `node` of the level below.
fn index_bytes(features: u64, node: u16) -> Result<u64, Fault> {
    if node == 0 || features == 0 {
        return Ok(0);
    }
    let invalid = || Fault::Unreadable {
        what: "the spatial index has an impossible size".to_owned(),
        hint: "copy or download the file again",
    };
    if node == 1 {
        return Err(invalid());
    }
    let mut level = features;
    let mut nodes = features;
    while level > 1 {
        level = level.div_ceil(u64::from(node));
        nodes = nodes.checked_add(level).ok_or_else(invalid)?;
    }
    // A tree over one feature has a root of its own.
    if features == 1 {
        nodes = 2;
    }
    nodes.checked_mul(INDEX_ENTRY_BYTES).ok_or_else(invalid)
}

fn broken(error: &impl std::fmt::Display) -> Fault {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Fault::Unreadable {
        what: format!("the bytes are damaged: {first}"),
        hint: "copy or download the file again",
    }
}
