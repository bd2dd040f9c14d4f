//! Who is let in takes its time, comes to an end, and may be asked for again.

use super::*;
use crate::limits::{
    ENTERING_MS, TOKEN_RENEWAL_MS, WAITING_BYTES_MAX, WAITING_MAPS_MAX, WAITING_MESSAGES_MAX,
};

/// The map that is asked for, and with which token.
fn asked(out: &[SocketEffect]) -> Option<(LaneId, Option<String>)> {
    out.iter().find_map(|effect| match effect {
        SocketEffect::Enter { lane, token, .. } => Some((*lane, token.clone())),
        _ => None,
    })
}

fn knocks(socket: &mut Socket, name: &str) -> LaneId {
    let out = socket.handle(SocketEvent::Frame(token(name, Some("4.8.0"))));
    asked(&out).unwrap().0
}

fn let_in(socket: &mut Socket, lane: LaneId) -> Vec<SocketEffect> {
    socket.handle(SocketEvent::Entered(lane, granted(Access::ReadWrite)))
}

fn denies(socket: &mut Socket, lane: LaneId) -> Vec<SocketEffect> {
    socket.handle(SocketEvent::Denied(lane, "no".into()))
}

fn left(out: &[SocketEffect]) -> bool {
    let leaves = |effect: &SocketEffect| matches!(effect, SocketEffect::Leave(_));
    out.iter().any(leaves)
}

#[test]
fn what_is_said_behind_the_token_waits_in_its_order_and_holds_up_no_other_map() {
    let mut socket = Socket::new();
    let lane = knocks(&mut socket, "a");
    for frame in [step1("a"), update("a", &UPDATE), update("a", &EMPTY)] {
        assert!(socket.handle(SocketEvent::Frame(frame)).is_empty());
    }
    let b = socket.sync("b");
    assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 2)]);
    let out = let_in(&mut socket, lane);
    assert!(matches!(
        &out[..],
        [
            SocketEffect::Send(..),
            SocketEffect::Join(_),
            SocketEffect::Room(_, ToRoom::SyncStep1(_)),
            SocketEffect::Room(_, ToRoom::Update { number: 1, .. }),
            SocketEffect::Room(_, ToRoom::Update { number: 2, .. }),
        ]
    ));
}

#[test]
fn what_came_behind_a_token_that_was_not_good_enough_goes_unheard() {
    let mut socket = Socket::new();
    let lane = knocks(&mut socket, "a");
    socket.says(step1("a"));
    let out = denies(&mut socket, lane);
    assert_eq!(sent(&out), [answer("a", Answer::Denied("no".into()))]);
    assert_eq!(
        out.len(),
        1,
        "nobody enters without a token behind a bad one"
    );
    assert!(socket.says(step1("a")).is_empty());
    socket.attach("a");
}

#[test]
fn a_good_token_behind_a_bad_one_is_tried_in_its_turn() {
    let mut socket = Socket::new();
    let lane = knocks(&mut socket, "a");
    for frame in [step1("a"), token("a", None), update("a", &UPDATE)] {
        assert!(socket.handle(SocketEvent::Frame(frame)).is_empty());
    }
    let out = denies(&mut socket, lane);
    let (again, _) = asked(&out).unwrap();
    assert_ne!(again, lane);
    assert!(
        let_in(&mut socket, lane).is_empty(),
        "the first one is over"
    );
    let out = let_in(&mut socket, again);
    assert_eq!(told(&out), [(again, 1)]);
}

#[test]
fn who_leaves_before_it_was_let_in_has_said_what_it_said() {
    let mut socket = Socket::new();
    let lane = knocks(&mut socket, "a");
    for frame in [update("a", &UPDATE), detach("a"), token("a", None)] {
        assert!(socket.handle(SocketEvent::Frame(frame)).is_empty());
    }
    let out = let_in(&mut socket, lane);
    assert_eq!(told(&out), [(lane, 1)]);
    assert!(left(&out));
    assert!(asked(&out).is_some_and(|(again, _)| again != lane));
}

