//! Who is here: the newest awareness state of every client, owned by the session that brought it.
//!
//! Follows the y-protocols awareness rules (an entry is newer if its clock is greater, or equal with the
//! state taken away) and mends what they leave open: nobody can remove or age somebody else's state, a client
//! that comes back with an old clock is seen at once, and states that nobody renews expire.
//! Pure: time comes in as milliseconds since the process began. Start at [`Presence`].

mod shares;
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapweave_proto::limits::VAR_UINT_MAX;
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId, SessionId};

use shares::Shares;
pub use shares::{
    PRESENCE_BYTES_MAX, PRESENCE_BYTES_PER_S_MAX, PRESENCE_BYTES_PER_SESSION_MAX,
    PRESENCE_CLIENTS_PER_SESSION_MAX,
};
pub use shown::{Shown, State};

/// Most clients that one map shows. For one more, some of whoever speaks for most of them are not shown any more.
pub const PRESENCE_CLIENTS_MAX: usize = 20_000;

/// Most clients that one map remembers, present or recently gone, but for those whose going is about to be told. Twice as many,
/// so that forgetting, which looks at all, is as rare as thousands of new ones.
const REMEMBERED_MAX: usize = 2 * PRESENCE_CLIENTS_MAX;

/// How far somebody who does not own a client may raise its clock: a client that comes back on another socket is a few
/// steps ahead. Whoever could raise it to the last number there is would silence its owner for ever.
pub const PRESENCE_CLOCK_STEP_MAX: u64 = 1 << 20;

/// How soon those are looked at again, at least, who show more than is told on, in milliseconds.
const WAITING_MS: u64 = 100;

/// How long the clock of a client that left is remembered, in milliseconds.
pub const PRESENCE_MEMORY_MS: u64 = 10 * 60 * 1_000;

/// What is told of many people is cut into messages of about so many bytes: JavaScript clients echo what they
/// are told, and what comes back must stay within the limit of one message.
pub const PRESENCE_MESSAGE_BYTES: usize = 32 << 10;

/// As much of all who are here is told at once, in bytes: what most sockets take without waiting, so that many who come
/// together take little memory. A thousand people with name and pointer.
pub const PRESENCE_PART_BYTES: usize = 128 << 10;

/// An entry's client, clock and length on the wire, at most.
const ENTRY_OVERHEAD_BYTES: usize = 24;

const GONE: &[u8] = b"null";

/// The presence table of one map.
#[derive(Debug, Default)]
pub struct Presence {
    clients: BTreeMap<ClientId, Client>,
    changed: BTreeSet<ClientId>,
    /// Changed as well, and told once their sessions have paid for what was told before.
    waiting: BTreeSet<ClientId>,
    waiting_until_ms: u64,
    shares: Shares,
    gave_way: u64,
    /// The session that joined last; ids rise.
    newest: Option<SessionId>,
}

#[derive(Debug)]
struct Client {
    clock: u64,
    /// `None` once gone.
    state: Option<State>,
    owner: Option<SessionId>,
    /// Whether anybody was told that it is here, and not yet that it is gone.
    told: bool,
    renewed_ms: u64,
    /// Once gone: the session that had joined last by then. Sessions up to it may still echo the old state.
    gone_at: Option<SessionId>,
}

/// Of whom somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Everyone who is here.
    Here,
    /// Those who have left lately, too.
    HereAndGone,
}

impl Presence {
    /// A session has joined; its id is greater than those before. To be called before it says or is told anything.
    pub fn join(&mut self, session: SessionId) {
        self.newest = self.newest.max(Some(session));
    }

    /// Takes in what `session` shows. What is stale or forged is passed over.
    pub fn receive(&mut self, session: SessionId, all: Vec<Shown>, now_ms: u64) {
        for shown in all {
            self.receive_one(session, shown, now_ms);
        }
    }

    fn receive_one(&mut self, session: SessionId, shown: Shown, now_ms: u64) {
        let Shown {
            client: id,
            clock,
            state,
        } = shown;
        match (self.clients.contains_key(&id), state) {
            (false, Some(state)) => self.appear(session, id, clock, state, now_ms),
            (false, None) => {}
            (true, Some(state)) => self.show(session, id, clock, state, now_ms),
            (true, None) => self.say_goodbye(session, id, clock, now_ms),
        }
        while self.shares.bytes() > PRESENCE_BYTES_MAX {
            let Some(heaviest) = self.shares.heaviest() else {
                return;
            };
            self.give_way(heaviest, now_ms);
        }
    }

    /// A client of which nothing is known.
    fn appear(&mut self, session: SessionId, id: ClientId, clock: u64, state: State, now_ms: u64) {
        let bytes = state.text().len();
        if !self.shares.has_room(session, None, bytes) || !self.make_room(session, now_ms) {
            return;
        }
        self.shares.give(session, bytes);
        let client = Client {
            clock,
            state: Some(state),
            owner: Some(session),
            told: false,
            renewed_ms: now_ms,
            gone_at: None,
        };
        self.clients.insert(id, client);
        self.changed.insert(id);
    }

