//! A loaded map with its connections: turns requests into inputs of the [`Core`] and carries out its effects.

mod departing;
mod effects;
mod requests;
mod snapshots;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use mapweave_proto::{CloseReason, DocId, MapName, Seq, SessionId, StateVector};
use mapweave_storage::{Appended, StoreError, UpdateLog};
use tokio::sync::oneshot;

use super::actor::{Request, RequestError, RoomOptions, StateAnswer};
use super::appending::Appending;
use super::core::{Core, Effects, Input, Start, Ticket};
use super::features::{Followed, Following};
use super::load::Loaded;
use super::observer::Observer;
use super::peer::Peer;
use super::registry::RoomShared;
pub(crate) use departing::Departing;
use snapshots::SnapshotWriter;

/// Encoding a document of more bytes than this is kept off the other tasks of the thread.
const ENCODE_INLINE_BYTES_MAX: u64 = 256 << 10;

type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

/// A loaded room: the core, and what its effects act on.
pub(crate) struct Room {
    pub(crate) core: Core,
    doc: DocId,
    name: MapName,
    observer: Option<Arc<dyn Observer>>,
    store: Arc<dyn UpdateLog>,
    peers: HashMap<SessionId, Arc<dyn Peer>>,
    pub(crate) appending: Appending,
    replies: HashMap<Ticket, Reply<Seq>>,
    next_ticket: u64,
    /// Answers that contain what is not durable yet, in the order of their places.
    states: VecDeque<(StateAnswer, Reply<StateAnswer>)>,
    /// Readers who wait until the document is looked through for them, one in each turn.
    readers: VecDeque<(StateVector, Reply<StateAnswer>)>,
    pub(crate) snapshot: SnapshotWriter,
    /// Who reads the features, if anybody does.
    pub(crate) following: Option<Following>,
    /// Those whose edits the index hears of with this turn.
    told: Vec<oneshot::Sender<()>>,
    options: RoomOptions,
}

/// Why a room ends before its time.
pub(crate) enum End {
    Broken(String),
    Deleted,
    StoreFailed(String),
}

impl Room {
    pub(crate) fn new(
        shared: &RoomShared,
        store: Arc<dyn UpdateLog>,
        loaded: Loaded,
        options: RoomOptions,
    ) -> Self {
        let Loaded {
            mut replica,
            cache,
            head,
            tail,
        } = loaded;
        replica.set_limits(options.held);
        let snapshot = SnapshotWriter::after(cache.bytes() as u64);
        let name = shared.name.clone();
        let update_bytes = snapshot.size + tail.1;
        let start = Start {
            name: name.clone(),
            replica,
            cache,
            head,
            exists: head > Seq::ZERO,
            tail,
            update_bytes,
        };
        Self {
            core: Core::new(start, options.core),
            doc: shared.doc,
            name,
            observer: shared.observer.clone(),
            appending: Appending::new(shared.doc, store.clone()),
            store,
            peers: HashMap::new(),
            replies: HashMap::new(),
            next_ticket: 0,
            states: VecDeque::new(),
            readers: VecDeque::new(),
            snapshot,
            following: None,
            told: Vec::new(),
            options,
        }
    }

    /// Takes in the requests of one turn and carries out what follows from them together.
    pub(crate) fn turn(
        &mut self,
        now_ms: u64,
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<(), End> {
        let mut fx = Effects::default();
        for request in requests {
            self.request(now_ms, request, &mut fx);
        }
        if let Some((have, reply)) = self.next_reader() {
            self.answer_state(&have, reply, &mut fx);
        }
        self.show_more(now_ms, &mut fx);
        if self.core.is_asked() {
            let core = &mut self.core;
            off_the_others(self.snapshot.size, || core.end_turn(now_ms, &mut fx));
        } else {
            self.core.end_turn(now_ms, &mut fx);
        }
        self.tell_followers();
        self.carry_out(fx)
    }

    /// Tells more of who is here to those who have sent on what they were told before.
    fn show_more(&mut self, now_ms: u64, fx: &mut Effects) {
        if self.core.showing_due_ms().is_some_and(|due| due <= now_ms) {
            let shown = self.core.being_shown();
            let takes_more = |id: &SessionId| self.peers.get(id).is_some_and(|p| p.takes_more());
            let ready = shown.filter(takes_more).collect();
            self.core.handle(now_ms, Input::TakeMore(ready), fx);
        }
    }

    /// Whether somebody waits for an answer that the next turn gives, whatever else it does.
    pub(crate) fn is_asked(&self) -> bool {
        self.core.is_asked() || !self.readers.is_empty()
    }

    /// The first reader who is still there.
    fn next_reader(&mut self) -> Option<(StateVector, Reply<StateAnswer>)> {
        while let Some(reader) = self.readers.pop_front() {
            if !reader.1.is_closed() {
                return Some(reader);
            }
        }
        None
    }

    /// The index hears of a turn before anyone is told that an edit of it is durable.
    fn tell_followers(&mut self) {
        let (upto, _) = self.core.positions();
        let doc = self.core.replica().doc();
        if self
            .following
            .as_ref()
            .is_some_and(|following| !following.tell(doc, upto))
        {
            self.unfollow();
        }
        for told in self.told.drain(..) {
            // Whoever asked may be gone.
            let _ = told.send(());
        }
    }

    /// Nobody reads the features any more.
    pub(crate) fn unfollow(&mut self) {
        if let Some(following) = self.following.take() {
            following.end(self.core.replica().doc());
        }
    }

    fn follow(&mut self, reply: Reply<Followed>) {
        self.unfollow();
        let (upto, _) = self.core.positions();
        let doc = self.core.replica().doc();
        let (following, followed) =
            off_the_others(self.snapshot.size, || Following::begin(doc, upto));
        self.following = Some(following);
        let _ = reply.send(Ok(followed));
    }

    /// The log has taken `records` more, or failed.
    pub(crate) fn appended(
        &mut self,
        now_ms: u64,
        records: u64,
        appended: Result<Appended, StoreError>,
    ) -> Result<(), End> {
        let last = match appended {
            Ok(appended) => appended.last,
            // It came in beside this room, which does not know of it: the next one will.
            Err(error @ StoreError::Held { .. }) => return Err(End::Broken(error.to_string())),
            Err(error) => return Err(End::StoreFailed(error.to_string())),
        };
        let mut fx = Effects::default();
        self.core
            .handle(now_ms, Input::Durable { records, last }, &mut fx);
        self.carry_out(fx)?;
        self.tell_durable_states();
        self.write_taken_snapshot();
        Ok(())
    }

    /// Looks after what time brings.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Result<(), End> {
        let mut fx = Effects::default();
        let caught_up = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_caught_up())
            .map(|(id, _)| *id)
            .collect();
        self.core
            .handle(now_ms, Input::CaughtUp(caught_up), &mut fx);
        self.core.handle(now_ms, Input::Tick, &mut fx);
        self.core.end_turn(now_ms, &mut fx);
        self.carry_out(fx)?;
        if self.snapshot_is_due() {
            self.take_snapshot();
        }
        Ok(())
    }
}

/// A room that ends by a panic takes its connections along: they would wait for ever for a room that is no more.
impl Drop for Room {
    fn drop(&mut self) {
        for peer in self.peers.values() {
            peer.close(CloseReason::Unavailable("the map is being reloaded"));
        }
    }
}

/// Runs something that takes as long as a document of `bytes` needs, so that other tasks go on meanwhile.
fn off_the_others<T>(bytes: u64, work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let many =
        Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if many && bytes > ENCODE_INLINE_BYTES_MAX {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
