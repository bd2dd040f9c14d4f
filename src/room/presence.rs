//! Who is here: the newest awareness state of every client, owned by the session that brought it.
//!
//! Follows the y-protocols awareness rules (an entry is newer if its clock is greater, or equal with the
//! state taken away) and mends what they leave open: nobody can remove or age somebody else's state, a client
//! that comes back with an old clock is seen at once, and states that nobody renews expire.
//! Pure: time comes in as milliseconds since the process began. Start at [`Presence`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId, SessionId};

/// Most clients that one map remembers, present or recently gone. A client beyond it is not shown.
pub const PRESENCE_CLIENTS_MAX: usize = 20_000;

/// Most clients that one session may speak for: a browser has one, a relay or a test bench some.
pub const PRESENCE_CLIENTS_PER_SESSION_MAX: usize = 1_000;

/// Most bytes of states that one session may show, 64 KiB for each of sixteen: everybody who joins is sent all.
pub const PRESENCE_BYTES_PER_SESSION_MAX: usize = 1 << 20;

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
    shares: Shares,
    /// The session that joined last; ids rise.
    newest: Option<SessionId>,
}

#[derive(Debug)]
struct Client {
    clock: u64,
    /// JSON text; `None` once gone.
    state: Option<Bytes>,
    owner: Option<SessionId>,
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
        let gone = entry.state.as_ref() == GONE;
        let is_known = self.clients.contains_key(&entry.client);
        if !is_known && self.clients.len() >= PRESENCE_CLIENTS_MAX {
            self.forget_gone();
        }
        let full = self.clients.len() >= PRESENCE_CLIENTS_MAX;
        let Some(known) = self.clients.get_mut(&entry.client) else {
            let fits = !full && self.shares.has_room(session, None, &entry.state);
            if !gone && fits && is_json(&entry.state) {
                self.shares.give(session, &entry.state);
                self.clients
                    .insert(entry.client, Client::new(entry, session, now_ms));
                self.changed.insert(entry.client);
            }
            return;
        };
        let mut clock = entry.clock;
        if gone {
            let by_owner = known.owner == Some(session);
            if !by_owner || known.state.is_none() || clock < known.clock {
                return;
            }
            self.shares.take(known);
            known.state = None;
            known.owner = None;
            known.gone_at = self.newest;
        } else {
            if known.state.is_none() && clock <= known.clock {
                // JavaScript clients echo what they are told of others. One that was there when this client went
                // may do so late, and must not bring it back.
                if Some(session) <= known.gone_at {
                    return;
                }
                // A client that was taken out with its socket is back and does not know: the others would pass
                // over its old clock, so it is told on with a newer one, to itself as well.
                clock = known.clock.saturating_add(1);
            }
            let fits = self.shares.has_room(session, Some(known), &entry.state);
            if clock <= known.clock || !fits || !is_json(&entry.state) {
                return;
            }
            self.shares.take(known);
            self.shares.give(session, &entry.state);
            known.state = Some(entry.state.clone());
            known.owner = Some(session);
        }
        known.clock = clock;
        known.renewed_ms = now_ms;
        self.changed.insert(entry.client);
    }

    /// Takes out every client that `session` spoke for.
    pub fn leave(&mut self, session: SessionId, now_ms: u64) {
        for (id, client) in &mut self.clients {
            if client.owner == Some(session) {
                self.shares.take(client);
                client.take_out(self.newest, now_ms);
                self.changed.insert(*id);
            }
        }
    }

    /// Takes out clients not renewed for `expiry_ms` and forgets those gone for long.
    pub fn expire(&mut self, now_ms: u64, expiry_ms: u64) {
        for (id, client) in &mut self.clients {
            if client.state.is_some() && now_ms.saturating_sub(client.renewed_ms) >= expiry_ms {
                self.shares.take(client);
                client.take_out(self.newest, now_ms);
                self.changed.insert(*id);
            }
        }
        let changed = &self.changed;
        self.clients.retain(|id, c| {
            c.state.is_some()
                || changed.contains(id)
                || now_ms.saturating_sub(c.renewed_ms) < PRESENCE_MEMORY_MS
        });
    }

    /// Whether [`Presence::take_changes`] has anything to tell.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The newest state of every client that changed since the last call, each once; in messages of a fair size.
    pub fn take_changes(&mut self) -> Vec<AwarenessUpdate> {
        let changed = std::mem::take(&mut self.changed);
        in_pieces(
            changed
                .iter()
                .filter_map(|id| Some(self.clients.get(id)?.entry(*id))),
        )
    }

    /// Everyone who is here, for a session that asks, in messages of a fair size.
    pub fn everyone(&self) -> Vec<AwarenessUpdate> {
        let here = self.clients.iter().filter(|(_, c)| c.state.is_some());
        in_pieces(here.map(|(id, c)| c.entry(*id)))
    }

    /// Everyone who is here or has left lately, for a session that may have missed both; `None` if nobody is known.
    pub fn everyone_and_gone(&self) -> Vec<AwarenessUpdate> {
        in_pieces(self.clients.iter().map(|(id, c)| c.entry(*id)))
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

    /// Makes room for those who come: clients that left give way, whatever their clocks were good for.
    fn forget_gone(&mut self) {
        let changed = &self.changed;
        self.clients
            .retain(|id, client| client.state.is_some() || changed.contains(id));
    }
}

/// What every session shows, so that its bounds cost no walk through all clients.
#[derive(Debug, Default)]
struct Shares(HashMap<SessionId, Share>);

#[derive(Debug, Default)]
struct Share {
    clients: usize,
    bytes: usize,
}

impl Shares {
    /// Whether `session` may show `state`, in place of what is known of the client.
    fn has_room(&self, session: SessionId, known: Option<&Client>, state: &Bytes) -> bool {
        let Some(share) = self.0.get(&session) else {
            return state.len() <= PRESENCE_BYTES_PER_SESSION_MAX;
        };
        let own = known.filter(|client| client.owner == Some(session));
        let clients = share.clients.saturating_sub(usize::from(own.is_some()));
        let bytes = share.bytes.saturating_sub(own.map_or(0, Client::bytes));
        clients < PRESENCE_CLIENTS_PER_SESSION_MAX
            && bytes.saturating_add(state.len()) <= PRESENCE_BYTES_PER_SESSION_MAX
    }

    fn give(&mut self, session: SessionId, state: &Bytes) {
        let share = self.0.entry(session).or_default();
        share.clients += 1;
        share.bytes += state.len();
    }

    fn take(&mut self, client: &Client) {
        let Some(session) = client.owner else { return };
        if let Some(share) = self.0.get_mut(&session) {
            share.clients = share.clients.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(client.bytes());
            if share.clients == 0 {
                self.0.remove(&session);
            }
        }
    }
}

impl Client {
    fn new(entry: &AwarenessEntry, owner: SessionId, now_ms: u64) -> Self {
        Self {
            clock: entry.clock,
            state: Some(entry.state.clone()),
            owner: Some(owner),
            renewed_ms: now_ms,
            gone_at: None,
        }
    }

    fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, Bytes::len)
    }

    fn take_out(&mut self, newest: Option<SessionId>, now_ms: u64) {
        self.gone_at = newest;
        self.state = None;
        self.owner = None;
        self.renewed_ms = now_ms;
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
            .take_changes()
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
        assert_eq!(p.present(), 1);
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
        assert!(p.shares.0.is_empty());
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
        assert!(!p.has_changes());
    }
}
