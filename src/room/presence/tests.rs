//! Who is shown, and to whom it is told.
#![allow(clippy::unwrap_used)]

use super::*;

const ME: SessionId = SessionId(1);
const OTHER: SessionId = SessionId(2);

fn says(client: u64, clock: u64, state: &'static str) -> AwarenessUpdate {
    let entry = AwarenessEntry {
        client: ClientId(client),
        clock,
        state: Bytes::from_static(state.as_bytes()),
    };
    AwarenessUpdate {
        entries: vec![entry],
    }
}

fn told(p: &mut Presence) -> Vec<(u64, u64, String)> {
    let changes: Vec<_> = p
        .take_changes(0)
        .into_iter()
        .flat_map(|u| u.entries)
        .collect();
    changes
        .iter()
        .map(|e| {
            (
                e.client.0,
                e.clock,
                String::from_utf8_lossy(&e.state).into_owned(),
            )
        })
        .collect()
}

#[test]
fn a_newer_state_is_told_once_and_a_stale_one_never() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 1, "{}"), 0);
    p.receive(ME, &says(7, 2, r#"{"a":1}"#), 0);
    assert_eq!(told(&mut p), [(7, 2, r#"{"a":1}"#.into())]);
    p.receive(OTHER, &says(7, 2, "{}"), 0);
    p.receive(ME, &says(7, 1, "{}"), 0);
    assert_eq!(told(&mut p), []);
}

#[test]
fn nobody_removes_somebody_else() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 1, "{}"), 0);
    p.receive(OTHER, &says(7, 1, "null"), 0);
    p.receive(OTHER, &says(7, 99, "null"), 0);
    assert_eq!(told(&mut p), [(7, 1, "{}".into())]);
    p.leave(OTHER, 0);
    assert_eq!(p.present(), 1);
    p.receive(ME, &says(7, 1, "null"), 0);
    assert_eq!(told(&mut p), [(7, 1, "null".into())]);
}

#[test]
fn a_client_that_comes_back_with_its_old_clock_is_seen_at_once() {
    let mut p = Presence::default();
    p.join(ME);
    p.receive(ME, &says(7, 5, "{}"), 0);
    assert_eq!(told(&mut p).len(), 1);
    p.leave(ME, 1);
    assert_eq!(told(&mut p), [(7, 5, "null".into())]);
    p.join(OTHER);
    p.receive(OTHER, &says(7, 5, "{}"), 2);
    assert_eq!(told(&mut p), [(7, 6, "{}".into())]);
}

#[test]
fn a_late_echo_does_not_bring_back_a_client_that_left() {
    let mut p = Presence::default();
    p.join(ME);
    p.join(OTHER);
    p.receive(ME, &says(7, 5, "{}"), 0);
    assert_eq!(told(&mut p).len(), 1);
    p.receive(ME, &says(7, 5, "null"), 1);
    p.receive(OTHER, &says(7, 5, "{}"), 2);
    assert_eq!(
        (p.present(), told(&mut p)),
        (0, vec![(7, 5, "null".into())])
    );
    p.receive(ME, &says(7, 6, "{}"), 3);
    p.leave(ME, 4);
    p.receive(OTHER, &says(7, 6, "{}"), 5);
    assert_eq!(p.present(), 0);
}

#[test]
fn a_late_close_of_the_old_socket_does_not_remove_the_new_one() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 5, "{}"), 0);
    p.receive(OTHER, &says(7, 6, "{}"), 1);
    p.leave(ME, 2);
    assert_eq!(p.present(), 1);
}

#[test]
fn silence_takes_a_client_out_and_its_clock_is_forgotten_later() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 5, "{}"), 0);
    p.expire(29_999, 30_000);
    assert_eq!((p.present(), told(&mut p).len()), (1, 1));
    p.expire(30_000, 30_000);
    assert_eq!((p.present(), told(&mut p).len()), (0, 1));
    p.expire(30_000 + PRESENCE_MEMORY_MS, 30_000);
    assert!(p.is_empty());
}

