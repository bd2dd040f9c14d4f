//! A geometry prepared for being compared with many others: which of them share a point with it.
//!
//! All in the plane of longitude and latitude, exactly; where a polygon crosses itself, inside is where a ray meets
//! its rings an odd number of times. Start with [`Area`].

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rstar::{AABB, RTree, RTreeObject};

use super::outline::{Outline, edges, outlines};
use super::plane::{Edge, Meeting, Point, Ray, meeting, ray};
use super::shape::lon_lat;
use super::{BBox, Geometry, Shape};

/// A geometry, most often a polygon, that many others are compared with.
///
/// Making one takes n log n; comparing it with a geometry of m vertices m log n and what lies close together.
#[derive(Debug)]
pub struct Area {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    plan: Plan,
    tree: RTree<Edge>,
}

/// What of a shape takes part in comparisons.
#[derive(Debug)]
struct Plan {
    bbox: BBox,
    /// Whether rings enclose something.
    fills: bool,
    outlines: Vec<Outline>,
    /// Points, and the vertices of lines and rings that are too short to have edges.
    loose: Vec<Point>,
}

impl Area {
    /// Prepares a geometry; one without positions meets nothing.
    #[must_use]
    pub fn new(geometry: &Geometry) -> Self {
        let member = |shape: &Shape| {
            let plan = Plan::new(shape)?;
            let tree = RTree::bulk_load(edges(&plan.outlines).collect());
            Some(Member { plan, tree })
        };
        Self {
            members: geometry.shapes().iter().filter_map(member).collect(),
        }
    }

    /// Whether the area and a geometry share a point, borders and the interior of polygons included.
    #[must_use]
    pub fn meets(&self, geometry: &Geometry) -> bool {
        match geometry {
            Geometry::Shape(shape) => self.meets_shape(shape),
            Geometry::Other(_) => geometry
                .shapes()
                .iter()
                .any(|shape| self.meets_shape(shape)),
        }
    }

    /// [`Self::meets`] for a shape.
    #[must_use]
    pub fn meets_shape(&self, shape: &Shape) -> bool {
        let near = |bbox: BBox| {
            self.members
                .iter()
                .any(|member| member.plan.bbox.meets(&bbox))
        };
        if !shape.bbox().is_some_and(near) {
            return false;
        }
        Plan::new(shape).is_some_and(|plan| self.members.iter().any(|member| member.meets(&plan)))
    }
}

impl Member {
    fn meets(&self, other: &Plan) -> bool {
        self.plan.bbox.meets(&other.bbox)
            && (self.touches_an_edge_of(other)
                || other.stand_ins().any(|point| self.covers(point))
                || self.plan.stand_ins().any(|point| other.covers(point)))
    }

    fn touches_an_edge_of(&self, other: &Plan) -> bool {
        edges(&other.outlines).any(|edge| {
            let look = |mine: &Edge| match meeting(&edge, mine) {
                Meeting::Apart => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            };
            self.tree
                .locate_in_envelope_intersecting_int(&edge.envelope(), look)
                .is_break()
        })
    }

    /// As [`Plan::covers`], looking only at the edges that the ray to the east may meet.
    fn covers(&self, point: Point) -> bool {
        let [_, _, east, _] = self.plan.bbox.sides();
        let ray_box = AABB::from_corners(
            point,
            Point {
                x: east.max(point.x),
                y: point.y,
            },
        );
        let near = self.tree.locate_in_envelope_intersecting(&ray_box).copied();
        self.plan.covers_by(point, near)
    }
}

impl Plan {
    fn new(shape: &Shape) -> Option<Self> {
        let outlines = outlines(shape);
        let joined = outlines.iter().filter(|outline| outline.edge_count() == 0);
        let loose = if outlines.is_empty() {
            shape
                .vertices()
                .filter_map(lon_lat)
                .map(Point::from)
                .collect()
        } else {
            joined
                .flat_map(|outline| outline.points().iter().copied())
                .collect()
        };
        Some(Self {
            bbox: shape.bbox()?,
            fills: shape.kind().has_rings(),
            outlines,
            loose,
        })
    }

    /// One point of each line and ring, and all loose ones: when no edges meet, a shape that meets another lies
    /// inside it with one of these.
    fn stand_ins(&self) -> impl Iterator<Item = Point> {
        let firsts = self
            .outlines
            .iter()
            .filter_map(|outline| outline.points().first());
        firsts.chain(&self.loose).copied()
    }

