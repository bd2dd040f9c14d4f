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

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{BBox, Coords, Found, Position, PositionError, json_number};

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

    fn from_len(len: usize) -> Option<Self> {
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

/// Where in `coordinates` something is; prints as `coordinates[0][3]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<usize>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("coordinates")?;
        self.0.iter().try_for_each(|index| write!(f, "[{index}]"))
    }
}

impl Path {
    fn child(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(index);
        Self(steps)
    }
}

/// What keeps coordinates from being a shape of a type (RFC 7946 §3.1), and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeFault {
    /// Something other than an array where positions or arrays of them belong.
    #[error("{path} is {found}, expected {expected}")]
    WrongValue {
        /// Where.
        path: Path,
        /// What is there.
        found: Found,
        /// What belongs there.
        expected: &'static str,
    },
    /// A position stands where an array of positions belongs, or deeper.
    #[error("{path} is nested wrongly for a {}: found {found}, expected {expected}", .kind.name())]
    WrongNesting {
        /// Where.
        path: Path,
        /// The geometry's type.
        kind: Kind,
        /// What is there.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A position with one number, or more than three.
    #[error(
        "the position {path} has {count} numbers; 2 (longitude, latitude) or 3 (and height) are allowed"
    )]
    NumberCount {
        /// Where.
        path: Path,
        /// How many numbers.
        count: usize,
    },
    /// Longitude or latitude out of range.
    #[error("{path}: {fault}")]
    OutOfRange {
        /// Where.
        path: Path,
        /// Which number.
        fault: PositionError,
        /// The position's longitude and latitude as given.
        position: [f64; 2],
    },
    /// A line or ring with too few positions.
    #[error("{path} has {count} positions; {what} needs at least {least}")]
    TooFewPositions {
        /// Where.
        path: Path,
        /// How many.
        count: usize,
        /// How many it takes.
        least: usize,
        /// "a line" or "a ring".
        what: &'static str,
    },
    /// The last position of a ring is not its first.
    #[error("the ring {path} is not closed: its last position is not its first")]
    OpenRing {
        /// Where.
        path: Path,
    },
    /// More vertices in one segment than a document can hold.
    #[error("{path} has {count} positions; one line or ring may have {SEGMENT_VERTICES_MAX}")]
    TooManyPositions {
        /// Where.
        path: Path,
        /// How many.
        count: usize,
    },
    /// Everything else is right, but some positions have a height and some have none.
    #[error("some positions have a height and some have none")]
    MixedDims,
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

    /// The shape that GeoJSON coordinates describe, checked against RFC 7946 §3.1: nesting, numbers per position,
    /// range, positions per line and ring, closed rings.
    ///
    /// # Errors
    /// The first fault with its place. [`ShapeFault::MixedDims`] only if nothing else is wrong.
    pub fn from_geojson(kind: Kind, coords: &Coords) -> Result<Self, ShapeFault> {
        let mut reading = Reading {
            kind,
            dims: None,
            mixed: false,
        };
        let top = Path::default();
        let parts = match kind {
            Kind::Point => {
                let mut flat = Segment::new();
                reading.position(coords, &top, &mut flat)?;
                vec![vec![flat]]
            }
            Kind::MultiPoint => vec![vec![reading.segment(coords, &top, Least::Points)?]],
            Kind::LineString => vec![vec![reading.segment(coords, &top, Least::Line)?]],
            Kind::MultiLineString => reading.each(coords, &top, |reading, line, path| {
                Ok(vec![reading.segment(line, path, Least::Line)?])
            })?,
            Kind::Polygon => vec![reading.rings(coords, &top)?],
            Kind::MultiPolygon => reading.each(coords, &top, Reading::rings)?,
        };
        if reading.mixed {
            return Err(ShapeFault::MixedDims);
        }
        Ok(Self {
            kind,
            dims: reading.dims.unwrap_or(Dims::Two),
            parts,
        })
    }

    /// The shape that a document's plain `coordinates` array describes. Counts and ranges are not checked, since
    /// merged content is shown as it is; every position must have as many numbers as the first, 2 or 3.
    #[must_use]
    pub fn from_stored(kind: Kind, coords: &Coords) -> Option<Self> {
        let mut dims = None;
        let mut flat = |positions: &[Coords], rings: bool| -> Option<Segment> {
            let mut flat = Segment::new();
            for position in positions {
                let Coords::Position { values, len } = position else {
                    return None;
                };
                let of = Dims::from_len(*len)?;
                if *dims.get_or_insert(of) != of {
                    return None;
                }
                flat.extend(values.iter().take(*len));
            }
            let last = flat
                .len()
                .checked_sub(dims.map_or(0, Dims::numbers))
                .filter(|last| rings && *last > 0);
            if let Some(last) =
                last.filter(|last| flat.get(..flat.len() - last) == flat.get(*last..))
            {
                flat.truncate(last);
            }
            Some(flat)
        };
        let parts = match kind {
            Kind::Point => vec![vec![flat(std::slice::from_ref(coords), false)?]],
            Kind::LineString | Kind::MultiPoint => vec![vec![flat(list(coords)?, false)?]],
            Kind::MultiLineString => list(coords)?
                .iter()
                .map(|line| Some(vec![flat(list(line)?, false)?]))
                .collect::<Option<_>>()?,
            Kind::Polygon => vec![
                list(coords)?
                    .iter()
                    .map(|ring| flat(list(ring)?, true))
                    .collect::<Option<_>>()?,
            ],
            Kind::MultiPolygon => list(coords)?
                .iter()
                .map(|part| {
                    list(part)?
                        .iter()
                        .map(|ring| flat(list(ring)?, true))
                        .collect::<Option<_>>()
                })
                .collect::<Option<_>>()?,
        };
        Self::new(kind, dims.unwrap_or(Dims::Two), parts)
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

fn list(coords: &Coords) -> Option<&[Coords]> {
    match coords {
        Coords::List(list) => Some(list),
        _ => None,
    }
}

/// The first two numbers of a vertex.
pub(super) fn lon_lat(vertex: &[f64]) -> Option<(f64, f64)> {
    match vertex {
        [lon, lat, ..] => Some((*lon, *lat)),
        _ => None,
    }
}

/// The shape that a geometry object of a simple type describes when heights are dropped.
pub(super) fn flattened(geometry: &Value) -> Option<Shape> {
    let kind = Kind::from_name(geometry.get("type")?.as_str()?)?;
    let mut coords = Coords::deserialize(geometry.get("coordinates")?).ok()?;
    drop_heights(&mut coords);
    Shape::from_stored(kind, &coords)
}

/// Four levels of arrays are the most that a geometry has; deeper ones stay as they are and are no shape.
fn drop_heights(coords: &mut Coords) {
    let mut level = vec![coords];
    for _ in 0..4 {
        let mut next = Vec::new();
        for coords in level {
            match coords {
                Coords::Position { len, .. } => *len = (*len).min(2),
                Coords::List(list) => next.extend(list.iter_mut()),
                Coords::Odd(_) => {}
            }
        }
        level = next;
    }
}

enum Least {
    Points,
    Line,
    Ring,
}

impl Least {
    fn positions(&self) -> (usize, &'static str) {
        match self {
            Self::Points => (1, "a group of points"),
            Self::Line => (2, "a line"),
            Self::Ring => (4, "a ring"),
        }
    }
}

struct Reading {
    kind: Kind,
    dims: Option<Dims>,
    mixed: bool,
}

impl Reading {
    fn list<'c>(
        &self,
        coords: &'c Coords,
        path: &Path,
        expected: &'static str,
    ) -> Result<&'c [Coords], ShapeFault> {
        match coords {
            Coords::List(list) => Ok(list),
            Coords::Position { .. } => {
                let (path, found) = (path.clone(), "a position");
                Err(ShapeFault::WrongNesting {
                    path,
                    kind: self.kind,
                    found,
                    expected,
                })
            }
            Coords::Odd(found) => Err(ShapeFault::WrongValue {
                path: path.clone(),
                found: *found,
                expected,
            }),
        }
    }

    fn each(
        &mut self,
        coords: &Coords,
        path: &Path,
        mut read: impl FnMut(&mut Self, &Coords, &Path) -> Result<Part, ShapeFault>,
    ) -> Result<Vec<Part>, ShapeFault> {
        let list = self.list(coords, path, "an array of arrays of positions")?;
        list.iter()
            .enumerate()
            .map(|(index, coords)| read(self, coords, &path.child(index)))
            .collect()
    }

    fn rings(&mut self, coords: &Coords, path: &Path) -> Result<Part, ShapeFault> {
        let list = self.list(coords, path, "an array of rings")?;
        if list.is_empty() {
            return Err(ShapeFault::TooFewPositions {
                path: path.clone(),
                count: 0,
                least: 4,
                what: "a polygon",
            });
        }
        list.iter()
            .enumerate()
            .map(|(index, ring)| self.ring(ring, &path.child(index)))
            .collect()
    }

    fn ring(&mut self, coords: &Coords, path: &Path) -> Result<Segment, ShapeFault> {
        let list = self.list(coords, path, "an array of positions")?;
        let mut flat = self.segment(coords, path, Least::Ring)?;
        match (list.first(), list.last()) {
            (Some(Coords::Position { len, .. }), last) if last == list.first() => {
                flat.truncate(flat.len().saturating_sub(*len));
                Ok(flat)
            }
            _ => Err(ShapeFault::OpenRing { path: path.clone() }),
        }
    }

    fn segment(
        &mut self,
        coords: &Coords,
        path: &Path,
        least: Least,
    ) -> Result<Segment, ShapeFault> {
        let list = self.list(coords, path, "an array of positions")?;
        let count = list.len();
        if count > SEGMENT_VERTICES_MAX {
            return Err(ShapeFault::TooManyPositions {
                path: path.clone(),
                count,
            });
        }
        let mut flat = Segment::with_capacity(count * self.dims.map_or(2, Dims::numbers));
        for (index, coords) in list.iter().enumerate() {
            // The place is named only when something is wrong there: most rings have thousands of positions.
            if self.position(coords, path, &mut flat).is_err() {
                self.position(coords, &path.child(index), &mut flat)?;
            }
        }
        let (least, what) = least.positions();
        if count < least {
            return Err(ShapeFault::TooFewPositions {
                path: path.clone(),
                count,
                least,
                what,
            });
        }
        Ok(flat)
    }

    fn position(
        &mut self,
        coords: &Coords,
        path: &Path,
        flat: &mut Segment,
    ) -> Result<(), ShapeFault> {
        let expected = "a position, an array of 2 or 3 numbers";
        let path = || path.clone();
        let (values, count) = match coords {
            Coords::Position { values, len } => (values, *len),
            Coords::List(list) if list.is_empty() => {
                return Err(ShapeFault::NumberCount {
                    path: path(),
                    count: 0,
                });
            }
            Coords::List(_) => {
                let found = "an array of arrays";
                return Err(ShapeFault::WrongNesting {
                    path: path(),
                    kind: self.kind,
                    found,
                    expected,
                });
            }
            Coords::Odd(found) => {
                return Err(ShapeFault::WrongValue {
                    path: path(),
                    found: *found,
                    expected,
                });
            }
        };
        let Some(dims) = Dims::from_len(count) else {
            return Err(ShapeFault::NumberCount {
                path: path(),
                count,
            });
        };
        let [lon, lat, height] = *values;
        Position::new(lon, lat, (dims == Dims::Three).then_some(height)).map_err(|fault| {
            ShapeFault::OutOfRange {
                path: path(),
                fault,
                position: [lon, lat],
            }
        })?;
        self.mixed |= *self.dims.get_or_insert(dims) != dims;
        flat.extend(values.iter().take(count));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Shape, ShapeFault> {
        Shape::from_geojson(kind, &serde_json::from_str(text).unwrap())
    }

    fn fault(kind: Kind, text: &str, expected: &str) {
        assert_eq!(
            read(kind, text).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn every_kind_reads_and_writes_its_coordinates() {
        for (kind, text) in [
            (Kind::Point, "[8.5,47,408]"),
            (Kind::MultiPoint, "[[8.5,47]]"),
            (Kind::LineString, "[[8.5,47],[9,48]]"),
            (Kind::MultiLineString, "[[[8.5,47],[9,48]],[[1,2],[3,4]]]"),
            (
                Kind::Polygon,
                "[[[0,0],[4,0],[4,4],[0,0]],[[1,1],[2,1],[2,2],[1,1]]]",
            ),
            (Kind::MultiPolygon, "[[[[0,0,1],[4,0,1],[4,4,1],[0,0,1]]]]"),
        ] {
            let shape = read(kind, text).unwrap();
            assert_eq!(shape.to_value()["coordinates"].to_string(), text);
            assert_eq!(shape.to_value()["type"], kind.name());
            assert_eq!(
                Shape::from_stored(kind, &serde_json::from_str(text).unwrap()),
                Some(shape)
            );
        }
    }

    #[test]
    fn faults_name_the_place_and_what_belongs_there() {
        fault(
            Kind::Point,
            "[[1,2]]",
            "coordinates is nested wrongly for a Point: found an array of arrays, expected a position, an array of 2 or 3 numbers",
        );
        fault(
            Kind::Point,
            "[1]",
            "the position coordinates has 1 numbers; 2 (longitude, latitude) or 3 (and height) are allowed",
        );
        fault(
            Kind::LineString,
            "[[1,2],[1,2,3,4]]",
            "the position coordinates[1] has 4 numbers; 2 (longitude, latitude) or 3 (and height) are allowed",
        );
        fault(
            Kind::LineString,
            "[[1,2],[1,\"2\"]]",
            "coordinates[1] is a position with something that is not a number, expected a position, an array of 2 or 3 numbers",
        );
        fault(
            Kind::LineString,
            "[[1,2]]",
            "coordinates has 1 positions; a line needs at least 2",
        );
        fault(
            Kind::LineString,
            "[1,2]",
            "coordinates is nested wrongly for a LineString: found a position, expected an array of positions",
        );
        fault(
            Kind::Polygon,
            "[[[0,0],[1,0],[1,1],[0,1]]]",
            "the ring coordinates[0] is not closed: its last position is not its first",
        );
        fault(
            Kind::Polygon,
            "[[[0,0],[1,0],[0,0]]]",
            "coordinates[0] has 3 positions; a ring needs at least 4",
        );
        fault(
            Kind::Polygon,
            "[[0,0],[1,0],[1,1],[0,0]]",
            "coordinates[0] is nested wrongly for a Polygon: found a position, expected an array of positions",
        );
        fault(
            Kind::MultiPolygon,
            "[[[[0,0],[1,0],[1,91],[0,0]]]]",
            "coordinates[0][0][2]: the latitude 91 is outside -90 to 90",
        );
        fault(
            Kind::MultiPolygon,
            "[[]]",
            "coordinates[0] has 0 positions; a polygon needs at least 4",
        );
        fault(
            Kind::MultiPoint,
            "[null]",
            "coordinates[0] is null, expected a position, an array of 2 or 3 numbers",
        );
        fault(
            Kind::MultiPoint,
            "{}",
            "coordinates is an object, expected an array of positions",
        );
    }

    #[test]
    fn mixed_heights_are_named_only_when_nothing_else_is_wrong() {
        assert_eq!(
            read(Kind::LineString, "[[1,2],[1,2,3]]"),
            Err(ShapeFault::MixedDims)
        );
        assert!(matches!(
            read(Kind::LineString, "[[1,2],[1,2,3],[1]]"),
            Err(ShapeFault::NumberCount { .. })
        ));
    }

    #[test]
    fn stored_coordinates_may_be_degenerate_but_not_mixed() {
        let stored =
            |kind, text: &str| Shape::from_stored(kind, &serde_json::from_str(text).unwrap());
        assert_eq!(
            stored(Kind::Polygon, "[[[0,0],[1,0]]]")
                .unwrap()
                .vertex_count(),
            2
        );
        assert_eq!(
            stored(Kind::Polygon, "[[[0,0],[500,0],[0,0]]]")
                .unwrap()
                .vertex_count(),
            2
        );
        assert_eq!(
            stored(Kind::Polygon, "[[[0,0]]]").unwrap().vertex_count(),
            1
        );
        assert_eq!(stored(Kind::LineString, "[[0,0],[1,0,5]]"), None);
        assert_eq!(stored(Kind::Point, "[[0,0]]"), None);
        assert_eq!(stored(Kind::Point, "[0]"), None);
        assert_eq!(stored(Kind::LineString, "[]").unwrap().vertex_count(), 0);
    }
}
