//! The one task that owns a map: loads it, turns requests into inputs of its [`Core`], carries the effects out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mapweave_proto::{
    Access, CloseReason, Ledger, Message, Scanned, Seq, SessionId, StateVector, ToRoom,
};
use mapweave_storage::{Origin, StoreError, UpdateLog};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::appending::Step;
use super::container::Summary;
use super::core::{Core, CoreOptions, Foreign, Recipient, Writing};
use super::features::Followed;
use super::gathering::{Gathering, MessageFrom};
use super::listening::Beginning;
use super::live::{Departing, End, Room};
use super::load::{self, LoadError, Loaded};
use super::peer::{Outgoing, Peer};
use super::presence::Shown;
use super::registry::{RoomShared, Rooms};
use super::replica::{Decision, HeldLimits, Kept, Refused};

/// Requests that a room takes in one turn.
const TURN_MAX: usize = 256;

/// Requests that a room collects while its document is loaded; further ones wait outside.
const DEFERRED_MAX: usize = 10_000;

/// How often a room looks after presence, snapshots and its own end.
const TICK: Duration = Duration::from_secs(1);

/// Settings of a room's task.
#[derive(Debug, Clone, Copy)]
pub struct RoomOptions {
    /// A map with nobody in it is unloaded after so long.
    pub idle_unload: Duration,
    /// A snapshot is due after so many records …
    pub snapshot_records: u64,
    /// … or so many bytes, but not before the log since the last one is worth the writing.
    pub snapshot_bytes: u64,
    /// Bounds of what waits for missing updates.
    pub held: HeldLimits,
    /// Settings of the map itself.
    pub core: CoreOptions,
}

