//! Bytes that the scanner refuses, whatever a document holds.

use super::super::build::{At, gc, item, skip, text, update};
use super::super::replicas::{doc, scanned};
use super::{judge, one, refused};
use crate::ClientId;
use crate::limits::{CLOCK_MAX, NESTING_MAX, UPDATE_BYTES_MAX};
use crate::update::{Ledger, ScanError, Verdict, scan};
use bytes::Bytes;
use yrs::updates::decoder::Decode;
use yrs::{Map, ReadTxn, Transact, Update, WriteTxn};

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
