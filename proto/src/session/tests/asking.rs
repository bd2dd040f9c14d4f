//! Sync requests: one at a time, and paid for.

use super::*;

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
