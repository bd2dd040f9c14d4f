//! One Hocuspocus socket with its maps, as a state machine. Start from [`Switchboard`].
//!
//! Every map of the socket is a [`Session`] of its own, told apart by the address before each message. What is
//! wrong with one map (no such name, deleted, an edit refused) is told at its address and leaves the others
//! alone; what the client should meet with a new connection ends the socket. Who is let in is decided outside and
//! may take a while: `entering.rs`.

mod entering;
mod io;
mod waiting;

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

pub use self::entering::Granted;
use self::entering::{Attached, Stage};
pub use self::io::{SocketClose, SocketEffect, SocketEvent};
use self::waiting::Waiting;
use super::rate::Bucket;
use super::{Effect, Event, SessionLimits, close_reason};
use crate::codec::hocuspocus::{self, Address, Answer, Incoming, Said};
use crate::error::CloseReason;
use crate::limits::ADDRESSING_BYTES_MAX;
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
    /// What was said to maps that the peer is not let into yet.
    waiting: Waiting,
    /// Addresses that were denied: what their client had sent behind the token is no wish to enter without one.
    denied: HashSet<Address>,
    /// When the socket came.
    opened_ms: Option<u64>,
    /// Whether it was let into any map so far.
    entered: bool,
    messages: Bucket,
    bytes: Bucket,
    sent_ms: Option<u64>,
    ignored: u64,
    closed: bool,
}

#[derive(Debug)]
struct Lane {
    address: Address,
    stage: Stage,
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
            waiting: Waiting::default(),
            denied: HashSet::new(),
            opened_ms: None,
            entered: false,
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
        self.opened_ms.get_or_insert(now_ms);
        match event {
            SocketEvent::Frame(frame) => self.frame(now_ms, frame, out),
            SocketEvent::Entered(lane, granted) => self.entered(now_ms, lane, granted, out),
            SocketEvent::Renewed(lane, granted) => self.renewed(now_ms, lane, granted, out),
            SocketEvent::Denied(lane, reason) => self.denied(now_ms, lane, reason, out),
            SocketEvent::Ended(lane, reason) => self.ended(now_ms, lane, &reason, out),
            SocketEvent::Lane(lane, event) => self.of_lane(now_ms, lane, event, out),
            SocketEvent::Frames(count) => {
                if let Some(until_ms) = self.messages.take(now_ms, count) {
                    out.push(SocketEffect::Pause { until_ms });
                }
            }
            SocketEvent::Sent => self.sent_ms = Some(now_ms),
            SocketEvent::Tick => self.tick(now_ms, out),
            SocketEvent::Stop(reason) => self.close((&reason).into(), out),
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
        let lanes = self.lanes.values().filter_map(|lane| lane.stage.due_ms());
        let first_map_ms = self.first_map_due_ms().into_iter();
        lanes.chain(first_map_ms).chain([keepalive_ms]).min()
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
        let bytes = frame.len();
        let size_max = self
            .limits
            .update_bytes_max
            .saturating_add(ADDRESSING_BYTES_MAX);
        if bytes > size_max {
            let reason = CloseReason::TooLarge {
                what: "bytes of a message",
                size: bytes as u64,
                size_max: size_max as u64,
            };
            return self.close((&reason).into(), out);
        }
        let paid_ms = [
            self.bytes.take(now_ms, bytes as u64),
            self.messages.take(now_ms, 1),
        ];
        if let Some(until_ms) = paid_ms.into_iter().flatten().max() {
            out.push(SocketEffect::Pause { until_ms });
        }
        match hocuspocus::decode(frame) {
            Ok(Incoming::Ping) => self.send(now_ms, LaneId::SOCKET, hocuspocus::pong(), out),
            Ok(Incoming::Pong) => {}
            Ok(Incoming::For(address, said)) => self.said(now_ms, address, said, bytes, out),
            Err(error) => self.close((&close_reason(error)).into(), out),
        }
    }

