//! What keeps coordinates from being a geometry, and where.

use std::fmt;

use super::{Found, Kind, PositionError, SEGMENT_VERTICES_MAX};

/// Where in `coordinates` something is; prints as `coordinates[0][3]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<usize>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("coordinates")?;
        self.0.iter().try_for_each(|index| write!(f, "[{index}]"))
    }
}

impl Path {
    pub(super) fn child(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(index);
        Self(steps)
    }
}

/// What keeps coordinates from being a shape of a type (RFC 7946 §3.1), and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeFault {
    /// Something other than an array where positions or arrays of them belong.
    #[error("{path} is {found}, expected {expected}")]
    WrongValue {
        /// Where.
        path: Path,
        /// What is there.
        found: Found,
        /// What belongs there.
        expected: &'static str,
    },
    /// A position stands where an array of positions belongs, or deeper.
    #[error("{path} is nested wrongly for a {}: found {found}, expected {expected}", .kind.name())]
    WrongNesting {
        /// Where.
        path: Path,
        /// The geometry's type.
        kind: Kind,
        /// What is there.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A position with one number, or more than three.
    #[error(
        "the position {path} has {count} numbers; 2 (longitude, latitude) or 3 (and height) are allowed"
    )]
    NumberCount {
        /// Where.
        path: Path,
        /// How many numbers.
        count: usize,
    },
    /// Longitude or latitude out of range.
    #[error("{path}: {fault}")]
    OutOfRange {
        /// Where.
        path: Path,
        /// Which number.
        fault: PositionError,
        /// The position's longitude and latitude as given.
        position: [f64; 2],
    },
    /// A line or ring with too few positions.
    #[error("{path} has {count} positions; {what} needs at least {least}")]
    TooFewPositions {
        /// Where.
        path: Path,
        /// How many.
        count: usize,
        /// How many it takes.
        least: usize,
        /// "a line" or "a ring".
        what: &'static str,
    },
    /// The last position of a ring is not its first.
    #[error("the ring {path} is not closed: its last position is not its first")]
    OpenRing {
        /// Where.
        path: Path,
    },
    /// More vertices in one segment than a document can hold.
    #[error("{path} has {count} positions; one line or ring may have {SEGMENT_VERTICES_MAX}")]
    TooManyPositions {
        /// Where.
        path: Path,
        /// How many.
        count: usize,
    },
    /// Everything else is right, but some positions have a height and some have none.
    #[error("some positions have a height and some have none")]
    MixedDims,
}
