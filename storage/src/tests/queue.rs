//! A queue that is full: nobody is blocked, who waits for room gets it in turn, who stops waiting takes none.

use std::sync::Arc;

use futures_util::FutureExt;
use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{on, open};
use crate::contract::{block_on, created, read_all, update};
use crate::{FaultyDisk, Permit, UpdateLog};

const DOC: DocId = DocId::from_bytes([1; 16]);
const MIB: usize = 1 << 20;

/// A store that can sync nothing, and what was appended to it while its queue had room.
fn full(disk: &FaultyDisk, dir: &TempDir) -> (impl UpdateLog, u64) {
    let (store, _) = open(dir.path(), on(disk));
    block_on(store.append(DOC, vec![created("m")])).unwrap();
    disk.hold_syncs(true);
    let payload = bytes::Bytes::from(vec![7; MIB]);
    let mut appended = 0;
    while let Some(permit) = store.reserve(MIB).now_or_never() {
        _ = store.append(DOC, vec![update(&payload)]);
        drop(permit);
        appended += 1;
        assert!(appended < 200, "the queue has no bound");
    }
    (store, appended)
}

#[test]
fn a_full_queue_keeps_who_reserves_waiting_and_blocks_nobody_who_appends() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, appended) = full(&disk, &dir);
    assert!(appended >= 60, "{appended} MiB fill the queue");
    // It returns although nothing can be written, and keeps its place behind the others.
    let small = store.append(DOC, vec![update(b"small")]);
    let waiting = store.reserve(MIB);
    disk.hold_syncs(false);
    assert_eq!(block_on(small).unwrap().last, Seq(appended + 2));
    drop(block_on(waiting));
    assert_eq!(read_all(&store, DOC).unwrap().len() as u64, appended + 2);
}

#[test]
fn who_stops_waiting_takes_no_room_and_holds_nobody_up() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = full(&disk, &dir);
    // The first in line wants all of the queue, and goes away before and after it got it.
    let (first, second) = (store.reserve(60 * MIB), store.reserve(60 * MIB));
    let third = store.reserve(MIB);
    drop(first);
    disk.hold_syncs(false);
    let held: Permit = block_on(second);
    drop(held);
    drop(block_on(third));
    drop(block_on(store.reserve(64 * MIB)));
}

#[test]
fn room_is_given_in_the_order_in_which_it_was_asked_for() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = full(&disk, &dir);
    let mut large = store.reserve(64 * MIB);
    // It would fit long before the large one, which would then wait for ever on a busy store.
    let mut small = store.reserve(1);
    disk.hold_syncs(false);
    let large = block_on(&mut large);
    assert!((&mut small).now_or_never().is_none());
    drop(large);
    drop(block_on(small));
}

#[test]
fn a_closed_store_keeps_nobody_waiting() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = full(&disk, &dir);
    let store = Arc::new(store);
    let waiting = store.reserve(MIB);
    let closing = std::thread::spawn(move || drop(store));
    drop(block_on(waiting));
    disk.hold_syncs(false);
    closing.join().unwrap();
}
