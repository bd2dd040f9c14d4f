//! Updates that hurt yrs, Yjs or the server's memory, each refused where it can be known.

use bytes::Bytes;
use yrs::updates::decoder::Decode;
use yrs::{Map, ReadTxn, Transact, Update, WriteTxn};

use super::build::{At, gc, item, skip, text, update};
use super::replicas::{Server, apply, content, doc, scanned, state};
use crate::ClientId;
use crate::limits::{CLIENTS_CHAINED_MAX, CLOCK_MAX, NESTING_MAX, UPDATE_BYTES_MAX};
use crate::update::{ConcatError, DoorError, Ledger, ScanError, Scanned, Verdict, concat, scan};

const NULL: (u8, &[u8]) = (8, &[1, 126]);
const ARRAY: (u8, &[u8]) = (7, &[0]);
const MAP: (u8, &[u8]) = (7, &[1]);

fn refused(bytes: impl Into<Bytes>) -> ScanError {
    scan(bytes.into(), UPDATE_BYTES_MAX).unwrap_err()
}

fn one(structs: Vec<Vec<u8>>) -> Bytes {
    update(&[(1, 0, structs)], &[])
}

fn judge(ledger: &Ledger, bytes: Bytes) -> Result<Verdict, DoorError> {
    ledger.judge(&scanned(bytes))
}

fn admitted(updates: &[Bytes]) -> Ledger {
    let mut ledger = Ledger::default();
    for update in updates {
        let update = scanned(update.clone());
        assert!(matches!(
            ledger.judge(&update),
            Ok(Verdict::Fresh | Verdict::Overlap)
        ));
        ledger.admit(&update);
    }
    ledger
}

#[test]
fn the_four_bytes_that_reserve_264_mb_are_refused() {
    let expected = ScanError::TooMany {
        what: "clients",
        count: 139_066_060,
        count_max: 0,
        at: 0,
    };
    assert_eq!(refused(vec![0xcc, 0xf5, 0xa7, 0x42]), expected);
}

#[test]
fn the_eleven_bytes_that_break_a_room_for_good_are_refused() {
    let poison = vec![1, 1, 7, 9, 2, 0, 0, 0, 0, 0, 0];
    assert!(Update::decode_v1(&poison).is_ok(), "yrs takes it");
    assert_eq!(
        refused(poison),
        ScanError::Unsupported {
            what: "content",
            tag: 2,
            at: 4
        }
    );
}

#[test]
fn counts_beyond_the_bytes_are_refused_wherever_they_stand() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    let in_front = |bytes: &[u8]| refused([bytes, &huge, &[0; 20]].concat());
    for (before, what) in [
        (&[1][..], "structs"),
        (&[0], "clients in the delete set"),
        (&[0, 1, 1], "delete ranges"),
        (&[1, 1, 1, 0, 8, 1, 0], "values"),
        (&[1, 1, 1, 0, 8, 1, 0, 1, 117], "elements of an array"),
        (&[1, 1, 1, 0, 8, 1, 0, 1, 118], "entries of an object"),
    ] {
        assert!(
            matches!(in_front(before), ScanError::TooMany { what: w, .. } if w == what),
            "{what}"
        );
    }
}

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

#[test]
fn values_nested_too_deep_are_refused_in_every_content_that_holds_some() {
    let arrays = |n: usize| [vec![1], [117, 1].repeat(n), vec![126]].concat();
    let json = |n: usize| text(&format!("{}{}", "[".repeat(n), "]".repeat(n)));
    for (kind, ok, bad) in [
        (8, arrays(NESTING_MAX), arrays(NESTING_MAX + 1)),
        (5, json(NESTING_MAX), json(NESTING_MAX + 1)),
        (
            6,
            [text("k"), json(NESTING_MAX)].concat(),
            [text("k"), json(NESTING_MAX + 1)].concat(),
        ),
    ] {
        let with = |content: &[u8]| one(vec![item(At::Root("a"), None, (kind, content))]);
        assert_eq!(
            judge(&Ledger::default(), with(&ok)),
            Ok(Verdict::Fresh),
            "{kind}"
        );
        assert!(
            matches!(refused(with(&bad)), ScanError::NestedTooDeep { .. }),
            "{kind}"
        );
    }
    assert!(matches!(
        refused(one(vec![item(At::Root("a"), None, (8, &arrays(1 << 20)))])),
        ScanError::NestedTooDeep { .. }
    ));
}

