//! What a log holds: records with their origin, kind and hash chain. Values only; start from [`Record`].

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{DocId, MapName, Seq};

use crate::header::Header;
use crate::{FIRST_EPOCH, LogId, StoreError};

/// Largest payload of one record, in bytes (64 MiB: the largest update that any path takes in).
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Largest sum of payloads in one call of [`crate::UpdateLog::append`], in bytes.
///
/// One call is one write, so this bounds the memory that a write takes and the size of a journal file.
pub const APPEND_BYTES_MAX: usize = 128 << 20;

/// Most records in one call of [`crate::UpdateLog::append`].
pub const APPEND_RECORDS_MAX: usize = 65_536;

/// Longest user, session label or free text of a kind, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 1024;

/// The log of the store itself, for records that concern no single map, such as revocations.
///
/// It needs no [`Kind::Created`], has no name and is not among [`crate::UpdateLog::maps`].
pub const STORE_LOG: DocId = DocId::from_bytes([0; 16]);

/// The chain before the first record of a map.
pub const CHAIN_START: [u8; 32] = [0; 32];

/// Who made a record, by which way, and when as they say. Believed as far as the session was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The authenticated user; empty for an anonymous one. At most [`TEXT_BYTES_MAX`] bytes.
    pub user: String,
    /// A label of the session for people; may be empty. At most [`TEXT_BYTES_MAX`] bytes.
    pub session: String,
    /// The Yjs client id that wrote, where it is known.
    pub client: Option<u64>,
    /// The way by which the record came in.
    pub protocol: Protocol,
    /// When the writer says it was made, in milliseconds since 1970 (UTC).
    pub made_at_ms: Option<u64>,
    /// For a record that came from another store, or from a later life of this one: from where, and its place there.
    pub relayed: Option<Relayed>,
}

/// Where a record was first stored, where that is not this life of this store. Log and place name it for ever, so that
/// it is taken in once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relayed {
    /// The log of the store that first acknowledged it.
    pub log: LogId,
    /// Its place there.
    pub seq: Seq,
    /// When that store stored it, in milliseconds since 1970 by that store's clock; 0 where that is not known.
    pub at_ms: u64,
    /// Who handed it on, and vouches for what it says of its origin: the user of the relay that pushed it, the address
    /// of the server that it was pulled from; empty for a record of this store itself. At most [`TEXT_BYTES_MAX`] bytes.
    pub via: String,
}

/// Which store this is, and which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn once when the store was made.
    pub store: [u8; 16],
    /// Grows when places in the logs may mean other records than before: after a restore from older data
    /// or a recovery that had to give up acknowledged records.
    pub epoch: u64,
}

/// The way by which a record came in. One byte on disk; values of later versions stay readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The y-websocket protocol.
    YWebsocket,
    /// The Hocuspocus protocol.
    Hocuspocus,
    /// The y-sweet protocol.
    YSweet,
    /// Plain HTTP.
    Rest,
    /// Features from a file.
    Import,
    /// A command on the store's own machine.
    Cli,
    /// Another Mapweave.
    Relay,
    /// The server itself.
    #[default]
    Server,
    /// Written by a later version.
    Other(u8),
}

impl Protocol {
    /// The byte on disk.
    pub const fn code(self) -> u8 {
        match self {
            Self::YWebsocket => 0,
            Self::Hocuspocus => 1,
            Self::YSweet => 2,
            Self::Rest => 3,
            Self::Import => 4,
            Self::Cli => 5,
            Self::Relay => 6,
            Self::Server => 7,
            Self::Other(code) => code,
        }
    }

    /// The protocol with this byte on disk.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::YWebsocket,
            1 => Self::Hocuspocus,
            2 => Self::YSweet,
            3 => Self::Rest,
            4 => Self::Import,
            5 => Self::Cli,
            6 => Self::Relay,
            7 => Self::Server,
            other => Self::Other(other),
        }
    }

    /// A word for people and programs, as in `mapweave log --json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::YWebsocket => "y-websocket",
            Self::Hocuspocus => "hocuspocus",
            Self::YSweet => "y-sweet",
            Self::Rest => "rest",
            Self::Import => "import",
            Self::Cli => "cli",
            Self::Relay => "relay",
            Self::Server => "server",
            Self::Other(_) => "other",
        }
    }
}

