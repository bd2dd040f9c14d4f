//! Where features are: an R-tree over their boxes, beside a list of them in order of their keys.
//!
//! Pure, like everything in [`geometry`](super): the index knows keys and boxes and is told what moved. Boxes
//! answer roughly; where a question needs the geometry itself, its holder answers through a closure.
//!
//! | work | time for n features, m of them found |
//! |---|---|
//! | [`SpatialIndex::bulk_load`] | n log n |
//! | [`SpatialIndex::place`], [`SpatialIndex::remove`] | log n, unless thousands have the very same box |
//! | [`SpatialIndex::within`], [`SpatialIndex::count`] | log n + m |
//! | [`SpatialIndex::page`] | limit · log n where matches are dense, else log n + m + limit · log m |
//! | [`SpatialIndex::nearest`] | log n + found, and one exact distance for each feature whose box is near enough |
//!
//! Memory is about 130 bytes a feature with keys of 8 bytes.

mod nearest;
mod page;
mod region;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rstar::{AABB, RTree, RTreeObject};

use super::BBox;
pub use page::{Page, PageQuery, Unplaced};
pub use region::Region;

/// Features by place and by key. `K` names a feature and should be small to clone.
#[derive(Clone, Debug)]
pub struct SpatialIndex<K> {
    tree: RTree<Entry<K>>,
    places: BTreeMap<K, Option<BBox>>,
    unplaced: BTreeSet<K>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry<K> {
    bbox: BBox,
    key: K,
}

impl<K> RTreeObject for Entry<K> {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        envelope(&self.bbox)
    }
}

/// What the tree knows of a box. Positions out of any range must not overflow what the tree computes, and a box
/// across the antimeridian goes all the way round; what comes out is always compared with the box itself.
fn envelope(bbox: &BBox) -> AABB<[f64; 2]> {
    let [west, south, east, north] = bbox
        .sides()
        .map(|side| side.clamp(-FARTHEST_DEG, FARTHEST_DEG));
    if west > east {
        AABB::from_corners([-180.0, south], [180.0, north])
    } else {
        AABB::from_corners([west, south], [east, north])
    }
}

/// Degrees; far beyond everything that can be asked for.
const FARTHEST_DEG: f64 = 1e6;

impl<K: Ord + Clone> Default for SpatialIndex<K> {
    fn default() -> Self {
        Self::bulk_load([])
    }
}

impl<K: Ord + Clone> SpatialIndex<K> {
    /// An index of all these features at once; `None` for those without positions. Of two with one key the last
    /// counts.
    #[must_use]
    pub fn bulk_load(features: impl IntoIterator<Item = (K, Option<BBox>)>) -> Self {
        let places: BTreeMap<K, Option<BBox>> = features.into_iter().collect();
        let entries = places.iter().filter_map(|(key, bbox)| {
            Some(Entry {
                bbox: (*bbox)?,
                key: key.clone(),
            })
        });
        let unplaced = places.iter().filter(|(_, bbox)| bbox.is_none());
        Self {
            tree: RTree::bulk_load(entries.collect()),
            unplaced: unplaced.map(|(key, _)| key.clone()).collect(),
            places,
        }
    }

    /// Adds a feature or moves it to another box; `None` if it has no positions. Says whether anything changed.
    pub fn place(&mut self, key: K, bbox: Option<BBox>) -> bool {
        if self.places.get(&key) == Some(&bbox) {
            return false;
        }
        self.remove(&key);
        match bbox {
            Some(bbox) => self.tree.insert(Entry {
                bbox,
                key: key.clone(),
            }),
            None => {
                self.unplaced.insert(key.clone());
            }
        }
        self.places.insert(key, bbox);
        true
    }

    /// Forgets a feature. Says whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        match self.places.remove(key) {
            None => false,
            Some(None) => self.unplaced.remove(key),
            Some(Some(bbox)) => self
                .tree
                .remove(&Entry {
                    bbox,
                    key: key.clone(),
                })
                .is_some(),
        }
    }

    /// Number of features, those without positions included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no features.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The box of a feature; the inner `None` if it has no positions.
    #[must_use]
    pub fn bbox_of(&self, key: &K) -> Option<Option<BBox>> {
        self.places.get(key).copied()
    }

    /// Features whose boxes meet the region, borders included, in no particular order, each once. Not those without
    /// positions.
    pub fn within<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a K> {
        self.found(region).map(|entry| &entry.key)
    }

    /// How many features [`Self::within`] yields.
    #[must_use]
    pub fn count(&self, region: &Region) -> usize {
        self.found(region).count()
    }

    /// Features without positions, in order of their keys.
    pub fn unplaced(&self) -> impl Iterator<Item = &K> {
        self.unplaced.iter()
    }

    fn found<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Entry<K>> {
        (0..).zip(region.boxes()).flat_map(move |(number, area)| {
            let entries = self.tree.locate_in_envelope_intersecting(&envelope(area));
            // What meets several boxes of the region is found with the first of them.
            entries.filter(move |entry| region.first_met(&entry.bbox) == Some(number))
        })
    }
}
