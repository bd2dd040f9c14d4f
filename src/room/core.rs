//! A live map as a state machine: an input in, plain effects out.
//!
//! An update's way: judge → apply to the document → append to the log → broadcast → (durable) → acknowledge.
//! The caller collects the inputs of one turn, calls [`Core::handle`] for each and [`Core::end_turn`] once: what
//! several updates of a turn say goes out as one message. Knows no task, socket, clock or disk; time comes in
//! as milliseconds since the process began. Start at [`Core`].

mod effects;
mod judging;
mod notices;
mod relaying;
mod syncing;
mod telling;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Access, MapName, Refusal, Scanned, Seq, SessionId, StateVector, ToRoom};
use mapweave_storage::{Kind, Known, NewRecord, Origin, Protocol};

use super::peer::Outgoing;
use super::people::People;
use super::presence::Presence;
use super::replica::{Decision, Outcome, QuarantineLimits, Refused, Replica, StateCache, Written};
pub use effects::{Audience, Broadcast, Effects};
pub use judging::{EARLY_COMMENT_BYTES_MAX, EARLY_COMMENT_MS, EARLY_COMMENTS_MAX};
use judging::{EarlyComments, Sent};
use notices::Hears;
pub use notices::{ForOutside, MESSAGE_BYTES_MAX, NOTICE_PREFIX, Recipient, Sender};
pub use relaying::Foreign;
use syncing::{Asks, Difference, tell_nothing};
pub use telling::PRESENCE_EVERY_MS;

/// How long an encoded state is kept for the next who joins, in milliseconds.
pub const STATE_CACHE_MS: u64 = 30_000;

/// How long an update waits for others that are missing, in milliseconds: a week, in which whoever has them may come
/// back from the field.
pub const HELD_EXPIRY_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A number that the caller gives to a request so as to know the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What happens to a map.
#[derive(Debug)]
pub enum Input {
    /// A connection joins; it hears nothing of the document before its first [`ToRoom::SyncStep1`].
    Join {
        /// Its number.
        session: SessionId,
        /// Who it is, for the log.
        origin: Arc<Origin>,
        /// What it may do.
        access: Access,
    },
    /// What a connection may do has changed, and perhaps who it is for the log. What it said before stays as it was judged.
    Permit {
        /// Its number.
        session: SessionId,
        /// Who it is.
        origin: Arc<Origin>,
        /// What it may do.
        access: Access,
    },
    /// A connection is gone.
    Leave(SessionId),
    /// A connection says something.
    Heard(SessionId, ToRoom),
    /// A connection dropped its backlog and can be told the difference now.
    WantsDifference(SessionId),
    /// These connections have been handed everything told so far.
    CaughtUp(Vec<SessionId>),
    /// An update that comes with a request; answered in [`Effects::replies`].
    Submit {
        /// For the answer.
        ticket: Ticket,
        /// The update.
        update: Scanned,
        /// Who sent it, for the log.
        origin: Arc<Origin>,
        /// What its sender may do.
        access: Access,
    },
    /// An owner decides about an edit in quarantine; answered in [`Effects::replies`].
    Decide {
        /// For the answer.
        ticket: Ticket,
        /// Which: the place of its record.
        seq: Seq,
        /// What becomes of it.
        decision: Decision,
        /// The owner, for the log.
        origin: Arc<Origin>,
    },
    /// The server itself edits; answered in [`Effects::replies`]. Connections hear of it once it is durable.
    Author {
        /// For the answer.
        ticket: Ticket,
        /// What to write.
        writing: Writing,
        /// For whom, for the log.
        origin: Arc<Origin>,
    },
    /// Records of other stores; answered in [`Effects::replies`] once all of them are held durably.
    Relay {
        /// For the answer.
        ticket: Ticket,
        /// The records, in the order of the log that they were read from.
        records: Vec<Foreign>,
        /// What the map's log holds durably by now. Its own records are in it: they may come back by another way.
        durable: Known,
    },
    /// The map comes to exist, empty; answered in [`Effects::replies`], with [`Refused::Exists`] where it does.
    Create {
        /// For the answer.
        ticket: Ticket,
        /// Who wants it, for the log.
        origin: Arc<Origin>,
    },
    /// Somebody waits until all that is there now is durable; answered in [`Effects::replies`].
    Settle {
        /// For the answer.
        ticket: Ticket,
    },
    /// A connection wants to hear of who comes and goes, and messages to its person.
    HearNotices(SessionId),
    /// A connection was told the whole state before the document was loaded.
    Synced(SessionId),
    /// The oldest `records` of those appended and not yet durable are durable, the last of them at `last`.
    Durable {
        /// How many.
        records: u64,
        /// Place of the last in the log.
        last: Seq,
    },
    /// Time has passed.
    Tick,
}

