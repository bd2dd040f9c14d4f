//! What a check of the whole store found, and what opening it had to do.

use std::path::PathBuf;

use mapweave_proto::{DocId, MapName, Seq};

use crate::Damage;

/// The result of [`crate::UpdateLog::verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Nothing at all is wrong.
    pub ok: bool,
    /// Every map that was checked, by name.
    pub maps: Vec<MapReport>,
    /// Everything that is wrong, in the order of the files.
    pub problems: Vec<Damage>,
}

/// What was found of one map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapReport {
    /// The map.
    pub id: DocId,
    /// The name it bears.
    pub name: MapName,
    /// Nothing is wrong with this map.
    pub ok: bool,
    /// First record.
    pub first: Seq,
    /// Last record.
    pub last: Seq,
    /// How many records were read and found right.
    pub records: u64,
    /// Sum of their payloads, in bytes.
    pub payload_bytes: u64,
    /// How many snapshots were read and found right.
    pub snapshots: u64,
    /// The hash chain at the last record: compare it with a head known from elsewhere.
    pub chain: [u8; 32],
}

/// What opening a store had to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The store was made by this open.
    pub created: bool,
    /// The last process closed it properly.
    pub clean: bool,
    /// Records taken from the journal because sled did not have them yet.
    pub replayed: u64,
    /// Bytes of an unfinished, never acknowledged write that were cut off the end of the journal.
    pub torn_bytes: u64,
    /// Why sled was rebuilt from archive and journal, where it was.
    pub rebuilt: Option<String>,
    /// Where the sled that was no good was put.
    pub set_aside: Option<PathBuf>,
    /// Everything found damaged; the maps concerned are marked and served as far as they can be read.
    pub problems: Vec<Damage>,
}
