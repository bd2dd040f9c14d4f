//! One Hocuspocus socket with its maps, as a state machine. Start from [`Switchboard`].
//!
//! Every map of the socket is a [`Session`] of its own, told apart by the address before each message. What is
//! wrong with one map (no such name, deleted, an edit refused) is told at its address and leaves the others
//! alone; what the client should meet with a new connection ends the socket.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::rate::Bucket;
use super::{Access, Effect, Event, Session, SessionLimits, ToRoom, close_reason};
use crate::codec::hocuspocus::{self, Address, Answer, Incoming, Said};
use crate::error::CloseReason;
use crate::limits::{ADDRESSING_BYTES_MAX, MAPS_PER_SOCKET_MAX};
use crate::message::Message;

/// One map of a socket while it is attached; never given twice on one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u64);

impl LaneId {
    /// What belongs to the socket itself and to none of its maps.
    pub const SOCKET: Self = Self(0);
}

/// One Hocuspocus socket.
#[derive(Debug)]
pub struct Switchboard {
    limits: SessionLimits,
    lanes: BTreeMap<LaneId, Lane>,
    by_address: HashMap<Address, LaneId>,
    last_lane: LaneId,
    /// The provider told its version: it is 4.0 or later, answers pings and knows that maps can be closed.
    tells_version: bool,
    messages: Bucket,
    bytes: Bucket,
    sent_ms: Option<u64>,
    ignored: u64,
    closed: bool,
}

#[derive(Debug)]
struct Lane {
    address: Address,
    /// A token came and wants an answer. Providers before 3.0 without a token begin with a sync request.
    greet: bool,
    /// What it began with, if that was no token.
    first: Option<Message>,
    /// Once the map is found.
    session: Option<Session>,
}

/// What happened.
#[derive(Debug)]
pub enum SocketEvent {
    /// One whole binary WebSocket message from the peer.
    Frame(Bytes),
    /// The map of an [`SocketEffect::Enter`] is there, and the peer may do this.
    Entered(LaneId, Access),
    /// The peer may not have the map of an [`SocketEffect::Enter`]: why.
    Denied(LaneId, String),
    /// Something for one map's session, from its room. Late ones do nothing.
    Lane(LaneId, Event),
    /// So many frames came that no message was made of, as [`Event::Frames`].
    Frames(u64),
    /// Something that was not asked for here went out to the peer.
    Sent,
    /// Time passed; due at [`Switchboard::next_tick_ms`], harmless at any time.
    Tick,
    /// End the connection.
    Stop(CloseReason),
}

/// What the shell must do, in this order.
#[derive(Debug)]
pub enum SocketEffect {
    /// Look for the map that the peer wants, and say [`SocketEvent::Entered`] or [`SocketEvent::Denied`] before
    /// anything else.
    Enter {
        /// What the map is called from now on.
        lane: LaneId,
        /// Its name, not checked, and perhaps a session.
        address: Address,
        /// Who the peer says it is, if it does.
        token: Option<String>,
    },
    /// Join the map that was entered.
    Join(LaneId),
    /// Tell the map's room.
    Room(LaneId, ToRoom),
    /// Send a frame to the peer, behind what the map's room has for it.
    Send(LaneId, Bytes),
    /// Leave the map; what was sent before still goes out.
    Leave(LaneId),
    /// Stop reading from the socket until then, as [`Effect::Pause`].
    Pause {
        /// On the clock of `now_ms`.
        until_ms: u64,
    },
    /// Close the connection. The last effect of a socket.
    Close(SocketClose),
}

/// Why and how a socket is closed. Only where the peer breaks its bounds the code is one that older providers
/// do not come back after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketClose {
    /// The WebSocket close code.
    pub code: u16,
    /// The text beside it.
    pub reason: String,
}

/// "Reset the connection": the code of Hocuspocus for a peer that does not keep to the protocol.
const RESET: u16 = 4205;
const TOO_LARGE: u16 = 1009;

impl From<&CloseReason> for SocketClose {
    fn from(reason: &CloseReason) -> Self {
        let code = match reason {
            CloseReason::TooLarge { .. } => TOO_LARGE,
            terminal if terminal.is_terminal() => RESET,
            other => other.code(),
        };
        let reason = reason.text();
        Self { code, reason }
    }
}

impl Switchboard {
    /// A socket without maps.
    pub fn new(limits: SessionLimits) -> Self {
        Self {
            messages: Bucket::new(limits.messages_per_s, limits.messages_burst),
            bytes: Bucket::new(limits.bytes_per_s, limits.bytes_burst),
            limits,
            lanes: BTreeMap::new(),
            by_address: HashMap::new(),
            last_lane: LaneId::SOCKET,
            tells_version: false,
            sent_ms: None,
            ignored: 0,
            closed: false,
        }
    }

