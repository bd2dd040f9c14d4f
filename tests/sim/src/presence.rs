//! Presence as y-protocols 1.0.7 and y-websocket 3 keep it in a browser, with their habit of sending back
//! what they receive.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId};

const EXPIRY_MS: u64 = 30_000;
const RENEW_MS: u64 = 15_000;

/// Who a browser believes is there.
#[derive(Debug)]
pub(crate) struct Table {
    own: ClientId,
    states: BTreeMap<ClientId, Bytes>,
    /// Clock and time of the last change; kept when a client goes.
    meta: BTreeMap<ClientId, (u64, u64)>,
}

impl Table {
    pub(crate) fn new(own: ClientId, now_ms: u64) -> Self {
        let mut table = Self {
            own,
            states: BTreeMap::new(),
            meta: BTreeMap::new(),
        };
        table.set_own(Bytes::from_static(b"{}"), now_ms);
        table
    }

    /// Shows something else of oneself; what has to be sent.
    pub(crate) fn set_own(&mut self, state: Bytes, now_ms: u64) -> AwarenessUpdate {
        let clock = self.meta.get(&self.own).map_or(0, |(clock, _)| clock + 1);
        self.meta.insert(self.own, (clock, now_ms));
        self.states.insert(self.own, state);
        self.update([self.own])
    }

    /// The own state, as sent when a socket opens.
    pub(crate) fn own(&self) -> AwarenessUpdate {
        self.update([self.own])
    }

    /// Takes in what the server tells; what is sent back.
    pub(crate) fn apply(
        &mut self,
        update: &AwarenessUpdate,
        now_ms: u64,
    ) -> Option<AwarenessUpdate> {
        let mut changed = Vec::new();
        for entry in &update.entries {
            let known = self.meta.get(&entry.client).map(|(clock, _)| *clock);
            let current = known.unwrap_or(0);
            let present = self.states.contains_key(&entry.client);
            let newer =
                current < entry.clock || (current == entry.clock && entry.is_gone() && present);
            if !newer {
                continue;
            }
            let mut clock = entry.clock;
            if !entry.is_gone() {
                self.states.insert(entry.client, entry.state.clone());
            } else if entry.client == self.own && present {
                clock += 1;
            } else {
                self.states.remove(&entry.client);
            }
            self.meta.insert(entry.client, (clock, now_ms));
            if known.is_some() || !entry.is_gone() {
                changed.push(entry.client);
            }
        }
        (!changed.is_empty()).then(|| self.update(changed))
    }

    /// The socket is gone, and with it everybody else.
    pub(crate) fn disconnected(&mut self) {
        let own = self.own;
        self.states.retain(|client, _| *client == own);
    }

    /// Renews the own state and forgets who was silent; what has to be sent.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Option<AwarenessUpdate> {
        let own = self.own;
        let meta = &self.meta;
        self.states.retain(|client, _| {
            *client == own
                || meta
                    .get(client)
                    .is_some_and(|(_, at)| now_ms.saturating_sub(*at) < EXPIRY_MS)
        });
        let state = self.states.get(&own).cloned()?;
        let renewed_ms = self.meta.get(&own).map_or(0, |(_, at)| *at);
        (now_ms.saturating_sub(renewed_ms) >= RENEW_MS).then(|| self.set_own(state, now_ms))
    }

    /// Everyone who is there, oneself included.
    pub(crate) fn states(&self) -> &BTreeMap<ClientId, Bytes> {
        &self.states
    }

    fn update(&self, clients: impl IntoIterator<Item = ClientId>) -> AwarenessUpdate {
        let entry = |client| AwarenessEntry {
            client,
            clock: self.meta.get(&client).map_or(0, |(clock, _)| *clock),
            state: self
                .states
                .get(&client)
                .cloned()
                .unwrap_or_else(|| Bytes::from_static(b"null")),
        };
        AwarenessUpdate {
            entries: clients.into_iter().map(entry).collect(),
        }
    }
}
