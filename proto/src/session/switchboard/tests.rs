#![allow(clippy::unwrap_used, clippy::expect_used)]

mod entering;
mod isolation;
mod laws;

use proptest::prelude::*;

use super::io::{RESET, TIMEOUT};
use super::*;
use crate::limits::MAPS_PER_SOCKET_MAX;
use crate::session::{Access, Refusal, ToRoom};
use crate::varint::Writer;

/// One item: client 7 sets "k" in the root type "map" to null.
const UPDATE: [u8; 15] = [1, 1, 7, 0, 0x28, 1, 3, b'm', b'a', b'p', 1, b'k', 1, 126, 0];
const EMPTY: [u8; 2] = [0, 0];

struct Socket {
    board: Switchboard,
    access: Access,
    now_ms: u64,
}

impl Socket {
    fn new() -> Self {
        Self {
            board: Switchboard::new(SessionLimits::default()),
            access: Access::ReadWrite,
            now_ms: 0,
        }
    }

    fn with(access: Access) -> Self {
        Self {
            access,
            ..Self::new()
        }
    }

    fn handle(&mut self, event: SocketEvent) -> Vec<SocketEffect> {
        let mut out = Vec::new();
        self.board.handle(self.now_ms, event, &mut out);
        out
    }

    /// Says something and lets every map in that is asked for.
    fn says(&mut self, frame: Bytes) -> Vec<SocketEffect> {
        let mut out = self.handle(SocketEvent::Frame(frame));
        for answer in self.answers(&out) {
            out.extend(self.handle(answer));
        }
        out
    }

    /// Everybody is let in, and every new token is good.
    fn answers(&self, out: &[SocketEffect]) -> Vec<SocketEvent> {
        let granted = granted(self.access);
        let answer = |effect: &SocketEffect| match effect {
            SocketEffect::Enter { lane, .. } => Some(SocketEvent::Entered(*lane, granted)),
            SocketEffect::Renew { lane, .. } => Some(SocketEvent::Renewed(*lane, granted)),
            _ => None,
        };
        out.iter().filter_map(answer).collect()
    }

    fn attach(&mut self, name: &str) -> LaneId {
        let out = self.says(token(name, None));
        joined(&out).expect("the map is joined")
    }

    /// Attaches a map and has the first SyncStep2 behind it, which is update 1.
    fn sync(&mut self, name: &str) -> LaneId {
        let lane = self.attach(name);
        let step2 = Message::SyncStep2(Bytes::from_static(&EMPTY));
        assert_eq!(told(&self.says(said(name, &step2))), [(lane, 1)]);
        let out = self.lane(lane, Event::Settled { upto: 1 });
        assert_eq!(sent(&out), [answer(name, Answer::Applied)]);
        lane
    }

    fn lane(&mut self, lane: LaneId, event: Event) -> Vec<SocketEffect> {
        self.handle(SocketEvent::Lane(lane, event))
    }
}

fn granted(access: Access) -> Granted {
    let expires_ms = None;
    Granted { access, expires_ms }
}

fn token(name: &str, version: Option<&str>) -> Bytes {
    let mut writer = Writer::new();
    writer.string(name);
    writer.var_uint(2);
    writer.var_uint(0);
    writer.string("t");
    version.iter().for_each(|version| writer.string(version));
    writer.finish()
}

fn detach(name: &str) -> Bytes {
    let mut writer = Writer::new();
    writer.string(name);
    writer.var_uint(7);
    writer.finish()
}

fn said(name: &str, message: &Message) -> Bytes {
    hocuspocus::encode(&Address::new(name), message).unwrap()
}

fn update(name: &str, bytes: &'static [u8]) -> Bytes {
    said(name, &Message::Update(Bytes::from_static(bytes)))
}

fn step1(name: &str) -> Bytes {
    said(name, &Message::SyncStep1(Bytes::from_static(&[0])))
}

fn answer(name: &str, answer: Answer) -> Bytes {
    hocuspocus::encode_answer(&Address::new(name), &answer)
}

fn joined(out: &[SocketEffect]) -> Option<LaneId> {
    out.iter().find_map(|effect| match effect {
        SocketEffect::Join(lane) => Some(*lane),
        _ => None,
    })
}

fn sent(out: &[SocketEffect]) -> Vec<Bytes> {
    let frame = |effect: &SocketEffect| match effect {
        SocketEffect::Send(_, frame) => Some(frame.clone()),
        _ => None,
    };
    out.iter().filter_map(frame).collect()
}

/// Numbers of the updates that went to a room.
fn told(out: &[SocketEffect]) -> Vec<(LaneId, u64)> {
    let number = |effect: &SocketEffect| match effect {
        SocketEffect::Room(lane, ToRoom::Update { number, .. }) => Some((*lane, *number)),
        _ => None,
    };
    out.iter().filter_map(number).collect()
}

