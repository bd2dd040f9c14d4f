//! Appends that wait for the committer, in the order in which they were called, and those who wait for room to
//! append: so that the queue is bounded in bytes, and nobody who appends is ever blocked.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;
use mapweave_proto::DocId;

use crate::log::Appended;
use crate::{NewRecord, StoreError};

/// Bytes that may wait or be promised. One append larger than this passes alone.
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
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    /// Bytes that were promised to those who will push.
    reserved: usize,
    /// Those who want room, in the order in which they came.
    line: VecDeque<(usize, oneshot::Sender<Room>)>,
    closed: bool,
}

/// Room in the queue, given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.queue.change(|state| state.reserved -= self.bytes);
    }
}

impl Queue {
    /// Takes a place in the queue, whether or not there is room: whoever has to wait does so in [`Queue::room`].
    pub(crate) fn push(&self, request: Request) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.bytes += request.weight();
        state.waiting.push_back(request);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Room for `bytes`, at once or once the channel gives it. None where the queue is closed.
    pub(crate) fn room(self: &Arc<Self>, bytes: usize) -> Result<Room, oneshot::Receiver<Room>> {
        let (give, given) = oneshot::channel();
        let mut state = self.state();
        if state.closed {
            return Err(given);
        }
        if state.line.is_empty() && state.fits(bytes) {
            state.reserved += bytes;
            let queue = self.clone();
            return Ok(Room { queue, bytes });
        }
        state.line.push_back((bytes, give));
        Err(given)
    }

    /// Changes the state, then lets in who has room now.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state);
        let mut unwanted = Vec::new();
        while let Some((bytes, _)) = state.line.front()
            && state.fits(*bytes)
            && let Some((bytes, give)) = state.line.pop_front()
        {
            if give.is_canceled() {
                continue;
            }
            state.reserved += bytes;
            let queue = self.clone();
            unwanted.extend(give.send(Room { queue, bytes }).err());
        }
        drop(state);
        // Those who went away this very moment give their room back, which takes the lock again.
        drop(unwanted);
        changed
    }

    /// Everything that waits, up to a batch. Waits for something to come, at most `limit` where one is given.
    pub(crate) fn take(self: &Arc<Self>, limit: Option<Duration>) -> Taken {
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
        drop(state);
        // Nobody else takes from the queue, so that what was there still is.
        Taken::Requests(self.change(State::batch))
    }

    /// Everything that waits, for a committer that must refuse it.
    pub(crate) fn drain(self: &Arc<Self>) -> Vec<Request> {
        self.change(|state| {
            state.bytes = 0;
            state.waiting.drain(..).collect()
        })
    }

    /// No more is taken in; what waits is still handed out.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        // Whoever stands in line learns by it.
        let line = std::mem::take(&mut state.line);
        drop(state);
        drop(line);
        self.filled.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is room. One append that is larger than the bound passes alone.
    fn fits(&self, bytes: usize) -> bool {
        let taken = self.bytes + self.reserved;
        taken == 0 || taken.saturating_add(bytes) <= QUEUE_BYTES_MAX
    }

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
