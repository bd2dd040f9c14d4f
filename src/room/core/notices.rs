//! What the server tells beside the document: who comes and goes, and messages from one person to another.
//!
//! On the wire each is one JSON object that begins with [`NOTICE_PREFIX`]. A client's text with that beginning is a
//! request to the server and goes to nobody else, so that nobody can speak in the server's name; every other text is
//! the application's own and goes to everyone.

use mapweave_proto::{ClientId, Message, SessionId};
use mapweave_storage::Protocol;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::telling::tell_everyone;
use super::{Audience, Broadcast, Core, Effects};
use crate::room::peer::Outgoing;
use crate::room::people::{PeopleNews, Person};

/// How what the server says begins, and what is said to it.
pub const NOTICE_PREFIX: &str = r#"{"mapweave":"#;

/// The only version of notices.
const VERSION: u64 = 1;

/// Longest text of a message to one person, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Longest id that a client gives a message, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Most people who are named in one notice; of the others the number is told.
const NAMED_MAX: usize = 100;

/// Which notices a connection hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hears {
    /// None: its protocol has no word for them.
    Nothing,
    /// Messages to its person, and answers to its requests.
    Messages,
    /// Who comes and goes, too.
    Everything,
}

impl Hears {
    /// What a connection hears that has said nothing about it.
    pub(super) fn over(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Hocuspocus => Self::Messages,
            _ => Self::Nothing,
        }
    }
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Recipient {
    /// Whoever shows presence under this id.
    Client(u64),
    /// Everybody with a token of this user, in every window.
    User(String),
}

/// Who sends a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sender {
    /// Under which id they show presence, if they do.
    pub client: Option<u64>,
    /// What they call themselves there; empty if nothing.
    pub name: String,
    /// Who they are by their token; empty for the anonymous.
    pub user: String,
}

/// What a client asks of the server.
#[derive(Deserialize)]
struct Request {
    mapweave: u64,
    #[serde(flatten)]
    asked: Asked,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Asked {
    /// Tell somebody something.
    Message {
        to: Recipient,
        text: String,
        /// If given, what became of it is answered.
        #[serde(default)]
        id: Option<String>,
    },
    /// Tell whoever runs the server something.
    Webhook {
        text: String,
        /// If given, what became of it is answered.
        #[serde(default)]
        id: Option<String>,
    },
    /// Tell me who comes and goes, or do not any more.
    People { notices: bool },
}

impl Request {
    fn read(payload: &str) -> Result<Asked, String> {
        let Self { mapweave, asked } = serde_json::from_str(payload).map_err(|e| e.to_string())?;
        if mapweave != VERSION {
            return Err(format!("there is no version {mapweave} of notices"));
        }
        match &asked {
            Asked::Message { text, id, .. } | Asked::Webhook { text, id } => {
                if text.len() > MESSAGE_BYTES_MAX {
                    return Err(format!("a message has at most {MESSAGE_BYTES_MAX} bytes"));
                }
                if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
                    return Err(format!("an id has at most {ID_BYTES_MAX} bytes"));
                }
            }
            Asked::People { .. } => {}
        }
        Ok(asked)
    }
}

impl Core {
    /// Takes a text that a connection sends: for everyone, unless it is for the server.
    pub(super) fn stateless(&mut self, session: SessionId, payload: String, fx: &mut Effects) {
        if !payload.starts_with(NOTICE_PREFIX) {
            return tell_everyone(payload, fx);
        }
        match Request::read(&payload) {
            Ok(Asked::People { notices }) => self.hear_notices(session, notices, fx),
            Ok(Asked::Message { to, text, id }) => {
                let from = self.sender(session);
                let reached = self.message(&to, &from, &text, fx);
                if let Some(id) = id {
                    let members = json!({ "id": id, "reached": reached });
                    fx.send.push((session, notice("delivered", members)));
                }
            }
            Ok(Asked::Webhook { text, id }) => fx.outside.push(ForOutside {
                from: self.sender(session),
                session,
                text,
                id,
            }),
            Err(why) => fx
                .send
                .push((session, notice("refused", json!({ "why": why })))),
        }
    }

