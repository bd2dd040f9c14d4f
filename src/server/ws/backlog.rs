//! What waits to be written to one connection, in bounded memory: a queue that is dropped whole when it
//! overflows. Pure: the socket is a function that takes some bytes. Start at [`Backlog::offer`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use mapweave_proto::{CloseReason, Message, Refusal, yws};

use super::frame;
use crate::room::Outgoing;

/// Most chunks handed to the system in one write.
const CHUNKS_PER_WRITE: usize = 32;

/// Most bytes that wait for a connection alone: thousands of acknowledgements. A peer that asks for more and
/// reads nothing is closed.
pub const OWN_BYTES_MAX: usize = 64 << 10;

/// A session's messages on their way out, and its room's news for it.
///
/// A queue that grows past its bound is dropped and marked *behind*: once the socket has drained, the room is
/// asked for one difference instead, and nothing else is queued before that comes. What is for this connection
/// alone is never dropped, since nobody would say it again.
#[derive(Debug)]
pub struct Backlog {
    queue: VecDeque<Chunk>,
    bytes: usize,
    own_bytes: usize,
    bytes_max: usize,
    /// Frames of whole states in the queue. They are shared or asked for, and do not count as a backlog.
    states: usize,
    phase: Phase,
    sent: bool,
    settled: Option<u64>,
    refused: Vec<(u64, Refusal)>,
    close: Option<CloseReason>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    for_whom: ForWhom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForWhom {
    /// The room says it to many, or can say it again.
    All,
    /// It is for this connection alone.
    Own,
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

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is queued.
    Queued,
    /// The connection is behind already; the difference will contain it.
    Passed,
    /// It did not fit, and the backlog was dropped with it.
    Overflowed,
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

impl Backlog {
    /// An empty backlog of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            own_bytes: 0,
            bytes_max,
            states: 0,
            phase: Phase::Keeping,
            sent: false,
            settled: None,
            refused: Vec::new(),
            close: None,
        }
    }

    /// Queues a message of the room, unless the connection is behind.
    pub fn offer(&mut self, outgoing: &Outgoing) -> Offered {
        let whole_state = matches!(outgoing.message, Message::SyncStep2(_));
        match self.phase {
            Phase::Behind => return Offered::Passed,
            Phase::Asking if !whole_state => return Offered::Passed,
            Phase::Asking => self.phase = Phase::Keeping,
            Phase::Keeping => {}
        }
        let frame = outgoing.frame(|message| frame::binary(&yws::encode(message)));
        let overflows = if whole_state {
            self.states > 0
        } else {
            !self.queue.is_empty() && self.bytes + frame.len() > self.bytes_max
        };
        if overflows {
            self.drop_queue();
            return Offered::Overflowed;
        }
        if whole_state {
            self.states += 1;
        } else {
            self.bytes += frame.len();
        }
        self.queue.push_back(Chunk {
            bytes: frame,
            for_whom: ForWhom::All,
        });
        Offered::Queued
    }

    /// Queues bytes that are for this connection alone: acknowledgements, pongs, a close. Beyond
    /// [`OWN_BYTES_MAX`] they are dropped, and the connection has to end.
    pub fn put(&mut self, frame: Bytes) {
        if self.own_bytes + frame.len() > OWN_BYTES_MAX {
            return self.close(CloseReason::SlowConsumer);
        }
        self.bytes += frame.len();
        self.own_bytes += frame.len();
        self.queue.push_back(Chunk {
            bytes: frame,
            for_whom: ForWhom::Own,
        });
    }

    /// Notes that every update up to number `upto` is durable.
    pub fn settled(&mut self, upto: u64) {
        self.settled = self.settled.max(Some(upto));
    }

    /// Notes that update `number` was not taken.
    pub fn refused(&mut self, number: u64, refusal: Refusal) {
        self.refused.push((number, refusal));
    }

    /// Notes that the connection has to end; the first reason counts.
    pub fn close(&mut self, reason: CloseReason) {
        self.close.get_or_insert(reason);
    }

