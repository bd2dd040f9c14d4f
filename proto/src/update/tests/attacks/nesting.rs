//! Shared types that nest too deep, however the updates are cut.

use super::super::build::{At, gc, item, update};
use super::super::replicas::{Server, apply, content, doc, scanned, state};
use super::{ARRAY, MAP, NULL, admitted, judge};
use crate::ClientId;
use crate::limits::NESTING_MAX;
use crate::update::{DoorError, Ledger, Verdict};

#[test]
fn two_hundred_shallow_updates_are_refused_at_the_one_that_nests_too_deep() {
    let mut server = Server::new();
    for level in 0..200 {
        let at = if level == 0 {
            At::Root("map")
        } else {
            At::Parent(1, level - 1)
        };
        let bytes = update(&[(1, level, vec![item(at, Some("k"), MAP)])], &[]);
        let update = scanned(bytes);
        let verdict = server.ledger.judge(&update);
        if level < NESTING_MAX as u64 {
            server.apply(&verdict.unwrap(), &update);
        } else {
            assert_eq!(
                verdict,
                Err(DoorError::TooDeep {
                    client: ClientId(1),
                    clock: level
                })
            );
            break;
        }
    }
    assert_eq!(server.ledger.clock(ClientId(1)), NESTING_MAX as u64);
    server.receive(scanned(update(&[], &[(1, vec![(0, 1)])])));
    assert!(
        !content(&server.doc).contains("k="),
        "the whole tower is deleted"
    );
}

#[test]
fn depth_counts_through_clients_that_come_later_in_the_bytes_and_after_a_restart() {
    let tower = |levels: u64| {
        let sections: Vec<_> = (0..levels)
            .map(|level| {
                let at = if level == 0 {
                    At::Root("a")
                } else {
                    At::Parent(1000 - level + 1, 0)
                };
                (1000 - level, 0, vec![item(at, None, ARRAY)])
            })
            .rev()
            .collect();
        update(&sections, &[])
    };
    let deepest = NESTING_MAX as u64;
    assert_eq!(
        judge(&Ledger::default(), tower(deepest)),
        Ok(Verdict::Fresh)
    );
    assert!(matches!(
        judge(&Ledger::default(), tower(deepest + 1)),
        Err(DoorError::TooDeep { .. })
    ));

    let stored = doc();
    apply(&stored, &tower(deepest));
    let ledger = admitted(&[state(&stored)]);
    let next = update(
        &[(
            5,
            0,
            vec![item(At::Parent(1000 - deepest + 1, 0), None, NULL)],
        )],
        &[],
    );
    assert!(matches!(
        judge(&ledger, next),
        Err(DoorError::TooDeep { .. })
    ));
}

#[test]
fn an_item_beside_a_deep_one_is_as_deep_and_so_is_what_lies_in_it() {
    let mut ledger = Ledger::default();
    for level in 0..NESTING_MAX as u64 - 1 {
        let at = if level == 0 {
            At::Root("a")
        } else {
            At::Parent(1, level - 1)
        };
        ledger.admit(&scanned(update(
            &[(1, level, vec![item(at, None, ARRAY)])],
            &[],
        )));
    }
    let last = NESTING_MAX as u64 - 2;
    // Something gone on the left says nothing about the place; its neighbour on the right does.
    let beside = update(
        &[(
            2,
            0,
            vec![
                gc(1),
                item(At::Between((2, 0), (1, last)), None, ARRAY),
                item(At::Parent(2, 1), None, ARRAY),
            ],
        )],
        &[],
    );
    assert_eq!(judge(&ledger, beside.clone()), Ok(Verdict::Fresh));
    ledger.admit(&scanned(beside));
    let below = update(&[(2, 3, vec![item(At::Parent(2, 2), None, NULL)])], &[]);
    assert_eq!(
        judge(&ledger, below),
        Err(DoorError::TooDeep {
            client: ClientId(2),
            clock: 3
        })
    );
}