fn closed(out: &[SocketEffect]) -> Option<u16> {
    out.iter().find_map(|effect| match effect {
        SocketEffect::Close(close) => Some(close.code),
        _ => None,
    })
}

#[test]
fn a_token_is_granted_before_the_map_is_joined() {
    let mut socket = Socket::new();
    let out = socket.says(token("a", Some("4.8.0")));
    assert!(matches!(
        &out[..],
        [SocketEffect::Enter { token: Some(token), .. }, SocketEffect::Send(..), SocketEffect::Join(_)] if token == "t"
    ));
    assert_eq!(
        sent(&out),
        [answer("a", Answer::Granted { read_only: false })]
    );
}

#[test]
fn a_provider_without_a_token_begins_with_its_sync_request() {
    let mut socket = Socket::new();
    let out = socket.says(step1("a"));
    assert!(matches!(
        &out[..],
        [
            SocketEffect::Enter { token: None, .. },
            SocketEffect::Join(_),
            SocketEffect::Room(_, ToRoom::SyncStep1(_))
        ]
    ));
}

#[test]
fn what_is_for_no_map_is_passed_over() {
    let mut socket = Socket::new();
    assert!(socket.says(update("a", &UPDATE)).is_empty());
    assert!(socket.says(detach("a")).is_empty());
    assert_eq!(socket.board.ignored(), 2);
}

#[test]
fn maps_of_one_socket_count_their_updates_apart() {
    let mut socket = Socket::new();
    let (a, b) = (socket.sync("a"), socket.sync("b"));
    assert_eq!(told(&socket.says(update("a", &UPDATE))), [(a, 2)]);
    assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 2)]);
    assert_eq!(told(&socket.says(update("a", &EMPTY))), [(a, 3)]);
    let out = socket.lane(a, Event::Settled { upto: 3 });
    assert_eq!(sent(&out), vec![answer("a", Answer::Applied); 2]);
    let out = socket.lane(b, Event::Settled { upto: 2 });
    assert_eq!(sent(&out), [answer("b", Answer::Applied)]);
}

#[test]
fn two_sessions_on_one_map_are_two_maps_to_the_socket() {
    let mut socket = Socket::new();
    let (one, two) = (socket.sync("a\0one"), socket.sync("a\0two"));
    assert_ne!(one, two);
    socket.says(update("a\0two", &UPDATE));
    let out = socket.lane(two, Event::Settled { upto: 2 });
    assert_eq!(sent(&out), [answer("a\0two", Answer::Applied)]);
}

#[test]
fn nothing_is_told_as_applied_before_it_is_durable() {
    let mut socket = Socket::new();
    let a = socket.sync("a");
    let out = socket.says(update("a", &UPDATE));
    assert!(sent(&out).is_empty());
    assert!(sent(&socket.lane(a, Event::Settled { upto: 1 })).is_empty());
    // The room may be ahead of what this socket has said, as after a mistake; that promises nothing.
    let out = socket.lane(a, Event::Settled { upto: 9 });
    assert_eq!(sent(&out), [answer("a", Answer::Applied)]);
    socket.says(update("a", &EMPTY));
    let out = socket.lane(a, Event::Settled { upto: 3 });
    assert_eq!(sent(&out), [answer("a", Answer::Applied)]);
}

#[test]
fn queued_edits_of_who_comes_back_are_told_together_with_its_first_sync() {
    let mut socket = Socket::new();
    let a = socket.attach("a");
    socket.says(update("a", &UPDATE));
    assert!(sent(&socket.lane(a, Event::Settled { upto: 1 })).is_empty());
    let step2 = Message::SyncStep2(Bytes::from_static(&EMPTY));
    socket.says(said("a", &step2));
    let out = socket.lane(a, Event::Settled { upto: 2 });
    assert_eq!(sent(&out), vec![answer("a", Answer::Applied); 2]);
}

#[test]
fn queued_edits_that_the_provider_does_not_count_are_told_with_its_first_sync_alone() {
    let step2 = Message::SyncStep2(Bytes::from_static(&EMPTY));
    // Client 7 has one item when the provider begins to count, and a second one later.
    let begins = Message::SyncStep1(Bytes::from_static(&[1, 7, 1]));
    const LATER: [u8; 10] = [1, 1, 7, 1, 0xa8, 7, 0, 1, 126, 0];
    let mut socket = Socket::new();
    let a = socket.attach("a");
    socket.says(update("a", &UPDATE));
    socket.says(said("a", &begins));
    socket.says(update("a", &UPDATE));
    let out = socket.says(update("a", &LATER));
    assert!(sent(&out).is_empty(), "it can be read: {out:?}");
    socket.says(said("a", &step2));
    let out = socket.lane(a, Event::Settled { upto: 4 });
    assert_eq!(sent(&out), vec![answer("a", Answer::Applied); 2], "3 and 4");
}

