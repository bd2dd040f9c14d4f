//! Metres on the ellipsoid (WGS 84) between a place and a geometry.

use geo::algorithm::line_measures::{Distance, Geodesic};

use super::outline::{edges, outlines};
use super::plane::{Edge, Point, Ray, ray};
use super::shape::lon_lat;
use super::sphere::{METRES_PER_RADIAN_MIN, angle, angle_to_box, nearest_on_edge};
use super::{BBox, Geometry, Shape};

/// Metres between two places in longitude and latitude, along the geodesic on WGS 84 (Karney 2013; accurate to
/// nanometres). Not a number where a latitude is beyond ±90 degrees; longitudes count round and round.
#[must_use]
pub fn between(a: [f64; 2], b: [f64; 2]) -> f64 {
    Geodesic.distance(geo::Point::from(a), geo::Point::from(b))
}

impl Geometry {
    /// Metres from a place in degrees to the nearest point of the geometry, 0 inside a polygon; `None` without
    /// positions, or where a latitude is out of range.
    ///
    /// Which point of an edge is nearest is decided on a sphere, the short way across the antimeridian too, so the
    /// distance may be up to 0.5 % too great; that to a single point is exact. Edges are straight in longitude
    /// and latitude (RFC 7946 §3.1.1). Takes about 0.1 µs a vertex.
    #[must_use]
    pub fn metres_from(&self, lon: f64, lat: f64) -> Option<f64> {
        let found = |shape: &Shape| shape_distance(shape, Point { x: lon, y: lat });
        match self {
            Self::Shape(shape) => found(shape),
            Self::Other(_) => self.shapes().iter().filter_map(found).reduce(f64::min),
        }
    }
}

/// Metres from a position that nothing in `area` is nearer than; 0 inside. `area` may cross the antimeridian.
pub(super) fn least_to_box(from: Point, area: &BBox) -> f64 {
    angle_to_box(from, area) * METRES_PER_RADIAN_MIN
}

fn shape_distance(shape: &Shape, from: Point) -> Option<f64> {
    if !has_latitudes(shape) || !has_latitude(from) {
        return None;
    }
    let vertices = shape.vertices().filter_map(lon_lat).map(Point::from);
    let nearest = vertices.min_by(|a, b| angle(from, *a).total_cmp(&angle(from, *b)))?;
    let mut best = (nearest, angle(from, nearest));
    let outlines = outlines(shape);
    let mut hits = 0_usize;
    let mut part = None;
    for edge in edges(&outlines) {
        if shape.kind().has_rings() {
            let of = outlines.get(edge.ring as usize).map(|outline| outline.part);
            if of != part && hits % 2 == 1 {
                return Some(0.0);
            }
            hits = if of == part { hits } else { 0 };
            part = of;
            match ray(&edge, from) {
                Ray::On => return Some(0.0),
                Ray::Hits => hits += 1,
                Ray::Misses => {}
            }
        }
        if angle_to_box(from, &around(&edge)) < best.1 {
            let on_edge = nearest_on_edge(from, edge.start, edge.end);
            if on_edge.1 < best.1 {
                best = on_edge;
            }
        }
    }
    if hits % 2 == 1 {
        return Some(0.0);
    }
    Some(between(from.into(), best.0.into()))
}

fn around(edge: &Edge) -> BBox {
    let one = BBox::of_point(edge.start.x, edge.start.y);
    one.union(&BBox::of_point(edge.end.x, edge.end.y))
}

/// Whether all latitudes are latitudes.
pub(super) fn has_latitudes(shape: &Shape) -> bool {
    shape
        .vertices()
        .filter_map(lon_lat)
        .map(Point::from)
        .all(has_latitude)
}

fn has_latitude(point: Point) -> bool {
    point.x.is_finite() && (-90.0..=90.0).contains(&point.y)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geometry::Kind;

    fn shape(kind: Kind, text: &str) -> Shape {
        Shape::from_stored(kind, &serde_json::from_str(text).unwrap()).unwrap()
    }

    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!(
            (value - expected).abs() <= tolerance,
            "{value} is not {expected}"
        );
    }

    #[test]
    fn distances_are_those_that_geographiclib_publishes() {
        // The examples of its documentation: Wellington to Salamanca, JFK to LHR.
        close(
            between([174.81, -41.32], [-5.5, 40.96]),
            19_959_679.267,
            1e-3,
        );
        close(between([-73.8, 40.6], [-0.5, 51.6]), 5_551_759.400, 1e-3);
        // GeodTest's first line: latitude 36.53..., nearly antipodal points.
        let (a, b) = (
            [0.0, 36.530_042_355_041],
            [5.762_344_694_676_511, -48.164_270_779_097_77],
        );
        close(between(a, b), 9_398_502.043_443_7, 1e-3);
        // A quarter of the meridian of WGS 84.
        close(between([0.0, 0.0], [0.0, 90.0]), 10_001_965.729_3, 1e-3);
        close(
            between([179.0, 0.0], [-179.0, 0.0]),
            222_638.981_586_5,
            1e-3,
        );
        assert!(between([0.0, 91.0], [0.0, 0.0]).is_nan());
    }

    #[test]
    fn the_distance_to_a_geometry_is_that_to_its_nearest_point() {
        let to = |kind, text: &str, from: [f64; 2]| {
            Geometry::Shape(shape(kind, text))
                .metres_from(from[0], from[1])
                .unwrap()
        };
        let degree = between([0.0, 0.0], [0.0, 1.0]);
        close(to(Kind::Point, "[0,1]", [0.0, 0.0]), degree, 1e-6);
        close(
            to(Kind::LineString, "[[-5,1],[5,1]]", [0.0, 0.0]),
            degree,
            1e-3,
        );
        close(
            to(Kind::MultiPoint, "[[179,0],[90,0]]", [-179.0, 0.0]),
            222_638.98,
            0.01,
        );
        let square = "[[[0,0],[4,0],[4,4],[0,4],[0,0]],[[1,1],[3,1],[3,3],[1,3],[1,1]]]";
        assert_eq!(to(Kind::Polygon, square, [0.5, 0.5]), 0.0);
        assert_eq!(to(Kind::Polygon, square, [1.0, 2.0]), 0.0);
        let in_hole = to(Kind::Polygon, square, [2.0, 1.5]);
        close(in_hole, between([2.0, 1.5], [2.0, 1.0]), 1.0);
        let two = "[[[[0,0],[1,0],[1,1],[0,0]]],[[[5,5],[6,5],[6,6],[5,5]]]]";
        assert_eq!(to(Kind::MultiPolygon, two, [0.9, 0.5]), 0.0);
        assert_eq!(to(Kind::MultiPolygon, two, [5.9, 5.5]), 0.0);
    }
}
