//! What a connection has, and what it lacks: answers to sync requests, and differences for those who fell behind.
//!
//! An answer that is not at hand takes a walk through the whole document. So such requests wait in a line, and each
//! turn of the room answers one of them, and with it all who ask the same: whatever is asked, and however often somebody
//! comes back to ask, an edit waits for one walk at most.

use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Message, SessionId, StateVector};

use super::{Core, Effects};
use crate::room::peer::Outgoing;
use crate::room::presence::Whom;

/// The last difference that was asked for: after a cut, many come back with the same state.
pub(super) struct Difference {
    pub(super) have: StateVector,
    pub(super) step2: Outgoing,
}

/// What a connection waits for. The newest request counts: its answer is the answer to all.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// What it said it has, as far as that is in the map; nothing if it only fell behind.
    have: Option<Arc<StateVector>>,
    /// Its backlog was dropped, and news of those who left with it.
    behind: bool,
}

/// Answers the sync request of a connection that may not read: with an update that says nothing.
pub(super) fn tell_nothing(session: SessionId, fx: &mut Effects) {
    let nothing = Message::SyncStep2(Bytes::from_static(&[0, 0]));
    fx.send.push((session, Outgoing::new(nothing)));
    fx.answered.push((session, 0));
}

impl Core {
    /// A connection said what it has, and wants the rest.
    pub(super) fn sync(
        &mut self,
        now_ms: u64,
        id: SessionId,
        have: &StateVector,
        fx: &mut Effects,
    ) {
        self.cache_used_ms = Some(now_ms);
        let have = Arc::new(self.in_the_map(have));
        if let Some(step2) = self.at_hand(&have) {
            self.answer(id, step2, have, 0, fx);
        } else if let Some(asks) = self.in_line(id) {
            asks.have = Some(have);
        }
    }

    /// A connection dropped its backlog.
    pub(super) fn resync(&mut self, id: SessionId) {
        if let Some(asks) = self.in_line(id) {
            asks.behind = true;
        }
    }

    /// The place of a connection in the line, at its end if it had none.
    fn in_line(&mut self, id: SessionId) -> Option<&mut Asks> {
        let session = self.sessions.get_mut(&id).filter(|s| s.access.reads())?;
        if session.asks.is_none() {
            self.asking.push_back(id);
        }
        Some(session.asks.get_or_insert_default())
    }

    /// Whether connections wait for answers: the next turn answers one more.
    pub fn is_asked(&self) -> bool {
        !self.asking.is_empty()
    }

    /// Answers the first in line, and those behind it whose answers are at hand by then.
    pub(super) fn answer_first(&mut self, fx: &mut Effects) {
        let mut walked = false;
        while let Some(id) = self.asking.front().copied() {
            let reader = self.sessions.get(&id).filter(|s| s.access.reads());
            let asked = reader.and_then(|session| {
                let asks = session.asks.as_ref()?;
                Some(asks.have.clone().unwrap_or_else(|| session.base.clone()))
            });
            if let Some(have) = asked {
                let (step2, encoded_bytes) = match self.at_hand(&have) {
                    Some(step2) => (step2, 0),
                    None if walked => return,
                    None => match self.encoded(&have, fx) {
                        Some(encoded) => encoded,
                        None => return,
                    },
                };
                walked |= encoded_bytes > 0;
                let asks = self.sessions.get_mut(&id).and_then(|s| s.asks.take());
                let asks = asks.unwrap_or_default();
                match asks.have {
                    Some(_) => self.answer(id, step2, have, encoded_bytes, fx),
                    None => fx.send.push((id, step2)),
                }
                if asks.behind {
                    // Departures may have been dropped with the backlog.
                    self.show_everyone(id, Whom::HereAndGone, fx);
                }
            }
            self.asking.pop_front();
            // Whoever may not read any more by now is told nothing, and may ask again once that changes.
            let asks = self.sessions.get_mut(&id).and_then(|s| s.asks.take());
            if asks.is_some_and(|asks| asks.have.is_some()) {
                tell_nothing(id, fx);
            }
        }
    }

    fn answer(
        &mut self,
        session: SessionId,
        step2: Outgoing,
        known: Arc<StateVector>,
        encoded_bytes: u64,
        fx: &mut Effects,
    ) {
        fx.send.push((session, step2));
        fx.answered.push((session, encoded_bytes));
        self.synced(session);
        self.knows(session, known);
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
    /// may overflow before.
    fn knows(&mut self, id: SessionId, known: Arc<StateVector>) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.base.covers(&known)
        {
            session.base = known;
        }
    }

    /// What of `have` is in the map: the rest of what somebody claims takes no memory, and changes no answer.
    fn in_the_map(&self, have: &StateVector) -> StateVector {
        let ledger = self.replica.ledger();
        let known = have
            .iter()
            .map(|(client, clock)| (client, clock.min(ledger.clock(client))));
        known.filter(|(_, clock)| *clock > 0).collect()
    }

    /// What a reader with `have` lacks. `None` where the document is broken, which `fx` then says.
    pub fn state_beyond(&mut self, have: &StateVector, fx: &mut Effects) -> Option<Bytes> {
        if let (true, Some(Message::SyncStep2(told))) = (have.is_empty(), self.told_whole()) {
            return Some(told.clone());
        }
        let state = match have.is_empty() {
            true => self.cache.state(&self.replica),
            false => self.replica.encode_diff(have),
        };
        state
            .map_err(|error| fx.broken = Some(error.to_string()))
            .ok()
    }

    fn told_whole(&self) -> Option<&Message> {
        self.whole.as_ref().map(|told| &told.message)
    }

    /// The message to those who have `have`, if somebody who has the same was told it last.
    fn at_hand(&self, have: &StateVector) -> Option<Outgoing> {
        match have.is_empty() {
            true => self.whole.clone(),
            false => self
                .difference
                .as_ref()
                .filter(|d| d.have == *have)
                .map(|d| d.step2.clone()),
        }
    }

    /// The same, made anew, and what it took to encode, in bytes, at least 1: all of the document is looked through for a
    /// difference, however small that is.
    fn encoded(&mut self, have: &StateVector, fx: &mut Effects) -> Option<(Outgoing, u64)> {
        let state = self.state_beyond(have, fx)?;
        let encoded_bytes = self.update_bytes.max(state.len() as u64).max(1);
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

    pub(super) fn caught_up(&mut self, sessions: &[SessionId]) {
        let now = Arc::new(self.replica.ledger().state_vector());
        for id in sessions {
            if let Some(session) = self.sessions.get_mut(id).filter(|s| s.synced) {
                session.base = now.clone();
            }
        }
    }
}