    /// Room for one client more; not for somebody who speaks for more than anybody else.
    fn make_room(&mut self, session: SessionId, now_ms: u64) -> bool {
        if self.clients.len() >= REMEMBERED_MAX {
            // Whatever their clocks were good for.
            self.forget_gone();
        }
        if self.shares.clients() < PRESENCE_CLIENTS_MAX {
            return true;
        }
        match self.shares.most_crowded() {
            Some((crowded, clients)) if clients > self.shares.clients_of(session) => {
                self.give_way(crowded, now_ms);
                true
            }
            _ => false,
        }
    }

    /// Whoever shows most is not shown any more, until it shows itself again.
    fn give_way(&mut self, session: SessionId, now_ms: u64) {
        self.gave_way += 1;
        self.take_out_all(|(_, client)| client.owner == Some(session), now_ms);
    }

    fn say_goodbye(&mut self, session: SessionId, id: ClientId, clock: u64, now_ms: u64) {
        let Some(known) = self.clients.get_mut(&id) else {
            return;
        };
        let by_owner = known.owner == Some(session);
        if !by_owner || known.state.is_none() || clock < known.clock {
            return;
        }
        known.clock = clock;
        self.take_out(id, now_ms);
    }

    fn show(
        &mut self,
        session: SessionId,
        id: ClientId,
        mut clock: u64,
        state: State,
        now_ms: u64,
    ) {
        let Some(known) = self.clients.get_mut(&id) else {
            return;
        };
        let owned = known.owner == Some(session);
        if known.state.is_none() && clock <= known.clock {
            // JavaScript clients echo what they are told of others. One that was there when this client went
            // may do so late, and must not bring it back.
            if Some(session) <= known.gone_at {
                return;
            }
            // A client that was taken out with its socket is back and does not know: the others would pass
            // over its old clock, so it is told on with a newer one, to itself as well.
            clock = known.clock.saturating_add(1).min(VAR_UINT_MAX);
        }
        let leaps = !owned && clock - known.clock.min(clock) > PRESENCE_CLOCK_STEP_MAX;
        let bytes = state.text().len();
        let fits = (self.shares).has_room(session, owned.then(|| known.bytes()), bytes);
        if clock <= known.clock || leaps || !fits {
            return;
        }
        if let Some(owner) = known.owner {
            self.shares.take(owner, known.bytes());
        }
        self.shares.give(session, bytes);
        known.state = Some(state);
        known.owner = Some(session);
        known.clock = clock;
        known.renewed_ms = now_ms;
        self.changed.insert(id);
    }

    /// Takes out every client that `session` spoke for.
    pub fn leave(&mut self, session: SessionId, now_ms: u64) {
        self.take_out_all(|(_, client)| client.owner == Some(session), now_ms);
        self.shares.leave(session);
    }