#[test]
fn what_cannot_be_read_or_is_not_taken_is_refused_once_and_the_map_goes_on() {
    let mut socket = Socket::new();
    let a = socket.sync("a");
    let refused = answer("a", Answer::Refused);
    let out = sent(&socket.says(update("a", &[9, 9, 9])));
    assert_eq!((&out[0], out.len()), (&refused, 2), "and why");
    socket.says(update("a", &UPDATE));
    socket.says(update("a", &EMPTY));
    let reason = Refusal::Corrupt("no".into());
    let out = socket.lane(a, Event::Refused { number: 2, reason });
    assert_eq!(sent(&out), [refused], "the reason is said once");
    let out = socket.lane(a, Event::Settled { upto: 3 });
    assert_eq!(sent(&out), [answer("a", Answer::Applied)]);
}

#[test]
fn a_reader_s_edit_is_refused_and_its_own_copy_is_not() {
    let mut socket = Socket::with(Access::ReadOnly);
    let out = socket.says(token("a", None));
    assert_eq!(
        sent(&out),
        [answer("a", Answer::Granted { read_only: true })]
    );
    let out = socket.says(update("a", &UPDATE));
    let why = Answer::Why {
        reason: "this connection may only read".into(),
        kept: false,
    };
    let refused = [Answer::Refused, why].map(|said| answer("a", said));
    assert_eq!(sent(&out), refused);
    assert!(told(&out).is_empty());
    let out = socket.says(update("a", &UPDATE));
    assert_eq!(sent(&out), refused[..1], "the reason is said once");
    let step2 = Message::SyncStep2(Bytes::from_static(&UPDATE));
    let out = socket.says(said("a", &step2));
    assert_eq!(
        told(&out).len(),
        1,
        "the room knows whether it brings anything"
    );
}

#[test]
fn who_lost_the_right_to_edit_is_told_that_its_edits_are_kept() {
    let mut socket = Socket::with(Access::Quarantine);
    let out = socket.says(token("a", None));
    let readonly = Answer::Granted { read_only: true };
    assert_eq!(sent(&out), [answer("a", readonly)]);
    let a = joined(&out).expect("the map is joined");
    let out = socket.says(update("a", &UPDATE));
    assert_eq!(told(&out), [(a, 1)], "the room keeps it");
    let out = socket.lane(
        a,
        Event::Refused {
            number: 1,
            reason: Refusal::Kept,
        },
    );
    let why = Answer::Why {
        reason: Refusal::Kept.words().expect("words").into(),
        kept: true,
    };
    assert_eq!(
        sent(&out),
        [Answer::Refused, why].map(|said| answer("a", said))
    );
}

#[test]
fn who_may_not_read_tells_the_others_nothing_and_asks_nothing_of_them() {
    let mut socket = Socket::with(Access::Deposit);
    socket.attach("a");
    let awareness = Bytes::from_static(&[1, 7, 1, 2, b'{', b'}']);
    for message in [
        Message::Stateless("hello".into()),
        Message::QueryAwareness,
        Message::Awareness(awareness),
    ] {
        assert!(socket.says(said("a", &message)).is_empty());
    }
    assert_eq!(told(&socket.says(update("a", &UPDATE))).len(), 1);
}

#[test]
fn a_client_that_asks_again_is_asked_again() {
    let mut socket = Socket::new();
    let a = socket.attach("a");
    let asks = |out: &[SocketEffect]| {
        let of = |effect: &&SocketEffect| matches!(effect, SocketEffect::Room(_, ToRoom::AskBack));
        out.iter().filter(of).count()
    };
    assert_eq!(asks(&socket.says(step1("a"))), 0, "the room asks who joins");
    // What comes before the answer waits for it.
    assert_eq!(asks(&socket.says(step1("a"))), 0);
    assert_eq!(asks(&socket.lane(a, Event::Answered { bytes: 1 })), 1);
}

#[test]
fn who_leaves_a_map_may_come_back_to_it_on_the_same_socket() {
    let mut socket = Socket::new();
    let first = socket.attach("a");
    socket.attach("b");
    let out = socket.says(detach("a"));
    assert!(matches!(out[..], [SocketEffect::Leave(lane)] if lane == first));
    assert!(socket.says(update("a", &UPDATE)).is_empty());
    let late = socket.lane(first, Event::Settled { upto: 1 });
    assert!(late.is_empty());
    let again = socket.attach("a");
    assert_ne!(again, first);
    assert_eq!(told(&socket.says(update("a", &UPDATE))), [(again, 1)]);
}

