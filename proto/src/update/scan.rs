//! The walk over an update's bytes. Start from [`scan`].

use std::cmp::Reverse;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use super::comment::Zone;
use super::content;
use super::error::ScanError;
use super::ranges::{Cover, Ranges};
use crate::id::ClientId;
use crate::limits::{CLIENTS_MAX, CLOCK_MAX};
use crate::varint::Cursor;

/// An update that was walked from end to end and follows every rule of its format.
///
/// Holds the bytes and, compactly, what the door must know of them: which clocks they bring, what those depend
/// on, and what is deleted. Cloning shares the bytes.
#[derive(Clone)]
pub struct Scanned {
    bytes: Bytes,
    /// Clients descending.
    pub(super) sections: Vec<Section>,
    pub(super) pieces: Vec<Piece>,
    /// Clients descending.
    pub(super) deletes: Vec<(u64, Ranges)>,
    /// Offset of the delete set.
    pub(super) deletes_at: u32,
}

/// What joining an update with others takes: its bytes, clocks and deletions.
#[derive(Debug, Clone)]
pub struct Outline(pub(super) Scanned);

impl Outline {
    /// The update.
    pub fn bytes(&self) -> &Bytes {
        self.0.bytes()
    }
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
    /// Offset of its first struct.
    starts_at: u32,
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
    left_clock: u32,
    right_clock: u32,
    left_client: u64,
    right_client: u64,
    /// Hash of parent and key where the parent is explicit, its lowest bit set where there is a key; how many
    /// structs it is in a row of GC.
    pub(super) place: u64,
    /// The kind of root, where it names one.
    pub(super) zone: Zone,
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

    fn set_left(&mut self, id: Id) {
        (self.left_client, self.left_clock) = (id.client, id.clock);
    }

    fn set_right(&mut self, id: Id) {
        (self.right_client, self.right_clock) = (id.client, id.clock);
    }
}

impl Scanned {
    /// The same update, remembering no more than [`concat`](crate::concat) needs: for a large state a fraction
    /// of the memory. A ledger cannot judge it any more; [`scan`] its bytes again for that.
    #[must_use]
    pub fn outline(mut self) -> Outline {
        self.pieces = Vec::new();
        Outline(self)
    }

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

