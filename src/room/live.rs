//! A loaded map with its connections: turns requests into inputs of the [`Core`] and carries out its effects.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mapweave_proto::{CloseReason, DocId, MapName, Seq, SessionId, StateVector};
use mapweave_storage::{Appended, StoreError, UpdateLog};
use tokio::sync::oneshot;

use super::actor::{Request, RequestError, RoomOptions, StateAnswer};
use super::appending::{Appending, Step};
use super::container::{Beside, Held, StoredState, Summary};
use super::core::{Broadcast, Core, Effects, ForOutside, Input, Sender, Start, Ticket};
use super::features::{Followed, Following};
use super::gathering::MessageFrom;
use super::listening::Beginning;
use super::load::Loaded;
use super::observer::Observer;
use super::peer::Peer;
use super::people::PeopleNews;
use super::registry::RoomShared;
use super::summary::summarize;

/// Encoding a document of more bytes than this is kept off the other tasks of the thread.
const ENCODE_INLINE_BYTES_MAX: u64 = 256 << 10;

/// A snapshot is written when the log since the last has this share of its size, so that a large map is not
/// written again for every few edits …
const SNAPSHOT_SHARE: u64 = 4;

/// … or this many records, which take tens of milliseconds to replay.
const SNAPSHOT_RECORDS_MAX: u64 = 10_000;

/// A map that is unloaded with fewer records than this since its snapshot needs no new one.
const SNAPSHOT_RECORDS_MIN: u64 = 16;

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

