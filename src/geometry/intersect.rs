//! Shapes as the `geo` crate has them, and whether a shape and a box share a point.
//!
//! All in the plane of longitude and latitude, where edges are straight (RFC 7946 §3.1.1); a box across the
//! antimeridian is taken as its two halves.

use geo::{
    Coord, Intersects, LineString, MultiLineString, MultiPoint, MultiPolygon, Polygon, Rect,
};

use super::shape::lon_lat;
use super::{BBox, Kind, Part, Segment, Shape};

impl Shape {
    /// The shape without heights, for the algorithms of `geo`. Rings are closed; x is the longitude.
    #[must_use]
    pub fn to_geo(&self) -> geo::Geometry<f64> {
        let lines = || {
            self.parts()
                .iter()
                .flatten()
                .map(|segment| self.line(segment))
        };
        match self.kind() {
            Kind::Point | Kind::MultiPoint => {
                let corners = self
                    .parts()
                    .iter()
                    .flatten()
                    .flat_map(|segment| self.corners(segment));
                MultiPoint::from_iter(corners).into()
            }
            Kind::LineString | Kind::MultiLineString => MultiLineString::from_iter(lines()).into(),
            Kind::Polygon | Kind::MultiPolygon => {
                MultiPolygon::from_iter(self.parts().iter().map(|part| self.polygon(part))).into()
            }
        }
    }

    /// Whether any point of the shape, the interior of polygons included, lies in `area` or on its border.
    /// Linear in the number of vertices.
    #[must_use]
    pub fn intersects(&self, area: &BBox) -> bool {
        let shape = self.to_geo();
        area.halves().iter().flatten().any(|half| {
            let [west, south, east, north] = half.sides();
            shape.intersects(&Rect::new((west, south), (east, north)))
        })
    }

    fn corners(&self, segment: &Segment) -> impl Iterator<Item = Coord<f64>> {
        segment
            .chunks_exact(self.dims().numbers())
            .filter_map(lon_lat)
            .map(Coord::from)
    }

    fn line(&self, segment: &Segment) -> LineString<f64> {
        self.corners(segment).collect()
    }

    fn polygon(&self, rings: &Part) -> Polygon<f64> {
        let mut rings = rings.iter().map(|ring| self.line(ring));
        let exterior = rings.next().unwrap_or_else(|| LineString::new(Vec::new()));
        // `geo` closes the rings, which lie here without their repeated last position.
        Polygon::new(exterior, rings.collect())
    }
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
