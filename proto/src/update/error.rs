//! Why an update is refused.

use crate::error::{Fault, Malformed};
use crate::id::ClientId;
use crate::limits::{CLIENTS_CHAINED_MAX, CLIENTS_MAX, NESTING_MAX};

/// Why bytes are no update that we let through. Offsets count from the start of the update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// More bytes than allowed.
    #[error("update of {bytes} bytes, at most {bytes_max}")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A primitive cannot be read.
    #[error("update: {0}")]
    Malformed(#[from] Malformed),
    /// A count that the bytes left, or a bound, cannot hold.
    #[error("update: {count} {what}, at most {count_max} are possible here (byte {at})")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are claimed.
        count: u64,
        /// How many could follow.
        count_max: u64,
        /// Where the count stands.
        at: usize,
    },
    /// A clock that reaches beyond [`CLOCK_MAX`](crate::limits::CLOCK_MAX).
    #[error("update: clocks end at 2^31 - 1 (byte {at})")]
    ClockTooLarge {
        /// Where the clock or length stands.
        at: usize,
    },
    /// The first byte of a struct is not one that Yjs 13 writes.
    #[error("update: unknown struct {info:#04x} (byte {at}); is it in update format v2?")]
    UnknownStruct {
        /// The byte.
        info: u8,
        /// Where it stands.
        at: usize,
    },
    /// Content that Yjs 13 and yrs do not both read alike.
    #[error("update: {what} {tag} is not supported (byte {at})")]
    Unsupported {
        /// The kind of thing.
        what: &'static str,
        /// Which of its kind.
        tag: u64,
        /// Where it stands.
        at: usize,
    },
    /// A struct or delete range of length 0, or a client without structs: undefined in Yjs, and poison to yrs.
    #[error("update: empty {what} (byte {at})")]
    Empty {
        /// What is empty.
        what: &'static str,
        /// Where it stands.
        at: usize,
    },
    /// Two sections for one client.
    #[error("update: client {client} has two {what}")]
    DuplicateClient {
        /// The client.
        client: ClientId,
        /// Of what.
        what: &'static str,
    },
    /// A struct that refers to itself or to a later one of the same client, which can never be satisfied.
    #[error("update: struct {clock} of client {client} depends on itself (byte {at})")]
    DependsOnItself {
        /// The client.
        client: ClientId,
        /// The clock of the struct.
        clock: u64,
        /// Where the reference stands.
        at: usize,
    },
    /// Arrays and objects nested deeper than [`NESTING_MAX`].
    #[error("update: a value is nested deeper than {NESTING_MAX} levels (byte {at})")]
    NestedTooDeep {
        /// Where the value opens that is one too many.
        at: usize,
    },
    /// A text that should be JSON and that a strict parser refuses.
    #[error("update: not JSON (byte {at})")]
    NotJson {
        /// Where the text goes wrong.
        at: usize,
    },
    /// Bytes follow after the delete set.
    #[error("update: {bytes} bytes follow after its end (byte {at}); is it in update format v2?")]
    TrailingBytes {
        /// Offset of the first of them.
        at: usize,
        /// How many.
        bytes: usize,
    },
}

impl ScanError {
    /// The same for bytes that begin `bytes` behind the start of the update.
    pub(super) fn behind(mut self, bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        match &mut self {
            Self::TooLarge { .. } | Self::DuplicateClient { .. } => {}
            Self::Malformed(Malformed { at, .. })
            | Self::TooMany { at, .. }
            | Self::ClockTooLarge { at }
            | Self::UnknownStruct { at, .. }
            | Self::Unsupported { at, .. }
            | Self::Empty { at, .. }
            | Self::DependsOnItself { at, .. }
            | Self::NestedTooDeep { at }
            | Self::NotJson { at }
            | Self::TrailingBytes { at, .. } => *at = at.saturating_add(bytes),
        }
        self
    }

    /// Whether more bytes behind those that were seen could make it good.
    pub(super) fn may_go_on(&self) -> bool {
        matches!(
            self,
            Self::TooMany { .. }
                | Self::Malformed(Malformed {
                    fault: Fault::Ends,
                    ..
                })
        )
    }
}

/// Why an update that can be read must not be applied to this document, now or later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DoorError {
    /// Shared types would nest deeper than [`NESTING_MAX`].
    #[error(
        "struct {clock} of client {client} would nest shared types deeper than {NESTING_MAX} levels"
    )]
    TooDeep {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// The parent of a struct is there, but it is no shared type.
    #[error(
        "struct {clock} of client {client} lies in {parent_client}:{parent_clock}, which is no shared type"
    )]
    ParentNotAType {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
        /// The client of the parent.
        parent_client: ClientId,
        /// The clock of the parent.
        parent_clock: u64,
    },
    /// The neighbours of a struct lie in different places, or it continues a struct that lies elsewhere.
    #[error("struct {clock} of client {client} has neighbours in two different places")]
    TornApart {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// An entry under a key takes several clocks and stays. No writer makes one; yrs reads freed memory if the
    /// part that is not the last outlives its map.
    #[error("struct {clock} of client {client} is a map entry of several values")]
    LongEntry {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// Formatting lies under a key, where a value belongs. No writer makes such an entry; yrs panics when it is asked
    /// which keys of the map have changed.
    #[error("struct {clock} of client {client} is a map entry without a value")]
    EntryWithoutValue {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// Structs of several clients wait for each other in a circle.
    #[error("struct {clock} of client {client} depends on itself through other clients")]
    Circular {
        /// The client of one of them.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// More than [`CLIENTS_CHAINED_MAX`] clients of the update depend on each other in a row. A state that a
    /// document came to by small updates may be like this; see [`Ledger::admit`](crate::Ledger::admit).
    #[error(
        "more than {CLIENTS_CHAINED_MAX} clients of the update depend on each other in a row; send it in pieces"
    )]
    TooTangled,
    /// The document would know more than [`CLIENTS_MAX`] clients.
    #[error("the document would have more than {CLIENTS_MAX} clients")]
    TooManyClients,
}

/// Why updates cannot be joined by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConcatError {
    /// The structs of a client do not follow each other.
    #[error("update {index}: client {client} goes on at clock {clock}, expected {clock_expected}")]
    NotContiguous {
        /// Which of the updates, from 0.
        index: usize,
        /// The client.
        client: ClientId,
        /// Where its structs start in that update.
        clock: u64,
        /// Where they ended in the updates before.
        clock_expected: u64,
    },
}
