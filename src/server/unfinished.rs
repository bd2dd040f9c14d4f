//! What has arrived of messages and bodies that are not whole yet, or not applied: bounded over all connections together.
//!
//! Each connection may send messages as large as the limits allow, and as slowly as it likes; many of them could
//! fill the memory. Beyond the bound the one that holds most is turned away, with a code on which it comes back. What
//! is whole and being read counts on and is not turned away any more.
//! Start at [`Unfinished::share`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mapweave_proto::Bucket;
use tokio_util::sync::CancellationToken;

/// Bytes a second of such messages that are read for long, over all connections (64 MiB), and that many more at once: memory
/// for them has to be made, and whoever only fills it should not take the time of those who edit.
const BYTES_PER_S: u64 = 64 << 20;

/// Whoever holds no more than this is not held up by how fast others send: an edit that came in two packets, not a flood.
const FREE_BYTES: u64 = 64 << 10;

/// Somebody whose message is given up.
pub trait Evict: Send + Sync {
    /// Ends it soon. Must not wait, nor ask for a share.
    fn evict(&self);
}

impl Evict for CancellationToken {
    fn evict(&self) {
        self.cancel();
    }
}

/// All that is unfinished on a server.
pub struct Unfinished {
    bytes_max: u64,
    began: Instant,
    shares: Mutex<Shares>,
}

struct Shares {
    bytes: u64,
    arriving: Bucket,
    next: u64,
    holders: BTreeMap<u64, Holder>,
}

struct Holder {
    bytes: u64,
    /// Nobody once it is whole.
    evict: Option<Arc<dyn Evict>>,
}

/// What one connection holds; given back when dropped.
pub struct Share {
    of: Arc<Unfinished>,
    id: u64,
}

impl Unfinished {
    /// Nothing yet, and never more than `bytes_max`, but for what the evicted have not let go of.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            began: Instant::now(),
            shares: Mutex::new(Shares {
                bytes: 0,
                arriving: Bucket::new(BYTES_PER_S, BYTES_PER_S),
                next: 0,
                holders: BTreeMap::new(),
            }),
        })
    }

    /// A share of nothing for somebody who may be evicted.
    pub fn share(self: &Arc<Self>, evict: Arc<dyn Evict>) -> Share {
        let mut shares = self.lock();
        let id = shares.next;
        shares.next += 1;
        let evict = Some(evict);
        shares.holders.insert(id, Holder { bytes: 0, evict });
        Share {
            of: self.clone(),
            id,
        }
    }

    /// Bytes held by all.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Held for a look at all holders at most, and never over an await.
    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Keeps count of a connection in `share`, which is `made` once something waits and given back once nothing does; how
    /// long not to read on.
    pub fn count(
        share: &mut Option<Self>,
        bytes: usize,
        made: impl FnOnce() -> Self,
    ) -> Option<Duration> {
        match bytes {
            0 => {
                *share = None;
                None
            }
            bytes => share.get_or_insert_with(made).set(bytes),
        }
    }

    /// Notes how many bytes are held now; how long not to read on, where all together read too fast. Does nothing any more
    /// for the evicted.
    pub fn set(&self, bytes: usize) -> Option<Duration> {
        let now_ms = self.of.began.elapsed().as_millis() as u64;
        let mut shares = self.of.lock();
        let holder = shares.holders.get_mut(&self.id)?;
        let before = std::mem::replace(&mut holder.bytes, bytes as u64);
        shares.bytes = shares.bytes - before + bytes as u64;
        let grown = (bytes as u64).saturating_sub(before);
        let due_ms = shares.arriving.take(now_ms, grown);
        // What has not grown must not wait for others, or it would never be read on.
        let due_ms = due_ms.filter(|_| grown > 0 && bytes as u64 > FREE_BYTES);
        let mut evicted = Vec::new();
        while shares.bytes > self.of.bytes_max
            && let Some(largest) = shares.largest()
        {
            evicted.extend(shares.remove(largest));
        }
        drop(shares);
        for evict in evicted.into_iter().filter_map(|holder| holder.evict) {
            metrics::counter!("mapweave_unfinished_evicted_total").increment(1);
            evict.evict();
        }
        due_ms.map(|due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms)))
    }

    /// All has arrived: it counts until this is dropped, and others give way. False: it has been evicted.
    pub fn is_whole(&self) -> bool {
        let mut shares = self.of.lock();
        let holder = shares.holders.get_mut(&self.id);
        holder.map(|holder| holder.evict = None).is_some()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.lock().remove(self.id);
    }
}

