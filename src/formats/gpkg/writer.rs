//! GeoPackage out, through a temporary file; its bytes depend on the content alone.

use std::collections::{HashMap, HashSet};
use std::io::{self, Seek, Write};

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params, params_from_iter};
use serde_json::Value;

use super::schema::{APPLICATION_ID, COLUMN_TABLE, TABLES, USER_VERSION, index, triggers};
use super::{JSON_TYPE, NO_LAYER_DESCRIPTION, RENAMED_DESCRIPTION, WGS84_SRS, blob, quoted};
use crate::formats::shape::Plain;
use crate::formats::table::{ColumnType, ID_COLUMN, Table, distinct, id_cell, own_row};
use crate::formats::value;
use crate::geometry::whole;
use crate::model::{Feature, SourceId};
use crate::time::rfc3339_ms;

/// Names of the column of row numbers, of which the first is taken that no property has.
const FID_NAMES: [&str; 3] = ["fid", "ogc_fid", "mapweave_fid"];
/// Names of the column of geometries.
const GEOMETRY_NAMES: [&str; 3] = ["geom", "the_geom", "mapweave_geom"];
/// Beginnings of names that SQLite and GeoPackage keep for themselves.
const KEPT_PREFIXES: [&str; 3] = ["gpkg_", "rtree_", "sqlite_"];

/// Writes a file; how many features it has.
pub(in crate::formats) fn write(
    tables: &[Table],
    feature: &mut dyn FnMut(&str) -> Option<Feature>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut file = tempfile::NamedTempFile::new()?;
    let count = build(file.path(), tables, feature).map_err(io::Error::other)?;
    file.rewind()?;
    io::copy(&mut file, out)?;
    Ok(count)
}

fn build(
    path: &std::path::Path,
    tables: &[Table],
    feature: &mut dyn FnMut(&str) -> Option<Feature>,
) -> rusqlite::Result<u64> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", USER_VERSION)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let layouts: Vec<Layout> = tables.iter().map(Layout::new).collect();
    if layouts.iter().any(Layout::says_more) {
        transaction.execute_batch(COLUMN_TABLE)?;
    }
    let mut count = 0;
    for layout in &layouts {
        layout.create(&transaction)?;
        count += layout.fill(&transaction, feature)?;
        transaction.execute_batch(&triggers(&layout.name, layout.geometry, layout.fid))?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(count)
}

/// A table with the names that its columns have in the file.
struct Layout<'t> {
    table: &'t Table,
    name: String,
    fid: &'static str,
    geometry: &'static str,
    columns: Vec<Named<'t>>,
}

struct Named<'t> {
    property: &'t str,
    column: String,
    r#type: ColumnType,
}

impl<'t> Layout<'t> {
    fn new(table: &'t Table) -> Self {
        let mut taken: HashMap<String, u64> = HashMap::new();
        taken.insert(ID_COLUMN.to_owned(), 1);
        let properties = table.columns.iter().filter(|c| c.name != ID_COLUMN);
        let columns: Vec<Named<'_>> = properties
            .map(|column| Named {
                property: &column.name,
                // SQLite ends names at a zero byte.
                column: distinct(&column.name.replace('\0', "\u{FFFD}"), &mut taken),
                r#type: column.r#type,
            })
            .collect();
        let free = |names: [&'static str; 3]| {
            let [first, ..] = names;
            let is_free = |name: &&&str| !taken.contains_key(**name);
            names.iter().find(is_free).copied().unwrap_or(first)
        };
        let kept = |prefix: &str| table.name.to_lowercase().starts_with(prefix);
        let name = table.name.replace('\0', "\u{FFFD}");
        Self {
            name: if KEPT_PREFIXES.iter().any(|prefix| kept(prefix)) || name.is_empty() {
                format!("layer_{name}")
            } else {
                name
            },
            fid: free(FID_NAMES),
            geometry: free(GEOMETRY_NAMES),
            columns,
            table,
        }
    }

