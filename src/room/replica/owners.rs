//! Whose a client is: the person under whose name it first wrote, as the log says.
//!
//! Every page that is opened is a client of its own, so a person has many. Start at [`Owners::owner`].

use std::collections::HashMap;
use std::sync::Arc;

use mapweave_proto::{ClientId, Scanned};

use super::Replica;

/// The people behind a map's clients. Those who wrote without a name are not in it.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    users: Vec<(Arc<str>, Vec<ClientId>)>,
    places: HashMap<Arc<str>, u32>,
    clients: HashMap<ClientId, u32>,
}

impl Owners {
    /// The person who first wrote under `client`, if it had a name.
    pub fn owner(&self, client: ClientId) -> Option<&str> {
        let place = self.clients.get(&client)?;
        self.users.get(*place as usize).map(|(user, _)| &**user)
    }

    /// Puts `client` down to `user`, unless it is somebody's already or `user` has no name.
    pub fn claim(&mut self, client: ClientId, user: &str) {
        if user.is_empty() || self.clients.contains_key(&client) {
            return;
        }
        let place = match self.places.get(user) {
            Some(place) => *place,
            None => {
                // A client takes at least a byte of a log that is far below 2^32 records of one person each.
                let place = self.users.len() as u32;
                let user: Arc<str> = user.into();
                self.places.insert(user.clone(), place);
                self.users.push((user, Vec::new()));
                place
            }
        };
        self.clients.insert(client, place);
        if let Some((_, clients)) = self.users.get_mut(place as usize) {
            clients.push(client);
        }
    }

    /// The clients of `user`, in the order in which they came.
    pub fn clients_of(&self, user: &str) -> &[ClientId] {
        let place = self
            .places
            .get(user)
            .and_then(|place| self.users.get(*place as usize));
        place.map_or(&[], |(_, clients)| clients)
    }

    /// Everybody, by name, with their clients in ascending order.
    pub fn people(&self) -> Vec<(&str, Vec<ClientId>)> {
        let people = self.users.iter();
        let mut people: Vec<_> = people
            .map(|(user, clients)| (&**user, clients.clone()))
            .collect();
        for (_, clients) in &mut people {
            clients.sort_unstable();
        }
        people.sort_unstable();
        people
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.clients.len() * 32
            + self
                .users
                .iter()
                .map(|(user, _)| 96 + user.len())
                .sum::<usize>()
    }
}

impl PartialEq for Owners {
    fn eq(&self, other: &Self) -> bool {
        self.people() == other.people()
    }
}

impl Replica {
    /// Whose the map's clients are.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Takes over what a snapshot says of them.
    pub fn set_owners(&mut self, owners: Owners) {
        self.owners = owners;
    }

    /// Whether `client` is `user`'s own to write under: one that wrote under that name, or that nobody has used. A
    /// client that wrote without a name is everybody's who has none. The server's own client is nobody's.
    pub fn is_own(&self, client: ClientId, user: &str) -> bool {
        if client.0 == self.doc.client_id().get() {
            return false;
        }
        match self.owners.owner(client) {
            Some(owner) => owner == user,
            None => user.is_empty() || self.ledger.clock(client) == 0,
        }
    }

    /// Whether `user` has written more than comments in this map: an editor, at least once.
    pub fn has_edited(&self, user: &str) -> bool {
        let mut clients = self.owners.clients_of(user).iter();
        clients.any(|client| self.ledger.has_edited(*client))
    }

    /// Clients of `update` under which nobody has written so far.
    pub(super) fn unused_clients(&self, update: &Scanned) -> Vec<ClientId> {
        let clients = update.clients().map(|(client, ..)| client);
        clients
            .filter(|client| self.ledger.clock(*client) == 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_of_who_wrote_under_it_first() {
        let mut owners = Owners::default();
        owners.claim(ClientId(7), "");
        owners.claim(ClientId(7), "ana");
        owners.claim(ClientId(7), "ben");
        owners.claim(ClientId(9), "ben");
        owners.claim(ClientId(8), "ana");
        assert_eq!(owners.owner(ClientId(7)), Some("ana"));
        assert_eq!(owners.owner(ClientId(6)), None);
        let people = vec![
            ("ana", vec![ClientId(7), ClientId(8)]),
            ("ben", vec![ClientId(9)]),
        ];
        assert_eq!(owners.people(), people);
    }
}