    /// A connection wants to hear who comes and goes, or not any more. Who is here it hears at once.
    pub(super) fn hear_notices(&mut self, session: SessionId, wants: bool, fx: &mut Effects) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.hears = match wants {
            true => Hears::Everything,
            false => Hears::Messages,
        };
        if wants {
            let here: Vec<&Person> = self.people.here().take(NAMED_MAX).collect();
            let members = json!({ "count": self.people.count(), "here": here });
            fx.send.push((session, notice("people", members)));
        }
    }

    /// Tells somebody something; how many connections it went to. What they do with it, and whether the network still
    /// has them, is not known.
    pub fn message(&self, to: &Recipient, from: &Sender, text: &str, fx: &mut Effects) -> usize {
        let message = notice("message", json!({ "from": from, "text": text }));
        let recipients = self.recipients(to);
        fx.send
            .extend(recipients.iter().map(|id| (*id, message.clone())));
        recipients.len()
    }

    fn recipients(&self, to: &Recipient) -> Vec<SessionId> {
        let hears = |id: &SessionId| {
            let session = self.sessions.get(id);
            session.is_some_and(|session| session.hears > Hears::Nothing && session.access.reads())
        };
        match to {
            Recipient::Client(client) => {
                let owner = self.presence.speaker(ClientId(*client));
                owner.filter(hears).into_iter().collect()
            }
            Recipient::User(user) => {
                let of_user = self.sessions.iter();
                let of_user = of_user.filter(|(_, s)| !user.is_empty() && s.origin.user == *user);
                of_user.map(|(id, _)| *id).filter(hears).collect()
            }
        }
    }

    /// Who a connection is, as it shows itself.
    pub fn sender(&self, session: SessionId) -> Sender {
        let client = self.presence.first_of(session);
        let person = client.and_then(|client| self.people.person(client));
        let known = self.sessions.get(&session);
        Sender {
            client: client.map(|client| client.0),
            name: person.map(|person| person.name.clone()).unwrap_or_default(),
            user: known.map(|s| s.origin.user.clone()).unwrap_or_default(),
        }
    }

    /// Tells those who want to hear of it who has come and gone.
    pub(super) fn tell_people(&mut self, now_ms: u64, fx: &mut Effects) {
        let Some(news) = self.people.take_news(now_ms) else {
            return;
        };
        let PeopleNews {
            joined,
            left,
            count,
        } = &news;
        let named = |people: &[Person]| json!(people.get(..NAMED_MAX).unwrap_or(people));
        let members = json!({
            "count": count,
            "joined": named(joined),
            "left": named(left),
        });
        fx.broadcast.push(Broadcast {
            message: notice("people", members),
            except: None,
            audience: Audience::Notices,
        });
        fx.people = Some(news);
    }
}

/// What a connection has for whoever runs the server.
#[derive(Debug)]
pub struct ForOutside {
    /// Who it is.
    pub from: Sender,
    /// The connection.
    pub session: SessionId,
    /// What it says.
    pub text: String,
    /// Its own id for that, if it wants to know what became of it.
    id: Option<String>,
}

impl ForOutside {
    /// What the connection is told, if anything: whether somebody has taken what it says.
    pub fn answer(&self, taken: bool) -> Option<Outgoing> {
        if !taken {
            let why = "nobody takes messages to this server now";
            return Some(notice("refused", json!({ "id": self.id, "why": why })));
        }
        let id = self.id.as_ref()?;
        Some(notice("delivered", json!({ "id": id, "reached": 1 })))
    }
}

/// A notice on its way. The members come behind the version and the kind, so that every notice begins alike.
fn notice(kind: &str, members: Value) -> Outgoing {
    let members = members.to_string();
    let members = members.strip_prefix('{').unwrap_or("}");
    let text = format!(r#"{NOTICE_PREFIX}{VERSION},"kind":"{kind}",{members}"#);
    Outgoing::new(Message::Notice(text))
}
