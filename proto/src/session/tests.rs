//! A session between a peer and a room, both played here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod provider;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::awareness::AwarenessEntry;
use crate::id::ClientId;

fn session() -> Session {
    Session::new(SessionLimits::default(), Access::ReadWrite)
}

fn turn(session: &mut Session, now_ms: u64, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    session.handle(now_ms, event, &mut out);
    out
}

fn frame(session: &mut Session, message: &Message) -> Vec<Effect> {
    turn(session, 0, Event::Frame(yws::encode(message)))
}

fn attached() -> Session {
    let mut session = session();
    assert!(turn(&mut session, 0, Event::Attached).is_empty());
    session
}

/// An update of one struct, different for every clock.
fn update(clock: u8) -> Bytes {
    Bytes::copy_from_slice(&[1, 1, 9, clock, 0, 1, 0])
}

fn token(n: u8) -> Message {
    Message::DurableAck(Bytes::copy_from_slice(&[n]))
}

/// The messages that effects send to the peer.
fn sent(effects: &[Effect]) -> Vec<Message> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) => Some(frame.clone()),
        _ => None,
    });
    frames
        .flat_map(|frame| yws::decode(frame).map(Result::unwrap))
        .collect()
}

fn closed(effects: &[Effect]) -> Option<u16> {
    match effects.last() {
        Some(Effect::Close(reason)) => Some(reason.code()),
        _ => None,
    }
}

fn numbers(effects: &[Effect]) -> Vec<u64> {
    let numbers = effects.iter().filter_map(|effect| match effect {
        Effect::Room(ToRoom::Update { number, .. }) => Some(*number),
        _ => None,
    });
    numbers.collect()
}

fn keepalive() -> Message {
    Message::Awareness(Bytes::from_static(&[0]))
}

#[test]
fn frames_without_a_message_count_as_messages() {
    let limits = SessionLimits {
        messages_per_s: 100,
        messages_burst: 10,
        ..SessionLimits::default()
    };
    let mut session = Session::new(limits, Access::ReadWrite);
    let mut out = Vec::new();
    session.handle(0, Event::Frames(10), &mut out);
    assert!(out.is_empty());
    session.handle(0, Event::Frames(100), &mut out);
    assert!(
        matches!(out[..], [Effect::Pause { until_ms: 1_000 }]),
        "{out:?}"
    );
}

#[test]
fn what_comes_before_the_room_took_us_in_is_kept_in_order() {
    let mut session = session();
    assert!(frame(&mut session, &Message::SyncStep1(Bytes::from_static(&[0]))).is_empty());
    assert!(frame(&mut session, &Message::Update(update(0))).is_empty());
    assert_eq!(session.phase(), Phase::Greeting);
    let effects = turn(&mut session, 0, Event::Attached);
    assert!(matches!(
        &effects[..],
        [
            Effect::Room(ToRoom::SyncStep1(_)),
            Effect::Room(ToRoom::Update {
                number: 1,
                step2: false,
                ..
            })
        ]
    ));
    assert!(
        turn(&mut session, 0, Event::Attached).is_empty(),
        "a spare one does nothing"
    );
    assert_eq!(
        numbers(&frame(&mut session, &Message::Update(update(1)))),
        [2]
    );
}

#[test]
fn a_flood_before_the_room_took_us_in_ends_the_connection_for_now() {
    let mut session = session();
    let flood = (0..=limits::GREETING_FRAMES_MAX)
        .flat_map(|_| frame(&mut session, &keepalive()))
        .collect::<Vec<_>>();
    assert_eq!(closed(&flood), Some(4503));
}

