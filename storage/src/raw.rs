//! What the bytes of one file say, without a store around them: for checks, tests and fuzzing.

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};

use crate::Record;
use crate::journal::{Found, Known, Scan};
use crate::snapshot;

/// What a journal file holds.
#[derive(Clone, Debug, Default)]
pub struct JournalFile {
    /// Whole records with their offsets, in order.
    pub records: Vec<(u64, Record)>,
    /// Offsets from which on something was durable once and is no record now, and why.
    pub damage: Vec<(u64, &'static str)>,
    /// Offset from which on an unfinished write follows.
    pub torn_from: Option<u64>,
    /// Whether the file's own header can be read.
    pub has_header: bool,
}

/// Reads the bytes of journal file number `file` of which the first `durable` are known to have been synced.
/// Takes time and memory in proportion to the bytes.
pub fn read_journal_file(bytes: Bytes, file: u64, durable: u64) -> JournalFile {
    let (scan, header) = Scan::whole(bytes, Known { file, durable });
    let mut out = JournalFile {
        has_header: header.is_ok(),
        ..JournalFile::default()
    };
    for found in scan {
        match found {
            Found::Frame(at, frame) => out.records.push((at, frame.record)),
            Found::Damage { from, what, .. } => out.damage.push((from, what)),
            Found::OutOfOrder { at } => {
                out.damage
                    .push((at, "a whole record that does not follow the one before it"));
            }
            Found::Torn { from, .. } => out.torn_from = Some(from),
        }
    }
    out
}

/// Reads the bytes of a snapshot file: whose it is, up to which record, and what was stored.
///
/// # Errors
/// What is wrong with the bytes.
pub fn read_snapshot_file(bytes: &[u8]) -> Result<(DocId, Seq, Bytes), &'static str> {
    snapshot::decode(bytes).map(|(title, bytes)| (title.doc, title.upto, bytes))
}
