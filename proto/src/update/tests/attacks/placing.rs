//! Structs that lie where nothing can lie.

use super::super::build::{At, gc, item, text, update};
use super::super::replicas::{doc, scanned, state};
use super::{ARRAY, NULL, admitted, judge, one};
use crate::ClientId;
use crate::update::{DoorError, Ledger, Verdict};
use yrs::updates::decoder::Decode;
use yrs::{Map, Transact, Update};

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
fn formatting_under_a_key_is_refused_and_in_a_text_it_is_not() {
    let bold = [text("bold"), text("true")].concat();
    let bold = (6, &bold[..]);
    let refused = |clock| {
        Err(DoorError::EntryWithoutValue {
            client: ClientId(1),
            clock,
        })
    };
    let entry = vec![item(At::Root("map"), Some("k"), bold)];
    assert_eq!(judge(&Ledger::default(), one(entry)), refused(0));
    // It is found as well where only its neighbour says where it lies.
    let value = item(At::Root("map"), Some("k"), (8, &[1, 126][..]));
    let behind = item(At::After(1, 0), None, bold);
    assert_eq!(
        judge(&Ledger::default(), one(vec![value, behind])),
        refused(1)
    );
    let in_text = vec![item(At::Root("text"), None, bold)];
    assert_eq!(judge(&Ledger::default(), one(in_text)), Ok(Verdict::Fresh));
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