impl Shares {
    /// Who holds most; of several the one that has held it for longest.
    fn largest(&self) -> Option<u64> {
        let growing = self.holders.iter().rev().filter(|(_, h)| h.evict.is_some());
        let largest = growing.max_by_key(|(_, h)| h.bytes);
        largest.map(|(id, _)| *id)
    }

    fn remove(&mut self, id: u64) -> Option<Holder> {
        let holder = self.holders.remove(&id)?;
        self.bytes -= holder.bytes;
        Some(holder)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shares(unfinished: &Arc<Unfinished>, bytes: &[usize]) -> Vec<(Share, CancellationToken)> {
        let share = |bytes: &usize| {
            let token = CancellationToken::new();
            let share = unfinished.share(Arc::new(token.clone()));
            share.set(*bytes);
            (share, token)
        };
        bytes.iter().map(share).collect()
    }

    fn evicted(shares: &[(Share, CancellationToken)]) -> Vec<bool> {
        shares
            .iter()
            .map(|(_, token)| token.is_cancelled())
            .collect()
    }

    #[test]
    fn beyond_the_bound_whoever_holds_most_is_evicted_and_nobody_else() {
        let unfinished = Unfinished::new(100);
        let held = shares(&unfinished, &[30, 50, 20]);
        assert_eq!(evicted(&held), [false; 3]);
        held[2].0.set(21);
        assert_eq!(evicted(&held), [false, true, false]);
        assert_eq!(unfinished.bytes(), 51);
        // The evicted counts no more, whatever it does before it ends.
        held[1].0.set(70);
        assert_eq!(unfinished.bytes(), 51);
    }

    #[test]
    fn what_is_whole_counts_on_and_gives_way_to_nobody() {
        let unfinished = Unfinished::new(100);
        let mut held = shares(&unfinished, &[80]);
        assert!(held[0].0.is_whole());
        held.extend(shares(&unfinished, &[21]));
        assert_eq!(evicted(&held), [false, true]);
        assert!(!held[1].0.is_whole());
        held.remove(0);
        held.extend(shares(&unfinished, &[100]));
        assert_eq!(evicted(&held), [true, false]);
    }

    #[test]
    fn what_is_finished_makes_room() {
        let unfinished = Unfinished::new(100);
        let mut held = shares(&unfinished, &[60, 40]);
        held[0].0.set(0);
        held.remove(1);
        assert_eq!(unfinished.bytes(), 0);
        held.extend(shares(&unfinished, &[100]));
        assert_eq!(evicted(&held), [false, false]);
    }

    #[test]
    fn one_alone_may_hold_all_and_not_more() {
        let unfinished = Unfinished::new(100);
        let held = shares(&unfinished, &[100]);
        assert_eq!(evicted(&held), [false]);
        held[0].0.set(101);
        assert_eq!((evicted(&held), unfinished.bytes()), (vec![true], 0));
    }

    #[test]
    fn a_flood_of_unfinished_messages_is_slowed_down_and_small_ones_are_not() {
        let unfinished = Unfinished::new(u64::MAX);
        let share = || unfinished.share(Arc::new(CancellationToken::new()));
        let (flood, small) = (share(), share());
        let much = usize::try_from(2 * BYTES_PER_S).unwrap();
        assert!(
            flood
                .set(much)
                .is_some_and(|pause| pause <= Duration::from_secs(1))
        );
        assert_eq!(flood.set(much), None, "it has not grown");
        assert_eq!(small.set(300), None);
        assert!(flood.set(much + 1).is_some());
    }
}
