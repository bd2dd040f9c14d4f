//! What can go wrong, in words that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapweave_proto::{DocId, MapName, Seq};

use crate::LogId;

/// A place on disk that does not hold what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the store's folder.
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The map concerned, where it can be told.
    pub doc: Option<DocId>,
    /// The record concerned, where it can be told.
    pub seq: Option<Seq>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.file.display(), self.offset)?;
        if let Some(doc) = self.doc {
            write!(f, ", map {doc}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, ", record {seq}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the store {} is in use by another process: stop it, or talk to the running server instead (--server URL)", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// The disk refuses writes; the store resumes by itself when it takes them again.
    #[error("the store takes no writes at present: {why}")]
    ReadOnly {
        /// What the machine said.
        why: String,
    },
    /// A sync failed, so nothing is known about what the disk holds. Exit and open the store again.
    #[error("the store must be closed and opened again: {why}")]
    Poisoned {
        /// What the machine said.
        why: String,
    },
    /// Something on disk is not what was written there.
    #[error("damaged: {0}")]
    Damaged(Box<Damage>),
    /// The machine failed at something other than an append.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the machine said.
        source: Arc<io::Error>,
    },
    /// sled failed; the journal still has everything, and the next open rebuilds sled from it.
    #[error(
        "the store's index failed ({what}); close the store and open it again, it is then rebuilt"
    )]
    Index {
        /// What sled said.
        what: String,
    },
    /// No map with this id: its first record must be of kind `Created`.
    #[error("there is no map {doc}")]
    UnknownMap {
        /// The id.
        doc: DocId,
    },
    /// A second `Created` for one map.
    #[error("map {doc} exists already")]
    MapExists {
        /// The id.
        doc: DocId,
    },
    /// Another map that is not deleted bears the name.
    #[error("the name {name:?} is taken by map {by}")]
    NameTaken {
        /// The name asked for.
        name: MapName,
        /// Who bears it.
        by: DocId,
    },
    /// A record of another log that this map's log holds already, durably or on its way there.
    #[error("record {seq} of another store's map {} is in the log of map {doc} already, and need not be stored again", log.doc)]
    Held {
        /// The map.
        doc: DocId,
        /// The log that gave the record its name.
        log: LogId,
        /// Its place there.
        seq: Seq,
    },
    /// More than fits.
    #[error("{what} has at most {max}, this one has {size}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is, in bytes (or records).
        size: usize,
        /// How large it may be.
        max: usize,
    },
    /// An append of no records.
    #[error("there is nothing to append")]
    Empty,
    /// A snapshot of records that are not stored.
    #[error("a snapshot up to {upto} of map {doc}, whose last record is {last}")]
    SnapshotAhead {
        /// The map.
        doc: DocId,
        /// What the snapshot says to contain.
        upto: Seq,
        /// The map's last durable record.
        last: Seq,
    },
    /// The files were written by a version that this one does not know.
    #[error("{} has format version {version}; this version reads {known}: use the version that wrote it, or a later one", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// What it says.
        version: u32,
        /// What this version reads.
        known: u32,
    },
    /// The folder does not hold a store, and none was to be made.
    #[error("{} holds no store", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// Too little room to open the store. Nothing was touched.
    #[error("the disk of {} has {free} bytes left, opening the store needs {needed}: make room", path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Needed bytes.
        needed: u64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether only this one call was wrong: the store takes further writes, and no other call is concerned.
    pub const fn concerns_this_call_only(&self) -> bool {
        matches!(
            self,
            Self::UnknownMap { .. }
                | Self::MapExists { .. }
                | Self::NameTaken { .. }
                | Self::TooLarge { .. }
                | Self::Empty
                | Self::SnapshotAhead { .. }
        )
    }

    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(Box::new(damage))
    }
}
