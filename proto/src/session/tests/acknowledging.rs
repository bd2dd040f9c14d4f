//! Tokens: answered late, never early.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

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