#[test]
fn too_much_before_a_map_was_entered_resets_the_connection() {
    let large = Message::Update(vec![0; WAITING_BYTES_MAX].into());
    let floods: [fn(u64) -> Bytes; 2] = [
        |_| update("a", &UPDATE),
        |n| token(&n.to_string(), Some("4.8.0")),
    ];
    let most = [WAITING_MESSAGES_MAX, WAITING_MAPS_MAX - 1];
    for (flood, most) in floods.iter().zip(most) {
        let mut socket = Socket::new();
        knocks(&mut socket, "a");
        for n in 0..most as u64 {
            let out = socket.handle(SocketEvent::Frame(flood(n)));
            assert_eq!(closed(&out), None, "at {n}");
        }
        let out = socket.handle(SocketEvent::Frame(flood(most as u64)));
        assert_eq!(closed(&out), Some(RESET));
    }
    let mut socket = Socket::new();
    knocks(&mut socket, "a");
    let out = socket.handle(SocketEvent::Frame(said("a", &large)));
    assert_eq!(closed(&out), Some(RESET));
}

#[test]
fn what_waited_counts_no_more_once_it_is_known_who_may_have_the_map() {
    let mut socket = Socket::new();
    for round in 0..3 {
        let lane = knocks(&mut socket, "a");
        for _ in 0..WAITING_MESSAGES_MAX {
            let out = socket.handle(SocketEvent::Frame(update("a", &EMPTY)));
            assert_eq!(closed(&out), None, "in round {round}");
        }
        match round {
            0 => drop(denies(&mut socket, lane)),
            _ => {
                let_in(&mut socket, lane);
                socket.says(detach("a"));
            }
        }
    }
}

#[test]
fn who_is_let_into_nothing_for_a_minute_is_sent_away_and_who_was_is_not() {
    let mut socket = Socket::new();
    socket.handle(SocketEvent::Tick);
    socket.now_ms = ENTERING_MS;
    assert_eq!(closed(&socket.handle(SocketEvent::Tick)), Some(TIMEOUT));
    let mut socket = Socket::new();
    socket.attach("a");
    socket.says(detach("a"));
    socket.now_ms = 10 * ENTERING_MS;
    assert_eq!(closed(&socket.handle(SocketEvent::Tick)), None);
}

#[test]
fn a_map_of_which_nothing_is_known_for_a_minute_is_denied_alone() {
    let mut socket = Socket::new();
    let b = socket.attach("b");
    let lane = knocks(&mut socket, "a");
    socket.now_ms = ENTERING_MS;
    let out = socket.handle(SocketEvent::Tick);
    assert!(matches!(out[0], SocketEffect::Leave(gone) if gone == lane));
    assert_eq!(closed(&out), None);
    assert!(let_in(&mut socket, lane).is_empty());
    assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 1)]);
}

#[test]
fn a_new_token_may_grant_less_or_more_without_a_new_connection() {
    let mut socket = Socket::new();
    let a = socket.sync("a");
    for (access, taken) in [(Access::ReadOnly, false), (Access::ReadWrite, true)] {
        socket.access = access;
        let read_only = access == Access::ReadOnly;
        let out = socket.says(token("a", None));
        assert_eq!(sent(&out), [answer("a", Answer::Granted { read_only })]);
        let out = socket.says(update("a", &UPDATE));
        assert_eq!(!told(&out).is_empty(), taken);
        assert_eq!(sent(&out).is_empty(), taken, "refused if it is not taken");
    }
    assert!(socket.board.attached(a).is_some());
}

