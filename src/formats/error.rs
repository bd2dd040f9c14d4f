//! What can be wrong with a record, where it is, and what to do.

use std::fmt;

use crate::geometry::{Found, PositionError, ShapeFault};
use crate::model::{InputFault, NESTING_MAX, Place};

use super::crs::UnknownCrs;
use super::source::RECORD_BYTES_MAX;

/// A record that cannot be imported.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordError {
    /// Where it starts; record 0 is the file as a whole.
    pub place: Place,
    /// Its layer, where a file has several.
    pub layer: Option<String>,
    /// The feature's id, as far as it is known.
    pub id: Option<String>,
    /// What is wrong.
    pub fault: Fault,
    /// Whether reading ends here; otherwise the next record follows.
    pub fatal: bool,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(String),
    /// Nothing but spaces.
    #[error("the file is empty")]
    Empty,
    /// Another kind of file.
    #[error("this is no {wanted}, it looks like {what}")]
    Foreign {
        /// The format that was expected.
        wanted: &'static str,
        /// A noun with its article.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// JSON of another kind.
    #[error("this is JSON but not GeoJSON: {found}")]
    NotGeoJson {
        /// What was found instead.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// Not JSON.
    #[error("not JSON: {message} at line {line}, column {column}")]
    Syntax {
        /// What was expected.
        message: String,
        /// Line in the file, from 1.
        line: u64,
        /// Column in bytes, from 1.
        column: u64,
        /// What it may come from.
        hint: Option<&'static str>,
    },
    /// Bytes that are no UTF-8.
    #[error("the text is not valid UTF-8")]
    Encoding,
    /// A number beyond the range of doubles.
    #[error("a number is too large at line {line}, column {column}")]
    NumberRange {
        /// Line in the file, from 1.
        line: u64,
        /// Column in bytes, from 1.
        column: u64,
    },
    /// The file ends in the middle.
    #[error("the file ends in the middle of {within}: it is truncated")]
    Truncated {
        /// "the record" or "the collection".
        within: &'static str,
    },
    /// Something follows after the end.
    #[error("something follows after the end of the GeoJSON object")]
    Trailing,
    /// A record that is too long.
    #[error("the record is longer than {} MiB", RECORD_BYTES_MAX / (1024 * 1024))]
    TooLong,
    /// A record that nests too deeply.
    #[error("the record nests too deeply; values may nest {NESTING_MAX} levels")]
    TooDeep,
    /// A member that must be there.
    #[error("{object} has no member {member:?}")]
    MissingMember {
        /// Which object, as a noun.
        object: &'static str,
        /// The name.
        member: &'static str,
    },
    /// A member of the wrong kind.
    #[error("the member {member:?} of {object} is {found}, expected {expected}")]
    WrongMember {
        /// Which object, as a noun.
        object: &'static str,
        /// The name.
        member: &'static str,
        /// What it is.
        found: Found,
        /// What it must be.
        expected: &'static str,
    },
    /// A type that is none here.
    #[error("{object} has the type {found:?}; expected {expected}")]
    UnknownType {
        /// Which object, as a noun.
        object: &'static str,
        /// What it says.
        found: String,
        /// What it could say.
        expected: &'static str,
    },
    /// A reference system that cannot be read.
    #[error(transparent)]
    Crs(#[from] UnknownCrs),
    /// A reference system named after positions were read.
    #[error("the reference system {found} is named after the features, which were read as WGS 84")]
    LateCrs {
        /// Its name.
        found: String,
    },
    /// A position that its reference system does not cover.
    #[error("the position {} {} is outside of what {crs} describes", .position[0], .position[1])]
    Outside {
        /// x and y as given.
        position: [f64; 2],
        /// The system's name.
        crs: String,
    },
    /// Anything that a format's own rules refuse.
    #[error("{what}")]
    Unreadable {
        /// A whole sentence without its full stop.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// A numeric id that every reader would round.
    #[error("the id {0} is a number beyond 2^53, which JSON readers round")]
    RoundedId(String),
    /// An id that appears twice.
    #[error("the id was already used by record {first}")]
    DuplicateId {
        /// The first record that has it.
        first: u64,
    },
    /// Coordinates that make no geometry.
    #[error(transparent)]
    Geometry(#[from] ShapeFault),
    /// Content that cannot be stored.
    #[error(transparent)]
    Content(#[from] InputFault),
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "check the file and the device",
            Self::Empty => {
                "check where the file came from; a collection without features is {\"type\":\"FeatureCollection\",\"features\":[]}"
            }
            Self::Foreign { hint, .. } | Self::NotGeoJson { hint, .. } => hint,
            Self::Syntax { hint, .. } => {
                hint.unwrap_or("correct the text at that place, or write the file again")
            }
            Self::Encoding => "save the file as UTF-8",
            Self::NumberRange { .. } => "numbers reach to about 1.8e308",
            Self::Truncated { .. } => "copy or download the file again",
            Self::Trailing => "for one object per line, use the format geojsonseq",
            Self::TooLong => {
                "split or simplify the geometry, and keep large content outside of properties"
            }
            Self::TooDeep => "flatten the value, or store it as a string of JSON",
            Self::MissingMember { .. } | Self::WrongMember { .. } => "see RFC 7946, section 3",
            Self::UnknownType { .. } => "types are case-sensitive; see RFC 7946, section 1.4",
            Self::Crs(_) => {
                "say which one it is with --crs EPSG:CODE, or convert the file: `ogr2ogr -t_srs EPSG:4326 OUT IN`"
            }
            Self::LateCrs { .. } => {
                "say it with --crs, or move the member \"crs\" before \"features\""
            }
            Self::Outside { .. } => "check the reference system; --crs EPSG:CODE sets another one",
            Self::Unreadable { hint, .. } => hint,
            Self::RoundedId(_) => "write the id as a string, in quotes",
            Self::DuplicateId { .. } => {
                "give each feature an id of its own, or remove the repeated record"
            }
            Self::Geometry(fault) => geometry_hint(fault),
            Self::Content(fault) => fault.hint(),
        }
    }
}

fn geometry_hint(fault: &ShapeFault) -> &'static str {
    /// Degrees end well below this; metres of a projection are usually above.
    const METRES: f64 = 1000.0;
    match fault {
        ShapeFault::OutOfRange {
            position: [lon, lat],
            fault,
            ..
        } => {
            if lon.abs() > METRES || lat.abs() > METRES {
                "these look like metres of a projected system: say which one with --crs, as in --crs EPSG:25832"
            } else if matches!(fault, PositionError::Latitude(_)) && lon.abs() <= 90.0 {
                "longitude comes first in GeoJSON; they may be swapped"
            } else {
                "a line across the antimeridian is split there, with longitudes from -180 to 180 (RFC 7946, section 3.1.9)"
            }
        }
        ShapeFault::OpenRing { .. } => "repeat the first position at the end of the ring",
        ShapeFault::TooFewPositions { .. } => "a geometry without any position is written as null",
        ShapeFault::TooManyPositions { .. } => "simplify or split it",
        _ => "see RFC 7946, section 3.1",
    }
}

impl RecordError {
    /// The file as a whole is wrong; nothing more comes of it.
    pub(super) fn of_file(place: Place, fault: Fault) -> Self {
        Self {
            place: Place { record: 0, ..place },
            layer: None,
            id: None,
            fault,
            fatal: true,
        }
    }

    /// One record is wrong.
    pub(super) fn of_record(place: Place, id: Option<String>, fault: Fault) -> Self {
        Self {
            place,
            layer: None,
            id,
            fault,
            fatal: false,
        }
    }

    /// The record's number, from 1; 0 is the file as a whole.
    #[must_use]
    pub fn record(&self) -> u64 {
        self.place.record
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.fault.hint()
    }
}

impl fmt::Display for RecordError {
    /// Place and fault, without the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { record, line, .. } = self.place;
        if let Some(layer) = &self.layer {
            write!(f, "layer {layer:?}, ")?;
        }
        if record > 0 {
            write!(f, "record {record}")?;
            match (line, &self.id) {
                (0, None) => {}
                (0, Some(id)) => write!(f, " (id {id:?})")?,
                (_, None) => write!(f, " (line {line})")?,
                (_, Some(id)) => write!(f, " (line {line}, id {id:?})")?,
            }
            f.write_str(": ")?;
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for RecordError {}