#[test]
fn a_parent_must_be_a_shared_type_or_gone() {
    let ledger = admitted(&[one(vec![
        item(At::Root("a"), None, NULL),
        item(At::Root("a"), None, ARRAY),
        item(At::Root("a"), None, (1, &[1])),
        gc(1),
    ])]);
    let within = |clock| update(&[(2, 0, vec![item(At::Parent(1, clock), None, NULL)])], &[]);
    let (client, parent_client) = (ClientId(2), ClientId(1));
    let expected = DoorError::ParentNotAType {
        client,
        clock: 0,
        parent_client,
        parent_clock: 0,
    };
    assert_eq!(judge(&ledger, within(0)), Err(expected));
    for clock in 1..4 {
        assert_eq!(judge(&ledger, within(clock)), Ok(Verdict::Fresh), "{clock}");
    }
    assert_eq!(
        judge(&ledger, within(4)),
        Ok(Verdict::Gap {
            missing: vec![(ClientId(1), 4)]
        })
    );
}

#[test]
fn what_yrs_reports_midway_is_refused_before() {
    let bytes = one(vec![
        item(At::Root("a"), None, NULL),
        item(At::Parent(1, 0), None, NULL),
    ]);
    let halfway = Update::decode_v1(&bytes).unwrap();
    assert!(
        doc().transact_mut().apply_update(halfway).is_err(),
        "yrs stops in the middle of it"
    );
    assert!(matches!(
        judge(&Ledger::default(), bytes),
        Err(DoorError::ParentNotAType { .. })
    ));
}

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
fn content_that_only_one_of_yjs_and_yrs_reads_is_refused() {
    let content =
        |kind: u8, bytes: &[u8]| refused(one(vec![item(At::Root("a"), None, (kind, bytes))]));
    assert!(matches!(
        content(2, &[1, 1, b'1']),
        ScanError::Unsupported {
            what: "content",
            tag: 2,
            ..
        }
    ));
    assert!(matches!(
        content(9, &[1, b'g', 118, 0]),
        ScanError::Unsupported {
            what: "content",
            tag: 9,
            ..
        }
    ));
    assert!(matches!(
        content(11, &[0, 1, 0]),
        ScanError::UnknownStruct { .. }
    ));
    for type_ref in [5, 7, 8, 9, 15] {
        assert!(matches!(
            content(7, &[type_ref]),
            ScanError::Unsupported {
                what: "shared type",
                ..
            }
        ));
    }
    assert!(matches!(
        content(5, b"\x09undefined"),
        ScanError::NotJson { .. }
    ));
    assert!(matches!(
        refused(one(vec![vec![0x20, 1]])),
        ScanError::UnknownStruct { .. }
    ));
    assert!(matches!(
        refused(one(vec![vec![0x18, 1, 1, b'a', 1, 126]])),
        ScanError::UnknownStruct { .. }
    ));
    assert!(matches!(
        refused(one(vec![vec![8, 2, 1, b'a', 1, 126]])),
        ScanError::Unsupported { what: "parent", .. }
    ));
}

#[test]
fn json_content_is_read_one_text_too_far_by_yrs() {
    // Why it is refused: two texts are there, yrs takes the delete set for a third.
    let bytes = one(vec![item(At::Root("a"), None, (2, &[2, 1, b'1', 1, b'2']))]);
    assert!(Update::decode_v1(&bytes).is_err());
}

#[test]
fn nothing_may_be_empty_twice_or_left_over() {
    assert!(matches!(
        refused(one(vec![])),
        ScanError::Empty { .. } | ScanError::TooMany { .. }
    ));
    assert!(matches!(
        refused(vec![1, 0, 1, 0, 0, 0, 0, 0]),
        ScanError::Empty {
            what: "section of a client",
            ..
        }
    ));
    for empty in [
        gc(0),
        skip(0),
        item(At::Root("a"), None, (1, &[0])),
        item(At::Root("a"), None, (4, &[0])),
    ] {
        assert!(matches!(refused(one(vec![empty])), ScanError::Empty { .. }));
    }
    assert!(matches!(
        refused(one(vec![item(At::Root("a"), None, (8, &[0]))])),
        ScanError::Empty { .. }
    ));
    assert!(matches!(
        refused(update(&[], &[(1, vec![(0, 0)])])),
        ScanError::Empty {
            what: "delete range",
            ..
        }
    ));
    let twice = update(
        &[
            (1, 0, vec![gc(1)]),
            (2, 0, vec![gc(1)]),
            (1, 1, vec![gc(1)]),
        ],
        &[],
    );
    assert_eq!(
        refused(twice),
        ScanError::DuplicateClient {
            client: ClientId(1),
            what: "sections"
        }
    );
    let twice = update(&[], &[(1, vec![(0, 1)]), (1, vec![(2, 1)])]);
    assert_eq!(
        refused(twice),
        ScanError::DuplicateClient {
            client: ClientId(1),
            what: "delete sets"
        }
    );
    assert_eq!(
        refused(vec![0, 0, 0]),
        ScanError::TrailingBytes { at: 2, bytes: 1 }
    );
    assert_eq!(
        judge(&Ledger::default(), Bytes::from_static(&[0, 0])),
        Ok(Verdict::Nothing)
    );
    assert!(matches!(
        scan(vec![0; 11].into(), 10),
        Err(ScanError::TooLarge {
            bytes: 11,
            bytes_max: 10
        })
    ));
}

