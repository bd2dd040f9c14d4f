//! Boxes in an R-tree (Guttman 1984; `rstar`'s R*): which of many things lie in an area, or nearest to a place.
//!
//! Keyed by whatever names the things; pure, like everything in [`geometry`](super). Boxes answer roughly, and
//! where a question needs the geometry itself, its holder answers through a closure.
//!
//! | work | time for n things, m of them found |
//! |---|---|
//! | [`SpatialIndex::bulk`] | n log n |
//! | [`SpatialIndex::insert`], [`SpatialIndex::remove`] | log n, unless many have the very same box |
//! | [`SpatialIndex::in_box`] | log n + m |
//! | [`SpatialIndex::nearest`] | log n + m, and one exact distance for each whose box is near enough |
//!
//! Memory is about 90 bytes a thing with keys of 16 bytes.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};

use rstar::{AABB, ParentNode, RTree, RTreeNode, RTreeObject};

use super::BBox;
use super::distance::least_to_box;
use super::plane::Point;

/// Degrees at which the tree's boxes end; far beyond everything that can be asked for, and near enough for what
/// the tree computes never to overflow.
const FARTHEST_DEG: f64 = 1e6;

/// Things with a box, or without one.
#[derive(Clone, Debug)]
pub struct SpatialIndex<K> {
    boxes: RTree<Placed<K>>,
    placeless: BTreeSet<K>,
}

#[derive(Clone, Debug)]
struct Placed<K> {
    key: K,
    bbox: BBox,
}

impl<K> RTreeObject for Placed<K> {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        envelope(&self.bbox)
    }
}

/// The tree finds what to take out by its box first.
impl<K: PartialEq> PartialEq for Placed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Ord + Clone> SpatialIndex<K> {
    /// All at once, which is several times faster than one by one and makes a better tree. Each key once.
    #[must_use]
    pub fn bulk(all: Vec<(K, Option<BBox>)>) -> Self {
        let mut placed = Vec::with_capacity(all.len());
        let mut placeless = BTreeSet::new();
        for (key, bbox) in all {
            match bbox {
                Some(bbox) => placed.push(Placed { key, bbox }),
                None => drop(placeless.insert(key)),
            }
        }
        Self {
            boxes: RTree::bulk_load(placed),
            placeless,
        }
    }

    /// Takes in a key that is not in the index.
    pub fn insert(&mut self, key: K, bbox: Option<BBox>) {
        match bbox {
            Some(bbox) => self.boxes.insert(Placed { key, bbox }),
            None => drop(self.placeless.insert(key)),
        }
    }

    /// Takes a key out that came in with this box; whether it was there.
    pub fn remove(&mut self, key: &K, bbox: Option<BBox>) -> bool {
        match bbox {
            Some(bbox) => self
                .boxes
                .remove(&Placed {
                    key: key.clone(),
                    bbox,
                })
                .is_some(),
            None => self.placeless.remove(key),
        }
    }

    /// How many things there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.boxes.size() + self.placeless.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those whose box shares a point with `area`, borders included, each once, in no order. `area` may cross the
    /// antimeridian.
    pub fn in_box<'a>(&'a self, area: &BBox) -> impl Iterator<Item = &'a K> + use<'a, K> {
        let [first, second] = area.halves();
        let in_half = |half: BBox| {
            let found = self.boxes.locate_in_envelope_intersecting(&envelope(&half));
            found.filter(move |placed| placed.bbox.intersects(&half))
        };
        let in_second = second.map(in_half).into_iter().flatten();
        // What reaches into both halves was found in the first.
        let again =
            move |placed: &&Placed<K>| !first.is_some_and(|first| placed.bbox.intersects(&first));
        let in_first = first.map(in_half).into_iter().flatten();
        in_first
            .chain(in_second.filter(again))
            .map(|placed| &placed.key)
    }

    /// Those without a box, in order.
    pub fn without_place(&self) -> impl Iterator<Item = &K> {
        self.placeless.iter()
    }

    /// The `limit` keys that `passes` lets through with the least `metres` from a place in degrees, nearest first;
    /// equally near ones in order of their keys. `metres` (of the geometry, such as
    /// [`Geometry::metres_from`](super::Geometry::metres_from)) is asked once for a key, and only as long as its box
    /// could be among the nearest; it must not be less than the distance to the key's box.
    pub fn nearest(
        &self,
        lon: f64,
        lat: f64,
        limit: usize,
        passes: impl Fn(&K) -> bool,
        metres: impl Fn(&K) -> Option<f64>,
    ) -> Vec<(K, f64)> {
        let from = Point { x: lon, y: lat };
        let mut found = Vec::new();
        let mut waiting = BinaryHeap::from([Reverse(Step {
            metres: 0.0,
            at: At::Node(self.boxes.root()),
        })]);
        while found.len() < limit {
            let Some(Reverse(step)) = waiting.pop() else {
                break;
            };
            match step.at {
                At::Node(node) => {
                    waiting.extend(
                        node.children()
                            .iter()
                            .map(|child| Reverse(Step::to(from, child))),
                    );
                }
                At::Thing(placed) if passes(&placed.key) => {
                    let exact = metres(&placed.key).filter(|metres| !metres.is_nan());
                    waiting.extend(exact.map(|metres| {
                        Reverse(Step {
                            metres,
                            at: At::Measured(&placed.key),
                        })
                    }));
                }
                At::Thing(_) => {}
                At::Measured(key) => found.push((key.clone(), step.metres)),
            }
        }
        found
    }
}

