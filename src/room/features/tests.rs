//! Readers and writers of features that go away or meet others at an awkward moment.
#![allow(clippy::unwrap_used)]

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::poll;
use mapweave_proto::{MapName, Scanned, scan};
use mapweave_storage::MemoryLog;
use serde_json::{Map as JsonMap, Value, json};
use tokio::task::unconstrained;
use tokio_util::task::TaskTracker;
use yrs::{Any, Map, WriteTxn};

use super::*;
use crate::model::{Editor, InputFeature, Place, SourceId};
use crate::room::{CoreOptions, HeldLimits, IfUnknown, RoomOptions, Rooms};

const NOW_S: u64 = 1_000;

fn room() -> (Arc<Rooms>, RoomHandle) {
    let options = RoomOptions {
        idle_unload: Duration::from_secs(3_600),
        snapshot_records: 1_000,
        snapshot_bytes: 1 << 20,
        held: HeldLimits::default(),
        core: CoreOptions::default(),
    };
    let store = Arc::new(MemoryLog::new());
    let rooms = Rooms::new(store, options, 1 << 30, TaskTracker::new());
    let name = MapName::parse("north").unwrap();
    let room = rooms.enter(&name, IfUnknown::Open).unwrap();
    (rooms, room)
}

/// Makes a feature, or gives the one that is there this name.
fn named(index: &FeatureIndex, sid: &Sid, bits: u64, name: &str) -> Plan {
    let mut editor = Editor::new(sid.clone(), None, Random::new(bits));
    let properties = JsonMap::from_iter([("name".to_owned(), Value::from(name))]);
    let id = SourceId::Text("a".to_owned());
    let feature = InputFeature::new(id, None, properties, JsonMap::new(), Place::default());
    let planned = editor.plan_upsert(index.view(), NOW_S, &feature.unwrap(), None, false);
    planned.unwrap()
}

async fn name_of(room: &RoomHandle) -> Option<Value> {
    let read = room.features(|index| index.view().feature("a"));
    let feature = read.await.unwrap()?;
    feature.properties.get("name").cloned()
}