#[test]
fn a_token_is_held_until_the_first_step_2_and_everything_before_it_are_durable() {
    let mut session = attached();
    assert_eq!(
        sent(&frame(&mut session, &token(1))),
        [keepalive()],
        "a sign of life, no acknowledgement"
    );
    assert_eq!(
        numbers(&frame(&mut session, &Message::Update(update(0)))),
        [1]
    );
    assert!(
        sent(&turn(&mut session, 0, Event::Settled { upto: 1 })).is_empty(),
        "offline edits may still come"
    );
    assert_eq!(
        numbers(&frame(&mut session, &Message::SyncStep2(update(1)))),
        [2]
    );
    frame(&mut session, &token(2));
    assert_eq!(session.phase(), Phase::Syncing);
    assert_eq!(
        sent(&turn(&mut session, 0, Event::Settled { upto: 2 })),
        [token(2)],
        "the newest, once"
    );
    assert_eq!(session.phase(), Phase::Live);
    frame(&mut session, &Message::Update(update(2)));
    assert_eq!(sent(&frame(&mut session, &token(3))), [keepalive()]);
    assert_eq!(
        sent(&turn(&mut session, 0, Event::Settled { upto: 3 })),
        [token(3)]
    );
    assert_eq!(
        sent(&frame(&mut session, &token(3))),
        [token(3)],
        "a heartbeat after everything is durable"
    );
}

#[test]
fn no_token_after_a_refused_update_is_ever_answered() {
    let mut session = attached();
    frame(&mut session, &Message::SyncStep2(update(0)));
    frame(&mut session, &token(1));
    frame(&mut session, &Message::Update(update(1)));
    frame(&mut session, &token(2));
    let refused = Event::Refused {
        number: 2,
        reason: Refusal::Forbidden("no layer of yours".into()),
    };
    assert_eq!(
        sent(&turn(&mut session, 0, refused)),
        [Message::AuthDenied("no layer of yours".into())]
    );
    assert_eq!(
        sent(&turn(&mut session, 0, Event::Settled { upto: 2 })),
        [token(1)]
    );
    assert_eq!(sent(&frame(&mut session, &token(3))), [keepalive()]);
    assert_eq!(
        numbers(&frame(&mut session, &Message::Update(update(2)))),
        [3],
        "other edits still count"
    );
}

#[test]
fn more_tokens_than_are_kept_delay_the_last_but_one_only() {
    let mut session = attached();
    frame(&mut session, &Message::SyncStep2(update(0)));
    for n in 0..100 {
        frame(&mut session, &Message::Update(update(n)));
        frame(&mut session, &token(n));
    }
    assert_eq!(
        sent(&turn(&mut session, 0, Event::Settled { upto: 2 })),
        [token(0)]
    );
    assert_eq!(
        sent(&turn(&mut session, 0, Event::Settled { upto: 101 })),
        [token(99)]
    );
}

#[test]
fn a_reader_is_told_once_and_may_still_say_that_it_has_nothing_new() {
    let mut session = Session::new(SessionLimits::default(), Access::ReadOnly);
    turn(&mut session, 0, Event::Attached);
    let step2 = frame(
        &mut session,
        &Message::SyncStep2(Bytes::from_static(&[0, 0])),
    );
    assert_eq!(numbers(&step2), [1], "the room decides about it");
    turn(&mut session, 0, Event::Settled { upto: 1 });
    assert_eq!(sent(&frame(&mut session, &token(1))), [token(1)]);
    let denied = [Message::AuthDenied("this connection may only read".into())];
    let effects = frame(&mut session, &Message::Update(update(0)));
    assert_eq!(sent(&effects), denied);
    assert!(numbers(&effects).is_empty(), "nothing reaches the room");
    assert!(
        frame(&mut session, &Message::Update(update(0))).is_empty(),
        "told once"
    );
    assert_eq!(
        sent(&frame(&mut session, &token(2))),
        [keepalive()],
        "never acknowledged"
    );
    let refused = Event::Refused {
        number: 1,
        reason: Refusal::ReadOnly,
    };
    assert!(turn(&mut session, 0, refused).is_empty(), "told once");
    assert_eq!(session.phase(), Phase::Live);
}

#[test]
fn silence_is_broken_by_a_keepalive_and_only_then() {
    let mut session = attached();
    assert_eq!(session.next_tick_ms(), Some(0));
    assert!(turn(&mut session, 1_000, Event::Tick).is_empty());
    assert_eq!(session.next_tick_ms(), Some(13_000));
    assert!(turn(&mut session, 12_999, Event::Tick).is_empty());
    assert_eq!(
        sent(&turn(&mut session, 13_000, Event::Tick)),
        [keepalive()]
    );
    turn(&mut session, 20_000, Event::Sent);
    assert_eq!(session.next_tick_ms(), Some(32_000));
    assert!(turn(&mut session, 25_000, Event::Tick).is_empty());
    turn(&mut session, 25_000, Event::Stop(CloseReason::Restarting));
    assert_eq!(session.next_tick_ms(), None);
}

