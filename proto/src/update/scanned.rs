//! What the walk over an update's bytes finds. Start from [`Scanned`].

use std::fmt;

use bytes::Bytes;

use super::content;
use super::ranges::{Cover, Ranges};
use crate::id::ClientId;

/// An update that was walked from end to end and follows every rule of its format.
///
/// Holds the bytes and, compactly, what the door must know of them: which clocks they bring, what those depend
/// on, and what is deleted. Cloning shares the bytes.
#[derive(Clone)]
pub struct Scanned {
    pub(super) bytes: Bytes,
    /// Clients descending.
    pub(super) sections: Vec<Section>,
    pub(super) pieces: Vec<Piece>,
    /// Clients descending.
    pub(super) deletes: Vec<(u64, Ranges)>,
    /// Offset of the delete set.
    pub(super) deletes_at: u32,
}

/// A range of one client's clocks that an update deletes; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteRange {
    /// Whose clocks.
    pub client: ClientId,
    /// The first of them.
    pub start: u64,
    /// The one after the last.
    pub end: u64,
}

/// The structs of one client in an update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) client: u64,
    /// How many structs it has on the wire.
    pub(super) structs: u32,
    /// Its pieces, as a range of [`Scanned::pieces`]. At least one.
    pub(super) first: u32,
    pub(super) past: u32,
    /// Its clocks.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Offset of the byte after its last struct.
    pub(super) ends_at: u32,
}

/// One struct, or a row of GC structs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Its clocks.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Offset of its first byte.
    pub(super) at: u32,
    /// Content kind as on the wire.
    pub(super) kind: u8,
    pub(super) links: Links,
    pub(super) left_clock: u32,
    pub(super) right_clock: u32,
    pub(super) left_client: u64,
    pub(super) right_client: u64,
    /// Hash of parent and key where the parent is explicit, its lowest bit set where there is a key; how many
    /// structs it is in a row of GC.
    pub(super) place: u64,
}

/// Where a piece says that it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Nowhere: GC and Skip.
    None,
    /// In a root type.
    Root,
    /// In the shared type with the id `left`.
    Parent,
    /// After `left`.
    Left,
    /// Before `right`.
    Right,
    /// Between both.
    Both,
}

/// An id on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Id {
    pub(super) client: u64,
    pub(super) clock: u32,
}

impl Piece {
    /// Left origin, or parent where `links` says so.
    pub(super) fn left(&self) -> Id {
        Id {
            client: self.left_client,
            clock: self.left_clock,
        }
    }

    /// Right origin.
    pub(super) fn right(&self) -> Id {
        Id {
            client: self.right_client,
            clock: self.right_clock,
        }
    }

    pub(super) fn set_left(&mut self, id: Id) {
        (self.left_client, self.left_clock) = (id.client, id.clock);
    }

    pub(super) fn set_right(&mut self, id: Id) {
        (self.right_client, self.right_clock) = (id.client, id.clock);
    }
}

impl Scanned {
    /// The update.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it has neither structs nor deletions.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty() && self.deletes.is_empty()
    }

    /// The runs of clocks that it brings, as `(client, start, end)` with `start < end`, clients descending. A
    /// client with holes has several.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, u64, u64)> + '_ {
        self.sections.iter().flat_map(|section| {
            let pieces = self.pieces_of(section);
            let runs =
                pieces.chunk_by(|a, b| (a.kind == content::SKIP) == (b.kind == content::SKIP));
            runs.filter_map(|run| match run {
                [first, ..] if first.kind != content::SKIP => {
                    let end = run.last().map_or(first.end, |last| last.end);
                    Some((
                        ClientId(section.client),
                        u64::from(first.start),
                        u64::from(end),
                    ))
                }
                _ => None,
            })
        })
    }

    /// The ranges that it deletes: clients descending, ranges of a client ascending and disjoint.
    pub fn deletes(&self) -> impl Iterator<Item = DeleteRange> + '_ {
        self.deletes.iter().flat_map(|(client, ranges)| {
            ranges.as_slice().iter().map(|(start, end)| DeleteRange {
                client: ClientId(*client),
                start: u64::from(*start),
                end: u64::from(*end),
            })
        })
    }

    /// The place of a client's section.
    pub(super) fn section(&self, client: u64) -> Option<usize> {
        self.sections
            .binary_search_by(|section| client.cmp(&section.client))
            .ok()
    }

    /// Whether it deletes all of these clocks.
    pub(super) fn deletes_whole(&self, client: u64, start: u32, end: u32) -> bool {
        let found = self.deletes.binary_search_by(|(c, _)| client.cmp(c)).ok();
        let ranges = found
            .and_then(|index| self.deletes.get(index))
            .map(|(_, ranges)| ranges);
        ranges.is_some_and(|ranges| ranges.cover(start, end) == Cover::Whole)
    }

    pub(super) fn pieces_of(&self, section: &Section) -> &[Piece] {
        self.pieces
            .get(section.first as usize..section.past as usize)
            .unwrap_or_default()
    }

    /// The bytes of `section` from one of its pieces on.
    pub(super) fn bytes_from(&self, section: &Section, at: u32) -> &[u8] {
        self.bytes
            .get(at as usize..section.ends_at as usize)
            .unwrap_or_default()
    }
}

impl fmt::Debug for Scanned {
    /// Sizes only: content stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanned")
            .field("bytes", &self.bytes.len())
            .field("clients", &self.sections.len())
            .field("pieces", &self.pieces.len())
            .field("deletes", &self.deletes().count())
            .finish()
    }
}
