//! What a map does with updates of people who may not do everything, with its log played here.
#![allow(clippy::unwrap_used)]

use mapweave_proto::{AwarenessEntry, AwarenessUpdate, Message, StateVector, ToRoom, scan};
use yrs::updates::decoder::Decode;
use yrs::{Doc, Map, ReadTxn, Transact};

use super::super::{CoreOptions, Input, Start};
use super::*;
use crate::room::load::replay;
use crate::room::{Beside, HeldLimits, Replica, StateCache, content};
use mapweave_storage::{NewRecord, Record};

const ANA: SessionId = SessionId(1);
const BEN: SessionId = SessionId(2);

/// A map and its log so far, all of it durable.
struct Played {
    core: Core,
    log: Vec<NewRecord>,
    now_ms: u64,
}

impl Played {
    fn new() -> Self {
        let start = Start {
            name: mapweave_proto::MapName::parse("test").unwrap(),
            replica: Replica::new(HeldLimits::default()),
            cache: StateCache::default(),
            head: Seq::ZERO,
            exists: false,
            tail: (0, 0),
            update_bytes: 0,
        };
        Self {
            core: Core::new(start, CoreOptions::default()),
            log: Vec::new(),
            now_ms: 0,
        }
    }

    /// With a feature of an editor's, who has gone.
    fn with_feature() -> Self {
        let mut played = Self::new();
        played.join(SessionId(9), "ed", Access::ReadWrite);
        played.hears(
            SessionId(9),
            1,
            &written(&Doc::with_client_id(9), "feat", "a"),
        );
        played.turn(vec![Input::Leave(SessionId(9))]);
        played
    }

    /// One turn, whose records are durable at its end; what that leads to is told with it.
    fn turn(&mut self, inputs: Vec<Input>) -> Effects {
        let mut fx = Effects::default();
        for input in inputs {
            self.core.handle(self.now_ms, input, &mut fx);
        }
        self.core.end_turn(self.now_ms, &mut fx);
        let records = fx.append.len() as u64;
        self.log.append(&mut fx.append.clone());
        if records > 0 {
            let last = Seq(self.log.len() as u64);
            let durable = Input::Durable { records, last };
            self.core.handle(self.now_ms, durable, &mut fx);
        }
        assert_eq!(fx.broken, None);
        fx
    }

    fn join(&mut self, session: SessionId, user: &str, access: Access) -> Effects {
        let all = ToRoom::SyncStep1(StateVector::default());
        let origin = origin(user);
        let join = Input::Join {
            session,
            origin,
            access,
        };
        self.turn(vec![join, Input::Heard(session, all)])
    }

    fn hears(&mut self, session: SessionId, number: u64, update: &Scanned) -> Effects {
        let update = update.clone();
        let said = ToRoom::Update {
            number,
            update,
            step2: false,
        };
        self.turn(vec![Input::Heard(session, said)])
    }

    fn decides(&mut self, seq: u64, decision: Decision) -> Result<Seq, Refused> {
        let decide = Input::Decide {
            ticket: Ticket(1),
            seq: Seq(seq),
            decision,
            origin: origin("owner"),
        };
        let mut fx = self.turn(vec![decide]);
        fx.replies.pop().unwrap().1
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.log.iter().map(|record| record.kind.name()).collect()
    }

    fn doc(&self) -> Doc {
        let doc = Doc::with_client_id(77);
        let state = self.core.replica().encode_state().unwrap();
        let state = yrs::Update::decode_v1(&state).unwrap();
        doc.transact_mut().apply_update(state).unwrap();
        doc
    }

    fn has(&self, root: &str, key: &str) -> bool {
        let doc = self.doc();
        let map = doc.get_or_insert_map(root);
        map.contains_key(&doc.transact(), key)
    }

    /// Replaying the log leads to the same document, people and quarantine.
    fn assert_replays(&self) {
        let mut replica = Replica::new(HeldLimits::NONE);
        for (record, seq) in self.log.iter().zip(1..) {
            let record = Record {
                doc: mapweave_proto::DocId::fresh(),
                seq: Seq(seq),
                time_ms: 0,
                origin: record.origin.clone(),
                kind: record.kind.clone(),
                payload: record.payload.clone(),
                chain: [0; 32],
            };
            replay(&mut replica, &record).unwrap();
        }
        let live = self.core.replica();
        assert_eq!(content(&replica), content(live));
        assert_eq!(Beside::of(&replica), Beside::of(live));
    }
}

fn origin(user: &str) -> Arc<Origin> {
    Arc::new(Origin {
        user: user.to_owned(),
        ..Origin::default()
    })
}

