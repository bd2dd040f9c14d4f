//! Places for bodies that wait on disk: few, and not for the slowest. Where none is left, whoever comes takes the place
//! of the one that arrives most slowly; otherwise four connections that send a byte now and then would keep everybody
//! else out. Start at [`Places::enter`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Nobody is taken for slow before it has had so long.
const GRACE: Duration = Duration::from_secs(5);

/// Whoever is as fast as this, in bytes a second, keeps its place whatever happens (256 KiB).
const FAST_BYTES_PER_S: u64 = 256 << 10;

/// Places for a number of bodies.
#[derive(Debug)]
pub struct Places {
    count_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    bodies: BTreeMap<u64, Arriving>,
}

#[derive(Debug)]
struct Arriving {
    since: Instant,
    bytes: u64,
    /// Rings for the one who has to give way; nothing once it has arrived.
    gives_way: Option<CancellationToken>,
}

/// One of them, given back when dropped.
#[derive(Debug)]
pub struct Place {
    of: Arc<Places>,
    number: u64,
}

impl Places {
    /// So many places.
    pub fn new(count_max: usize) -> Arc<Self> {
        Arc::new(Self {
            count_max,
            taken: Mutex::default(),
        })
    }

    /// A place for somebody who may have to give way, as `gives_way` tells then. `None` where all have arrived, or
    /// arrive fast enough.
    pub fn enter(self: &Arc<Self>, gives_way: CancellationToken) -> Option<Place> {
        let now = Instant::now();
        let mut taken = self.lock();
        if taken.bodies.len() >= self.count_max {
            let slowest = taken.slowest(now)?;
            let evicted = taken.bodies.remove(&slowest)?.gives_way?;
            metrics::counter!("mapweave_uploads_gave_way_total").increment(1);
            evicted.cancel();
        }
        let number = taken.next;
        taken.next = number.wrapping_add(1);
        let arriving = Arriving {
            since: now,
            bytes: 0,
            gives_way: Some(gives_way),
        };
        taken.bodies.insert(number, arriving);
        let of = self.clone();
        Some(Place { of, number })
    }

    /// Held for a look at all places at most, and never over an await.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn slowest(&self, now: Instant) -> Option<u64> {
        let pace = |(number, body): (&u64, &Arriving)| {
            let arrives = body.gives_way.is_some();
            let elapsed = now.saturating_duration_since(body.since);
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let bytes_per_s = body.bytes.saturating_mul(1_000) / elapsed_ms.max(1);
            let slow = arrives && elapsed >= GRACE && bytes_per_s < FAST_BYTES_PER_S;
            slow.then_some((bytes_per_s, *number))
        };
        let slowest = self.bodies.iter().filter_map(pace).min();
        slowest.map(|(_, number)| number)
    }
}

impl Place {
    /// So many bytes have arrived.
    pub fn has(&self, bytes: u64) {
        if let Some(body) = self.of.lock().bodies.get_mut(&self.number) {
            body.bytes = bytes;
        }
    }

    /// All has arrived: the place is kept until it is dropped.
    pub fn settle(&self) {
        if let Some(body) = self.of.lock().bodies.get_mut(&self.number) {
            body.gives_way = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.lock().bodies.remove(&self.number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Makes a body look as if it had begun so long ago.
    fn began(place: &Place, ago: Duration) {
        let mut taken = place.of.lock();
        let body = taken.bodies.get_mut(&place.number).unwrap();
        body.since = body.since.checked_sub(ago).unwrap();
    }

    #[test]
    fn the_slowest_gives_way_unless_it_is_fast_new_or_whole() {
        let places = Places::new(2);
        let tokens = [(); 5].map(|()| CancellationToken::new());
        let enter = |index: usize| places.enter(tokens[index].clone());
        let (first, second) = (enter(0).unwrap(), enter(1).unwrap());
        assert!(enter(2).is_none(), "both have just begun");
        for place in [&first, &second] {
            began(place, Duration::from_secs(10));
            place.has(FAST_BYTES_PER_S * 20);
        }
        assert!(enter(2).is_none(), "both are fast");
        second.has(5_000);
        let third = enter(2).unwrap();
        assert!(tokens[1].is_cancelled() && !tokens[0].is_cancelled());
        // The place that was lost is not given back twice.
        drop(second);
        assert!(enter(3).is_none());
        began(&third, Duration::from_secs(10));
        third.settle();
        assert!(enter(3).is_none(), "what is whole stays");
        drop(third);
        assert!(enter(4).is_some());
    }
}