/// Edits to make in one transaction of the document.
pub struct Writing(pub Box<dyn FnOnce(&mut yrs::TransactionMut<'_>) + Send>);

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writing")
    }
}

/// Settings of a room.
#[derive(Debug, Clone, Copy)]
pub struct CoreOptions {
    /// Presence not renewed for so long is taken out, in milliseconds.
    pub presence_expiry_ms: u64,
    /// Updates that have waited for so long for others are given up, in milliseconds.
    pub held_expiry_ms: u64,
    /// Bounds of what waits for an owner to decide about it.
    pub quarantine: QuarantineLimits,
    /// What the clock of the map's inputs shows at 0, in milliseconds since 1970.
    pub unix_ms_at_zero: u64,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            presence_expiry_ms: 30_000,
            held_expiry_ms: HELD_EXPIRY_MS,
            quarantine: QuarantineLimits::default(),
            unix_ms_at_zero: 0,
        }
    }
}

/// A live map.
pub struct Core {
    name: MapName,
    replica: Replica,
    cache: StateCache,
    cache_used_ms: Option<u64>,
    presence: Presence,
    presence_told_ms: Option<u64>,
    people: People,
    sessions: HashMap<SessionId, Session>,
    /// Connections that wait for an answer, the first to come first.
    asking: VecDeque<SessionId>,
    /// Updates of commenters that cannot be judged yet.
    early: BTreeMap<SessionId, EarlyComments>,
    /// Updates taken in during this turn, for one common message.
    turn: Vec<(Option<SessionId>, Scanned)>,
    /// The server's own updates that connections have not heard of, with their places in the log.
    authored: VecDeque<(Seq, Scanned)>,
    /// What the log holds of all logs: the durable part as of the last [`Input::Relay`], and what this room has put on
    /// its way there.
    known: Known,
    log: LogPosition,
    waiting: VecDeque<Waiting>,
    /// The whole state as last told; one buffer for all who join.
    whole: Option<Outgoing>,
    difference: Option<Difference>,
    update_bytes: u64,
    options: CoreOptions,
}

struct Session {
    origin: Arc<Origin>,
    access: Access,
    hears: Hears,
    synced: bool,
    /// A state that the connection has for certain.
    base: Arc<StateVector>,
    /// While it is in the line of those who wait for an answer.
    asks: Option<Asks>,
}

/// How far the log of this map has come.
#[derive(Debug, Clone, Copy)]
struct LogPosition {
    appended: Seq,
    durable: Seq,
    /// The first record of a new map says that it exists.
    exists: bool,
    records_since_snapshot: u64,
    bytes_since_snapshot: u64,
}

struct Waiting {
    until: Seq,
    who: Waiter,
}

enum Waiter {
    Session(SessionId, u64),
    Ticket(Ticket),
    /// A session whose update is kept beside the map, and so refused.
    KeptOf(SessionId, u64),
    /// A request of which the same is true.
    Kept(Ticket),
}

impl Waiter {
    fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(session, _) | Self::KeptOf(session, _) => Some(*session),
            Self::Ticket(_) | Self::Kept(_) => None,
        }
    }

    /// The same, whose update is kept beside the map.
    fn kept(self) -> Self {
        match self {
            Self::Session(session, number) => Self::KeptOf(session, number),
            Self::Ticket(ticket) => Self::Kept(ticket),
            kept => kept,
        }
    }
}

/// How a room begins.
pub struct Start {
    /// What the map is called.
    pub name: MapName,
    /// The document as loaded.
    pub replica: Replica,
    /// Its encoded state, if at hand.
    pub cache: StateCache,
    /// Last record of its log.
    pub head: Seq,
    /// Whether the log has a first record.
    pub exists: bool,
    /// Records and bytes that follow the newest snapshot.
    pub tail: (u64, u64),
    /// Bytes of state and records that were loaded.
    pub update_bytes: u64,
}

