//! Mapweave's durable update log: a journal in front of sled.
//!
//! **The durability sentence** stands at [`log`]: what [`UpdateLog::append`] acknowledged survives `kill -9`
//! and a power cut. Start from [`UpdateLog`]; [`MemoryLog`] implements it for tests. Byte layouts and
//! recovery are in `docs/storage.md`.
//!
//! This crate knows map ids, names and places, and no more: not what an update means, no runtime, no wire.

mod catalog;
pub use catalog::{Head, MapEntry};

#[cfg(any(test, feature = "testing"))]
pub mod contract;

mod disk;
pub use disk::{Disk, DiskFile, RealDisk};

mod error;
pub use error::{Damage, StoreError};

#[cfg(any(test, feature = "testing"))]
mod faulty;
#[cfg(any(test, feature = "testing"))]
pub use faulty::{Cut, FaultyDisk, Random};

mod header;

mod health;
pub use health::{Health, HealthWatch};

mod journal;
pub use journal::{JOURNAL_FILE_BYTES, Journal, WriteError};

mod known;
pub use known::{Exchange, FIRST_EPOCH, Known, LogId};

pub mod log;
pub use log::{Appended, Permit, Snapshot, UpdateLog};

mod memory;
pub use memory::MemoryLog;

pub mod raw;

mod record;
pub use record::{
    APPEND_BYTES_MAX, APPEND_RECORDS_MAX, CHAIN_START, Identity, Kind, NewRecord, Origin,
    PAYLOAD_BYTES_MAX, Protocol, Record, Relayed, STORE_LOG, TEXT_BYTES_MAX,
};

mod report;
pub use report::{MapReport, RecoveryReport, Report};

mod row;
mod sled_log;

mod snapshot;
pub use snapshot::SNAPSHOT_BYTES_MAX;

mod store;
pub use store::{Access, Clock, SledStore, StoreOptions};

mod verify;

#[cfg(test)]
mod tests;