#[test]
fn bad_bytes_end_the_connection_with_what_and_where() {
    let poison = Bytes::from_static(&[1, 1, 7, 9, 2, 0, 0, 0, 0, 0, 0]);
    let text = |effects: &[Effect]| match effects.last() {
        Some(Effect::Close(reason)) => reason.text(),
        _ => String::new(),
    };
    for (message, code, says) in [
        (
            Message::Update(poison.clone()),
            4422,
            "update: content 2 is not supported (byte 4)",
        ),
        (
            Message::SyncStep2(poison),
            4422,
            "update: content 2 is not supported (byte 4)",
        ),
        (
            Message::SyncStep1(Bytes::from_static(&[0, 0])),
            4422,
            "state vector: 1 bytes follow",
        ),
        (
            Message::Awareness(Bytes::from_static(&[1])),
            4413,
            "entries of awareness: 1, at most 0",
        ),
        (
            Message::DurableAck(Bytes::from(vec![0; 33])),
            4413,
            "bytes of an acknowledgement token: 33, at most 32",
        ),
        (
            Message::Awareness(Bytes::from(vec![0; 70_000])),
            4413,
            "bytes of awareness: 70000, at most 65536",
        ),
    ] {
        let mut session = attached();
        let effects = frame(&mut session, &message);
        assert_eq!(closed(&effects), Some(code), "{says}");
        assert!(text(&effects).starts_with(says), "{}", text(&effects));
        assert_eq!(session.phase(), Phase::Closing);
        assert!(
            frame(&mut session, &Message::Update(update(0))).is_empty(),
            "late frames are ignored"
        );
        assert!(
            turn(&mut session, 0, Event::Stop(CloseReason::GoingAway)).is_empty(),
            "closed once"
        );
    }
    let mut session = attached();
    assert_eq!(
        closed(&turn(
            &mut session,
            0,
            Event::Frame(Bytes::from_static(&[0, 9]))
        )),
        Some(4422)
    );
}

#[test]
fn an_update_or_frame_above_the_limit_is_told_so() {
    let limits = SessionLimits {
        update_bytes_max: 20,
        ..SessionLimits::default()
    };
    let mut session = Session::new(limits.clone(), Access::ReadWrite);
    turn(&mut session, 0, Event::Attached);
    assert_eq!(
        closed(&frame(&mut session, &Message::Update(vec![0; 21].into()))),
        Some(4413)
    );
    let mut session = Session::new(limits, Access::ReadWrite);
    assert_eq!(
        closed(&turn(&mut session, 0, Event::Frame(vec![0; 37].into()))),
        Some(4413)
    );
}

#[test]
fn unknown_messages_are_counted_and_nothing_else() {
    let mut session = attached();
    for bytes in [&[5][..], &[77, 1, 1], &[2, 1], &[2, 0, 0]] {
        assert!(turn(&mut session, 0, Event::Frame(Bytes::copy_from_slice(bytes))).is_empty());
    }
    assert_eq!(session.ignored(), 4);
    assert_eq!(session.phase(), Phase::Syncing);
}

#[test]
fn a_packed_frame_is_handled_message_by_message_and_stops_at_the_first_bad_one() {
    let mut session = attached();
    let entry = AwarenessEntry {
        client: ClientId(1),
        clock: 1,
        state: Bytes::from_static(b"{}"),
    };
    let awareness = AwarenessUpdate {
        entries: vec![entry],
    }
    .encode();
    let packed: Vec<u8> = [
        Message::SyncStep1(Bytes::from_static(&[0])),
        Message::Awareness(awareness),
        Message::Update(Bytes::from_static(&[9])),
        Message::Update(update(0)),
    ]
    .iter()
    .flat_map(yws::encode)
    .collect();
    let effects = turn(&mut session, 0, Event::Frame(packed.into()));
    assert!(matches!(
        &effects[..],
        [
            Effect::Room(ToRoom::SyncStep1(_)),
            Effect::Room(ToRoom::Awareness(_)),
            Effect::Close(CloseReason::Corrupt(_))
        ]
    ));
}

