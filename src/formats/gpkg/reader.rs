//! GeoPackage in: layer by layer, row by row.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use super::{JSON_TYPE, NO_LAYER_DESCRIPTION, RENAMED_DESCRIPTION, WGS84_SRS, blob, quoted};
use crate::formats::crs::{Crs, FileCrs, UnknownCrs};
use crate::formats::error::{Fault, RecordError};
use crate::formats::notes::NoteSet;
use crate::formats::records::{Item, Reading, Record};
use crate::formats::shape::settle;
use crate::formats::source::RECORD_BYTES_MAX;
use crate::formats::table::{ID_COLUMN, row_id};
use crate::formats::value;
use crate::geometry::json_number;
use crate::model::{Content, Place, SourceId};

/// Rows that are read at once, at most.
const PAGE_ROWS: usize = 512;
/// Bytes of rows that are read at once, about; one row more may be held.
const PAGE_BYTES: usize = 4 << 20;

pub(in crate::formats) struct Reader {
    connection: Connection,
    /// Keeps a file that was copied as long as it is read.
    _copy: Option<NamedTempFile>,
    layers: VecDeque<Layer>,
    records: u64,
    ended: bool,
}

struct Layer {
    table: String,
    name: Option<Arc<str>>,
    /// The column of row numbers; none where rows have no number of their own, as in views.
    fid: Option<String>,
    geometry: Option<String>,
    columns: Vec<Column>,
    /// The reference system, once it is known to be needed.
    crs: Result<Crs, UnknownCrs>,
    /// The number of the last row that was read, or how many rows were.
    last: i64,
    started: bool,
    page: VecDeque<Result<Item, (i64, Fault)>>,
    ended: bool,
}

struct Column {
    property: String,
    column: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Json,
    Other,
    /// Our id of the feature, perhaps as JSON.
    Id {
        json: bool,
    },
}

impl Reading for Reader {
    fn next(&mut self) -> Option<Record> {
        loop {
            if self.ended {
                return None;
            }
            let layer = self.layers.front_mut()?;
            if let Some(row) = layer.page.pop_front() {
                self.records += 1;
                return Some(match row {
                    Ok(mut item) => {
                        item.place.record = self.records;
                        Ok(item)
                    }
                    Err((row, fault)) => {
                        let place = Place {
                            record: self.records,
                            ..Place::default()
                        };
                        let mut error = RecordError::of_record(place, Some(row.to_string()), fault);
                        error.layer = Some(layer.table.clone());
                        Err(error)
                    }
                });
            }
            if layer.ended {
                self.layers.pop_front();
                continue;
            }
            if let Err(fault) = layer.read_page(&self.connection) {
                self.ended = true;
                let mut error = RecordError::of_file(Place::default(), fault);
                error.layer = Some(layer.table.clone());
                return Some(Err(error));
            }
        }
    }
}

impl Reader {
    /// Reads a file that is there, with the changes that wait beside it if another program has it open.
    pub(in crate::formats) fn open(path: &Path, crs: FileCrs) -> Result<Self, Fault> {
        Self::with(connect(path)?, None, &crs)
    }

    /// Copies a file to a temporary one and reads that.
    pub(in crate::formats) fn copy(mut reader: impl Read, crs: FileCrs) -> Result<Self, Fault> {
        let io = |error: std::io::Error| Fault::Io(error.to_string());
        let mut copy = NamedTempFile::new().map_err(io)?;
        std::io::copy(&mut reader, &mut copy).map_err(io)?;
        let connection = connect(copy.path())?;
        Self::with(connection, Some(copy), &crs)
    }

