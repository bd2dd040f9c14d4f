//! What a connection has, and what it lacks: answers to sync requests, and differences for those who fell behind.

use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Message, SessionId, StateVector};

use super::telling::awareness;
use super::{Core, Effects};
use crate::room::peer::Outgoing;

/// The last difference that was asked for: after a cut, many come back with the same state.
pub(super) struct Difference {
    pub(super) have: StateVector,
    pub(super) step2: Outgoing,
}

/// Answers the sync request of a connection that may not read: with an update that says nothing.
pub(super) fn tell_nothing(session: SessionId, fx: &mut Effects) {
    let nothing = Message::SyncStep2(Bytes::from_static(&[0, 0]));
    fx.send.push((session, Outgoing::new(nothing)));
    fx.answered.push((session, 0));
}

impl Core {
    pub(super) fn sync(
        &mut self,
        now_ms: u64,
        session: SessionId,
        have: &StateVector,
        fx: &mut Effects,
    ) {
        self.cache_used_ms = Some(now_ms);
        let Some((step2, encoded_bytes)) = self.step2_beyond(have, fx) else {
            return;
        };
        fx.send.push((session, step2));
        fx.answered.push((session, encoded_bytes));
        self.synced(session);
        self.knows(session, have);
    }

    /// Asks a connection for what it has and the map lacks.
    /// One that may not read is asked for all: what the map has is not its business.
    pub(super) fn ask(&self, session: SessionId, fx: &mut Effects) {
        let reads = self.sessions.get(&session).is_none_or(|s| s.access.reads());
        let vector = match reads {
            true => self.replica.ledger().state_vector(),
            false => StateVector::default(),
        };
        let vector = vector.encode();
        let step1 = Outgoing::new(Message::SyncStep1(vector));
        fx.send.push((session, step1));
    }

    pub(super) fn synced(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(&session).filter(|s| s.access.reads()) {
            session.synced = true;
        }
    }

    /// A connection said what it has. What it is sent now counts only once the network has it all: its queue
    /// may overflow before. Of what it claims, only what is in the map takes memory.
    pub(super) fn knows(&mut self, session: SessionId, have: &StateVector) {
        let Some(session) = self.sessions.get_mut(&session) else {
            return;
        };
        let ledger = self.replica.ledger();
        let known = have
            .iter()
            .map(|(client, clock)| (client, clock.min(ledger.clock(client))));
        let known: StateVector = known.collect();
        if !session.base.covers(&known) {
            session.base = Arc::new(known);
        }
    }

    /// What a reader with `have` lacks. `None` where the document is broken, which `fx` then says.
    pub fn state_beyond(&mut self, have: &StateVector, fx: &mut Effects) -> Option<Bytes> {
        let state = match have.is_empty() {
            true => self.cache.state(&self.replica),
            false => self.replica.encode_diff(have),
        };
        state
            .map_err(|error| fx.broken = Some(error.to_string()))
            .ok()
    }

    /// The same as a message, and what it took to encode, in bytes: those who have the same are told the same one. All
    /// of the document is looked through for a difference, however small that is.
    pub(super) fn step2_beyond(
        &mut self,
        have: &StateVector,
        fx: &mut Effects,
    ) -> Option<(Outgoing, u64)> {
        let told = match have.is_empty() {
            true => self.whole.as_ref(),
            false => self
                .difference
                .as_ref()
                .filter(|d| d.have == *have)
                .map(|d| &d.step2),
        };
        if let Some(step2) = told {
            return Some((step2.clone(), 0));
        }
        let state = self.state_beyond(have, fx)?;
        let encoded_bytes = self.update_bytes.max(state.len() as u64);
        let step2 = Outgoing::new(Message::SyncStep2(state));
        match have.is_empty() {
            true => self.whole = Some(step2.clone()),
            false => {
                self.difference = Some(Difference {
                    have: have.clone(),
                    step2: step2.clone(),
                })
            }
        }
        Some((step2, encoded_bytes))
    }

    pub(super) fn forget_answers(&mut self) {
        (self.whole, self.difference) = (None, None);
    }

    pub(super) fn resync(&mut self, session: SessionId, fx: &mut Effects) {
        let Some(base) = self
            .sessions
            .get(&session)
            .filter(|s| s.access.reads())
            .map(|s| s.base.clone())
        else {
            return;
        };
        if let Some((step2, _)) = self.step2_beyond(&base, fx) {
            fx.send.push((session, step2));
            // Departures may have been dropped with the backlog.
            let known = self.presence.everyone_and_gone();
            fx.send
                .extend(known.iter().map(|piece| (session, awareness(piece))));
        }
    }

    pub(super) fn caught_up(&mut self, sessions: &[SessionId]) {
        let now = Arc::new(self.replica.ledger().state_vector());
        for id in sessions {
            if let Some(session) = self.sessions.get_mut(id).filter(|s| s.synced) {
                session.base = now.clone();
            }
        }
    }
}
