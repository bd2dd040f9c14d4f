//! One connection as a state machine, without socket, clock or task. Start from [`Session`].
//!
//! The shell feeds it [`Event`]s with the time and carries out the [`Effect`]s; frames are decoded and updates
//! scanned here, so that a connection's own task pays for what its peer sends. When an acknowledgement goes
//! out is decided in `acks.rs`, where the invariant stands.

mod access;
mod acks;
mod asking;
mod counting;
mod rate;
mod statuses;
mod switchboard;

pub use self::access::{Access, Refusal};
pub use self::switchboard::{Granted, LaneId, SocketClose, SocketEffect, SocketEvent, Switchboard};

use std::collections::VecDeque;

use bytes::Bytes;

use self::acks::Acks;
use self::asking::Asking;
use self::rate::Bucket;
use self::statuses::Statuses;
use crate::awareness::AwarenessUpdate;
use crate::codec::hocuspocus::Answer;
use crate::codec::yws;
use crate::error::{CloseReason, DecodeError};
use crate::limits;
use crate::message::Message;
use crate::state_vector::StateVector;
use crate::update::{ScanError, Scanned, scan};

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

/// What the peer was told of its edits, each once.
#[derive(Debug, Default)]
struct Told {
    /// That some are refused.
    refused: bool,
    /// That some are kept for an owner to decide about.
    kept: bool,
}

/// What a deployment may change of a session's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// See [`limits::UPDATE_BYTES_MAX`].
    pub update_bytes_max: usize,
    /// See [`limits::AWARENESS_BYTES_MAX`]; never above it.
    pub awareness_bytes_max: usize,
    /// See [`limits::KEEPALIVE_MS`].
    pub keepalive_ms: u64,
    /// See [`limits::MESSAGES_PER_S`].
    pub messages_per_s: u64,
    /// See [`limits::MESSAGES_BURST`].
    pub messages_burst: u64,
    /// See [`limits::BYTES_PER_S`].
    pub bytes_per_s: u64,
    /// See [`limits::BYTES_BURST`].
    pub bytes_burst: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            update_bytes_max: limits::UPDATE_BYTES_MAX,
            awareness_bytes_max: limits::AWARENESS_BYTES_MAX,
            keepalive_ms: limits::KEEPALIVE_MS,
            messages_per_s: limits::MESSAGES_PER_S,
            messages_burst: limits::MESSAGES_BURST,
            bytes_per_s: limits::BYTES_PER_S,
            bytes_burst: limits::BYTES_BURST,
        }
    }
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

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The room took us in. A spare one does nothing.
    Attached,
    /// One whole binary WebSocket message from the peer.
    Frame(Bytes),
    /// One message for this map of a Hocuspocus socket, already taken from its frame. Others pass over it.
    Message(Message),
    /// From the room: every update of this session numbered `upto` or lower is durable, or brought nothing
    /// while everything before it is durable.
    Settled {
        /// The highest such number.
        upto: u64,
    },
    /// From the room: this update was not applied.
    Refused {
        /// Its number.
        number: u64,
        /// Why.
        reason: Refusal,
    },
    /// From the room: the sync request that it had from this session is answered. Every one it gets is, by its
    /// answer or one to all.
    Answered {
        /// What had to be encoded for it, in bytes; counted against what the peer may send.
        bytes: u64,
    },
    /// So many frames came that no message was made of: fragments, pings and pongs. They take work as well, and count as
    /// messages of the peer.
    Frames(u64),
    /// Something that did not come from this session went out to the peer.
    Sent,
    /// Time passed; due at [`Session::next_tick_ms`], harmless at any time.
    Tick,
    /// End the connection.
    Stop(CloseReason),
}

/// What the shell must do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Tell the room.
    Room(ToRoom),
    /// Send a frame to the peer.
    Send(Bytes),
    /// Give the peer this answer, at the address of the map: only where it speaks Hocuspocus.
    Answer(Answer),
    /// Stop reading from the socket until then: the peer is over its rate. Frames that come nevertheless are
    /// handled and prolong the pause.
    Pause {
        /// On the clock of `now_ms`.
        until_ms: u64,
    },
    /// Close the connection. The last effect of a session.
    Close(CloseReason),
}

/// What a session has for its room.
#[derive(Debug)]
pub enum ToRoom {
    /// The peer has this and wants the rest.
    SyncStep1(StateVector),
    /// The peer sent an update.
    Update {
        /// Counts this session's updates from 1, without gaps.
        number: u64,
        /// The update, scanned; the room must judge it.
        update: Scanned,
        /// Whether it is a SyncStep2 rather than a change.
        step2: bool,
    },
    /// The peer sent presence, its own or others'.
    Awareness(AwarenessUpdate),
    /// The peer wants everybody's presence.
    QueryAwareness,
    /// The peer has asked anew and wants to be asked too: send it a SyncStep1.
    AskBack,
    /// The peer has something for everyone in the map, itself among them.
    Stateless(String),
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

