//! Durable records that sled does not have yet, bounded in bytes: a full backlog holds the committer back,
//! so that memory stays bounded and sustained speed becomes sled's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mapweave_proto::DocId;

use crate::StoreError;
use crate::catalog::MapState;
use crate::journal::{Mark, Placed};

/// Bytes of records that may wait for sled.
pub(crate) const BACKLOG_BYTES_MAX: usize = 32 << 20;

/// What a waiting record takes in memory besides the bytes of its frame.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// Most bytes that are put into sled between two looks at the clock.
const PORTION_BYTES_MAX: usize = 1 << 20;

/// How long records may wait for sled while few do: what comes meanwhile goes in with them, at a fraction of the
/// cost. Readers who need what waits are not kept waiting.
const GATHER: Duration = Duration::from_millis(50);

/// Bytes that are enough to go in without gathering more.
const GATHERED_BYTES: usize = 256 << 10;

/// A durable batch: its records, and the state of each map after them.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Placed>,
    pub(crate) states: BTreeMap<DocId, MapState>,
    pub(crate) end: Mark,
}

impl Batch {
    fn bytes(&self) -> usize {
        bytes_of(&self.records)
    }
}

/// Memory that waiting records take, roughly.
pub(crate) fn bytes_of(records: &[Placed]) -> usize {
    let of = |placed: &Placed| placed.place.len as usize + RECORD_OVERHEAD_BYTES;
    records.iter().map(of).sum()
}

/// What the applier gets when it asks for work.
#[derive(Debug)]
pub(crate) enum Work {
    Batch(Batch),
    /// Nothing came in the time given.
    Idle,
    /// The backlog is closed and empty.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// For the applier: there is work.
    work: Condvar,
    /// For those who wait for the applier.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Batch>,
    bytes: usize,
    /// Number of the last frame that sled has.
    applied: u64,
    /// Number of the last frame that a reader waits for.
    awaited: u64,
    failed: Option<StoreError>,
    closed: bool,
}

impl State {
    /// Whether nothing speaks against waiting for more to go into sled together.
    fn gathers(&self) -> bool {
        self.bytes < GATHERED_BYTES && self.awaited <= self.applied && !self.closed
    }
}

impl Backlog {
    pub(crate) fn new(applied: u64) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            applied,
            awaited: applied,
            failed: None,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            changed: Condvar::new(),
        }
    }

    /// Waits until there is room for another batch.
    pub(crate) fn wait_for_room(&self) -> Result<(), StoreError> {
        let state =
            self.wait_while(|state| state.bytes >= BACKLOG_BYTES_MAX && state.failed.is_none());
        state.failed.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn push(&self, batch: Batch) {
        let mut state = self.state();
        let rests = state.waiting.is_empty();
        state.bytes += batch.bytes();
        state.waiting.push_back(batch);
        let news = rests || !state.gathers();
        drop(state);
        if news {
            self.work.notify_one();
        }
    }

    /// The next records for sled, several batches as one where they are small.
    pub(crate) fn take(&self, limit: Duration) -> Work {
        let state = self.state();
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let (state, _) = self
            .work
            .wait_timeout_while(state, limit, idle)
            .unwrap_or_else(PoisonError::into_inner);
        let few = |state: &mut State| !state.waiting.is_empty() && state.gathers();
        let (mut state, _) = self
            .work
            .wait_timeout_while(state, GATHER.min(limit), few)
            .unwrap_or_else(PoisonError::into_inner);
        let Some(mut first) = state.waiting.pop_front() else {
            return if state.closed {
                Work::Closed
            } else {
                Work::Idle
            };
        };
        let mut bytes = first.bytes();
        while bytes < PORTION_BYTES_MAX
            && let Some(next) = state.waiting.pop_front()
        {
            bytes += next.bytes();
            first.records.extend(next.records);
            first.states.extend(next.states);
            first.end = next.end;
        }
        Work::Batch(first)
    }

    /// sled has records of that many bytes.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        let was_full = state.bytes >= BACKLOG_BYTES_MAX;
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        if was_full {
            self.changed.notify_all();
        }
    }

    /// sled has everything up to frame `lsn`.
    pub(crate) fn applied(&self, lsn: u64) {
        self.state().applied = lsn;
        self.changed.notify_all();
    }

    /// sled takes nothing any more.
    pub(crate) fn fail(&self, error: StoreError) {
        self.state().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits until sled has frame `lsn`.
    pub(crate) fn wait_applied(&self, lsn: u64) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            state.awaited = state.awaited.max(lsn);
        }
        self.work.notify_one();
        let state = self.wait_while(|state| state.applied < lsn && state.failed.is_none());
        if state.applied >= lsn {
            Ok(())
        } else {
            state.failed.clone().map_or(Ok(()), Err)
        }
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
        self.changed.notify_all();
    }

    fn wait_while(&self, waits: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state();
        self.changed
            .wait_while(state, |state| waits(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
