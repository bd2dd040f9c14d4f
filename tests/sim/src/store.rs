//! A log whose durability comes later, and only as far as a crash lets it.

use std::collections::VecDeque;

use crate::content::{Range, clocks_of, deletes_of};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use mapweave::room::{
    Fetched, HeldLimits, Loaded, Replica, Verified, build, fetch, replay, verify,
};
use mapweave_proto::{DocId, MapName, Scanned, Seq, scan};
use mapweave_storage::{MemoryLog, NewRecord, UpdateLog};
use std::sync::Arc;

/// The one map of a simulation.
const DOC: DocId = DocId::from_bytes([1; 16]);

/// Appends that wait for their sync, the records behind it, and a copy of the map made from those alone.
pub(crate) struct Store {
    durable: MemoryLog,
    waiting: VecDeque<Vec<NewRecord>>,
    /// What the durable records say, replayed one by one: the judge of every promise.
    truth: Replica,
    last: Seq,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            durable: MemoryLog::new(),
            waiting: VecDeque::new(),
            truth: Replica::new(HeldLimits::NONE),
            last: Seq::ZERO,
        }
    }

    /// Queues records; they are not durable yet.
    pub(crate) fn append(&mut self, records: Vec<NewRecord>) {
        self.waiting.push_back(records);
    }

    /// Appends that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Makes the oldest append durable; how many records it has, and the place of the last.
    pub(crate) fn sync_one(&mut self) -> Result<Option<(u64, Seq)>, String> {
        let Some(records) = self.waiting.pop_front() else {
            return Ok(None);
        };
        let count = records.len() as u64;
        let appended = now(self.durable.append(DOC, records))?.map_err(|e| e.to_string())?;
        self.last = appended.last;
        let mut new = self.durable.read_log(DOC, appended.first, appended.last);
        while let Some(record) = now(new.next())? {
            let record = record.map_err(|error| error.to_string())?;
            replay(&mut self.truth, &record)
                .map_err(|why| format!("record {} cannot be replayed: {why}", record.seq))?;
        }
        Ok(Some((count, appended.last)))
    }

    /// Power goes: of the appends that wait, the first `survive` happen to be on the disk, unacknowledged.
    pub(crate) fn crash(&mut self, survive: usize) -> Result<(), String> {
        for _ in 0..survive {
            self.sync_one()?;
        }
        self.waiting.clear();
        Ok(())
    }

    /// A durable record vanishes: what no store may do.
    pub(crate) fn forget_one(&mut self) -> Result<(), String> {
        let shorter = MemoryLog::new();
        let keep = Seq(self.last.0.saturating_sub(1));
        let mut records = self.durable.read_log(DOC, Seq(1), keep);
        while let Some(record) = now(records.next())? {
            let record = record.map_err(|error| error.to_string())?;
            let again = NewRecord {
                kind: record.kind,
                origin: record.origin,
                payload: record.payload,
            };
            now(shorter.append(DOC, vec![again]))?.map_err(|error| error.to_string())?;
        }
        self.durable = shorter;
        self.last = keep;
        Ok(())
    }

    pub(crate) fn put_snapshot(&self, upto: Seq, bytes: Bytes) -> Result<(), String> {
        now(self.durable.put_snapshot(DOC, upto, bytes))?.map_err(|error| error.to_string())
    }

    /// What lies on disk, undecoded.
    pub(crate) fn fetch(&self) -> Result<Fetched, String> {
        now(fetch(&self.durable, DOC))?.map_err(|error| error.to_string())
    }

    /// The document as a restart finds it.
    pub(crate) fn build(&self, fetched: Fetched) -> Result<Loaded, String> {
        now(build(&self.durable, fetched))?.map_err(|error| error.to_string())
    }

    /// What durable records alone lead to.
    pub(crate) fn truth(&self) -> &Replica {
        &self.truth
    }

    /// Place of the last durable record.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    /// Whether the durable records hold all of `update`, in the document or waiting for its base.
    pub(crate) fn holds(&mut self, update: &Scanned) -> bool {
        holds(&mut self.truth, update)
    }

    /// The full check of `mapweave verify`.
    pub(crate) fn verify(&self) -> Result<Verified, String> {
        let store: Arc<dyn UpdateLog> = Arc::new(self.durable.clone());
        now(verify(&store, None))?.map_err(|error| error.to_string())
    }
}

/// Whether `replica` has all of `update`, in the document or waiting for its base.
fn holds(replica: &mut Replica, update: &Scanned) -> bool {
    if replica.brings_nothing(update) {
        return true;
    }
    let waiting = replica.held().cloned();
    let parts: Vec<Scanned> = waiting
        .chain(replica.encode_state().ok())
        .filter_map(|bytes| scan(bytes, usize::MAX).ok())
        .collect();
    let has = |of: fn(&Scanned) -> Vec<Range>| {
        let mut known: Vec<Range> = parts.iter().flat_map(of).collect();
        known.sort_unstable();
        of(update).into_iter().all(|range| covers(&known, range))
    };
    has(clocks_of) && has(deletes_of)
}

/// Whether sorted ranges cover one.
fn covers(known: &[Range], (client, mut from, end): Range) -> bool {
    for (_, start, past) in known.iter().filter(|range| range.0 == client) {
        if *start <= from {
            from = from.max(*past);
        }
    }
    from >= end
}

/// What the map is called.
pub(crate) fn name() -> MapName {
    #[allow(clippy::expect_used)]
    MapName::parse("simulated/map").expect("a good name")
}

/// The memory store answers at once.
fn now<T>(future: impl Future<Output = T>) -> Result<T, String> {
    std::pin::pin!(future)
        .now_or_never()
        .ok_or_else(|| "the store in memory made somebody wait".to_owned())
}