#[test]
fn clocks_end_where_yrs_can_count() {
    let ends_at = |start: u64, length: u64| update(&[(1, start, vec![gc(length)])], &[]);
    assert!(scan(ends_at(CLOCK_MAX - 1, 1), UPDATE_BYTES_MAX).is_ok());
    for (start, length) in [
        (CLOCK_MAX - 1, 2),
        (CLOCK_MAX, 1),
        (1 << 40, 1),
        (0, 1 << 31),
        (1, (1 << 53) - 1),
    ] {
        assert!(
            matches!(
                refused(ends_at(start, length)),
                ScanError::ClockTooLarge { .. }
            ),
            "{start} + {length}"
        );
    }
    let deletes = |start, length| update(&[], &[(1, vec![(start, length)])]);
    assert!(matches!(
        refused(deletes(CLOCK_MAX - 1, 2)),
        ScanError::ClockTooLarge { .. }
    ));
    assert!(matches!(
        refused(deletes(1 << 32, 1)),
        ScanError::ClockTooLarge { .. }
    ));
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

#[test]
fn neighbours_in_different_places_are_refused() {
    let ledger = admitted(&[one(vec![
        item(At::Root("a"), None, NULL),
        item(At::Root("b"), None, NULL),
        item(At::Root("b"), Some("k"), NULL),
    ])]);
    let between = |left, right| {
        update(
            &[(
                2,
                0,
                vec![item(At::Between((1, left), (1, right)), None, NULL)],
            )],
            &[],
        )
    };
    for (left, right) in [(0, 1), (1, 2), (2, 1)] {
        let expected = DoorError::TornApart {
            client: ClientId(2),
            clock: 0,
        };
        assert_eq!(judge(&ledger, between(left, right)), Err(expected));
    }
    assert_eq!(judge(&ledger, between(1, 1)), Ok(Verdict::Fresh));
}

#[test]
fn a_known_struct_that_goes_on_elsewhere_is_refused() {
    let ledger = admitted(&[one(vec![item(At::Root("a"), None, (4, &text("ab")))])]);
    let elsewhere = one(vec![item(At::Root("b"), None, (4, &text("abc")))]);
    assert_eq!(
        judge(&ledger, elsewhere),
        Err(DoorError::TornApart {
            client: ClientId(1),
            clock: 0
        })
    );
    let longer = one(vec![item(At::Root("a"), None, (4, &text("abc")))]);
    assert_eq!(judge(&ledger, longer), Ok(Verdict::Overlap));
}

#[test]
fn a_live_map_entry_of_several_values_is_refused_and_a_deleted_one_is_not() {
    let two = (8, &[2, 126, 126][..]);
    let entry = || vec![item(At::Root("map"), Some("k"), two)];
    let expected = DoorError::LongEntry {
        client: ClientId(1),
        clock: 0,
    };
    assert_eq!(judge(&Ledger::default(), one(entry())), Err(expected));
    let deleted = update(&[(1, 0, entry())], &[(1, vec![(0, 2)])]);
    assert_eq!(judge(&Ledger::default(), deleted), Ok(Verdict::Fresh));
    assert_eq!(
        judge(
            &Ledger::default(),
            one(vec![item(At::Root("map"), None, two)])
        ),
        Ok(Verdict::Fresh)
    );

    // Such entries arise where nothing is collected: overwritten values of one writer fold into one item.
    let mut options = yrs::Options::with_client_id(yrs::block::ClientID::new(8));
    options.skip_gc = true;
    let keeper = yrs::Doc::with_options(options);
    let map = keeper.get_or_insert_map("map");
    for n in 0..4 {
        map.insert(&mut keeper.transact_mut(), "k", n);
    }
    let kept = scanned(state(&keeper));
    assert_eq!(
        kept.pieces.len(),
        2,
        "three values folded into one item, and the last"
    );
    assert_eq!(Ledger::default().judge(&kept), Ok(Verdict::Fresh));
}

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

#[test]
fn an_update_written_by_a_server_transaction_passes() {
    let doc = doc();
    let mut txn = doc.transact_mut();
    let map = txn.get_or_insert_map("map");
    map.insert(&mut txn, "k", "v");
    let update = scanned(txn.encode_update_v1());
    drop(txn);
    assert_eq!(
        update.clients().collect::<Vec<_>>(),
        [(ClientId(999), 0, 1)]
    );
    assert!(!doc.transact().has_missing_updates());
}
