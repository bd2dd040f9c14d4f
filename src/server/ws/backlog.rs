//! What waits to be written to one connection, in bounded memory: a queue that is dropped whole when it
//! overflows. Pure: the socket is a function that takes some bytes. Start at [`Backlog::offer`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use mapweave_proto::hocuspocus::{self, Address};
use mapweave_proto::{CloseReason, Message, Refusal, yws};

use super::frame;
use crate::room::{Framing, Outgoing};

/// Most chunks handed to the system in one write.
const CHUNKS_PER_WRITE: usize = 32;

/// Most frames of its own, answers to what it sent, that may wait for a connection before nothing more is read
/// from it: four seconds of dragging, each step with an acknowledgement.
const ANSWERS_MAX: usize = 256;

/// A session's messages on their way out, and its room's news for it.
///
/// A queue that grows past its bound is dropped and marked *behind*: once the socket has drained, the room is
/// asked for one difference instead, and nothing else of the room is queued before that comes. What is for this
/// connection alone (acknowledgements, refusals) is in no difference and stays.
#[derive(Debug)]
pub struct Backlog {
    wire: Wire,
    queue: VecDeque<Chunk>,
    bytes: usize,
    /// Answers in the queue.
    answers: usize,
    bytes_max: usize,
    /// Frames of whole states in the queue. They are shared or asked for, and do not count as a backlog.
    states: usize,
    phase: Phase,
    sent: bool,
    settled: Option<u64>,
    answered: Option<u64>,
    refused: Vec<(u64, Refusal)>,
    close: Option<CloseReason>,
}

/// How the room's messages are framed.
#[derive(Debug)]
pub enum Wire {
    /// As for all clients of y-websocket and y-sweet.
    YWebsocket,
    /// As for a Hocuspocus provider at this address. If that is just the map's name, others have the same frames.
    Hocuspocus {
        /// Where the provider is.
        address: Address,
        /// Whether it is just the map's name.
        is_name: bool,
    },
}

impl Wire {
    /// The WebSocket frame of a message; `None` where the protocol has no such message.
    fn frame(&self, outgoing: &Outgoing) -> Option<Bytes> {
        match self {
            Self::YWebsocket => {
                let make = |message: &Message| match message {
                    Message::Stateless(_) | Message::Notice(_) => None,
                    message => Some(frame::binary(&yws::encode(message))),
                };
                outgoing.frame(Framing::YWebsocket, make)
            }
            Self::Hocuspocus { address, is_name } => {
                let make = |message: &Message| {
                    let body = hocuspocus::encode(address, message);
                    body.map(|body| frame::binary(&body))
                };
                match is_name {
                    true => outgoing.frame(Framing::Hocuspocus, make),
                    false => make(&outgoing.message),
                }
            }
        }
    }
}

/// A frame, or what is left of it.
#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The room told it; a difference can stand for it.
    Room,
    /// It answers something that this connection sent.
    Answer,
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
    /// The connection is behind already and the difference will contain it, or its protocol has no such message.
    Passed,
    /// It did not fit, and the backlog was dropped with it.
    Overflowed,
}

/// The room's news for a session, each told once.
#[derive(Debug, Default)]
pub struct News {
    /// Updates up to this number are durable.
    pub settled: Option<u64>,
    /// The session's sync request is answered, and cost so many bytes.
    pub answered: Option<u64>,
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
    /// An empty backlog of at most `bytes_max` bytes, for a client of y-websocket.
    pub fn new(bytes_max: usize) -> Self {
        Self::framed(Wire::YWebsocket, bytes_max)
    }

