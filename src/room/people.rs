//! Who comes to a map and who leaves it, for people: from presence, without the flicker of a weak network.
//!
//! Somebody has come once they show a name, or have shown presence without one for a moment; they have left once they
//! have been gone for a moment. Pure: time comes in. Start at [`People::see`].

use std::collections::{BTreeMap, BTreeSet};

use mapweave_proto::ClientId;
use serde::Serialize;

use super::presence::PRESENCE_CLIENTS_MAX;

/// How long somebody who shows no name may take to show one, in milliseconds.
pub const NAME_WAIT_MS: u64 = 2_000;

/// Who is back within so many milliseconds has not been away.
pub const AWAY_MS: u64 = 3_000;

/// News are told no more often than this, in milliseconds: a crowd that comes together is told together.
pub const PEOPLE_EVERY_MS: u64 = 250;

/// Somebody who shows presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The id of their client in presence.
    pub client: u64,
    /// What they call themselves there (`user.name`); empty if nothing.
    pub name: String,
    /// Who they are by their token; empty for the anonymous.
    pub user: String,
}

/// Who has come and gone since the last news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleNews {
    /// Those who have come.
    pub joined: Vec<Person>,
    /// Those who have left.
    pub left: Vec<Person>,
    /// How many people are here now.
    pub count: usize,
}

/// Everybody who shows presence in a map.
#[derive(Debug, Default)]
pub struct People {
    clients: BTreeMap<ClientId, Client>,
    joined: BTreeMap<ClientId, Person>,
    left: BTreeMap<ClientId, Person>,
    told_ms: Option<u64>,
}

#[derive(Debug)]
struct Client {
    person: Person,
    since_ms: u64,
    /// Whether the others know, or will with the next news.
    has_come: bool,
    gone_ms: Option<u64>,
}

impl People {
    /// A client shows a new state, with the `name` in it, if there is one; `user` is who it is by its token.
    pub fn see(&mut self, now_ms: u64, id: ClientId, name: Option<&str>, user: &str) {
        if !self.clients.contains_key(&id) {
            if self.clients.len() >= PRESENCE_CLIENTS_MAX {
                return;
            }
            let client = Client::new(id, now_ms);
            self.clients.insert(id, client);
        }
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.gone_ms = None;
        if client.person.user != user {
            user.clone_into(&mut client.person.user);
        }
        if let Some(name) = name.filter(|name| *name != client.person.name) {
            name.clone_into(&mut client.person.name);
        }
        if !client.has_come && !client.person.name.is_empty() {
            self.come(id);
        }
    }

    /// A client shows nothing any more.
    pub fn see_go(&mut self, now_ms: u64, id: ClientId) {
        match self.clients.get_mut(&id) {
            Some(client) if client.has_come => client.gone_ms = Some(now_ms),
            // Nobody knows that it was here.
            Some(_) => drop(self.clients.remove(&id)),
            None => {}
        }
    }

    fn come(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.has_come = true;
            if self.left.remove(&id).is_none() {
                self.joined.insert(id, client.person.clone());
            }
        }
    }

    /// Time has passed: who waits for a name waits no longer, and who is away is gone.
    pub fn pass(&mut self, now_ms: u64) {
        let mut come = Vec::new();
        let mut gone = Vec::new();
        for (id, client) in &self.clients {
            let waited_ms = now_ms.saturating_sub(client.since_ms);
            if !client.has_come && waited_ms >= NAME_WAIT_MS {
                come.push(*id);
            }
            let away_ms = client.gone_ms.map(|gone| now_ms.saturating_sub(gone));
            if away_ms.is_some_and(|away| away >= AWAY_MS) {
                gone.push(*id);
            }
        }
        for id in come {
            self.come(id);
        }
        for id in gone {
            if let Some(client) = self.clients.remove(&id)
                && self.joined.remove(&id).is_none()
            {
                self.left.insert(id, client.person);
            }
        }
    }

    /// When there is something to tell, if there is.
    pub fn due_ms(&self) -> Option<u64> {
        let some = !self.joined.is_empty() || !self.left.is_empty();
        let next_ms = self
            .told_ms
            .map_or(0, |told| told.saturating_add(PEOPLE_EVERY_MS));
        some.then_some(next_ms)
    }

    /// Who has come and gone since the last call, once that is due.
    pub fn take_news(&mut self, now_ms: u64) -> Option<PeopleNews> {
        self.due_ms().filter(|due| *due <= now_ms)?;
        self.told_ms = Some(now_ms);
        Some(PeopleNews {
            joined: std::mem::take(&mut self.joined).into_values().collect(),
            left: std::mem::take(&mut self.left).into_values().collect(),
            count: self.count(),
        })
    }

    /// Everybody who shows presence now, by the ids of their clients.
    pub fn here(&self) -> impl Iterator<Item = &Person> {
        let here = self.clients.values().filter(|c| c.gone_ms.is_none());
        here.map(|client| &client.person)
    }

    /// Who shows presence under this id.
    pub fn person(&self, client: ClientId) -> Option<&Person> {
        self.clients.get(&client).map(|client| &client.person)
    }

    /// How many people are here. Whoever has signed in counts once, however many windows they have.
    pub fn count(&self) -> usize {
        let mut users = BTreeSet::new();
        self.here()
            .filter(|person| person.user.is_empty() || users.insert(&person.user))
            .count()
    }
}