    fn with(
        connection: Connection,
        copy: Option<NamedTempFile>,
        crs: &FileCrs,
    ) -> Result<Self, Fault> {
        let is_package = has_table(&connection, "gpkg_contents").map_err(sql)?
            && has_table(&connection, "gpkg_geometry_columns").map_err(sql)?;
        if !is_package {
            return Err(Fault::Unreadable {
                what: "this is an SQLite file but no GeoPackage: it has no gpkg_contents"
                    .to_owned(),
                hint: "convert it: `ogr2ogr -f GPKG out.gpkg IN`",
            });
        }
        let layers = layers(&connection, crs).map_err(sql)?;
        Ok(Self {
            connection,
            _copy: copy,
            layers,
            records: 0,
            ended: false,
        })
    }
}

/// Opens without ever writing, and without trusting anything that the file says about itself.
fn connect(path: &Path) -> Result<Connection, Fault> {
    let first = std::fs::File::open(path).and_then(|mut file| {
        let mut start = [0; 16];
        let read = file.read(&mut start)?;
        Ok(start.get(..read) == Some(b"SQLite format 3\0".as_slice()))
    });
    match first {
        Ok(true) => {}
        Ok(false) => {
            return Err(Fault::Unreadable {
                what: "this is no GeoPackage: it is no SQLite file".to_owned(),
                hint: "check the file's ending, or copy it again",
            });
        }
        Err(error) => return Err(Fault::Io(error.to_string())),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    let readable = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    };
    let connection = match readable(&connection) {
        Ok(()) => connection,
        // A file in a folder where nothing may be made, left by a program that keeps a log beside it.
        Err(_) => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            let connection = Connection::open_with_flags(uri(path), flags).map_err(sql)?;
            readable(&connection).map_err(sql)?;
            connection
        }
    };
    let settings = [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    ];
    for (setting, on) in settings {
        connection.set_db_config(setting, on).map_err(sql)?;
    }
    let most = i32::try_from(RECORD_BYTES_MAX).unwrap_or(i32::MAX);
    connection
        .set_limit(Limit::SQLITE_LIMIT_LENGTH, most)
        .map_err(sql)?;
    Ok(connection)
}

fn uri(path: &Path) -> PathBuf {
    let path = path.to_string_lossy();
    let path = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    PathBuf::from(format!("file:{path}?immutable=1"))
}

fn sql(error: rusqlite::Error) -> Fault {
    Fault::Unreadable {
        what: format!("the GeoPackage cannot be read: {error}"),
        hint: "copy or download the file again; `ogr2ogr -f GPKG out.gpkg IN` may save what is readable",
    }
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let found = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE lower(name) = ?1 AND type IN ('table', 'view')",
            [name],
            |_| Ok(()),
        )
        .optional()?;
    Ok(found.is_some())
}

fn layers(connection: &Connection, crs: &FileCrs) -> rusqlite::Result<VecDeque<Layer>> {
    let mut statement = connection.prepare(
        "SELECT c.table_name, coalesce(c.description, ''), g.column_name, g.srs_id \
         FROM gpkg_contents c LEFT JOIN gpkg_geometry_columns g ON g.table_name = c.table_name \
         WHERE c.data_type IN ('features', 'attributes') ORDER BY c.rowid",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, Option<String>>(2)?,
            row.get::<_, Option<i64>>(3)?,
        ))
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let mut layers = VecDeque::new();
    for (table, description, geometry, srs) in rows {
        let crs = match srs {
            Some(srs) if !crs.fixed => reference_system(connection, srs)?,
            _ => Ok(crs.crs.clone()),
        };
        layers.push_back(layer(connection, table, &description, geometry, crs)?);
    }
    Ok(layers)
}

fn reference_system(
    connection: &Connection,
    srs: i64,
) -> rusqlite::Result<Result<Crs, UnknownCrs>> {
    if srs == WGS84_SRS || srs == 0 {
        return Ok(Ok(Crs::Wgs84));
    }
    let found = connection
        .query_row(
            "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?1",
            [srs],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, String>(2)?,
                ))
            },
        )
        .optional()?;
    let Some((organization, code, definition)) = found else {
        return Ok(format!("with the number {srs}").parse());
    };
    let named: Result<Crs, _> = format!("{organization}:{code}").parse();
    Ok(named.or_else(|error| match definition.parse() {
        Ok(crs) => Ok(crs),
        Err(_) => Err(error),
    }))
}

