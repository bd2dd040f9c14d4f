use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapweave_proto::hocuspocus::{self, Address, Answer, Incoming, Said};
use mapweave_proto::limits::{MAPS_PER_SOCKET_MAX, WAITING_MAPS_MAX};
use mapweave_proto::{
    Access, CloseReason, Event, Granted, LaneId, Refusal, SessionLimits, SocketEffect, SocketEvent,
    Switchboard, ToRoom,
};

use super::Script;
use crate::saw;

/// A frame is refused, or read; and what is read of it is written as it can be read again.
///
/// # Panics
/// Where that is not so.
pub fn hocuspocus_frames(data: &[u8]) {
    let read = hocuspocus::decode(Bytes::copy_from_slice(data));
    match &read {
        Ok(Incoming::For(address, Said::Message(message))) => {
            saw(std::mem::discriminant(message));
            let Some(written) = hocuspocus::encode(address, message) else {
                panic!("what can be read can be written: {message:?}");
            };
            assert_eq!(hocuspocus::decode(written), read);
        }
        Ok(Incoming::For(_, said)) => saw(std::mem::discriminant(said)),
        Ok(other) => saw(std::mem::discriminant(other)),
        Err(error) => saw(std::mem::discriminant(error)),
    }
}

/// Rooms hear of a map only while it is joined, and of its updates in order and without gaps; nothing is told as
/// applied that is not durable, nothing twice; what waits is bounded; and nothing comes after the end.
///
/// # Panics
/// Where that is not so.
pub fn switchboard(data: &[u8]) {
    let mut script = Script(data);
    let limits = SessionLimits {
        update_bytes_max: 4096,
        ..SessionLimits::default()
    };
    let mut run = Run {
        board: Switchboard::new(limits),
        now_ms: 0,
        lanes: BTreeMap::new(),
        open: BTreeSet::new(),
        closed: false,
    };
    while let Some(choice) = script.byte() {
        let Some(event) = run.event(choice, &mut script) else {
            continue;
        };
        run.handle(event);
    }
}

struct Run {
    board: Switchboard,
    now_ms: u64,
    lanes: BTreeMap<LaneId, Lane>,
    /// Questions without an answer.
    open: BTreeSet<LaneId>,
    closed: bool,
}

/// What is known of a map of the socket.
struct Lane {
    address: Address,
    stage: Stage,
    /// Number of the last update that the room got.
    received: u64,
    settled: u64,
    refused: BTreeSet<u64>,
    applied: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    Entering,
    Joined,
    Left,
}

impl Run {
    fn event(&mut self, choice: u8, script: &mut Script<'_>) -> Option<SocketEvent> {
        self.now_ms += u64::from(choice);
        let event = match choice % 16 {
            0..=6 => {
                let frame = script.piece()?;
                return Some(SocketEvent::Frame(Bytes::copy_from_slice(frame)));
            }
            7 => SocketEvent::Sent,
            8 => {
                self.now_ms += u64::from(script.byte()?) * 500;
                SocketEvent::Tick
            }
            of_lane => {
                let lane = self.lane(script.byte()?)?;
                let number = u64::from(script.byte()?);
                self.of_lane(of_lane, lane, number)
            }
        };
        Some(event)
    }

    fn lane(&self, pick: u8) -> Option<LaneId> {
        let count = self.lanes.len().max(1);
        self.lanes.keys().nth(usize::from(pick) % count).copied()
    }

    fn of_lane(&mut self, choice: u8, lane: LaneId, number: u64) -> SocketEvent {
        let granted = Granted {
            access: [Access::ReadWrite, Access::ReadOnly][usize::from(number.is_multiple_of(3))],
            expires_ms: number
                .is_multiple_of(2)
                .then(|| self.now_ms + number * 1_000),
        };
        match choice {
            // Only what was asked for is answered; of two questions at one map the room cannot tell which.
            9 | 10 if self.open.remove(&lane) => match self.lanes.get(&lane).map(|l| l.stage) {
                Some(Stage::Joined) => SocketEvent::Renewed(lane, granted),
                _ => SocketEvent::Entered(lane, granted),
            },
            11 if self.open.remove(&lane) => SocketEvent::Denied(lane, "no".to_owned()),
            12 => SocketEvent::Ended(lane, CloseReason::Forbidden),
            13 => {
                let reason = Refusal::Corrupt("no".to_owned());
                if let Some(known) = self.lanes.get_mut(&lane)
                    && number <= known.received
                {
                    known.refused.insert(number);
                }
                SocketEvent::Lane(lane, Event::Refused { number, reason })
            }
            14 => {
                let bytes = number << 10;
                SocketEvent::Lane(lane, Event::Answered { bytes })
            }
            _ => {
                if let Some(known) = self.lanes.get_mut(&lane) {
                    known.settled = known.settled.max(number.min(known.received));
                }
                SocketEvent::Lane(lane, Event::Settled { upto: number })
            }
        }
    }