    /// What the room had to say since the last call.
    pub fn news(&mut self) -> News {
        let wants_difference = self.phase == Phase::Behind && self.queue.is_empty();
        if wants_difference {
            self.phase = Phase::Asking;
        }
        News {
            settled: self.settled.take(),
            refused: std::mem::take(&mut self.refused),
            close: self.close.take(),
            sent: std::mem::take(&mut self.sent),
            wants_difference,
        }
    }

    /// Whether nothing waits for the socket.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether everything offered so far was handed to the socket.
    pub fn is_caught_up(&self) -> bool {
        self.queue.is_empty() && self.phase == Phase::Keeping
    }

    /// Hands to `socket` what it takes now. It says how many bytes it took, or that it would block.
    ///
    /// # Errors
    /// The socket's; the connection is over.
    pub fn write(
        &mut self,
        mut socket: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
            let mut count = 0;
            for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(&chunk.bytes);
                count += 1;
            }
            match socket(slices.get(..count).unwrap_or_default()) {
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
        (self.bytes, self.own_bytes, self.states) = (0, 0, 0);
        Ok(())
    }

    /// Forgets what the room says again in its difference. What is partly written must be ended, and what is
    /// for this connection alone is said only once.
    fn drop_queue(&mut self) {
        self.phase = Phase::Behind;
        let mut first = true;
        self.queue
            .retain(|chunk| std::mem::take(&mut first) || chunk.for_whom == ForWhom::Own);
        self.states = 0;
        self.bytes = self.queue.iter().map(|chunk| chunk.bytes.len()).sum();
    }

    fn advance(&mut self, mut written: usize) {
        self.sent = true;
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.queue.front_mut() {
            let step = written.min(front.bytes.len());
            if front.for_whom == ForWhom::Own {
                self.own_bytes = self.own_bytes.saturating_sub(step);
            }
            if front.bytes.len() > written {
                front.bytes.advance(written);
                return;
            }
            written -= step;
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn update(bytes: usize) -> Outgoing {
        Outgoing::new(Message::Update(vec![7; bytes].into()))
    }

    /// Takes everything that is written, up to `most` bytes.
    fn read(backlog: &mut Backlog, most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        backlog
            .write(|slices| {
                let all: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
                let count = all.len().min(most - out.len());
                if count == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                out.extend_from_slice(&all[..count]);
                Ok(count)
            })
            .unwrap();
        out
    }

    #[test]
    fn an_overflow_drops_what_the_room_says_again_and_keeps_acknowledgements() {
        let mut backlog = Backlog::new(100);
        assert_eq!(backlog.offer(&update(60)), Offered::Queued);
        let begun = read(&mut backlog, 10).len();
        assert_eq!(begun, 10);
        backlog.put(Bytes::from_static(b"stored"));
        assert_eq!(backlog.offer(&update(20)), Offered::Queued);
        assert_eq!(backlog.offer(&update(50)), Offered::Overflowed);
        assert_eq!(backlog.offer(&update(1)), Offered::Passed);
        assert!(
            !backlog.news().wants_difference,
            "not before it has drained"
        );
        let rest = read(&mut backlog, usize::MAX);
        // Header of two bytes, tags and length of three, 60 bytes; then what was for this connection alone.
        assert_eq!(rest.len(), 65 - begun + 6);
        assert!(rest.ends_with(b"stored"));
        assert!(backlog.news().wants_difference);
        assert_eq!(
            backlog.offer(&update(1)),
            Offered::Passed,
            "it is in the difference"
        );
        let difference = Outgoing::new(Message::SyncStep2(vec![0; 500].into()));
        assert_eq!(backlog.offer(&difference), Offered::Queued);
        assert_eq!(backlog.offer(&update(1)), Offered::Queued);
    }

    #[test]
    fn a_peer_that_asks_and_never_reads_is_closed_in_bounded_memory() {
        let mut backlog = Backlog::new(1 << 20);
        for _ in 0..10_000 {
            backlog.put(Bytes::from_static(&[0; 127]));
        }
        assert!(backlog.own_bytes <= OWN_BYTES_MAX);
        assert_eq!(backlog.news().close, Some(CloseReason::SlowConsumer));
        read(&mut backlog, usize::MAX);
        assert_eq!((backlog.own_bytes, backlog.bytes), (0, 0));
    }
}
