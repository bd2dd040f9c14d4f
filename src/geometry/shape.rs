//! Geometries of the six simple GeoJSON types as parts → segments → vertices.
//!
//! | type | parts | segments of a part |
//! |---|---|---|
//! | Point, `MultiPoint`, `LineString` | one | one |
//! | `MultiLineString` | one per line | one |
//! | Polygon | one | its rings, the exterior first |
//! | `MultiPolygon` | one per polygon | its rings, the exterior first |
//!
//! Rings are stored open: the closing position, which repeats the first, is left out.

use serde_json::{Value, json};

use super::{BBox, json_number};

/// Vertices of one segment, at most: the number that `map-document` §12 allows.
pub const SEGMENT_VERTICES_MAX: usize = 1_000_000;

/// The vertices of a ring, line or group of points, number by number: longitude, latitude and, with three
/// dimensions, height. Its length is a multiple of the dimensions.
pub type Segment = Vec<f64>;
/// Segments that belong together.
pub type Part = Vec<Segment>;

/// The type of a shape; the number is the `kind` of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// RFC 7946 §3.1.2
    Point = 1,
    /// RFC 7946 §3.1.4
    LineString = 2,
    /// RFC 7946 §3.1.6
    Polygon = 3,
    /// RFC 7946 §3.1.3
    MultiPoint = 4,
    /// RFC 7946 §3.1.5
    MultiLineString = 5,
    /// RFC 7946 §3.1.7
    MultiPolygon = 6,
}

impl Kind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Point,
        Self::LineString,
        Self::Polygon,
        Self::MultiPoint,
        Self::MultiLineString,
        Self::MultiPolygon,
    ];

    /// The kind with this number, 1 to 6.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind with this GeoJSON name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The number in stored records, 1 to 6.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64
    }

    /// The GeoJSON type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "Point",
            Self::LineString => "LineString",
            Self::Polygon => "Polygon",
            Self::MultiPoint => "MultiPoint",
            Self::MultiLineString => "MultiLineString",
            Self::MultiPolygon => "MultiPolygon",
        }
    }

    /// Whether the segments are rings.
    #[must_use]
    pub fn has_rings(self) -> bool {
        matches!(self, Self::Polygon | Self::MultiPolygon)
    }
}

/// Numbers per vertex of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dims {
    /// Longitude, latitude.
    Two,
    /// Longitude, latitude, height.
    Three,
}

impl Dims {
    /// 2 or 3.
    #[must_use]
    pub fn numbers(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    pub(super) fn from_len(len: usize) -> Option<Self> {
        match len {
            2 => Some(Self::Two),
            3 => Some(Self::Three),
            _ => None,
        }
    }
}

/// A geometry of a simple type. Every number is finite; a Point has exactly one vertex; other counts are not
/// promised, since merging may leave a ring of two vertices.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    kind: Kind,
    dims: Dims,
    parts: Vec<Part>,
}

impl Shape {
    /// A shape of these parts; −0 becomes 0. `None` if a number is not finite, a segment is no whole number of
    /// vertices, or a Point is not exactly one vertex.
    #[must_use]
    pub fn new(kind: Kind, dims: Dims, mut parts: Vec<Part>) -> Option<Self> {
        for number in parts.iter_mut().flatten().flatten() {
            if !number.is_finite() {
                return None;
            }
            *number += 0.0;
        }
        let whole = parts
            .iter()
            .flatten()
            .all(|segment| segment.len().is_multiple_of(dims.numbers()));
        let point = || matches!(&parts[..], [part] if matches!(&part[..], [one] if one.len() == dims.numbers()));
        (whole && (kind != Kind::Point || point())).then_some(Self { kind, dims, parts })
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Numbers per vertex.
    #[must_use]
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// Parts → segments → numbers, rings open.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The vertices of all segments in order, as slices of [`Dims::numbers`] numbers.
    pub fn vertices(&self) -> impl Iterator<Item = &[f64]> {
        self.parts
            .iter()
            .flatten()
            .flat_map(|segment| segment.chunks_exact(self.dims.numbers()))
    }

    /// How many vertices there are.
    #[must_use]
    pub fn vertex_count(&self) -> usize {
        self.parts
            .iter()
            .flatten()
            .map(|segment| segment.len() / self.dims.numbers())
            .sum()
    }

    /// The smallest box around the vertices, never across the antimeridian.
    #[must_use]
    pub fn bbox(&self) -> Option<BBox> {
        BBox::around(self.vertices().filter_map(lon_lat))
    }

    /// The shape as a GeoJSON geometry object, rings closed.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let position = |vertex: &[f64]| {
            Value::Array(
                vertex
                    .iter()
                    .map(|number| Value::Number(json_number(*number)))
                    .collect(),
            )
        };
        let segment = |segment: &Segment| {
            let closing = if self.kind.has_rings() {
                segment.chunks_exact(self.dims.numbers()).next()
            } else {
                None
            };
            Value::Array(
                segment
                    .chunks_exact(self.dims.numbers())
                    .chain(closing)
                    .map(position)
                    .collect(),
            )
        };
        let part = |part: &Part| Value::Array(part.iter().map(segment).collect());
        let first = self.parts.first();
        let coordinates = match self.kind {
            Kind::Point => self.vertices().next().map(position),
            Kind::LineString | Kind::MultiPoint => first.and_then(|part| part.first()).map(segment),
            Kind::Polygon => first.map(part),
            Kind::MultiLineString => Some(Value::Array(
                self.parts.iter().flatten().map(segment).collect(),
            )),
            Kind::MultiPolygon => Some(Value::Array(self.parts.iter().map(part).collect())),
        };
        json!({"type": self.kind.name(), "coordinates": coordinates.unwrap_or_else(|| Value::Array(Vec::new()))})
    }
}

/// The first two numbers of a vertex.
pub(super) fn lon_lat(vertex: &[f64]) -> Option<(f64, f64)> {
    match vertex {
        [lon, lat, ..] => Some((*lon, *lat)),
        _ => None,
    }
}
