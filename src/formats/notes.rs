//! What reading changed in shape, so that people can be told; never in content.

use std::collections::BTreeMap;
use std::fmt;

/// Something about records that was put right while they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Note {
    /// A ring's first position was repeated at its end (RFC 7946 §3.1.6).
    RingClosed,
    /// A ring was turned so that exteriors run counter-clockwise and holes clockwise (RFC 7946 §3.1.6).
    RingTurned,
    /// Numbers beyond longitude, latitude and height were left out (RFC 7946 §3.1.1).
    NumbersDropped,
    /// Lines of fewer than two positions, as a receiver leaves them when it loses sight, were left out.
    ShortLine,
    /// Coordinates came from another reference system.
    Reprojected,
}

impl Note {
    /// All notes.
    pub const ALL: [Self; 5] = [
        Self::RingClosed,
        Self::RingTurned,
        Self::NumbersDropped,
        Self::ShortLine,
        Self::Reprojected,
    ];

    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::RingClosed => "ring-closed",
            Self::RingTurned => "ring-turned",
            Self::NumbersDropped => "numbers-dropped",
            Self::ShortLine => "short-line",
            Self::Reprojected => "reprojected",
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl fmt::Display for Note {
    /// What was done, to be said after a number of records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RingClosed => "had rings that were closed",
            Self::RingTurned => "had rings that were turned to run as RFC 7946 says",
            Self::NumbersDropped => {
                "had positions of more than three numbers, of which three were kept"
            }
            Self::ShortLine => "had lines of fewer than two positions, which were left out",
            Self::Reprojected => "were converted to WGS 84",
        })
    }
}

/// The notes on one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NoteSet(u8);

impl NoteSet {
    pub(super) fn add(&mut self, note: Note) {
        self.0 |= note.bit();
    }

    pub(super) fn has(self, note: Note) -> bool {
        self.0 & note.bit() != 0
    }
}

/// How many records of a file have each note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<Note, u64>);

impl Notes {
    pub(super) fn count(&mut self, notes: NoteSet) {
        for note in Note::ALL.into_iter().filter(|note| notes.has(*note)) {
            *self.0.entry(note).or_default() += 1;
        }
    }

    /// Notes with the number of records that have them, those without any left out.
    pub fn iter(&self) -> impl Iterator<Item = (Note, u64)> + '_ {
        self.0.iter().map(|(note, count)| (*note, *count))
    }
}