fn layer(
    connection: &Connection,
    table: String,
    description: &str,
    geometry: Option<String>,
    crs: Result<Crs, UnknownCrs>,
) -> rusqlite::Result<Layer> {
    let described = described(connection, &table)?;
    let mut statement = connection.prepare(&format!("PRAGMA table_info({})", quoted(&table)))?;
    let found = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(1)?,
            row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            row.get::<_, i64>(5)?,
        ))
    })?;
    let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
    let mut keys = found.iter().filter(|(_, _, key)| *key > 0);
    let fid = match (keys.next(), keys.next()) {
        (Some((name, kind, _)), None) if kind.eq_ignore_ascii_case("INTEGER") => Some(name.clone()),
        _ => None,
    };
    let is_geometry = |name: &str| {
        geometry
            .as_ref()
            .is_some_and(|geometry| geometry.eq_ignore_ascii_case(name))
    };
    let columns = found
        .iter()
        .filter(|(name, _, _)| fid.as_ref() != Some(name) && !is_geometry(name))
        .map(|(name, kind, _)| {
            let (title, json) = described
                .get(name)
                .map_or((None, false), |(title, json)| (title.clone(), *json));
            let kind = match kind.to_ascii_uppercase().as_str() {
                _ if name == ID_COLUMN => Kind::Id { json },
                _ if json => Kind::Json,
                "BOOLEAN" | "BOOL" => Kind::Bool,
                _ => Kind::Other,
            };
            Column {
                property: title.unwrap_or_else(|| name.clone()),
                column: name.clone(),
                kind,
            }
        })
        .collect();
    let name = (description != NO_LAYER_DESCRIPTION).then(|| Arc::from(table.as_str()));
    Ok(Layer {
        table,
        name,
        fid,
        geometry,
        columns,
        crs,
        last: 0,
        started: false,
        page: VecDeque::new(),
        ended: false,
    })
}

/// What the file says more about columns: their property's name, and whether they hold JSON.
fn described(
    connection: &Connection,
    table: &str,
) -> rusqlite::Result<HashMap<String, (Option<String>, bool)>> {
    if !has_table(connection, "gpkg_data_columns")? {
        return Ok(HashMap::new());
    }
    let mut statement = connection.prepare(
        "SELECT column_name, title, coalesce(description, ''), coalesce(mime_type, '') \
         FROM gpkg_data_columns WHERE table_name = ?1",
    )?;
    let rows = statement.query_map([table], |row| {
        let title: Option<String> = row.get(1)?;
        let own = row.get::<_, String>(2)? == RENAMED_DESCRIPTION;
        let json = row.get::<_, String>(3)? == JSON_TYPE;
        Ok((row.get(0)?, (title.filter(|_| own), json)))
    })?;
    rows.collect()
}

