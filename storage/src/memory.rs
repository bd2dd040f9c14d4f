//! A store without a disk, for tests and trials: the contract of [`UpdateLog`] but for durability.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, future, stream};
use mapweave_proto::{DocId, MapName, Seq};

use crate::catalog::{Catalog, Draft, check_append};
use crate::health::{HealthBoard, HealthWatch};
use crate::log::{Appended, Snapshot, UpdateLog};
use crate::verify::{MapCheck, report_of};
use crate::{Exchange, Head, Health, Identity, MapEntry, NewRecord, Record, Report, StoreError};

/// Logs in memory. Clones share them, so a clone stands for the store reopened.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
    health: HealthBoard,
    identity: Arc<Mutex<Identity>>,
}

#[derive(Debug, Default)]
struct State {
    catalog: Catalog,
    logs: HashMap<DocId, Vec<Record>>,
    snapshots: BTreeMap<(DocId, Seq), Bytes>,
}

impl MemoryLog {
    /// An empty store.
    pub fn new() -> Self {
        let identity = Identity {
            store: DocId::fresh().to_bytes(),
            epoch: 1,
        };
        Self {
            state: Arc::default(),
            health: HealthBoard::new(),
            identity: Arc::new(Mutex::new(identity)),
        }
    }

    /// Makes the store say that it is unwell (or well again), and refuse appends while it is: for tests of
    /// what happens then. [`Health::Poisoned`] stays.
    pub fn set_health(&self, health: Health) {
        self.health.set(health);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&self, doc: DocId, records: Vec<NewRecord>) -> Result<Appended, StoreError> {
        match self.health.get() {
            Health::Ok => {}
            Health::ReadOnly(why) => return Err(StoreError::ReadOnly { why }),
            Health::Poisoned(why) => return Err(StoreError::Poisoned { why }),
        }
        check_append(&records)?;
        let mut state = self.state();
        let mut draft = Draft::new(&state.catalog, self.identity(), now_ms());
        let placed = draft.place(&state.catalog, doc, records)?;
        let (Some(first), Some(last)) = (placed.first(), placed.last()) else {
            return Err(StoreError::Empty);
        };
        let appended = Appended {
            first: first.seq,
            last: last.seq,
            chain: last.chain,
        };
        for (doc, changed) in draft.into_changed() {
            state.catalog.put(doc, changed);
        }
        state.logs.entry(doc).or_default().extend(placed);
        Ok(appended)
    }

    fn put_snapshot_now(&self, doc: DocId, upto: Seq, bytes: Bytes) -> Result<(), StoreError> {
        let mut state = self.state();
        let last = state
            .catalog
            .state(doc)
            .ok_or(StoreError::UnknownMap { doc })?
            .head
            .last;
        if upto > last {
            return Err(StoreError::SnapshotAhead { doc, upto, last });
        }
        state.snapshots.insert((doc, upto), bytes);
        state.catalog.change_head(doc, |head| {
            head.newest_snapshot = head.newest_snapshot.max(Some(upto))
        });
        Ok(())
    }

    fn verify_now(&self, doc: Option<DocId>) -> Result<Report, StoreError> {
        let state = self.state();
        if let Some(doc) = doc
            && state.catalog.state(doc).is_none()
        {
            return Err(StoreError::UnknownMap { doc });
        }
        let wanted = state
            .catalog
            .states()
            .filter(|(id, _)| doc.is_none_or(|doc| doc == *id));
        let checks = wanted.map(|(id, map)| {
            let mut check = MapCheck::new(id, std::path::Path::new("memory"));
            state
                .logs
                .get(&id)
                .into_iter()
                .flatten()
                .for_each(|record| check.record(record));
            check.snapshots = state
                .snapshots
                .range((id, Seq::ZERO)..=(id, Seq(u64::MAX)))
                .count() as u64;
            check.finish(&map.head);
            (map.name.clone(), check)
        });
        Ok(report_of(checks.collect(), Vec::new()))
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl UpdateLog for MemoryLog {
    fn append(
        &self,
        doc: DocId,
        records: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        future::ready(self.append_now(doc, records)).boxed()
    }

    fn read_log(
        &self,
        doc: DocId,
        from: Seq,
        to: Seq,
    ) -> BoxStream<'static, Result<Record, StoreError>> {
        let state = self.state();
        let Some(log) = state.logs.get(&doc) else {
            return stream::iter([Err(StoreError::UnknownMap { doc })]).boxed();
        };
        let wanted: Vec<_> = log
            .iter()
            .filter(|r| from <= r.seq && r.seq <= to)
            .cloned()
            .map(Ok)
            .collect();
        stream::iter(wanted).boxed()
    }

    fn head(&self, doc: DocId) -> Result<Option<Head>, StoreError> {
        Ok(self
            .state()
            .catalog
            .state(doc)
            .map(|state| state.head.clone()))
    }

    fn put_snapshot(
        &self,
        doc: DocId,
        upto: Seq,
        bytes: Bytes,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        future::ready(self.put_snapshot_now(doc, upto, bytes)).boxed()
    }

    fn snapshot(
        &self,
        doc: DocId,
        at: Option<Seq>,
    ) -> BoxFuture<'static, Result<Option<Snapshot>, StoreError>> {
        let at = at.unwrap_or(Seq(u64::MAX));
        let state = self.state();
        let newest = state
            .snapshots
            .range((doc, Seq::ZERO)..=(doc, at))
            .next_back();
        let found = newest.map(|((_, upto), bytes)| Snapshot {
            upto: *upto,
            bytes: bytes.clone(),
        });
        future::ready(Ok(found)).boxed()
    }

    fn map(&self, name: &MapName) -> Option<MapEntry> {
        self.state().catalog.by_name(name)
    }

    fn maps(&self) -> Vec<MapEntry> {
        self.state().catalog.entries()
    }

    fn verify(&self, doc: Option<DocId>) -> BoxFuture<'static, Result<Report, StoreError>> {
        future::ready(self.verify_now(doc)).boxed()
    }

    fn health(&self) -> Health {
        self.health.get()
    }

    fn watch_health(&self) -> HealthWatch {
        self.health.watch()
    }

    fn identity(&self) -> Identity {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, doc: DocId) -> Option<Exchange> {
        let store = self.identity().store;
        let state = self.state();
        Some(state.catalog.state(doc)?.exchange(store, doc))
    }

    fn renew(&self) -> BoxFuture<'static, Result<Identity, StoreError>> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        identity.epoch = identity.epoch.saturating_add(1);
        future::ready(Ok(*identity)).boxed()
    }
}

/// Milliseconds since 1970 by the machine's clock; 0 where it stands before that.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
