//! A live map as a state machine: an input in, plain effects out.
//!
//! An update's way: judge → apply to the document → append to the log → broadcast → (durable) → acknowledge.
//! The caller collects the inputs of one turn, calls [`Core::handle`] for each and [`Core::end_turn`] once: what
//! several updates of a turn say goes out as one message. Knows no task, socket, clock or disk; time comes in
//! as milliseconds since the process began. Start at [`Core`].

mod effects;
mod input;
mod judging;
mod notices;
mod recording;
mod relaying;
mod showing;
mod syncing;
mod telling;
mod waiting;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use mapweave_proto::{Access, MapName, Scanned, Seq, SessionId, StateVector, ToRoom};
use mapweave_storage::{Known, Origin};

use super::peer::Outgoing;
use super::people::People;
use super::presence::{Presence, Shown, Whom};
use super::replica::{QuarantineLimits, Replica, StateCache};
pub use effects::{Audience, Broadcast, Effects};
pub use input::{Input, Ticket, Writing};
pub use judging::{EARLY_COMMENT_BYTES_MAX, EARLY_COMMENT_MS, EARLY_COMMENTS_MAX};
use judging::{EarlyComments, Sent};
use notices::Hears;
pub use notices::{ForOutside, MESSAGE_BYTES_MAX, NOTICE_PREFIX, Recipient, Sender};
use recording::LogPosition;
pub use relaying::Foreign;
use showing::Walk;
use syncing::{Asks, Difference, tell_nothing};
pub use telling::PRESENCE_EVERY_MS;
use waiting::{Waiter, Waiting};

/// How long an encoded state is kept for the next who joins, in milliseconds.
pub const STATE_CACHE_MS: u64 = 30_000;

/// How long an update waits for others that are missing, in milliseconds: a week, in which whoever has them may come
/// back from the field.
pub const HELD_EXPIRY_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

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
    /// Connections that are being told who is here.
    walks: BTreeMap<SessionId, Walk>,
    walked_ms: Option<u64>,
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
            walks: BTreeMap::new(),
            walked_ms: None,
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
            Input::Shows(session, all) => self.shows(now_ms, session, all),
            Input::TakeMore(sessions) => self.show_next(now_ms, &sessions, fx),
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
            self.show_everyone(session, Whom::Here, fx);
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
        self.walks.remove(&session);
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
            ToRoom::Awareness(update) => self.shows(now_ms, session, Shown::all_of(&update)),
            ToRoom::QueryAwareness => self.show_asked(session, fx),
            ToRoom::AskBack => self.ask(session, fx),
            ToRoom::Stateless(payload) => self.stateless(session, payload, fx),
        }
    }

    /// Nobody is shown in a map that it does not see.
    fn shows(&mut self, now_ms: u64, session: SessionId, all: Vec<Shown>) {
        if self
            .sessions
            .get(&session)
            .is_some_and(|s| s.access.reads())
        {
            self.presence.receive(session, all, now_ms);
        }
    }

    /// Whether the log has a first record, durable or on its way.
    pub fn exists(&self) -> bool {
        self.log.exists
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

#[cfg(test)]
mod tests;