    /// Takes one event and appends what must be done. `now_ms` is any clock that does not go back.
    pub fn handle(&mut self, now_ms: u64, event: SocketEvent, out: &mut Vec<SocketEffect>) {
        if self.closed {
            return;
        }
        match event {
            SocketEvent::Frame(frame) => self.frame(now_ms, frame, out),
            SocketEvent::Entered(lane, access) => self.entered(now_ms, lane, access, out),
            SocketEvent::Denied(lane, reason) => self.denied(now_ms, lane, reason, out),
            SocketEvent::Lane(lane, event) => self.of_lane(now_ms, lane, event, out),
            SocketEvent::Frames(count) => {
                if let Some(until_ms) = self.messages.take(now_ms, count) {
                    out.push(SocketEffect::Pause { until_ms });
                }
            }
            SocketEvent::Sent => self.sent_ms = Some(now_ms),
            SocketEvent::Tick => self.tick(now_ms, out),
            SocketEvent::Stop(reason) => self.close(&reason, out),
        }
    }

    /// When [`SocketEvent::Tick`] is due, on the clock of `now_ms`; not any more after the end.
    pub fn next_tick_ms(&self) -> Option<u64> {
        if self.closed {
            return None;
        }
        let keepalive_ms = self
            .sent_ms
            .map_or(0, |sent| sent.saturating_add(self.limits.keepalive_ms));
        let sessions = self.lanes.values().filter_map(|lane| lane.session.as_ref());
        sessions
            .filter_map(Session::next_tick_ms)
            .chain([keepalive_ms])
            .min()
    }

    /// How many maps are attached or about to be.
    pub fn maps(&self) -> usize {
        self.lanes.len()
    }

