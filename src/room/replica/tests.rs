//! Updates in every order, from sources that may be trusted and not.
#![allow(clippy::unwrap_used)]

use super::*;
use mapweave_proto::concat;
use yrs::{Map, WriteTxn};

/// One update per key, all of one client.
fn updates(client: u64, keys: &[&str]) -> Vec<Scanned> {
    let doc = Doc::with_client_id(client);
    let map = doc.get_or_insert_map("feat");
    let mut out = Vec::new();
    for key in keys {
        let mut txn = doc.transact_mut();
        map.insert(&mut txn, *key, 1);
        out.push(scan(txn.encode_update_v1().into(), usize::MAX).unwrap());
    }
    out
}

fn keys(replica: &Replica) -> Vec<String> {
    let txn = replica.doc().transact();
    let mut keys: Vec<_> = txn
        .get_map("feat")
        .map_or(Vec::new(), |m| m.keys(&txn).map(str::to_owned).collect());
    keys.sort();
    keys
}

#[test]
fn an_early_update_waits_whole_and_goes_in_when_its_base_comes() {
    let [a, b, c] = updates(7, &["a", "b", "c"]).try_into().unwrap();
    let mut replica = Replica::new(HeldLimits::default());
    assert!(matches!(
        replica.receive(c.clone(), 1),
        Ok(Outcome::Held { .. })
    ));
    assert!(matches!(replica.receive(c, 1), Ok(Outcome::Nothing)));
    assert!(matches!(replica.receive(b, 1), Ok(Outcome::Held { .. })));
    assert!(keys(&replica).is_empty());
    let Ok(Outcome::Applied { released, .. }) = replica.receive(a.clone(), 1) else {
        panic!()
    };
    assert_eq!(
        (released.len(), replica.held().len(), replica.held_bytes()),
        (2, 0, 0)
    );
    assert_eq!(keys(&replica), ["a", "b", "c"]);
    assert!(matches!(replica.receive(a, 1), Ok(Outcome::Nothing)));
}

#[test]
fn what_is_ready_of_an_update_with_a_gap_goes_in_at_once() {
    let (ours, theirs) = (updates(7, &["a", "b"]), updates(9, &["c"]));
    let mixed = concat(&[&ours[1], &theirs[0]]).unwrap();
    let mut replica = Replica::new(HeldLimits::default());
    let held = replica
        .receive(scan(mixed, usize::MAX).unwrap(), 1)
        .unwrap();
    assert!(matches!(held, Outcome::Held { went_in, .. } if went_in.len() == 1));
    assert_eq!(keys(&replica), ["c"]);
    replica.receive(ours[0].clone(), 1).unwrap();
    assert_eq!(
        (keys(&replica), replica.held().len()),
        (vec!["a".into(), "b".into(), "c".into()], 0)
    );
}

#[test]
fn an_update_goes_in_when_its_own_ready_part_releases_what_the_rest_waits_for() {
    let [a, b, c] = updates(7, &["a", "b", "c"]).try_into().unwrap();
    let theirs = updates(9, &["e"]).remove(0);
    // Held: "b", and theirs behind a hole that "c" stands for.
    let mut replica = Replica::new(HeldLimits::default());
    replica.receive(b, 1).unwrap();
    let holed = yrs::merge_updates_v1([&**a.bytes(), &**c.bytes(), &**theirs.bytes()]).unwrap();
    let holed = scan(holed.into(), usize::MAX).unwrap();
    let outcome = replica.receive(holed, 1).unwrap();
    assert!(matches!(outcome, Outcome::Held { .. }));
    assert_eq!((keys(&replica).len(), replica.held().len()), (4, 0));
}

#[test]
fn what_waits_already_is_not_held_again_however_it_is_cut() {
    let ours = updates(7, &["a", "b", "c", "d"]);
    let theirs = updates(9, &["e"]);
    let mut replica = Replica::new(HeldLimits::default());
    for update in &ours[1..3] {
        replica.receive(update.clone(), 1).unwrap();
    }
    let both = scan(concat(&[&ours[1], &ours[2]]).unwrap(), usize::MAX).unwrap();
    let again = replica.receive(both, 2).unwrap();
    assert!(matches!(again, Outcome::Nothing));
    let more = concat(&[&ours[1], &ours[2], &theirs[0]]).unwrap();
    let ready = replica.receive(scan(more, usize::MAX).unwrap(), 2).unwrap();
    assert!(matches!(ready, Outcome::Applied { .. }));
    assert_eq!(
        (keys(&replica), replica.held().len()),
        (vec!["e".into()], 2)
    );
    let longer = concat(&[&ours[2], &ours[3]]).unwrap();
    let longer = replica
        .receive(scan(longer, usize::MAX).unwrap(), 2)
        .unwrap();
    assert!(matches!(longer, Outcome::Held { .. }));
}