    /// Its structs as `(client, start, end, bytes)` with the clocks `start..end`; neighbouring GC structs as one,
    /// holes left out. Equal bytes at equal clocks say the same.
    pub fn structs(&self) -> impl Iterator<Item = (ClientId, u64, u64, &[u8])> + '_ {
        self.sections.iter().flat_map(|section| {
            let pieces = self.pieces_of(section);
            let ends = pieces.iter().skip(1).map(|next| next.at);
            let ends = ends.chain([section.ends_at]);
            let structs = pieces.iter().zip(ends);
            let structs = structs.filter(|(piece, _)| piece.kind != content::SKIP);
            structs.map(|(piece, ends_at)| {
                let bytes = self.bytes.get(piece.at as usize..ends_at as usize);
                (
                    ClientId(section.client),
                    u64::from(piece.start),
                    u64::from(piece.end),
                    bytes.unwrap_or_default(),
                )
            })
        })
    }

    pub(super) fn pieces_of(&self, section: &Section) -> &[Piece] {
        self.pieces
            .get(section.first as usize..section.past as usize)
            .unwrap_or_default()
    }

    /// All structs of `section`.
    pub(super) fn structs_of(&self, section: &Section) -> &[u8] {
        self.bytes_from(section, section.starts_at)
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

/// Walks an update (format v1) without recursion, in time and memory linear in its bytes: at most 48 bytes
/// for every four of a hostile update, far less for an honest one. `bytes_max` is a deployment's own limit,
/// see [`UPDATE_BYTES_MAX`](crate::limits::UPDATE_BYTES_MAX).
///
/// What passes, [`yrs::Update::decode_v1`](https://docs.rs/yrs/0.28.1) decodes without error and without
/// reserving more memory than a small multiple of the bytes, and Yjs 13.6 reads the same from it.
///
/// # Errors
/// The first rule that the bytes break. Besides what the format demands: nothing empty, no client twice,
/// clocks below 2^31, values nested at most 64 deep, no trailing bytes, none of the content that only one of
/// Yjs 13 and yrs understands (JSON content, XML hooks, weak links, moves), and no
/// subdocuments, which yrs does not delete safely.
pub fn scan(update: Bytes, bytes_max: usize) -> Result<Scanned, ScanError> {
    let bytes_max = bytes_max.min(u32::MAX as usize);
    if update.len() > bytes_max {
        return Err(ScanError::TooLarge {
            bytes: update.len(),
            bytes_max,
        });
    }
    let mut scanned = Scanned {
        bytes: Bytes::new(),
        sections: Vec::new(),
        pieces: Vec::new(),
        deletes: Vec::new(),
        deletes_at: 0,
    };
    let mut cursor = Cursor::new(&update, 0);
    sections(&mut cursor, &mut scanned)?;
    scanned.deletes_at = offset(cursor.at());
    deletes(&mut cursor, &mut scanned)?;
    if cursor.left() > 0 {
        return Err(ScanError::TrailingBytes {
            at: cursor.at(),
            bytes: cursor.left(),
        });
    }
    scanned.bytes = update;
    Ok(scanned)
}

fn sections(cursor: &mut Cursor<'_>, scanned: &mut Scanned) -> Result<(), ScanError> {
    let at = cursor.at();
    let count = cursor.var_uint()?;
    // A section takes at least five bytes: three numbers and a struct of two.
    let count_max = (cursor.left() / 5).min(CLIENTS_MAX) as u64;
    if count > count_max {
        return Err(ScanError::TooMany {
            what: "clients",
            count,
            count_max,
            at,
        });
    }
    for _ in 0..count {
        section(cursor, scanned)?;
    }
    scanned
        .sections
        .sort_by_key(|section| Reverse(section.client));
    refuse_twice(
        scanned.sections.iter().map(|section| section.client),
        "sections",
    )
}

fn section(cursor: &mut Cursor<'_>, scanned: &mut Scanned) -> Result<(), ScanError> {
    let at = cursor.at();
    let structs = content::count(cursor, "structs", 2)?;
    let client = cursor.var_uint()?;
    let mut clock = clock(cursor)?;
    if structs == 0 {
        return Err(ScanError::Empty {
            what: "section of a client",
            at,
        });
    }
    let (start, first) = (clock, offset(scanned.pieces.len()));
    let starts_at = offset(cursor.at());
    for _ in 0..structs {
        let piece = piece(cursor, client, clock)?;
        clock = piece.end;
        match scanned.pieces.last_mut() {
            Some(before)
                if before.kind == content::GC
                    && piece.kind == content::GC
                    && before.end == piece.start
                    && piece.start != start =>
            {
                before.end = piece.end;
                before.place += 1;
            }
            _ => scanned.pieces.push(piece),
        }
    }
    let (past, ends_at) = (offset(scanned.pieces.len()), offset(cursor.at()));
    scanned.sections.push(Section {
        client,
        structs: structs as u32,
        first,
        past,
        start,
        end: clock,
        starts_at,
        ends_at,
    });
    Ok(())
}

/// One struct at `clock` of `client`.
pub(super) fn piece(cursor: &mut Cursor<'_>, client: u64, clock: u32) -> Result<Piece, ScanError> {
    let at = cursor.at();
    let info = cursor.byte()?;
    let kind = info & 0x0f;
    let id = Id { client, clock };
    let mut piece = Piece {
        start: clock,
        end: clock,
        at: offset(at),
        kind,
        links: Links::None,
        left_clock: 0,
        right_clock: 0,
        left_client: 0,
        right_client: 0,
        place: 0,
        zone: Zone::Elsewhere,
    };
    let length = match info {
        content::GC => {
            piece.place = 1;
            content::length(cursor, "GC")?
        }
        content::SKIP => content::length(cursor, "skip")?,
        _ if info & 0x10 != 0 || kind == content::GC || kind >= content::SKIP => {
            return Err(ScanError::UnknownStruct { info, at });
        }
        _ => {
            links(cursor, info, id, &mut piece)?;
            content::skip(cursor, kind, at)?
        }
    };
    let end = u64::from(clock) + u64::from(length);
    if end > CLOCK_MAX {
        return Err(ScanError::ClockTooLarge { at });
    }
    piece.end = end as u32;
    Ok(piece)
}

const HAS_LEFT: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;

/// Origins, or parent and key where there are none. An item with origins may have the bit of a key without
/// carrying one: it has its neighbours' key.
fn links(cursor: &mut Cursor<'_>, info: u8, id: Id, piece: &mut Piece) -> Result<(), ScanError> {
    let (has_left, has_right) = (info & HAS_LEFT != 0, info & HAS_RIGHT != 0);
    if has_left {
        piece.set_left(earlier_id(cursor, id)?);
    }
    if has_right {
        piece.set_right(earlier_id(cursor, id)?);
    }
    piece.links = match (has_left, has_right) {
        (true, true) => Links::Both,
        (true, false) => Links::Left,
        (false, true) => Links::Right,
        (false, false) => {
            let mut place = DefaultHasher::new();
            let links = parent(cursor, id, piece, &mut place)?;
            if info & HAS_KEY != 0 {
                cursor.string()?.hash(&mut place);
            }
            piece.place = place.finish() & !1 | u64::from(info & HAS_KEY != 0);
            links
        }
    };
    Ok(())
}

fn parent(
    cursor: &mut Cursor<'_>,
    id: Id,
    piece: &mut Piece,
    place: &mut DefaultHasher,
) -> Result<Links, ScanError> {
    let at = cursor.at();
    match cursor.byte()? {
        1 => {
            let root = cursor.string()?;
            root.hash(place);
            piece.zone = Zone::of_root(root);
            Ok(Links::Root)
        }
        0 => {
            let parent = earlier_id(cursor, id)?;
            (parent.client, parent.clock).hash(place);
            piece.set_left(parent);
            Ok(Links::Parent)
        }
        tag => Err(ScanError::Unsupported {
            what: "parent",
            tag: u64::from(tag),
            at,
        }),
    }
}

/// An id that something with the id `of` may depend on.
fn earlier_id(cursor: &mut Cursor<'_>, of: Id) -> Result<Id, ScanError> {
    let at = cursor.at();
    let client = cursor.var_uint()?;
    let clock = clock(cursor)?;
    if client == of.client && clock >= of.clock {
        return Err(ScanError::DependsOnItself {
            client: ClientId(client),
            clock: u64::from(of.clock),
            at,
        });
    }
    Ok(Id { client, clock })
}

pub(super) fn clock(cursor: &mut Cursor<'_>) -> Result<u32, ScanError> {
    let at = cursor.at();
    let clock = cursor.var_uint()?;
    // Below the bound, since something starts here.
    if clock < CLOCK_MAX {
        Ok(clock as u32)
    } else {
        Err(ScanError::ClockTooLarge { at })
    }
}

fn deletes(cursor: &mut Cursor<'_>, scanned: &mut Scanned) -> Result<(), ScanError> {
    let at = cursor.at();
    let count = cursor.var_uint()?;
    // A client takes at least two bytes: its id and how many ranges it has.
    let count_max = (cursor.left() / 2).min(CLIENTS_MAX) as u64;
    if count > count_max {
        return Err(ScanError::TooMany {
            what: "clients in the delete set",
            count,
            count_max,
            at,
        });
    }
    for _ in 0..count {
        let client = cursor.var_uint()?;
        let ranges = content::count(cursor, "delete ranges", 2)?;
        let mut list = Vec::new();
        for _ in 0..ranges {
            list.push(range(cursor)?);
        }
        scanned.deletes.push((client, Ranges::from_unsorted(list)));
    }
    scanned.deletes.sort_by_key(|(client, _)| Reverse(*client));
    refuse_twice(
        scanned.deletes.iter().map(|(client, _)| *client),
        "delete sets",
    )?;
    scanned
        .deletes
        .retain(|(_, ranges)| !ranges.as_slice().is_empty());
    Ok(())
}

/// A range of the delete set: from its first clock to the one after its last.
pub(super) fn range(cursor: &mut Cursor<'_>) -> Result<(u32, u32), ScanError> {
    let start = clock(cursor)?;
    let at = cursor.at();
    let end = u64::from(start) + u64::from(content::length(cursor, "delete range")?);
    if end > CLOCK_MAX {
        return Err(ScanError::ClockTooLarge { at });
    }
    Ok((start, end as u32))
}

/// Refuses a client that stands beside itself; clients are sorted.
pub(super) fn refuse_twice(
    clients: impl Iterator<Item = u64>,
    what: &'static str,
) -> Result<(), ScanError> {
    let mut before = None;
    for client in clients {
        if before.replace(client) == Some(client) {
            return Err(ScanError::DuplicateClient {
                client: ClientId(client),
                what,
            });
        }
    }
    Ok(())
}

/// An offset or count below the length of the update, which is at most `u32::MAX`.
fn offset(at: usize) -> u32 {
    at as u32
}
