//! The server of one map: the real room core, sessions, frame readers and backlogs, with tasks and sockets
//! replaced by steps that the simulation takes in any order. Checks every effect as it happens.

mod conn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mapweave::room::{
    Beside, Broadcast, Core, CoreOptions, Effects, Held, HeldLimits, Input, Outgoing, Start,
    StoredState, Ticket, summarize,
};
use mapweave::server::backlog::Offered;
use mapweave_proto::{Access, Message, Scanned, Seq, SessionId, ToRoom};
use mapweave_storage::{Kind, Origin};

use crate::link::Link;
use crate::scenario::Sabotage;
use crate::store::Store;
pub(crate) use conn::{Conn, Verdict};

/// Held bytes of one session and of the map.
const HELD: HeldLimits = HeldLimits {
    map_bytes_max: 256 << 10,
    source_bytes_max: 64 << 10,
    ..HeldLimits::NONE
};

/// The server between two crashes.
pub(crate) struct Server {
    core: Core,
    pub(crate) conns: BTreeMap<SessionId, Conn>,
    inbox: VecDeque<Input>,
    /// Sessions that the room took in and was not told the end of.
    present: BTreeSet<SessionId>,
    /// While the document loads: the whole stored state, if that is the whole truth.
    loading: Option<Option<Bytes>>,
    /// Inputs that were collected while the document loaded.
    deferred: usize,
    appended: Seq,
    /// Log position after each update of each session, as far as it has not settled.
    promised: BTreeMap<SessionId, BTreeMap<u64, Seq>>,
    tickets: BTreeMap<u64, Scanned>,
    next_ticket: u64,
    snapshot: Option<(Seq, Bytes)>,
    /// Records of updates that came too early.
    pub(crate) gaps: u64,
    /// How often a slow reader's backlog was dropped.
    pub(crate) overflows: u64,
    broadcasts: u64,
    sabotage: Sabotage,
}

impl Server {
    /// Starts over what the store has. `early` says whether the document takes its time to load.
    pub(crate) fn start(store: &Store, early: bool, sabotage: Sabotage) -> Result<Self, String> {
        let fetched = store.fetch()?;
        let stored = fetched.whole_state().cloned();
        let loaded = store.build(fetched)?;
        let mut replica = loaded.replica;
        replica.set_limits(HELD);
        let update_bytes = loaded.cache.bytes() as u64 + loaded.tail.1;
        let start = Start {
            name: crate::store::name(),
            replica,
            cache: loaded.cache,
            head: loaded.head,
            exists: loaded.head > Seq::ZERO,
            tail: loaded.tail,
            update_bytes,
        };
        Ok(Self {
            core: Core::new(start, CoreOptions::default()),
            conns: BTreeMap::new(),
            inbox: VecDeque::new(),
            present: BTreeSet::new(),
            loading: early.then_some(stored),
            deferred: 0,
            appended: store.last(),
            promised: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            snapshot: None,
            gaps: 0,
            overflows: 0,
            broadcasts: 0,
            sabotage,
        })
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// The document is there.
    pub(crate) fn loaded(&mut self) {
        if self.loading.take().is_some() {
            self.deferred = self.inbox.len();
        }
    }

    /// Whether so many answers wait for a client that nothing more is read from it.
    pub(crate) fn is_clogged(&self, id: SessionId) -> bool {
        let conn = self.conns.get(&id);
        conn.is_some_and(|conn| conn.backlog.is_clogged())
    }

    /// What waits for the room's next turn.
    pub(crate) fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// Whether nothing at all is on its way inside the server.
    pub(crate) fn is_quiet(&self) -> bool {
        self.inbox.is_empty()
            && self.loading.is_none()
            && !self.core.is_asked()
            && self.snapshot.is_none()
            && self.core.presence_due_ms().is_none()
            && self
                .conns
                .values()
                .all(|conn| conn.attached && conn.backlog.is_caught_up())
    }

    /// An update comes in by a request, as from HTTP.
    pub(crate) fn submit(&mut self, update: Scanned) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.insert(ticket.0, update.clone());
        self.inbox.push_back(Input::Submit {
            ticket,
            update,
            origin: Arc::new(Origin::default()),
            access: Access::ReadWrite,
        });
    }