impl Client {
    fn new(id: ClientId, now_ms: u64) -> Self {
        Self {
            person: Person {
                client: id.0,
                name: String::new(),
                user: String::new(),
            },
            since_ms: now_ms,
            has_come: false,
            gone_ms: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::room::presence::State;

    fn shows(people: &mut People, now_ms: u64, client: u64, state: &str) {
        shows_as(people, now_ms, client, state, "");
    }

    fn shows_as(people: &mut People, now_ms: u64, client: u64, state: &str, user: &str) {
        match State::parse(state.as_bytes().to_vec().into()) {
            Some(_) if state == "null" => people.see_go(now_ms, ClientId(client)),
            shown => people.see(
                now_ms,
                ClientId(client),
                shown.as_ref().and_then(State::name),
                user,
            ),
        }
    }

    const ANN: &str = r#"{"user":{"name":" Ann\u0007 "},"cursor":[1,2]}"#;

    fn names(people: &[Person]) -> Vec<&str> {
        people.iter().map(|person| &*person.name).collect()
    }

    #[test]
    fn who_shows_a_name_has_come_at_once_and_once() {
        let mut people = People::default();
        shows(&mut people, 0, 7, "{}");
        assert_eq!(people.take_news(0), None);
        shows(&mut people, 10, 7, ANN);
        let news = people.take_news(10).unwrap();
        assert_eq!((names(&news.joined), news.count), (vec!["Ann"], 1));
        shows(&mut people, 20, 7, ANN);
        people.pass(NAME_WAIT_MS);
        assert_eq!(people.take_news(NAME_WAIT_MS), None);
    }

    #[test]
    fn who_shows_no_name_has_come_after_a_moment() {
        let mut people = People::default();
        shows(&mut people, 0, 7, "{}");
        people.pass(NAME_WAIT_MS - 1);
        assert_eq!(people.take_news(NAME_WAIT_MS - 1), None);
        people.pass(NAME_WAIT_MS);
        let news = people.take_news(NAME_WAIT_MS).unwrap();
        assert_eq!(names(&news.joined), [""]);
    }

    #[test]
    fn who_is_back_within_a_moment_was_not_away() {
        let mut people = People::default();
        shows(&mut people, 0, 7, ANN);
        people.take_news(0).unwrap();
        shows(&mut people, 1_000, 7, "null");
        people.pass(1_000 + AWAY_MS - 1);
        shows(&mut people, 1_000 + AWAY_MS - 1, 7, ANN);
        people.pass(9_000);
        assert_eq!(people.take_news(9_000), None);
        shows(&mut people, 10_000, 7, "null");
        people.pass(10_000 + AWAY_MS);
        let news = people.take_news(20_000).unwrap();
        assert_eq!((names(&news.left), news.count), (vec!["Ann"], 0));
        assert!(people.clients.is_empty());
    }

    #[test]
    fn who_came_and_went_before_anybody_was_told_is_told_to_nobody() {
        let mut people = People::default();
        shows(&mut people, 0, 7, "{}");
        shows(&mut people, 1, 7, "null");
        shows(&mut people, 2, 8, ANN);
        people.take_news(2).unwrap();
        shows(&mut people, 3, 9, ANN);
        shows(&mut people, 4, 9, "null");
        people.pass(4 + AWAY_MS);
        assert_eq!(people.take_news(10_000), None);
    }

    #[test]
    fn a_crowd_is_told_together() {
        let mut people = People::default();
        for client in 0..100 {
            shows(&mut people, client, client, ANN);
            assert_eq!(people.take_news(client).is_some(), client == 0);
        }
        assert_eq!(people.due_ms(), Some(PEOPLE_EVERY_MS));
        let news = people.take_news(PEOPLE_EVERY_MS).unwrap();
        assert_eq!((news.joined.len(), news.count), (99, 100));
    }

    #[test]
    fn who_has_signed_in_counts_once_however_many_windows() {
        let mut people = People::default();
        for (client, user) in [(1, "ann"), (2, "ann"), (3, "ben"), (4, ""), (5, "")] {
            shows_as(&mut people, 0, client, ANN, user);
        }
        assert_eq!((people.here().count(), people.count()), (5, 4));
    }

    #[test]
    fn who_shows_something_odd_has_come_without_a_name() {
        let mut people = People::default();
        for (client, state) in [r#"{"user":7}"#, "[]", "7"].iter().enumerate() {
            shows(&mut people, 0, client as u64, state);
        }
        people.pass(NAME_WAIT_MS);
        let news = people.take_news(NAME_WAIT_MS).unwrap();
        assert_eq!(names(&news.joined), ["", "", ""]);
    }
}
