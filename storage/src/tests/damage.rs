//! Flipped bits, missing files, a sled that lies: found, named, and everything readable served.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{on, open};
use crate::contract::{block_on, created, read, read_all, update};
use crate::{Access, FaultyDisk, Random, SledStore, StoreError, StoreOptions, UpdateLog};

const DOC: DocId = DocId::from_bytes([1; 16]);
const OTHER: DocId = DocId::from_bytes([2; 16]);

/// A small store with archived and open journal files, a long record and a snapshot.
fn store(dir: &TempDir, disk: &FaultyDisk) -> u64 {
    for life in 0..3u8 {
        let (store, _) = open(dir.path(), on(disk));
        if life == 0 {
            block_on(store.append(DOC, vec![created("a"), update(vec![9; 6_000])])).unwrap();
            block_on(store.append(OTHER, vec![created("b")])).unwrap();
        }
        for n in 0..5 {
            block_on(store.append(DOC, vec![update([life, n])])).unwrap();
            block_on(store.append(OTHER, vec![update([life, n]), update([n])])).unwrap();
        }
        if life == 1 {
            block_on(store.put_snapshot(DOC, Seq(5), Bytes::from_static(b"snapshot"))).unwrap();
        }
        store.close().unwrap();
    }
    2 + 1 + 3 * 15
}

fn only(disk: &FaultyDisk, folder: &str, dir: &TempDir) -> Vec<PathBuf> {
    disk.files()
        .into_iter()
        .filter(|file| file.starts_with(dir.path().join(folder)))
        .collect()
}

/// Whether opening and checking the store says that something is wrong.
fn is_noticed(store: &SledStore, problems: usize, torn_bytes: u64) -> bool {
    problems > 0 || torn_bytes > 0 || !block_on(store.verify(None)).unwrap().ok
}

#[test]
fn every_flipped_bit_of_journal_archive_and_snapshots_is_found() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    store(&dir, &disk);
    let options = StoreOptions {
        access: Access::ReadOnly,
        ..on(&disk)
    };
    let (store, report) = open(dir.path(), options);
    assert!(report.clean && block_on(store.verify(None)).unwrap().ok);
    let files: Vec<_> = ["journal", "archive", "snapshots"]
        .iter()
        .flat_map(|f| only(&disk, f, &dir))
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    let mut random = Random(7);
    for file in files {
        let whole = disk.contents(&file).unwrap();
        // Every byte, one bit of each.
        for byte in 0..whole.len() {
            let bit = random.below(8);
            disk.tamper(&file, |bytes| bytes[byte] ^= 1 << bit);
            let report = block_on(store.verify(None)).unwrap();
            assert!(!report.ok, "{} byte {byte} bit {bit}", file.display());
            let named = file.strip_prefix(dir.path()).unwrap();
            assert!(
                report.problems.iter().any(|p| p.file == named),
                "{report:?} does not name {}",
                named.display()
            );
            disk.tamper(&file, |bytes| *bytes = whole.clone());
        }
    }
    assert!(block_on(store.verify(None)).unwrap().ok);
}

