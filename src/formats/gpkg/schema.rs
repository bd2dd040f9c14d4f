//! The tables that every GeoPackage has, and the triggers that keep its spatial indexes.

use super::quoted;

/// "GPKG", which tells the file from other SQLite files.
pub(super) const APPLICATION_ID: i64 = 0x4750_4B47;
/// Version 1.3.0.
pub(super) const USER_VERSION: i64 = 10_300;

/// The tables of OGC 12-128r17, annex C, and the three reference systems that they must hold.
pub(super) const TABLES: &str = r#"
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
INSERT INTO gpkg_spatial_ref_sys VALUES
  ('WGS 84 geodetic', 4326, 'EPSG', 4326, 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]', 'longitude/latitude coordinates in decimal degrees on the WGS 84 spheroid'),
  ('Undefined Cartesian SRS', -1, 'NONE', -1, 'undefined', 'undefined Cartesian coordinate reference system'),
  ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', 'undefined geographic coordinate reference system');
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_extensions (
  table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL, scope TEXT NOT NULL,
  CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
"#;

/// The table that says more about columns (annex F.9), where some need it.
pub(super) const COLUMN_TABLE: &str = r"
CREATE TABLE gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT, mime_type TEXT,
  constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name));
INSERT INTO gpkg_extensions VALUES
  ('gpkg_data_columns', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec121/#extension_schema', 'read-write');
";

/// The spatial index of a table, empty (annex F.3).
pub(super) fn index(table: &str, geometry: &str) -> String {
    let index = quoted(&format!("rtree_{table}_{geometry}"));
    format!("CREATE VIRTUAL TABLE {index} USING rtree(id, minx, maxx, miny, maxy)")
}

/// The triggers by which whoever edits the file keeps the index. They call functions that those programs have.
pub(super) fn triggers(table: &str, geometry: &str, fid: &str) -> String {
    let name = |suffix: &str| quoted(&format!("rtree_{table}_{geometry}_{suffix}"));
    let index = quoted(&format!("rtree_{table}_{geometry}"));
    let (table, geometry, fid) = (quoted(table), quoted(geometry), quoted(fid));
    let put = format!(
        "INSERT OR REPLACE INTO {index} VALUES (NEW.{fid}, ST_MinX(NEW.{geometry}), ST_MaxX(NEW.{geometry}), ST_MinY(NEW.{geometry}), ST_MaxY(NEW.{geometry}));"
    );
    let filled = format!("(NEW.{geometry} NOTNULL AND NOT ST_IsEmpty(NEW.{geometry}))");
    let empty = format!("(NEW.{geometry} ISNULL OR ST_IsEmpty(NEW.{geometry}))");
    let forget = format!("DELETE FROM {index} WHERE id = OLD.{fid};");
    format!(
        "CREATE TRIGGER {} AFTER INSERT ON {table} WHEN {filled} BEGIN {put} END;
CREATE TRIGGER {} AFTER UPDATE OF {geometry} ON {table} WHEN OLD.{fid} = NEW.{fid} AND {filled} BEGIN {put} END;
CREATE TRIGGER {} AFTER UPDATE OF {geometry} ON {table} WHEN OLD.{fid} = NEW.{fid} AND {empty} BEGIN {forget} END;
CREATE TRIGGER {} AFTER UPDATE ON {table} WHEN OLD.{fid} != NEW.{fid} AND {filled} BEGIN {forget} {put} END;
CREATE TRIGGER {} AFTER UPDATE ON {table} WHEN OLD.{fid} != NEW.{fid} AND {empty} BEGIN DELETE FROM {index} WHERE id IN (OLD.{fid}, NEW.{fid}); END;
CREATE TRIGGER {} AFTER DELETE ON {table} WHEN OLD.{geometry} NOT NULL BEGIN {forget} END;",
        name("insert"),
        name("update1"),
        name("update2"),
        name("update3"),
        name("update4"),
        name("delete"),
    )
}