/// What the tree knows of a box. One across the antimeridian goes all the way round; what is found is always
/// compared with the box itself.
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

/// Something to look at on the way to the nearest, and how near it can be at best.
struct Step<'a, K> {
    metres: f64,
    at: At<'a, K>,
}

/// What may hide something equally near comes before what is known.
enum At<'a, K> {
    Node(&'a ParentNode<Placed<K>>),
    Thing(&'a Placed<K>),
    Measured(&'a K),
}

impl<'a, K> Step<'a, K> {
    fn to(from: Point, child: &'a RTreeNode<Placed<K>>) -> Self {
        match child {
            RTreeNode::Leaf(placed) => Self {
                metres: least_to_box(from, &placed.bbox),
                at: At::Thing(placed),
            },
            RTreeNode::Parent(node) => {
                let envelope = node.envelope();
                let ([west, south], [east, north]) = (envelope.lower(), envelope.upper());
                let bbox = BBox::of_point(west, south).union(&BBox::of_point(east, north));
                Self {
                    metres: least_to_box(from, &bbox),
                    at: At::Node(node),
                }
            }
        }
    }

    fn rank(&self) -> u8 {
        match self.at {
            At::Node(_) => 0,
            At::Thing(_) => 1,
            At::Measured(_) => 2,
        }
    }
}

impl<K: Ord> Ord for Step<'_, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = || match (&self.at, &other.at) {
            (At::Measured(a), At::Measured(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        self.metres
            .total_cmp(&other.metres)
            .then(self.rank().cmp(&other.rank()))
            .then_with(by_key)
    }
}

impl<K: Ord> PartialOrd for Step<'_, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Step<'_, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord> Eq for Step<'_, K> {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Dims, Geometry, Kind, Shape, metres_between};

    #[derive(Clone, Debug)]
    enum Change {
        Place(u32, Option<BBox>),
        Remove(u32),
    }

    /// Boxes on a grid so that borders meet, many across the antimeridian or ending on it.
    fn large() -> impl Strategy<Value = BBox> {
        let lon = || (-36..=36_i32).prop_map(|x| f64::from(x) * 5.0);
        let lat = || (-9..=9_i32).prop_map(|y| f64::from(y) * 10.0);
        (lon(), lat(), lon(), lat())
            .prop_map(|(west, a, east, b)| BBox::new(west, a.min(b), east, a.max(b)).unwrap())
    }

    /// Some reach as far as numbers do, as stored content may.
    fn small() -> impl Strategy<Value = BBox> {
        let far = prop_oneof![9 => Just(0.0), 1 => Just(1e308)];
        let sides = (-180.0..=170.0, -90.0..=80.0, 0.0..=10.0, 0.0..=10.0, far);
        sides.prop_map(|(x, y, w, h, far): (f64, f64, f64, f64, f64)| {
            BBox::of_point(x, y).union(&BBox::of_point(x + w + far, y + h))
        })
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let bbox =
            prop_oneof![1 => Just(None), 2 => large().prop_map(Some), 7 => small().prop_map(Some)];
        let change = prop_oneof![
            4 => (0..80_u32, bbox).prop_map(|(key, bbox)| Change::Place(key, bbox)),
            1 => (0..80_u32).prop_map(Change::Remove),
        ];
        prop::collection::vec(change, 0..200)
    }

    fn applied(changes: &[Change]) -> (SpatialIndex<u32>, BTreeMap<u32, Option<BBox>>) {
        let (mut index, mut plain) = (SpatialIndex::bulk(Vec::new()), BTreeMap::new());
        for change in changes {
            let (Change::Place(key, _) | Change::Remove(key)) = change;
            if let Some(before) = plain.remove(key) {
                assert!(index.remove(key, before));
            }
            if let Change::Place(key, bbox) = change {
                index.insert(*key, *bbox);
                plain.insert(*key, *bbox);
            }
        }
        (index, plain)
    }

    fn sorted<'a>(keys: impl Iterator<Item = &'a u32>) -> Vec<u32> {
        let mut keys: Vec<u32> = keys.copied().collect();
        keys.sort_unstable();
        keys
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_finds_what_looking_at_everything_finds(changes in changes(), area in large()) {
            let (index, plain) = applied(&changes);
            let meets = |bbox: &Option<BBox>| bbox.is_some_and(|bbox| bbox.intersects(&area));
            let expected: Vec<u32> = plain.iter().filter(|(_, bbox)| meets(bbox)).map(|(key, _)| *key).collect();
            prop_assert_eq!(sorted(index.in_box(&area)), expected.clone());
            prop_assert_eq!(index.len(), plain.len());
            let loaded = SpatialIndex::bulk(plain.clone().into_iter().collect());
            prop_assert_eq!(sorted(loaded.in_box(&area)), expected);
            let aside: Vec<u32> = plain.iter().filter(|(_, bbox)| bbox.is_none()).map(|(key, _)| *key).collect();
            prop_assert!(index.without_place().eq(&aside) && loaded.without_place().eq(&aside));
        }

        #[test]
        fn the_nearest_are_those_that_measuring_everything_finds(
            points in prop::collection::vec((-180.0..=180.0, -90.0..=90.0), 0..60),
            lines in prop::collection::vec((-180.0..=180.0, -90.0..=90.0, -180.0..=180.0, -90.0..=90.0), 0..20),
            (lon, lat) in (-180.0..=180.0, -90.0..=90.0), limit in 0..12_usize,
        ) {
            let points = points.into_iter().map(|(x, y)| (Kind::Point, vec![x, y]));
            let lines = lines.into_iter().map(|(a, b, c, d)| (Kind::LineString, vec![a, b, c, d]));
            let geometries: Vec<Geometry> = points.chain(lines)
                .map(|(kind, flat)| Geometry::Shape(Shape::new(kind, Dims::Two, vec![vec![flat]]).unwrap()))
                .collect();
            let index = SpatialIndex::bulk(geometries.iter().map(Geometry::bbox).enumerate().collect());
            let metres = |key: &usize| geometries[*key].metres_from(lon, lat);
            let odd = |key: &usize| !key.is_multiple_of(3);
            let mut expected: Vec<(usize, f64)> = (0..geometries.len()).filter(odd)
                .filter_map(|key| Some((key, metres(&key)?))).collect();
            expected.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            expected.truncate(limit);
            prop_assert_eq!(index.nearest(lon, lat, limit, odd, metres), expected);
        }
    }

    #[test]
    fn things_are_near_across_the_antimeridian_and_over_the_pole() {
        let places = [[179.9, 0.0], [-100.0, 0.0], [0.0, 89.0], [120.0, 70.0]];
        let boxes = places.map(|[x, y]| Some(BBox::of_point(x, y)));
        let index = SpatialIndex::bulk(boxes.into_iter().enumerate().collect());
        let nearest = |lon, lat| {
            index.nearest(
                lon,
                lat,
                1,
                |_| true,
                |key| Some(metres_between([lon, lat], places[*key])),
            )[0]
            .0
        };
        assert_eq!(nearest(-179.9, 0.0), 0);
        assert_eq!(nearest(180.0, 88.5), 2);
    }
}
