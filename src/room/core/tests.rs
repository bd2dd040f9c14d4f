//! A map as a state machine, with its connections and its log played here.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::room::HeldLimits;
use mapweave_proto::{Message, Refusal, concat, scan};
use mapweave_storage::{Kind, Protocol};
use yrs::{Doc, Map, Transact, WriteTxn};

const ALICE: SessionId = SessionId(1);
const BOB: SessionId = SessionId(2);

fn core() -> Core {
    let start = Start {
        name: MapName::parse("test").unwrap(),
        replica: Replica::new(HeldLimits::default()),
        cache: StateCache::default(),
        head: Seq::ZERO,
        exists: false,
        tail: (0, 0),
        update_bytes: 0,
    };
    Core::new(start, CoreOptions::default())
}

fn origin() -> Arc<Origin> {
    let (user, session) = (String::new(), String::new());
    let protocol = Protocol::YWebsocket;
    Arc::new(Origin {
        user,
        session,
        client: None,
        protocol,
        made_at_ms: None,
        relayed: None,
    })
}

fn turn(core: &mut Core, inputs: Vec<Input>) -> Effects {
    let mut fx = Effects::default();
    inputs
        .into_iter()
        .for_each(|input| core.handle(0, input, &mut fx));
    core.end_turn(0, &mut fx);
    fx
}

fn join(core: &mut Core, session: SessionId, access: Access) {
    let all = ToRoom::SyncStep1(StateVector::default());
    let join = Input::Join {
        session,
        origin: origin(),
        access,
    };
    turn(core, vec![join, Input::Heard(session, all)]);
}

fn edits(client: u64, count: u64) -> Vec<Scanned> {
    let doc = Doc::with_client_id(client);
    let map = doc.get_or_insert_map("feat");
    let edit = |key: u64| {
        let mut txn = doc.transact_mut();
        map.insert(&mut txn, key.to_string(), 1);
        scan(txn.encode_update_v1().into(), usize::MAX).unwrap()
    };
    (0..count).map(edit).collect()
}

fn says(session: SessionId, number: u64, update: &Scanned) -> Input {
    Input::Heard(
        session,
        ToRoom::Update {
            number,
            update: update.clone(),
            step2: false,
        },
    )
}

#[test]
fn nothing_is_settled_before_it_is_durable() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    let edits = edits(7, 2);
    let fx = turn(
        &mut core,
        vec![says(ALICE, 1, &edits[0]), says(ALICE, 2, &edits[1])],
    );
    let kinds: Vec<_> = fx.append.iter().map(|record| record.kind.name()).collect();
    assert_eq!(kinds, ["created", "update", "update"]);
    assert!(fx.settled.is_empty());
    let fx = turn(
        &mut core,
        vec![Input::Durable {
            records: 2,
            last: Seq(2),
        }],
    );
    assert_eq!(fx.settled, [(ALICE, 1)]);
    // What brings nothing waits for what came before it.
    assert!(
        turn(&mut core, vec![says(ALICE, 3, &edits[0])])
            .settled
            .is_empty()
    );
    let fx = turn(
        &mut core,
        vec![Input::Durable {
            records: 1,
            last: Seq(3),
        }],
    );
    assert_eq!(fx.settled, [(ALICE, 2), (ALICE, 3)]);
    assert!(core.positions() == (Seq(3), Seq(3)));
}

#[test]
fn the_updates_of_a_turn_go_out_as_one_message_and_not_to_their_only_author() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    join(&mut core, BOB, Access::ReadWrite);
    let (ours, theirs) = (edits(7, 2), edits(9, 1));
    let fx = turn(
        &mut core,
        vec![says(ALICE, 1, &ours[0]), says(ALICE, 2, &ours[1])],
    );
    assert_eq!(fx.broadcast.len(), 1);
    assert_eq!(fx.broadcast[0].except, Some(ALICE));
    let later = edits(11, 1);
    let fx = turn(
        &mut core,
        vec![says(ALICE, 3, &later[0]), says(BOB, 1, &theirs[0])],
    );
    assert_eq!(
        fx.broadcast.iter().map(|b| b.except).collect::<Vec<_>>(),
        [None]
    );
}

#[test]
fn a_reader_is_refused_what_is_new_and_told_that_the_rest_is_there() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    join(&mut core, BOB, Access::ReadOnly);
    let edits = edits(7, 2);
    turn(
        &mut core,
        vec![
            says(ALICE, 1, &edits[0]),
            Input::Durable {
                records: 2,
                last: Seq(2),
            },
        ],
    );
    let fx = turn(
        &mut core,
        vec![says(BOB, 1, &edits[0]), says(BOB, 2, &edits[1])],
    );
    assert_eq!(
        (fx.settled, fx.refused),
        (vec![(BOB, 1)], vec![(BOB, 2, Refusal::ReadOnly)])
    );
}

/// An update that nests `levels` maps below what `doc` has.
fn nest(doc: &Doc, levels: usize) -> Scanned {
    let mut txn = doc.transact_mut();
    let mut inner = txn.get_or_insert_map("feat");
    while let Some(next) = inner.get(&txn, "in") {
        inner = next.cast().unwrap();
    }
    for _ in 0..levels {
        inner = inner.insert(&mut txn, "in", yrs::MapPrelim::default());
    }
    scan(txn.encode_update_v1().into(), usize::MAX).unwrap()
}