impl Layer {
    fn read_page(&mut self, connection: &Connection) -> Result<(), Fault> {
        let crs = match (&self.crs, &self.geometry) {
            (Err(error), Some(_)) => return Err(Fault::Crs(error.clone())),
            (Ok(crs), _) => crs.clone(),
            (Err(_), None) => Crs::Wgs84,
        };
        let columns: Vec<String> = self
            .fid
            .iter()
            .chain(&self.geometry)
            .chain(self.columns.iter().map(|column| &column.column))
            .map(|name| quoted(name))
            .collect();
        let (table, columns) = (quoted(&self.table), columns.join(", "));
        let columns = if columns.is_empty() {
            "NULL".to_owned()
        } else {
            columns
        };
        let query = match &self.fid {
            Some(fid) if self.started => {
                let fid = quoted(fid);
                format!("SELECT {columns} FROM {table} WHERE {fid} > ?1 ORDER BY {fid}")
            }
            Some(fid) => format!(
                "SELECT {columns} FROM {table} WHERE ?1 IS NOT NULL ORDER BY {}",
                quoted(fid)
            ),
            None => format!("SELECT {columns} FROM {table} LIMIT -1 OFFSET ?1"),
        };
        let mut statement = connection.prepare(&query).map_err(sql)?;
        let mut rows = statement.query([self.last]).map_err(sql)?;
        self.started = true;
        let mut bytes = 0;
        while self.page.len() < PAGE_ROWS && bytes < PAGE_BYTES {
            let Some(row) = rows.next().map_err(sql)? else {
                self.ended = true;
                return Ok(());
            };
            let number = match &self.fid {
                Some(_) => row.get(0).map_err(sql)?,
                None => self.last.saturating_add(1),
            };
            self.last = number;
            let item = self.item(row, number, &crs, &mut bytes);
            self.page.push_back(item.map_err(|fault| (number, fault)));
        }
        Ok(())
    }

    fn item(
        &self,
        row: &Row<'_>,
        number: i64,
        crs: &Crs,
        bytes: &mut usize,
    ) -> Result<Item, Fault> {
        let mut at = usize::from(self.fid.is_some());
        let mut notes = NoteSet::default();
        let mut geometry = None;
        if self.geometry.is_some() {
            if let ValueRef::Blob(blob) = row.get_ref(at).map_err(sql)? {
                *bytes += blob.len();
                let raw = blob::read(blob, &mut notes).map_err(|fault| Fault::Unreadable {
                    what: fault.to_string(),
                    hint: "repair the geometry in the program that wrote the file",
                })?;
                geometry = Some(settle(raw, crs, &mut notes)?);
            }
            at += 1;
        }
        let mut id = None;
        let mut properties = Map::new();
        for (offset, column) in self.columns.iter().enumerate() {
            let cell = row.get_ref(at + offset).map_err(sql)?;
            *bytes += match cell {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                _ => 8,
            };
            let Some(value) = read_cell(cell, column.kind)? else {
                continue;
            };
            match (column.kind, value) {
                (Kind::Id { .. }, Value::Number(number)) => {
                    id = number.as_f64().map(SourceId::Number);
                }
                (Kind::Id { .. }, other) => id = value::text(&other).map(SourceId::Text),
                (_, value) => {
                    properties.insert(column.property.clone(), value);
                }
            }
        }
        let row = id.is_none().then_some(number);
        let id = id.unwrap_or_else(|| row_id(number));
        let content = Content {
            id: Some(id),
            geometry,
            properties,
            members: Map::new(),
        };
        let mut item = Item::new(content, Place::default()).noted(notes);
        item.layer.clone_from(&self.name);
        item.row = row;
        Ok(item)
    }
}

/// The value of a cell; none for NULL. Bytes become base64, integers beyond 2^53 and infinities texts.
fn read_cell(cell: ValueRef<'_>, kind: Kind) -> Result<Option<Value>, Fault> {
    Ok(Some(match cell {
        ValueRef::Null => return Ok(None),
        ValueRef::Integer(number) if kind == Kind::Bool => Value::Bool(number != 0),
        ValueRef::Integer(number) => match row_id(number) {
            SourceId::Number(number) => Value::Number(json_number(number)),
            SourceId::Text(text) => Value::String(text),
        },
        ValueRef::Real(number) if number.is_finite() => Value::Number(json_number(number)),
        ValueRef::Real(number) => Value::String(number.to_string()),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| Fault::Encoding)?;
            let json = matches!(kind, Kind::Json | Kind::Id { json: true });
            let parsed = json.then(|| serde_json::from_str(text).ok()).flatten();
            parsed.unwrap_or_else(|| Value::String(text.to_owned()))
        }
        ValueRef::Blob(bytes) => Value::String(STANDARD.encode(bytes)),
    }))
}