#[test]
fn a_peer_over_its_rate_must_wait_and_loses_nothing() {
    let limits = SessionLimits {
        messages_per_s: 10,
        messages_burst: 2,
        ..SessionLimits::default()
    };
    let mut session = Session::new(limits, Access::ReadWrite);
    turn(&mut session, 0, Event::Attached);
    assert_eq!(frame(&mut session, &Message::Update(update(0))).len(), 1);
    assert_eq!(frame(&mut session, &Message::Update(update(1))).len(), 1);
    let effects = frame(&mut session, &Message::Update(update(2)));
    assert!(matches!(
        &effects[..],
        [
            Effect::Pause { until_ms: 100 },
            Effect::Room(ToRoom::Update { number: 3, .. })
        ]
    ));
    assert_eq!(
        turn(
            &mut session,
            200,
            Event::Frame(yws::encode(&Message::Update(update(3))))
        )
        .len(),
        1
    );
}

/// What a peer and a room may do, in any order.
#[derive(Debug, Clone)]
enum Move {
    Update,
    Step2,
    Token,
    Attach,
    /// The room makes so many more updates durable, of those that it has.
    Flush(u64),
    Refuse,
    Tick,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => Just(Move::Update),
        1 => Just(Move::Step2),
        4 => Just(Move::Token),
        1 => Just(Move::Attach),
        3 => (1u64..5).prop_map(Move::Flush),
        1 => Just(Move::Refuse),
        1 => Just(Move::Tick),
    ];
    prop::collection::vec(one, 0..120)
}

/// Plays the peer, who knows what it sent before each token, and the room, who knows what is durable.
#[derive(Default)]
struct Pair {
    /// Every update the peer sent, and whether it was a SyncStep2.
    updates: Vec<bool>,
    /// For every token how many updates went before it; the token is its place here.
    tokens: Vec<usize>,
    /// Numbers that the room has got, durable ones, and those refused.
    at_room: u64,
    settled: u64,
    refused: BTreeSet<u64>,
    acknowledged: Vec<usize>,
}

impl Pair {
    fn step(&mut self, session: &mut Session, step: &Move, read_only: bool, now_ms: u64) {
        let message = |message: Message| Event::Frame(yws::encode(&message));
        let event = match step {
            Move::Update | Move::Step2 => {
                let step2 = matches!(step, Move::Step2);
                self.updates.push(step2);
                message(if step2 {
                    Message::SyncStep2(update(1))
                } else {
                    Message::Update(update(1))
                })
            }
            Move::Token => {
                self.tokens.push(self.updates.len());
                message(Message::DurableAck(Bytes::copy_from_slice(
                    &(self.tokens.len() as u32 - 1).to_be_bytes(),
                )))
            }
            Move::Attach => Event::Attached,
            Move::Flush(more) => {
                self.settled = (self.settled + more).min(self.at_room);
                Event::Settled { upto: self.settled }
            }
            Move::Refuse
                if self.at_room > self.settled && !self.refused.contains(&(self.settled + 1)) =>
            {
                self.refused.insert(self.settled + 1);
                Event::Refused {
                    number: self.settled + 1,
                    reason: Refusal::ReadOnly,
                }
            }
            Move::Refuse => return,
            Move::Tick => Event::Tick,
        };
        for effect in turn(session, now_ms, event) {
            match effect {
                Effect::Room(ToRoom::Update { number, .. }) => {
                    assert_eq!(number, self.at_room + 1, "numbers have no gaps");
                    self.at_room = number;
                }
                Effect::Send(frame) => {
                    if let [Message::DurableAck(token)] = &sent(&[Effect::Send(frame)])[..] {
                        let token = u32::from_be_bytes(token[..].try_into().unwrap()) as usize;
                        self.check(token, read_only);
                        self.acknowledged.push(token);
                    }
                }
                Effect::Room(_) | Effect::Pause { .. } => {}
                Effect::Close(reason) => panic!("{reason}"),
                Effect::Answer(answer) => panic!("{answer:?}"),
            }
        }
    }