#[test]
fn a_store_with_a_flipped_bit_opens_says_so_and_serves_the_rest_also_without_sled() {
    let mut random = Random(11);
    let (origin, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let total = store(&origin, &disk);
    let files: Vec<_> = only(&disk, "archive", &origin)
        .into_iter()
        .chain(only(&disk, "journal", &origin))
        .collect();
    let whole: Vec<_> = files
        .iter()
        .map(|file| (file.clone(), disk.contents(file).unwrap()))
        .collect();
    for round in 0..60 {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        store(&dir, &disk);
        let files: Vec<_> = only(&disk, "archive", &dir)
            .into_iter()
            .chain(only(&disk, "journal", &dir))
            .collect();
        assert_eq!(files.len(), whole.len());
        let file = &files[random.below(files.len() as u64) as usize];
        let len = disk.contents(file).unwrap().len() as u64;
        let (byte, bit) = (random.below(len), random.below(8));
        disk.tamper(file, |bytes| bytes[byte as usize] ^= 1 << bit);
        let without_sled = round % 2 == 0;
        if without_sled {
            fs::remove_dir_all(dir.path().join("sled")).unwrap();
        }
        let context = format!(
            "{} byte {byte} bit {bit}, sled lost: {without_sled}",
            file.display()
        );
        let (store, report) = open(dir.path(), on(&disk));
        assert!(
            is_noticed(&store, report.problems.len(), report.torn_bytes),
            "{context}: {report:?}"
        );
        let mut readable = 0;
        for doc in [DOC, OTHER] {
            let Some(head) = store.head(doc).unwrap() else {
                continue;
            };
            for seq in head.first.0..=head.last.0 {
                readable +=
                    read(&store, doc, Seq(seq), Seq(seq)).map_or(0, |records| records.len() as u64);
            }
        }
        if without_sled {
            // One archive block holds a whole small file; then that file's records are gone.
            assert!(readable > 0 && readable <= total, "{context}: {readable}");
        } else {
            // sled has everything still, but for the one record that is too long for it.
            assert!(readable >= total - 1, "{context}: {readable}");
        }
        // And it goes on.
        for doc in [DOC, OTHER] {
            if store.head(doc).unwrap().is_some() {
                block_on(store.append(doc, vec![update(b"on")])).unwrap();
            }
        }
        store.close().unwrap();
        open(dir.path(), on(&disk)).0.close().unwrap();
    }
}

#[test]
fn a_damaged_record_is_named_and_its_neighbours_are_served() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = open(
        dir.path(),
        StoreOptions {
            journal_file_bytes: 1 << 20,
            ..on(&disk)
        },
    );
    block_on(store.append(DOC, vec![created("a")])).unwrap();
    block_on(store.append(OTHER, vec![created("b")])).unwrap();
    for n in 0..10u8 {
        block_on(store.append(DOC, vec![update([n; 50])])).unwrap();
    }
    let epoch = store.identity().epoch;
    store.close().unwrap();
    let file = only(&disk, "journal", &dir).remove(0);
    let at = disk
        .contents(&file)
        .unwrap()
        .windows(50)
        .position(|window| window == [4; 50])
        .unwrap();
    disk.tamper(&file, |bytes| bytes[at] ^= 1);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();

    let (store, report) = open(dir.path(), on(&disk));
    let damage = report
        .problems
        .iter()
        .find(|damage| damage.doc == Some(DOC))
        .unwrap();
    assert_eq!(
        (damage.seq, damage.file.to_str()),
        (Some(Seq(6)), Some("journal/00000001.log"))
    );
    assert!(damage.offset > 64 && (damage.offset as usize) < at);
    assert_ne!(store.identity().epoch, epoch);
    assert_eq!(read(&store, DOC, Seq(1), Seq(5)).unwrap().len(), 5);
    assert_eq!(read(&store, DOC, Seq(7), Seq(99)).unwrap().len(), 5);
    assert!(
        matches!(read_all(&store, DOC), Err(StoreError::Damaged(found)) if found.seq == Some(Seq(6)))
    );
    assert_eq!(read_all(&store, OTHER).unwrap().len(), 1);
    assert!(store.head(DOC).unwrap().unwrap().damaged.is_some());
    assert!(store.head(OTHER).unwrap().unwrap().damaged.is_none());
    let verified = block_on(store.verify(None)).unwrap();
    let bad: BTreeSet<_> = verified
        .maps
        .iter()
        .filter(|map| !map.ok)
        .map(|map| map.id)
        .collect();
    assert_eq!(bad, BTreeSet::from([DOC]), "{verified:?}");
    store.close().unwrap();

    // The mark stays.
    let (store, report) = open(dir.path(), on(&disk));
    assert!(report.problems.iter().any(|damage| damage.doc == Some(DOC)));
    assert!(store.head(DOC).unwrap().unwrap().damaged.is_some());
}

#[test]
fn a_missing_journal_file_is_named() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    store(&dir, &disk);
    let lost = only(&disk, "archive", &dir).remove(1);
    disk.lose(&lost);
    let (store, _) = open(dir.path(), on(&disk));
    let report = block_on(store.verify(None)).unwrap();
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.what.contains("missing")),
        "{report:?}"
    );
    // sled still has the records but for those that are too long for it.
    assert!(read_all(&store, OTHER).is_ok());
}

#[test]
fn what_sled_lost_is_read_from_the_journal_and_sled_is_rebuilt_at_the_next_open() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    store(&dir, &disk);
    {
        // A record in the middle goes without a word.
        let db = sled::open(dir.path().join("sled")).unwrap();
        let log = db.open_tree("log").unwrap();
        assert!(
            log.remove(crate::row::log_key(OTHER, Seq(7)))
                .unwrap()
                .is_some()
        );
        db.flush().unwrap();
    }
    let (store, report) = open(dir.path(), on(&disk));
    assert!(report.clean, "{report:?}");
    let records = read_all(&store, OTHER).unwrap();
    assert_eq!(records.len(), 31);
    assert!(!block_on(store.verify(None)).unwrap().ok);
    store.close().unwrap();
    let (store, report) = open(dir.path(), on(&disk));
    assert_eq!(report.rebuilt.as_deref(), Some("a read found it damaged"));
    assert_eq!(read_all(&store, OTHER).unwrap(), records);
    assert!(block_on(store.verify(None)).unwrap().ok);
    assert!(report.set_aside.unwrap().is_dir());
    store.close().unwrap();
    assert!(open(dir.path(), on(&disk)).1.clean);
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    store(&dir, &disk);
    let (store, _) = open(dir.path(), on(&disk));
    block_on(store.put_snapshot(DOC, Seq(9), Bytes::from_static(b"newer"))).unwrap();
    let newer = only(&disk, "snapshots", &dir).pop().unwrap();
    disk.tamper(&newer, |bytes| bytes[130] ^= 1);
    let found = block_on(store.snapshot(DOC, None)).unwrap().unwrap();
    assert_eq!((found.upto, &found.bytes[..]), (Seq(5), &b"snapshot"[..]));
}

#[test]
fn the_store_keeps_its_id_without_its_identity_file() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    store(&dir, &disk);
    let (store, _) = open(dir.path(), on(&disk));
    let before = store.identity();
    store.close().unwrap();
    disk.lose(&dir.path().join("IDENTITY"));
    let (store, report) = open(dir.path(), on(&disk));
    assert!(report.rebuilt.is_none(), "{report:?}");
    assert_eq!(store.identity().store, before.store);
    assert!(store.identity().epoch > before.epoch);
}