    fn covers(&self, point: Point) -> bool {
        self.covers_by(point, edges(&self.outlines))
    }

    fn covers_by(&self, point: Point, edges: impl Iterator<Item = Edge>) -> bool {
        let mut odd_parts = BTreeSet::new();
        for edge in edges {
            match ray(&edge, point) {
                Ray::On => return true,
                Ray::Hits => {
                    let part = self
                        .outlines
                        .get(edge.ring as usize)
                        .map(|outline| outline.part);
                    if !odd_parts.insert(part) {
                        odd_parts.remove(&part);
                    }
                }
                Ray::Misses => {}
            }
        }
        (self.fills && !odd_parts.is_empty()) || self.loose.contains(&point)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use geo::Intersects;
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::validity::{Limits, Severity, shape_faults};
    use crate::geometry::{Dims, Kind};

    fn shape(kind: Kind, text: &str) -> Shape {
        Shape::from_stored(kind, &serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn an_area_meets_what_touches_it_and_what_lies_inside_but_not_what_lies_in_its_hole() {
        let ring = "[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[2,2],[8,2],[8,8],[2,8],[2,2]]]";
        let area = Area::new(&Geometry::Shape(shape(Kind::Polygon, ring)));
        let meets = |kind, text: &str| area.meets_shape(&shape(kind, text));
        assert!(
            meets(Kind::Point, "[1,1]")
                && meets(Kind::Point, "[10,5]")
                && meets(Kind::Point, "[2,2]")
        );
        assert!(!meets(Kind::Point, "[5,5]") && !meets(Kind::Point, "[11,5]"));
        assert!(
            meets(Kind::LineString, "[[5,5],[9,5]]") && !meets(Kind::LineString, "[[3,3],[7,7]]")
        );
        assert!(meets(
            Kind::Polygon,
            "[[[-5,-5],[15,-5],[15,15],[-5,15],[-5,-5]]]"
        ));
        assert!(!meets(Kind::Polygon, "[[[3,3],[7,3],[7,7],[3,3]]]"));
        assert!(meets(Kind::Polygon, "[[[2,2],[7,3],[7,7],[2,2]]]"));
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let flat = |vertices| {
            prop::collection::vec((0..12_i32, 0..12_i32), vertices).prop_map(|all| {
                all.into_iter()
                    .flat_map(|(x, y)| [f64::from(x), f64::from(y)])
                    .collect::<Vec<f64>>()
            })
        };
        let shape = |kind, parts| Shape::new(kind, Dims::Two, parts).unwrap();
        prop_oneof![
            flat(1..2).prop_map(move |p| shape(Kind::Point, vec![vec![p]])),
            flat(1..4).prop_map(move |p| shape(Kind::MultiPoint, vec![vec![p]])),
            flat(2..5).prop_map(move |l| shape(Kind::LineString, vec![vec![l]])),
            (flat(2..4), flat(2..4))
                .prop_map(move |(a, b)| shape(Kind::MultiLineString, vec![vec![a], vec![b]])),
            flat(3..6).prop_map(move |r| shape(Kind::Polygon, vec![vec![r]])),
            (flat(3..5), flat(3..4)).prop_map(move |(a, b)| shape(Kind::Polygon, vec![vec![a, b]])),
            (flat(3..4), flat(3..4))
                .prop_map(move |(a, b)| shape(Kind::MultiPolygon, vec![vec![a], vec![b]])),
        ]
    }

    fn is_valid(shape: &Shape) -> bool {
        let faults = shape_faults(shape, Limits::default());
        faults
            .iter()
            .all(|fault| fault.severity() == Severity::Warning)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000, failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::default()
        })]

        #[test]
        fn areas_meet_what_geo_says_they_meet(a in shapes(), b in shapes()) {
            prop_assume!(is_valid(&a) && is_valid(&b));
            let expected = a.to_geo().intersects(&b.to_geo());
            prop_assert_eq!(Area::new(&Geometry::Shape(a.clone())).meets_shape(&b), expected);
            prop_assert_eq!(Area::new(&Geometry::Shape(b)).meets_shape(&a), expected);
        }
    }
}