/// What is asked of a room.
pub(crate) enum Request {
    Join {
        session: SessionId,
        peer: Arc<dyn Peer>,
        origin: Arc<Origin>,
        access: Access,
    },
    Permit {
        session: SessionId,
        origin: Arc<Origin>,
        access: Access,
    },
    Leave(SessionId),
    Heard(SessionId, ToRoom),
    Shows(SessionId, Vec<Shown>),
    HearNotices(SessionId),
    People {
        reply: oneshot::Sender<Result<Gathering, RequestError>>,
    },
    Message {
        to: Recipient,
        from: MessageFrom,
        text: String,
        reply: oneshot::Sender<Result<usize, RequestError>>,
    },
    Synced(SessionId),
    WantsDifference(SessionId),
    Submit {
        update: Scanned,
        origin: Arc<Origin>,
        access: Access,
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
    Author {
        writing: Writing,
        origin: Arc<Origin>,
        /// Rings once those who follow the document have heard of it.
        told: oneshot::Sender<()>,
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
    Decide {
        seq: Seq,
        decision: Decision,
        origin: Arc<Origin>,
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
    Quarantine {
        reply: oneshot::Sender<Result<Vec<Kept>, RequestError>>,
    },
    Settle {
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
    Waiting {
        reply: oneshot::Sender<Result<Beginning, RequestError>>,
    },
    Follow {
        reply: oneshot::Sender<Result<Followed, RequestError>>,
    },
    Relay {
        records: Vec<Foreign>,
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
    Create {
        origin: Arc<Origin>,
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
    State {
        have: StateVector,
        reply: oneshot::Sender<Result<StateAnswer, RequestError>>,
    },
    Ledger {
        reply: oneshot::Sender<Result<Ledger, RequestError>>,
    },
    Summary {
        reply: oneshot::Sender<Result<Summary, RequestError>>,
    },
    Snapshot {
        reply: oneshot::Sender<Result<Seq, RequestError>>,
    },
}

/// A request with what it holds of the room's inbound budget until the room has taken it in.
pub(crate) struct Envelope {
    pub(crate) request: Box<Request>,
    pub(crate) budget: Option<OwnedSemaphorePermit>,
}

/// A map's state for a reader.
#[derive(Debug, Clone)]
pub struct StateAnswer {
    /// What the reader lacks, as a v1 update.
    pub update: Bytes,
    /// The last record that it contains; it is durable.
    pub seq: Seq,
}

/// Why a room did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The update itself is at fault.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The map cannot be loaded, or its store does not take writes: the same request may succeed later.
    #[error("the map is not available now: {why}")]
    Unavailable {
        /// What is wrong.
        why: String,
    },
}

/// What all rooms are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoomsPhase {
    Running,
    /// An append failed: live documents hold edits that are not logged.
    StoreFailed(String),
    Stopping,
}

pub(crate) struct Actor {
    pub(crate) shared: Arc<RoomShared>,
    pub(crate) rooms: std::sync::Weak<Rooms>,
    pub(crate) store: Arc<dyn UpdateLog>,
    pub(crate) inbox: mpsc::Receiver<Envelope>,
    pub(crate) phase: watch::Receiver<RoomsPhase>,
    pub(crate) options: RoomOptions,
    pub(crate) began: Instant,
}

impl Actor {
    /// Runs the room to its end. The registry has forgotten it when this returns.
    pub(crate) async fn run(mut self) {
        // A map without a log is there at once, without a thread to read it.
        if matches!(self.store.head(self.shared.doc), Ok(None)) {
            let room = self.room(Loaded::empty());
            return self.live(room, Vec::new()).await;
        }
        let mut loading = self.spawn_loading();
        match self.wait_for_document(&mut loading).await {
            Ok((room, deferred)) => self.live(room, deferred).await,
            Err((departing, deferred)) => {
                self.forget();
                deferred
                    .into_iter()
                    .for_each(|envelope| departing.turn_away(*envelope.request));
                self.turn_away_the_rest(departing).await;
                if !loading.built.is_finished() {
                    // A stop closes the store once nobody reads it any more. What was read is of no use now.
                    _ = loading.built.await;
                }
            }
        }
    }

    fn spawn_loading(&self) -> Loading {
        let (early, fetched) = oneshot::channel();
        let (store, doc) = (self.store.clone(), self.shared.doc);
        let built = tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current().block_on(async move {
                let fetched = load::fetch(store.as_ref(), doc).await?;
                // Nobody may want the early answer any more.
                let _ = early.send(
                    fetched
                        .whole_state()
                        .cloned()
                        .map(|state| (state, fetched.head())),
                );
                load::build(store.as_ref(), fetched).await
            })
        });
        Loading {
            fetched: Some(fetched),
            built,
            early: EarlyAnswers::default(),
        }
    }

    /// Collects requests until the document is there; answers those that need only its stored state at once.
    /// Ends early where the room has to end: nothing of what it collected is written then.
    async fn wait_for_document(
        &mut self,
        loading: &mut Loading,
    ) -> Result<(Room, Vec<Envelope>), (Departing, Vec<Envelope>)> {
        let mut deferred = Vec::new();
        loop {
            tokio::select! {
                biased;
                end = ended(&mut self.phase) => return Err((Departing::after(end), deferred)),
                () = self.shared.dismissed.cancelled() => {
                    return Err((Departing::after(Err(End::Deleted)), deferred));
                }
                built = &mut loading.built => {
                    let why = match built {
                        Ok(Ok(loaded)) => return Ok((self.room(loaded), deferred)),
                        Ok(Err(error)) => error.to_string(),
                        Err(error) => format!("loading ended abruptly: {error}"),
                    };
                    tracing::error!(map = self.shared.name.as_str(), why, "the map cannot be loaded");
                    let close = CloseReason::Unavailable("the map cannot be loaded now");
                    return Err((Departing::new(close, why), deferred));
                }
                stored = stored_state(&mut loading.fetched) => {
                    loading.early.know(stored);
                    let waiting = std::mem::take(&mut deferred);
                    deferred = waiting.into_iter().filter_map(|envelope| loading.early.answer(envelope)).collect();
                }
                Some(envelope) = self.inbox.recv(), if deferred.len() < DEFERRED_MAX => {
                    deferred.extend(loading.early.answer(envelope));
                }
            }
        }
    }

    fn room(&self, loaded: Loaded) -> Room {
        Room::new(&self.shared, self.store.clone(), loaded, self.options)
    }

    async fn live(mut self, mut room: Room, deferred: Vec<Envelope>) {
        tracing::debug!(map = self.shared.name.as_str(), seq = %room.core.positions().0, "map loaded");
        let mut end = self.serve(&mut room, deferred).await;
        if end.is_ok() {
            end = room.finish().await;
        }
        if let Err(End::Broken(why)) = &end {
            // A deletion is a record that the room did not count; it may be seen before the word of it comes.
            let entry = self.store.map(&self.shared.name);
            if entry.is_some_and(|entry| entry.id == self.shared.doc && entry.deleted) {
                end = Err(End::Deleted);
            } else {
                tracing::error!(
                    map = self.shared.name.as_str(),
                    why,
                    "the map is loaded anew"
                );
                metrics::counter!("mapweave_rooms_broken_total").increment(1);
            }
        }
        let departing = Departing::after(end);
        self.forget();
        departing.dismiss(room);
        self.turn_away_the_rest(departing).await;
    }

    /// Turns until the map is idle, the server stops or something breaks.
    async fn serve(&mut self, room: &mut Room, deferred: Vec<Envelope>) -> Result<(), End> {
        let deferred = deferred.into_iter().map(|envelope| *envelope.request);
        self.shared.durable.send_replace(room.core.positions().1);
        room.turn(self.now_ms(), deferred)?;
        let mut idle_since = None;
        let mut batch = Vec::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due_ms = [room.core.presence_due_ms(), room.core.showing_due_ms()];
            let presence = due_ms.into_iter().flatten().min();
            let presence = presence.map(|due| self.began + Duration::from_millis(due));
            let full = room.appending.is_full();
            let next = tokio::select! {
                biased;
                end = ended(&mut self.phase) => Next::End(end),
                () = self.shared.dismissed.cancelled() => Next::End(Err(End::Deleted)),
                step = room.appending.next() => Next::Append(step),
                stored = room.snapshot.written() => Next::SnapshotStored(stored),
                // Before the inbox, which may never be empty while everybody draws.
                _ = tick.tick() => Next::Tick,
                received = self.inbox.recv_many(&mut batch, TURN_MAX), if !full => Next::Turn(received),
                () = until(presence) => Next::Presence,
                () = std::future::ready(()), if room.is_asked() && !full => Next::Asked,
            };
            let now_ms = self.now_ms();
            match next {
                Next::End(end) => return end,
                Next::Turn(0) => return Ok(()),
                Next::Append(Step::Queued) => {}
                Next::Append(Step::Done(records, appended)) => {
                    room.appended(now_ms, records, appended)?;
                    let (_, durable) = room.core.positions();
                    self.shared.durable.send_replace(durable);
                    if let Some(observer) = &self.shared.observer {
                        observer.changed(&self.shared.name, durable);
                    }
                    if let Some(rooms) = self.rooms.upgrade() {
                        rooms.changed(self.shared.doc);
                    }
                }
                Next::SnapshotStored(stored) => room.snapshot_stored(stored),
                Next::Turn(_) => {
                    room.turn(
                        now_ms,
                        batch.drain(..).map(|envelope: Envelope| *envelope.request),
                    )?;
                    // A map that was busy once does not keep the memory for it.
                    batch.shrink_to(TURN_MAX / 8);
                    if self.is_of_no_use(room) {
                        return Ok(());
                    }
                }
                Next::Presence | Next::Asked => room.turn(now_ms, None)?,
                Next::Tick => {
                    room.tick(now_ms)?;
                    if self.shared.features.drop_unused(now_ms) {
                        room.unfollow();
                    }
                    self.shared.report(&room.core);
                    if self.may_unload(&room.core, room.is_writing_snapshot(), &mut idle_since) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether nobody is in the room and nobody has ever written to its map, so that nothing is worth keeping for those
    /// who may come: it is out of the registry then. Otherwise whoever opens maps of ever new names would fill the memory.
    fn is_of_no_use(&self, room: &Room) -> bool {
        !room.core.exists() && self.may_unload(&room.core, room.is_writing_snapshot(), &mut None)
    }

    /// Whether the room has had nobody for long enough and is out of the registry now.
    fn may_unload(&self, core: &Core, writing: bool, idle_since: &mut Option<Instant>) -> bool {
        if !core.is_idle() || writing {
            *idle_since = None;
            return false;
        }
        let since = *idle_since.get_or_insert_with(Instant::now);
        let due = since.elapsed() >= self.options.idle_unload
            || self.shared.is_unwanted()
            || !core.exists();
        due && self.inbox.is_empty()
            && self
                .rooms
                .upgrade()
                .is_none_or(|rooms| rooms.retire(&self.shared))
    }

    fn forget(&self) {
        if let Some(rooms) = self.rooms.upgrade() {
            rooms.forget(&self.shared);
        }
    }

    /// Whoever still holds a handle gets an answer, not silence.
    async fn turn_away_the_rest(mut self, departing: Departing) {
        self.inbox.close();
        while let Some(envelope) = self.inbox.recv().await {
            departing.turn_away(*envelope.request);
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// What a room does next.
enum Next {
    End(Result<(), End>),
    Append(Step),
    SnapshotStored((Seq, Result<(), StoreError>)),
    Turn(usize),
    Presence,
    /// Nothing else is to be done, and somebody waits for an answer.
    Asked,
    Tick,
}

/// A document on its way from disk.
struct Loading {
    fetched: Option<oneshot::Receiver<Option<(Bytes, Seq)>>>,
    built: tokio::task::JoinHandle<Result<Loaded, LoadError>>,
    early: EarlyAnswers,
}

/// What can be told from the stored state alone, without the document.
#[derive(Default)]
struct EarlyAnswers {
    whole: Option<(Outgoing, StateAnswer)>,
    peers: HashMap<SessionId, Arc<dyn Peer>>,
}

/// Completes when the stored state has been read; `None` if it is not the whole truth.
async fn stored_state(
    fetched: &mut Option<oneshot::Receiver<Option<(Bytes, Seq)>>>,
) -> Option<(Bytes, Seq)> {
    let answer = match fetched {
        Some(fetched) => fetched.await.ok().flatten(),
        None => std::future::pending().await,
    };
    *fetched = None;
    answer
}

impl EarlyAnswers {
    fn know(&mut self, stored: Option<(Bytes, Seq)>) {
        self.whole = stored.map(|(update, seq)| {
            (
                Outgoing::new(Message::SyncStep2(update.clone())),
                StateAnswer { update, seq },
            )
        });
    }

    /// Answers a first sync or a reader, if the stored state is known; gives back what is left to do.
    fn answer(&mut self, envelope: Envelope) -> Option<Envelope> {
        let Envelope { request, budget } = envelope;
        if let Request::Join {
            session,
            peer,
            access,
            ..
        } = &*request
            && access.reads()
        {
            self.peers.insert(*session, peer.clone());
        }
        let left = match (&self.whole, *request) {
            (Some((step2, _)), Request::Heard(session, ToRoom::SyncStep1(have)))
                if have.is_empty() && self.peers.contains_key(&session) =>
            {
                let peer = self.peers.get(&session)?;
                peer.send(step2);
                peer.answered(0);
                Request::Synced(session)
            }
            (Some((_, state)), Request::State { have, reply }) if have.is_empty() => {
                // The reader may be gone by now.
                let _ = reply.send(Ok(state.clone()));
                return None;
            }
            (_, other) => other,
        };
        Some(Envelope {
            request: Box::new(left),
            budget,
        })
    }
}

/// Completes when all rooms have to end, with how.
///
/// # Cancel safety
/// Safe: a phase once reached is seen by the next call as well.
async fn ended(phase: &mut watch::Receiver<RoomsPhase>) -> Result<(), End> {
    let phase = phase.wait_for(|phase| *phase != RoomsPhase::Running).await;
    match phase.as_deref() {
        Ok(RoomsPhase::StoreFailed(why)) => Err(End::StoreFailed(why.clone())),
        Ok(RoomsPhase::Stopping | RoomsPhase::Running) | Err(_) => Ok(()),
    }
}

/// A deadline that may not be set.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
