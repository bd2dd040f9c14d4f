//! The features of a live map, for requests: an index that follows the document by its changes.
//!
//! The room makes changes known and never waits for anyone who reads: it drops them into a bounded queue. Whoever
//! asks takes them in first, so that every answer holds what was written before the question. If the queue has
//! overflowed, by number or by size, the index is made anew from the document. Start at [`RoomHandle::features`](super::RoomHandle::features).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use mapweave_proto::Seq;
use mapweave_storage::Origin;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use yrs::{Doc, Transact};

use super::actor::{Request, RequestError};
use super::core::Writing;
use super::handle::RoomHandle;
use crate::index::FeatureIndex;
use crate::model::{Delta, MapView, Plan, Random, Sid, Watch};

/// Changes that wait for the next reader, in turns of the room; beyond it the index is made anew.
const CHANGES_MAX: usize = 8_192;

/// About how many bytes of such changes wait at most.
const CHANGES_BYTES_MAX: u64 = 16 << 20;

/// The document's features at one moment, and a way to hear of what changes after it.
pub struct Followed {
    /// What the document held.
    pub view: MapView,
    /// The last record in it.
    pub at: Seq,
    /// What came after it.
    pub changes: mpsc::Receiver<Change>,
    /// About how many bytes of it wait.
    waiting_bytes: Arc<AtomicU64>,
}

/// What one turn of the room changed.
#[derive(Debug)]
pub struct Change {
    /// Entries that are other than before.
    pub delta: Delta,
    /// The last record of the turn.
    pub upto: Seq,
    bytes: u64,
}

/// An index that nobody has asked for so long is given up, in milliseconds.
const UNUSED_MS: u64 = 10 * 60 * 1_000;

/// Most readers of one map that wait for their turn. Further ones are asked to come back.
const READERS_MAX: usize = 256;

/// Most readers of all maps that have a thread at once, so that uploads and files find one beside them.
pub(super) const READING_MAX: usize = 32;

/// How often a question is asked again because the index was lost meanwhile.
const ATTEMPTS_MAX: usize = 4;

/// Why features cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the features are being read anew")]
pub struct FeaturesError;

/// The room's side: watches its document for whoever follows it.
pub(crate) struct Following {
    watch: Watch,
    to: mpsc::Sender<Change>,
    waiting_bytes: Arc<AtomicU64>,
}

impl Following {
    /// Reads the document, and watches it from then on.
    pub(crate) fn begin(doc: &Doc, at: Seq) -> (Self, Followed) {
        let watch = Watch::attach(doc);
        let view = MapView::new(&doc.transact());
        let (to, changes) = mpsc::channel(CHANGES_MAX);
        let waiting_bytes = Arc::<AtomicU64>::default();
        let followed = Followed {
            view,
            at,
            changes,
            waiting_bytes: waiting_bytes.clone(),
        };
        let following = Self {
            watch,
            to,
            waiting_bytes,
        };
        (following, followed)
    }

    /// Nobody follows any more.
    pub(crate) fn end(self, doc: &Doc) {
        self.watch.detach(doc);
    }

    /// Tells what has changed since the last call. False: nobody follows any more, or too slowly.
    pub(crate) fn tell(&self, doc: &Doc, upto: Seq) -> bool {
        match self.watch.take(&doc.transact()) {
            Some(delta) => {
                let bytes = delta.bytes();
                let waiting = self.waiting_bytes.fetch_add(bytes, Relaxed);
                // A change that finds none waiting is taken whatever its size: the document has it anyway.
                let fits = waiting == 0 || waiting.saturating_add(bytes) <= CHANGES_BYTES_MAX;
                fits && self.to.try_send(Change { delta, upto, bytes }).is_ok()
            }
            None => !self.to.is_closed(),
        }
    }
}

/// The features of a live map. Shared by all requests; each takes in what has changed before it reads.
pub struct LiveFeatures {
    state: Mutex<State>,
    /// Whose turn it is to read. Whoever waits here takes up no thread, and whoever goes away meanwhile none at all.
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Held from planning an edit until the index has heard of it, whether or not anybody waits for the answer still:
    /// edits of one session see each other.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// The session under which this index' readers write.
    pub(crate) sid: Sid,
}

struct State {
    index: FeatureIndex,
    changes: mpsc::Receiver<Change>,
    waiting_bytes: Arc<AtomicU64>,
    random: Random,
}

impl LiveFeatures {
    /// Features as `followed` has them. Takes time in proportion to the document: call it off the runtime's threads.
    /// `seed`: random bits.
    #[must_use]
    pub fn new(followed: Followed, seed: u64) -> Self {
        let Followed {
            view,
            at,
            changes,
            waiting_bytes,
        } = followed;
        let mut random = Random::new(seed);
        let sid = Sid::from_random(random.bits());
        let state = State {
            index: FeatureIndex::new(view, at),
            changes,
            waiting_bytes,
            random,
        };
        Self {
            state: Mutex::new(state),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            writing: Arc::default(),
            sid,
        }
    }