    fn frame(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        let frame_bytes_max = self.limits.update_bytes_max.saturating_add(16);
        if frame.len() > frame_bytes_max {
            let (size, size_max) = (frame.len() as u64, frame_bytes_max as u64);
            return self.close(
                CloseReason::TooLarge {
                    what: "bytes of a message",
                    size,
                    size_max,
                },
                turn,
            );
        }
        let paid_ms = self.bytes.take(turn.now_ms, frame.len() as u64);
        self.pause(paid_ms, turn);
        if self.phase == Phase::Greeting {
            self.keep(frame, turn);
        } else {
            self.messages_of(frame, turn);
        }
    }

    /// Keeps a frame until the room takes us in: a client sends as soon as its socket opens.
    fn keep(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        self.early_bytes = self.early_bytes.saturating_add(frame.len());
        self.early.push_back(frame);
        if self.early_bytes > limits::GREETING_BYTES_MAX
            || self.early.len() > limits::GREETING_FRAMES_MAX
        {
            self.close(
                CloseReason::Unavailable("the map is still loading, come back"),
                turn,
            );
        }
    }

    fn messages_of(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        for message in yws::decode(frame) {
            if self.phase == Phase::Closing {
                return;
            }
            let paid_ms = self.messages.take(turn.now_ms, 1);
            self.pause(paid_ms, turn);
            match message {
                Ok(message) => self.message(message, turn),
                Err(DecodeError::UnknownMessage { .. }) => self.ignored += 1,
                Err(error) => self.close(close_reason(error), turn),
            }
        }
    }

    fn addressed(&mut self, message: Message, turn: &mut Turn<'_>) {
        if self.statuses.is_some() {
            self.message(message, turn);
        } else {
            self.ignored += 1;
        }
    }

    fn message(&mut self, message: Message, turn: &mut Turn<'_>) {
        match message {
            Message::SyncStep1(vector) => match StateVector::decode(vector) {
                Ok(vector) => {
                    if let Some(statuses) = &mut self.statuses {
                        statuses.begin(&vector, self.acks.received());
                    }
                    let asked = self.asking.ask(turn.now_ms, vector);
                    self.ask(asked, turn);
                }
                Err(error) => self.close(close_reason(error), turn),
            },
            Message::SyncStep2(update) => self.update(update, true, turn),
            Message::Update(update) => self.update(update, false, turn),
            Message::Awareness(awareness) => self.awareness(awareness, turn),
            Message::QueryAwareness if self.access.reads() => turn.room(ToRoom::QueryAwareness),
            Message::DurableAck(token) => self.asked(token, turn),
            Message::Stateless(payload) if self.statuses.is_some() && self.access.reads() => {
                let paid_ms = self.texts.take(turn.now_ms, payload.len() as u64);
                self.pause(paid_ms, turn);
                turn.room(ToRoom::Stateless(payload));
            }
            Message::QueryAwareness
            | Message::AuthDenied(_)
            | Message::AuthGranted
            | Message::Stateless(_)
            | Message::Notice(_)
            | Message::Custom { .. } => self.ignored += 1,
        }
    }

    fn update(&mut self, update: Bytes, step2: bool, turn: &mut Turn<'_>) {
        let update = match scan(update, self.limits.update_bytes_max) {
            Ok(update) => update,
            Err(error) if self.statuses.is_some() => {
                turn.out.push(Effect::Answer(Answer::Refused));
                return self.tell_refused(&Refusal::Corrupt(error.to_string()), turn);
            }
            Err(ScanError::TooLarge { bytes, bytes_max }) => {
                let (size, size_max) = (bytes as u64, bytes_max as u64);
                return self.close(
                    CloseReason::TooLarge {
                        what: "bytes of an update",
                        size,
                        size_max,
                    },
                    turn,
                );
            }
            Err(error) => return self.close(CloseReason::Corrupt(error.to_string()), turn),
        };
        if self.access == Access::ReadOnly && !step2 && !update.is_empty() {
            self.acks.refuse_unnumbered();
            if self.statuses.is_some() {
                turn.out.push(Effect::Answer(Answer::Refused));
            }
            return self.tell_refused(&Refusal::ReadOnly, turn);
        }
        let number = self.acks.receive(step2);
        if let Some(statuses) = &mut self.statuses {
            statuses.receive(number, &update, step2);
        }
        turn.room(ToRoom::Update {
            number,
            update,
            step2,
        });
    }

    fn awareness(&mut self, awareness: Bytes, turn: &mut Turn<'_>) {
        let size_max = self.limits.awareness_bytes_max;
        if awareness.len() > size_max {
            let (size, size_max) = (awareness.len() as u64, size_max as u64);
            return self.close(
                CloseReason::TooLarge {
                    what: "bytes of awareness",
                    size,
                    size_max,
                },
                turn,
            );
        }
        // Everybody in the map is told, and so it is paid for more than once.
        let cost = (awareness.len() as u64).saturating_mul(limits::AWARENESS_COST);
        let paid_ms = self.bytes.take(turn.now_ms, cost);
        self.pause(paid_ms, turn);
        match AwarenessUpdate::decode(awareness) {
            Ok(update) if update.entries.is_empty() => {}
            // Nobody is shown in a map that it does not see.
            Ok(_) if !self.access.reads() => self.ignored += 1,
            Ok(update) => turn.room(ToRoom::Awareness(update)),
            Err(error) => self.close(close_reason(error), turn),
        }
    }