/// What a record means. One byte and a short detail on disk; kinds of later versions stay readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Yjs update (v1) that was applied: the bytes that it newly brought.
    Update,
    /// A received Yjs update whose base is still missing, as it came.
    Gapped,
    /// The map came into being under this name. Always its first record.
    Created {
        /// The name it bears from here on.
        name: MapName,
    },
    /// The map was deleted. Its log goes on and can be restored.
    Deleted,
    /// A deleted map was restored.
    Restored,
    /// The map bears another name.
    Renamed {
        /// The name it bears from here on.
        name: MapName,
    },
    /// A token or user was revoked; kept in [`STORE_LOG`] or in the log of the map concerned.
    Revoked {
        /// What was revoked, in the words of whoever reads it back. At most [`TEXT_BYTES_MAX`] bytes.
        what: String,
    },
    /// A share link was given away; kept in [`STORE_LOG`].
    Issued {
        /// What was given to whom, in the words of whoever reads it back. At most [`TEXT_BYTES_MAX`] bytes.
        what: String,
    },
    /// Gapped updates of this map that waited too long and are given up; the payload tells which. Their own records
    /// stay.
    Expired,
    /// Records of another log, up to the one named in the origin, brought nothing that was not here: they count as held.
    Known,
    /// A received Yjs update of somebody who may not edit any more: what of it the map did not have. Not part of the
    /// map unless a later [`Kind::Admitted`] says so.
    Quarantined,
    /// An owner, the origin of this record, admitted the update of an earlier [`Kind::Quarantined`]. What it brought is
    /// the next record, a [`Kind::Update`] with its author as origin; none follows where it brought nothing.
    Admitted {
        /// The place of the earlier record.
        of: Seq,
    },
    /// An owner, the origin of this record, rejected the update of an earlier [`Kind::Quarantined`].
    Rejected {
        /// The place of the earlier record.
        of: Seq,
    },
    /// Written by a later version: the payload is kept and checked, its meaning is not known here.
    Other {
        /// The byte on disk.
        code: u8,
        /// The detail on disk. At most [`TEXT_BYTES_MAX`] bytes.
        detail: Bytes,
    },
}

impl Kind {
    /// The byte on disk.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Update => 1,
            Self::Gapped => 2,
            Self::Created { .. } => 3,
            Self::Deleted => 4,
            Self::Restored => 5,
            Self::Renamed { .. } => 6,
            Self::Revoked { .. } => 7,
            Self::Expired => 8,
            Self::Known => 12,
            Self::Quarantined => 9,
            Self::Admitted { .. } => 10,
            Self::Rejected { .. } => 11,
            Self::Issued { .. } => 16,
            Self::Other { code, .. } => *code,
        }
    }

    /// A word for people and programs, as in `mapweave log --json`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Gapped => "gapped",
            Self::Created { .. } => "created",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
            Self::Renamed { .. } => "renamed",
            Self::Revoked { .. } => "revoked",
            Self::Expired => "expired",
            Self::Known => "known",
            Self::Quarantined => "quarantined",
            Self::Admitted { .. } => "admitted",
            Self::Rejected { .. } => "rejected",
            Self::Issued { .. } => "issued",
            Self::Other { .. } => "other",
        }
    }

    /// The bytes that go with the code on disk.
    pub fn detail(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Created { name } | Self::Renamed { name } => {
                Cow::Borrowed(name.as_str().as_bytes())
            }
            Self::Revoked { what } | Self::Issued { what } => Cow::Borrowed(what.as_bytes()),
            Self::Admitted { of } | Self::Rejected { of } => Cow::Owned(of.0.to_le_bytes().into()),
            Self::Other { detail, .. } => Cow::Borrowed(detail),
            Self::Update
            | Self::Gapped
            | Self::Deleted
            | Self::Restored
            | Self::Expired
            | Self::Known
            | Self::Quarantined => Cow::Borrowed(&[]),
        }
    }

    /// The kind with this code and detail on disk. A known code whose detail does not fit is read as
    /// [`Kind::Other`]: its checksum was right, so the bytes are what somebody wrote.
    pub fn from_code(code: u8, detail: &[u8]) -> Self {
        let text = || std::str::from_utf8(detail).ok();
        let name = || {
            text()
                .and_then(|text| MapName::parse(text).ok())
                .filter(|n| n.as_str().as_bytes() == detail)
        };
        let place = || Some(Seq(u64::from_le_bytes(detail.try_into().ok()?)));
        let known = match code {
            1 if detail.is_empty() => Some(Self::Update),
            2 if detail.is_empty() => Some(Self::Gapped),
            3 => name().map(|name| Self::Created { name }),
            4 if detail.is_empty() => Some(Self::Deleted),
            5 if detail.is_empty() => Some(Self::Restored),
            6 => name().map(|name| Self::Renamed { name }),
            7 => text().map(|what| Self::Revoked {
                what: what.to_owned(),
            }),
            8 if detail.is_empty() => Some(Self::Expired),
            12 if detail.is_empty() => Some(Self::Known),
            9 if detail.is_empty() => Some(Self::Quarantined),
            10 => place().map(|of| Self::Admitted { of }),
            11 => place().map(|of| Self::Rejected { of }),
            16 => text().map(|what| Self::Issued {
                what: what.to_owned(),
            }),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other {
            code,
            detail: Bytes::copy_from_slice(detail),
        })
    }
}