    fn handle(&mut self, event: SocketEvent) {
        let mut effects = Vec::new();
        self.board.handle(self.now_ms, event, &mut effects);
        for effect in effects {
            assert!(!self.closed, "something is done after the end: {effect:?}");
            self.effect(effect);
        }
        assert!(self.board.maps() <= MAPS_PER_SOCKET_MAX);
        let is_entering = |lane: &&Lane| lane.stage == Stage::Entering;
        let entering = self.lanes.values().filter(is_entering).count();
        assert!(self.closed || entering <= WAITING_MAPS_MAX);
        assert_eq!(self.board.next_tick_ms().is_none(), self.closed);
    }

    fn effect(&mut self, effect: SocketEffect) {
        match effect {
            SocketEffect::Enter { lane, address, .. } => {
                saw("enter");
                let new = Lane {
                    address,
                    stage: Stage::Entering,
                    received: 0,
                    settled: 0,
                    refused: BTreeSet::new(),
                    applied: 0,
                };
                self.open.insert(lane);
                let before = self.lanes.insert(lane, new);
                assert!(before.is_none(), "a map's number is given twice");
            }
            SocketEffect::Renew { lane, .. } => {
                saw("renew");
                assert_eq!(self.known(lane).stage, Stage::Joined);
                assert!(self.open.insert(lane), "two tokens are judged at once");
            }
            SocketEffect::Join(lane) => {
                let known = self.known(lane);
                assert_eq!(known.stage, Stage::Entering);
                known.stage = Stage::Joined;
            }
            SocketEffect::Leave(lane) => {
                self.open.remove(&lane);
                let known = self.known(lane);
                saw(("leave", known.stage));
                known.stage = Stage::Left;
            }
            SocketEffect::Room(lane, said) => self.told(lane, &said),
            SocketEffect::Send(lane, frame) => self.sent(lane, &frame),
            SocketEffect::Pause { until_ms } => assert!(until_ms > self.now_ms),
            SocketEffect::Close(close) => {
                saw(close.code);
                assert!(close.reason.len() <= 123, "a reason too long to be sent");
                self.closed = true;
            }
        }
    }

    fn told(&mut self, lane: LaneId, said: &ToRoom) {
        saw(std::mem::discriminant(said));
        let known = self.known(lane);
        assert_eq!(
            known.stage,
            Stage::Joined,
            "a room hears of who is not in it"
        );
        if let ToRoom::Update { number, .. } = said {
            assert_eq!(*number, known.received + 1, "updates are not counted");
            known.received = *number;
        }
    }

    /// A denied map is forgotten: its lane may be asked for anew at its address, and nothing is open at it.
    fn sent(&mut self, lane: LaneId, frame: &Bytes) {
        let Some(known) = self.lanes.get_mut(&lane) else {
            assert_eq!(lane, LaneId::SOCKET);
            return self.denied(frame);
        };
        if *frame == hocuspocus::encode_answer(&known.address, &Answer::Applied) {
            saw("applied");
            known.applied += 1;
            let durable = (1..=known.settled).filter(|n| !known.refused.contains(n));
            assert!(
                known.applied <= durable.count() as u64,
                "an update is told as applied that is not durable"
            );
        }
    }

    /// What is said at an address that no map has: whoever was about to enter is not any more.
    fn denied(&mut self, frame: &Bytes) {
        let open = &mut self.open;
        for (id, lane) in &mut self.lanes {
            let denied = |reason: &str| {
                let denied = Answer::Denied(reason.to_owned());
                hocuspocus::encode_answer(&lane.address, &denied) == *frame
            };
            let late = "it could not be found out in time whether you may have this map";
            if lane.stage == Stage::Entering && (denied("no") || denied(late)) {
                open.remove(id);
                lane.stage = Stage::Left;
            }
        }
    }

    fn known(&mut self, lane: LaneId) -> &mut Lane {
        let Some(known) = self.lanes.get_mut(&lane) else {
            panic!("{lane:?} was never asked for");
        };
        known
    }
}
