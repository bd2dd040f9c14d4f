//! What a store remembers of the logs of others, through restarts, rebuilding and new lives.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{copy_folder, open, small};
use crate::contract::{Venue, block_on, created, name, read_all, update};
use crate::{FIRST_EPOCH, Kind, Known, LogId, MemoryLog, NewRecord, Origin, Relayed, UpdateLog};

const DOC: DocId = DocId::from_bytes(*b"a map of ours 01");

fn elsewhere(epoch: u64) -> LogId {
    LogId {
        store: [7; 16],
        epoch,
        doc: DocId::from_bytes([8; 16]),
    }
}

fn from(log: LogId, seq: u64, kind: Kind) -> NewRecord {
    turned(log, seq, kind, 5)
}

fn turned(log: LogId, seq: u64, kind: Kind, at_ms: u64) -> NewRecord {
    let relayed = Relayed {
        log,
        seq: Seq(seq),
        at_ms,
        via: "truck".into(),
    };
    NewRecord {
        kind,
        origin: Arc::new(Origin {
            relayed: Some(relayed),
            ..Origin::default()
        }),
        payload: Bytes::new(),
    }
}

fn append(log: &dyn UpdateLog, records: Vec<NewRecord>) {
    block_on(log.append(DOC, records)).unwrap();
}

fn known(log: &dyn UpdateLog) -> Known {
    log.exchange(DOC).unwrap().known
}

/// The log of `store`'s present life.
fn here(log: &dyn UpdateLog) -> LogId {
    let identity = log.identity();
    LogId {
        store: identity.store,
        epoch: identity.epoch,
        doc: DOC,
    }
}

#[test]
fn what_is_held_of_other_logs_survives_restarts_and_a_rebuilt_index() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), small());
    append(&store, vec![created("m"), update("a")]);
    let (one, two) = (elsewhere(1), elsewhere(9));
    append(
        &store,
        vec![from(one, 3, Kind::Update), from(two, 40, Kind::Gapped)],
    );
    append(&store, vec![from(one, 8, Kind::Known), update("b")]);
    let expected = Known::from_iter([(one, Seq(8)), (two, Seq(40)), (here(&store), Seq(6))]);
    assert_eq!(known(&store), expected);
    store.close().unwrap();
    let (store, report) = open(dir.path(), small());
    assert!(report.clean, "{report:?}");
    assert_eq!(known(&store), expected);
    store.close().unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open(dir.path(), small());
    assert!(report.rebuilt.is_some());
    assert_eq!(known(&store), expected);
    assert!(block_on(store.verify(None)).unwrap().ok);
}

#[test]
fn a_new_life_names_its_records_apart_from_the_old_one() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), small());
    append(&store, vec![created("m"), update("a")]);
    let first = here(&store);
    let renewed = block_on(store.renew()).unwrap();
    assert_eq!(renewed.epoch, FIRST_EPOCH + 1);
    append(&store, vec![update("b")]);
    let second = here(&store);
    let expected = Known::from_iter([(first, Seq(2)), (second, Seq(3))]);
    assert_eq!(known(&store), expected);
    store.close().unwrap();
    let (store, _) = open(dir.path(), small());
    assert_eq!(store.identity(), renewed);
    assert_eq!(known(&store), expected);
    let born: Vec<_> = read_all(&store, DOC).unwrap();
    let born: Vec<_> = born.iter().map(|r| r.born(renewed.store)).collect();
    assert_eq!(born, [(first, Seq(1)), (first, Seq(2)), (second, Seq(3))]);
}

#[test]
fn a_store_restored_without_its_identity_begins_a_new_life() {
    let (dir, backup) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, _) = open(dir.path(), small());
    append(&store, vec![created("m")]);
    let first = here(&store);
    store.close().unwrap();
    copy_folder(dir.path(), backup.path());
    fs::remove_file(backup.path().join("IDENTITY")).unwrap();
    let (store, _) = open(backup.path(), small());
    append(&store, vec![update("after the restore")]);
    let second = here(&store);
    assert_ne!(first, second);
    assert_eq!(
        known(&store),
        Known::from_iter([(first, Seq(1)), (second, Seq(2))])
    );
}

fn a_map_is_turned_later_than_it_was_whatever_the_clocks_say(venue: &dyn Venue) {
    let log = venue.open();
    append(&*log, vec![created("m")]);
    let far = u64::MAX / 4;
    append(&*log, vec![turned(elsewhere(1), 1, Kind::Deleted, far)]);
    let deleted = log.exchange(DOC).unwrap();
    assert!(deleted.deleted && deleted.turned_at_ms == far);
    append(&*log, vec![crate::contract::record(Kind::Restored, b"")]);
    let restored = log.exchange(DOC).unwrap();
    assert!(!restored.deleted && restored.turned_at_ms == far + 1);
    assert_eq!((restored.name, restored.last), (Some(name("m")), Seq(3)));
    assert_eq!(read_all(&*log, DOC).unwrap()[2].born_at_ms(), far + 1);
    drop(log);
    assert_eq!(venue.open().exchange(DOC).unwrap().turned_at_ms, far + 1);
}

struct Memory(MemoryLog);

impl Venue for Memory {
    fn open(&self) -> Box<dyn UpdateLog> {
        Box::new(self.0.clone())
    }
}

struct Folder(TempDir);

impl Venue for Folder {
    fn open(&self) -> Box<dyn UpdateLog> {
        Box::new(open(self.0.path(), small()).0)
    }
}

#[test]
fn of_two_turns_the_later_one_counts() {
    a_map_is_turned_later_than_it_was_whatever_the_clocks_say(&Memory(MemoryLog::new()));
    a_map_is_turned_later_than_it_was_whatever_the_clocks_say(&Folder(TempDir::new().unwrap()));
}
