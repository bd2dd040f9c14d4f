//! Lengths, areas and distances on the WGS 84 ellipsoid, in metres and square metres.
//!
//! Edges are taken as geodesics, the shortest ways between their vertices, as QGIS and PostGIS's `geography` do. The
//! algorithms are Karney's (Algorithms for geodesics, J. Geodesy 87, 2013): 15 nm a distance, about 0.1 m² of
//! area a vertex. Heights do not count. Nothing is said (`None`) where a latitude is beyond ±90 degrees;
//! longitudes count round and round. A geometry that crosses itself has an area of no meaning.
//!
//! | work | time |
//! |---|---|
//! | [`measures`] | about 1 µs a vertex |
//! | [`distance_to`] | about 0.1 µs a vertex |

use geo::algorithm::line_measures::{Distance, Geodesic};
use geo::{GeodesicArea, LineString, Polygon};

use super::outline::{edges, outlines};
use super::plane::{Edge, Point, Ray, ray};
use super::shape::lon_lat;
use super::sphere::{METRES_PER_RADIAN_MIN, angle, angle_to_box, nearest_on_edge};
use super::{BBox, Geometry, Kind, Segment, Shape};

/// How long and how large a geometry is. What a kind does not have is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// Metres along its lines.
    pub length_m: f64,
    /// Metres along all rings of its polygons, those of holes included.
    pub perimeter_m: f64,
    /// Square metres of its polygons, holes subtracted, whichever way the rings run. Each ring encloses the
    /// smaller of the two areas into which it divides the earth.
    pub area_m2: f64,
}

/// The measures of a geometry, those of a collection added up; `None` if a latitude is out of range.
#[must_use]
pub fn measures(geometry: &Geometry) -> Option<Measures> {
    geometry
        .shapes()
        .iter()
        .try_fold(Measures::default(), |sum, shape| {
            let one = shape_measures(shape)?;
            Some(Measures {
                length_m: sum.length_m + one.length_m,
                perimeter_m: sum.perimeter_m + one.perimeter_m,
                area_m2: sum.area_m2 + one.area_m2,
            })
        })
}

/// [`measures`] of a shape.
#[must_use]
pub fn shape_measures(shape: &Shape) -> Option<Measures> {
    if !is_measurable(shape) {
        return None;
    }
    let points = |segment: &Segment| -> Vec<Point> {
        let vertices = segment.chunks_exact(shape.dims().numbers());
        vertices.filter_map(lon_lat).map(Point::from).collect()
    };
    let mut sum = Measures::default();
    for part in shape.parts() {
        match shape.kind() {
            Kind::Point | Kind::MultiPoint => {}
            Kind::LineString | Kind::MultiLineString => {
                let lines = part.iter().map(|segment| along(&points(segment)));
                sum.length_m += lines.sum::<f64>();
            }
            Kind::Polygon | Kind::MultiPolygon => {
                let rings: Vec<(f64, f64)> =
                    part.iter().map(|segment| ring(points(segment))).collect();
                sum.perimeter_m += rings.iter().map(|(perimeter, _)| perimeter).sum::<f64>();
                let holes: f64 = rings.iter().skip(1).map(|(_, area)| area).sum();
                let exterior = rings.first().map_or(0.0, |(_, area)| *area);
                sum.area_m2 += (exterior - holes).max(0.0);
            }
        }
    }
    Some(sum)
}

/// Metres between two positions (longitude, latitude); `None` if a latitude is out of range.
#[must_use]
pub fn distance_m(a: [f64; 2], b: [f64; 2]) -> Option<f64> {
    let (a, b) = (Point::from(a), Point::from(b));
    (has_latitude(a) && has_latitude(b)).then(|| between(a, b))
}

/// Metres from a position (longitude, latitude) to the nearest point of a geometry; 0 inside a polygon. `None`
/// without positions, or where a latitude is out of range.
///
/// Which point of an edge or line is nearest is decided on a sphere, so the distance to lines and polygons may
/// be up to 0.5 % too great; that to a single point is exact. Here edges are straight in longitude and latitude
/// (RFC 7946 §3.1.1).
#[must_use]
pub fn distance_to(geometry: &Geometry, from: [f64; 2]) -> Option<f64> {
    let found = |shape: &Shape| shape_distance(shape, from);
    match geometry {
        Geometry::Shape(shape) => found(shape),
        Geometry::Other(_) => geometry.shapes().iter().filter_map(found).reduce(f64::min),
    }
}

/// Metres from a position that nothing in `area` is nearer than; 0 inside. `area` may cross the antimeridian.
pub(super) fn distance_to_box_min(from: [f64; 2], area: &BBox) -> f64 {
    angle_to_box(Point::from(from), area) * METRES_PER_RADIAN_MIN
}

fn shape_distance(shape: &Shape, from: [f64; 2]) -> Option<f64> {
    let from = Point::from(from);
    if !is_measurable(shape) || !has_latitude(from) {
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
    Some(between(from, best.0))
}

fn around(edge: &Edge) -> BBox {
    let one = BBox::of_point(edge.start.x, edge.start.y);
    one.union(&BBox::of_point(edge.end.x, edge.end.y))
}

fn is_measurable(shape: &Shape) -> bool {
    shape
        .vertices()
        .filter_map(lon_lat)
        .map(Point::from)
        .all(has_latitude)
}

fn has_latitude(point: Point) -> bool {
    point.x.is_finite() && (-90.0..=90.0).contains(&point.y)
}

fn between(a: Point, b: Point) -> f64 {
    Geodesic.distance(geo::Point(a), geo::Point(b))
}

fn along(points: &[Point]) -> f64 {
    points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(a, b)| between(*a, *b))
        .sum()
}