    /// Takes in what has changed and reads. Blocks while others read: call it off the runtime's threads.
    ///
    /// # Errors
    /// [`FeaturesError`]: changes were lost, the index has to be made anew.
    pub fn read<R>(&self, read: impl FnOnce(&mut FeatureIndex) -> R) -> Result<R, FeaturesError> {
        // A reader that panicked has not changed the index: only changes do, and they are taken in whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            index,
            changes,
            waiting_bytes,
            ..
        } = &mut *state;
        loop {
            match changes.try_recv() {
                Ok(Change { delta, upto, bytes }) => {
                    waiting_bytes.fetch_sub(bytes, Relaxed);
                    index.apply(delta, upto);
                }
                Err(TryRecvError::Empty) => return Ok(read(index)),
                Err(TryRecvError::Disconnected) => return Err(FeaturesError),
            }
        }
    }

    /// Waits for the turn to read, and for a place among `reading`, the readers of all maps.
    ///
    /// # Errors
    /// Where too many wait already.
    async fn turn(&self, reading: &Arc<Semaphore>) -> Result<Turn, RequestError> {
        let waits = Waits::begin(&self.waiting).ok_or_else(|| RequestError::Unavailable {
            why: "too many questions about the features of this map wait for an answer".to_owned(),
        })?;
        let ended = |_| RequestError::Unavailable {
            why: "the features are not read any more".to_owned(),
        };
        let turn = self.turn.clone().acquire_owned().await.map_err(ended)?;
        let place = reading.clone().acquire_owned().await.map_err(ended)?;
        drop(waits);
        Ok(Turn {
            _turn: turn,
            _place: place,
        })
    }

    /// Random bits for keys of a new edit.
    #[must_use]
    pub fn random_bits(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.random.bits()
    }
}

/// The turn to read, given back when dropped.
struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

/// One of those who wait.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    /// `None` where as many wait as may.
    fn begin(waiting: &'a AtomicUsize) -> Option<Self> {
        let more = |n: usize| (n < READERS_MAX).then(|| n + 1);
        let begun = waiting.fetch_update(Relaxed, Relaxed, more);
        begun.is_ok().then_some(Self(waiting))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Where a room keeps its index while somebody asks for features.
#[derive(Default)]
pub(crate) struct FeaturesSlot {
    live: tokio::sync::Mutex<Option<Arc<LiveFeatures>>>,
    used_ms: AtomicU64,
    bytes: AtomicU64,
}

impl FeaturesSlot {
    /// What the index costs, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Gives up an index that was not used for long; whether there is none now.
    pub(crate) fn drop_unused(&self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.used_ms.load(Relaxed)) < UNUSED_MS {
            return false;
        }
        // Somebody who holds it uses it.
        let Ok(mut live) = self.live.try_lock() else {
            return false;
        };
        *live = None;
        self.bytes.store(0, Relaxed);
        true
    }
}

/// How an edit that was planned ended.
#[derive(Debug)]
pub struct EditAnswer<T> {
    /// What the planner told beside its plan.
    pub told: T,
    /// The last record that the edit needs; it is durable.
    pub seq: Seq,
}

