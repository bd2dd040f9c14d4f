//! Who is in a map, and a way to tell one of them something, for those who ask over HTTP.

use mapweave_proto::SessionId;
use serde::Serialize;

use super::actor::{Request, RequestError};
use super::core::{Core, Recipient};
use super::errand::Errand;
use super::handle::{RoomGone, RoomHandle};
use super::people::Person;

/// Most people who are named; of the others the number is told.
pub const NAMED_MAX: usize = 1_000;

/// Who is in a map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gathering {
    /// How many people show presence. Whoever has signed in counts once.
    pub count: usize,
    /// How many connections there are, with those that show nothing.
    pub connections: usize,
    /// Whether there are more than those named.
    pub more: bool,
    /// Those who show presence.
    pub people: Vec<Person>,
}

/// Who sends a message over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFrom {
    /// Who they are by their token; empty for the anonymous.
    pub user: String,
    /// What their token calls them; empty for the anonymous.
    pub name: String,
    /// Their connection that shows presence, if they have one.
    pub session: Option<SessionId>,
}

impl Core {
    /// Who is here.
    pub fn gathering(&self) -> Gathering {
        let people = self.people();
        Gathering {
            count: people.count(),
            connections: self.connections(),
            more: people.here().nth(NAMED_MAX).is_some(),
            people: people.here().take(NAMED_MAX).cloned().collect(),
        }
    }
}

impl RoomHandle {
    /// Who is in the map.
    ///
    /// # Errors
    /// [`RequestError`], here and below.
    pub async fn gathering(&self) -> Result<Gathering, RequestError> {
        self.ask(0, |reply| Request::People { reply }).await
    }

    /// Tells somebody something; to how many connections it went.
    pub async fn message(
        &self,
        to: Recipient,
        from: MessageFrom,
        text: String,
    ) -> Result<usize, RequestError> {
        let bytes = text.len();
        self.ask(bytes, |reply| Request::Message {
            to,
            from,
            text,
            reply,
        })
        .await
    }

    /// The connection wants to hear of who comes and goes, and messages to its person.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn hear_notices(&self, session: SessionId) -> Result<(), RoomGone> {
        self.carry(Errand::hear_notices(session)).await
    }
}