#[test]
fn a_denied_map_may_be_asked_for_again_and_leaves_the_others_alone() {
    let mut socket = Socket::new();
    let b = socket.attach("b");
    for _ in 0..2 {
        let out = socket.handle(SocketEvent::Frame(token("a", None)));
        let [SocketEffect::Enter { lane, .. }] = out[..] else {
            panic!("{out:?}")
        };
        let out = socket.handle(SocketEvent::Denied(lane, "no".into()));
        assert_eq!(sent(&out), [answer("a", Answer::Denied("no".into()))]);
    }
    assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 1)]);
}

#[test]
fn a_deleted_map_is_closed_at_its_address_in_words_that_the_provider_knows() {
    for (version, tag) in [(Some("4.8.0"), 7), (None, 2)] {
        let mut socket = Socket::new();
        let a = joined(&socket.says(token("a", version))).unwrap();
        let b = socket.attach("b");
        let out = socket.lane(a, Event::Stop(CloseReason::Deleted));
        assert_eq!(sent(&out)[0][2], tag);
        assert!(matches!(out.last(), Some(SocketEffect::Leave(lane)) if *lane == a));
        assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 1)]);
    }
}

#[test]
fn a_token_for_an_attached_map_is_granted_and_changes_nothing() {
    let mut socket = Socket::new();
    let a = socket.sync("a");
    socket.says(update("a", &UPDATE));
    let out = socket.says(token("a", None));
    assert!(matches!(
        &out[..],
        [SocketEffect::Renew { .. }, SocketEffect::Send(lane, _)] if *lane == a
    ));
    let out = socket.lane(a, Event::Settled { upto: 2 });
    assert_eq!(sent(&out), [answer("a", Answer::Applied)]);
}

#[test]
fn one_map_too_many_is_denied() {
    let mut socket = Socket::new();
    for n in 0..MAPS_PER_SOCKET_MAX {
        socket.attach(&n.to_string());
    }
    let out = socket.says(token("more", None));
    assert!(joined(&out).is_none() && sent(&out).len() == 1, "{out:?}");
    socket.says(detach("0"));
    socket.attach("more");
}

#[test]
fn silence_is_broken_by_what_the_provider_understands() {
    let keepalive_ms = SessionLimits::default().keepalive_ms;
    for (version, frame) in [
        (Some("4.8.0"), hocuspocus::ping()),
        (None, hocuspocus::keepalive(&Address::new("a"))),
    ] {
        let mut socket = Socket::new();
        socket.says(token("a", version));
        let due = socket.board.next_tick_ms().unwrap();
        assert_eq!(due, keepalive_ms);
        socket.now_ms = due - 1;
        assert!(socket.handle(SocketEvent::Tick).is_empty());
        socket.now_ms = due;
        assert_eq!(sent(&socket.handle(SocketEvent::Tick)), [frame]);
        assert_eq!(socket.board.next_tick_ms(), Some(due + keepalive_ms));
    }
}

#[test]
fn pings_are_answered_before_any_map_is_attached() {
    let mut socket = Socket::new();
    assert_eq!(sent(&socket.says(hocuspocus::ping())), [hocuspocus::pong()]);
    assert!(socket.says(hocuspocus::pong()).is_empty());
}

#[test]
fn a_stateless_text_goes_to_the_room() {
    let mut socket = Socket::with(Access::ReadOnly);
    socket.attach("a");
    let out = socket.says(said("a", &Message::Stateless("hello".into())));
    assert!(
        matches!(&out[..], [SocketEffect::Room(_, ToRoom::Stateless(text))] if text == "hello")
    );
}

#[test]
fn who_breaks_the_protocol_is_reset_and_heard_no_more() {
    let mut socket = Socket::new();
    socket.attach("a");
    assert_eq!(
        closed(&socket.says(Bytes::from_static(&[9, 9]))),
        Some(RESET)
    );
    assert!(socket.says(token("a", None)).is_empty());
    assert_eq!(socket.board.next_tick_ms(), None);
}

#[test]
fn whoever_should_come_back_is_closed_with_a_code_after_which_it_does() {
    for (reason, code) in [
        (CloseReason::Restarting, 1012),
        (CloseReason::Unavailable("later"), 4503),
        (CloseReason::Corrupt("no".into()), 4205),
    ] {
        let mut socket = Socket::new();
        let a = socket.attach("a");
        assert_eq!(closed(&socket.lane(a, Event::Stop(reason))), Some(code));
    }
}
