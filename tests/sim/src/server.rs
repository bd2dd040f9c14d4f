//! The server of one map: the real room core, sessions, frame readers and backlogs, with tasks and sockets
//! replaced by steps that the simulation takes in any order. Checks every effect as it happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mapweave::room::{
    Beside, Broadcast, Core, CoreOptions, Effects, Held, HeldLimits, Input, Outgoing, Start,
    StoredState, Ticket, summarize,
};
use mapweave::server::backlog::{Backlog, Offered};
use mapweave::server::frame::{self, FrameReader, Incoming};
use mapweave_proto::{
    Access, Effect, Event, Message, Scanned, Seq, Session, SessionId, SessionLimits, ToRoom, yws,
};
use mapweave_storage::{Kind, Origin};

use crate::link::Link;
use crate::scenario::Sabotage;
use crate::store::Store;

/// Largest message that a client may send.
const FRAME_BYTES_MAX: usize = 1 << 20;

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

/// One connection, at the server's end.
pub(crate) struct Conn {
    session: Session,
    reader: FrameReader,
    backlog: Backlog,
    attached: bool,
    joined: bool,
    paused_until_ms: Option<u64>,
    /// The last frame is on its way; nothing else happens here.
    ending: bool,
    /// Tokens of acknowledgements that went out.
    acks: Vec<Bytes>,
}

/// What a connection's task wants of the world.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoesOn,
    /// It is over: the room is told, the socket closed once the last bytes are out.
    Ended,
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

    /// A socket was upgraded.
    pub(crate) fn accept(&mut self, id: SessionId, access: Access, queue_bytes_max: usize) {
        let limits = SessionLimits {
            update_bytes_max: FRAME_BYTES_MAX,
            ..SessionLimits::default()
        };
        self.conns.insert(
            id,
            Conn {
                session: Session::new(limits, access),
                reader: FrameReader::new(FRAME_BYTES_MAX, &[]),
                backlog: Backlog::new(queue_bytes_max),
                attached: false,
                joined: false,
                paused_until_ms: None,
                ending: false,
                acks: Vec::new(),
            },
        );
    }

    /// The connection's task gets its place in the room's inbox.
    pub(crate) fn attach(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
    ) -> Result<Verdict, String> {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.attached) else {
            return Ok(Verdict::GoesOn);
        };
        conn.attached = true;
        let access = conn.session.access();
        self.inbox.push_back(Input::Join {
            session: id,
            origin: Arc::new(Origin::default()),
            access,
        });
        self.session_event(id, link, now_ms, Event::Attached)
    }

    /// Bytes arrive from the client.
    pub(crate) fn receive(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
        bytes: &[u8],
    ) -> Result<Verdict, String> {
        if let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ending) {
            conn.reader.feed(bytes);
        }
        self.take_messages(id, link, now_ms)
    }

    fn take_messages(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
    ) -> Result<Verdict, String> {
        loop {
            let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ending) else {
                return Ok(Verdict::GoesOn);
            };
            if conn.paused_until_ms.is_some_and(|until| until > now_ms) {
                return Ok(Verdict::GoesOn);
            }
            conn.paused_until_ms = None;
            let verdict = match conn.reader.next_message() {
                Ok(None) => return Ok(Verdict::GoesOn),
                Ok(Some(Incoming::Binary(message))) => {
                    self.session_event(id, link, now_ms, Event::Frame(message))?
                }
                Ok(Some(Incoming::Ping(payload))) => {
                    conn.put(frame::pong(&payload), link);
                    Verdict::GoesOn
                }
                Ok(Some(Incoming::Pong)) => Verdict::GoesOn,
                Ok(Some(Incoming::Text(_))) => self.end(id, link, Some((1003, "text"))),
                Ok(Some(Incoming::Close(code))) => {
                    conn.put(frame::close_echo(code), link);
                    self.end(id, link, None)
                }
                Err(error) => self.end(id, link, Some((error.code(), "a broken frame"))),
            };
            if verdict == Verdict::Ended {
                return Ok(verdict);
            }
        }
    }

    /// The connection's task looks after its socket, its clock and the room's news.
    pub(crate) fn serve(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
    ) -> Result<Verdict, String> {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Ok(Verdict::GoesOn);
        };
        conn.flush(link);
        if conn.ending {
            let out = conn.backlog.is_empty();
            if out {
                link.down.close();
                self.conns.remove(&id);
            }
            return Ok(Verdict::GoesOn);
        }
        let news = conn.backlog.news();
        let mut events = Vec::new();
        events.extend(news.sent.then_some(Event::Sent));
        for (number, reason) in news.refused {
            events.push(Event::Refused { number, reason });
        }
        events.extend(news.answered.map(|bytes| Event::Answered { bytes }));
        events.extend(news.settled.map(|upto| Event::Settled { upto }));
        events.extend(news.close.map(Event::Stop));
        if conn
            .session
            .next_tick_ms()
            .is_some_and(|at_ms| at_ms <= now_ms)
        {
            events.push(Event::Tick);
        }
        for event in events {
            if self.session_event(id, link, now_ms, event)? == Verdict::Ended {
                return Ok(Verdict::Ended);
            }
        }
        if news.wants_difference {
            self.inbox.push_back(Input::WantsDifference(id));
        }
        self.take_messages(id, link, now_ms)
    }

    /// The socket broke, and the server notices.
    pub(crate) fn lost(&mut self, id: SessionId) {
        if let Some(conn) = self.conns.remove(&id)
            && !conn.ending
        {
            self.inbox.push_back(Input::Leave(id));
        }
    }

    fn end(&mut self, id: SessionId, link: &mut Link, why: Option<(u16, &str)>) -> Verdict {
        if let Some(conn) = self.conns.get_mut(&id) {
            if let Some((code, reason)) = why {
                conn.put(frame::close_frame(code, reason), link);
            }
            conn.ending = true;
            self.inbox.push_back(Input::Leave(id));
        }
        Verdict::Ended
    }

    fn session_event(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
        event: Event,
    ) -> Result<Verdict, String> {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Ok(Verdict::GoesOn);
        };
        let mut effects = Vec::new();
        conn.session.handle(now_ms, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Room(said) => self.inbox.push_back(Input::Heard(id, said)),
                Effect::Send(message) => {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.note_acknowledgement(&message);
                        conn.put(frame::binary(&message), link);
                    }
                }
                Effect::Answer(answer) => {
                    return Err(format!("{answer:?} is no answer of y-websocket"));
                }
                Effect::Pause { until_ms } => {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.paused_until_ms = Some(until_ms);
                    }
                }
                Effect::Close(reason) => {
                    return Ok(self.end(id, link, Some((reason.code(), &reason.text()))));
                }
            }
        }
        Ok(Verdict::GoesOn)
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

impl Conn {
    fn put(&mut self, frame: Bytes, link: &mut Link) {
        self.backlog.put(frame);
        self.flush(link);
    }

    /// Writes what the socket takes. A cut one takes everything and passes nothing on.
    fn flush(&mut self, link: &mut Link) {
        let written = self.backlog.write(|slices| {
            if link.down.is_full() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let all = slices.iter().flat_map(|slice| slice.iter().copied());
            Ok(link.down.write(&all.collect::<Vec<u8>>()))
        });
        debug_assert!(written.is_ok(), "a simulated socket has no errors");
    }

    fn note_acknowledgement(&mut self, message: &Bytes) {
        for message in yws::decode(message.clone()) {
            if let Ok(Message::DurableAck(token)) = message {
                self.acks.push(token);
            }
        }
    }
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
