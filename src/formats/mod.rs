//! Files in and out: streams of features, one module per format.
//!
//! Reading yields [`InputFeature`]s or, for each record that is wrong, a [`RecordError`] with its place and what to
//! do; a file of any size is read in the memory of its largest record. Writing is a function of the document's
//! content, byte for byte. Nothing here knows a document's inner layout.

mod antimeridian;
mod crs;
mod error;
mod export;
mod geojson;
mod geojsonseq;
mod notes;
mod records;
mod shape;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::path::Path;

pub use crs::{Crs, Projected, UnknownCrs};
pub use error::{Fault, RecordError};
pub use export::{
    ExportError, ExportFilter, ExportOptions, ExportReport, PRECISION_MAX, export, export_with,
};
pub use geojson::feature_json;
pub use notes::{Note, Notes};
pub use records::{ReadOptions, Records, read, read_with};
pub use source::RECORD_BYTES_MAX;

pub use crate::model::{InputFeature, Place};

/// A file format that can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// GeoJSON (RFC 7946): a `FeatureCollection`; a single feature or geometry is read too.
    GeoJson,
    /// GeoJSON text sequence (RFC 8142), written with record separators; newline-delimited GeoJSON is read too.
    GeoJsonSeq,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::GeoJson, Self::GeoJsonSeq];

    /// The name on command lines and in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GeoJson => "geojson",
            Self::GeoJsonSeq => "geojsonseq",
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

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::GeoJson => "application/geo+json",
            Self::GeoJsonSeq => "application/geo+json-seq",
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
        }
    }
}
