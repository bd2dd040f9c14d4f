//! Power cuts at every sync and in the middle of writes; sled lost, stale or garbage afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{copy_folder, on, open};
use crate::contract::{block_on, created, read_all, update};
use crate::{Cut, FaultyDisk, Health, NewRecord, Random, SledStore, StoreError, UpdateLog};

const DOCS: [DocId; 3] = [
    DocId::from_bytes([1; 16]),
    DocId::from_bytes([2; 16]),
    DocId::from_bytes([3; 16]),
];

/// What was acknowledged, and what was asked for at most, per map.
#[derive(Debug, Default)]
pub(super) struct Promised {
    asked: [Vec<Bytes>; 3],
    pub(super) acknowledged: [usize; 3],
    /// The newest of each map: older ones may be pruned.
    snapshots: BTreeMap<DocId, Seq>,
}

/// Writes until it is done or the power is gone.
pub(super) fn work(root: &Path, disk: &FaultyDisk, seed: u64, rounds: u32) -> Promised {
    let mut random = Random(seed);
    let mut promised = Promised::default();
    let Ok((store, _)) = SledStore::open(root, on(disk)) else {
        return promised;
    };
    for round in 0..rounds {
        let which = random.below(3) as usize;
        let doc = DOCS[which];
        let mut news = Vec::new();
        if promised.asked[which].is_empty() {
            news.push(created(&format!("map {which}")));
        }
        for _ in 0..=random.below(3) {
            let size = match random.below(10) {
                0 => 4_000 + random.below(9_000),
                1 => 0,
                _ => random.below(400),
            };
            // Zeros on purpose: they look like space that was never written.
            let fill = if random.below(4) == 0 { 0 } else { round as u8 };
            news.push(update(vec![fill; size as usize]));
        }
        promised.asked[which].extend(news.iter().map(|new: &NewRecord| new.payload.clone()));
        let Ok(appended) = block_on(store.append(doc, news)) else {
            break;
        };
        promised.acknowledged[which] = appended.last.0 as usize;
        if random.below(6) == 0
            && block_on(store.put_snapshot(doc, appended.last, vec![7; 3000].into())).is_ok()
        {
            promised.snapshots.insert(doc, appended.last);
        }
    }
    if disk.is_without_power() {
        assert!(matches!(
            store.health(),
            Health::Poisoned(_) | Health::ReadOnly(_) | Health::Ok
        ));
    }
    drop(store);
    promised
}

/// Everything acknowledged is there, nothing else than was asked for, and nothing is called damage.
fn check(root: &Path, disk: &FaultyDisk, promised: &Promised, context: &str) {
    let lost = lost(root, disk, promised, context);
    assert_eq!(lost, 0, "{context}: acknowledged records are gone");
}

/// How many acknowledged records are gone; all else must be right.
pub(super) fn lost(root: &Path, disk: &FaultyDisk, promised: &Promised, context: &str) -> usize {
    let (store, report) = open(root, on(disk));
    assert!(report.problems.is_empty(), "{context}: {report:?}");
    let mut lost = 0;
    for (which, doc) in DOCS.into_iter().enumerate() {
        let payloads: Vec<_> = match read_all(&store, doc) {
            Ok(records) => records.into_iter().map(|record| record.payload).collect(),
            Err(StoreError::UnknownMap { .. }) => Vec::new(),
            Err(error) => panic!("{context}: {error}"),
        };
        lost += promised.acknowledged[which].saturating_sub(payloads.len());
        assert!(
            promised.asked[which].starts_with(&payloads),
            "{context}: other records than were written"
        );
    }
    for (doc, upto) in &promised.snapshots {
        let found = block_on(store.snapshot(*doc, Some(*upto))).unwrap();
        assert_eq!(
            found.map(|found| found.upto),
            Some(*upto),
            "{context}: a snapshot is gone"
        );
    }
    let verified = block_on(store.verify(None)).unwrap();
    assert!(verified.ok, "{context}: {verified:?}");
    store.close().unwrap();
    lost
}

