//! What one person has open over all their devices, and those without a name by address. Start at [`Quotas`].
//!
//! Identity comes first: a crew behind one address are many people. Those without a name on loopback are not counted,
//! since a proxy there may stand for everybody; the bounds of the whole server hold for them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mapweave_proto::DocId;

use super::problem::Problem;
use crate::auth::Who;
use crate::config::Limits;

/// Whom something counts for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A person, by the id in their token.
    Person(Box<str>),
    /// Those without a name at an address.
    Address(IpAddr),
}

/// All counts.
#[derive(Debug, Default)]
pub struct Quotas {
    counts: Mutex<HashMap<Whose, Count>>,
}

/// What one has open.
#[derive(Debug, Default)]
struct Count {
    sessions: usize,
    /// Sessions by map.
    maps: HashMap<DocId, usize>,
}

/// A session that counts, until it is dropped.
#[derive(Debug)]
pub struct Counted {
    quotas: Arc<Quotas>,
    whose: Whose,
    map: DocId,
}

impl Whose {
    /// Whom a session of `who` from `address` counts for, if for anybody. Of an address of version 6 the network
    /// counts (RFC 6177): one machine has all of its addresses.
    pub fn of(who: &Who, address: IpAddr) -> Option<Self> {
        if !who.id.is_empty() {
            return Some(Self::Person(who.id.as_str().into()));
        }
        let address = address.to_canonical();
        if address.is_loopback() {
            return None;
        }
        Some(Self::Address(match address {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        }))
    }
}

impl Quotas {
    /// Counts one more session in `map`.
    ///
    /// # Errors
    /// A problem naming the bound that is reached.
    pub fn count(
        self: &Arc<Self>,
        whose: Whose,
        map: DocId,
        limits: &Limits,
    ) -> Result<Counted, Problem> {
        let mut counts = self.lock();
        let count = counts.entry(whose.clone()).or_default();
        let (sessions_max, named) = match whose {
            Whose::Person(_) => (
                limits.sessions_per_user_max,
                "you have as many connections as one person may (limits.sessions_per_user_max)",
            ),
            Whose::Address(_) => (
                limits.sessions_per_address_max,
                "your address has as many connections without a name as it may (limits.sessions_per_address_max)",
            ),
        };
        if count.sessions >= sessions_max {
            return Err(refused("sessions", named));
        }
        let is_new = !count.maps.contains_key(&map);
        if is_new && count.maps.len() >= limits.maps_per_user_max {
            let named = "you have as many maps open as one may (limits.maps_per_user_max)";
            return Err(refused("maps", named));
        }
        count.sessions += 1;
        *count.maps.entry(map).or_default() += 1;
        drop(counts);
        let quotas = self.clone();
        Ok(Counted { quotas, whose, map })
    }

    fn give_back(&self, whose: &Whose, map: DocId) {
        let mut counts = self.lock();
        let Some(count) = counts.get_mut(whose) else {
            return;
        };
        count.sessions = count.sessions.saturating_sub(1);
        if let Some(sessions) = count.maps.get_mut(&map) {
            *sessions = sessions.saturating_sub(1);
            if *sessions == 0 {
                count.maps.remove(&map);
            }
        }
        if count.sessions == 0 {
            counts.remove(whose);
        }
    }

    /// Held for a look-up only, never over an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.quotas.give_back(&self.whose, self.map);
    }
}

fn refused(what: &'static str, why: &str) -> Problem {
    metrics::counter!("mapweave_quota_refused_total", "what" => what).increment(1);
    Problem::unavailable(why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            sessions_per_user_max: 3,
            sessions_per_address_max: 4,
            maps_per_user_max: 2,
            ..Limits::default()
        }
    }

    fn person(id: &str) -> Whose {
        Whose::Person(id.into())
    }

    fn map(number: u8) -> DocId {
        DocId::from_bytes([number; 16])
    }

    #[test]
    fn one_person_s_bound_is_nobody_else_s() {
        let (quotas, limits) = (Arc::new(Quotas::default()), limits());
        let count = |whose, at| quotas.count(whose, map(at), &limits);
        let mut held: Vec<_> = (0..3).map(|_| count(person("eva"), 1).unwrap()).collect();
        assert!(count(person("eva"), 1).is_err());
        assert!(count(person("ida"), 1).is_ok());
        held.pop();
        let other = count(person("eva"), 2).unwrap();
        held.pop();
        assert!(count(person("eva"), 3).is_err(), "a third map");
        drop((held, other));
        assert!(quotas.lock().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn names_count_first_and_then_addresses_but_for_loopback() {
        let whose = |id: &str, address: &str| {
            let who = Who {
                id: id.to_owned(),
                name: String::new(),
            };
            Whose::of(&who, address.parse().unwrap())
        };
        assert_eq!(whose("eva", "10.0.0.1"), Some(person("eva")));
        assert_eq!(whose("eva", "127.0.0.1"), Some(person("eva")));
        assert_eq!(whose("", "10.0.0.1"), whose("", "::ffff:10.0.0.1"));
        assert_eq!(
            whose("", "2001:db8:1:2::3"),
            whose("", "2001:db8:1:2:ffff::4")
        );
        assert_ne!(whose("", "2001:db8:1:2::3"), whose("", "2001:db8:1:3::3"));
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(whose("", loopback), None);
        }
    }
}
