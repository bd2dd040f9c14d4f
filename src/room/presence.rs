//! Who is here: the newest awareness state of every client, owned by the session that brought it.
//!
//! Follows the y-protocols awareness rules (an entry is newer if its clock is greater, or equal with the
//! state taken away) and mends what they leave open: nobody can remove or age somebody else's state, a client
//! that comes back with an old clock is seen at once, and states that nobody renews expire.
//! Pure: time comes in as milliseconds since the process began. Start at [`Presence`].

mod shares;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapweave_proto::limits::VAR_UINT_MAX;
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId, SessionId};

use shares::Shares;
pub use shares::{
    PRESENCE_BYTES_MAX, PRESENCE_BYTES_PER_SESSION_MAX, PRESENCE_CLIENTS_PER_SESSION_MAX,
};

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
    /// JSON text; `None` once gone.
    state: Option<Bytes>,
    owner: Option<SessionId>,
    /// Whether anybody was told that it is here, and not yet that it is gone.
    told: bool,
    renewed_ms: u64,
    /// Once gone: the session that had joined last by then. Sessions up to it may still echo the old state.
    gone_at: Option<SessionId>,
}

impl Presence {
    /// A session has joined; its id is greater than those before. To be called before it says or is told anything.
    pub fn join(&mut self, session: SessionId) {
        self.newest = self.newest.max(Some(session));
    }

    /// Takes in what `session` says. Entries that are stale, forged or no JSON are passed over.
    pub fn receive(&mut self, session: SessionId, update: &AwarenessUpdate, now_ms: u64) {
        for entry in &update.entries {
            self.receive_entry(session, entry, now_ms);
        }
    }

    fn receive_entry(&mut self, session: SessionId, entry: &AwarenessEntry, now_ms: u64) {
        match self.clients.get(&entry.client) {
            None => self.appear(session, entry, now_ms),
            Some(_) if entry.is_gone() => self.say_goodbye(session, entry, now_ms),
            Some(_) => self.show(session, entry, now_ms),
        }
        while self.shares.bytes() > PRESENCE_BYTES_MAX {
            let Some(heaviest) = self.shares.heaviest() else {
                return;
            };
            self.give_way(heaviest, now_ms);
        }
    }

