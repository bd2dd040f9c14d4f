//! All live maps: each loaded once however many come for it, unloaded when nobody is left or memory is short.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mapweave_proto::{
    Access, DocId, Ledger, MapName, Scanned, Seq, SessionId, StateVector, ToRoom,
};
use mapweave_storage::{Origin, UpdateLog};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::{Actor, Envelope, Request, RequestError, RoomOptions, RoomsPhase, StateAnswer};
use super::container::Summary;
use super::core::{Core, Foreign};
use super::errand::{Errand, INBOX_KIB_MAX};
use super::features::{FeaturesSlot, READING_MAX};
use super::news::{Follows, News};
use super::observer::Observer;
use super::peer::Peer;
use super::replica::{Decision, Kept};

/// Requests that wait for a room; whoever has more to say waits itself.
const INBOX_MAX: usize = 256;

/// What a live map costs beside its document (measured 65 KiB with two connections): the task, tables, buffers, and an
/// empty document, in bytes.
const ROOM_BYTES: u64 = 64 << 10;

/// Memory of a loaded document per byte of its updates (measured 4 to 5 for flat maps).
const BYTES_PER_UPDATE_BYTE: u64 = 5;

/// The live maps of a server.
pub struct Rooms {
    live: Mutex<Live>,
    store: Arc<dyn UpdateLog>,
    tasks: TaskTracker,
    options: RoomOptions,
    bytes_max: u64,
    news: News,
    began: Instant,
    next_session: AtomicU64,
    /// Places for those who read features, of all maps.
    reading: Arc<Semaphore>,
    observer: OnceLock<Arc<dyn Observer>>,
}

struct Live {
    rooms: HashMap<MapName, Arc<RoomShared>>,
    /// Heard by the rooms entered since it was made.
    phase: watch::Sender<RoomsPhase>,
}

/// Why there is no way into a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// It was deleted, and can be restored.
    #[error("map {name:?} was deleted; restore it, or create it anew explicitly")]
    Deleted {
        /// Its name.
        name: MapName,
    },
    /// There is none of this name, and reading does not create one.
    #[error("there is no map {name:?}")]
    Unknown {
        /// The name asked for.
        name: MapName,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// Whether entering a map that does not exist makes a live, empty one (which exists once something is written).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUnknown {
    /// An empty map to write to.
    Open,
    /// An empty map to write to, under this id unless that is taken.
    OpenAs(DocId),
    /// An error.
    Refuse,
}

/// What a room and the holders of its handle share.
pub(crate) struct RoomShared {
    pub(crate) name: MapName,
    pub(crate) doc: DocId,
    pub(super) inbox: mpsc::Sender<Envelope>,
    budget: Arc<Semaphore>,
    bytes: AtomicU64,
    connections: AtomicUsize,
    used: AtomicU64,
    unwanted: AtomicBool,
    pub(crate) dismissed: CancellationToken,
    pub(super) features: FeaturesSlot,
    /// Places for those who read features, of all maps.
    pub(super) reading: Arc<Semaphore>,
    /// The last record of the map that is durable; those before the document is loaded are not told.
    pub(super) durable: watch::Sender<Seq>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    began: Instant,
}

/// A way into a live map. While one is held, the map stays loaded.
#[derive(Clone)]
pub struct RoomHandle {
    pub(super) shared: Arc<RoomShared>,
}

/// A connection's place in a map, given back when dropped.
pub struct RoomPlace {
    shared: Arc<RoomShared>,
}

impl Drop for RoomPlace {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Relaxed);
    }
}

/// The room ended; entering again finds a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the map is being reloaded")]
pub struct RoomGone;

impl Rooms {
    /// No map is live yet. `bytes_max`: what live maps nobody is in may hold together, about.
    pub fn new(
        store: Arc<dyn UpdateLog>,
        mut options: RoomOptions,
        bytes_max: u64,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        options.core.unix_ms_at_zero = since_1970.map_or(0, |since| since.as_millis() as u64);
        Arc::new(Self {
            live: Mutex::new(Live {
                rooms: HashMap::new(),
                phase: watch::Sender::new(RoomsPhase::Running),
            }),
            store,
            tasks,
            options,
            bytes_max,
            news: News::default(),
            began: Instant::now(),
            next_session: AtomicU64::new(1),
            reading: Arc::new(Semaphore::new(READING_MAX)),
            observer: OnceLock::new(),
        })
    }

