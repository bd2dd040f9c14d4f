//! The end of a room: whoever is in it or asks something of it is told why.

use mapweave_proto::CloseReason;

use super::{End, Room};
use crate::room::actor::{Request, RequestError};

/// A room on its way out: everyone is told why.
pub(crate) struct Departing {
    close: CloseReason,
    why: String,
}

impl Departing {
    pub(crate) fn new(close: CloseReason, why: String) -> Self {
        Self { close, why }
    }

    /// What to say after `end`.
    pub(crate) fn after(end: Result<(), End>) -> Self {
        match end {
            Ok(()) => Self::new(CloseReason::Restarting, "the server is stopping".to_owned()),
            Err(End::Broken(why)) => {
                Self::new(CloseReason::Unavailable("the map is being reloaded"), why)
            }
            Err(End::Deleted) => Self::new(CloseReason::Deleted, "the map was deleted".to_owned()),
            Err(End::StoreFailed(why)) => {
                let close = CloseReason::Unavailable("nothing can be stored now, keep your edits");
                Self::new(close, why)
            }
        }
    }

    pub(crate) fn dismiss(&self, mut room: Room) {
        for (_, peer) in room.peers.drain() {
            peer.close(self.close.clone());
        }
        let replies = room.replies.drain().map(|(_, reply)| reply);
        for reply in replies.chain(room.snapshot.replies.drain(..)) {
            let _ = reply.send(Err(self.error()));
        }
        let states = room.states.drain(..).map(|(_, reply)| reply);
        for reply in states.chain(room.readers.drain(..).map(|(_, reply)| reply)) {
            let _ = reply.send(Err(self.error()));
        }
    }

    pub(crate) fn turn_away(&self, request: Request) {
        match request {
            Request::Join { peer, .. } => peer.close(self.close.clone()),
            Request::Submit { reply, .. }
            | Request::Author { reply, .. }
            | Request::Create { reply, .. }
            | Request::Relay { reply, .. }
            | Request::Settle { reply }
            | Request::Decide { reply, .. }
            | Request::Snapshot { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::State { reply, .. } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Ledger { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Summary { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Follow { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::People { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Message { reply, .. } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Waiting { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Quarantine { reply } => {
                let _ = reply.send(Err(self.error()));
            }
            Request::Permit { .. }
            | Request::Leave(_)
            | Request::Heard(..)
            | Request::HearNotices(_)
            | Request::Synced(_)
            | Request::WantsDifference(_) => {}
        }
    }

    fn error(&self) -> RequestError {
        RequestError::Unavailable {
            why: self.why.clone(),
        }
    }
}