    /// A client of which nothing is known.
    fn appear(&mut self, session: SessionId, entry: &AwarenessEntry, now_ms: u64) {
        let bytes = entry.state.len();
        let fits = self.shares.has_room(session, None, bytes);
        if entry.is_gone() || !fits || !is_json(&entry.state) || !self.make_room(session, now_ms) {
            return;
        }
        self.shares.give(session, bytes);
        let client = Client::new(entry, session, now_ms);
        self.clients.insert(entry.client, client);
        self.changed.insert(entry.client);
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

    fn say_goodbye(&mut self, session: SessionId, entry: &AwarenessEntry, now_ms: u64) {
        let Some(known) = self.clients.get_mut(&entry.client) else {
            return;
        };
        let by_owner = known.owner == Some(session);
        if !by_owner || known.state.is_none() || entry.clock < known.clock {
            return;
        }
        known.clock = entry.clock;
        self.take_out(entry.client, now_ms);
    }

    fn show(&mut self, session: SessionId, entry: &AwarenessEntry, now_ms: u64) {
        let Some(known) = self.clients.get_mut(&entry.client) else {
            return;
        };
        let owned = known.owner == Some(session);
        let mut clock = entry.clock;
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
        let bytes = entry.state.len();
        let fits = (self.shares).has_room(session, owned.then(|| known.bytes()), bytes);
        if clock <= known.clock || leaps || !fits || !is_json(&entry.state) {
            return;
        }
        if let Some(owner) = known.owner {
            self.shares.take(owner, known.bytes());
        }
        self.shares.give(session, bytes);
        known.state = Some(entry.state.clone());
        known.owner = Some(session);
        known.clock = clock;
        known.renewed_ms = now_ms;
        self.changed.insert(entry.client);
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
        for id in changed {
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            let bytes = client.bytes() + ENTRY_OVERHEAD_BYTES;
            // That somebody is gone costs nothing: it was paid for with being there.
            let charged = |session| self.shares.charge(session, bytes, now_ms);
            match client.owner.map_or(Ok(()), charged) {
                Ok(()) => {
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

    /// How often since the last call somebody who showed most was taken out, because it was too much.
    pub fn take_gave_way(&mut self) -> u64 {
        std::mem::take(&mut self.gave_way)
    }

    /// Everyone who is here, for a session that asks, in messages of a fair size.
    pub fn everyone(&mut self) -> Vec<AwarenessUpdate> {
        let here = self.clients.iter_mut().filter(|(_, c)| c.state.is_some());
        in_pieces(here.map(|(id, client)| {
            client.told = true;
            client.entry(*id)
        }))
    }

    /// Everyone who is here or has left lately, for a session that may have missed both; `None` if nobody is known.
    pub fn everyone_and_gone(&mut self) -> Vec<AwarenessUpdate> {
        in_pieces(self.clients.iter_mut().map(|(id, client)| {
            client.told |= client.state.is_some();
            client.entry(*id)
        }))
    }

    /// The first client that a session speaks for.
    pub fn first_of(&self, session: SessionId) -> Option<ClientId> {
        let mut own = self.clients.iter();
        let own = own.find(|(_, client)| client.owner == Some(session));
        own.map(|(id, _)| *id)
    }

    /// The session that speaks for `client`, if that one is shown.
    pub fn speaker(&self, client: ClientId) -> Option<SessionId> {
        let client = self.clients.get(&client)?;
        client.owner.filter(|_| client.state.is_some())
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
    fn new(entry: &AwarenessEntry, owner: SessionId, now_ms: u64) -> Self {
        Self {
            clock: entry.clock,
            state: Some(entry.state.clone()),
            owner: Some(owner),
            told: false,
            renewed_ms: now_ms,
            gone_at: None,
        }
    }

    fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, Bytes::len)
    }

    fn entry(&self, client: ClientId) -> AwarenessEntry {
        let state = self
            .state
            .clone()
            .unwrap_or_else(|| Bytes::from_static(GONE));
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

/// JavaScript clients parse states without a guard: one that is no JSON would break them all.
fn is_json(state: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(state).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ME: SessionId = SessionId(1);
    const OTHER: SessionId = SessionId(2);

    fn says(client: u64, clock: u64, state: &'static str) -> AwarenessUpdate {
        let entry = AwarenessEntry {
            client: ClientId(client),
            clock,
            state: Bytes::from_static(state.as_bytes()),
        };
        AwarenessUpdate {
            entries: vec![entry],
        }
    }

    fn told(p: &mut Presence) -> Vec<(u64, u64, String)> {
        let changes: Vec<_> = p
            .take_changes(0)
            .into_iter()
            .flat_map(|u| u.entries)
            .collect();
        changes
            .iter()
            .map(|e| {
                (
                    e.client.0,
                    e.clock,
                    String::from_utf8_lossy(&e.state).into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn a_newer_state_is_told_once_and_a_stale_one_never() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 1, "{}"), 0);
        p.receive(ME, &says(7, 2, r#"{"a":1}"#), 0);
        assert_eq!(told(&mut p), [(7, 2, r#"{"a":1}"#.into())]);
        p.receive(OTHER, &says(7, 2, "{}"), 0);
        p.receive(ME, &says(7, 1, "{}"), 0);
        assert_eq!(told(&mut p), []);
    }

    #[test]
    fn nobody_removes_somebody_else() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 1, "{}"), 0);
        p.receive(OTHER, &says(7, 1, "null"), 0);
        p.receive(OTHER, &says(7, 99, "null"), 0);
        assert_eq!(told(&mut p), [(7, 1, "{}".into())]);
        p.leave(OTHER, 0);
        assert_eq!(p.present(), 1);
        p.receive(ME, &says(7, 1, "null"), 0);
        assert_eq!(told(&mut p), [(7, 1, "null".into())]);
    }

    #[test]
    fn a_client_that_comes_back_with_its_old_clock_is_seen_at_once() {
        let mut p = Presence::default();
        p.join(ME);
        p.receive(ME, &says(7, 5, "{}"), 0);
        assert_eq!(told(&mut p).len(), 1);
        p.leave(ME, 1);
        assert_eq!(told(&mut p), [(7, 5, "null".into())]);
        p.join(OTHER);
        p.receive(OTHER, &says(7, 5, "{}"), 2);
        assert_eq!(told(&mut p), [(7, 6, "{}".into())]);
    }

    #[test]
    fn a_late_echo_does_not_bring_back_a_client_that_left() {
        let mut p = Presence::default();
        p.join(ME);
        p.join(OTHER);
        p.receive(ME, &says(7, 5, "{}"), 0);
        assert_eq!(told(&mut p).len(), 1);
        p.receive(ME, &says(7, 5, "null"), 1);
        p.receive(OTHER, &says(7, 5, "{}"), 2);
        assert_eq!(
            (p.present(), told(&mut p)),
            (0, vec![(7, 5, "null".into())])
        );
        p.receive(ME, &says(7, 6, "{}"), 3);
        p.leave(ME, 4);
        p.receive(OTHER, &says(7, 6, "{}"), 5);
        assert_eq!(p.present(), 0);
    }

    #[test]
    fn a_late_close_of_the_old_socket_does_not_remove_the_new_one() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 5, "{}"), 0);
        p.receive(OTHER, &says(7, 6, "{}"), 1);
        p.leave(ME, 2);
        assert_eq!(p.present(), 1);
    }

    #[test]
    fn silence_takes_a_client_out_and_its_clock_is_forgotten_later() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 5, "{}"), 0);
        p.expire(29_999, 30_000);
        assert_eq!((p.present(), told(&mut p).len()), (1, 1));
        p.expire(30_000, 30_000);
        assert_eq!((p.present(), told(&mut p).len()), (0, 1));
        p.expire(30_000 + PRESENCE_MEMORY_MS, 30_000);
        assert!(p.is_empty());
    }

    #[test]
    fn who_missed_a_departure_can_be_told() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 5, "{}"), 0);
        p.receive(OTHER, &says(8, 1, "{}"), 0);
        p.leave(ME, 1);
        let clients = |updates: Vec<AwarenessUpdate>| -> Vec<(u64, bool)> {
            let entries = updates.iter().flat_map(|u| &u.entries);
            entries.map(|e| (e.client.0, e.is_gone())).collect()
        };
        assert_eq!(clients(p.everyone()), [(8, false)]);
        assert_eq!(clients(p.everyone_and_gone()), [(7, true), (8, false)]);
    }

