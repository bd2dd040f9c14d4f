//! Full disks and failed syncs: what the store says, what it keeps, how it gets well.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::StreamExt;
use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{on, open, small};
use crate::contract::{block_on, created, read_all, update};
use crate::{FaultyDisk, Health, HealthWatch, StoreError, StoreOptions, UpdateLog};

const DOC: DocId = DocId::from_bytes([1; 16]);

fn wait_for(watch: &mut HealthWatch, wanted: impl Fn(&Health) -> bool) {
    block_on(async {
        while let Some(health) = watch.next().await {
            if wanted(&health) {
                return;
            }
        }
        panic!("the watch ended");
    });
}

/// Appends until one is refused; how many were acknowledged in all.
fn fill(store: &dyn UpdateLog, bytes: usize) -> (u64, StoreError) {
    let mut last = Seq::ZERO;
    loop {
        let payload = vec![last.0 as u8; bytes];
        match block_on(store.append(DOC, vec![update(&payload), update(&payload)])) {
            Ok(appended) => last = appended.last,
            Err(error) => return (last.0, error),
        }
    }
}

#[test]
fn a_full_disk_refuses_keeps_what_was_acknowledged_and_heals() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let options = StoreOptions {
        journal_file_bytes: 1 << 20,
        ..on(&disk)
    };
    let (store, _) = open(dir.path(), options.clone());
    let mut watch = store.watch_health();
    block_on(store.append(DOC, vec![created("m")])).unwrap();
    disk.set_capacity(Some(disk.used() + 100_000));
    let (acknowledged, error) = fill(&store, 900);
    assert!(
        matches!(error, StoreError::ReadOnly { .. }) && !error.concerns_this_call_only(),
        "{error}"
    );
    assert!(acknowledged > 10 && matches!(store.health(), Health::ReadOnly(_)));
    assert_eq!(read_all(&store, DOC).unwrap().len() as u64, acknowledged);
    assert!(block_on(store.verify(None)).unwrap().ok);
    disk.set_capacity(None);
    wait_for(&mut watch, |health| *health == Health::Ok);
    let appended = block_on(store.append(DOC, vec![update(b"again")])).unwrap();
    assert_eq!(appended.last, Seq(acknowledged + 1));
    store.close().unwrap();
    let (store, report) = open(dir.path(), options);
    assert!(report.clean && report.problems.is_empty(), "{report:?}");
    assert_eq!(
        read_all(&store, DOC).unwrap().len() as u64,
        acknowledged + 1
    );
    assert!(block_on(store.verify(None)).unwrap().ok);
}

#[test]
fn a_disk_that_fills_while_a_new_file_is_begun_is_survived() {
    for room in (0..9_000).step_by(250) {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        let (store, _) = open(dir.path(), on(&disk));
        let mut watch = store.watch_health();
        block_on(store.append(DOC, vec![created("m"), update(vec![1; 7_000])])).unwrap();
        disk.set_capacity(Some(disk.used() + room));
        let (_, error) = fill(&store, 100);
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
        disk.set_capacity(None);
        wait_for(&mut watch, |health| *health == Health::Ok);
        let last = block_on(store.append(DOC, vec![update(b"again")]))
            .unwrap()
            .last;
        store.close().unwrap();
        let (store, report) = open(dir.path(), on(&disk));
        assert!(report.problems.is_empty(), "room {room}: {report:?}");
        assert_eq!(read_all(&store, DOC).unwrap().len() as u64, last.0);
        assert!(block_on(store.verify(None)).unwrap().ok, "room {room}");
    }
}

#[test]
fn everything_queued_behind_a_refused_append_is_refused_as_well() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = open(dir.path(), on(&disk));
    block_on(store.append(DOC, vec![created("m")])).unwrap();
    disk.set_capacity(Some(disk.used() + 50_000));
    let calls: Vec<_> = (0..200)
        .map(|_| store.append(DOC, vec![update([0; 2_000])]))
        .collect();
    let results: Vec<_> = calls.into_iter().map(block_on).collect();
    let failed = results.iter().position(Result::is_err).unwrap();
    // Those that came after the disk had healed could succeed again; here it has no reason to.
    assert!(results.iter().take(failed).all(Result::is_ok));
    let kept = read_all(&store, DOC).unwrap().len();
    assert_eq!(
        kept,
        1 + results.iter().filter(|result| result.is_ok()).count()
    );
    assert!(results.iter().filter(|result| result.is_err()).count() > 100);
}