impl Core {
    /// A map as loaded, with nobody in it.
    pub fn new(start: Start, options: CoreOptions) -> Self {
        let Start {
            name,
            replica,
            cache,
            head,
            exists,
            tail,
            update_bytes,
        } = start;
        let (records_since_snapshot, bytes_since_snapshot) = tail;
        let log = LogPosition {
            appended: head,
            durable: head,
            exists,
            records_since_snapshot,
            bytes_since_snapshot,
        };
        Self {
            name,
            replica,
            cache,
            cache_used_ms: None,
            presence: Presence::default(),
            presence_told_ms: None,
            people: People::default(),
            sessions: HashMap::new(),
            asking: VecDeque::new(),
            early: BTreeMap::new(),
            turn: Vec::new(),
            authored: VecDeque::new(),
            known: Known::default(),
            log,
            waiting: VecDeque::new(),
            whole: None,
            difference: None,
            update_bytes,
            options,
        }
    }

    /// Takes in one input.
    pub fn handle(&mut self, now_ms: u64, input: Input, fx: &mut Effects) {
        match input {
            Input::Join {
                session,
                origin,
                access,
            } => self.join(session, origin, access, fx),
            Input::Permit {
                session,
                origin,
                access,
            } => self.permit(session, origin, access),
            Input::Leave(session) => self.leave(now_ms, session),
            Input::Heard(session, said) => self.heard(now_ms, session, said, fx),
            Input::WantsDifference(session) => self.resync(session),
            Input::CaughtUp(sessions) => self.caught_up(&sessions),
            Input::Submit {
                ticket,
                update,
                origin,
                access,
            } => {
                let who = Waiter::Ticket(ticket);
                let sent = Sent {
                    who,
                    update,
                    origin,
                    access,
                };
                self.sent(now_ms, sent, fx);
            }
            Input::Decide {
                ticket,
                seq,
                decision,
                origin,
            } => self.decide(ticket, seq, decision, &origin, fx),
            Input::Author {
                ticket,
                writing,
                origin,
            } => self.author(ticket, writing, &origin, fx),
            Input::Relay {
                ticket,
                records,
                durable,
            } => {
                self.known.join(&durable);
                self.relay(now_ms, ticket, records, fx);
            }
            Input::Create { ticket, origin } => self.create(ticket, &origin, fx),
            Input::Settle { ticket } => self.wait(Waiter::Ticket(ticket), fx),
            Input::HearNotices(session) => self.hear_notices(session, true, fx),
            Input::Synced(session) => self.synced(session),
            Input::Durable { records, last } => self.durable(records, last, fx),
            Input::Tick => self.tick(now_ms, fx),
        }
    }

    /// Ends a turn: answers one of those who wait for what they lack, and tells everyone what the turn brought.
    pub fn end_turn(&mut self, now_ms: u64, fx: &mut Effects) {
        self.retry_early(now_ms, fx);
        self.answer_first(fx);
        self.tell_updates(fx);
        self.tell_presence(now_ms, fx);
        self.tell_people(now_ms, fx);
    }

    fn join(&mut self, session: SessionId, origin: Arc<Origin>, access: Access, fx: &mut Effects) {
        let base = Arc::default();
        let hears = Hears::over(origin.protocol);
        self.sessions.insert(
            session,
            Session {
                origin,
                access,
                hears,
                synced: false,
                base,
                asks: None,
            },
        );
        self.presence.join(session);
        self.ask(session, fx);
        if access.reads() {
            self.send_everyone(session, fx);
        }
    }

    fn permit(&mut self, session: SessionId, origin: Arc<Origin>, access: Access) {
        if let Some(session) = self.sessions.get_mut(&session) {
            (session.origin, session.access) = (origin, access);
        }
    }

    fn leave(&mut self, now_ms: u64, session: SessionId) {
        self.sessions.remove(&session);
        self.early.remove(&session);
        self.presence.leave(session, now_ms);
    }

    fn heard(&mut self, now_ms: u64, session: SessionId, said: ToRoom, fx: &mut Effects) {
        let Some(access) = self.sessions.get(&session).map(|session| session.access) else {
            return;
        };
        match said {
            ToRoom::SyncStep1(_) if !access.reads() => tell_nothing(session, fx),
            ToRoom::Awareness(_) | ToRoom::QueryAwareness | ToRoom::Stateless(_)
                if !access.reads() => {}
            ToRoom::SyncStep1(have) => self.sync(now_ms, session, &have, fx),
            ToRoom::Update { number, update, .. } => {
                self.update_of(now_ms, session, number, update, fx);
            }
            ToRoom::Awareness(update) => self.presence.receive(session, &update, now_ms),
            ToRoom::QueryAwareness => self.send_everyone(session, fx),
            ToRoom::AskBack => self.ask(session, fx),
            ToRoom::Stateless(payload) => self.stateless(session, payload, fx),
        }
    }