    fn says_more(&self) -> bool {
        self.columns
            .iter()
            .any(|named| named.r#type == ColumnType::Json || named.column != named.property)
            || self.table.id_type == Some(ColumnType::Json)
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        let table = self.table;
        let mut kinds = table.kinds.iter();
        let kind = match (kinds.next(), kinds.next()) {
            (Some(kind), None) => kind.to_ascii_uppercase(),
            _ => "GEOMETRY".to_owned(),
        };
        let mut definition = format!(
            "CREATE TABLE {} ({} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, {} {kind}, {} {}",
            quoted(&self.name),
            quoted(self.fid),
            quoted(self.geometry),
            quoted(ID_COLUMN),
            sql_type(table.id_type.unwrap_or(ColumnType::Text)),
        );
        for named in &self.columns {
            definition += &format!(", {} {}", quoted(&named.column), sql_type(named.r#type));
        }
        connection.execute(&(definition + ")"), [])?;
        let [west, south, east, north] = match table.bounds {
            Some(bounds) => bounds.map(Some),
            None => [None; 4],
        };
        let description = match table.layer {
            Some(_) => "",
            None => NO_LAYER_DESCRIPTION,
        };
        connection.execute(
            "INSERT INTO gpkg_contents VALUES (?1, 'features', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                self.name,
                description,
                rfc3339_ms(table.changed_s.min(LAST_CHANGE_MAX_S) * 1000),
                west,
                south,
                east,
                north,
                WGS84_SRS
            ],
        )?;
        let z = match table.heights {
            (true, false) => 1,
            (true, true) => 2,
            _ => 0,
        };
        connection.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            params![self.name, self.geometry, kind, WGS84_SRS, z],
        )?;
        connection.execute(&index(&self.name, self.geometry), [])?;
        connection.execute(
            "INSERT INTO gpkg_extensions VALUES (?1, ?2, 'gpkg_rtree_index', 'http://www.geopackage.org/spec120/#extension_rtree', 'write-only')",
            params![self.name, self.geometry],
        )?;
        self.describe(connection)
    }

    /// Says which columns hold JSON and which are named otherwise than their properties.
    fn describe(&self, connection: &Connection) -> rusqlite::Result<()> {
        let id = (
            ID_COLUMN,
            None,
            self.table.id_type == Some(ColumnType::Json),
        );
        let columns = self.columns.iter().map(|named| {
            let renamed = (named.column != named.property).then_some(named.property);
            (
                named.column.as_str(),
                renamed,
                named.r#type == ColumnType::Json,
            )
        });
        for (column, renamed, json) in std::iter::once(id).chain(columns) {
            if renamed.is_some() || json {
                connection.execute(
                    "INSERT INTO gpkg_data_columns VALUES (?1, ?2, NULL, ?3, ?4, ?5, NULL)",
                    params![
                        self.name,
                        column,
                        renamed,
                        renamed.map(|_| RENAMED_DESCRIPTION),
                        json.then_some(JSON_TYPE)
                    ],
                )?;
            }
        }
        Ok(())
    }

    fn fill(
        &self,
        connection: &Connection,
        feature: &mut dyn FnMut(&str) -> Option<Feature>,
    ) -> rusqlite::Result<u64> {
        let places = vec!["?"; self.columns.len() + 3].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({places})", quoted(&self.name));
        let mut insert = connection.prepare(&insert)?;
        let rtree = quoted(&format!("rtree_{}_{}", self.name, self.geometry));
        let mut place =
            connection.prepare(&format!("INSERT INTO {rtree} VALUES (?, ?, ?, ?, ?)"))?;
        let layer = self.table.layer.as_deref().unwrap_or_default();
        let mut fids = Fids::default();
        let mut count = 0;
        for feature in self.table.fids.iter().filter_map(|fid| feature(fid)) {
            let own = own_row(&feature, layer);
            let fid = fids.take(own, &feature);
            let id = match own {
                Some(own) if own == fid => Value::Null,
                _ => id_cell(&feature),
            };
            let plain = feature.geometry.as_ref().and_then(Plain::of);
            let id_type = self.table.id_type.unwrap_or(ColumnType::Text);
            let mut cells = vec![
                Cell::Integer(fid),
                plain
                    .as_ref()
                    .map_or(Cell::Null, |plain| Cell::Blob(blob::write(plain))),
                cell(&id, id_type),
            ];
            cells.extend(self.columns.iter().map(|named| {
                let value = feature.properties.get(named.property);
                value.map_or(Cell::Null, |value| cell(value, named.r#type))
            }));
            insert.execute(params_from_iter(cells))?;
            if let Some([west, south, east, north]) = plain.and_then(|plain| plain.bounds()) {
                place.execute(params![fid, west, east, south, north])?;
            }
            count += 1;
        }
        Ok(count)
    }
}

/// The greatest time with a year of four digits.
const LAST_CHANGE_MAX_S: u64 = 253_402_300_799;

/// Row numbers of a table: those that features came with, else ones made from their ids, so that a feature has the
/// same number in every export.
#[derive(Default)]
struct Fids(HashSet<i64>);

impl Fids {
    fn take(&mut self, own: Option<i64>, feature: &Feature) -> i64 {
        let whole_id = match &feature.id {
            Some(SourceId::Number(number)) => whole(*number),
            _ => None,
        };
        let mut fid = own.or(whole_id).unwrap_or_else(|| derived(&feature.fid));
        if !self.0.insert(fid) {
            fid = derived(&feature.fid);
            while !self.0.insert(fid) {
                fid += 1;
            }
        }
        fid
    }
}

/// A number of 51 bits from an id, with a bit above them, so that it meets no number that people count to.
fn derived(fid: &str) -> i64 {
    const BITS: u32 = 51;
    let hash = blake3::hash(fid.as_bytes());
    let start = hash
        .as_bytes()
        .first_chunk::<8>()
        .copied()
        .unwrap_or_default();
    let number = u64::from_be_bytes(start) >> (u64::BITS - BITS);
    i64::try_from(number | 1 << BITS).unwrap_or(1 << BITS)
}

fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool => "BOOLEAN",
        ColumnType::Integer => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Text | ColumnType::Json => "TEXT",
    }
}

fn cell(value: &Value, kind: ColumnType) -> Cell {
    match (kind, value) {
        (_, Value::Null) => Cell::Null,
        (ColumnType::Json, value) => Cell::Text(value.to_string()),
        (_, Value::Bool(value)) => Cell::Integer(i64::from(*value)),
        (ColumnType::Integer, Value::Number(number)) => {
            let number = number.as_f64().and_then(whole);
            number.map_or(Cell::Null, Cell::Integer)
        }
        (_, Value::Number(number)) => number.as_f64().map_or(Cell::Null, Cell::Real),
        (_, other) => value::text(other).map_or(Cell::Null, Cell::Text),
    }
}
