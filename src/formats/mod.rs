//! Files in and out: streams of features, one module per format.
//!
//! Reading yields [`InputFeature`]s or, for each record that is wrong, a [`RecordError`] with its place and what to
//! do; a file of any size is read in the memory of its largest record. Writing is a function of the document's
//! content, byte for byte. Nothing here knows a document's inner layout.

mod antimeridian;
mod archive;
mod crs;
mod csv;
mod decoded;
mod error;
mod export;
mod fgb;
mod geojson;
mod geojsonseq;
mod gpkg;
mod gpx;
mod kml;
mod notes;
mod records;
mod shape;
mod shp;
mod sniff;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod value;
mod wkb;
mod wkt;
mod xml;

use std::ffi::OsStr;
use std::path::Path;

pub use crs::{Crs, Projected, UnknownCrs};
pub use error::{Fault, RecordError};
pub use export::{
    ExportError, ExportFilter, ExportOptions, ExportReport, PRECISION_MAX, export, export_with,
};
pub use geojson::feature_json;
pub use notes::{Note, Notes};
pub use records::{ReadOptions, Records, read, read_file, read_with};
pub use shape::Rings;
pub use source::RECORD_BYTES_MAX;

pub use crate::model::{InputFeature, Place};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// GeoJSON (RFC 7946): a `FeatureCollection`; a single feature or geometry is read too.
    GeoJson,
    /// GeoJSON text sequence (RFC 8142), written with record separators; newline-delimited GeoJSON is read too.
    GeoJsonSeq,
    /// Comma-separated values (RFC 4180) with columns of coordinates or of well-known text.
    Csv,
    /// GPX 1.1: waypoints, routes, tracks.
    Gpx,
    /// KML 2.2: placemarks in folders.
    Kml,
    /// KML in a zip archive.
    Kmz,
    /// GeoPackage 1.3: one table per layer.
    GeoPackage,
    /// FlatGeobuf 3: one layer.
    FlatGeobuf,
    /// Shapefiles in a zip archive; read only.
    Shapefile,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 9] = [
        Self::GeoJson,
        Self::GeoJsonSeq,
        Self::Csv,
        Self::Gpx,
        Self::Kml,
        Self::Kmz,
        Self::GeoPackage,
        Self::FlatGeobuf,
        Self::Shapefile,
    ];

    /// The name on command lines and in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GeoJson => "geojson",
            Self::GeoJsonSeq => "geojsonseq",
            Self::Csv => "csv",
            Self::Gpx => "gpx",
            Self::Kml => "kml",
            Self::Kmz => "kmz",
            Self::GeoPackage => "gpkg",
            Self::FlatGeobuf => "flatgeobuf",
            Self::Shapefile => "shp",
        }
    }

    /// The format of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format that a file name's ending tells, in any case of letters.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        let ending = path
            .extension()
            .and_then(OsStr::to_str)?
            .to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| format.endings().contains(&ending.as_str()))
    }

    /// The format that the first bytes of a file tell, a few thousand if possible.
    #[must_use]
    pub fn sniff(start: &[u8]) -> Option<Self> {
        sniff::format(start)
    }

    /// Whether it can be written too.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self != Self::Shapefile
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::GeoJson => "application/geo+json",
            Self::GeoJsonSeq => "application/geo+json-seq",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Gpx => "application/gpx+xml",
            Self::Kml => "application/vnd.google-earth.kml+xml",
            Self::Kmz => "application/vnd.google-earth.kmz",
            Self::GeoPackage => "application/geopackage+sqlite3",
            Self::FlatGeobuf => "application/flatgeobuf",
            Self::Shapefile => "application/vnd.shp+zip",
        }
    }

    /// The endings of file names, the usual one first.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::GeoJson => &["geojson", "json"],
            Self::GeoJsonSeq => &[
                "geojsons",
                "geojsonl",
                "geojsonseq",
                "ndjson",
                "ndgeojson",
                "jsonl",
            ],
            Self::Csv => &["csv", "tsv"],
            Self::Gpx => &["gpx"],
            Self::Kml => &["kml"],
            Self::Kmz => &["kmz"],
            Self::GeoPackage => &["gpkg"],
            Self::FlatGeobuf => &["fgb"],
            Self::Shapefile => &["zip", "shz"],
        }
    }
}