    #[test]
    fn a_session_shows_so_many_bytes_and_no_more_until_it_takes_some_away() {
        let mut p = Presence::default();
        let mut show = |client, clock, state: String| {
            let state = Bytes::from(state);
            let (client, entries) = (ClientId(client), Vec::new());
            let mut update = AwarenessUpdate { entries };
            update.entries.push(AwarenessEntry {
                client,
                clock,
                state,
            });
            p.receive(ME, &update, 0);
            p.present()
        };
        let large = || format!("\"{}\"", "x".repeat(60 << 10));
        let many = (0..100).map(|client| show(client, 1, large())).last();
        assert_eq!(many, Some(17));
        assert_eq!(show(3, 2, "null".to_owned()), 16);
        assert_eq!(show(100, 1, large()), 17);
        assert_eq!(show(100, 2, large()), 17);
        let client = &p.clients[&ClientId(100)];
        assert_eq!(client.clock, 2);
        p.leave(ME, 1);
        assert_eq!(p.shares.clients(), 0);
    }

    #[test]
    fn clients_that_left_do_not_keep_others_out() {
        let mut p = Presence::default();
        for client in 0..PRESENCE_CLIENTS_MAX as u64 {
            p.receive(ME, &says(client, 1, "{}"), 0);
            p.receive(ME, &says(client, 1, "null"), 0);
        }
        told(&mut p);
        p.receive(OTHER, &says(1 << 40, 1, "{}"), 1);
        assert_eq!(p.present(), 1);
    }

    /// What `session` shows: these clients, each with so many bytes.
    fn shows(
        p: &mut Presence,
        session: u64,
        clients: std::ops::Range<u64>,
        clock: u64,
        bytes: usize,
    ) {
        let state = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
        for client in clients {
            let entry = AwarenessEntry {
                client: ClientId(client),
                clock,
                state: state.clone(),
            };
            let entries = vec![entry];
            p.receive(SessionId(session), &AwarenessUpdate { entries }, 0);
        }
    }

    #[test]
    fn who_shows_too_much_too_fast_is_told_of_later_and_with_its_newest_state_alone() {
        let mut p = Presence::default();
        let mut bytes = 0;
        for clock in 1..=100 {
            shows(&mut p, 1, 0..16, clock, 60 << 10);
            let told = p.take_changes(clock);
            bytes += told.iter().map(|piece| piece.encode().len()).sum::<usize>();
        }
        assert!(
            bytes < 2 * PRESENCE_BYTES_PER_SESSION_MAX,
            "{bytes} bytes in 100 ms"
        );
        // Others do not wait for it.
        p.receive(OTHER, &says(99, 1, "{}"), 100);
        assert_eq!(p.due_ms(), Some(0));
        let told = p.take_changes(101);
        assert!(
            told.iter()
                .flat_map(|u| &u.entries)
                .any(|e| e.client.0 == 99)
        );
        // In the end everybody has the newest of everyone.
        let mut newest = BTreeMap::new();
        while let Some(due_ms) = p.due_ms() {
            let told = p.take_changes(due_ms);
            newest.extend(
                told.iter()
                    .flat_map(|u| &u.entries)
                    .map(|e| (e.client, e.clock)),
            );
        }
        assert!((0..16).all(|client| p.clients[&ClientId(client)].told));
        assert!(newest.values().all(|clock| *clock == 100) && !newest.is_empty());
    }