fn written(doc: &Doc, root: &str, key: &str) -> Scanned {
    let map = doc.get_or_insert_map(root);
    let mut txn = doc.transact_mut();
    map.insert(&mut txn, key, 1);
    scan(txn.encode_update_v1().into(), usize::MAX).unwrap()
}

fn whole(doc: &Doc) -> Scanned {
    let state = doc.transact().encode_diff_v1(&yrs::StateVector::default());
    scan(state.into(), usize::MAX).unwrap()
}

fn reason(fx: &Effects) -> &Refusal {
    let [(_, _, reason)] = &fx.refused[..] else {
        panic!("{:?}", fx.refused)
    };
    reason
}

#[test]
fn a_commenter_writes_notes_and_nothing_else() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Comment);
    let doc = Doc::with_client_id(7);
    assert_eq!(
        map.hears(ANA, 1, &written(&doc, "note", "n")).settled,
        [(ANA, 1)]
    );
    assert_eq!(
        map.hears(ANA, 2, &written(&doc, "who", "s")).settled,
        [(ANA, 2)]
    );
    let fx = map.hears(ANA, 3, &written(&doc, "feat", "b"));
    assert!(matches!(reason(&fx), Refusal::Forbidden(why) if why.contains("notes only")));
    assert!(fx.broadcast.is_empty() && fx.append.is_empty());
    assert!(map.has("note", "n") && !map.has("feat", "b"));
    map.assert_replays();
}

#[test]
fn a_note_belongs_to_who_wrote_it_on_whichever_device() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Comment);
    map.join(BEN, "ben", Access::Comment);
    map.hears(ANA, 1, &written(&Doc::with_client_id(7), "note", "n"));
    // Ben has seen it and writes over it; so does Ana on another device.
    let refused = map.hears(BEN, 1, &written(&map.doc_of(8), "note", "n"));
    assert!(matches!(reason(&refused), Refusal::Forbidden(why) if why.contains("of their own")));
    let tablet = map.doc_of(17);
    assert_eq!(
        map.hears(ANA, 2, &written(&tablet, "note", "n")).settled,
        [(ANA, 2)]
    );
    // Nobody writes under another's client, used or about to be.
    let refused = map.hears(BEN, 2, &written(&tablet, "note", "other"));
    assert!(matches!(reason(&refused), Refusal::Forbidden(why) if why.contains("own clients")));
    let entry = AwarenessEntry {
        client: ClientId(27),
        clock: 1,
        state: Bytes::from_static(b"{}"),
    };
    let present = ToRoom::Awareness(AwarenessUpdate {
        entries: vec![entry],
    });
    map.turn(vec![Input::Heard(ANA, present)]);
    let refused = map.hears(BEN, 3, &written(&Doc::with_client_id(27), "note", "m"));
    assert!(matches!(reason(&refused), Refusal::Forbidden(why) if why.contains("own clients")));
    map.assert_replays();
}

impl Played {
    /// A copy of the map to write in as `client`.
    fn doc_of(&self, client: u64) -> Doc {
        let doc = Doc::with_client_id(client);
        let state = self.core.replica().encode_state().unwrap();
        let state = yrs::Update::decode_v1(&state).unwrap();
        doc.transact_mut().apply_update(state).unwrap();
        doc
    }
}

#[test]
fn a_commenter_s_copy_that_brings_nothing_is_settled_also_where_yrs_has_deleted_by_itself() {
    let mut map = Played::with_feature();
    map.join(SessionId(9), "ed", Access::ReadWrite);
    // Two write one key at once: the loser is deleted by every replica, without a word.
    for client in [30, 31] {
        let doc = Doc::with_client_id(client);
        map.hears(SessionId(9), client - 28, &written(&doc, "feat", "k"));
    }
    map.join(ANA, "ana", Access::Comment);
    let copy = map.doc_of(7);
    assert_eq!(map.hears(ANA, 1, &whole(&copy)).settled, [(ANA, 1)]);
    written(&copy, "note", "n");
    assert_eq!(map.hears(ANA, 2, &whole(&copy)).settled, [(ANA, 2)]);
    assert!(map.has("note", "n"));
}

