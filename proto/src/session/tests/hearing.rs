//! What a peer sends: kept, counted, read, or the end of the connection.

use super::*;
use crate::awareness::{AwarenessEntry, AwarenessUpdate};
use crate::id::ClientId;

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
