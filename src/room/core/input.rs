//! What happens to a map.

use std::sync::Arc;

use mapweave_proto::{Access, Scanned, Seq, SessionId, ToRoom};
use mapweave_storage::{Known, Origin};

use super::Foreign;
use crate::room::presence::Shown;
use crate::room::replica::Decision;

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
    /// A connection shows presence that was read on its own task: [`ToRoom::Awareness`] is read on the map's.
    Shows(SessionId, Vec<Shown>),
    /// These connections have sent on what they were told of who is here, of [`Core::being_shown`](super::Core::being_shown).
    TakeMore(Vec<SessionId>),
    /// A connection dropped its backlog and can be told the difference now.
    WantsDifference(SessionId),
    /// These connections have been handed everything told so far.
    CaughtUp(Vec<SessionId>),
    /// An update that comes with a request; answered in [`Effects::replies`](super::Effects::replies).
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
    /// An owner decides about an edit in quarantine; answered in [`Effects::replies`](super::Effects::replies).
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
    /// The server itself edits; answered in [`Effects::replies`](super::Effects::replies). Connections hear of it once it is durable.
    Author {
        /// For the answer.
        ticket: Ticket,
        /// What to write.
        writing: Writing,
        /// For whom, for the log.
        origin: Arc<Origin>,
    },
    /// Records of other stores; answered in [`Effects::replies`](super::Effects::replies) once all of them are held durably.
    Relay {
        /// For the answer.
        ticket: Ticket,
        /// The records, in the order of the log that they were read from.
        records: Vec<Foreign>,
        /// What the map's log holds durably by now. Its own records are in it: they may come back by another way.
        durable: Known,
    },
    /// The map comes to exist, empty; answered in [`Effects::replies`](super::Effects::replies), with [`Refused::Exists`](crate::room::replica::Refused::Exists) where it does.
    Create {
        /// For the answer.
        ticket: Ticket,
        /// Who wants it, for the log.
        origin: Arc<Origin>,
    },
    /// Somebody waits until all that is there now is durable; answered in [`Effects::replies`](super::Effects::replies).
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