    /// An edit that only the log could bring back after a crash is told to nobody before it is in there. Who
    /// joins meanwhile may see it early, as part of the whole state.
    fn author(&mut self, ticket: Ticket, writing: Writing, origin: &Arc<Origin>, fx: &mut Effects) {
        match self.replica.write(&origin.user, writing.0) {
            Ok(written) => {
                if let Some(Written { written, released }) = written {
                    self.append(Kind::Update, written.bytes().clone(), origin, fx);
                    self.forget_answers();
                    for update in std::iter::once(written).chain(released) {
                        self.cache.push(&update);
                        self.authored.push_back((self.log.appended, update));
                    }
                }
                self.wait(Waiter::Ticket(ticket), fx);
            }
            Err(refused) => {
                if let Refused::Broken { why } = &refused {
                    fx.broken = Some(why.clone());
                }
                fx.replies.push((ticket, Err(refused)));
            }
        }
    }

    /// Of several who want to make the map only the first has made it.
    fn create(&mut self, ticket: Ticket, origin: &Arc<Origin>, fx: &mut Effects) {
        if self.log.exists {
            fx.replies.push((ticket, Err(Refused::Exists)));
        } else {
            self.ensure_exists(origin, fx);
            self.wait(Waiter::Ticket(ticket), fx);
        }
    }

    /// Applies an update and queues its record; tells whether something it builds on is missing.
    fn take_in(
        &mut self,
        update: Scanned,
        from: Option<SessionId>,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) -> Result<bool, Refused> {
        let raw = update.bytes().clone();
        let source = from.map_or(u64::MAX, |s| s.0);
        match self.replica.receive_of(update, source, &origin.user)? {
            Outcome::Nothing => Ok(false),
            Outcome::Applied { brought, released } => {
                self.append(Kind::Update, brought.bytes().clone(), origin, fx);
                self.took_in(from, brought, released);
                Ok(false)
            }
            Outcome::Held { went_in, .. } => {
                // The record has all of it, as it came; peers hear only what has its base.
                self.append(Kind::Gapped, raw, origin, fx);
                let mut went_in = went_in.into_iter();
                if let Some(first) = went_in.next() {
                    self.took_in(from, first, went_in.collect());
                }
                Ok(true)
            }
        }
    }

    /// Notes what is new in the document, for this turn's message and those who join: what `from` brought, and
    /// what had waited for it, which is news to everyone.
    fn took_in(&mut self, from: Option<SessionId>, brought: Scanned, released: Vec<Scanned>) {
        self.forget_answers();
        let others = released.into_iter().map(|update| (None, update));
        for (from, update) in std::iter::once((from, brought)).chain(others) {
            self.cache.push(&update);
            self.turn.push((from, update));
        }
    }

    /// The first record of a map's log says that the map exists.
    fn ensure_exists(&mut self, origin: &Arc<Origin>, fx: &mut Effects) {
        if !self.log.exists {
            self.log.exists = true;
            // That the map is made is no record of the store that an update came from.
            let origin = &match origin.relayed {
                None => origin.clone(),
                Some(_) => Arc::new(Origin {
                    relayed: None,
                    ..Origin::clone(origin)
                }),
            };
            self.append(
                Kind::Created {
                    name: self.name.clone(),
                },
                Bytes::new(),
                origin,
                fx,
            );
        }
    }

    fn append(&mut self, kind: Kind, payload: Bytes, origin: &Arc<Origin>, fx: &mut Effects) {
        self.ensure_exists(origin, fx);
        self.log.appended = self.log.appended.next();
        self.log.records_since_snapshot += 1;
        self.log.bytes_since_snapshot += payload.len() as u64;
        self.update_bytes += payload.len() as u64;
        fx.append.push(NewRecord {
            kind,
            origin: origin.clone(),
            payload,
        });
    }

    /// Whether the log has a first record, durable or on its way.
    pub fn exists(&self) -> bool {
        self.log.exists
    }

    fn wait(&mut self, who: Waiter, fx: &mut Effects) {
        let until = self.log.appended;
        if self.waiting.is_empty() && until <= self.log.durable {
            tell(who, until, fx);
        } else {
            self.waiting.push_back(Waiting { until, who });
        }
    }