    /// An empty backlog of at most `bytes_max` bytes.
    pub fn framed(wire: Wire, bytes_max: usize) -> Self {
        Self {
            wire,
            queue: VecDeque::new(),
            bytes: 0,
            answers: 0,
            bytes_max,
            states: 0,
            phase: Phase::Keeping,
            sent: false,
            settled: None,
            answered: None,
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
        let Some(frame) = self.wire.frame(outgoing) else {
            return Offered::Passed;
        };
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
            whose: Whose::Room,
        });
        Offered::Queued
    }

    /// Queues bytes that are for this connection alone: acknowledgements, pongs, a close.
    pub fn put(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.answers += 1;
        self.queue.push_back(Chunk {
            bytes: frame,
            whose: Whose::Answer,
        });
    }

    /// Whether so many answers wait that the peer should not be listened to before it has read some.
    pub fn is_clogged(&self) -> bool {
        self.answers >= ANSWERS_MAX
    }

    /// Notes that every update up to number `upto` is durable.
    pub fn settled(&mut self, upto: u64) {
        self.settled = self.settled.max(Some(upto));
    }

    /// Notes that the session's sync request is answered, which cost `bytes`.
    pub fn answered(&mut self, bytes: u64) {
        let before = self.answered.unwrap_or(0);
        self.answered = Some(before.saturating_add(bytes));
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
        let wants_difference = self.wants_difference();
        if wants_difference {
            self.phase = Phase::Asking;
        }
        News {
            settled: self.settled.take(),
            answered: self.answered.take(),
            refused: std::mem::take(&mut self.refused),
            close: self.close.take(),
            sent: std::mem::take(&mut self.sent),
            wants_difference,
        }
    }

    /// Whether the backlog was dropped, the socket has drained and the room was not asked yet: the next
    /// [`Backlog::news`] say so.
    pub fn wants_difference(&self) -> bool {
        self.phase == Phase::Behind && self.queue.is_empty()
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
        (self.bytes, self.answers, self.states) = (0, 0, 0);
        Ok(())
    }

    /// As [`Backlog::write`], but no more than the first frame; whether all of that is written now.
    ///
    /// # Errors
    /// The socket's; the connection is over.
    pub fn write_front(
        &mut self,
        mut socket: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let mut left = self.queue.front().map_or(0, |chunk| chunk.bytes.len());
        self.write(|slices| {
            if left == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let written = socket(slices.get(..1).unwrap_or_default())?;
            left = left.saturating_sub(written);
            Ok(written)
        })?;
        Ok(left == 0)
    }

    /// Forgets what the room told but for what may be partly written: a frame once begun must be ended.
    fn drop_queue(&mut self) {
        self.phase = Phase::Behind;
        self.forget_told(true);
    }

    /// Forgets what the room told, but for the first frame where it is `begun`: that must be ended.
    pub fn forget_told(&mut self, begun: bool) {
        let first = begun.then(|| self.queue.pop_front()).flatten();
        self.queue.retain(|chunk| chunk.whose == Whose::Answer);
        if let Some(first) = first {
            self.queue.push_front(first);
        }
        self.states = 0;
        self.bytes = self.queue.iter().map(|chunk| chunk.bytes.len()).sum();
    }

    fn advance(&mut self, mut written: usize) {
        self.sent = true;
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.queue.front_mut() {
            if front.bytes.len() > written {
                front.bytes.advance(written);
                return;
            }
            written -= front.bytes.len();
            if front.whose == Whose::Answer {
                self.answers = self.answers.saturating_sub(1);
            }
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(bytes: usize) -> Outgoing {
        Outgoing::new(Message::Update(vec![7; bytes].into()))
    }

    fn written(backlog: &mut Backlog) -> Vec<u8> {
        let mut out = Vec::new();
        let all = backlog.write(|slices| {
            slices.iter().for_each(|slice| out.extend_from_slice(slice));
            Ok(slices.iter().map(|slice| slice.len()).sum())
        });
        all.unwrap();
        out
    }

    #[test]
    fn an_overflow_drops_what_the_room_told_and_no_answer() {
        let mut backlog = Backlog::new(100);
        assert_eq!(backlog.offer(&told(60)), Offered::Queued);
        backlog.put(Bytes::from_static(b"ack"));
        assert_eq!(backlog.offer(&told(20)), Offered::Queued);
        assert_eq!(backlog.offer(&told(60)), Offered::Overflowed);
        backlog.put(Bytes::from_static(b"refused"));
        let out = written(&mut backlog);
        assert_eq!(out.iter().filter(|byte| **byte == 7).count(), 60);
        assert!(out.ends_with(b"ackrefused"), "{out:?}");
        assert!(backlog.news().wants_difference);
    }

    #[test]
    fn a_peer_that_asks_and_never_reads_is_clogged_until_it_does() {
        let mut backlog = Backlog::new(100);
        for _ in 0..ANSWERS_MAX {
            assert!(!backlog.is_clogged());
            backlog.put(Bytes::from_static(b"pong"));
        }
        assert!(backlog.is_clogged());
        written(&mut backlog);
        assert!(!backlog.is_clogged());
    }
}