    /// How many messages were of an unknown type or for no map, and were passed over.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn frame(&mut self, now_ms: u64, frame: Bytes, out: &mut Vec<SocketEffect>) {
        let size_max = self
            .limits
            .update_bytes_max
            .saturating_add(ADDRESSING_BYTES_MAX);
        if frame.len() > size_max {
            let reason = CloseReason::TooLarge {
                what: "bytes of a message",
                size: frame.len() as u64,
                size_max: size_max as u64,
            };
            return self.close(&reason, out);
        }
        let paid_ms = [
            self.bytes.take(now_ms, frame.len() as u64),
            self.messages.take(now_ms, 1),
        ];
        if let Some(until_ms) = paid_ms.into_iter().flatten().max() {
            out.push(SocketEffect::Pause { until_ms });
        }
        match hocuspocus::decode(frame) {
            Ok(Incoming::Ping) => self.send(now_ms, LaneId::SOCKET, hocuspocus::pong(), out),
            Ok(Incoming::Pong) => {}
            Ok(Incoming::For(address, said)) => self.said(now_ms, address, said, out),
            Err(error) => self.close(&close_reason(error), out),
        }
    }

    fn said(&mut self, now_ms: u64, address: Address, said: Said, out: &mut Vec<SocketEffect>) {
        let lane = self.by_address.get(&address).copied();
        match (said, lane) {
            (Said::Token { token, version }, lane) => {
                self.tells_version |= version.is_some();
                match lane {
                    Some(lane) => self.greet_again(now_ms, lane, out),
                    None => self.enter(now_ms, address, Some(token), None, out),
                }
            }
            (Said::Message(message), Some(lane)) => {
                self.of_lane(now_ms, lane, Event::Message(message), out);
            }
            // A provider before 3.0 that has no token.
            (Said::Message(step1 @ Message::SyncStep1(_)), None) => {
                self.enter(now_ms, address, None, Some(step1), out);
            }
            (Said::Detach, Some(lane)) => self.leave(lane, out),
            (Said::Detach | Said::Message(_) | Said::Unknown { .. }, _) => self.ignored += 1,
        }
    }

    fn enter(
        &mut self,
        now_ms: u64,
        address: Address,
        token: Option<String>,
        first: Option<Message>,
        out: &mut Vec<SocketEffect>,
    ) {
        if self.lanes.len() >= MAPS_PER_SOCKET_MAX {
            let reason = format!("a connection has at most {MAPS_PER_SOCKET_MAX} maps");
            let frame = hocuspocus::encode_answer(&address, &Answer::Denied(reason));
            return self.send(now_ms, LaneId::SOCKET, frame, out);
        }
        let lane = LaneId(self.last_lane.0 + 1);
        self.last_lane = lane;
        self.by_address.insert(address.clone(), lane);
        let entering = Lane {
            address: address.clone(),
            greet: token.is_some(),
            session: None,
            first,
        };
        self.lanes.insert(lane, entering);
        out.push(SocketEffect::Enter {
            lane,
            address,
            token,
        });
    }

    fn entered(&mut self, now_ms: u64, id: LaneId, access: Access, out: &mut Vec<SocketEffect>) {
        let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.session.is_none()) else {
            return;
        };
        let mut session = Session::of_socket(self.limits.clone(), access);
        session.handle(now_ms, Event::Sent, &mut Vec::new());
        lane.session = Some(session);
        let (greet, first) = (lane.greet, lane.first.take());
        if greet {
            self.greet_again(now_ms, id, out);
        }
        out.push(SocketEffect::Join(id));
        if let Some(first) = first {
            self.of_lane(now_ms, id, Event::Message(first), out);
        }
    }

    /// A token for a map that is attached is taken as the one before it was.
    fn greet_again(&mut self, now_ms: u64, id: LaneId, out: &mut Vec<SocketEffect>) {
        let session = self.lanes.get(&id).and_then(|lane| lane.session.as_ref());
        let Some(access) = session.map(Session::access) else {
            return;
        };
        let read_only = !access.writes();
        self.answer(now_ms, id, &Answer::Granted { read_only }, out);
    }

    /// Forgets the address, so that the client may try it again.
    fn denied(&mut self, now_ms: u64, id: LaneId, reason: String, out: &mut Vec<SocketEffect>) {
        if let Some(lane) = self.forget(id) {
            let frame = hocuspocus::encode_answer(&lane.address, &Answer::Denied(reason));
            self.send(now_ms, LaneId::SOCKET, frame, out);
        }
    }

    fn of_lane(&mut self, now_ms: u64, id: LaneId, event: Event, out: &mut Vec<SocketEffect>) {
        let session = self.lanes.get_mut(&id).and_then(|l| l.session.as_mut());
        let Some(session) = session else {
            self.ignored += 1;
            return;
        };
        let mut effects = Vec::new();
        session.handle(now_ms, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Room(said) => out.push(SocketEffect::Room(id, said)),
                Effect::Answer(answer) => self.answer(now_ms, id, &answer, out),
                // A session of a socket has nothing in y-websocket's framing.
                Effect::Send(_) => {}
                Effect::Pause { until_ms } => out.push(SocketEffect::Pause { until_ms }),
                Effect::Close(CloseReason::Deleted) => self.lose(now_ms, id, out),
                Effect::Close(reason) => self.close(&reason, out),
            }
        }
    }

    /// The map was deleted; the others stay.
    fn lose(&mut self, now_ms: u64, id: LaneId, out: &mut Vec<SocketEffect>) {
        let reason = CloseReason::Deleted.text();
        let answer = match self.tells_version {
            true => Answer::Closed(reason),
            false => Answer::Denied(reason),
        };
        self.answer(now_ms, id, &answer, out);
        self.leave(id, out);
    }

    fn leave(&mut self, id: LaneId, out: &mut Vec<SocketEffect>) {
        if self.forget(id).is_some() {
            out.push(SocketEffect::Leave(id));
        }
    }

    fn forget(&mut self, id: LaneId) -> Option<Lane> {
        let lane = self.lanes.remove(&id)?;
        self.by_address.remove(&lane.address);
        Some(lane)
    }

    /// Every provider drops a socket that is silent for long. The first map speaks for all.
    fn tick(&mut self, now_ms: u64, out: &mut Vec<SocketEffect>) {
        let due = |lane: &Lane| {
            let due_ms = lane.session.as_ref().and_then(Session::next_tick_ms);
            due_ms.is_some_and(|due_ms| due_ms <= now_ms)
        };
        let due: Vec<LaneId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| due(lane))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.of_lane(now_ms, id, Event::Tick, out);
        }
        let sent_ms = *self.sent_ms.get_or_insert(now_ms);
        if now_ms < sent_ms.saturating_add(self.limits.keepalive_ms) {
            return;
        }
        let first = self.lanes.iter().find(|(_, lane)| lane.session.is_some());
        match first {
            _ if self.tells_version => {
                self.send(now_ms, LaneId::SOCKET, hocuspocus::ping(), out);
            }
            Some((id, lane)) => {
                let (id, frame) = (*id, hocuspocus::keepalive(&lane.address));
                self.send(now_ms, id, frame, out);
            }
            None => self.sent_ms = Some(now_ms),
        }
    }

    fn answer(&mut self, now_ms: u64, id: LaneId, answer: &Answer, out: &mut Vec<SocketEffect>) {
        if let Some(lane) = self.lanes.get(&id) {
            let frame = hocuspocus::encode_answer(&lane.address, answer);
            self.send(now_ms, id, frame, out);
        }
    }

    fn send(&mut self, now_ms: u64, lane: LaneId, frame: Bytes, out: &mut Vec<SocketEffect>) {
        self.sent_ms = Some(now_ms);
        out.push(SocketEffect::Send(lane, frame));
    }

    fn close(&mut self, reason: &CloseReason, out: &mut Vec<SocketEffect>) {
        if !std::mem::replace(&mut self.closed, true) {
            self.lanes.clear();
            self.by_address.clear();
            out.push(SocketEffect::Close(reason.into()));
        }
    }
}

#[cfg(test)]
mod tests;
