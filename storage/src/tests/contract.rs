use tempfile::TempDir;

use super::{open, small};
use crate::contract::{self, Venue};
use crate::{MemoryLog, SledStore, StoreError, StoreOptions, UpdateLog};

struct InMemory(MemoryLog);

impl Venue for InMemory {
    fn open(&self) -> Box<dyn UpdateLog> {
        Box::new(self.0.clone())
    }
}

struct InFolder(TempDir, StoreOptions);

impl Venue for InFolder {
    fn open(&self) -> Box<dyn UpdateLog> {
        Box::new(open(self.0.path(), self.1.clone()).0)
    }
}

#[test]
fn the_memory_store_keeps_the_contract() {
    contract::all(|| InMemory(MemoryLog::new()));
}

#[test]
fn the_sled_store_keeps_the_contract() {
    contract::all(|| {
        InFolder(
            TempDir::new().unwrap(),
            StoreOptions {
                free_bytes_min: 0,
                ..StoreOptions::default()
            },
        )
    });
}

#[test]
fn the_sled_store_keeps_the_contract_with_tiny_files() {
    contract::all(|| InFolder(TempDir::new().unwrap(), small()));
}

#[test]
fn a_second_open_is_refused_by_name_of_the_folder() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), small());
    let error = SledStore::open(dir.path(), small()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path } if path == dir.path()));
    assert!(error.to_string().contains("--server URL"));
    store.close().unwrap();
    assert!(open(dir.path(), small()).1.clean);
}

#[test]
fn a_folder_without_a_store_is_not_made_one_unasked() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions {
        create: false,
        ..small()
    };
    assert!(matches!(
        SledStore::open(dir.path(), options),
        Err(StoreError::NoStore { .. })
    ));
}