#[test]
fn a_commenter_s_early_update_waits_unsettled_and_is_judged_when_its_base_is_there() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Comment);
    let doc = Doc::with_client_id(7);
    let notes: Vec<Scanned> = ["a", "b", "c"].map(|key| written(&doc, "note", key)).into();
    let records = map.log.len();
    let fx = map.hears(ANA, 1, &notes[1]);
    assert!(fx.settled.is_empty() && fx.refused.is_empty());
    assert!(matches!(&fx.send[..], [(ANA, out)] if matches!(out.message, Message::SyncStep1(_))));
    // What comes behind it waits too, be it no news at all.
    let fx = map.hears(ANA, 2, &scan(Bytes::from_static(&[0, 0]), 2).unwrap());
    assert!(fx.settled.is_empty());
    assert_eq!(
        map.log.len(),
        records,
        "nothing is logged that is not judged"
    );
    // Its base comes by another connection of the same person.
    map.join(BEN, "ana", Access::Comment);
    let fx = map.hears(BEN, 1, &notes[0]);
    assert_eq!(fx.settled.last(), Some(&(ANA, 2)));
    assert!(map.has("note", "b"));
    map.assert_replays();
}

#[test]
fn an_early_update_that_turns_out_to_be_an_edit_is_refused_then() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Comment);
    map.join(BEN, "ana", Access::Comment);
    let doc = Doc::with_client_id(7);
    let (note, edit) = (written(&doc, "note", "n"), written(&doc, "feat", "b"));
    assert!(map.hears(ANA, 1, &edit).refused.is_empty());
    let fx = map.hears(BEN, 1, &note);
    assert!(matches!(&fx.refused[..], [(ANA, 1, Refusal::Forbidden(_))]));
    assert!(!map.has("feat", "b"));
}

#[test]
fn an_early_update_whose_base_never_comes_is_refused_after_a_while_and_they_are_bounded() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Comment);
    let doc = Doc::with_client_id(7);
    written(&doc, "note", "lost");
    let second = written(&doc, "note", "b");
    map.hears(ANA, 1, &second);
    for number in 2..=EARLY_COMMENTS_MAX as u64 {
        assert!(map.hears(ANA, number, &second).refused.is_empty());
    }
    let number = EARLY_COMMENTS_MAX as u64 + 1;
    assert!(matches!(
        map.hears(ANA, number, &second).refused[..],
        [(ANA, _, Refusal::Forbidden(_))]
    ));
    map.now_ms += EARLY_COMMENT_MS;
    let fx = map.turn(vec![Input::Tick]);
    assert!(matches!(&fx.refused[..], [(ANA, 1, Refusal::Forbidden(why))] if why.contains("anew")));
}

#[test]
fn who_may_not_edit_makes_no_map() {
    for access in [Access::Comment, Access::Quarantine, Access::Deposit] {
        let mut map = Played::new();
        map.join(ANA, "ana", access);
        let nothing = scan(Bytes::from_static(&[0, 0]), 2).unwrap();
        assert_eq!(map.hears(ANA, 1, &nothing).settled, [(ANA, 1)]);
        let fx = map.hears(ANA, 2, &written(&Doc::with_client_id(7), "note", "n"));
        assert!(matches!(reason(&fx), Refusal::Forbidden(why) if why.contains("no such map")));
        assert!(map.log.is_empty());
    }
}

#[test]
fn late_edits_of_who_lost_the_right_are_kept_durably_and_neither_applied_nor_told() {
    let mut map = Played::with_feature();
    map.join(BEN, "ben", Access::ReadWrite);
    map.join(ANA, "ana", Access::Quarantine);
    let doc = Doc::with_client_id(7);
    let late = written(&doc, "feat", "late");
    let mut fx = Effects::default();
    let said = ToRoom::Update {
        number: 1,
        update: late.clone(),
        step2: true,
    };
    map.core.handle(0, Input::Heard(ANA, said), &mut fx);
    map.core.end_turn(0, &mut fx);
    assert!(
        fx.refused.is_empty(),
        "nothing is said before it is durable"
    );
    assert!(fx.broadcast.is_empty());
    let [record] = &fx.append[..] else {
        panic!("{:?}", fx.append)
    };
    assert_eq!(
        (&record.kind, &*record.origin.user),
        (&Kind::Quarantined, "ana")
    );
    map.log.append(&mut fx.append);
    let last = Seq(map.log.len() as u64);
    map.core
        .handle(0, Input::Durable { records: 1, last }, &mut fx);
    assert_eq!(fx.refused, [(ANA, 1, Refusal::Kept)]);
    assert!(!map.has("feat", "late"));
    // It comes again, alone and with all that its client has.
    assert_eq!(reason(&map.hears(ANA, 2, &late)), &Refusal::Kept);
    assert_eq!(reason(&map.hears(ANA, 3, &whole(&doc))), &Refusal::Kept);
    assert_eq!(
        map.log.len() as u64,
        last.0,
        "a repeat adds nothing to the log"
    );
    map.assert_replays();
}

