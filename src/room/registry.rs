//! All live maps: each loaded once however many come for it, unloaded when nobody is left or memory is short.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mapweave_proto::{DocId, MapName, Seq, SessionId};
use mapweave_storage::UpdateLog;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::{Actor, Envelope, RoomOptions, RoomsPhase};
use super::core::Core;
use super::errand::INBOX_KIB_MAX;
use super::features::{FeaturesSlot, READING_MAX};
use super::handle::RoomHandle;
use super::news::{Follows, News};
use super::observer::Observer;

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
    pub(super) budget: Arc<Semaphore>,
    bytes: AtomicU64,
    pub(super) connections: AtomicUsize,
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