    fn said(
        &mut self,
        now_ms: u64,
        address: Address,
        said: Said,
        bytes: usize,
        out: &mut Vec<SocketEffect>,
    ) {
        if let Said::Token { version, .. } = &said {
            self.tells_version |= version.is_some();
        }
        let lane = self.by_address.get(&address).copied();
        let lane = lane.and_then(|id| Some((id, self.lanes.get_mut(&id)?)));
        match (lane, said) {
            (Some((id, lane)), said) => match (&mut lane.stage, said) {
                (Stage::Entering(entering), said) => {
                    if self.waiting.keep(&mut entering.line, said, bytes).is_err() {
                        self.close(SocketClose::too_much_waits(), out);
                    }
                }
                (Stage::Attached(_), Said::Token { token, .. }) => self.renew(id, token, out),
                (Stage::Attached(_), Said::Message(message)) => {
                    self.of_lane(now_ms, id, Event::Message(message), out);
                }
                (Stage::Attached(_), Said::Detach) => self.leave(id, out),
                (Stage::Attached(_), Said::Unknown { .. }) => self.ignored += 1,
            },
            (None, Said::Token { token, .. }) => {
                self.enter(now_ms, address, Some(token), out);
            }
            // A provider before 3.0 that has no token.
            (None, Said::Message(step1 @ Message::SyncStep1(_)))
                if !self.denied.contains(&address) =>
            {
                self.enter(now_ms, address.clone(), None, out);
                // It waits behind the door like everything else.
                if self.by_address.contains_key(&address) {
                    self.said(now_ms, address, Said::Message(step1), bytes, out);
                }
            }
            (None, Said::Detach | Said::Message(_) | Said::Unknown { .. }) => self.ignored += 1,
        }
    }

    fn of_lane(&mut self, now_ms: u64, id: LaneId, event: Event, out: &mut Vec<SocketEffect>) {
        let Some(attached) = self.attached(id) else {
            self.ignored += 1;
            return;
        };
        let mut effects = Vec::new();
        attached.session.handle(now_ms, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Room(said) => out.push(SocketEffect::Room(id, said)),
                Effect::Answer(answer) => self.answer(now_ms, id, &answer, out),
                // A session of a socket has nothing in y-websocket's framing.
                Effect::Send(_) => {}
                Effect::Pause { until_ms } => out.push(SocketEffect::Pause { until_ms }),
                Effect::Close(reason) => self.end_of_lane(now_ms, id, &reason, out),
            }
        }
    }

    /// What concerns one map ends that map, and everything else the socket.
    fn end_of_lane(
        &mut self,
        now_ms: u64,
        id: LaneId,
        reason: &CloseReason,
        out: &mut Vec<SocketEffect>,
    ) {
        match reason {
            CloseReason::Deleted => self.lose(now_ms, id, out),
            CloseReason::BadToken | CloseReason::Forbidden | CloseReason::TokenExpired => {
                self.ended(now_ms, id, reason, out);
            }
            reason => self.close(reason.into(), out),
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
        if self.first_map_due_ms().is_some_and(|due| due <= now_ms) {
            return self.close(SocketClose::too_late(), out);
        }
        let due = |lane: &Lane| lane.stage.due_ms().is_some_and(|due| due <= now_ms);
        let due = self.lanes.iter().filter(|(_, lane)| due(lane));
        let due: Vec<LaneId> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.lane_is_due(now_ms, id, out);
        }
        let sent_ms = *self.sent_ms.get_or_insert(now_ms);
        if now_ms < sent_ms.saturating_add(self.limits.keepalive_ms) {
            return;
        }
        let attached = |lane: &Lane| matches!(lane.stage, Stage::Attached(_));
        let first = self.lanes.iter().find(|(_, lane)| attached(lane));
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

    fn attached(&mut self, id: LaneId) -> Option<&mut Attached> {
        match &mut self.lanes.get_mut(&id)?.stage {
            Stage::Attached(attached) => Some(attached),
            Stage::Entering(_) => None,
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

    fn close(&mut self, close: SocketClose, out: &mut Vec<SocketEffect>) {
        if !std::mem::replace(&mut self.closed, true) {
            self.lanes.clear();
            self.by_address.clear();
            self.denied.clear();
            out.push(SocketEffect::Close(close));
        }
    }
}

#[cfg(test)]
mod tests;
