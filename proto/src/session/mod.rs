//! One connection as a state machine, without socket, clock or task. Start from [`Session`].
//!
//! The shell feeds it [`Event`]s with the time and carries out the [`Effect`]s; frames are decoded and updates
//! scanned here, so that a connection's own task pays for what its peer sends. When an acknowledgement goes
//! out is decided in `acks.rs`, where the invariant stands.

mod access;
mod acks;
mod asking;
mod bounds;
mod counting;
mod incoming;
mod io;
mod rate;
mod statuses;
mod switchboard;
mod telling;

pub use self::access::{Access, Refusal};
pub use self::bounds::SessionLimits;
pub use self::io::{Effect, Event, ToRoom};
pub use self::rate::Bucket;
pub use self::switchboard::{Granted, LaneId, SocketClose, SocketEffect, SocketEvent, Switchboard};

use std::collections::VecDeque;

use bytes::Bytes;

use self::acks::Acks;
use self::asking::Asking;
use self::incoming::close_reason;
use self::statuses::Statuses;
use self::telling::Told;
use crate::codec::yws;
use crate::error::CloseReason;
use crate::limits;

/// One peer's connection to one map, in y-websocket's or y-sweet's framing; or one map of a Hocuspocus socket,
/// whose [`Switchboard`] takes its messages from their frames and frames what it says.
///
/// Greeting (the room has not taken it in; frames are kept) → syncing (the peer's first SyncStep2 has not
/// settled) → live → closing (nothing more comes out).
#[derive(Debug)]
pub struct Session {
    limits: SessionLimits,
    access: Access,
    phase: Phase,
    acks: Acks,
    /// Where the peer is told of every update by itself, as Hocuspocus does.
    statuses: Option<Statuses>,
    asking: Asking,
    messages: Bucket,
    bytes: Bucket,
    /// Bytes of texts for everyone.
    texts: Bucket,
    early: VecDeque<Bytes>,
    early_bytes: usize,
    sent_ms: Option<u64>,
    told: Told,
    ignored: u64,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The room has not taken it in yet.
    Greeting,
    /// What the peer had before is not durable yet.
    Syncing,
    /// What the peer had before is durable.
    Live,
    /// It ended.
    Closing,
}

impl Session {
    /// A connection just made.
    pub fn new(limits: SessionLimits, access: Access) -> Self {
        Self {
            messages: Bucket::new(limits.messages_per_s, limits.messages_burst),
            bytes: Bucket::new(limits.bytes_per_s, limits.bytes_burst),
            texts: Bucket::new(limits::STATELESS_BYTES_PER_S, limits::STATELESS_BYTES_BURST),
            limits,
            access,
            phase: Phase::Greeting,
            acks: Acks::default(),
            statuses: None,
            asking: Asking::default(),
            early: VecDeque::new(),
            early_bytes: 0,
            sent_ms: None,
            told: Told::default(),
            ignored: 0,
        }
    }

    /// A map of a Hocuspocus socket, which its room has just taken in. Signs of life are the socket's business.
    fn of_socket(limits: SessionLimits, access: Access) -> Self {
        let limits = SessionLimits {
            keepalive_ms: u64::MAX,
            ..limits
        };
        Self {
            phase: Phase::Syncing,
            statuses: Some(Statuses::default()),
            ..Self::new(limits, access)
        }
    }

    /// Takes one event and appends what must be done. `now_ms` is any clock that does not go back.
    pub fn handle(&mut self, now_ms: u64, event: Event, out: &mut Vec<Effect>) {
        if self.phase == Phase::Closing {
            return;
        }
        let mut turn = Turn { now_ms, out };
        match event {
            Event::Attached => self.attached(&mut turn),
            Event::Frame(frame) => self.frame(frame, &mut turn),
            Event::Message(message) => self.addressed(message, &mut turn),
            Event::Settled { upto } => self.settled(upto, &mut turn),
            Event::Refused { number, reason } => self.refused(number, reason, &mut turn),
            Event::Answered { bytes } => self.answered(bytes, &mut turn),
            Event::Frames(count) => {
                let paid_ms = self.messages.take(now_ms, count);
                self.pause(paid_ms, &mut turn);
            }
            Event::Sent => self.sent_ms = Some(now_ms),
            Event::Tick => self.tick(&mut turn),
            Event::Stop(reason) => self.close(reason, &mut turn),
        }
        self.release_acks(&mut turn);
    }

    /// When [`Event::Tick`] is due, on the clock of `now_ms`; not any more after the end.
    pub fn next_tick_ms(&self) -> Option<u64> {
        if self.phase == Phase::Closing {
            return None;
        }
        let keepalive_ms = self
            .sent_ms
            .map_or(0, |sent| sent.saturating_add(self.limits.keepalive_ms));
        let asking_ms = self.asking.due_ms().unwrap_or(u64::MAX);
        Some(keepalive_ms.min(asking_ms))
    }

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What the peer may do.
    pub fn access(&self) -> Access {
        self.access
    }

    /// What the peer may do from now on. What it sent before was judged by what held then.
    pub fn permit(&mut self, access: Access) {
        if access != self.access {
            // What is refused from now on is refused for another reason.
            self.told = Told::default();
        }
        self.access = access;
    }

    /// How many messages were of an unknown type or without consequence, and were passed over.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn attached(&mut self, turn: &mut Turn<'_>) {
        if self.phase != Phase::Greeting {
            return;
        }
        self.phase = Phase::Syncing;
        self.early_bytes = 0;
        for frame in std::mem::take(&mut self.early) {
            self.messages_of(frame, turn);
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        let asked = self.asking.next(turn.now_ms);
        self.ask(asked, turn);
        match self.sent_ms {
            None => self.sent_ms = Some(turn.now_ms),
            Some(sent) if turn.now_ms >= sent.saturating_add(self.limits.keepalive_ms) => {
                self.send(yws::keepalive(), turn);
            }
            Some(_) => {}
        }
    }

    fn pause(&self, paid_ms: Option<u64>, turn: &mut Turn<'_>) {
        if let Some(until_ms) = paid_ms {
            turn.out.push(Effect::Pause { until_ms });
        }
    }

    fn send(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        self.sent_ms = Some(turn.now_ms);
        turn.out.push(Effect::Send(frame));
    }

    fn close(&mut self, reason: CloseReason, turn: &mut Turn<'_>) {
        self.phase = Phase::Closing;
        self.early.clear();
        turn.out.push(Effect::Close(reason));
    }
}

/// One call of [`Session::handle`].
struct Turn<'a> {
    now_ms: u64,
    out: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    fn room(&mut self, to_room: ToRoom) {
        self.out.push(Effect::Room(to_room));
    }
}

#[cfg(test)]
mod tests;
