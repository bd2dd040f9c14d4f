//! Appends that wait for the committer, in the order in which they were called, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;
use mapweave_proto::DocId;

use crate::log::Appended;
use crate::{NewRecord, StoreError};

/// Payload bytes that may wait before a caller is blocked. One append larger than this passes alone.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 << 20;

/// What a waiting record counts besides its payload, in bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// Most records in one batch; one append larger than this passes alone.
const BATCH_RECORDS_MAX: usize = 1024;

/// Most payload bytes in one batch; one append larger than this passes alone.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// One call of append.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) doc: DocId,
    pub(crate) records: Vec<NewRecord>,
    /// Sum of the payloads.
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Result<Appended, StoreError>>,
}

impl Request {
    const fn weight(&self) -> usize {
        self.bytes + self.records.len() * RECORD_OVERHEAD_BYTES
    }
}

/// What the committer gets when it asks for work.
#[derive(Debug)]
pub(crate) enum Taken {
    Requests(Vec<Request>),
    /// Nothing came in the time given.
    Idle,
    /// The queue is closed and empty.
    Closed,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Takes a place in the queue; blocks while it is full.
    pub(crate) fn push(&self, request: Request) -> Result<(), StoreError> {
        let weight = request.weight();
        let mut state = self.state();
        while !state.closed && state.bytes > 0 && state.bytes + weight > QUEUE_BYTES_MAX {
            state = self
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.bytes += weight;
        state.waiting.push_back(request);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Everything that waits, up to a batch. Waits for something to come, at most `limit` where one is given.
    pub(crate) fn take(&self, limit: Option<Duration>) -> Taken {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            let Some(limit) = limit else {
                state = self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (after, timeout) = self
                .filled
                .wait_timeout(state, limit)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            if timeout.timed_out() && state.waiting.is_empty() && !state.closed {
                return Taken::Idle;
            }
        }
        let taken = state.batch();
        drop(state);
        self.drained.notify_all();
        Taken::Requests(taken)
    }

    /// Everything that waits, for a committer that must refuse it.
    pub(crate) fn drain(&self) -> Vec<Request> {
        let mut state = self.state();
        state.bytes = 0;
        let all = state.waiting.drain(..).collect();
        drop(state);
        self.drained.notify_all();
        all
    }

    /// No more is taken in; what waits is still handed out.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn batch(&mut self) -> Vec<Request> {
        let (mut taken, mut records, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = self.waiting.front() {
            let fits = records + next.records.len() <= BATCH_RECORDS_MAX
                && bytes + next.bytes <= BATCH_BYTES_MAX;
            if !fits && !taken.is_empty() {
                break;
            }
            (records, bytes) = (records + next.records.len(), bytes + next.bytes);
            self.bytes -= next.weight();
            taken.extend(self.waiting.pop_front());
        }
        taken
    }
}
