//! From coordinates to shapes: strictly for files (RFC 7946 §3.1), leniently for stored content.

use serde::Deserialize;
use serde_json::Value;

use super::shape::SEGMENT_VERTICES_MAX;
use super::{Coords, Dims, Found, Kind, Part, Path, Position, Segment, Shape, ShapeFault};

impl Shape {
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
        // What was checked above is a shape.
        Self::new(kind, reading.dims.unwrap_or(Dims::Two), parts).ok_or(ShapeFault::MixedDims)
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
}

fn list(coords: &Coords) -> Option<&[Coords]> {
    match coords {
        Coords::List(list) => Some(list),
        _ => None,
    }
}

/// A geometry object that is no collection.
pub(super) struct Member {
    /// Its type; Point if it has none.
    pub(super) kind: Kind,
    /// The shape that it describes when heights are dropped.
    pub(super) shape: Option<Shape>,
    /// The first thing that RFC 7946 §3.1 does not allow; mixed heights do not count.
    pub(super) fault: Option<ShapeFault>,
}

impl Member {
    pub(super) fn read(geometry: &Value) -> Self {
        let kind = geometry
            .get("type")
            .and_then(Value::as_str)
            .and_then(Kind::from_name);
        let coords = geometry
            .get("coordinates")
            .and_then(|coords| Coords::deserialize(coords).ok());
        let (Some(kind), Some(mut coords)) = (kind, coords) else {
            let fault = ShapeFault::WrongValue {
                path: Path::default(),
                found: geometry.get("coordinates").map_or(Found::Null, Found::of),
                expected: "the coordinates of a simple geometry",
            };
            return Self {
                kind: kind.unwrap_or(Kind::Point),
                shape: None,
                fault: Some(fault),
            };
        };
        drop_heights(&mut coords);
        let fault = Shape::from_geojson(kind, &coords).err();
        Self {
            kind,
            shape: Shape::from_stored(kind, &coords),
            fault,
        }
    }
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
