//! What waits to be written to one connection, in bounded memory.
//!
//! The room writes straight to the socket while it takes everything, which costs no task switch; what the
//! socket does not take waits here for the connection's own task. A queue that grows past its bound is dropped
//! whole and marked *behind*: once the socket has drained, the room sends one difference instead.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use mapweave_proto::{CloseReason, Message, Refusal, yws};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::frame;
use crate::room::{Outgoing, Peer};

/// Most chunks handed to the system in one write.
const CHUNKS_PER_WRITE: usize = 32;

/// A session's messages on their way out, and its room's news for it.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// Rings for the connection's task when there is something it must do.
    wake: Notify,
    stream: Arc<TcpStream>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// Frames of whole states in the queue. They are shared or asked for, and do not count as a backlog.
    states: usize,
    phase: Phase,
    sent: bool,
    settled: Option<u64>,
    refused: Vec<(u64, Refusal)>,
    close: Option<CloseReason>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everything is queued or written.
    #[default]
    Keeping,
    /// The queue overflowed: nothing is queued until the socket has drained.
    Behind,
    /// The socket has drained and the room was asked for a difference.
    Asking,
}

/// The room's news for a session, each told once.
#[derive(Debug, Default)]
pub struct News {
    /// Updates up to this number are durable.
    pub settled: Option<u64>,
    /// Updates that were not taken.
    pub refused: Vec<(u64, Refusal)>,
    /// The connection has to end.
    pub close: Option<CloseReason>,
    /// Something went out since the last call.
    pub sent: bool,
    /// The backlog was dropped and the socket has drained: ask the room for a difference.
    pub wants_difference: bool,
}

impl Outbox {
    /// An empty outbox that writes to `stream` and keeps at most `bytes_max` bytes that wait.
    pub fn new(stream: Arc<TcpStream>, bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            stream,
            bytes_max,
        }
    }

    /// Completes when [`Outbox::news`] or [`Outbox::flush`] has something to do.
    ///
    /// # Cancel safety
    /// Safe: a call rung for nobody is kept for the next.
    pub async fn rung(&self) {
        self.wake.notified().await;
    }

    /// Puts bytes out that are for this connection alone: acknowledgements, pongs, a close.
    pub fn put(&self, frame: Bytes) {
        let mut state = self.lock();
        state.push(frame);
        self.write_or_ring(&mut state);
    }

    /// Whether bytes wait for the socket.
    pub fn has_backlog(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// The socket's; the connection is over.
    pub fn flush(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.write(&self.stream)
    }

    /// What the room had to say since the last call.
    pub fn news(&self) -> News {
        let mut state = self.lock();
        let wants_difference = state.phase == Phase::Behind && state.queue.is_empty();
        if wants_difference {
            state.phase = Phase::Asking;
        }
        News {
            settled: state.settled.take(),
            refused: std::mem::take(&mut state.refused),
            close: state.close.take(),
            sent: std::mem::take(&mut state.sent),
            wants_difference,
        }
    }

    fn write_or_ring(&self, state: &mut State) {
        // An error is met again, and answered, by the connection's own task.
        if state.write(&self.stream).is_err() || !state.queue.is_empty() {
            self.wake.notify_one();
        }
    }

    /// Held for a few non-blocking steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Outbox {
    fn send(&self, outgoing: &Outgoing) {
        let whole_state = matches!(outgoing.message, Message::SyncStep2(_));
        let mut state = self.lock();
        match state.phase {
            Phase::Behind => return,
            Phase::Asking if !whole_state => return,
            Phase::Asking => state.phase = Phase::Keeping,
            Phase::Keeping => {}
        }
        let frame = outgoing.frame(|message| frame::binary(&yws::encode(message)));
        let overflows = if whole_state {
            state.states > 0
        } else {
            !state.queue.is_empty() && state.bytes + frame.len() > self.bytes_max
        };
        if overflows {
            state.drop_backlog();
            metrics::counter!("mapweave_sessions_behind_total").increment(1);
            return;
        }
        if whole_state {
            state.states += 1;
            state.queue.push_back(frame);
        } else {
            state.push(frame);
        }
        self.write_or_ring(&mut state);
    }

    fn settled(&self, upto: u64) {
        let mut state = self.lock();
        state.settled = state.settled.max(Some(upto));
        self.wake.notify_one();
    }

    fn refused(&self, number: u64, refusal: Refusal) {
        self.lock().refused.push((number, refusal));
        self.wake.notify_one();
    }

    fn close(&self, reason: CloseReason) {
        self.lock().close.get_or_insert(reason);
        self.wake.notify_one();
    }

    fn is_caught_up(&self) -> bool {
        let state = self.lock();
        state.queue.is_empty() && state.phase == Phase::Keeping
    }
}

impl State {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.queue.push_back(frame);
    }

    /// Forgets all but what is partly written: a frame once begun must be ended.
    fn drop_backlog(&mut self) {
        self.phase = Phase::Behind;
        self.queue.truncate(1);
        self.states = 0;
        self.bytes = self.queue.front().map_or(0, Bytes::len);
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
            let mut count = 0;
            for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(chunk);
                count += 1;
            }
            match stream.try_write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // An idle connection keeps no memory for its queue.
        if self.queue.capacity() > 0 {
            self.queue = VecDeque::new();
        }
        (self.bytes, self.states) = (0, 0);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.sent = true;
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.queue.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
    }
}
