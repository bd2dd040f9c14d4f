//! What a turn of a map asks its caller to do.

use mapweave_proto::{Refusal, Seq, SessionId};
use mapweave_storage::NewRecord;

use super::Ticket;
use super::notices::ForOutside;
use crate::room::peer::Outgoing;
use crate::room::people::PeopleNews;
use crate::room::replica::Refused;

/// What the caller has to do, in the order of the fields.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be appended to the log, in this order.
    pub append: Vec<NewRecord>,
    /// To be sent to single connections.
    pub send: Vec<(SessionId, Outgoing)>,
    /// To be sent to all connections that have synced (or all, for presence), but for one.
    pub broadcast: Vec<Broadcast>,
    /// Updates that were not taken. A connection must hear of them before it hears that later ones are
    /// durable: that says the same of all before.
    pub refused: Vec<(SessionId, u64, Refusal)>,
    /// Updates of a connection up to this number are durable.
    pub settled: Vec<(SessionId, u64)>,
    /// Connections whose sync requests are answered, and what had to be encoded for that, in bytes.
    pub answered: Vec<(SessionId, u64)>,
    /// How many updates were put into quarantine.
    pub quarantined: u64,
    /// How many updates were given up that had waited too long.
    pub expired: u64,
    /// How often presence was taken out because its session showed more than anybody else, and it was too much.
    pub presence_gave_way: u64,
    /// Answers to [`Input::Submit`](super::Input::Submit).
    pub replies: Vec<(Ticket, Result<Seq, Refused>)>,
    /// Who has come and gone, as those who want to hear of it were told.
    pub people: Option<PeopleNews>,
    /// What connections have for whoever runs the server.
    pub outside: Vec<ForOutside>,
    /// The document is beyond use: end the room, its connections come back to a fresh one.
    pub broken: Option<String>,
}

/// A message for many.
#[derive(Debug)]
pub struct Broadcast {
    /// The message.
    pub message: Outgoing,
    /// A connection that knows already.
    pub except: Option<SessionId>,
    /// Who is meant.
    pub audience: Audience,
}

/// Who hears a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Those whose first sync request was answered; the others get it with their answer.
    Synced,
    /// All connections.
    All,
    /// Those that want to hear who comes and goes.
    Notices,
}