    /// Tells `observer` what happens in maps that are entered from now on. Only the first one counts.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// A number for a new connection.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Relaxed))
    }

    /// Time as rooms count it.
    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Hears of every map that gets records.
    pub fn follow(&self) -> Follows {
        self.news.follow()
    }

    /// Says that `doc` has got durable records. Rooms say it of their own; whoever appends beside them must.
    pub fn changed(&self, doc: DocId) {
        self.news.tell(doc);
    }

    /// The log behind the maps.
    pub fn store(&self) -> &Arc<dyn UpdateLog> {
        &self.store
    }

    /// A way into the map `name`, which begins to load if it is not live. Never waits.
    ///
    /// # Errors
    /// [`EnterError`].
    pub fn enter(
        self: &Arc<Self>,
        name: &MapName,
        if_unknown: IfUnknown,
    ) -> Result<RoomHandle, EnterError> {
        let mut live = self.lock();
        if *live.phase.borrow() == RoomsPhase::Stopping {
            return Err(EnterError::Stopping);
        }
        if let Some(shared) = live
            .rooms
            .get(name)
            .filter(|shared| !shared.inbox.is_closed())
        {
            // A live map exists once its first record is durable; until then there is nothing to read.
            if if_unknown == IfUnknown::Refuse && self.store.map(name).is_none() {
                return Err(EnterError::Unknown { name: name.clone() });
            }
            shared.used.store(self.now_ms(), Relaxed);
            return Ok(RoomHandle {
                shared: shared.clone(),
            });
        }
        let doc = match self.store.map(name) {
            Some(entry) if entry.deleted => return Err(EnterError::Deleted { name: name.clone() }),
            Some(entry) => entry.id,
            None if if_unknown == IfUnknown::Refuse => {
                return Err(EnterError::Unknown { name: name.clone() });
            }
            None => match if_unknown {
                IfUnknown::OpenAs(doc) if self.store.exchange(doc).is_none() => doc,
                _ => DocId::fresh(),
            },
        };
        let shared = self.open(name, doc, live.phase.subscribe());
        live.rooms.insert(name.clone(), shared.clone());
        drop(live);
        self.make_room();
        Ok(RoomHandle { shared })
    }

    fn open(
        self: &Arc<Self>,
        name: &MapName,
        doc: DocId,
        phase: watch::Receiver<RoomsPhase>,
    ) -> Arc<RoomShared> {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let shared = Arc::new(RoomShared {
            name: name.clone(),
            doc,
            inbox: sender,
            budget: Arc::new(Semaphore::new(INBOX_KIB_MAX as usize)),
            bytes: AtomicU64::new(ROOM_BYTES),
            connections: AtomicUsize::new(0),
            used: AtomicU64::new(self.now_ms()),
            unwanted: AtomicBool::new(false),
            dismissed: CancellationToken::new(),
            features: FeaturesSlot::default(),
            reading: self.reading.clone(),
            durable: watch::Sender::new(Seq::ZERO),
            observer: self.observer.get().cloned(),
            began: self.began,
        });
        let actor = Actor {
            shared: shared.clone(),
            rooms: Arc::downgrade(self),
            store: self.store.clone(),
            inbox,
            phase,
            options: self.options,
            began: self.began,
        };
        self.tasks.spawn(actor.run());
        shared
    }

    /// Marks the least recently used maps that nobody is in, while live maps hold too much memory.
    fn make_room(&self) {
        let live = &self.lock().rooms;
        let mut total: u64 = live.values().map(|room| room.bytes.load(Relaxed)).sum();
        if total <= self.bytes_max {
            return;
        }
        let mut idle: Vec<_> = live
            .values()
            .filter(|room| room.connections.load(Relaxed) == 0)
            .collect();
        idle.sort_by_key(|room| room.used.load(Relaxed));
        for room in idle {
            if total <= self.bytes_max {
                break;
            }
            room.unwanted.store(true, Relaxed);
            total = total.saturating_sub(room.bytes.load(Relaxed));
        }
    }

    /// Takes a room out unless somebody holds a way into it; the room's own task and the table hold one each.
    pub(crate) fn retire(&self, shared: &Arc<RoomShared>) -> bool {
        let live = &mut self.lock().rooms;
        let alone = Arc::strong_count(shared) <= 2;
        if alone {
            remove(live, shared);
        }
        alone
    }

    /// Takes a room out that has ended, whoever still holds a way into it.
    pub(crate) fn forget(&self, shared: &Arc<RoomShared>) {
        remove(&mut self.lock().rooms, shared);
    }

    /// Whether a map is live.
    pub fn is_live(&self, name: &MapName) -> bool {
        self.lock().rooms.contains_key(name)
    }

    /// How many maps are live.
    pub fn live(&self) -> usize {
        self.lock().rooms.len()
    }

    /// How many connections are in live maps.
    pub fn connections(&self) -> usize {
        self.lock()
            .rooms
            .values()
            .map(|room| room.connections.load(Relaxed))
            .sum()
    }

    /// Memory of live maps, estimated, in bytes.
    pub fn bytes(&self) -> u64 {
        self.lock()
            .rooms
            .values()
            .map(|room| room.bytes.load(Relaxed))
            .sum()
    }

    /// Ends a live map because it was deleted: its connections are told so. Another map that has got its name
    /// meanwhile goes on.
    pub fn dismiss(&self, doc: DocId) {
        let live = &mut self.lock().rooms;
        let shared = live.values().find(|shared| shared.doc == doc).cloned();
        if let Some(shared) = shared {
            remove(live, &shared);
            shared.dismissed.cancel();
        }
    }

    /// Ends all live maps: documents may hold edits that the store did not take. New ones can be entered.
    pub fn discard_all(&self, why: &str) {
        let mut live = self.lock();
        if *live.phase.borrow() == RoomsPhase::Running {
            live.phase
                .send_replace(RoomsPhase::StoreFailed(why.to_owned()));
            live.phase = watch::Sender::new(RoomsPhase::Running);
        }
        live.rooms.clear();
    }

    /// Ends all live maps once their logs are durable; none can be entered any more.
    pub fn stop(&self) {
        self.lock().phase.send_replace(RoomsPhase::Stopping);
    }

    /// Whether all live maps were asked to end.
    pub fn is_stopping(&self) -> bool {
        *self.lock().phase.borrow() == RoomsPhase::Stopping
    }

    /// Held for a few steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(live: &mut HashMap<MapName, Arc<RoomShared>>, shared: &Arc<RoomShared>) {
    if live
        .get(&shared.name)
        .is_some_and(|current| Arc::ptr_eq(current, shared))
    {
        live.remove(&shared.name);
    }
}

