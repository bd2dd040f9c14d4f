//! The walk over a large update from end to end, which keeps no more than an outline of it.

use std::cmp::Reverse;

use super::window::{Taken, Unread, Windows};
use super::{LARGE_DELETE_RANGES_MAX, LargeError, LargeSection, LargeUpdate, PieceLimits, ReadAt};
use crate::id::ClientId;
use crate::limits::CLIENTS_MAX;
use crate::update::error::ScanError;
use crate::update::ranges::Ranges;
use crate::update::scan::{Piece, clock, piece, range, refuse_twice};
use crate::varint::Cursor;

/// See [`LargeUpdate::scan`].
pub(super) fn walk(
    bytes: &impl ReadAt,
    limits: PieceLimits,
    window_bytes: usize,
) -> Result<LargeUpdate, LargeError> {
    let mut reader = Reader {
        windows: Windows::new(bytes, window_bytes, limits.struct_bytes_max().max(16)),
        end: bytes.bytes(),
        at: 0,
    };
    let sections = reader.sections(limits)?;
    let deletes = reader.deletes()?;
    if reader.at < reader.end {
        return Err(LargeError::Scan(ScanError::TrailingBytes {
            at: offset(reader.at),
            bytes: offset(reader.end - reader.at),
        }));
    }
    Ok(LargeUpdate {
        sections,
        deletes,
        limits,
        window_bytes,
    })
}

struct Reader<'a, R> {
    windows: Windows<'a, R>,
    end: u64,
    at: u64,
}

impl<R: ReadAt> Reader<'_, R> {
    /// Reads one thing and passes on behind it.
    fn next<T>(
        &mut self,
        read: impl Fn(&mut Cursor<'_>) -> Result<T, ScanError>,
    ) -> Result<T, Unread> {
        let Taken { value, bytes } = self.windows.read(self.at, read)?;
        self.at += bytes;
        Ok(value)
    }

    /// A count of things of which each takes at least `bytes_min` of the bytes left.
    fn count(&mut self, what: &'static str, bytes_min: u64, most: u64) -> Result<u64, LargeError> {
        let at = self.at;
        let count = self.next(|cursor| Ok(cursor.var_uint()?))?;
        let count_max = (self.end.saturating_sub(self.at) / bytes_min).min(most);
        if count <= count_max {
            return Ok(count);
        }
        Err(LargeError::Scan(ScanError::TooMany {
            what,
            count,
            count_max,
            at: offset(at),
        }))
    }

    fn sections(&mut self, limits: PieceLimits) -> Result<Vec<LargeSection>, LargeError> {
        // A section takes at least five bytes: three numbers and a struct of two.
        let count = self.count("clients", 5, CLIENTS_MAX as u64)?;
        let mut sections = Vec::new();
        for _ in 0..count {
            sections.push(self.section(limits)?);
        }
        sections.sort_by_key(|section: &LargeSection| Reverse(section.client));
        refuse_twice(sections.iter().map(|section| section.client), "sections")?;
        Ok(sections)
    }

    fn section(&mut self, limits: PieceLimits) -> Result<LargeSection, LargeError> {
        let at = self.at;
        let structs = self.count("structs", 2, u64::MAX)?;
        let client = self.next(|cursor| Ok(cursor.var_uint()?))?;
        let start = self.next(clock)?;
        if structs == 0 {
            return Err(LargeError::Scan(ScanError::Empty {
                what: "section of a client",
                at: offset(at),
            }));
        }
        let mut section = LargeSection {
            client,
            structs,
            start,
            end: start,
            at: self.at,
        };
        for _ in 0..structs {
            let at = self.at;
            let Taken { value, bytes } =
                struct_at(&mut self.windows, at, client, section.end, limits)?;
            section.end = value.end;
            self.at += bytes;
        }
        Ok(section)
    }

    fn deletes(&mut self) -> Result<Vec<(u64, Ranges)>, LargeError> {
        // A client takes at least two bytes: its id and how many ranges it has.
        let count = self.count("clients in the delete set", 2, CLIENTS_MAX as u64)?;
        let mut left = LARGE_DELETE_RANGES_MAX as u64;
        let mut deletes = Vec::new();
        for _ in 0..count {
            let client = self.next(|cursor| Ok(cursor.var_uint()?))?;
            let ranges = self.count("delete ranges", 2, left)?;
            left -= ranges;
            let mut list = Vec::new();
            for _ in 0..ranges {
                list.push(self.next(range)?);
            }
            deletes.push((client, Ranges::from_unsorted(list)));
        }
        deletes.sort_by_key(|(client, _)| Reverse(*client));
        refuse_twice(deletes.iter().map(|(client, _)| *client), "delete sets")?;
        deletes.retain(|(_, ranges)| !ranges.as_slice().is_empty());
        Ok(deletes)
    }
}

/// The struct at `at`, which is the one of `client` at `clock`.
pub(super) fn struct_at(
    windows: &mut Windows<'_, impl ReadAt>,
    at: u64,
    client: u64,
    clock: u32,
    limits: PieceLimits,
) -> Result<Taken<Piece>, LargeError> {
    let read = windows.read(at, |cursor| piece(cursor, client, clock));
    read.map_err(|unread| match unread {
        Unread::TooLarge => LargeError::StructTooLarge {
            client: ClientId(client),
            clock: u64::from(clock),
            at,
            bytes_max: limits.bytes_max,
        },
        other => other.into(),
    })
}

fn offset(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
