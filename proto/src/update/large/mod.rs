//! Updates too large to be held in memory: walked where they lie, then cut into pieces that go in one by one.
//!
//! Nothing of such an update is kept but where each client's structs begin, and what it deletes. It is read
//! through small windows, once to check it whole, and again for each time that it is cut. What a piece needs
//! is in the pieces before it or was outside the update from the beginning. Start from [`LargeUpdate::scan`].

mod outline;
mod pieces;
mod window;

use std::io;

use super::error::{DoorError, ScanError};
use super::ranges::Ranges;
use crate::id::ClientId;

pub use pieces::Pieces;

/// Most ranges in the delete set of a large update (16 million, 128 MiB of memory). A map of 400 000 features
/// that were all deleted one by one has as many as features.
pub const LARGE_DELETE_RANGES_MAX: usize = 1 << 24;

/// What a piece holds besides one struct and its own deletions, in bytes: counts, a client and clocks.
const PIECE_OVERHEAD_BYTES: usize = 64;

/// Bytes that lie somewhere and can be read at any place.
pub trait ReadAt {
    /// How many there are. Never changes.
    fn bytes(&self) -> u64;

    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    /// The medium's; [`io::ErrorKind::UnexpectedEof`] where there are not so many.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

/// How large pieces become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceLimits {
    /// No piece is larger, in bytes; a struct that does not fit into one by itself is refused.
    pub bytes_max: usize,
    /// What a piece is filled up to, in bytes. Only one struct alone makes it larger.
    pub bytes_wanted: usize,
}

impl PieceLimits {
    /// The largest struct that fits into a piece, in bytes.
    fn struct_bytes_max(self) -> usize {
        self.bytes_max.saturating_sub(PIECE_OVERHEAD_BYTES)
    }
}

/// Why an update is not taken that was read where it lies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LargeError {
    /// It breaks a rule of its format.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// One struct that no piece can hold.
    #[error(
        "update: struct {clock} of client {client} does not fit into a piece of {bytes_max} bytes (byte {at})"
    )]
    StructTooLarge {
        /// The client.
        client: ClientId,
        /// The clock of the struct.
        clock: u64,
        /// Where it stands.
        at: u64,
        /// The bound of a piece.
        bytes_max: usize,
    },
    /// There is no order in which its structs could go in.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Its bytes cannot be read back.
    #[error("the bytes that were received cannot be read back: {0}")]
    Read(#[from] io::Error),
}

/// An update that was walked from end to end where it lies, and follows every rule of its format.
#[derive(Debug)]
pub struct LargeUpdate {
    /// Clients descending.
    sections: Vec<LargeSection>,
    /// Clients descending.
    deletes: Vec<(u64, Ranges)>,
    limits: PieceLimits,
    window_bytes: usize,
}

/// The structs of one client.
#[derive(Debug, Clone, Copy)]
struct LargeSection {
    client: u64,
    structs: u64,
    start: u32,
    end: u32,
    /// Offset of its first struct.
    at: u64,
}

impl LargeUpdate {
    /// Walks an update (format v1) by the rules of [`scan`](crate::scan()), in memory that does not grow with its
    /// structs: some 16 MiB of windows, 40 bytes a client and 8 bytes a deleted range, and one struct.
    ///
    /// # Errors
    /// [`LargeError::Scan`] for the first rule that it breaks, [`LargeError::StructTooLarge`], or
    /// [`LargeError::Read`].
    pub fn scan(bytes: &impl ReadAt, limits: PieceLimits) -> Result<Self, LargeError> {
        outline::walk(bytes, limits, window::WINDOW_BYTES)
    }

    /// The same update in pieces, each an update by itself. May be asked for again.
    ///
    /// Applied in order they mean what the whole means. Each holds, for some clients, a run of structs and what
    /// the update deletes of them; what else it deletes comes last. A piece has at most
    /// [`CLIENTS_CHAINED_MAX`](crate::limits::CLIENTS_CHAINED_MAX) clients, so that none is too tangled.
    pub fn pieces<'a, R: ReadAt>(&'a self, bytes: &'a R) -> Pieces<'a, R> {
        Pieces::new(self, bytes)
    }

    /// The place of a client's section.
    fn section(&self, client: u64) -> Option<usize> {
        self.sections
            .binary_search_by(|section| client.cmp(&section.client))
            .ok()
    }
}

/// Bytes in memory, for what is at hand anyway.
impl ReadAt for [u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(buffer.len());
        let from = self.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

impl ReadAt for bytes::Bytes {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        ReadAt::read_exact_at(&**self, buffer, at)
    }
}

#[cfg(test)]
mod tests;