    fn durable(&mut self, records: u64, last: Seq, fx: &mut Effects) {
        self.log.durable = Seq(self.log.durable.0 + records);
        if self.log.durable != last || last > self.log.appended {
            let LogPosition {
                durable, appended, ..
            } = self.log;
            fx.broken = Some(format!(
                "the log is at {last}, the room counted {durable} of {appended}"
            ));
            return;
        }
        let durable = self.log.durable;
        while let Some((_, update)) = self.authored.pop_front_if(|(seq, _)| *seq <= durable) {
            self.turn.push((None, update));
        }
        self.tell_updates(fx);
        while let Some(first) = self.waiting.front() {
            if first.until > self.log.durable {
                break;
            }
            if let Some(Waiting { until, who }) = self.waiting.pop_front()
                && self.is_there(&who)
            {
                tell(who, until, fx);
            }
        }
    }

    /// Whether somebody who waits can still be told: a connection may have ended meanwhile.
    fn is_there(&self, who: &Waiter) -> bool {
        match who {
            Waiter::Session(session, _) | Waiter::KeptOf(session, _) => {
                self.sessions.contains_key(session)
            }
            Waiter::Ticket(_) | Waiter::Kept(_) => true,
        }
    }

    fn tick(&mut self, now_ms: u64, fx: &mut Effects) {
        self.give_up_held(now_ms, fx);
        self.presence
            .expire(now_ms, self.options.presence_expiry_ms);
        self.people.pass(now_ms);
        let used_ms = *self.cache_used_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(used_ms) >= STATE_CACHE_MS {
            self.cache.clear();
            self.forget_answers();
        }
    }

    /// What waited too long is out of the document for good, and the log says so: whoever replays it must do the same.
    /// Its own record stays.
    fn give_up_held(&mut self, now_ms: u64, fx: &mut Effects) {
        let unix_ms = self.options.unix_ms_at_zero.saturating_add(now_ms);
        let expired = self
            .replica
            .expire_held(unix_ms, self.options.held_expiry_ms);
        if expired.is_empty() {
            return;
        }
        let ids: Vec<u8> = expired.iter().flat_map(|expired| expired.id).collect();
        let origin = Arc::new(Origin {
            protocol: Protocol::Server,
            ..Origin::default()
        });
        self.append(Kind::Expired, ids.into(), &origin, fx);
        fx.expired += expired.len() as u64;
        let told = expired.iter().filter_map(|expired| {
            let session = SessionId(expired.source);
            let there = self.sessions.contains_key(&session);
            Some((session, expired.number.filter(|_| there)?, Refusal::Expired))
        });
        fx.refused.extend(told);
    }

    /// Whether nobody is in the map and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.log.durable == self.log.appended && self.waiting.is_empty()
    }

    /// Whether a connection is meant by a broadcast: one that may not read hears none.
    pub fn hears(&self, session: SessionId, audience: Audience) -> bool {
        let session = self.sessions.get(&session).filter(|s| s.access.reads());
        session.is_some_and(|s| match audience {
            Audience::All => true,
            Audience::Synced => s.synced,
            Audience::Notices => s.hears == Hears::Everything,
        })
    }

    /// Whether a connection has had its first answer and hears updates.
    pub fn is_synced(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|s| s.synced)
    }

    /// Last record queued, and last one that is durable.
    pub fn positions(&self) -> (Seq, Seq) {
        (self.log.appended, self.log.durable)
    }

    /// Records and bytes queued since the newest snapshot.
    pub fn since_snapshot(&self) -> (u64, u64) {
        (
            self.log.records_since_snapshot,
            self.log.bytes_since_snapshot,
        )
    }

    /// Starts the count of [`Core::since_snapshot`] anew: a snapshot of this moment is being written.
    pub fn snapshot_taken(&mut self) {
        (
            self.log.records_since_snapshot,
            self.log.bytes_since_snapshot,
        ) = (0, 0);
    }

    /// The document and what waits for it.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Clients whose presence is shown.
    pub fn present(&self) -> usize {
        self.presence.present()
    }

    /// Who shows presence.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// Connections in the map.
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Bytes of all updates that went into the document, about what its whole history weighs.
    pub fn update_bytes(&self) -> u64 {
        self.update_bytes
    }

    /// Bytes kept for those who join, beside the document.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }
}

fn tell(who: Waiter, at: Seq, fx: &mut Effects) {
    match who {
        Waiter::Session(session, number) => fx.settled.push((session, number)),
        Waiter::Ticket(ticket) => fx.replies.push((ticket, Ok(at))),
        Waiter::KeptOf(session, number) => fx.refused.push((session, number, Refusal::Kept)),
        Waiter::Kept(ticket) => fx.replies.push((ticket, Err(Refused::Kept))),
    }
}

#[cfg(test)]
mod tests;
