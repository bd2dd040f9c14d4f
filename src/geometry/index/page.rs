//! Features in order of their keys, a page at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use super::{Region, SpatialIndex};

/// Which features to list.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery<'a, K> {
    /// Only those whose box meets this; `None` for all.
    pub region: Option<&'a Region>,
    /// Whether features without positions are listed; OGC API - Features demands it in queries by box (Part 1,
    /// requirement on `bbox`).
    pub unplaced: Unplaced,
    /// Only keys greater than this one: the last key of the page before.
    pub after: Option<&'a K>,
    /// Keys on the page, at most.
    pub limit: usize,
}

/// What becomes of features without positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// They are listed.
    Listed,
    /// They are left out.
    LeftOut,
}

/// A page of keys in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// The keys.
    pub keys: Vec<K>,
    /// Whether there are more after the last key.
    pub more: bool,
}

/// Features looked at in order of their keys for each one that is wanted, before the tree is asked: enough for
/// dense matches and cheap enough to be in vain.
const WALK_PER_KEY: usize = 16;

impl<K: Ord + Clone> SpatialIndex<K> {
    /// The features of a query in ascending order of their keys, of those the ones for which `wanted` is true
    /// (their layer fits, their geometry really meets the area).
    ///
    /// `wanted` is asked in order of keys, about features whose box fits, and no more often than the page needs.
    /// Where many of the features match, nothing but the page is collected; else references to those found.
    pub fn page(&self, query: &PageQuery<'_, K>, mut wanted: impl FnMut(&K) -> bool) -> Page<K> {
        let mut filling = Filling {
            keys: Vec::new(),
            limit: query.limit,
        };
        let steps = query.limit.saturating_add(1).saturating_mul(WALK_PER_KEY);
        let start = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut reached = start;
        let mut ended = true;
        for (step, (key, bbox)) in self.places.range((start, Bound::Unbounded)).enumerate() {
            if step >= steps && query.region.is_some() {
                ended = false;
                break;
            }
            reached = Bound::Excluded(key);
            let fits = match (bbox, query.region) {
                (None, _) => query.unplaced == Unplaced::Listed,
                (Some(bbox), Some(region)) => region.meets(bbox),
                (Some(_), None) => true,
            };
            if fits && wanted(key) && filling.push(key) == Room::None {
                return filling.finish();
            }
        }
        if let (false, Some(region)) = (ended, query.region) {
            self.fill(region, query.unplaced, reached, &mut filling, wanted);
        }
        filling.finish()
    }

    /// Goes on after `reached` with what the tree finds, merged with what it does not hold.
    fn fill(
        &self,
        region: &Region,
        unplaced: Unplaced,
        reached: Bound<&K>,
        filling: &mut Filling<K>,
        mut wanted: impl FnMut(&K) -> bool,
    ) {
        let is_after = |key: &K| match reached {
            Bound::Excluded(last) => key > last,
            _ => true,
        };
        let mut found: BinaryHeap<Reverse<&K>> = self
            .within(region)
            .filter(|key| is_after(key))
            .map(Reverse)
            .collect();
        let listed = unplaced == Unplaced::Listed;
        let mut others = self
            .unplaced
            .range((reached, Bound::Unbounded))
            .filter(|_| listed)
            .peekable();
        loop {
            let next = match (found.peek(), others.peek()) {
                (Some(Reverse(a)), Some(b)) if *b < *a => others.next(),
                (Some(_), _) => found.pop().map(|Reverse(key)| key),
                (None, _) => others.next(),
            };
            let Some(key) = next else { return };
            if wanted(key) && filling.push(key) == Room::None {
                return;
            }
        }
    }
}

/// A page being filled, with one key more to know whether there are more.
struct Filling<K> {
    keys: Vec<K>,
    limit: usize,
}

#[derive(PartialEq, Eq)]
enum Room {
    Left,
    None,
}

impl<K: Clone> Filling<K> {
    fn push(&mut self, key: &K) -> Room {
        self.keys.push(key.clone());
        if self.keys.len() > self.limit {
            Room::None
        } else {
            Room::Left
        }
    }

    fn finish(mut self) -> Page<K> {
        let more = self.keys.len() > self.limit;
        self.keys.truncate(self.limit);
        Page {
            keys: self.keys,
            more,
        }
    }
}