#[test]
fn an_update_that_breaks_a_rule_is_refused_by_its_number_since_later_ones_may_settle() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    let doc = Doc::with_client_id(7);
    let (shallow, deep) = (nest(&doc, 40), nest(&doc, 40));
    let (first, later) = (says(ALICE, 1, &shallow), edits(9, 1));
    let fx = turn(
        &mut core,
        vec![first, says(ALICE, 2, &deep), says(ALICE, 3, &later[0])],
    );
    assert!(
        matches!(&fx.refused[..], [(ALICE, 2, Refusal::Corrupt(_))]),
        "{:?}",
        fx.refused
    );
}

#[test]
fn an_early_update_is_logged_its_author_asked_and_the_others_told_once_its_base_is_there() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    join(&mut core, BOB, Access::ReadWrite);
    let edits = edits(7, 2);
    let fx = turn(&mut core, vec![says(ALICE, 1, &edits[1])]);
    assert_eq!(fx.append.last().unwrap().kind, Kind::Gapped);
    assert!(fx.broadcast.is_empty());
    assert!(matches!(&fx.send[..], [(ALICE, out)] if matches!(out.message, Message::SyncStep1(_))));
    let fx = turn(&mut core, vec![says(BOB, 1, &edits[0])]);
    let both = Message::Update(concat(&[&edits[0], &edits[1]]).unwrap());
    assert_eq!(fx.broadcast[0].message.message, both);
    assert_eq!((fx.broadcast.len(), fx.broadcast[0].except), (1, None));
}

#[test]
fn an_answer_costs_what_had_to_be_encoded_and_nothing_if_it_was_told_before() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    let edits = edits(7, 2);
    turn(
        &mut core,
        vec![says(ALICE, 1, &edits[0]), says(ALICE, 2, &edits[1])],
    );
    let asks = |clock| {
        let have = [(mapweave_proto::ClientId(7), clock)].into_iter().collect();
        Input::Heard(BOB, ToRoom::SyncStep1(have))
    };
    join(&mut core, BOB, Access::ReadWrite);
    let answered = |core: &mut Core, clock| turn(core, vec![asks(clock)]).answered;
    let first = answered(&mut core, 1);
    assert!(matches!(first[..], [(BOB, bytes)] if bytes >= core.update_bytes()));
    assert_eq!(answered(&mut core, 1), [(BOB, 0)]);
    assert_ne!(answered(&mut core, 2), [(BOB, 0)]);
    // What is claimed beyond what is there makes no other question of it.
    assert_eq!(answered(&mut core, 9), [(BOB, 0)]);
}

#[test]
fn of_many_who_ask_for_different_things_each_turn_answers_one() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    let edits = edits(7, 8);
    let said = (1..)
        .zip(&edits)
        .map(|(number, edit)| says(ALICE, number, edit));
    turn(&mut core, said.collect());
    for session in 10..14 {
        join(&mut core, SessionId(session), Access::ReadWrite);
    }
    let asks = |session: u64, clock: u64| {
        let have = [(mapweave_proto::ClientId(7), clock)].into_iter().collect();
        Input::Heard(SessionId(session), ToRoom::SyncStep1(have))
    };
    let fx = turn(
        &mut core,
        vec![
            asks(10, 1),
            asks(11, 2),
            asks(12, 3),
            asks(13, 4),
            asks(12, 2),
        ],
    );
    let who = |fx: &Effects| fx.answered.iter().map(|(id, _)| id.0).collect::<Vec<_>>();
    assert_eq!(who(&fx), [10]);
    assert!(core.is_asked());
    // Whoever asks the same is answered along, and the newest question counts.
    assert_eq!(who(&turn(&mut core, Vec::new())), [11, 12]);
    turn(&mut core, vec![Input::Leave(SessionId(13))]);
    assert!(!core.is_asked());
    assert_eq!(turn(&mut core, Vec::new()).answered, []);
}

#[test]
fn what_waits_too_long_is_given_up_logged_and_told_to_who_sent_it() {
    let mut core = core();
    join(&mut core, ALICE, Access::ReadWrite);
    let edits = edits(7, 3);
    turn(&mut core, vec![says(ALICE, 1, &edits[1])]);
    let tick = |core: &mut Core, now_ms| {
        let mut fx = Effects::default();
        core.handle(now_ms, Input::Tick, &mut fx);
        fx
    };
    assert_eq!(tick(&mut core, 1_000).expired, 0);
    turn(&mut core, vec![says(ALICE, 2, &edits[2])]);
    assert_eq!(tick(&mut core, 2_000).expired, 0);
    let fx = tick(&mut core, 1_000 + HELD_EXPIRY_MS);
    assert_eq!(fx.refused, [(ALICE, 1, Refusal::Expired)]);
    assert_eq!((fx.expired, core.replica().held().len()), (1, 1));
    let [record] = &fx.append[..] else {
        panic!("{:?}", fx.append)
    };
    assert_eq!((&record.kind, record.payload.len()), (&Kind::Expired, 16));
    // What it built on comes late: it is not there, and what came after it still waits.
    let fx = turn(&mut core, vec![says(ALICE, 3, &edits[0])]);
    assert_eq!(fx.broadcast.len(), 1);
    let (_, clock) = core
        .replica()
        .ledger()
        .state_vector()
        .iter()
        .next()
        .unwrap();
    assert_eq!((clock, core.replica().held().len()), (1, 1));
}

#[test]
fn a_log_that_disagrees_ends_the_room() {
    let mut core = core();
    let fx = turn(
        &mut core,
        vec![Input::Durable {
            records: 1,
            last: Seq(2),
        }],
    );
    assert!(fx.broken.is_some());
}
