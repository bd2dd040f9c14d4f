//! Structs that wait for each other: in circles, in rows, and for what is missing.

use super::super::build::{At, gc, item, skip, update};
use super::super::replicas::{Server, apply, doc, scanned, state};
use super::{NULL, admitted, judge, one, refused};
use crate::ClientId;
use crate::limits::CLIENTS_CHAINED_MAX;
use crate::update::{DoorError, Ledger, ScanError, Verdict};
use bytes::Bytes;

#[test]
fn structs_that_wait_for_each_other_for_ever_are_refused() {
    let on_itself = one(vec![item(At::After(1, 0), None, NULL)]);
    assert!(matches!(
        refused(on_itself),
        ScanError::DependsOnItself { clock: 0, .. }
    ));
    let circle = update(
        &[
            (2, 0, vec![item(At::After(1, 0), None, NULL)]),
            (1, 0, vec![item(At::After(2, 0), None, NULL)]),
        ],
        &[],
    );
    assert!(matches!(
        judge(&Ledger::default(), circle),
        Err(DoorError::Circular { .. })
    ));
    // A circle through the order of one client's structs.
    let detour = update(
        &[
            (
                2,
                0,
                vec![
                    item(At::Root("a"), None, NULL),
                    item(At::After(1, 1), None, NULL),
                ],
            ),
            (
                1,
                0,
                vec![
                    item(At::After(2, 1), None, NULL),
                    item(At::Root("a"), None, NULL),
                ],
            ),
        ],
        &[],
    );
    assert!(matches!(
        judge(&Ledger::default(), detour),
        Err(DoorError::Circular { .. })
    ));
    // Honest entanglement is none.
    let braid = update(
        &[
            (
                2,
                0,
                vec![
                    item(At::Root("a"), None, NULL),
                    item(At::After(1, 0), None, NULL),
                ],
            ),
            (
                1,
                0,
                vec![
                    item(At::After(2, 0), None, NULL),
                    item(At::After(2, 1), None, NULL),
                ],
            ),
        ],
        &[],
    );
    assert_eq!(judge(&Ledger::default(), braid), Ok(Verdict::Fresh));
}

#[test]
fn gaps_name_what_is_missing_and_from_where() {
    let ledger = admitted(&[one(vec![item(At::Root("a"), None, NULL)])]);
    let missing = |bytes| match judge(&ledger, bytes) {
        Ok(Verdict::Gap { missing }) => missing
            .into_iter()
            .map(|(client, clock)| (client.0, clock))
            .collect(),
        other => panic!("{other:?}"),
    };
    let null = |at| item(at, None, NULL);
    let cases: [(Bytes, Vec<(u64, u64)>); 6] = [
        (
            update(&[(1, 3, vec![null(At::Root("a"))])], &[]),
            vec![(1, 1)],
        ),
        (
            update(&[(1, 0, vec![gc(1), skip(1), gc(1)])], &[]),
            vec![(1, 1)],
        ),
        (
            update(&[(2, 0, vec![null(At::After(1, 1))])], &[]),
            vec![(1, 1)],
        ),
        (
            update(&[(2, 0, vec![null(At::Between((1, 0), (3, 7)))])], &[]),
            vec![(3, 0)],
        ),
        (
            update(&[], &[(1, vec![(0, 2)]), (9, vec![(0, 1)])]),
            vec![(9, 0), (1, 1)],
        ),
        // 3 waits for 2, and only what 2 waits for is asked for.
        (
            update(
                &[
                    (3, 0, vec![null(At::After(2, 0))]),
                    (2, 0, vec![null(At::After(1, 5))]),
                ],
                &[],
            ),
            vec![(1, 1)],
        ),
    ];
    for (bytes, expected) in cases {
        let named: Vec<(u64, u64)> = missing(bytes);
        assert_eq!(named, expected);
    }
    // A hole that our clock is past is none.
    let past = update(&[(1, 0, vec![skip(1), null(At::Root("a"))])], &[]);
    assert_eq!(judge(&ledger, past), Ok(Verdict::Overlap));
}

#[test]
fn what_is_ready_of_two_updates_with_holes_heals_them() {
    let null = || item(At::Root("list"), None, NULL);
    let mut server = Server::new();
    server.receive(scanned(update(&[(1, 1, vec![null()])], &[])));
    server.receive(scanned(update(
        &[(1, 0, vec![null(), skip(1), null()])],
        &[(1, vec![(0, 3)])],
    )));
    assert!(server.held.is_empty());
    assert_eq!(server.ledger.clock(ClientId(1)), 3);
}

/// Every client's struct depends on the one before: yrs takes them from the last to the first.
fn chain(clients: u64) -> Bytes {
    let sections: Vec<_> = (1..=clients)
        .rev()
        .map(|client| {
            let at = if client == 1 {
                At::Root("a")
            } else {
                At::After(client - 1, 0)
            };
            (client, 0, vec![item(at, None, NULL)])
        })
        .collect();
    update(&sections, &[])
}

#[test]
fn the_longest_chain_of_clients_fits_a_small_stack() {
    let longest = CLIENTS_CHAINED_MAX as u64;
    let update = scanned(chain(longest));
    assert_eq!(Ledger::default().judge(&update), Ok(Verdict::Fresh));
    let mut ledger = Ledger::default();
    let tangled = scanned(chain(longest + 2));
    assert_eq!(ledger.judge(&tangled), Err(DoorError::TooTangled));
    ledger.admit(&tangled);
    assert_eq!(
        ledger.clients(),
        CLIENTS_CHAINED_MAX + 2,
        "a state of one's own is admitted all the same"
    );
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let applied = small.spawn(move || {
        let doc = doc();
        apply(&doc, update.bytes());
        state(&doc).len()
    });
    assert!(applied.unwrap().join().unwrap() > 0);
}

#[test]
fn many_clients_used_up_by_one_are_too_tangled_although_none_waits_long() {
    let used_up = |clients: u64| {
        let one = |client| item(At::After(client, 0), None, NULL);
        let mut sections = vec![(clients + 1, 0, (1..=clients).map(one).collect())];
        sections.extend(
            (1..=clients)
                .rev()
                .map(|client| (client, 0, vec![item(At::Root("a"), None, NULL)])),
        );
        scanned(update(&sections, &[]))
    };
    let most = CLIENTS_CHAINED_MAX as u64;
    assert_eq!(Ledger::default().judge(&used_up(most)), Ok(Verdict::Fresh));
    assert_eq!(
        Ledger::default().judge(&used_up(most + 1)),
        Err(DoorError::TooTangled)
    );
}