impl RoomShared {
    /// Notes what the map costs.
    pub(crate) fn report(&self, core: &Core) {
        let bytes = ROOM_BYTES
            + core.update_bytes() * BYTES_PER_UPDATE_BYTE
            + core.cached_bytes() as u64
            + self.features.bytes();
        self.bytes.store(bytes, Relaxed);
    }

    /// Milliseconds since the server began.
    pub(super) fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(crate) fn is_unwanted(&self) -> bool {
        self.unwanted.load(Relaxed)
    }
}

impl RoomHandle {
    /// What the map is called.
    pub fn name(&self) -> &MapName {
        &self.shared.name
    }

    /// The map's document.
    pub fn doc(&self) -> DocId {
        self.shared.doc
    }

    /// A place in the map for one more connection, if fewer than `places_max` are taken.
    pub fn take_place(&self, places_max: usize) -> Option<RoomPlace> {
        let taken = self
            .shared
            .connections
            .fetch_update(Relaxed, Relaxed, |n| (n < places_max).then_some(n + 1));
        taken.is_ok().then(|| RoomPlace {
            shared: self.shared.clone(),
        })
    }

    /// Joins with a connection; messages for it go to `peer` from now on.
    ///
    /// # Errors
    /// [`RoomGone`]: enter again.
    ///
    /// # Cancel safety
    /// Whether the room has heard is not known after a cancel, here and below.
    pub async fn join(
        &self,
        session: SessionId,
        peer: Arc<dyn Peer>,
        origin: Arc<Origin>,
        access: Access,
    ) -> Result<(), RoomGone> {
        self.carry(Errand::join(session, peer, origin, access))
            .await
    }

