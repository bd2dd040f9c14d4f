//! Rooms as their connections and readers see them, over a store that can be made to wait and to fail.

#![allow(clippy::unwrap_used)]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, poll};
use mapweave_proto::{
    Access, CloseReason, DocId, MapName, Refusal, Scanned, Seq, SessionId, StateVector, ToRoom,
    scan,
};
use mapweave_storage::{
    Appended, Exchange, Head, Health, HealthWatch, Identity, Kind, LogId, MapEntry, MemoryLog,
    NewRecord, Origin, Permit, Record, Relayed, Report, Snapshot, StoreError, UpdateLog,
};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use yrs::{Any, Doc, Map, Transact};

use super::*;

const ALICE: SessionId = SessionId(1);

/// A store in memory whose answers wait for the test.
struct Gated {
    log: MemoryLog,
    appends: watch::Sender<bool>,
    permits: watch::Sender<bool>,
    reads: watch::Sender<bool>,
    panics: AtomicBool,
}

impl Gated {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            log: MemoryLog::new(),
            appends: watch::Sender::new(true),
            permits: watch::Sender::new(true),
            reads: watch::Sender::new(true),
            panics: AtomicBool::new(false),
        })
    }

    async fn add(&self, doc: DocId, kind: Kind, payload: Bytes) {
        let origin = Arc::new(Origin::default());
        let record = NewRecord {
            kind,
            origin,
            payload,
        };
        self.log.append(doc, vec![record]).await.unwrap();
    }
}

/// `answer` once `gate` is open.
fn behind<T: Send + 'static>(
    gate: &watch::Sender<bool>,
    answer: BoxFuture<'static, T>,
) -> BoxFuture<'static, T> {
    let mut gate = gate.subscribe();
    async move {
        gate.wait_for(|open| *open).await.unwrap();
        answer.await
    }
    .boxed()
}

impl UpdateLog for Gated {
    fn append(
        &self,
        doc: DocId,
        records: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        assert!(!self.panics.load(Ordering::Relaxed), "as the test wants it");
        behind(&self.appends, self.log.append(doc, records))
    }

    fn reserve(&self, _: usize) -> BoxFuture<'static, Permit> {
        behind(&self.permits, async { Permit::free() }.boxed())
    }

    fn snapshot(
        &self,
        doc: DocId,
        at: Option<Seq>,
    ) -> BoxFuture<'static, Result<Option<Snapshot>, StoreError>> {
        behind(&self.reads, self.log.snapshot(doc, at))
    }

    fn read_log(
        &self,
        doc: DocId,
        from: Seq,
        to: Seq,
    ) -> BoxStream<'static, Result<Record, StoreError>> {
        self.log.read_log(doc, from, to)
    }

    fn head(&self, doc: DocId) -> Result<Option<Head>, StoreError> {
        self.log.head(doc)
    }

    fn put_snapshot(
        &self,
        doc: DocId,
        upto: Seq,
        bytes: Bytes,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.log.put_snapshot(doc, upto, bytes)
    }

    fn map(&self, name: &MapName) -> Option<MapEntry> {
        self.log.map(name)
    }

    fn maps(&self) -> Vec<MapEntry> {
        self.log.maps()
    }

    fn verify(&self, doc: Option<DocId>) -> BoxFuture<'static, Result<Report, StoreError>> {
        self.log.verify(doc)
    }

    fn health(&self) -> Health {
        self.log.health()
    }

    fn watch_health(&self) -> HealthWatch {
        self.log.watch_health()
    }

    fn identity(&self) -> Identity {
        self.log.identity()
    }

    fn exchange(&self, doc: DocId) -> Option<Exchange> {
        self.log.exchange(doc)
    }

    fn renew(&self) -> BoxFuture<'static, Result<Identity, StoreError>> {
        self.log.renew()
    }
}

/// A connection that notes why it was closed.
#[derive(Debug)]
struct Listener(watch::Sender<Option<CloseReason>>);

impl Listener {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(None)))
    }

    async fn closed(&self) -> CloseReason {
        let mut watch = self.0.subscribe();
        watch
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap()
    }
}

impl Peer for Listener {
    fn send(&self, _: &Outgoing) {}
    fn settled(&self, _: u64) {}
    fn answered(&self, _: u64) {}
    fn refused(&self, _: u64, _: Refusal) {}