/// Does to sled what a power cut may do, and worse.
pub(super) fn ruin_sled(root: &Path, random: &mut Random) -> &'static str {
    let sled = root.join("sled");
    let db = sled.join("db");
    match random.below(5) {
        0 => "kept",
        1 => {
            let _ = fs::remove_dir_all(&sled);
            "lost"
        }
        2 => {
            change(&db, |bytes| {
                for _ in 0..20 {
                    let bit = random.below(bytes.len() as u64 * 8) as usize;
                    if let Some(byte) = bytes.get_mut(bit / 8) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
            });
            "flipped"
        }
        3 => {
            change(&db, |bytes| {
                bytes.truncate(random.below(bytes.len() as u64) as usize)
            });
            "cut"
        }
        _ => {
            fs::write(sled.join("snap.000000000000FFFF.generating"), b"").ok();
            change(&db, |bytes| {
                let len = bytes.len() / 2;
                bytes.truncate(len);
                bytes.resize(len * 2, 0);
            });
            "half zero"
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    if let Ok(mut bytes) = fs::read(path) {
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

fn cut_and_check(cut: Cut, seed: u64, rounds: u32) -> bool {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    disk.cut_power(cut);
    let promised = work(dir.path(), &disk, seed, rounds);
    let happened = disk.is_without_power();
    let mut random = Random(seed);
    disk.restore_power(random.number());
    let sled = ruin_sled(dir.path(), &mut random);
    let context = format!("{cut:?}, seed {seed}, sled {sled}");
    check(dir.path(), &disk, &promised, &context);
    // Recovery itself leaves a store that opens cleanly.
    let (store, report) = open(dir.path(), on(&disk));
    assert!(report.clean, "{context}: {report:?}");
    drop(store);
    happened
}

#[test]
fn whatever_was_acknowledged_survives_a_power_cut_at_every_sync() {
    let mut sync = 1;
    while cut_and_check(Cut::AtSync(sync), sync, 25) {
        sync += 1;
    }
    assert!(sync > 40, "only {sync} syncs were cut");
}

#[test]
fn whatever_was_acknowledged_survives_a_power_cut_in_the_middle_of_a_write() {
    let mut random = Random(0x6d61_7077);
    for seed in 0..60 {
        cut_and_check(Cut::AtByte(random.below(60_000)), seed, 40);
    }
}

#[test]
fn a_power_cut_during_recovery_loses_nothing_either() {
    for sync in 1..12 {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        disk.cut_power(Cut::AtByte(30_000));
        let promised = work(dir.path(), &disk, sync, 60);
        disk.restore_power(sync);
        let (syncs, _) = disk.work_done();
        disk.cut_power(Cut::AtSync(syncs + sync));
        drop(SledStore::open(dir.path(), on(&disk)));
        disk.restore_power(sync + 1);
        check(
            dir.path(),
            &disk,
            &promised,
            &format!("second cut at sync {sync}"),
        );
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_noticed_by_these_tests() {
    let noticed = (0..20).any(|seed| {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        let promised = work(dir.path(), &disk, seed, 10);
        disk.lie_about_syncs();
        let (store, _) = open(dir.path(), on(&disk));
        let count = promised.asked[0].len().max(1);
        let acknowledged =
            (0..20).map(|_| block_on(store.append(DOCS[0], vec![update([1; 50])])).is_ok());
        let acknowledged = acknowledged.filter(|ok| *ok).count();
        drop(store);
        disk.restore_power(seed);
        fs::remove_dir_all(dir.path().join("sled")).unwrap();
        let (store, _) = open(dir.path(), on(&disk));
        let left = read_all(&store, DOCS[0]).map_or(0, |records| records.len());
        acknowledged > 0 && left < count + acknowledged
    });
    assert!(noticed);
}

#[test]
fn a_sled_from_the_past_is_brought_up_to_date() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let copy = TempDir::new().unwrap();
    let mut promised = work(dir.path(), &disk, 1, 30);
    copy_folder(&dir.path().join("sled"), copy.path());
    let (store, _) = open(dir.path(), on(&disk));
    for n in 0..50u8 {
        block_on(store.append(DOCS[0], vec![update([n; 100])])).unwrap();
        promised.asked[0].push(Bytes::from(vec![n; 100]));
        promised.acknowledged[0] += 1;
    }
    store.close().unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    copy_folder(copy.path(), &dir.path().join("sled"));
    let (store, report) = open(dir.path(), on(&disk));
    assert_eq!(
        (report.replayed, report.rebuilt.clone()),
        (50, None),
        "{report:?}"
    );
    drop(store);
    check(dir.path(), &disk, &promised, "a stale sled");
}

#[test]
fn sled_is_rebuilt_from_the_archive_alone() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let promised = work(dir.path(), &disk, 3, 80);
    // A further life seals and archives the last file that has records.
    open(dir.path(), on(&disk)).0.close().unwrap();
    for file in disk.files() {
        if file.starts_with(dir.path().join("journal")) {
            assert!(
                disk.contents(&file).unwrap().len() <= 64,
                "{} is not archived",
                file.display()
            );
            disk.lose(&file);
        }
    }
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open(dir.path(), on(&disk));
    assert_eq!(report.rebuilt.as_deref(), Some("it is missing"));
    let promised_records: usize = promised.acknowledged.iter().sum();
    assert_eq!(report.replayed, promised_records as u64);
    drop(store);
    check(dir.path(), &disk, &promised, "archive only");
}
