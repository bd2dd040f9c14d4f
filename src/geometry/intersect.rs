//! Whether a shape and a box share a point, in the plane of longitude and latitude.
//!
//! Edges are straight in that plane (RFC 7946 §3.1.1); a box across the antimeridian is taken as its two halves.

use super::shape::lon_lat;
use super::{BBox, Kind, Part, Segment, Shape};

impl Shape {
    /// Whether any point of the shape, the interior of polygons included, lies in `area` or on its border.
    /// Linear in the number of vertices.
    #[must_use]
    pub fn intersects(&self, area: &BBox) -> bool {
        area.halves().iter().flatten().any(|area| {
            self.parts().iter().any(|part| match self.kind() {
                Kind::Point | Kind::MultiPoint => part.iter().any(|points| {
                    self.corners(points)
                        .any(|(lon, lat)| area.contains(lon, lat))
                }),
                Kind::LineString | Kind::MultiLineString => {
                    part.iter().any(|line| self.line_meets(line, area))
                }
                Kind::Polygon | Kind::MultiPolygon => self.polygon_meets(part, area),
            })
        })
    }

    fn corners(&self, segment: &Segment) -> impl DoubleEndedIterator<Item = (f64, f64)> + Clone {
        segment
            .chunks_exact(self.dims().numbers())
            .filter_map(lon_lat)
    }

    fn line_meets(&self, line: &Segment, area: &BBox) -> bool {
        let corners = self.corners(line);
        corners
            .clone()
            .zip(corners.skip(1))
            .any(|(a, b)| edge_meets(a, b, area))
    }

    fn edges(&self, ring: &Segment) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
        let corners = self.corners(ring);
        let last = corners.clone().next_back();
        corners.clone().zip(last.into_iter().chain(corners))
    }

    /// An edge meets the box, or the whole box lies inside: then any corner of it does.
    fn polygon_meets(&self, rings: &Part, area: &BBox) -> bool {
        let [west, south, ..] = area.sides();
        let mut inside = false;
        for (a, b) in rings.iter().flat_map(|ring| self.edges(ring)) {
            if edge_meets(a, b, area) {
                return true;
            }
            // Even-odd rule: a ray from the corner to the east crosses the edge.
            if (a.1 > south) != (b.1 > south)
                && west < (b.0 - a.0) * (south - a.1) / (b.1 - a.1) + a.0
            {
                inside = !inside;
            }
        }
        inside
    }
}

/// Liang–Barsky clipping of the edge a–b against the box: something remains.
fn edge_meets(a: (f64, f64), b: (f64, f64), area: &BBox) -> bool {
    let [west, south, east, north] = area.sides();
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (slope, room) in [
        (-dx, a.0 - west),
        (dx, east - a.0),
        (-dy, a.1 - south),
        (dy, north - a.1),
    ] {
        if slope == 0.0 {
            if room < 0.0 {
                return false;
            }
        } else if slope < 0.0 {
            enter = enter.max(room / slope);
        } else {
            leave = leave.min(room / slope);
        }
    }
    enter <= leave
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shape(kind: Kind, text: &str) -> Shape {
        Shape::from_geojson(kind, &serde_json::from_str(text).unwrap()).unwrap()
    }

    fn area(text: &str) -> BBox {
        text.parse().unwrap()
    }

    #[test]
    fn a_line_meets_a_box_that_it_crosses_without_a_vertex_in_it() {
        let line = shape(Kind::LineString, "[[0,0],[10,10]]");
        assert!(line.intersects(&area("4,4,6,6")));
        assert!(!line.intersects(&area("4,0,6,2")));
        assert!(
            line.intersects(&area("10,10,11,11")),
            "a border belongs to the box"
        );
    }

    #[test]
    fn a_polygon_meets_a_box_inside_it_but_not_one_in_its_hole() {
        let polygon = shape(
            Kind::Polygon,
            "[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[2,2],[8,2],[8,8],[2,8],[2,2]]]",
        );
        assert!(polygon.intersects(&area("0.5,0.5,1,1")));
        assert!(!polygon.intersects(&area("3,3,7,7")));
        assert!(polygon.intersects(&area("3,3,9,7")));
        assert!(polygon.intersects(&area("-1,-1,11,11")));
        assert!(!polygon.intersects(&area("11,11,12,12")));
    }

    #[test]
    fn a_box_across_the_antimeridian_meets_shapes_on_both_sides() {
        let pacific = area("170,-10,-170,10");
        assert!(shape(Kind::Point, "[175,0]").intersects(&pacific));
        assert!(shape(Kind::MultiPoint, "[[0,0],[-175,0]]").intersects(&pacific));
        assert!(!shape(Kind::MultiPoint, "[[0,0],[160,0]]").intersects(&pacific));
    }
}