#[test]
fn a_store_stops_before_the_disk_is_quite_full() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = open(
        dir.path(),
        StoreOptions {
            free_bytes_min: 1 << 20,
            ..on(&disk)
        },
    );
    let mut watch = store.watch_health();
    block_on(store.append(DOC, vec![created("m")])).unwrap();
    disk.set_capacity(Some(disk.used() + (1 << 20) - 1));
    let error = block_on(store.append(DOC, vec![update(b"x")])).unwrap_err();
    assert!(error.to_string().contains("1048575 bytes left"), "{error}");
    disk.set_capacity(Some(disk.used() + (2 << 20)));
    wait_for(&mut watch, |health| *health == Health::Ok);
    block_on(store.append(DOC, vec![update(b"x")])).unwrap();
}

#[test]
fn a_failed_sync_poisons_the_store_for_good() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    // No checkpoint in between, whose failing would be another story.
    let options = StoreOptions {
        checkpoint_interval: std::time::Duration::from_secs(60),
        ..on(&disk)
    };
    let (store, _) = open(dir.path(), options.clone());
    block_on(store.append(DOC, vec![created("m"), update(b"kept")])).unwrap();
    disk.fail_syncs(true);
    let error = block_on(store.append(DOC, vec![update(b"unsure")])).unwrap_err();
    assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
    disk.fail_syncs(false);
    for _ in 0..3 {
        let error = block_on(store.append(DOC, vec![update(b"refused")])).unwrap_err();
        assert!(matches!(error, StoreError::Poisoned { .. }), "{error}");
    }
    assert!(matches!(store.health(), Health::Poisoned(_)));
    // Reads serve durable state only.
    assert_eq!(read_all(&store, DOC).unwrap().len(), 2);
    assert!(store.close().is_err());
    let (store, report) = open(dir.path(), options);
    assert!(report.problems.is_empty(), "{report:?}");
    let records = read_all(&store, DOC).unwrap();
    assert!(
        records.len() == 2 || records.len() == 3,
        "never half, and never what was refused before the write"
    );
    assert!(block_on(store.verify(None)).unwrap().ok);
}

/// A small file system of the machine's own, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "mapweave-test"])
            .arg(path);
        mount
            .output()
            .ok()?
            .status
            .success()
            .then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_real_disk_that_fills_up_refuses_and_heals_where_one_may_be_mounted() {
    let dir = TempDir::new().unwrap();
    // Without the right to mount, the tests above stand for this one.
    let Some(mounted) = SmallDisk::mount(dir.path(), "112m") else {
        return;
    };
    let root = mounted.0.join("store");
    let options = StoreOptions {
        free_bytes_min: 32 << 20,
        journal_file_bytes: 4 << 20,
        ..small()
    };
    let (store, _) = open(&root, options.clone());
    let mut watch = store.watch_health();
    block_on(store.append(DOC, vec![created("m")])).unwrap();
    let filler = mounted.0.join("filler");
    std::fs::write(&filler, vec![1; 64 << 20]).unwrap();
    let (acknowledged, error) = fill(&store, 3_000);
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    assert_eq!(read_all(&store, DOC).unwrap().len() as u64, acknowledged);
    std::fs::remove_file(&filler).unwrap();
    wait_for(&mut watch, |health| *health == Health::Ok);
    block_on(store.append(DOC, vec![update(b"again")])).unwrap();
    store.close().unwrap();
    let (store, report) = open(&root, options.clone());
    assert!(report.clean, "{report:?}");
    assert_eq!(
        read_all(&store, DOC).unwrap().len() as u64,
        acknowledged + 1
    );
    store.close().unwrap();
    // A disk that is quite full is not opened on, and not touched.
    let mut filler = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut filler, &[1; 1 << 16]).is_ok() {}
    assert!(matches!(
        crate::SledStore::open(&root, options),
        Err(StoreError::Full { .. })
    ));
}