#[test]
fn who_missed_a_departure_can_be_told() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 5, "{}"), 0);
    p.receive(OTHER, &says(8, 1, "{}"), 0);
    p.leave(ME, 1);
    let clients = |updates: Vec<AwarenessUpdate>| -> Vec<(u64, bool)> {
        let entries = updates.iter().flat_map(|u| &u.entries);
        entries.map(|e| (e.client.0, e.is_gone())).collect()
    };
    assert_eq!(clients(p.everyone()), [(8, false)]);
    assert_eq!(clients(p.everyone_and_gone()), [(7, true), (8, false)]);
}

#[test]
fn a_session_shows_so_many_bytes_and_no_more_until_it_takes_some_away() {
    let mut p = Presence::default();
    let mut show = |client, clock, state: String| {
        let state = Bytes::from(state);
        let (client, entries) = (ClientId(client), Vec::new());
        let mut update = AwarenessUpdate { entries };
        update.entries.push(AwarenessEntry {
            client,
            clock,
            state,
        });
        p.receive(ME, &update, 0);
        p.present()
    };
    let large = || format!("\"{}\"", "x".repeat(60 << 10));
    let many = (0..100).map(|client| show(client, 1, large())).last();
    assert_eq!(many, Some(17));
    assert_eq!(show(3, 2, "null".to_owned()), 16);
    assert_eq!(show(100, 1, large()), 17);
    assert_eq!(show(100, 2, large()), 17);
    let client = &p.clients[&ClientId(100)];
    assert_eq!(client.clock, 2);
    p.leave(ME, 1);
    assert_eq!(p.shares.clients(), 0);
}

#[test]
fn clients_that_left_do_not_keep_others_out() {
    let mut p = Presence::default();
    for client in 0..PRESENCE_CLIENTS_MAX as u64 {
        p.receive(ME, &says(client, 1, "{}"), 0);
        p.receive(ME, &says(client, 1, "null"), 0);
    }
    told(&mut p);
    p.receive(OTHER, &says(1 << 40, 1, "{}"), 1);
    assert_eq!(p.present(), 1);
}

/// What `session` shows: these clients, each with so many bytes.
fn shows(p: &mut Presence, session: u64, clients: std::ops::Range<u64>, clock: u64, bytes: usize) {
    let state = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
    for client in clients {
        let entry = AwarenessEntry {
            client: ClientId(client),
            clock,
            state: state.clone(),
        };
        let entries = vec![entry];
        p.receive(SessionId(session), &AwarenessUpdate { entries }, 0);
    }
}

#[test]
fn who_shows_too_much_too_fast_is_told_of_later_and_with_its_newest_state_alone() {
    let mut p = Presence::default();
    let mut bytes = 0;
    for clock in 1..=100 {
        shows(&mut p, 1, 0..16, clock, 60 << 10);
        let told = p.take_changes(clock);
        bytes += told.iter().map(|piece| piece.encode().len()).sum::<usize>();
    }
    assert!(
        bytes < 2 * PRESENCE_BYTES_PER_SESSION_MAX,
        "{bytes} bytes in 100 ms"
    );
    // Others do not wait for it.
    p.receive(OTHER, &says(99, 1, "{}"), 100);
    assert_eq!(p.due_ms(), Some(0));
    let told = p.take_changes(101);
    assert!(
        told.iter()
            .flat_map(|u| &u.entries)
            .any(|e| e.client.0 == 99)
    );
    // In the end everybody has the newest of everyone.
    let mut newest = BTreeMap::new();
    while let Some(due_ms) = p.due_ms() {
        let told = p.take_changes(due_ms);
        newest.extend(
            told.iter()
                .flat_map(|u| &u.entries)
                .map(|e| (e.client, e.clock)),
        );
    }
    assert!((0..16).all(|client| p.clients[&ClientId(client)].told));
    assert!(newest.values().all(|clock| *clock == 100) && !newest.is_empty());
}