    fn take_out_all(&mut self, which: impl Fn(&(&ClientId, &Client)) -> bool, now_ms: u64) {
        let ids = self.clients.iter().filter(which).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            self.take_out(id, now_ms);
        }
    }

    /// A client is not there any more; whoever was told of it is told so.
    fn take_out(&mut self, id: ClientId, now_ms: u64) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if let Some(owner) = client.owner.take() {
            self.shares.take(owner, client.bytes());
        }
        client.state = None;
        client.gone_at = self.newest;
        client.renewed_ms = now_ms;
        self.waiting.remove(&id);
        if client.told {
            self.changed.insert(id);
        } else {
            self.changed.remove(&id);
        }
    }

    /// Takes out clients not renewed for `expiry_ms` and forgets those gone for long.
    pub fn expire(&mut self, now_ms: u64, expiry_ms: u64) {
        let silent = |(_, client): &(&ClientId, &Client)| {
            client.state.is_some() && now_ms.saturating_sub(client.renewed_ms) >= expiry_ms
        };
        self.take_out_all(silent, now_ms);
        self.shares.forget_paid(now_ms);
        let changed = &self.changed;
        self.clients.retain(|id, c| {
            c.state.is_some()
                || changed.contains(id)
                || now_ms.saturating_sub(c.renewed_ms) < PRESENCE_MEMORY_MS
        });
    }

    /// When [`Presence::take_changes`] has something to tell, in milliseconds; never where nothing changed.
    pub fn due_ms(&self) -> Option<u64> {
        if !self.changed.is_empty() {
            return Some(0);
        }
        (!self.waiting.is_empty()).then_some(self.waiting_until_ms)
    }

    /// The newest state of every client that changed since it was told last, each once; in messages of a fair size.
    /// What a session shows faster than its bound waits, and its newest state counts then.
    pub fn take_changes(&mut self, now_ms: u64) -> Vec<AwarenessUpdate> {
        let mut changed = std::mem::take(&mut self.changed);
        if now_ms >= self.waiting_until_ms {
            changed.append(&mut self.waiting);
            self.waiting_until_ms = u64::MAX;
        }
        let mut told = Vec::new();
        for id in self.in_turn(changed) {
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            let bytes = client.bytes() + ENTRY_OVERHEAD_BYTES;
            // That somebody is gone costs nothing: it was paid for with being there.
            let charged = |session| self.shares.charge(session, bytes, now_ms);
            match client.owner.map_or(Ok(()), charged) {
                Ok(()) => {
                    self.waiting.remove(&id);
                    client.told = client.state.is_some();
                    told.push(client.entry(id));
                }
                Err(due_ms) => {
                    let due_ms = due_ms.max(now_ms.saturating_add(WAITING_MS));
                    self.waiting_until_ms = self.waiting_until_ms.min(due_ms);
                    self.waiting.insert(id);
                }
            }
        }
        in_pieces(told.into_iter())
    }

    /// Those that were told of least recently and least come first.
    fn in_turn(&self, changed: BTreeSet<ClientId>) -> Vec<ClientId> {
        let mut changed = Vec::from_iter(changed);
        changed.sort_by_cached_key(|id| {
            let owner = self.clients.get(id).and_then(|client| client.owner);
            owner.map_or(0, |owner| self.shares.paid_micros(owner))
        });
        changed
    }

    /// How often since the last call somebody who showed most was taken out, because it was too much.
    pub fn take_gave_way(&mut self) -> u64 {
        std::mem::take(&mut self.gave_way)
    }

    /// Everybody from client `from` on, for a session that asks or may have missed some: [`PRESENCE_PART_BYTES`] of
    /// them or a single one, in messages of a fair size, and the client to go on with.
    pub fn part(&mut self, from: ClientId, whom: Whom) -> (Vec<AwarenessUpdate>, Option<ClientId>) {
        let mut part = Vec::new();
        let mut bytes = 0;
        let mut next = None;
        for (id, client) in self.clients.range_mut(from..) {
            if client.state.is_none() && whom == Whom::Here {
                continue;
            }
            bytes += client.bytes() + ENTRY_OVERHEAD_BYTES;
            if bytes > PRESENCE_PART_BYTES && !part.is_empty() {
                next = Some(*id);
                break;
            }
            client.told |= client.state.is_some();
            part.push(client.entry(*id));
        }
        (in_pieces(part.into_iter()), next)
    }

    /// The first client that a session speaks for.
    pub fn first_of(&self, session: SessionId) -> Option<ClientId> {
        let mut own = self.clients.iter();
        let own = own.find(|(_, client)| client.owner == Some(session));
        own.map(|(id, _)| *id)
    }

    /// The session that speaks for `client`, if that one is shown.
    pub fn speaker(&self, client: ClientId) -> Option<SessionId> {
        self.shown(client).map(|(owner, _)| owner)
    }

    /// What `client` shows, and the session that speaks for it; `None` if it is not here.
    pub fn shown(&self, client: ClientId) -> Option<(SessionId, &State)> {
        let client = self.clients.get(&client)?;
        Some((client.owner?, client.state.as_ref()?))
    }

    /// How many clients are here.
    pub fn present(&self) -> usize {
        self.clients.values().filter(|c| c.state.is_some()).count()
    }

    /// Whether anything is left that could expire.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn forget_gone(&mut self) {
        let changed = &self.changed;
        self.clients
            .retain(|id, client| client.state.is_some() || changed.contains(id));
    }
}

impl Client {
    fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.text().len())
    }

    fn entry(&self, client: ClientId) -> AwarenessEntry {
        let state = match &self.state {
            Some(state) => state.text().clone(),
            None => Bytes::from_static(GONE),
        };
        AwarenessEntry {
            client,
            clock: self.clock,
            state,
        }
    }
}

/// Updates that stay below [`PRESENCE_MESSAGE_BYTES`] unless a single entry is larger; none where nothing is said.
fn in_pieces(entries: impl Iterator<Item = AwarenessEntry>) -> Vec<AwarenessUpdate> {
    let mut pieces: Vec<AwarenessUpdate> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = entry.state.len() + ENTRY_OVERHEAD_BYTES;
        match pieces.last_mut() {
            Some(piece) if bytes + size <= PRESENCE_MESSAGE_BYTES => piece.entries.push(entry),
            _ => {
                bytes = 0;
                pieces.push(AwarenessUpdate {
                    entries: vec![entry],
                });
            }
        }
        bytes += size;
    }
    pieces
}

#[cfg(test)]
mod tests;
