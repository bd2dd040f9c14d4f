//! The trait that stands before every store, and the values that go through it.
//!
//! **The durability sentence.** When [`UpdateLog::append`] has resolved to `Ok`, its records survive `kill -9`
//! and a power cut at any later instant: they lie in the journal behind an `fdatasync` that succeeded.
//! Nothing else in this crate promises that, and nothing is acknowledged to anyone before it.
//!
//! Knows no clock, no thread, no runtime, no engine.

use std::any::Any;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use mapweave_proto::{DocId, MapName, Seq};

use crate::{
    Exchange, Head, Health, HealthWatch, Identity, MapEntry, NewRecord, Record, Report, StoreError,
};

/// Appended records: the places of the first and the last, and the map's hash chain after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Place of the first record of the call.
    pub first: Seq,
    /// Place of the last record of the call.
    pub last: Seq,
    /// The map's chain at `last`.
    pub chain: [u8; 32],
}

/// A stored state of a map: everything up to and including `upto`, as the caller encoded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Last record that the snapshot contains.
    pub upto: Seq,
    /// What the caller gave to [`UpdateLog::put_snapshot`], checked against its checksum.
    pub bytes: Bytes,
}

/// Room in a store's queue, given back when dropped.
#[must_use = "the room is given back when the permit is dropped"]
pub struct Permit {
    _held: Option<Box<dyn Any + Send>>,
}

impl Permit {
    /// Of a store whose queue has no bound.
    pub fn free() -> Self {
        Self { _held: None }
    }

    /// Which gives room back by dropping `held`.
    pub fn holding(held: impl Any + Send) -> Self {
        Self {
            _held: Some(Box::new(held)),
        }
    }
}

/// A log of updates per map. One implementation owns its folder or connection alone.
///
/// All methods may be called from any thread at any time. Futures make progress without being polled
/// (dropping one abandons the answer, not the work).
pub trait UpdateLog: Send + Sync + 'static {
    /// Appends `records` to the log of `doc`, in order and next to each other.
    ///
    /// The order of calls on one `doc` is the order of its log, whether or not earlier futures were
    /// awaited: the place in the queue is taken before this method returns. Never blocks, however long the
    /// queue is: whoever appends what others send takes a [`Permit`] from [`UpdateLog::reserve`] first.
    ///
    /// A map comes into being by a first record of kind [`crate::Kind::Created`]. A log holds each record of another
    /// log once: this is the one place that sees all who append, so it refuses a second with [`StoreError::Held`].
    ///
    /// # Errors
    /// The records are not acknowledged and the store refuses further writes until [`UpdateLog::health`] is
    /// `Ok` again: see [`StoreError`]. After a restart they may be there all the same.
    fn append(
        &self,
        doc: DocId,
        records: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Appended, StoreError>>;

    /// Room in the queue for records with payloads of `bytes` together; resolves when there is some. Hold the
    /// permit until [`UpdateLog::append`] has returned. Permits are given in the order in which they were asked
    /// for; a store that takes no more appends gives one at once.
    ///
    /// # Cancel safety
    /// Safe: who asked and waits no longer has no place in the line, and takes no room.
    fn reserve(&self, bytes: usize) -> BoxFuture<'static, Permit> {
        _ = bytes;
        Box::pin(std::future::ready(Permit::free()))
    }

    /// The records with `from <= seq <= to` in order, each checked (checksum, chain, no gap). Durable ones only.
    ///
    /// # Errors
    /// The stream ends after its first error. A damaged record is named with file and offset.
    fn read_log(
        &self,
        doc: DocId,
        from: Seq,
        to: Seq,
    ) -> BoxStream<'static, Result<Record, StoreError>>;

    /// First and last place, count, chain and newest snapshot of a map; `None` for an unknown id. Durable state.
    fn head(&self, doc: DocId) -> Result<Option<Head>, StoreError>;

    /// Stores a snapshot durably. `upto` must be durable already.
    fn put_snapshot(
        &self,
        doc: DocId,
        upto: Seq,
        bytes: Bytes,
    ) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The newest readable snapshot at or before `at` (any, where `None`). A damaged one is reported to the
    /// log and passed over: the records are the truth, a snapshot only saves time.
    fn snapshot(
        &self,
        doc: DocId,
        at: Option<Seq>,
    ) -> BoxFuture<'static, Result<Option<Snapshot>, StoreError>>;

    /// The map that bears `name` now, deleted or not; the newest where there were several.
    fn map(&self, name: &MapName) -> Option<MapEntry>;

    /// All maps, by name; deleted ones too.
    fn maps(&self) -> Vec<MapEntry>;

    /// Reads everything and checks it: checksums, chains, gaps, heads, snapshots. Changes nothing.
    fn verify(&self, doc: Option<DocId>) -> BoxFuture<'static, Result<Report, StoreError>>;

    /// Whether the store accepts writes, and why not.
    fn health(&self) -> Health;

    /// The health now, then every change of it, until the store is closed.
    fn watch_health(&self) -> HealthWatch;

    /// Which store this is, and which of its lives: the epoch of event ids, and the id of relayed records.
    fn identity(&self) -> Identity;

    /// What relays have to know of a map; `None` for an unknown id. Durable state.
    fn exchange(&self, doc: DocId) -> Option<Exchange>;

    /// Begins a new life of the store, durably: its epoch grows, since places in its logs may mean other records than
    /// before.
    ///
    /// # Errors
    /// The disk's; nothing has changed then.
    fn renew(&self) -> BoxFuture<'static, Result<Identity, StoreError>>;
}