    /// Answers a token at once, by itself if it is covered and else with a sign of life: y-sweet's client
    /// drops a connection on which nothing comes back within three seconds.
    fn asked(&mut self, token: Bytes, turn: &mut Turn<'_>) {
        self.acks.ask(token);
        if !self.release_acks(turn) {
            self.send(yws::keepalive(), turn);
        }
    }

    fn settled(&mut self, upto: u64, turn: &mut Turn<'_>) {
        self.acks.settle(upto);
        self.release_statuses(turn);
    }

    fn release_statuses(&mut self, turn: &mut Turn<'_>) {
        let (first_step2, settled) = (self.acks.first_step2(), self.acks.settled());
        if let Some(statuses) = &mut self.statuses {
            for _ in 0..statuses.release(first_step2, settled) {
                turn.out.push(Effect::Answer(Answer::Applied));
            }
        }
    }

    fn refused(&mut self, number: u64, reason: Refusal, turn: &mut Turn<'_>) {
        self.acks.refuse(number);
        let counted = self.statuses.as_mut().map(|s| s.refuse(number));
        match (counted, reason) {
            (None, reason) => self.refused_silently(reason, turn),
            (
                Some(Ok(true)),
                reason @ (Refusal::ReadOnly
                | Refusal::Forbidden(_)
                | Refusal::Kept
                | Refusal::Corrupt(_)),
            ) => {
                turn.out.push(Effect::Answer(Answer::Refused));
                self.tell_refused(&reason, turn);
                self.release_statuses(turn);
            }
            (Some(_), Refusal::Unavailable(what)) => {
                self.close(CloseReason::Unavailable(what), turn);
            }
            // Whoever connects anew is asked for all that is missing here.
            (Some(_), _) => {
                self.close(
                    CloseReason::Unavailable("an edit could not be taken, sync again"),
                    turn,
                );
            }
        }
    }

    /// Tells of a refusal where the protocol has no word for a single update.
    fn refused_silently(&mut self, reason: Refusal, turn: &mut Turn<'_>) {
        match reason {
            Refusal::Corrupt(what) => self.close(CloseReason::Corrupt(what), turn),
            Refusal::TooMuchHeld => {
                let reason =
                    CloseReason::Unavailable("too many updates wait for missing ones, sync again");
                self.close(reason, turn);
            }
            Refusal::Unavailable(what) => self.close(CloseReason::Unavailable(what), turn),
            other => self.tell_refused(&other, turn),
        }
    }

    /// Gives the reason for people, the first time on this connection: a client that is refused one edit usually goes on
    /// to be refused the next. That edits are kept is another matter, and said by itself.
    fn tell_refused(&mut self, refusal: &Refusal, turn: &mut Turn<'_>) {
        let Some(words) = refusal.words() else { return };
        let told = match refusal {
            Refusal::Kept => &mut self.told.kept,
            _ => &mut self.told.refused,
        };
        if std::mem::replace(told, true) {
            return;
        }
        match self.statuses {
            Some(_) => turn.out.push(Effect::Answer(Answer::Why {
                reason: words.to_owned(),
                kept: *refusal == Refusal::Kept,
            })),
            None => self.send(yws::encode(&Message::AuthDenied(words.to_owned())), turn),
        }
    }

    fn answered(&mut self, bytes: u64, turn: &mut Turn<'_>) {
        let cost = self.asking.answered(bytes);
        let paid_ms = self.bytes.take(turn.now_ms, cost);
        self.pause(paid_ms, turn);
        self.asking.pay_until(paid_ms);
        let asked = self.asking.next(turn.now_ms);
        self.ask(asked, turn);
    }

    /// Hands the room a sync request. A Hocuspocus provider that asks again wants to be asked again too: it counts
    /// one change as unsynced until its answer to that is durable. For the first one the room does it unbidden.
    fn ask(&self, vector: Option<StateVector>, turn: &mut Turn<'_>) {
        let Some(vector) = vector else {
            return;
        };
        let again = self.statuses.is_some() && self.asking.answers() > 0;
        turn.room(ToRoom::SyncStep1(vector));
        if again {
            turn.room(ToRoom::AskBack);
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

    /// Sends the newest token that is covered, and says whether there was one.
    fn release_acks(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.phase == Phase::Syncing && self.acks.synced() {
            self.phase = Phase::Live;
        }
        if self.phase != Phase::Live {
            return false;
        }
        let Some(token) = self.acks.answer() else {
            return false;
        };
        self.send(yws::encode(&Message::DurableAck(token)), turn);
        true
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

fn close_reason(error: DecodeError) -> CloseReason {
    match error {
        DecodeError::TooLarge {
            what,
            size,
            size_max,
        } => CloseReason::TooLarge {
            what,
            size,
            size_max,
        },
        error => CloseReason::Corrupt(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
