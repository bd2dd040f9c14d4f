//! Tests of whole stores: the contract, crashes, damage, full disks, files of released formats.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod contract;
mod crash;
mod damage;
mod fixture;
mod full;
mod kill;
mod naming;
mod power;
mod queue;
mod relayed;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::{FaultyDisk, RecoveryReport, SledStore, StoreOptions};

/// Options for small stores: tiny files, so that sealing and archiving happen all the time.
fn small() -> StoreOptions {
    StoreOptions {
        journal_file_bytes: 8 << 10,
        cache_bytes: 4 << 20,
        free_bytes_min: 0,
        checkpoint_interval: Duration::from_millis(1),
        probe_interval: Duration::from_millis(1),
        ..StoreOptions::default()
    }
}

fn on(disk: &FaultyDisk) -> StoreOptions {
    StoreOptions {
        disk: Arc::new(disk.clone()),
        ..small()
    }
}

fn open(root: &Path, options: StoreOptions) -> (SledStore, RecoveryReport) {
    SledStore::open(root, options).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
