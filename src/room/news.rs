//! Which maps have got new durable records: for those who follow a whole store, such as relays.
//!
//! A follower that is slow hears of each map once, however much has come. Start at [`Rooms::follow`](super::Rooms::follow).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use mapweave_proto::DocId;
use tokio::sync::Notify;

/// Tells all who follow.
#[derive(Default)]
pub(crate) struct News {
    followers: Mutex<Vec<Weak<Follower>>>,
}

#[derive(Default)]
struct Follower {
    changed: Mutex<BTreeSet<DocId>>,
    wake: Notify,
}

/// Hears of every map that gets records, until it is dropped.
pub struct Follows {
    follower: Arc<Follower>,
}

impl News {
    /// Records of `doc` have become durable.
    pub(crate) fn tell(&self, doc: DocId) {
        // Locks here are held for a few steps, never over an await.
        let mut followers = self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| match follower.upgrade() {
            Some(follower) => {
                follower.lock().insert(doc);
                follower.wake.notify_one();
                true
            }
            None => false,
        });
    }

    pub(crate) fn follow(&self) -> Follows {
        let follower = Arc::<Follower>::default();
        let mut followers = self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        followers.push(Arc::downgrade(&follower));
        Follows { follower }
    }
}

impl Follower {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<DocId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follows {
    /// Maps with records that have become durable since the last call; waits until there are any.
    ///
    /// # Cancel safety
    /// Safe: what is not told by this call is told by the next.
    pub async fn next(&mut self) -> BTreeSet<DocId> {
        loop {
            let changed = std::mem::take(&mut *self.follower.lock());
            if !changed.is_empty() {
                return changed;
            }
            self.follower.wake.notified().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_hears_of_each_map_once_however_late_it_asks() {
        let news = News::default();
        let (one, two) = (DocId::fresh(), DocId::fresh());
        news.tell(one);
        let mut follows = news.follow();
        for doc in [one, two, one] {
            news.tell(doc);
        }
        assert_eq!(follows.next().await, BTreeSet::from([one, two]));
        news.tell(two);
        assert_eq!(follows.next().await, BTreeSet::from([two]));
        drop(follows);
        news.tell(one);
        assert!(news.followers.lock().unwrap().is_empty());
    }
}