#[test]
fn tokens_are_judged_one_after_the_other_and_the_newest_counts() {
    let mut socket = Socket::new();
    let a = socket.sync("a");
    let renews = |out: &[SocketEffect]| {
        let renew = |effect: &&SocketEffect| matches!(effect, SocketEffect::Renew { .. });
        out.iter().filter(renew).count()
    };
    let mut judged = 0;
    for _ in 0..3 {
        judged += renews(&socket.handle(SocketEvent::Frame(token("a", None))));
    }
    assert_eq!(judged, 1);
    let renewed =
        |socket: &mut Socket| socket.handle(SocketEvent::Renewed(a, granted(Access::ReadOnly)));
    let out = renewed(&mut socket);
    assert_eq!((renews(&out), sent(&out).len()), (1, 0));
    let out = renewed(&mut socket);
    let granted = answer("a", Answer::Granted { read_only: true });
    assert_eq!((renews(&out), sent(&out)), (0, vec![granted]));
}

#[test]
fn a_new_token_that_is_denied_ends_the_map_and_nothing_else() {
    let mut socket = Socket::new();
    let (a, b) = (socket.sync("a"), socket.sync("b"));
    socket.handle(SocketEvent::Frame(token("a", None)));
    let out = denies(&mut socket, a);
    assert_eq!(sent(&out), [answer("a", Answer::Denied("no".into()))]);
    assert!(left(&out));
    assert!(socket.says(update("a", &UPDATE)).is_empty());
    assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 2)]);
    socket.attach("a");
}

#[test]
fn a_new_token_is_asked_for_once_and_in_time() {
    let mut socket = Socket::new();
    let lane = knocks(&mut socket, "a");
    let life_ms = 10 * TOKEN_RENEWAL_MS;
    let granted = |expires_ms| Granted {
        access: Access::ReadWrite,
        expires_ms: Some(expires_ms),
    };
    socket.handle(SocketEvent::Entered(lane, granted(life_ms)));
    let ask = answer("a", Answer::AskToken);
    let asks = |out: &[SocketEffect]| sent(out).iter().filter(|frame| **frame == ask).count();
    socket.now_ms = life_ms - TOKEN_RENEWAL_MS - 1;
    assert_eq!(asks(&socket.handle(SocketEvent::Tick)), 0);
    assert!(socket.board.next_tick_ms().unwrap() <= life_ms - TOKEN_RENEWAL_MS);
    socket.now_ms += 1;
    assert_eq!(asks(&socket.handle(SocketEvent::Tick)), 1);
    socket.now_ms += 1;
    assert_eq!(asks(&socket.handle(SocketEvent::Tick)), 0);
    socket.handle(SocketEvent::Frame(token("a", Some("4.8.0"))));
    socket.handle(SocketEvent::Renewed(lane, granted(2 * life_ms)));
    socket.now_ms = 2 * life_ms - TOKEN_RENEWAL_MS;
    assert_eq!(asks(&socket.handle(SocketEvent::Tick)), 1);
}

#[test]
fn a_token_that_expires_ends_the_map_or_for_older_providers_the_connection() {
    let expired = |lane| SocketEvent::Ended(lane, CloseReason::TokenExpired);
    let mut socket = Socket::new();
    let lane = knocks(&mut socket, "a");
    let_in(&mut socket, lane);
    let out = socket.handle(expired(lane));
    let reason = CloseReason::TokenExpired.text();
    assert_eq!(sent(&out), [answer("a", Answer::Denied(reason))]);
    assert!(left(&out) && closed(&out).is_none());
    let mut socket = Socket::new();
    let lane = socket.attach("a");
    assert_eq!(closed(&socket.handle(expired(lane))), Some(4501));
}

#[test]
fn a_right_that_is_revoked_ends_the_map_and_nothing_else_whoever_says_so() {
    for by_room in [false, true] {
        let mut socket = Socket::new();
        let (a, b) = (socket.sync("a"), socket.sync("b"));
        let out = match by_room {
            true => socket.lane(a, Event::Stop(CloseReason::Forbidden)),
            false => socket.handle(SocketEvent::Ended(a, CloseReason::Forbidden)),
        };
        let reason = CloseReason::Forbidden.text();
        assert_eq!(sent(&out), [answer("a", Answer::Denied(reason))]);
        assert!(left(&out) && closed(&out).is_none());
        assert_eq!(told(&socket.says(update("b", &UPDATE))), [(b, 2)]);
    }
}
