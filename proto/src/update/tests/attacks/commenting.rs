//! What somebody who may only comment gets past the door: notes of their own, whatever the update claims.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use yrs::{Any, ArrayPrelim, Doc, Map, MapPrelim, MapRef, Out, ReadTxn, Text, Transact};

use super::super::build::{At, gc, item, skip, text, update};
use super::super::replicas::{Server, apply, scanned, state, text_of};
use super::{ARRAY, NULL};
use crate::ClientId;
use crate::update::{CommentError, Scanned, Verdict, scan};

const EDITOR: u64 = 1;
const OTHER: u64 = 2;
const OWN: u64 = 3;
const NEW: u64 = 4;

/// A map with features of an editor's, notes of another commenter's, and some of our own.
fn served() -> Server {
    let mut server = Server::new();
    let mut write = |client: u64, edit: &dyn Fn(&Doc)| {
        let doc = Doc::with_client_id(client);
        apply(&doc, &state(&server.doc));
        edit(&doc);
        server.receive(scanned(state(&doc)));
    };
    write(EDITOR, &|doc| {
        let (feat, note, who) = roots(doc);
        let text = doc.get_or_insert_text("body");
        let list = doc.get_or_insert_array("list");
        let mut txn = doc.transact_mut();
        feat.insert(&mut txn, "a", 1);
        feat.insert(&mut txn, "b", MapPrelim::from([("x", 1)]));
        feat.insert(&mut txn, "c", 1);
        feat.remove(&mut txn, "c");
        text.insert(&mut txn, 0, "hello");
        yrs::Array::insert_range(&list, &mut txn, 0, [1, 2]);
        note.insert(&mut txn, "e", 1);
        who.insert(&mut txn, "s1", "ed");
    });
    write(OTHER, &|doc| {
        let (_, note, who) = roots(doc);
        let mut txn = doc.transact_mut();
        note.insert(&mut txn, "n2", 2);
        let deep = note.insert(&mut txn, "n3", MapPrelim::from([("k", 1)]));
        deep.insert(&mut txn, "deep", MapPrelim::from([("y", 2)]));
        note.insert(&mut txn, "n5", ArrayPrelim::from([7, 8]));
        who.insert(&mut txn, "s2", "other");
    });
    write(OWN, &|doc| {
        let (_, note, who) = roots(doc);
        let mut txn = doc.transact_mut();
        note.insert(&mut txn, "n1", 1);
        note.insert(&mut txn, "n1", 2);
        note.insert(&mut txn, "n4", MapPrelim::from([("x", 1)]));
        who.insert(&mut txn, "s3", "me");
    });
    server
}

fn roots(doc: &Doc) -> (MapRef, MapRef, MapRef) {
    (
        doc.get_or_insert_map("feat"),
        doc.get_or_insert_map("note"),
        doc.get_or_insert_map("who"),
    )
}

/// All that we may not touch, as text.
fn others(doc: &Doc) -> String {
    let (feat, note, who) = roots(doc);
    let (body, list) = (
        doc.get_or_insert_text("body"),
        doc.get_or_insert_array("list"),
    );
    let txn = doc.transact();
    let mut out: Vec<String> = [Out::YMap(feat), Out::YText(body), Out::YArray(list)]
        .iter()
        .map(|root| text_of(&txn, root))
        .collect();
    let entry = |map: &MapRef, key: &str| map.get(&txn, key).map(|out| text_of(&txn, &out));
    for (map, key) in [(&note, "e"), (&note, "n2"), (&who, "s1"), (&who, "s2")] {
        out.push(format!("{key}={:?}", entry(map, key)));
    }
    // Others may add to what lies here, and must leave what is there.
    if let Some(Out::YMap(note)) = note.get(&txn, "n3") {
        out.push(format!(
            "{:?} {:?}",
            entry(&note, "k"),
            entry(&note, "deep")
        ));
    }
    if let Some(Out::YArray(list)) = note.get(&txn, "n5") {
        let kept = yrs::Array::iter(&list, &txn).filter(|value| {
            [7.0, 8.0].map(|n| Out::Any(Any::from(n))).contains(value)
                || [7, 8].map(|n| Out::Any(Any::from(n))).contains(value)
        });
        out.push(kept.map(|value| text_of(&txn, &value)).collect());
    }
    out.join("; ")
}

