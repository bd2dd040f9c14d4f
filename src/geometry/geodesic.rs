//! Lengths and areas on the WGS 84 ellipsoid, in metres and square metres.
//!
//! Edges are taken as geodesics, the shortest ways between their vertices, as QGIS and PostGIS's `geography` do. The
//! algorithms are Karney's (Algorithms for geodesics, J. Geodesy 87, 2013): 15 nm a distance, about 0.1 m² of
//! area a vertex. Heights do not count. Nothing is said (`None`) where a latitude is beyond ±90 degrees;
//! longitudes count round and round. A geometry that crosses itself has an area of no meaning.
//!
//! [`measures`] takes about 1 µs a vertex; [`Geometry::metres_from`] measures distances.

use geo::{GeodesicArea, LineString, Polygon};

use super::distance::{between, has_latitudes};
use super::plane::Point;
use super::shape::lon_lat;
use super::{Geometry, Kind, Segment, Shape};

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
    if !has_latitudes(shape) {
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

fn along(points: &[Point]) -> f64 {
    points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(a, b)| between([a.x, a.y], [b.x, b.y]))
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
}