    fn close(&self, reason: CloseReason) {
        self.0.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(reason);
            first
        });
    }

    fn is_caught_up(&self) -> bool {
        true
    }
}

fn name() -> MapName {
    MapName::parse("north").unwrap()
}

fn rooms(store: &Arc<Gated>) -> Arc<Rooms> {
    let options = RoomOptions {
        idle_unload: Duration::from_secs(3_600),
        snapshot_records: 1_000,
        snapshot_bytes: 1 << 20,
        held: HeldLimits::default(),
        core: CoreOptions::default(),
    };
    Rooms::new(store.clone(), options, 1 << 30, TaskTracker::new())
}

fn edit(client: u64, value: impl Into<Any>) -> Scanned {
    let doc = Doc::with_client_id(client);
    let map = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    map.insert(&mut txn, "a", value.into());
    scan(txn.encode_update_v1().into(), usize::MAX).unwrap()
}

fn says(number: u64, update: Scanned) -> ToRoom {
    ToRoom::Update {
        number,
        update,
        step2: false,
    }
}

async fn join(room: &RoomHandle) -> Arc<Listener> {
    let peer = Listener::new();
    let origin = Arc::new(Origin::default());
    let joined = room.join(ALICE, peer.clone(), origin, Access::ReadWrite);
    joined.await.unwrap();
    peer
}

async fn existing_map(store: &Gated) -> DocId {
    let doc = DocId::fresh();
    store
        .add(doc, Kind::Created { name: name() }, Bytes::new())
        .await;
    let update = edit(7, 1).bytes().clone();
    store.add(doc, Kind::Update, update).await;
    doc
}

#[tokio::test]
async fn a_reader_is_answered_once_what_it_reads_is_durable() {
    let store = Gated::new();
    existing_map(&store).await;
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    assert_eq!(
        room.state(StateVector::default()).await.unwrap().seq,
        Seq(2)
    );
    store.appends.send_replace(false);
    let mut writing = pin!(room.submit(edit(9, 2), Arc::default()));
    assert!(poll!(&mut writing).is_pending());
    let mut reading = pin!(room.state(StateVector::default()));
    assert!(poll!(&mut reading).is_pending());
    // Requests are taken in their order, so that this answer comes after the other two requests were.
    room.summary().await.unwrap();
    assert!(poll!(&mut writing).is_pending());
    assert!(poll!(&mut reading).is_pending());
    store.appends.send_replace(true);
    assert_eq!(reading.await.unwrap().seq, Seq(3));
    assert_eq!(writing.await.unwrap(), Seq(3));
}

#[tokio::test]
async fn who_edits_while_the_map_is_deleted_hears_of_the_deletion() {
    let store = Gated::new();
    let doc = existing_map(&store).await;
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    let peer = join(&room).await;
    room.summary().await.unwrap();
    // The deletion is in the log and the room has not been told yet.
    store.add(doc, Kind::Deleted, Bytes::new()).await;
    room.heard(ALICE, says(1, edit(9, 2))).await.unwrap();
    assert_eq!(peer.closed().await, CloseReason::Deleted);
}

#[tokio::test]
async fn a_room_that_panics_closes_its_connections_and_is_entered_anew() {
    let store = Gated::new();
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Open).unwrap();
    let peer = join(&room).await;
    store.panics.store(true, Ordering::Relaxed);
    room.heard(ALICE, says(1, edit(9, 2))).await.unwrap();
    assert!(matches!(peer.closed().await, CloseReason::Unavailable(_)));
    store.panics.store(false, Ordering::Relaxed);
    let again = rooms.enter(&name(), IfUnknown::Open).unwrap();
    assert_eq!(
        again.submit(edit(9, 2), Arc::default()).await.unwrap(),
        Seq(2)
    );
}

#[tokio::test]
async fn a_map_that_is_deleted_while_it_is_loaded_closes_at_once_and_takes_nothing_in() {
    let store = Gated::new();
    let doc = existing_map(&store).await;
    store.reads.send_replace(false);
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    let peer = join(&room).await;
    room.heard(ALICE, says(1, edit(9, 2))).await.unwrap();
    store.add(doc, Kind::Deleted, Bytes::new()).await;
    rooms.dismiss(DocId::fresh());
    assert!(rooms.is_live(&name()));
    rooms.dismiss(doc);
    assert_eq!(peer.closed().await, CloseReason::Deleted);
    store.reads.send_replace(true);
    while room.heard(ALICE, ToRoom::QueryAwareness).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.head(doc).unwrap().unwrap().last, Seq(3));
}