fn check(server: &Server, update: &Scanned) -> Result<(), CommentError> {
    let own = |client: ClientId| client.0 == OWN || server.ledger.clock(client) == 0;
    server.ledger.comments(update, own)
}

fn by_hand(
    server: &Server,
    client: u64,
    structs: Vec<Vec<u8>>,
    deletes: &[(u64, Vec<(u64, u64)>)],
) -> Scanned {
    let clock = server.ledger.clock(ClientId(client));
    let sections = match structs.is_empty() {
        true => vec![],
        false => vec![(client, clock, structs)],
    };
    scanned(update(&sections, deletes))
}

#[test]
fn notes_of_one_s_own_can_be_written_changed_and_deleted() {
    for client in [OWN, NEW] {
        let server = served();
        let doc = Doc::with_client_id(client);
        apply(&doc, &state(&server.doc));
        let before = doc.transact().state_vector();
        let (_, note, who) = roots(&doc);
        let mut txn = doc.transact_mut();
        note.insert(&mut txn, "mine", 1);
        note.insert(&mut txn, "mine", 2);
        note.remove(&mut txn, "mine");
        who.insert(&mut txn, "s9", "me");
        // Under a client of before, or as the same person under a new one.
        note.insert(&mut txn, "n1", 3);
        note.remove(&mut txn, "n4");
        drop(txn);
        let sent = doc.transact().encode_diff_v1(&before);
        assert_eq!(check(&server, &scanned(sent)), Ok(()), "{client}");
    }
}

#[test]
fn nothing_lies_below_a_note_by_any_trick() {
    let server = served();
    let elsewhere = |structs| {
        let refused = check(&server, &by_hand(&server, NEW, structs, &[]));
        assert!(
            matches!(
                refused,
                Err(CommentError::Elsewhere { .. } | CommentError::Unplaced { .. })
            ),
            "{refused:?}"
        );
    };
    let own_note = || item(At::Root("note"), Some("new"), ARRAY);
    for root in ["feat", "notes", "", "meta"] {
        elsewhere(vec![item(At::Root(root), Some("k"), NULL)]);
        elsewhere(vec![own_note(), item(At::Root(root), Some("k"), NULL)]);
    }
    // The map at feat/b, by its id; the entry beside feat/a, by its neighbour; the list's first element likewise.
    elsewhere(vec![item(At::Parent(EDITOR, 1), Some("x"), NULL)]);
    elsewhere(vec![item(At::After(EDITOR, 0), None, NULL)]);
    elsewhere(vec![item(At::Before(EDITOR, 0), None, NULL)]);
    elsewhere(vec![gc(3)]);
    elsewhere(vec![own_note(), gc(1)]);
    // Below a type that lies elsewhere itself, in the same update.
    elsewhere(vec![
        item(At::Root("feat"), Some("k"), ARRAY),
        item(At::Parent(NEW, 0), None, NULL),
    ]);
}

#[test]
fn what_others_wrote_is_neither_replaced_nor_deleted() {
    let server = served();
    let not_own = CommentError::NotOwnNote {
        client: ClientId(NEW),
        clock: 0,
        author: ClientId(OTHER),
    };
    // n2 is clock 0 of the other's: replaced by name, behind it and before it.
    for structs in [
        item(At::Root("note"), Some("n2"), NULL),
        item(At::After(OTHER, 0), None, NULL),
        item(At::Before(OTHER, 0), None, NULL),
        item(At::Parent(OTHER, 1), Some("k"), NULL),
    ] {
        let update = by_hand(&server, NEW, vec![structs], &[]);
        assert_eq!(check(&server, &update), Err(not_own.clone()));
    }
    let delete = |client, clock| by_hand(&server, NEW, vec![], &[(client, vec![(clock, 1)])]);
    assert!(matches!(
        check(&server, &delete(OTHER, 0)),
        Err(CommentError::DeletesOthers { .. })
    ));
    assert!(matches!(
        check(&server, &delete(EDITOR, 0)),
        Err(CommentError::DeletesElsewhere { .. })
    ));
    for client in [EDITOR, OTHER] {
        let own_name = item(At::Root("note"), Some("new"), NULL);
        let update = by_hand(&server, client, vec![own_name], &[]);
        let client = ClientId(client);
        assert_eq!(
            check(&server, &update),
            Err(CommentError::NotOwnClient { client })
        );
    }
}