impl RoomHandle {
    /// Reads the map's features as of now; resolves once all that it read is durable.
    /// `read` is called on a thread of its own, and again if the index was lost before.
    ///
    /// # Errors
    /// [`RequestError`], here and below.
    pub async fn features<R: Send + 'static>(
        &self,
        read: impl Fn(&mut FeatureIndex) -> R + Send + Sync + 'static,
    ) -> Result<R, RequestError> {
        let read = Arc::new(read);
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live_features().await?;
            if let Some((answer, upto)) = self.attempt(&live, &read).await? {
                self.settled(upto).await?;
                return Ok(answer);
            }
        }
        Err(overrun())
    }

    /// Edits features: `plan` sees them as they are, with the session to write under and random bits; what it plans
    /// is written in one transaction, beside what has come since. Resolves once that is durable. Edits are planned one
    /// after the other.
    ///
    /// # Errors
    /// The planner's own in the inner result.
    pub async fn edit<T: Send + 'static, E: Send + 'static>(
        &self,
        origin: Arc<Origin>,
        plan: impl Fn(&mut FeatureIndex, &Sid, u64) -> Result<(Plan, T), E> + Send + Sync + 'static,
    ) -> Result<Result<EditAnswer<T>, E>, RequestError> {
        let plan = Arc::new(plan);
        for _ in 0..ATTEMPTS_MAX {
            let live = self.live_features().await?;
            let turn = live.writing.clone().lock_owned().await;
            let (planner, sid, bits) = (plan.clone(), live.sid.clone(), live.random_bits());
            let planning = move |index: &mut FeatureIndex| {
                let (plan, told) = planner(index, &sid, bits)?;
                Ok::<_, E>((plan.seen_in(index.view()), told))
            };
            let Some((planned, upto)) = self.attempt(&live, &Arc::new(planning)).await? else {
                continue;
            };
            let (plan, told) = match planned {
                Ok(planned) => planned,
                Err(error) => return Ok(Err(error)),
            };
            if plan.is_empty() {
                drop(turn);
                self.settled(upto).await?;
                return Ok(Ok(EditAnswer { told, seq: upto }));
            }
            let (heard, hears) = oneshot::channel();
            let (taken, is_taken) = oneshot::channel();
            let writing = Writing(Box::new(move |txn| {
                if !plan.write(txn) {
                    // Whoever asked may be gone.
                    let _ = taken.send(());
                }
            }));
            // The next planner may begin when the index has heard, before the disk has. Whoever asked may go away
            // meanwhile, and the edit is written all the same: the turn does not end with the request.
            tokio::spawn(async move {
                _ = hears.await;
                drop(turn);
            });
            let seq = self
                .ask(0, |reply| Request::Author {
                    writing,
                    origin: origin.clone(),
                    told: heard,
                    reply,
                })
                .await?;
            // The record that it makes is somebody else's now, which the index has heard of by this time.
            if is_taken.await.is_ok() {
                continue;
            }
            return Ok(Ok(EditAnswer { told, seq }));
        }
        Err(overrun())
    }

    /// One reading off the runtime's threads; `None` if the index was lost.
    async fn attempt<R: Send + 'static>(
        &self,
        live: &Arc<LiveFeatures>,
        read: &Arc<impl Fn(&mut FeatureIndex) -> R + Send + Sync + 'static>,
    ) -> Result<Option<(R, Seq)>, RequestError> {
        let turn = live.turn(&self.shared.reading).await?;
        let (reading, read) = (live.clone(), read.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            reading.read(|index| {
                let answer = read(index);
                (answer, index.seq(), index.bytes())
            })
        });
        let answer = done.await.map_err(|error| RequestError::Unavailable {
            why: format!("the features could not be read: {error}"),
        })?;
        match answer {
            Ok((answer, upto, bytes)) => {
                self.shared.features.bytes.store(bytes, Relaxed);
                Ok(Some((answer, upto)))
            }
            Err(FeaturesError) => {
                let mut slot = self.shared.features.live.lock().await;
                if slot
                    .as_ref()
                    .is_some_and(|present| Arc::ptr_eq(present, live))
                {
                    *slot = None;
                }
                Ok(None)
            }
        }
    }

    /// The index, made if there is none. Others who ask meanwhile wait for the same one.
    async fn live_features(&self) -> Result<Arc<LiveFeatures>, RequestError> {
        let slot = &self.shared.features;
        slot.used_ms.store(self.shared.now_ms(), Relaxed);
        if let Some(live) = &*slot.live.lock().await {
            return Ok(live.clone());
        }
        // Whoever goes away again and again does not make the room read its document again and again.
        let room = self.clone();
        let made = tokio::spawn(async move { room.make_features().await });
        made.await.map_err(|error| not_indexed(&error))?
    }

    async fn make_features(&self) -> Result<Arc<LiveFeatures>, RequestError> {
        let slot = &self.shared.features;
        let mut live = slot.live.lock().await;
        if let Some(live) = &*live {
            return Ok(live.clone());
        }
        let followed = self.ask(0, |reply| Request::Follow { reply }).await?;
        let (_, seed) = uuid::Uuid::now_v7().as_u64_pair();
        let made = tokio::task::spawn_blocking(move || Arc::new(LiveFeatures::new(followed, seed)));
        let made = made.await.map_err(|error| not_indexed(&error))?;
        *live = Some(made.clone());
        Ok(made)
    }

    /// Resolves once record `upto` is durable: nobody is told what a crash could take back.
    pub(super) async fn settled(&self, upto: Seq) -> Result<(), RequestError> {
        if *self.shared.durable.borrow() < upto {
            self.ask(0, |reply| Request::Settle { reply }).await?;
        }
        Ok(())
    }
}

fn not_indexed(error: &tokio::task::JoinError) -> RequestError {
    RequestError::Unavailable {
        why: format!("the features could not be indexed: {error}"),
    }
}

fn overrun() -> RequestError {
    RequestError::Unavailable {
        why: "the map changes faster than its features can be read".to_owned(),
    }
}

#[cfg(test)]
mod tests;