#[tokio::test]
async fn a_stop_closes_connections_whose_map_is_still_loaded() {
    let store = Gated::new();
    existing_map(&store).await;
    store.reads.send_replace(false);
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    let peer = join(&room).await;
    rooms.stop();
    assert_eq!(peer.closed().await, CloseReason::Restarting);
    store.reads.send_replace(true);
}

#[tokio::test]
async fn updates_that_come_while_a_map_is_loaded_keep_their_share_of_the_inbox() {
    let store = Gated::new();
    existing_map(&store).await;
    store.reads.send_replace(false);
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    let _peer = join(&room).await;
    let large = edit(9, Any::Buffer(vec![0; 49 << 20].into()));
    room.heard(ALICE, says(1, large.clone())).await.unwrap();
    let mut second = pin!(room.heard(ALICE, says(2, large)));
    for _ in 0..100 {
        assert!(poll!(&mut second).is_pending());
        tokio::task::yield_now().await;
    }
    store.reads.send_replace(true);
    second.await.unwrap();
}

#[tokio::test]
async fn a_map_takes_as_many_connections_as_it_may_and_no_more() {
    let rooms = rooms(&Gated::new());
    let room = rooms.enter(&name(), IfUnknown::Open).unwrap();
    let places: Vec<_> = (0..3).map_while(|_| room.take_place(2)).collect();
    assert_eq!((places.len(), rooms.connections()), (2, 2));
    drop(places);
    assert!(room.take_place(1).is_some());
}

#[tokio::test]
async fn a_map_that_somebody_looks_at_and_nobody_wrote_to_is_unknown_to_readers() {
    let store = Gated::new();
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Open).unwrap();
    let read = || rooms.enter(&name(), IfUnknown::Refuse).err();
    assert_eq!(read(), Some(EnterError::Unknown { name: name() }));
    room.create(Arc::default()).await.unwrap();
    assert_eq!(read(), None);
}

#[tokio::test]
async fn of_two_who_make_a_map_at_once_one_has_made_it() {
    let store = Gated::new();
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Open).unwrap();
    store.appends.send_replace(false);
    let mut first = pin!(room.create(Arc::default()));
    assert!(poll!(&mut first).is_pending());
    // The first is not durable yet, and may never be; the second has not made it all the same.
    let second = room.create(Arc::default()).await;
    assert!(matches!(
        second,
        Err(RequestError::Refused(Refused::Exists))
    ));
    store.appends.send_replace(true);
    assert_eq!(first.await.unwrap(), Seq(1));
}

