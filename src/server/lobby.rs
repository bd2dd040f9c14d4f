//! Connections on which nothing was asked yet: so many at most. Where one more comes, the one that has waited longest
//! gives way, of the address that has most of them; so whoever opens connections and says nothing pushes out its own.
//! Nobody does so before it has had a moment to ask: further ones wait in the system's queue meanwhile. Start at
//! [`Lobby::enter`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Which share of all connections may wait here.
const SHARE: usize = 4;

/// How long everybody has for asking, whoever else comes.
const GRACE: Duration = Duration::from_secs(1);

/// How soon is looked again whether somebody has asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// All that wait.
#[derive(Debug)]
pub struct Lobby {
    guests_max: usize,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    by_number: BTreeMap<u64, Waiting>,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Waiting {
    address: IpAddr,
    since: Instant,
    gives_way: CancellationToken,
}

/// One of them, until it asks for something or is dropped.
#[derive(Debug)]
pub struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
    asked: AtomicBool,
    gives_way: CancellationToken,
}

impl Lobby {
    /// A lobby of a server that has `connections_max` connections at most.
    pub fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            guests_max: connections_max.div_ceil(SHARE),
            guests: Mutex::default(),
        })
    }

    /// A connection from `address` has come. Waits for a moment where others need that to ask.
    ///
    /// # Cancel safety
    /// Safe: nobody has entered then.
    pub async fn enter(self: &Arc<Self>, address: IpAddr) -> Guest {
        while let Some(wait) = self.make_room() {
            tokio::time::sleep(wait).await;
        }
        let gives_way = CancellationToken::new();
        let waiting = Waiting {
            address,
            since: Instant::now(),
            gives_way: gives_way.clone(),
        };
        let mut guests = self.lock();
        let number = guests.next;
        guests.next = number.wrapping_add(1);
        guests.by_number.insert(number, waiting);
        *guests.by_address.entry(address).or_default() += 1;
        drop(guests);
        Guest {
            lobby: self.clone(),
            number,
            asked: AtomicBool::new(false),
            gives_way,
        }
    }

    /// Makes room for one more, or says for how long nobody has to go; some may ask before.
    fn make_room(&self) -> Option<Duration> {
        let mut guests = self.lock();
        if guests.by_number.len() < self.guests_max {
            return None;
        }
        let oldest = guests.oldest_of_busiest()?;
        let waited = guests.by_number.get(&oldest)?.since.elapsed();
        if let Some(left) = GRACE.checked_sub(waited).filter(|left| !left.is_zero()) {
            return Some(left.min(LOOK_EVERY));
        }
        let evicted = guests.remove(oldest);
        drop(guests);
        if let Some(waiting) = evicted {
            metrics::counter!("mapweave_connections_gave_way_total").increment(1);
            waiting.gives_way.cancel();
        }
        None
    }

    /// Held for a look at all guests at most, and never over an await.
    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn oldest_of_busiest(&self) -> Option<u64> {
        let busiest = self.by_address.iter().max_by_key(|(_, count)| **count);
        let (busiest, _) = busiest?;
        let theirs = |(_, waiting): &(&u64, &Waiting)| waiting.address == *busiest;
        let oldest = self.by_number.iter().find(theirs);
        oldest.map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.by_number.remove(&number)?;
        if let Some(count) = self.by_address.get_mut(&waiting.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_address.remove(&waiting.address);
            }
        }
        Some(waiting)
    }
}

impl Guest {
    /// It has asked for something: it waits here no more, and does not give way any more. A spare call does nothing.
    pub fn asks(&self) {
        if !self.asked.swap(true, Relaxed) {
            self.lobby.lock().remove(self.number);
        }
    }

    /// Completes when it has to go.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn gives_way(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.asks();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    /// Makes everybody look as if it had waited for long.
    fn wait_long(lobby: &Lobby) {
        for waiting in lobby.lock().by_number.values_mut() {
            waiting.since = waiting.since.checked_sub(GRACE).unwrap();
        }
    }

    #[tokio::test]
    async fn the_oldest_of_the_busiest_address_gives_way_once_it_has_had_its_time() {
        let lobby = Lobby::new(12);
        let alone = lobby.enter(address(1)).await;
        let mut many = Vec::new();
        for _ in 0..2 {
            many.push(lobby.enter(address(2)).await);
        }
        assert!(lobby.make_room().is_some(), "nobody has had its time");
        wait_long(&lobby);
        many.push(lobby.enter(address(2)).await);
        let gone = |guests: &[Guest]| -> Vec<bool> {
            let gone = guests.iter().map(|guest| guest.gives_way.is_cancelled());
            gone.collect()
        };
        assert_eq!(gone(&many), [true, false, false]);
        assert!(!alone.gives_way.is_cancelled());
        // Whoever has asked counts no more.
        many[1].asks();
        let _newer = lobby.enter(address(2)).await;
        assert_eq!(gone(&many), [true, false, false]);
        wait_long(&lobby);
        let _newest = lobby.enter(address(3)).await;
        assert_eq!(gone(&many), [true, false, true]);
    }

    #[tokio::test]
    async fn whoever_leaves_is_forgotten() {
        let lobby = Lobby::new(12);
        for last in 0..100 {
            drop(lobby.enter(address(last)).await);
        }
        let guests = lobby.lock();
        assert!(guests.by_number.is_empty() && guests.by_address.is_empty());
    }
}