#[test]
fn somebody_elses_structs_at_the_same_clocks_do_not_stand_for_what_waits() {
    let honest = updates(7, &["a", "b"]);
    let forged = updates(7, &["x", "y"]);
    let mut replica = Replica::new(HeldLimits::default());
    replica.receive(forged[1].clone(), 1).unwrap();
    let held = replica.receive(honest[1].clone(), 2).unwrap();
    assert!(matches!(held, Outcome::Held { .. }));
    let again = replica.receive(honest[1].clone(), 2).unwrap();
    assert!(matches!(again, Outcome::Nothing));
}

#[test]
fn what_waits_is_bounded_for_a_source_and_for_the_map() {
    let [_, b, c, d] = updates(7, &["a", "b", "c", "d"]).try_into().unwrap();
    let size = held::held_bytes_of(&b);
    let limits = HeldLimits {
        map_bytes_max: 2 * size + 1,
        source_bytes_max: size + 1,
        ..HeldLimits::default()
    };
    let mut replica = Replica::new(limits);
    assert!(replica.receive(b, 1).is_ok());
    let full = |limit_bytes, held_bytes| Refused::HeldFull {
        held_bytes,
        limit_bytes,
    };
    assert_eq!(
        replica.receive(c.clone(), 1).unwrap_err(),
        full(size + 1, size)
    );
    assert!(replica.receive(c, 2).is_ok());
    assert_eq!(
        replica.receive(d, 3).unwrap_err(),
        full(2 * size + 1, 2 * size)
    );
}

#[test]
fn what_waits_is_bounded_in_number_too() {
    let [_, b, c, d] = updates(7, &["a", "b", "c", "d"]).try_into().unwrap();
    let limits = HeldLimits {
        map_updates_max: 2,
        source_updates_max: 1,
        ..HeldLimits::default()
    };
    let mut replica = Replica::new(limits);
    replica.receive(b, 1).unwrap();
    let full = |held, limit| Refused::TooManyHeld { held, limit };
    assert_eq!(replica.receive(c.clone(), 1).unwrap_err(), full(1, 1));
    replica.receive(c, 2).unwrap();
    assert_eq!(replica.receive(d, 3).unwrap_err(), full(2, 2));
}

#[test]
fn a_state_that_repeats_what_is_there_brings_only_the_rest() {
    let all = updates(7, &["a", "b"]);
    let mut replica = Replica::new(HeldLimits::default());
    replica.receive(all[0].clone(), 1).unwrap();
    let whole = scan(concat(&[&all[0], &all[1]]).unwrap(), usize::MAX).unwrap();
    let Ok(Outcome::Applied { brought, .. }) = replica.receive(whole, 2) else {
        panic!()
    };
    assert_eq!(brought.clients().collect::<Vec<_>>(), [(ClientId(7), 1, 2)]);
}

#[test]
fn a_cached_state_joined_with_later_updates_is_the_state() {
    let all = updates(7, &["a", "b", "c"]);
    let mut replica = Replica::new(HeldLimits::default());
    replica.receive(all[0].clone(), 1).unwrap();
    let mut cache = StateCache::new(all[0].clone());
    for update in &all[1..] {
        replica.receive(update.clone(), 1).unwrap();
        cache.push(update);
    }
    let mut copy = Replica::new(HeldLimits::default());
    copy.receive(scan(cache.state(&replica).unwrap(), usize::MAX).unwrap(), 1)
        .unwrap();
    assert_eq!(keys(&copy), ["a", "b", "c"]);
}

#[test]
fn a_deletion_that_was_made_here_already_is_no_news() {
    // Two clients write one key; whoever loses is deleted by yrs itself, on every replica.
    let ours = updates(7, &["k"]);
    let theirs = updates(9, &["k"]);
    let mut replica = Replica::new(HeldLimits::default());
    let other = Doc::with_client_id(11);
    for update in ours.iter().chain(&theirs) {
        replica.receive(update.clone(), 1).unwrap();
        let mut txn = other.transact_mut();
        txn.get_or_insert_map("feat");
        txn.apply_update(Update::decode_v1(update.bytes()).unwrap())
            .unwrap();
    }
    let state = other
        .transact()
        .encode_state_as_update_v1(&yrs::StateVector::default());
    let state = scan(state.into(), usize::MAX).unwrap();
    assert!(replica.brings_nothing(&state));
    assert!(matches!(replica.receive(state, 2), Ok(Outcome::Nothing)));
}