async fn edited(room: &RoomHandle, name: &'static str) -> Result<(), &'static str> {
    let edit = room.edit(Arc::default(), move |index, sid, bits| {
        Ok::<_, &str>((named(index, sid, bits, name), ()))
    });
    edit.await.unwrap().map(|_| ())
}

/// What somebody else's program writes, as its update.
fn foreign(room_state: &[u8], write: impl FnOnce(&mut yrs::TransactionMut<'_>)) -> Scanned {
    use yrs::ReadTxn;
    use yrs::updates::decoder::Decode;
    let doc = Doc::with_client_id(77);
    let seen = {
        let mut txn = doc.transact_mut();
        txn.apply_update(yrs::Update::decode_v1(room_state).unwrap())
            .unwrap();
        txn.state_vector()
    };
    write(&mut doc.transact_mut());
    let update = doc.transact().encode_state_as_update_v1(&seen);
    scan(update.into(), usize::MAX).unwrap()
}

async fn state(room: &RoomHandle) -> bytes::Bytes {
    room.state(Default::default()).await.unwrap().update
}

#[tokio::test]
async fn an_edit_whose_client_has_gone_is_heard_of_before_the_next_is_planned() {
    let (_rooms, room) = room();
    assert_eq!(name_of(&room).await, None);
    {
        let mut edit = pin!(unconstrained(edited(&room, "first")));
        // The room's task does not run before this one waits: the edit stays in its inbox.
        let inbox = &room.shared.inbox;
        while inbox.capacity() == inbox.max_capacity() {
            assert!(poll!(&mut edit).is_pending());
        }
    }
    {
        let live = room.shared.features.live.try_lock().unwrap();
        assert!(live.as_ref().unwrap().writing.try_lock().is_err());
    }
    edited(&room, "second").await.unwrap();
    assert_eq!(name_of(&room).await, Some(json!("second")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_between_planning_and_writing_is_not_deleted_unseen() {
    let (_rooms, room) = room();
    edited(&room, "made").await.unwrap();
    let entry = |name: &str, t: f64| Any::from(vec![Any::from(t), Any::from(name)]);
    let ann = |name: &'static str, t: f64, state: &[u8]| {
        foreign(state, |txn| {
            let props = txn.get_or_insert_map("prop");
            props.insert(txn, "a/annAnn/name", entry(name, t));
        })
    };
    let seen = ann("seen", 2_000.0, &state(&room).await);
    room.submit(seen, Arc::default()).await.unwrap();
    let meets = Arc::new((room.clone(), ann("unseen", 3_000.0, &state(&room).await)));
    let edit = room.edit(Arc::default(), move |index, sid, bits| {
        let plan = named(index, sid, bits, "by request");
        let (room, unseen) = &*meets;
        let submitted = room.submit(unseen.clone(), Arc::default());
        tokio::runtime::Handle::current()
            .block_on(submitted)
            .unwrap();
        Ok::<_, &str>((plan, ()))
    });
    edit.await.unwrap().unwrap();
    let versions = room.features(|index| index.view().versions("prop", "a", "name"));
    let values: Vec<_> = versions
        .await
        .unwrap()
        .into_iter()
        .map(|v| v.value)
        .collect();
    assert!(values.contains(&Some(json!("unseen"))), "{values:?}");
    assert!(values.contains(&Some(json!("by request"))), "{values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_that_was_made_between_planning_and_writing_is_not_made_again() {
    let (_rooms, room) = room();
    edited(&room, "made").await.unwrap();
    let record = |t: f64| {
        let items = ["annAnn", "", "{\"name\":\"Ann's\"}", ""].map(Any::from);
        let [sid, _, props, lid] = items;
        Any::from(vec![t.into(), sid, Any::from(0.0), Any::Null, props, lid])
    };
    let update = foreign(&state(&room).await, |txn| {
        let feats = txn.get_or_insert_map("feat");
        feats.insert(txn, "b", record(5.0));
    });
    let meets = Arc::new((room.clone(), update));
    let met = Arc::new(AtomicBool::new(false));
    let edit = room.edit(Arc::default(), move |index, sid, bits| {
        if index.view().state("b").is_some() {
            return Err("taken");
        }
        assert!(!met.swap(true, Ordering::Relaxed));
        let mut editor = Editor::new(sid.clone(), None, Random::new(bits));
        let id = SourceId::Text("b".to_owned());
        let feature = InputFeature::new(id, None, JsonMap::new(), JsonMap::new(), Place::default());
        let plan = editor.plan_upsert(index.view(), NOW_S, &feature.unwrap(), None, false);
        let (room, update) = &*meets;
        let submitted = room.submit(update.clone(), Arc::default());
        tokio::runtime::Handle::current()
            .block_on(submitted)
            .unwrap();
        Ok((plan.unwrap(), ()))
    });
    assert_eq!(edit.await.unwrap().map(|_| ()), Err("taken"));
}

#[test]
fn what_waits_for_a_reader_who_does_not_come_is_bounded_by_its_size() {
    let doc = Doc::with_client_id(7);
    let (following, followed) = Following::begin(&doc, Seq(0));
    let large = Any::Buffer(vec![0; 1 << 20].into());
    let mut told = 0;
    for turn in 0..=CHANGES_BYTES_MAX >> 20 {
        {
            let mut txn = doc.transact_mut();
            let feats = txn.get_or_insert_map("feat");
            feats.insert(&mut txn, "a", Any::from(vec![large.clone()]));
        }
        told += u64::from(following.tell(&doc, Seq(turn + 1)));
    }
    assert!(told < CHANGES_BYTES_MAX >> 20, "{told}");
    // Whoever takes in what waits makes room for more.
    let live = LiveFeatures::new(followed, 1);
    live.read(|_| ()).unwrap();
    let mut txn = doc.transact_mut();
    let feats = txn.get_or_insert_map("feat");
    feats.insert(&mut txn, "b", Any::Null);
    drop(txn);
    assert!(following.tell(&doc, Seq(1_000)));
}
