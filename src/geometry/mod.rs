//! Pure geometry: positions, boxes, shapes and what GeoJSON calls `coordinates`.
//!
//! Longitude, latitude in decimal degrees, height in metres, WGS 84 (RFC 7946 §4); no other reference system
//! appears here. It depends on nothing of ours, reads no clock and performs no IO. Nothing here changes a geometry
//! by itself: a shape may cross itself, and [`validity`] says so. Start with [`Shape`].

mod area;
mod bbox;
mod coords;
mod distance;
mod fault;
pub mod geodesic;
mod index;
mod intersect;
mod number;
mod outline;
mod plane;
mod position;
mod reading;
mod shape;
mod sphere;
pub mod validity;
mod winding;

pub use area::Area;
pub use bbox::{BBox, BBoxError};
pub use coords::{Coords, Element, Found};
pub use distance::between as metres_between;
pub use fault::{Path, ShapeFault};
pub use index::SpatialIndex;
pub use number::{INTEGER_MAX, json_number, whole};
pub use position::{Position, PositionError};
pub use shape::{Dims, Kind, Part, SEGMENT_VERTICES_MAX, Segment, Shape};

use serde_json::Value;

/// A feature's geometry: a [`Shape`] whose vertices can be edited one by one, or anything else as JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Geometry {
    /// One of the six simple GeoJSON types.
    Shape(Shape),
    /// A GeoJSON geometry object that a [`Shape`] cannot hold: a `GeometryCollection`, an empty geometry,
    /// or positions with and without height in one geometry. Always a JSON object.
    Other(Value),
}

impl Geometry {
    /// The geometry as a GeoJSON geometry object (RFC 7946 §3.1), rings closed.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Shape(shape) => shape.to_value(),
            Self::Other(value) => value.clone(),
        }
    }

    /// The smallest box around all positions, never across the antimeridian; `None` without positions.
    #[must_use]
    pub fn bbox(&self) -> Option<BBox> {
        let boxes = self.shapes();
        boxes
            .iter()
            .filter_map(Shape::bbox)
            .reduce(|a, b| a.union(&b))
    }

    /// Whether any point of the geometry, its interior included, lies in `area` or on its border.
    #[must_use]
    pub fn intersects(&self, area: &BBox) -> bool {
        match self {
            Self::Shape(shape) => shape.intersects(area),
            Self::Other(_) => self.shapes().iter().any(|shape| shape.intersects(area)),
        }
    }

    /// Whether the two have a point in common, the interiors of polygons included; in the plane of longitude and
    /// latitude, without turning around the antimeridian. Who compares one with many prepares it as an [`Area`].
    #[must_use]
    pub fn intersects_geometry(&self, other: &Self) -> bool {
        Area::new(other).meets(self)
    }

    /// Number of vertices, of all members of a collection too; the closing position of a ring does not count.
    #[must_use]
    pub fn vertex_count(&self) -> usize {
        match self {
            Self::Shape(shape) => shape.vertex_count(),
            Self::Other(_) => self.shapes().iter().map(Shape::vertex_count).sum(),
        }
    }

    /// The simple shapes in it in order, heights dropped where only some positions have one.
    fn shapes(&self) -> Vec<Shape> {
        match self {
            Self::Shape(shape) => vec![shape.clone()],
            Self::Other(_) => self
                .members()
                .into_iter()
                .filter_map(|member| member.shape)
                .collect(),
        }
    }

    /// What a geometry that is no [`Shape`] consists of, in order; nothing for a shape.
    fn members(&self) -> Vec<reading::Member> {
        let mut found = Vec::new();
        let mut waiting = match self {
            Self::Shape(_) => Vec::new(),
            Self::Other(value) => vec![value],
        };
        while let Some(value) = waiting.pop() {
            if let Some(members) = value.get("geometries").and_then(Value::as_array) {
                waiting.extend(members.iter().rev());
            } else {
                found.push(reading::Member::read(value));
            }
        }
        found
    }
}