#[tokio::test]
async fn a_room_whose_store_has_no_room_takes_nothing_in_and_goes_on_when_it_has() {
    let store = Gated::new();
    let doc = existing_map(&store).await;
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    room.summary().await.unwrap();
    store.permits.send_replace(false);
    let mut first = pin!(room.submit(edit(9, 1), Arc::default()));
    assert!(poll!(&mut first).is_pending());
    let mut second = pin!(room.submit(edit(11, 1), Arc::default()));
    for _ in 0..100 {
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(store.head(doc).unwrap().unwrap().last, Seq(2));
    store.permits.send_replace(true);
    assert_eq!(first.await.unwrap(), Seq(3));
    assert_eq!(second.await.unwrap(), Seq(4));
}

#[tokio::test]
async fn a_room_that_stops_waits_for_the_room_that_its_records_need() {
    let store = Gated::new();
    existing_map(&store).await;
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    room.summary().await.unwrap();
    store.permits.send_replace(false);
    let mut writing = pin!(room.submit(edit(9, 1), Arc::default()));
    for _ in 0..100 {
        assert!(poll!(&mut writing).is_pending());
        tokio::task::yield_now().await;
    }
    rooms.stop();
    store.permits.send_replace(true);
    assert_eq!(writing.await.unwrap(), Seq(3));
}

/// Two edits of one client, the second of which builds on the first.
fn two_edits() -> [Scanned; 2] {
    let doc = Doc::with_client_id(7);
    let map = doc.get_or_insert_map("feat");
    ["a", "b"].map(|key| {
        let mut txn = doc.transact_mut();
        map.insert(&mut txn, key, 1);
        scan(txn.encode_update_v1().into(), usize::MAX).unwrap()
    })
}

#[tokio::test]
async fn what_was_given_up_stays_so_however_the_map_is_loaded() {
    let [base, early] = two_edits();
    let mut replica = Replica::new(HeldLimits::default());
    replica.receive(early.clone(), 1).unwrap();
    let expired = replica.expire_held(5, 0);
    assert_eq!((expired.len(), replica.held_bytes()), (1, 0));
    let store = Gated::new();
    let doc = DocId::fresh();
    let name = name();
    store.add(doc, Kind::Created { name }, Bytes::new()).await;
    store.add(doc, Kind::Gapped, early.bytes().clone()).await;
    let log: Arc<dyn UpdateLog> = store.clone();
    let loaded = load(&log, doc).await.unwrap();
    let waits = loaded.replica.held_since().next().unwrap();
    assert!(waits.1.is_some_and(|since_ms| since_ms > 1_700_000_000_000));
    let id = Bytes::copy_from_slice(&expired[0].id);
    store.add(doc, Kind::Expired, id).await;
    store.add(doc, Kind::Update, base.bytes().clone()).await;
    let loaded = load(&log, doc).await.unwrap();
    assert_eq!(loaded.replica.held().len(), 0);
    assert_eq!(
        loaded
            .replica
            .ledger()
            .state_vector()
            .iter()
            .map(|(_, c)| c)
            .sum::<u64>(),
        1
    );
}

/// A record as a relay hands it on.
fn handed_on(log: LogId, seq: u64, update: &Scanned) -> Foreign {
    let relayed = Relayed {
        log,
        seq: Seq(seq),
        at_ms: 5,
        via: "truck".into(),
    };
    Foreign {
        kind: Kind::Update,
        origin: Arc::new(Origin {
            relayed: Some(relayed),
            ..Origin::default()
        }),
        update: Some(update.clone()),
        access: Access::ReadWrite,
    }
}

#[tokio::test]
async fn an_own_record_that_comes_back_round_a_ring_is_in_the_log_once() {
    let store = Gated::new();
    let doc = existing_map(&store).await;
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    // Written while the room is live, and so no part of what it was loaded with.
    let update = edit(9, 2);
    let seq = room.submit(update.clone(), Arc::default()).await.unwrap();
    let Identity { store: id, epoch } = store.identity();
    let own = LogId {
        store: id,
        epoch,
        doc,
    };
    let back = handed_on(own, seq.0, &update);
    assert_eq!(room.relay(vec![back]).await.unwrap(), seq);
    assert_eq!(store.head(doc).unwrap().unwrap().last, seq);
}

#[tokio::test]
async fn a_room_beside_which_a_record_came_in_is_loaded_anew_and_knows_of_it() {
    let store = Gated::new();
    let doc = existing_map(&store).await;
    let rooms = rooms(&store);
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    let elsewhere = LogId {
        store: [7; 16],
        epoch: 1,
        doc,
    };
    let record = handed_on(elsewhere, 3, &edit(9, 2));
    room.summary().await.unwrap();
    // The room has judged the record and waits for room in the store's queue; another writer is faster.
    store.permits.send_replace(false);
    let mut relaying = pin!(room.relay(vec![record.clone()]));
    for _ in 0..100 {
        assert!(poll!(&mut relaying).is_pending());
        tokio::task::yield_now().await;
    }
    let beside = NewRecord {
        kind: Kind::Update,
        origin: record.origin.clone(),
        payload: edit(9, 2).bytes().clone(),
    };
    store.log.append(doc, vec![beside]).await.unwrap();
    store.permits.send_replace(true);
    assert!(matches!(
        relaying.await,
        Err(RequestError::Unavailable { .. })
    ));
    let room = rooms.enter(&name(), IfUnknown::Refuse).unwrap();
    assert_eq!(room.relay(vec![record]).await.unwrap(), Seq(3));
    assert_eq!(store.head(doc).unwrap().unwrap().last, Seq(3));
}
