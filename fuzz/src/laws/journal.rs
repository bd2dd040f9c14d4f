use bytes::Bytes;
use mapweave_storage::raw::{read_journal_file, read_snapshot_file};

use super::Script;
use crate::saw;

/// A journal and a snapshot of a store that was written by this version.
const JOURNAL: &[u8] = include_bytes!("../../../tests/fixtures/storage/v1/journal/00000002.log");
const SNAPSHOT: &[u8] = include_bytes!(
    "../../../tests/fixtures/storage/v1/snapshots/66697874-7572-652d-6d61-702d30303031/00000000000000000004.mws"
);

/// Any bytes are read to their end, each place once and in order; and however a good file is changed, no record
/// comes out of it that was not written.
///
/// # Panics
/// Where that is not so.
pub fn journal_reader(data: &[u8]) {
    let mut script = Script(data);
    let durable = u64::from(script.byte().unwrap_or(0)) * 16;
    read(Bytes::copy_from_slice(script.0), 2, durable);
    let _ = read_snapshot_file(script.0);

    let written = read_journal_file(JOURNAL.into(), 2, 0);
    assert!(!written.records.is_empty() && written.damage.is_empty());
    let changed = patched(JOURNAL, script.0);
    let found = read(changed.into(), 2, durable);
    for (_, record) in &found {
        let known = written.records.iter().any(|(_, good)| good == record);
        assert!(known, "a record that nobody wrote");
    }
    saw((found.len(), "of a changed journal"));

    let snapshot = patched(SNAPSHOT, script.0);
    let read = read_snapshot_file(&snapshot);
    saw(read.is_ok());
    assert!(
        read.is_err() || read == read_snapshot_file(SNAPSHOT),
        "a snapshot that nobody wrote"
    );
}

fn read(bytes: Bytes, file: u64, durable: u64) -> Vec<(u64, mapweave_storage::Record)> {
    let length = bytes.len() as u64;
    let found = read_journal_file(bytes, file, durable);
    let offsets: Vec<u64> = found.records.iter().map(|(at, _)| *at).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "records in disorder");
    let damage: Vec<u64> = found.damage.iter().map(|(at, _)| *at).collect();
    assert!(damage.is_sorted_by(|a, b| a < b), "damage in disorder");
    let last = offsets.last().max(damage.last()).copied().unwrap_or(0);
    assert!(found.torn_from.is_none_or(|at| at >= last && at <= length));
    saw((
        found.has_header,
        found.torn_from.is_some(),
        offsets.len(),
        damage.len(),
    ));
    for (_, what) in &found.damage {
        saw(what);
    }
    found.records
}

/// A copy with pieces of it written over: two bytes for where, and what.
fn patched(good: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let mut script = Script(data);
    while let Some(head) = script.0.split_first_chunk::<2>() {
        let at = usize::from(u16::from_le_bytes(*head.0)) % (bytes.len() + 1);
        script.0 = head.1;
        let Some(count) = script.byte() else { break };
        match count {
            0 => bytes.truncate(at),
            1..=32 => {
                for place in bytes.iter_mut().skip(at).take(usize::from(count)) {
                    *place = script.byte().unwrap_or(0);
                }
            }
            // Pieces that stand twice or lie elsewhere.
            33..=96 => {
                let end = (at + usize::from(count) * 8).min(bytes.len());
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + usize::from(count)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
        bytes.truncate(1 << 16);
    }
    bytes
}
