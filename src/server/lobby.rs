//! Connections on which nothing was asked yet: so many at most. Where one more comes, the one that has waited longest
//! gives way, of the address that has most of them; so whoever opens connections and says nothing pushes out its own.
//! Start at [`Lobby::enter`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Which share of all connections may wait here.
const SHARE: usize = 4;

/// All that wait.
#[derive(Debug)]
pub struct Lobby {
    guests_max: usize,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    by_number: BTreeMap<u64, (IpAddr, CancellationToken)>,
    by_address: HashMap<IpAddr, usize>,
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

    /// A connection from `address` has come.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Guest {
        let gives_way = CancellationToken::new();
        let mut guests = self.lock();
        let number = guests.next;
        guests.next = number.wrapping_add(1);
        guests
            .by_number
            .insert(number, (address, gives_way.clone()));
        *guests.by_address.entry(address).or_default() += 1;
        let evicted = (guests.by_number.len() > self.guests_max)
            .then(|| guests.evict())
            .flatten();
        drop(guests);
        if let Some(evicted) = evicted {
            metrics::counter!("mapweave_connections_gave_way_total").increment(1);
            evicted.cancel();
        }
        Guest {
            lobby: self.clone(),
            number,
            asked: AtomicBool::new(false),
            gives_way,
        }
    }

    /// Held for a look at all guests at most, and never over an await.
    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn evict(&mut self) -> Option<CancellationToken> {
        let busiest = self.by_address.iter().max_by_key(|(_, count)| **count);
        let (busiest, _) = busiest?;
        let theirs = |(_, (address, _)): &(&u64, &(IpAddr, CancellationToken))| address == busiest;
        let oldest = self
            .by_number
            .iter()
            .find(theirs)
            .map(|(number, _)| *number)?;
        self.remove(oldest)
    }

    fn remove(&mut self, number: u64) -> Option<CancellationToken> {
        let (address, token) = self.by_number.remove(&number)?;
        if let Some(count) = self.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(token)
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
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn the_oldest_of_the_busiest_address_gives_way() {
        let lobby = Lobby::new(12);
        let alone = lobby.enter(address(1));
        let many: Vec<Guest> = (0..3).map(|_| lobby.enter(address(2))).collect();
        let gone = |guests: &[Guest]| -> Vec<bool> {
            let gone = guests.iter().map(|guest| guest.gives_way.is_cancelled());
            gone.collect()
        };
        assert_eq!(gone(&many), [true, false, false]);
        assert!(!alone.gives_way.is_cancelled());
        // Whoever has asked counts no more.
        many[1].asks();
        let _newer = lobby.enter(address(2));
        assert_eq!(gone(&many), [true, false, false]);
        let _newest = lobby.enter(address(3));
        assert_eq!(gone(&many), [true, false, true]);
    }

    #[test]
    fn whoever_leaves_is_forgotten() {
        let lobby = Lobby::new(12);
        for last in 0..100 {
            drop(lobby.enter(address(last)));
        }
        let guests = lobby.lock();
        assert!(guests.by_number.is_empty() && guests.by_address.is_empty());
    }
}