    #[test]
    fn whoever_goes_before_anybody_was_told_of_it_is_not_told_of_at_all() {
        let mut p = Presence::default();
        shows(&mut p, 1, 0..200, 1, 5 << 10);
        while !p.take_changes(0).is_empty() {}
        shows(&mut p, 1, 0..200, 2, 5 << 10);
        while !p.take_changes(0).is_empty() {}
        p.receive(ME, &says(500, 1, r#"{"late":1}"#), 0);
        assert!(p.take_changes(0).is_empty());
        p.receive(ME, &says(500, 2, "null"), 0);
        let due_ms = p.due_ms().unwrap();
        assert!(
            p.take_changes(due_ms)
                .iter()
                .all(|u| u.entries.iter().all(|e| e.client.0 != 500))
        );
    }

    #[test]
    fn beyond_the_bound_of_a_map_whoever_shows_most_gives_way() {
        let mut p = Presence::default();
        p.receive(OTHER, &says(1, 1, "{}"), 0);
        for session in 0..20 {
            shows(
                &mut p,
                100 + session,
                1_000 * session..1_000 * session + 16,
                1,
                60 << 10,
            );
        }
        assert!(p.shares.bytes() <= PRESENCE_BYTES_MAX);
        assert!(p.take_gave_way() > 0 && p.take_gave_way() == 0);
        assert!(
            p.clients[&ClientId(1)].state.is_some(),
            "not somebody who shows little"
        );
    }

    #[test]
    fn crowds_of_one_session_make_room_for_others() {
        let mut p = Presence::default();
        for session in 0..20 {
            shows(
                &mut p,
                100 + session,
                10_000 * session..10_000 * session + 1_000,
                1,
                1,
            );
        }
        assert_eq!(p.present(), PRESENCE_CLIENTS_MAX);
        p.receive(OTHER, &says(1 << 40, 1, "{}"), 1);
        assert!(p.clients[&ClientId(1 << 40)].state.is_some());
        assert_eq!(p.present(), PRESENCE_CLIENTS_MAX - 1_000 + 1);
    }

    #[test]
    fn nobody_else_raises_a_clock_so_far_that_its_owner_is_heard_no_more() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 1, "{}"), 0);
        p.receive(OTHER, &says(7, VAR_UINT_MAX, "{}"), 0);
        p.receive(OTHER, &says(7, PRESENCE_CLOCK_STEP_MAX + 2, "{}"), 0);
        assert_eq!(p.clients[&ClientId(7)].owner, Some(ME));
        // Its own clock is its own affair; also then what is told stays a number of the wire.
        p.receive(ME, &says(7, VAR_UINT_MAX, "{}"), 0);
        p.leave(ME, 1);
        p.join(OTHER);
        p.receive(SessionId(3), &says(7, VAR_UINT_MAX, "{}"), 2);
        assert!(p.clients[&ClientId(7)].clock <= VAR_UINT_MAX);
    }

    #[test]
    fn what_is_told_of_many_comes_in_messages_that_may_be_echoed() {
        let mut p = Presence::default();
        let large = format!("\"{}\"", "x".repeat(1_000));
        let state = Bytes::from(large);
        for client in 0..300 {
            let (client, state) = (ClientId(client), state.clone());
            let entries = vec![AwarenessEntry {
                client,
                clock: 1,
                state,
            }];
            p.receive(SessionId(client.0), &AwarenessUpdate { entries }, 0);
        }
        let pieces = p.everyone();
        assert_eq!(
            pieces
                .iter()
                .map(|piece| piece.entries.len())
                .sum::<usize>(),
            300
        );
        assert!(
            pieces
                .iter()
                .all(|piece| piece.encode().len() <= PRESENCE_MESSAGE_BYTES)
        );
    }

    #[test]
    fn what_is_no_json_is_not_told_on() {
        let mut p = Presence::default();
        p.receive(ME, &says(7, 5, "{oops"), 0);
        p.receive(ME, &says(7, 6, ""), 0);
        assert_eq!(p.due_ms(), None);
    }
}