#[test]
fn a_place_that_too_many_wrote_at_is_nobody_s() {
    let mut server = Server::new();
    for client in 100..200 {
        let note = item(At::Root("note"), Some("n"), NULL);
        server.receive(scanned(update(&[(client, 0, vec![note])], &[])));
    }
    let note = item(At::Root("note"), Some("n"), NULL);
    let update = scanned(update(&[(7, 0, vec![note])], &[]));
    let all_but = |foreign: u64| {
        let own = move |client: ClientId| client.0 != foreign && client.0 < 1_000;
        server.ledger.comments(&update, own)
    };
    assert!(all_but(5).is_err(), "some of those who wrote are not known");
}

fn places() -> impl Strategy<Value = (u8, u8, (u64, u64), (u64, u64))> {
    let id = || (1u64..=4, 0u64..9);
    (0u8..5, 0u8..7, id(), id())
}

/// One struct that may be anything.
fn structs() -> impl Strategy<Value = Vec<u8>> {
    let keys = prop::option::of(prop::sample::select(vec![
        "n1", "n2", "n3", "n4", "e", "a", "b", "k", "x", "s2", "new",
    ]));
    let content = 0u8..7;
    (places(), keys, content).prop_map(|((at, root, left, right), key, content)| {
        let root = ["note", "who", "feat", "note", "list", "body", "notes"][usize::from(root)];
        let at = match at {
            0 => At::Root(root),
            1 => At::Parent(left.0, left.1),
            2 => At::After(left.0, left.1),
            3 => At::Before(left.0, left.1),
            _ => At::Between(left, right),
        };
        let words = text("xy");
        match content {
            0 => gc(1 + left.1 % 3),
            1 => skip(1 + left.1 % 2),
            2 => item(at, key, ARRAY),
            3 => item(at, key, (7, &[1])),
            4 => item(at, key, (1, &[2])),
            5 => item(at, key, (4, &words)),
            _ => item(at, key, NULL),
        }
    })
}

/// A client, how far before its next clock it begins, structs, and deletions of its clocks.
type Attempt = (u64, i8, Vec<Vec<u8>>, Vec<(u64, u64)>);

/// An update that a commenter may try: structs of several clients from about where the map has come to, and deletions.
fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let behind = prop_oneof![6 => Just(0i8), 1 => -2i8..3];
    let structs = prop::collection::vec(structs(), 0..4);
    let ranges = prop::collection::vec((0u64..9, 1u64..3), 0..2);
    let client = prop_oneof![1 => Just(EDITOR), 1 => Just(OTHER), 4 => Just(OWN), 4 => Just(NEW)];
    prop::collection::vec((client, behind, structs, ranges), 1..3)
}

#[test]
fn whatever_is_let_through_leaves_alone_what_is_not_one_s_own() {
    let mut runner = TestRunner::deterministic();
    let (mut allowed, mut refused) = (0, 0);
    let before = others(&served().doc);
    for case in 0..6_000 {
        let attempt = attempts().new_tree(&mut runner).unwrap().current();
        let mut server = served();
        let (mut sections, mut deletes) = (Vec::new(), Vec::new());
        for (client, behind, structs, ranges) in &attempt {
            let clock = server.ledger.clock(ClientId(*client));
            let clock = clock.saturating_add_signed(i64::from(*behind));
            if !structs.is_empty() {
                sections.push((*client, clock, structs.clone()));
            }
            if !ranges.is_empty() {
                deletes.push((*client, ranges.clone()));
            }
        }
        let Ok(update) = scan(update(&sections, &deletes), usize::MAX) else {
            continue;
        };
        if !matches!(
            server.ledger.judge(&update),
            Ok(Verdict::Fresh | Verdict::Overlap)
        ) {
            continue;
        }
        if check(&server, &update).is_err() {
            refused += 1;
            continue;
        }
        allowed += 1;
        server.receive(update);
        assert_eq!(others(&server.doc), before, "case {case}: {attempt:?}");
    }
    assert!(allowed > 100 && refused > 500, "{allowed} {refused}");
}
