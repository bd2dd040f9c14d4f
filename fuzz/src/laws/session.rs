use std::collections::BTreeMap;

use bytes::Bytes;
use mapweave_proto::{
    Access, Effect, Event, Message, Phase, Refusal, Session, SessionLimits, ToRoom, yws,
};

use super::Script;
use crate::saw;

/// A session numbers updates without gaps, acknowledges nothing early, and says nothing after its end.
///
/// # Panics
/// Where that is not so.
pub fn session(data: &[u8]) {
    let mut script = Script(data);
    let access = match script.byte() {
        Some(1) => Access::ReadOnly,
        _ => Access::ReadWrite,
    };
    let limits = SessionLimits {
        update_bytes_max: 4096,
        ..SessionLimits::default()
    };
    let mut run = Run {
        session: Session::new(limits, access),
        access,
        now_ms: 0,
        told: Told::default(),
    };
    while let Some(choice) = script.byte() {
        let event = match choice % 9 {
            0 => Event::Attached,
            1 => Event::Settled {
                upto: u64::from(script.byte().unwrap_or(0)),
            },
            2 => Event::Refused {
                number: u64::from(script.byte().unwrap_or(0)),
                reason: Refusal::ReadOnly,
            },
            3 => Event::Tick,
            4 => Event::Sent,
            8 => Event::Answered {
                bytes: u64::from(script.byte().unwrap_or(0)) << 20,
            },
            _ => match script.piece() {
                Some(frame) => Event::Frame(Bytes::copy_from_slice(frame)),
                None => break,
            },
        };
        run.now_ms += u64::from(choice) * 10;
        run.event(event);
    }
}

struct Run {
    session: Session,
    access: Access,
    now_ms: u64,
    told: Told,
}

/// What the peer and the room have been told.
#[derive(Default)]
struct Told {
    /// Updates that the peer's frames hold so far.
    sent: u64,
    /// Tokens, with the updates before each of its occurrences.
    tokens: BTreeMap<Bytes, Vec<u64>>,
    /// Number of the last update that the room got.
    received: u64,
    first_step2: Option<u64>,
    settled: u64,
    refused: Option<u64>,
    closed: bool,
}

impl Run {
    fn event(&mut self, event: Event) {
        self.note(&event);
        let mut effects = Vec::new();
        self.session.handle(self.now_ms, event, &mut effects);
        for effect in effects {
            self.effect(effect);
        }
        assert_eq!(self.session.phase() == Phase::Closing, self.told.closed);
        assert_eq!(self.session.next_tick_ms().is_none(), self.told.closed);
        saw(self.session.phase() as u8);
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Frame(frame) => {
                for message in yws::decode(frame.clone()).flatten() {
                    match message {
                        Message::SyncStep2(_) | Message::Update(_) => self.told.sent += 1,
                        Message::DurableAck(token) => {
                            let before = self.told.sent;
                            self.told.tokens.entry(token).or_default().push(before);
                        }
                        _ => {}
                    }
                }
            }
            Event::Settled { upto } => {
                self.told.settled = self.told.settled.max((*upto).min(self.told.received));
            }
            Event::Refused { number, .. } => {
                let first = self.told.refused.map_or(*number, |n| n.min(*number));
                self.told.refused = Some(first);
            }
            _ => {}
        }
    }

    fn effect(&mut self, effect: Effect) {
        assert!(!self.told.closed, "something is said after the end");
        match effect {
            Effect::Room(ToRoom::Update { number, step2, .. }) => {
                assert_eq!(number, self.told.received + 1, "updates are not counted");
                self.told.received = number;
                if step2 && self.told.first_step2.is_none() {
                    self.told.first_step2 = Some(number);
                }
                saw(("update", step2));
            }
            Effect::Room(_) => {}
            Effect::Send(frame) => self.sent(frame),
            Effect::Answer(answer) => panic!("{answer:?} is no answer of y-websocket"),
            Effect::Pause { until_ms } => assert!(until_ms > self.now_ms),
            Effect::Close(reason) => {
                self.told.closed = true;
                assert!(reason.text().len() <= 123, "a reason too long to be sent");
                saw(reason.code());
            }
        }
    }

    fn sent(&self, frame: Bytes) {
        let messages: Vec<_> = yws::decode(frame).collect();
        assert_eq!(messages.len(), 1, "browsers read one message of a frame");
        let Some(Ok(Message::DurableAck(token))) = messages.into_iter().next() else {
            return;
        };
        saw("acknowledged");
        let covered = match self.told.refused {
            Some(refused) => self.told.settled.min(refused.saturating_sub(1)),
            None => self.told.settled,
        };
        let synced = self.told.first_step2.is_some_and(|first| first <= covered);
        assert!(synced, "acknowledged before the first sync is durable");
        let asked = self.told.tokens.get(&token).map(Vec::as_slice);
        let late_enough = asked.is_some_and(|before| before.iter().any(|n| *n <= covered));
        // What a reader sends is not all numbered.
        let is_covered = late_enough || self.access == Access::ReadOnly;
        assert!(is_covered, "acknowledged early");
    }
}
