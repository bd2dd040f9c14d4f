//! How fast one person sends, over all their connections and requests. Start at [`Paces`].
//!
//! It counts beside what each connection may send. Whoever is ahead of it is read more slowly on all their sockets, and their
//! requests are told to come later; what was received is handled in any case. Those without a name are not counted: a crew
//! behind one address are many people.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mapweave_proto::Bucket;

use super::problem::Problem;
use super::state::App;
use crate::auth::Who;
use crate::config::Limits;

/// Below so many people nobody is forgotten.
const KNOWN_MIN: usize = 64;

/// What one person has sent of late.
#[derive(Debug)]
pub struct Pace(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    messages: Bucket,
    bytes: Bucket,
}

impl Pace {
    /// Somebody who has sent nothing.
    pub fn new(limits: &Limits) -> Self {
        let Limits {
            user_messages_per_second,
            user_messages_burst,
            user_bytes_per_second,
            user_bytes_burst,
            ..
        } = *limits;
        Self(Mutex::new(Buckets {
            messages: Bucket::new(user_messages_per_second, user_messages_burst),
            bytes: Bucket::new(user_bytes_per_second, user_bytes_burst),
        }))
    }

    /// Counts what has come from them; when there may be more, if not at once. Both times are in milliseconds, on any clock
    /// that does not go back.
    pub fn take(&self, now_ms: u64, messages: u64, bytes: u64) -> Option<u64> {
        // Held for a few sums only, never over an await.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due_ms = [
            buckets.messages.take(now_ms, messages),
            buckets.bytes.take(now_ms, bytes),
        ];
        due_ms.into_iter().flatten().max()
    }

    /// When there may be more of them, if not now.
    pub fn due_ms(&self, now_ms: u64) -> Option<u64> {
        self.take(now_ms, 0, 0)
    }
}

/// The paces of all people, by the id in their tokens.
#[derive(Debug, Default)]
pub struct Paces(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    paces: HashMap<Box<str>, Arc<Pace>>,
    /// Once there are so many, those who are not here and owe nothing are forgotten.
    look_at: usize,
}

impl Paces {
    /// How fast `who` sends, the same for all that they have open; None for those without a name.
    pub fn of(&self, who: &Who, limits: &Limits, now_ms: u64) -> Option<Arc<Pace>> {
        if who.id.is_empty() {
            return None;
        }
        let mut known = self.lock();
        if let Some(pace) = known.paces.get(who.id.as_str()) {
            return Some(pace.clone());
        }
        if known.paces.len() >= known.look_at {
            let stays =
                |pace: &Arc<Pace>| Arc::strong_count(pace) > 1 || pace.due_ms(now_ms).is_some();
            known.paces.retain(|_, pace| stays(pace));
            known.look_at = known.paces.len().saturating_mul(2).max(KNOWN_MIN);
        }
        let pace = Arc::new(Pace::new(limits));
        known.paces.insert(who.id.as_str().into(), pace.clone());
        Some(pace)
    }

    /// Held for a look-up only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// How fast a person sends; None for those without a name.
    pub fn pace(&self, who: &Who) -> Option<Arc<Pace>> {
        self.paces.of(who, &self.config.limits, self.rooms.now_ms())
    }

    /// Counts a request of a person with so many bytes in its body.
    ///
    /// # Errors
    /// 503 where they have sent faster than one may, with when to come again; then this request does not count.
    pub fn pay(&self, who: &Who, bytes: u64) -> Result<(), Problem> {
        let Some(pace) = self.pace(who) else {
            return Ok(());
        };
        let now_ms = self.rooms.now_ms();
        if let Some(due_ms) = pace.due_ms(now_ms) {
            metrics::counter!("mapweave_quota_refused_total", "what" => "pace").increment(1);
            let wait_s = due_ms.saturating_sub(now_ms).div_ceil(1_000);
            let named = "you send faster than one person may (limits.user_messages_per_second, limits.user_bytes_per_second); nothing was changed";
            return Err(Problem::unavailable(named).come_again_in(wait_s));
        }
        pace.take(now_ms, 1, bytes);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            user_messages_per_second: 10,
            user_messages_burst: 5,
            user_bytes_per_second: 1_000,
            user_bytes_burst: 2_000,
            ..Limits::default()
        }
    }

    fn who(id: &str) -> Who {
        Who {
            id: id.to_owned(),
            name: String::new(),
        }
    }

    #[test]
    fn what_all_connections_of_a_person_send_counts_together_and_for_nobody_else() {
        let (paces, limits) = (Paces::default(), limits());
        let of = |id| paces.of(&who(id), &limits, 0).unwrap();
        let (phone, laptop) = (of("eva"), of("eva"));
        assert_eq!(phone.take(0, 3, 0), None);
        assert_eq!(laptop.take(0, 3, 0), Some(100));
        assert_eq!(phone.due_ms(0), Some(100));
        assert_eq!(of("ida").due_ms(0), None);
        assert_eq!(of("ida").take(0, 1, 3_000), Some(1_000));
        assert!(paces.of(&who(""), &limits, 0).is_none());
    }

    #[test]
    fn whoever_owes_something_is_not_forgotten_by_going_away_and_others_are() {
        let (paces, limits) = (Paces::default(), limits());
        let here = paces.of(&who("here"), &limits, 0).unwrap();
        paces
            .of(&who("owes"), &limits, 0)
            .unwrap()
            .take(0, 1_000, 0);
        for number in 0..1_000 {
            paces.of(&who(&number.to_string()), &limits, 0).unwrap();
        }
        assert!(paces.lock().paces.len() <= 2 * KNOWN_MIN);
        assert!(
            paces
                .of(&who("owes"), &limits, 0)
                .unwrap()
                .due_ms(0)
                .is_some()
        );
        let again = paces.of(&who("here"), &limits, 0).unwrap();
        assert!(Arc::ptr_eq(&here, &again));
    }
}