/// Perimeter and area of a ring.
fn ring(points: Vec<Point>) -> (f64, f64) {
    let polygon = Polygon::new(LineString::new(points), Vec::new());
    let (perimeter, area) = polygon.geodesic_perimeter_area_signed();
    (perimeter, area.abs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shape(kind: Kind, text: &str) -> Shape {
        Shape::from_stored(kind, &serde_json::from_str(text).unwrap()).unwrap()
    }

    fn measured(kind: Kind, text: &str) -> Measures {
        measures(&Geometry::Shape(shape(kind, text))).unwrap()
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
            distance_m([174.81, -41.32], [-5.5, 40.96]).unwrap(),
            19_959_679.267,
            1e-3,
        );
        close(
            distance_m([-73.8, 40.6], [-0.5, 51.6]).unwrap(),
            5_551_759.400,
            1e-3,
        );
        // GeodTest's first line: latitude 36.53..., nearly antipodal points.
        let (a, b) = (
            [0.0, 36.530_042_355_041],
            [5.762_344_694_676_510_456, -48.164_270_779_097_768_864],
        );
        close(distance_m(a, b).unwrap(), 9_398_502.043_443_7, 1e-3);
        // A quarter of the meridian of WGS 84.
        close(
            distance_m([0.0, 0.0], [0.0, 90.0]).unwrap(),
            10_001_965.729_3,
            1e-3,
        );
        close(
            distance_m([179.0, 0.0], [-179.0, 0.0]).unwrap(),
            222_638.981_586_5,
            1e-3,
        );
        assert_eq!(distance_m([0.0, 91.0], [0.0, 0.0]), None);
    }

    #[test]
    fn areas_are_those_that_geographiclib_publishes() {
        // Planimeter's test 0: a square of four points around a pole, given as perimeter and area.
        let pole = measured(Kind::Polygon, "[[[0,89],[90,89],[180,89],[270,89],[0,89]]]");
        close(pole.perimeter_m, 631_819.874_5, 1e-4);
        close(pole.area_m2, 24_952_305_678.0, 1.0);
        // Planimeter's test 0, second polygon, around the crossing of equator and zero meridian.
        let equator = measured(Kind::Polygon, "[[[-1,0],[0,-1],[1,0],[0,1],[-1,0]]]");
        close(equator.perimeter_m, 627_598.273_1, 1e-4);
        close(equator.area_m2, 24_619_419_146.0, 1.0);
        // Planimeter's test 0, third polygon: an octant of the earth.
        let octant = measured(Kind::Polygon, "[[[0,90],[0,0],[90,0],[0,90]]]");
        close(octant.perimeter_m, 30_022_685.0, 1.0);
        close(octant.area_m2, 63_758_202_715_511.0, 1.0);
    }

    #[test]
    fn holes_are_subtracted_and_the_way_round_does_not_matter() {
        let (outer, inner) = (
            "[[0,0],[2,0],[2,2],[0,2],[0,0]]",
            "[[1,1],[1.5,1],[1.5,1.5],[1,1]]",
        );
        let back = "[[0,0],[0,2],[2,2],[2,0],[0,0]]";
        let area = |rings: &str| measured(Kind::Polygon, &format!("[{rings}]")).area_m2;
        let expected = area(outer) - area(inner);
        close(area(&format!("{outer},{inner}")), expected, 1e-3);
        close(area(&format!("{back},{inner}")), expected, 1e-3);
        let parts = measured(Kind::MultiPolygon, &format!("[[{outer}],[{inner}]]"));
        close(parts.area_m2, area(outer) + area(inner), 1e-3);
    }

    #[test]
    fn lines_have_lengths_and_points_have_nothing() {
        let line = measured(Kind::LineString, "[[0,0],[0,90],[0,0]]");
        close(line.length_m, 2.0 * 10_001_965.729_3, 1e-3);
        assert_eq!((line.perimeter_m, line.area_m2), (0.0, 0.0));
        let lines = measured(Kind::MultiLineString, "[[[0,0],[0,90]],[[5,0],[5,90]]]");
        close(lines.length_m, line.length_m, 1e-3);
        assert_eq!(
            measured(Kind::MultiPoint, "[[0,0],[1,1]]"),
            Measures::default()
        );
        assert_eq!(
            shape_measures(&shape(Kind::LineString, "[[0,0],[0,95]]")),
            None
        );
    }

    #[test]
    fn the_distance_to_a_geometry_is_that_to_its_nearest_point() {
        let to = |kind, text: &str, from| {
            distance_to(&Geometry::Shape(shape(kind, text)), from).unwrap()
        };
        let degree = distance_m([0.0, 0.0], [0.0, 1.0]).unwrap();
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
        close(in_hole, distance_m([2.0, 1.5], [2.0, 1.0]).unwrap(), 1.0);
        let two = "[[[[0,0],[1,0],[1,1],[0,0]]],[[[5,5],[6,5],[6,6],[5,5]]]]";
        assert_eq!(to(Kind::MultiPolygon, two, [0.9, 0.5]), 0.0);
        assert_eq!(to(Kind::MultiPolygon, two, [5.9, 5.5]), 0.0);
    }
}