    /// The invariant: never early.
    fn check(&self, token: usize, read_only: bool) {
        let before = &self.updates[..self.tokens[token]];
        assert!(
            !read_only || before.iter().all(|step2| *step2),
            "a refused update was acknowledged"
        );
        let numbered = before.len() as u64;
        assert!(
            numbered <= self.settled,
            "token {token} says {numbered}, durable are {}",
            self.settled
        );
        assert!(
            self.refused.iter().all(|refused| *refused > numbered),
            "a refused update was acknowledged"
        );
        let first_step2 = self
            .updates
            .iter()
            .position(|step2| *step2)
            .map(|index| index as u64 + 1);
        if !read_only {
            assert!(
                first_step2.is_some_and(|first| first <= self.settled),
                "before the first step 2 was durable"
            );
        }
    }
}

/// How many clocks of client 7 the peer has by each sync request that goes to the room.
fn asks(effects: &[Effect]) -> Vec<u64> {
    let asks = effects.iter().filter_map(|effect| match effect {
        Effect::Room(ToRoom::SyncStep1(have)) => Some(have.iter().map(|(_, clock)| clock).sum()),
        _ => None,
    });
    asks.collect()
}

fn asking(clock: u8) -> Message {
    Message::SyncStep1(Bytes::copy_from_slice(&[1, 7, clock]))
}

#[test]
fn one_sync_request_at_a_time_is_with_the_room_and_the_newest_is_next() {
    let mut session = attached();
    let answered = |session: &mut Session| turn(session, 0, Event::Answered { bytes: 10 });
    assert_eq!(asks(&frame(&mut session, &asking(1))), [1]);
    assert!(asks(&frame(&mut session, &asking(2))).is_empty());
    assert!(asks(&frame(&mut session, &asking(3))).is_empty());
    assert_eq!(asks(&answered(&mut session)), [3]);
    assert!(asks(&answered(&mut session)).is_empty());
    assert_eq!(asks(&frame(&mut session, &asking(4))), [4]);
}

#[test]
fn what_answers_cost_is_paid_at_the_rate_of_the_session_and_the_first_is_free() {
    let limits = SessionLimits {
        bytes_per_s: 1_000,
        bytes_burst: 1_500,
        ..SessionLimits::default()
    };
    let mut session = Session::new(limits, Access::ReadWrite);
    turn(&mut session, 0, Event::Attached);
    let paused = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Pause { until_ms } => Some(*until_ms),
            _ => None,
        })
    };
    let answered =
        |session: &mut Session, now_ms| turn(session, now_ms, Event::Answered { bytes: 1_000 });
    assert_eq!(asks(&frame(&mut session, &asking(1))), [1]);
    assert_eq!(paused(&answered(&mut session, 0)), None);
    assert_eq!(asks(&frame(&mut session, &asking(2))), [2]);
    assert_eq!(paused(&answered(&mut session, 0)), None);
    assert_eq!(asks(&frame(&mut session, &asking(3))), [3]);
    assert!(asks(&frame(&mut session, &asking(4))).is_empty());
    let effects = answered(&mut session, 0);
    // Four requests of six bytes, and two answers.
    let paid_ms = 2_000 + 24 - 1_500;
    assert_eq!((paused(&effects), asks(&effects)), (Some(paid_ms), vec![]));
    assert_eq!(session.next_tick_ms(), Some(0), "a keepalive");
    turn(&mut session, 0, Event::Tick);
    assert_eq!(session.next_tick_ms(), Some(paid_ms));
    assert!(asks(&turn(&mut session, paid_ms - 1, Event::Tick)).is_empty());
    assert_eq!(asks(&turn(&mut session, paid_ms, Event::Tick)), [4]);
}

proptest! {
    #[test]
    fn an_acknowledgement_is_never_early_and_comes_at_last(moves in moves(), read_only: bool) {
        let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
        let mut session = Session::new(SessionLimits::default(), access);
        let mut pair = Pair::default();
        for (step, now_ms) in moves.iter().zip((0..).step_by(500)) {
            pair.step(&mut session, step, read_only, now_ms);
        }
        for step in [Move::Attach, Move::Step2, Move::Flush(u64::MAX / 2), Move::Token] {
            pair.step(&mut session, &step, read_only, 1 << 40);
        }
        prop_assert!(pair.acknowledged.is_sorted(), "tokens are answered in their order");
        let clean = pair.refused.is_empty() && (!read_only || pair.updates.iter().all(|step2| *step2));
        if clean {
            prop_assert_eq!(pair.acknowledged.last(), Some(&(pair.tokens.len() - 1)), "the last token is answered");
        }
    }
}
