//! GeoPackage 1.3 (OGC 12-128r17): one table per layer, one file, no sidecars.
//!
//! Files are written with geometries in WGS 84, a spatial index for each table, and the property `mapweave_id` wherever
//! the row number alone does not lead back to the feature. Files of any reference system that is known are read.

mod blob;
mod reader;
mod schema;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::write;

/// The description of the table of features in no layer.
const NO_LAYER_DESCRIPTION: &str = "Features in no layer";
/// The description of a column whose title is the property's name, because two columns differ in more than case.
const RENAMED_DESCRIPTION: &str = "mapweave:property";
/// The media type of a column of JSON texts.
const JSON_TYPE: &str = "application/json";
/// The number of WGS 84 in the table of reference systems.
const WGS84_SRS: i64 = 4326;

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
