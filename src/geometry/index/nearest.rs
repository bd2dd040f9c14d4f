//! The nearest features: best first through the tree, by what a box can be nearer at most, refined by the
//! features' own distances.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rstar::{AABB, ParentNode, RTreeNode};

use super::{Entry, SpatialIndex};
use crate::geometry::BBox;
use crate::geometry::geodesic::distance_to_box_min;

impl<K: Ord + Clone> SpatialIndex<K> {
    /// Up to `count` features nearest to a position (longitude, latitude), none farther than `within_m` metres, with
    /// their distances in metres, the nearest first; of equally near ones the smaller key first.
    ///
    /// `distance` yields the distance of a feature, such as
    /// [`distance_to`](crate::geometry::geodesic::distance_to) of its geometry, or `None` to leave it out. It is asked
    /// once about a feature, and only as long as the feature's box could be among the nearest.
    pub fn nearest(
        &self,
        from: [f64; 2],
        count: usize,
        within_m: f64,
        mut distance: impl FnMut(&K) -> Option<f64>,
    ) -> Vec<(K, f64)> {
        let mut found = Vec::new();
        let mut waiting = BinaryHeap::from([Reverse(Step {
            metres: 0.0,
            at: At::Node(self.tree.root()),
        })]);
        while found.len() < count {
            let Some(Reverse(Step { metres, at })) =
                waiting.pop().filter(|step| step.0.metres <= within_m)
            else {
                break;
            };
            match at {
                At::Node(node) => waiting.extend(
                    node.children()
                        .iter()
                        .map(|child| Reverse(Step::to(from, child))),
                ),
                At::Feature(entry) => {
                    let exact = distance(&entry.key).filter(|metres| !metres.is_nan());
                    waiting.extend(exact.map(|metres| {
                        Reverse(Step {
                            metres,
                            at: At::Measured(&entry.key),
                        })
                    }));
                }
                At::Measured(key) => found.push((key.clone(), metres)),
            }
        }
        found
    }
}

/// Something to look at, and how near it can be at best.
struct Step<'a, K> {
    metres: f64,
    at: At<'a, K>,
}

enum At<'a, K> {
    Node(&'a ParentNode<Entry<K>>),
    Feature(&'a Entry<K>),
    Measured(&'a K),
}

impl<'a, K> Step<'a, K> {
    fn to(from: [f64; 2], child: &'a RTreeNode<Entry<K>>) -> Self {
        match child {
            RTreeNode::Leaf(entry) => Self {
                metres: distance_to_box_min(from, &entry.bbox),
                at: At::Feature(entry),
            },
            RTreeNode::Parent(node) => Self {
                metres: distance_to_box_min(from, &planar(&node.envelope())),
                at: At::Node(node),
            },
        }
    }
}

fn planar(envelope: &AABB<[f64; 2]>) -> BBox {
    let ([west, south], [east, north]) = (envelope.lower(), envelope.upper());
    BBox::of_point(west, south).union(&BBox::of_point(east, north))
}

impl<K> At<'_, K> {
    /// What may hide something equally near comes before what is known.
    fn rank(&self) -> u8 {
        match self {
            Self::Node(_) => 0,
            Self::Feature(_) => 1,
            Self::Measured(_) => 2,
        }
    }
}

impl<K: Ord> Ord for Step<'_, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |at: &At<'_, K>, other: &At<'_, K>| match (at, other) {
            (At::Measured(a), At::Measured(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        self.metres
            .total_cmp(&other.metres)
            .then(self.at.rank().cmp(&other.at.rank()))
            .then_with(|| key(&self.at, &other.at))
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
