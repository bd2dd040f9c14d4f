//! Who is here, for a connection that has just come or fell behind: told in parts, each once the network has taken the
//! one before. All at once might be more than a connection's queue holds, which would be dropped and asked for again,
//! for ever.

use mapweave_proto::{ClientId, SessionId};

use super::telling::awareness;
use super::{Core, Effects};
use crate::room::presence::Whom;

/// How soon the next part is told, at least, in milliseconds.
const NEXT_PART_MS: u64 = 20;

/// How far somebody has been told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// The next client.
    from: ClientId,
    whom: Whom,
}

impl Core {
    /// A connection has come, or asks, or lost what it was told: it is told of everybody, from the beginning.
    pub(super) fn show_everyone(&mut self, session: SessionId, whom: Whom, fx: &mut Effects) {
        let from = ClientId(0);
        self.show_part(session, Walk { from, whom }, fx);
    }

    /// A connection asks who is here. One that is being told need not ask.
    pub(super) fn show_asked(&mut self, session: SessionId, fx: &mut Effects) {
        if !self.walks.contains_key(&session) {
            self.show_everyone(session, Whom::Here, fx);
        }
    }

    fn show_part(&mut self, session: SessionId, walk: Walk, fx: &mut Effects) {
        let (pieces, next) = self.presence.part(walk.from, walk.whom);
        let told = pieces.iter().map(|piece| (session, awareness(piece)));
        fx.send.extend(told);
        match next {
            Some(from) => drop(self.walks.insert(session, Walk { from, ..walk })),
            None => drop(self.walks.remove(&session)),
        }
    }

    /// These connections have sent on what they were told: each gets its next part.
    pub(super) fn show_next(&mut self, now_ms: u64, sessions: &[SessionId], fx: &mut Effects) {
        self.walked_ms = Some(now_ms);
        for session in sessions {
            let reads = self.sessions.get(session).is_some_and(|s| s.access.reads());
            match self.walks.remove(session) {
                Some(walk) if reads => self.show_part(*session, walk, fx),
                _ => {}
            }
        }
    }

    /// Connections that have not been told of everybody yet.
    pub fn being_shown(&self) -> impl Iterator<Item = SessionId> {
        self.walks.keys().copied()
    }

    /// When the next parts are due, if there are any: see which of [`Core::being_shown`] take more, and say so with
    /// [`Input::TakeMore`](super::Input::TakeMore).
    pub fn showing_due_ms(&self) -> Option<u64> {
        let next_ms = |walked: u64| walked.saturating_add(NEXT_PART_MS);
        (!self.walks.is_empty()).then_some(self.walked_ms.map_or(0, next_ms))
    }
}
