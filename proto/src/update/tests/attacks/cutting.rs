//! Updates cut and joined where they overlap.

use super::super::build::{At, gc, item, text, update};
use super::super::replicas::{Server, scanned, state};
use super::{admitted, one};
use crate::ClientId;
use crate::update::{ConcatError, Ledger, Scanned, Verdict, concat};

#[test]
fn the_rest_of_a_cut_struct_means_the_same() {
    for (kind, known, whole) in [
        (4, text("ab"), text("abcd")),
        (4, text("ü€"), text("ü€😀x")),
        (8, vec![1, 125, 1], vec![3, 125, 1, 117, 1, 120, 126]),
        (1, vec![2], vec![5]),
    ] {
        let root = |content: &[u8]| item(At::Root("text"), None, (kind, content));
        let mut server = Server::new();
        let other = update(
            &[(9, 0, vec![item(At::Root("text"), None, (4, &text("z")))])],
            &[],
        );
        server.receive(scanned(other));
        server.receive(scanned(one(vec![root(&known)])));
        let more = update(&[(1, 0, vec![root(&whole), gc(2)])], &[(1, vec![(0, 1)])]);
        server.receive(scanned(more));
        assert_eq!(state(&server.doc), state(&server.whole));
    }
}

#[test]
fn a_character_cut_in_two_becomes_two_marks_as_in_yjs() {
    let mut ledger = Ledger::default();
    let whole = one(vec![item(At::Root("text"), None, (4, &text("a😀b")))]);
    let known = one(vec![item(At::Root("text"), None, (4, &text("a\u{fffd}")))]);
    ledger.admit(&scanned(known));
    let rest = ledger.fresh_part(&scanned(whole));
    let expected = update(
        &[(
            1,
            2,
            vec![item(At::After(1, 1), None, (4, &text("\u{fffd}b")))],
        )],
        &[],
    );
    assert_eq!(rest, expected);
}

#[test]
fn joining_refuses_runs_that_do_not_follow() {
    let at = |clock| scanned(update(&[(1, clock, vec![gc(2)])], &[]));
    assert!(concat(&[&at(0), &at(2)]).is_ok());
    for (second, clock) in [(at(1), 1), (at(3), 3)] {
        let (client, clock_expected) = (ClientId(1), 2);
        let expected = ConcatError::NotContiguous {
            index: 1,
            client,
            clock,
            clock_expected,
        };
        assert_eq!(concat(&[&at(0), &second]), Err(expected));
    }
    let none: [&Scanned; 0] = [];
    assert_eq!(concat(&none).unwrap(), &[0, 0][..]);
}

#[test]
fn deletions_that_we_heard_of_are_no_news_and_others_are() {
    let mut ledger = admitted(&[one(vec![item(At::Root("a"), None, (4, &text("abcdef")))])]);
    let deletes = |ranges: &[(u64, u64)]| scanned(update(&[], &[(1, ranges.to_vec())]));
    assert_eq!(ledger.judge(&deletes(&[(1, 2)])), Ok(Verdict::Fresh));
    ledger.admit(&deletes(&[(1, 2)]));
    assert_eq!(ledger.judge(&deletes(&[(2, 1)])), Ok(Verdict::Nothing));
    let more = deletes(&[(0, 2), (4, 1)]);
    assert_eq!(ledger.judge(&more), Ok(Verdict::Overlap));
    assert!(ledger.only_deletes_are_new(&more));
    assert_eq!(
        ledger.fresh_part(&more),
        update(&[], &[(1, vec![(0, 1), (4, 1)])])
    );
    let structs = scanned(update(&[(1, 6, vec![gc(1)])], &[]));
    assert!(!ledger.only_deletes_are_new(&structs));
}