    /// The room takes in up to `most` inputs together.
    pub(crate) fn turn(
        &mut self,
        most: usize,
        now_ms: u64,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        if let Some(stored) = self.loading.clone() {
            self.answer_early(stored, world);
            return Ok(());
        }
        // What was collected while the document loaded is one turn: who was answered early is told the rest of it.
        let most = most.max(std::mem::take(&mut self.deferred));
        let count = most.min(self.inbox.len());
        let inputs: Vec<Input> = self.inbox.drain(..count).collect();
        self.inputs(inputs, now_ms, world)
    }

    /// While the document loads, a first sync is answered from the stored state alone.
    fn answer_early(&mut self, stored: Option<Bytes>, world: &mut World<'_>) {
        let Some(state) = stored else { return };
        let mut inbox = std::mem::take(&mut self.inbox);
        for input in &mut inbox {
            match input {
                Input::Join { session, .. } => {
                    if let Some(conn) = self.conns.get_mut(session) {
                        conn.joined = true;
                    }
                }
                Input::Heard(session, ToRoom::SyncStep1(have)) if have.is_empty() => {
                    let id = *session;
                    let step2 = Outgoing::new(Message::SyncStep2(state.clone()));
                    self.offer(id, &step2, world);
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.backlog.answered(0);
                    }
                    *input = Input::Synced(id);
                }
                _ => {}
            }
        }
        self.inbox = inbox;
    }

    fn inputs(
        &mut self,
        inputs: Vec<Input>,
        now_ms: u64,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let mut fx = Effects::default();
        let mut mentioned = self.present.clone();
        for input in inputs {
            let update = match &input {
                Input::Join { session, .. } => {
                    mentioned.insert(*session);
                    self.present.insert(*session);
                    if let Some(conn) = self.conns.get_mut(session) {
                        conn.joined = true;
                    }
                    None
                }
                Input::Heard(session, ToRoom::Update { number, .. }) => Some((*session, *number)),
                _ => None,
            };
            if let Input::Leave(session) = &input {
                self.present.remove(session);
                self.promised.remove(session);
            }
            self.core.handle(now_ms, input, &mut fx);
            if let Some((session, number)) = update {
                let (appended, _) = self.core.positions();
                self.promised
                    .entry(session)
                    .or_default()
                    .insert(number, appended);
                if self.sabotage == Sabotage::AcknowledgeEarly {
                    fx.settled.push((session, number));
                }
            }
        }
        self.core.end_turn(now_ms, &mut fx);
        self.carry_out(fx, &mentioned, world)
    }

    fn carry_out(
        &mut self,
        fx: Effects,
        mentioned: &BTreeSet<SessionId>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        check_mentions(&fx, mentioned)?;
        if let Some(why) = fx.broken {
            return Err(format!("the room broke: {why}"));
        }
        if !fx.append.is_empty() {
            self.appended = Seq(self.appended.0 + fx.append.len() as u64);
            let gaps = fx
                .append
                .iter()
                .filter(|record| record.kind == Kind::Gapped);
            self.gaps += gaps.count() as u64;
            world.store.append(fx.append);
        }
        if self.core.positions().0 != self.appended {
            return Err(format!(
                "the room counts {:?} records, {} were appended",
                self.core.positions(),
                self.appended
            ));
        }
        for (session, message) in &fx.send {
            self.offer(*session, message, world);
        }
        for broadcast in &fx.broadcast {
            self.broadcast(broadcast, world);
        }
        for (session, number, refusal) in fx.refused {
            if let Some(conn) = self.conns.get_mut(&session) {
                conn.backlog.refused(number, refusal);
            }
        }
        for (session, bytes) in fx.answered {
            if let Some(conn) = self.conns.get_mut(&session) {
                conn.backlog.answered(bytes);
            }
        }
        for (session, upto) in fx.settled {
            self.check_settled(session, upto, world.store)?;
            if let Some(conn) = self.conns.get_mut(&session) {
                conn.backlog.settled(upto);
            }
        }
        for (ticket, answer) in fx.replies {
            let Some(update) = self.tickets.remove(&ticket.0) else {
                return Err(format!("{ticket:?} is answered twice"));
            };
            let at = answer.map_err(|why| format!("a good request was refused: {why}"))?;
            if at > world.store.last() || !world.store.holds(&update) {
                return Err(format!(
                    "{ticket:?} is answered at {at} before it is durable"
                ));
            }
        }
        Ok(())
    }

    fn check_settled(&mut self, id: SessionId, upto: u64, store: &Store) -> Result<(), String> {
        let Some(promised) = self.promised.get_mut(&id) else {
            return Ok(());
        };
        let later = promised.split_off(&(upto + 1));
        let settled = std::mem::replace(promised, later);
        match settled.into_iter().find(|(_, at)| *at > store.last()) {
            Some((number, at)) if self.sabotage != Sabotage::AcknowledgeEarly => Err(format!(
                "update {number} of session {id} settled at {}, its record is {at}",
                store.last()
            )),
            _ => Ok(()),
        }
    }

    fn offer(&mut self, id: SessionId, message: &Outgoing, world: &mut World<'_>) {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ending) else {
            return;
        };
        if conn.backlog.offer(message) == Offered::Overflowed {
            self.overflows += 1;
        }
        if let Some(link) = world.links.get_mut(&id) {
            conn.flush(link);
        }
    }

    fn broadcast(&mut self, broadcast: &Broadcast, world: &mut World<'_>) {
        let ids: Vec<SessionId> = self
            .conns
            .iter()
            .filter(|(id, conn)| {
                let meant = self.core.hears(**id, broadcast.audience);
                conn.joined && meant && broadcast.except != Some(**id)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.broadcasts += 1;
            if self.sabotage == Sabotage::DropBroadcasts && self.broadcasts.is_multiple_of(7) {
                continue;
            }
            self.offer(id, &broadcast.message, world);
        }
    }

    /// The store made its oldest append durable.
    pub(crate) fn sync_one(&mut self, now_ms: u64, world: &mut World<'_>) -> Result<(), String> {
        let Some((records, last)) = world.store.sync_one()? else {
            return Ok(());
        };
        self.inputs(vec![Input::Durable { records, last }], now_ms, world)?;
        self.write_snapshot(world.store)
    }

    /// What a room does every second.
    pub(crate) fn tick(&mut self, now_ms: u64, world: &mut World<'_>) -> Result<(), String> {
        if self.is_loading() {
            return Ok(());
        }
        let caught_up = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.joined && !conn.ending && conn.backlog.is_caught_up())
            .map(|(id, _)| *id)
            .collect();
        self.inputs(vec![Input::CaughtUp(caught_up), Input::Tick], now_ms, world)
    }

    /// Takes a snapshot now, to be written once what it contains is durable.
    pub(crate) fn take_snapshot(&mut self, store: &Store) -> Result<(), String> {
        if self.snapshot.is_some() || self.is_loading() {
            return Ok(());
        }
        let replica = self.core.replica();
        let stored = StoredState {
            state: replica.encode_state().map_err(|why| why.to_string())?,
            held: replica
                .held_since()
                .map(|(update, since_ms)| Held {
                    update: update.clone(),
                    since_ms,
                })
                .collect(),
            beside: Beside::of(replica),
            summary: summarize(replica.doc()),
        };
        self.snapshot = Some((self.core.positions().0, stored.encode()));
        self.core.snapshot_taken();
        self.write_snapshot(store)
    }

    fn write_snapshot(&mut self, store: &Store) -> Result<(), String> {
        let (_, durable) = self.core.positions();
        match self.snapshot.take_if(|(upto, _)| *upto <= durable) {
            Some((upto, bytes)) if upto > Seq::ZERO => store.put_snapshot(upto, bytes),
            _ => Ok(()),
        }
    }

    /// Acknowledgements that went out since the last call, with their sessions.
    pub(crate) fn take_acknowledged(&mut self) -> Vec<(SessionId, Bytes)> {
        let conns = self.conns.iter_mut();
        conns
            .flat_map(|(id, conn)| conn.acks.drain(..).map(|token| (*id, token)))
            .collect()
    }
}

/// What the server acts on.
pub(crate) struct World<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) links: &'a mut BTreeMap<SessionId, Link>,
}

/// No effect may be meant for a session that had left before the turn.
fn check_mentions(fx: &Effects, present: &BTreeSet<SessionId>) -> Result<(), String> {
    let sent = fx.send.iter().map(|(id, _)| ("a message", *id));
    let settled = fx.settled.iter().map(|(id, _)| ("settled updates", *id));
    let refused = fx.refused.iter().map(|(id, ..)| ("a refusal", *id));
    let mut all = sent.chain(settled).chain(refused);
    match all.find(|(_, id)| !present.contains(id)) {
        Some((what, id)) => Err(format!("{what} for session {id}, which left")),
        None => Ok(()),
    }
}