#[test]
fn an_admitted_edit_becomes_its_author_s_and_names_who_admitted_it() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Quarantine);
    let doc = Doc::with_client_id(7);
    let (first, second) = (written(&doc, "feat", "b"), written(&doc, "feat", "c"));
    map.hears(ANA, 1, &first);
    map.hears(ANA, 2, &second);
    map.join(BEN, "ben", Access::ReadWrite);
    let seqs: Vec<u64> = {
        let kept = map.core.replica().quarantine().kept();
        kept.iter().map(|kept| kept.seq.0).collect()
    };
    assert_eq!(
        map.decides(seqs[1], Decision::Admit),
        Err(Refused::Early { clients: 1 }),
        "it builds on the first"
    );
    assert_eq!(
        map.decides(99, Decision::Admit),
        Err(Refused::NotQuarantined { seq: Seq(99) })
    );
    let decided = map.decides(seqs[0], Decision::Admit);
    assert_eq!(decided, Ok(Seq(map.log.len() as u64)));
    let [admitted, update] = &map.log[map.log.len() - 2..] else {
        panic!()
    };
    assert_eq!(admitted.kind, Kind::Admitted { of: Seq(seqs[0]) });
    assert_eq!(&*admitted.origin.user, "owner");
    assert_eq!((&update.kind, &*update.origin.user), (&Kind::Update, "ana"));
    assert!(map.has("feat", "b") && !map.has("feat", "c"));
    map.decides(seqs[1], Decision::Admit).unwrap();
    assert!(map.has("feat", "c"));
    assert!(map.core.replica().quarantine().kept().is_empty());
    map.assert_replays();
}

#[test]
fn a_rejected_edit_stays_out_and_is_not_kept_again() {
    let mut map = Played::with_feature();
    map.join(ANA, "ana", Access::Quarantine);
    let doc = Doc::with_client_id(7);
    let edit = written(&doc, "feat", "b");
    map.hears(ANA, 1, &edit);
    let seq = map.core.replica().quarantine().kept()[0].seq.0;
    map.decides(seq, Decision::Reject).unwrap();
    assert_eq!(map.kinds().last(), Some(&"rejected"));
    assert!(matches!(
        reason(&map.hears(ANA, 2, &edit)),
        Refusal::Forbidden(why) if why.contains("rejected")
    ));
    assert!(!map.has("feat", "b"));
    map.assert_replays();
}

#[test]
fn who_may_only_leave_edits_hears_nothing_of_the_map() {
    let mut map = Played::with_feature();
    map.join(BEN, "ben", Access::ReadWrite);
    let fx = map.join(ANA, "ana", Access::Deposit);
    let said: Vec<&Message> = fx.send.iter().map(|(_, out)| &out.message).collect();
    let nothing = Bytes::from_static(&[0, 0]);
    let asked = StateVector::default().encode();
    assert_eq!(
        said,
        [&Message::SyncStep1(asked), &Message::SyncStep2(nothing)]
    );
    let audiences = [super::super::Audience::Synced, super::super::Audience::All];
    for audience in audiences {
        assert!(map.core.hears(BEN, audience) && !map.core.hears(ANA, audience));
    }
    assert!(map.turn(vec![Input::WantsDifference(ANA)]).send.is_empty());
    let fx = map.hears(ANA, 1, &written(&Doc::with_client_id(7), "feat", "b"));
    assert_eq!(reason(&fx), &Refusal::Kept);
}

#[test]
fn a_request_is_answered_by_what_its_sender_may_do() {
    let answers = [
        (Access::ReadOnly, "feat", Err(Refused::ReadOnly)),
        (Access::Quarantine, "feat", Err(Refused::Kept)),
        (Access::Comment, "note", Ok(Seq(3))),
        (Access::ReadWrite, "feat", Ok(Seq(3))),
    ];
    for (access, root, expected) in answers {
        let mut map = Played::with_feature();
        let submit = Input::Submit {
            ticket: Ticket(1),
            update: written(&Doc::with_client_id(7), root, "b"),
            origin: origin("ana"),
            access,
        };
        let fx = map.turn(vec![submit]);
        assert_eq!(fx.replies, [(Ticket(1), expected)], "{access:?}");
    }
}

#[test]
fn who_could_edit_once_and_comes_back_with_less_finds_late_edits_kept() {
    for access in [Access::ReadOnly, Access::Comment] {
        let mut map = Played::with_feature();
        map.join(ANA, "ed", access);
        // On the device of before, and on one that was opened offline.
        for (client, number) in [(9, 1), (19, 2)] {
            let late = written(&map.doc_of(client), "feat", "late");
            assert_eq!(reason(&map.hears(ANA, number, &late)), &Refusal::Kept);
        }
        assert_eq!(map.core.replica().quarantine().kept().len(), 2);
        assert!(!map.has("feat", "late"));
        map.assert_replays();
    }
}