#[test]
fn whoever_goes_before_anybody_was_told_of_it_is_not_told_of_at_all() {
    let mut p = Presence::default();
    shows(&mut p, 1, 0..200, 1, 5 << 10);
    while !p.take_changes(0).is_empty() {}
    shows(&mut p, 1, 0..200, 2, 5 << 10);
    while !p.take_changes(0).is_empty() {}
    p.receive(ME, &says(500, 1, r#"{"late":1}"#), 0);
    assert!(p.take_changes(0).is_empty());
    p.receive(ME, &says(500, 2, "null"), 0);
    let due_ms = p.due_ms().unwrap();
    assert!(
        p.take_changes(due_ms)
            .iter()
            .all(|u| u.entries.iter().all(|e| e.client.0 != 500))
    );
}

#[test]
fn beyond_the_bound_of_a_map_whoever_shows_most_gives_way() {
    let mut p = Presence::default();
    p.receive(OTHER, &says(1, 1, "{}"), 0);
    for session in 0..20 {
        shows(
            &mut p,
            100 + session,
            1_000 * session..1_000 * session + 16,
            1,
            60 << 10,
        );
    }
    assert!(p.shares.bytes() <= PRESENCE_BYTES_MAX);
    assert!(p.take_gave_way() > 0 && p.take_gave_way() == 0);
    assert!(
        p.clients[&ClientId(1)].state.is_some(),
        "not somebody who shows little"
    );
}

#[test]
fn crowds_of_one_session_make_room_for_others() {
    let mut p = Presence::default();
    for session in 0..20 {
        shows(
            &mut p,
            100 + session,
            10_000 * session..10_000 * session + 1_000,
            1,
            1,
        );
    }
    assert_eq!(p.present(), PRESENCE_CLIENTS_MAX);
    p.receive(OTHER, &says(1 << 40, 1, "{}"), 1);
    assert!(p.clients[&ClientId(1 << 40)].state.is_some());
    assert_eq!(p.present(), PRESENCE_CLIENTS_MAX - 1_000 + 1);
}

#[test]
fn nobody_else_raises_a_clock_so_far_that_its_owner_is_heard_no_more() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 1, "{}"), 0);
    p.receive(OTHER, &says(7, VAR_UINT_MAX, "{}"), 0);
    p.receive(OTHER, &says(7, PRESENCE_CLOCK_STEP_MAX + 2, "{}"), 0);
    assert_eq!(p.clients[&ClientId(7)].owner, Some(ME));
    // Its own clock is its own affair; also then what is told stays a number of the wire.
    p.receive(ME, &says(7, VAR_UINT_MAX, "{}"), 0);
    p.leave(ME, 1);
    p.join(OTHER);
    p.receive(SessionId(3), &says(7, VAR_UINT_MAX, "{}"), 2);
    assert!(p.clients[&ClientId(7)].clock <= VAR_UINT_MAX);
}

#[test]
fn what_is_told_of_many_comes_in_messages_that_may_be_echoed() {
    let mut p = Presence::default();
    let large = format!("\"{}\"", "x".repeat(1_000));
    let state = Bytes::from(large);
    for client in 0..300 {
        let (client, state) = (ClientId(client), state.clone());
        let entries = vec![AwarenessEntry {
            client,
            clock: 1,
            state,
        }];
        p.receive(SessionId(client.0), &AwarenessUpdate { entries }, 0);
    }
    let pieces = p.everyone();
    assert_eq!(
        pieces
            .iter()
            .map(|piece| piece.entries.len())
            .sum::<usize>(),
        300
    );
    assert!(
        pieces
            .iter()
            .all(|piece| piece.encode().len() <= PRESENCE_MESSAGE_BYTES)
    );
}

#[test]
fn what_is_no_json_is_not_told_on() {
    let mut p = Presence::default();
    p.receive(ME, &says(7, 5, "{oops"), 0);
    p.receive(ME, &says(7, 6, ""), 0);
    assert_eq!(p.due_ms(), None);
}