#[derive(Default)]
pub(crate) struct SnapshotWriter {
    /// Taken, and waiting until what it contains is durable.
    taken: Option<(Seq, Bytes)>,
    writing: Option<(Seq, BoxFuture<'static, Result<(), StoreError>>)>,
    replies: Vec<Reply<Seq>>,
    size: u64,
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
        let snapshot = SnapshotWriter {
            size: cache.bytes() as u64,
            ..SnapshotWriter::default()
        };
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
        if self.core.is_asked() {
            let core = &mut self.core;
            off_the_others(self.snapshot.size, || core.end_turn(now_ms, &mut fx));
        } else {
            self.core.end_turn(now_ms, &mut fx);
        }
        self.tell_followers();
        self.carry_out(fx)
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

    fn request(&mut self, now_ms: u64, request: Request, fx: &mut Effects) {
        let input = match request {
            Request::Join {
                session,
                peer,
                origin,
                access,
            } => {
                self.peers.insert(session, peer);
                Input::Join {
                    session,
                    origin,
                    access,
                }
            }
            Request::Permit {
                session,
                origin,
                access,
            } => Input::Permit {
                session,
                origin,
                access,
            },
            Request::Leave(session) => {
                self.peers.remove(&session);
                Input::Leave(session)
            }
            Request::Heard(session, said) => Input::Heard(session, said),
            Request::HearNotices(session) => Input::HearNotices(session),
            Request::Synced(session) => Input::Synced(session),
            Request::People { reply } => {
                let _ = reply.send(Ok(self.core.gathering()));
                return;
            }
            Request::Message {
                to,
                from,
                text,
                reply,
            } => {
                let reached = self.core.message(&to, &self.sender(from), &text, fx);
                let _ = reply.send(Ok(reached));
                return;
            }
            Request::WantsDifference(session) => Input::WantsDifference(session),
            Request::Submit {
                update,
                origin,
                access,
                reply,
            } => Input::Submit {
                ticket: self.ticket(reply),
                update,
                origin,
                access,
            },
            Request::Author {
                writing,
                origin,
                told,
                reply,
            } => {
                self.told.push(told);
                Input::Author {
                    ticket: self.ticket(reply),
                    writing,
                    origin,
                }
            }
            Request::Decide {
                seq,
                decision,
                origin,
                reply,
            } => Input::Decide {
                ticket: self.ticket(reply),
                seq,
                decision,
                origin,
            },
            Request::Quarantine { reply } => {
                // Whoever asked may be gone.
                let _ = reply.send(Ok(self.core.replica().quarantine().kept().to_vec()));
                return;
            }
            Request::Settle { reply } => Input::Settle {
                ticket: self.ticket(reply),
            },
            Request::Follow { reply } => return self.follow(reply),
            Request::Waiting { reply } => {
                let beginning = Beginning {
                    seq: self.core.positions().0,
                    waiting: self.core.replica().held().cloned().collect(),
                };
                let _ = reply.send(Ok(beginning));
                return;
            }
            Request::Relay { records, reply } => {
                let exchange = self.store.exchange(self.doc);
                Input::Relay {
                    ticket: self.ticket(reply),
                    records,
                    durable: exchange.map(|exchange| exchange.known).unwrap_or_default(),
                }
            }
            Request::Create { origin, reply } => Input::Create {
                ticket: self.ticket(reply),
                origin,
            },
            Request::State { have, reply } => return self.readers.push_back((have, reply)),
            Request::Ledger { reply } => {
                let ledger = self.core.replica().ledger();
                let _ = reply.send(Ok(off_the_others(self.snapshot.size, || ledger.clone())));
                return;
            }
            Request::Summary { reply } => return self.answer_summary(reply),
            Request::Snapshot { reply } => {
                self.snapshot.replies.push(reply);
                return self.take_snapshot();
            }
        };
        self.core.handle(now_ms, input, fx);
    }

    /// Somebody who sends a message over HTTP is who they are by their token, and who they show themselves to be on
    /// the connection that they name.
    fn sender(&self, from: MessageFrom) -> Sender {
        let MessageFrom {
            user,
            name,
            session,
        } = from;
        let shown = session.map(|session| self.core.sender(session));
        let Sender {
            client, name: own, ..
        } = shown.unwrap_or_default();
        Sender {
            client,
            name: if own.is_empty() { name } else { own },
            user,
        }
    }

    fn ticket(&mut self, reply: Reply<Seq>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.replies.insert(ticket, reply);
        ticket
    }

    fn answer_state(&mut self, have: &StateVector, reply: Reply<StateAnswer>, fx: &mut Effects) {
        let (seq, _) = self.core.positions();
        let core = &mut self.core;
        let state = off_the_others(self.snapshot.size, || core.state_beyond(have, fx));
        if let Some(update) = state {
            self.states.push_back((StateAnswer { update, seq }, reply));
            return self.tell_durable_states();
        }
        // A reader who is gone needs no answer, here and below.
        let _ = reply.send(Err(RequestError::Unavailable {
            why: "the document cannot be encoded".to_owned(),
        }));
    }

    /// A reader may rely on what an answer says is at its place: it waits until that is durable.
    fn tell_durable_states(&mut self) {
        let (_, durable) = self.core.positions();
        let settled = |(state, _): &mut (StateAnswer, _)| state.seq <= durable;
        while let Some((state, reply)) = self.states.pop_front_if(settled) {
            let _ = reply.send(Ok(state));
        }
    }

    fn answer_summary(&self, reply: Reply<Summary>) {
        let doc = self.core.replica().doc();
        let _ = reply.send(Ok(off_the_others(self.snapshot.size, || summarize(doc))));
    }

    fn carry_out(&mut self, fx: Effects) -> Result<(), End> {
        self.appending.push(fx.append);
        for (session, message) in &fx.send {
            if let Some(peer) = self.peers.get(session) {
                peer.send(message);
            }
        }
        for broadcast in &fx.broadcast {
            self.broadcast(broadcast);
        }
        for (session, number, refusal) in fx.refused {
            if let Some(peer) = self.peers.get(&session) {
                metrics::counter!("mapweave_updates_refused_total").increment(1);
                peer.refused(number, refusal);
            }
        }
        if fx.quarantined > 0 {
            metrics::counter!("mapweave_updates_quarantined_total").increment(fx.quarantined);
        }
        if fx.expired > 0 {
            metrics::counter!("mapweave_held_expired_total").increment(fx.expired);
        }
        if fx.presence_gave_way > 0 {
            metrics::counter!("mapweave_presence_gave_way_total").increment(fx.presence_gave_way);
        }
        for (session, bytes) in fx.answered {
            if let Some(peer) = self.peers.get(&session) {
                peer.answered(bytes);
            }
        }
        for (session, upto) in fx.settled {
            if let Some(peer) = self.peers.get(&session) {
                peer.settled(upto);
            }
        }
        self.tell_outside(fx.people.as_ref(), &fx.outside);
        for (ticket, answer) in fx.replies {
            if let Some(reply) = self.replies.remove(&ticket) {
                let _ = reply.send(answer.map_err(RequestError::Refused));
            }
        }
        fx.broken.map_or(Ok(()), |why| Err(End::Broken(why)))
    }

    /// Tells whoever runs the server, where somebody listens there.
    fn tell_outside(&self, people: Option<&PeopleNews>, messages: &[ForOutside]) {
        let observer = self.observer.as_ref();
        if let (Some(observer), Some(news)) = (observer, people) {
            observer.people(&self.name, news);
        }
        for message in messages {
            let ForOutside { from, text, .. } = message;
            let taken = observer.is_some_and(|o| o.message(&self.name, from, text));
            if let (Some(peer), Some(answer)) =
                (self.peers.get(&message.session), message.answer(taken))
            {
                peer.send(&answer);
            }
        }
    }

    fn broadcast(&self, broadcast: &Broadcast) {
        for (session, peer) in &self.peers {
            let is_meant = self.core.hears(*session, broadcast.audience);
            if is_meant && broadcast.except != Some(*session) {
                peer.send(&broadcast.message);
            }
        }
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

    fn snapshot_is_due(&self) -> bool {
        let (records, bytes) = self.core.since_snapshot();
        let long = records >= self.options.snapshot_records || bytes >= self.options.snapshot_bytes;
        long && (bytes >= self.snapshot.size / SNAPSHOT_SHARE || records >= SNAPSHOT_RECORDS_MAX)
    }

    fn take_snapshot(&mut self) {
        if self.snapshot.taken.is_some() || self.snapshot.writing.is_some() {
            return;
        }
        let replica = self.core.replica();
        let size = self.snapshot.size.max(self.core.since_snapshot().1);
        let encoded = off_the_others(size, || {
            let summary = summarize(replica.doc());
            let held = replica.held_since().map(|(update, since_ms)| Held {
                update: update.clone(),
                since_ms,
            });
            let held = held.collect();
            let beside = Beside::of(replica);
            replica.encode_state().map(|state| {
                StoredState {
                    state,
                    held,
                    beside,
                    summary,
                }
                .encode()
            })
        });
        match encoded {
            Ok(bytes) => {
                let (upto, _) = self.core.positions();
                self.snapshot.size = bytes.len() as u64;
                self.snapshot.taken = Some((upto, bytes));
                self.core.snapshot_taken();
                self.write_taken_snapshot();
            }
            Err(error) => {
                tracing::error!(doc = %self.doc, %error, "no snapshot could be taken");
                let why = error.to_string();
                self.answer_snapshot(&Err(RequestError::Unavailable { why }));
            }
        }
    }

    fn write_taken_snapshot(&mut self) {
        let (_, durable) = self.core.positions();
        if let Some((upto, bytes)) = self.snapshot.taken.take_if(|(upto, _)| *upto <= durable) {
            if upto == Seq::ZERO {
                return self.answer_snapshot(&Ok(upto));
            }
            self.snapshot.writing = Some((upto, self.store.put_snapshot(self.doc, upto, bytes)));
        }
    }

    pub(crate) fn snapshot_stored(&mut self, (upto, stored): (Seq, Result<(), StoreError>)) {
        self.snapshot.writing = None;
        // The log has everything a snapshot has: one less costs time at the next load, nothing else.
        let answer = stored.map(|()| upto).map_err(|error| {
            tracing::warn!(doc = %self.doc, %error, "a snapshot could not be stored");
            RequestError::Unavailable {
                why: error.to_string(),
            }
        });
        self.answer_snapshot(&answer);
    }

    fn answer_snapshot(&mut self, answer: &Result<Seq, RequestError>) {
        for reply in self.snapshot.replies.drain(..) {
            let _ = reply.send(answer.clone());
        }
    }

    pub(crate) fn is_writing_snapshot(&self) -> bool {
        self.snapshot.taken.is_some() || self.snapshot.writing.is_some()
    }

    /// Waits for the log, then stores a snapshot if it would help the next load.
    pub(crate) async fn finish(&mut self) -> Result<(), End> {
        while !self.appending.is_empty() {
            if let Step::Done(records, appended) = self.appending.next().await {
                self.appended(0, records, appended)?;
            }
        }
        let (records, bytes) = self.core.since_snapshot();
        if records >= SNAPSHOT_RECORDS_MIN || bytes >= self.options.snapshot_bytes {
            self.take_snapshot();
        }
        while self.snapshot.writing.is_some() {
            let stored = self.snapshot.written().await;
            self.snapshot_stored(stored);
        }
        Ok(())
    }
}

impl SnapshotWriter {
    /// Completes when a snapshot that is being written is stored or not; never where none is.
    ///
    /// # Cancel safety
    /// Safe: the writing goes on by itself and is kept for the next call.
    pub(crate) async fn written(&mut self) -> (Seq, Result<(), StoreError>) {
        match &mut self.writing {
            Some((upto, writing)) => (*upto, writing.await),
            None => std::future::pending().await,
        }
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

/// A room on its way out: everyone is told why.
pub(crate) struct Departing {
    close: CloseReason,
    why: String,
}

impl Departing {
    pub(crate) fn new(close: CloseReason, why: String) -> Self {
        Self { close, why }
    }

    /// What to say after `end`.
    pub(crate) fn after(end: Result<(), End>) -> Self {
        match end {
            Ok(()) => Self::new(CloseReason::Restarting, "the server is stopping".to_owned()),
            Err(End::Broken(why)) => {
                Self::new(CloseReason::Unavailable("the map is being reloaded"), why)
            }
            Err(End::Deleted) => Self::new(CloseReason::Deleted, "the map was deleted".to_owned()),
            Err(End::StoreFailed(why)) => {
                let close = CloseReason::Unavailable("nothing can be stored now, keep your edits");
                Self::new(close, why)
            }
        }
    }

    pub(crate) fn dismiss(&self, mut room: Room) {
        for (_, peer) in room.peers.drain() {
            peer.close(self.close.clone());
        }
        let replies = room.replies.drain().map(|(_, reply)| reply);
        for reply in replies.chain(room.snapshot.replies.drain(..)) {
            let _ = reply.send(Err(self.error()));
        }
        let states = room.states.drain(..).map(|(_, reply)| reply);
        for reply in states.chain(room.readers.drain(..).map(|(_, reply)| reply)) {
            let _ = reply.send(Err(self.error()));
        }
    }

    pub(crate) fn turn_away(&self, request: Request) {
        match request {
            Request::Join { peer, .. } => peer.close(self.close.clone()),
            Request::Submit { reply, .. }
            | Request::Author { reply, .. }
            | Request::Create { reply, .. }
            | Request::Relay { reply, .. }
            | Request::Settle { reply }
            | Request::Decide { reply, .. }
            | Request::Snapshot { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::State { reply, .. } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Ledger { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Summary { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Follow { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::People { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Message { reply, .. } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Waiting { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Quarantine { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Permit { .. }
            | Request::Leave(_)
            | Request::Heard(..)
            | Request::HearNotices(_)
            | Request::Synced(_)
            | Request::WantsDifference(_) => {}
        }
    }

    fn error(&self) -> RequestError {
        RequestError::Unavailable {
            why: self.why.clone(),
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