/// A record to append; the store adds its place, time and chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// What it means.
    pub kind: Kind,
    /// Who made it.
    pub origin: Arc<Origin>,
    /// The update for [`Kind::Update`], [`Kind::Gapped`] and [`Kind::Quarantined`], names of updates for [`Kind::Expired`], else usually empty. At most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Bytes,
}

impl NewRecord {
    /// Whether the record keeps within the bounds of its fields.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] names the field that is too long.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let fields = [
            ("a record's payload", self.payload.len(), PAYLOAD_BYTES_MAX),
            (
                "the detail of a record's kind",
                self.kind.detail().len(),
                TEXT_BYTES_MAX,
            ),
            (
                "the user of a record's origin",
                self.origin.user.len(),
                TEXT_BYTES_MAX,
            ),
            (
                "the session of a record's origin",
                self.origin.session.len(),
                TEXT_BYTES_MAX,
            ),
            (
                "the relay of a record's origin",
                self.origin.relayed.as_ref().map_or(0, |r| r.via.len()),
                TEXT_BYTES_MAX,
            ),
        ];
        match fields.into_iter().find(|(_, size, max)| size > max) {
            Some((what, size, max)) => Err(StoreError::TooLarge { what, size, max }),
            None => Ok(()),
        }
    }
}

/// One durable record of a map's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The map.
    pub doc: DocId,
    /// Its place in the map's log.
    pub seq: Seq,
    /// When it was stored, in milliseconds since 1970 (UTC). Never goes back within a store, even where
    /// the machine's clock does.
    pub time_ms: u64,
    /// Who made it.
    pub origin: Arc<Origin>,
    /// What it means.
    pub kind: Kind,
    /// See [`NewRecord::payload`].
    pub payload: Bytes,
    /// The map's hash chain after this record: [`Record::chain_after`] of the chain before it.
    pub chain: [u8; 32],
}

impl Record {
    /// Where the record was first stored, in a store whose id is `store`: the name that all stores know it by.
    pub fn born(&self, store: [u8; 16]) -> (LogId, Seq) {
        match &self.origin.relayed {
            Some(relayed) => (relayed.log, relayed.seq),
            None => (
                LogId {
                    store,
                    epoch: FIRST_EPOCH,
                    doc: self.doc,
                },
                self.seq,
            ),
        }
    }

    /// When the record was first stored, in milliseconds since 1970 by the clock of the store that did.
    pub fn born_at_ms(&self) -> u64 {
        self.origin
            .relayed
            .as_ref()
            .map_or(self.time_ms, |relayed| relayed.at_ms)
    }

    /// BLAKE3 of the chain before the record, every field of the record, and its payload: what
    /// [`Record::chain`] must be. Before the first record the chain is [`CHAIN_START`].
    ///
    /// The chain proves tampering against a head that is known from elsewhere (a receipt, another
    /// replica), not by itself: whoever can rewrite the whole store can rewrite the chain.
    pub fn chain_after(&self, before: &[u8; 32]) -> [u8; 32] {
        let header = Header::of(self).encode();
        let mut hasher = blake3::Hasher::new();
        hasher.update(before);
        hasher.update(&header);
        hasher.update(&self.payload);
        *hasher.finalize().as_bytes()
    }
}