    /// Hands over what a connection said. Waits while the room has too much to do: do not read on meanwhile.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn heard(&self, session: SessionId, said: ToRoom) -> Result<(), RoomGone> {
        self.carry(Errand::heard(session, said)).await
    }

    /// The connection may do this from now on, and is this one for the log: its token was renewed.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn permit(
        &self,
        session: SessionId,
        origin: Arc<Origin>,
        access: Access,
    ) -> Result<(), RoomGone> {
        self.carry(Errand::permit(session, origin, access)).await
    }

    /// The connection is gone.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn leave(&self, session: SessionId) -> Result<(), RoomGone> {
        self.carry(Errand::leave(session)).await
    }

    /// The connection has dropped messages and wants the difference.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn wants_difference(&self, session: SessionId) -> Result<(), RoomGone> {
        self.carry(Errand::wants_difference(session)).await
    }

    /// Hands something to the room if that needs no waiting, and back otherwise.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub fn hand_over(&self, errand: Errand) -> Result<Option<Errand>, RoomGone> {
        let budget = match errand.kib() {
            0 => None,
            kib => match self.shared.budget.clone().try_acquire_many_owned(kib) {
                Ok(budget) => Some(budget),
                Err(TryAcquireError::NoPermits) => return Ok(Some(errand)),
                Err(TryAcquireError::Closed) => return Err(RoomGone),
            },
        };
        let Errand { request, bytes } = errand;
        match self.shared.inbox.try_send(Envelope { request, budget }) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(Envelope { request, .. })) => {
                Ok(Some(Errand { request, bytes }))
            }
            Err(TrySendError::Closed(_)) => Err(RoomGone),
        }
    }

    /// Hands something to the room; waits while that has too much to do.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn carry(&self, errand: Errand) -> Result<(), RoomGone> {
        let budget = match errand.kib() {
            0 => None,
            kib => {
                let budget = self.shared.budget.clone().acquire_many_owned(kib).await;
                Some(budget.map_err(|_| RoomGone)?)
            }
        };
        let request = errand.request;
        let envelope = Envelope { request, budget };
        self.shared.inbox.send(envelope).await.map_err(|_| RoomGone)
    }

    /// Writes an update of somebody who may write; resolves once it is durable, to the place of the log that contains
    /// it.
    ///
    /// # Errors
    /// [`RequestError`], here and below.
    pub async fn submit(&self, update: Scanned, origin: Arc<Origin>) -> Result<Seq, RequestError> {
        self.submit_as(Access::ReadWrite, update, origin).await
    }

    /// The same for somebody who may do what `access` says; what that one may not write is refused, or kept beside the
    /// map.
    ///
    /// # Errors
    /// [`Refused::ReadOnly`](super::Refused::ReadOnly), [`Refused::Forbidden`](super::Refused::Forbidden),
    /// [`Refused::Early`](super::Refused::Early), and [`Refused::Kept`](super::Refused::Kept) once that is durable.
    pub async fn submit_as(
        &self,
        access: Access,
        update: Scanned,
        origin: Arc<Origin>,
    ) -> Result<Seq, RequestError> {
        let bytes = update.bytes().len();
        self.ask(bytes, |reply| Request::Submit {
            update,
            origin,
            access,
            reply,
        })
        .await
    }

    /// What waits for an owner to decide about it, oldest first.
    pub async fn quarantine(&self) -> Result<Vec<Kept>, RequestError> {
        self.ask(0, |reply| Request::Quarantine { reply }).await
    }

    /// Carries out what an owner, `origin`, decides about the edit whose record is `seq`; resolves once that is durable.
    ///
    /// # Errors
    /// [`Refused::NotQuarantined`](super::Refused::NotQuarantined), and [`Refused::Early`](super::Refused::Early) of one
    /// that builds on others.
    pub async fn decide(
        &self,
        seq: Seq,
        decision: Decision,
        origin: Arc<Origin>,
    ) -> Result<Seq, RequestError> {
        self.ask(0, |reply| Request::Decide {
            seq,
            decision,
            origin,
            reply,
        })
        .await
    }

    /// Takes in records of other stores, in the order of the log that they were read from; resolves once all of them are
    /// held durably. Those held before add nothing.
    ///
    /// # Errors
    /// Where one is refused, those before it are in.
    pub async fn relay(&self, records: Vec<Foreign>) -> Result<Seq, RequestError> {
        let updates = records.iter().filter_map(|record| record.update.as_ref());
        let bytes = updates.map(|update| update.bytes().len()).sum();
        self.ask(bytes, |reply| Request::Relay { records, reply })
            .await
    }

    /// Makes the map; resolves once that is durable.
    ///
    /// # Errors
    /// [`Refused::Exists`](super::Refused::Exists) where it exists, be it that somebody else is making it now.
    pub async fn create(&self, origin: Arc<Origin>) -> Result<Seq, RequestError> {
        self.ask(0, |reply| Request::Create { origin, reply }).await
    }

    /// What a reader with `have` lacks.
    pub async fn state(&self, have: StateVector) -> Result<StateAnswer, RequestError> {
        self.ask(0, |reply| Request::State { have, reply }).await
    }

    /// What the map holds, as far as its door must know: a copy, to try updates on.
    pub async fn ledger(&self) -> Result<Ledger, RequestError> {
        self.ask(0, |reply| Request::Ledger { reply }).await
    }

    /// What a list of maps tells of the map.
    pub async fn summary(&self) -> Result<Summary, RequestError> {
        self.ask(0, |reply| Request::Summary { reply }).await
    }

    /// Stores a snapshot; resolves to the last record in it.
    pub async fn snapshot(&self) -> Result<Seq, RequestError> {
        self.ask(0, |reply| Request::Snapshot { reply }).await
    }

    pub(super) async fn ask<T>(
        &self,
        bytes: usize,
        request: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Request,
    ) -> Result<T, RequestError> {
        let gone = || RequestError::Unavailable {
            why: RoomGone.to_string(),
        };
        let (reply, answer) = oneshot::channel();
        let errand = Errand::new(request(reply), bytes);
        self.carry(errand).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}
