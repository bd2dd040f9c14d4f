//! Geometries between files and the model: every format reads into [`Raw`], and [`settle`] makes of it what a map
//! holds: WGS 84, closed rings in the sense of RFC 7946, at most three numbers a position. Writers take [`Plain`].

use serde_json::{Value, json};

use super::crs::Crs;
use super::error::Fault;
use super::notes::{Note, NoteSet};
use crate::geometry::{Coords, Dims, Geometry, Kind, Segment, Shape, ShapeFault};
use crate::model::{NESTING_MAX, canonical, nests_within};

/// The type of a geometry of geometries.
pub(super) const COLLECTION: &str = "GeometryCollection";
/// Levels of collections within collections, at most; deeper ones could not be stored.
pub(super) const COLLECTIONS_MAX: usize = 8;

/// What becomes of the direction of rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rings {
    /// Exteriors are turned counter-clockwise, holes clockwise (RFC 7946 §3.1.6), as for files.
    #[default]
    Turned,
    /// They stay as they are, as for features that somebody read from the map, edited and sends back.
    AsGiven,
}

/// A geometry as a file has it: unchecked, in the file's reference system.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// A simple type with its nested positions; rings as the file closes them.
    Simple(Kind, Coords),
    /// A collection.
    Collection(Vec<Raw>),
}

/// The geometry that a map holds for this one. Positions move only by reprojection.
///
/// # Errors
/// When it cannot be reprojected, or is no geometry by RFC 7946 §3.1 even when rings are closed.
pub(super) fn settle(raw: Raw, crs: &Crs, notes: &mut NoteSet) -> Result<Geometry, Fault> {
    settle_rings(raw, crs, Rings::Turned, notes)
}

/// As [`settle`], with a say in what becomes of rings.
pub(super) fn settle_rings(
    raw: Raw,
    crs: &Crs,
    rings: Rings,
    notes: &mut NoteSet,
) -> Result<Geometry, Fault> {
    match raw {
        Raw::Simple(kind, coords) => simple(kind, coords, crs, rings, notes),
        Raw::Collection(members) => {
            let mut values = Vec::with_capacity(members.len());
            for member in members {
                values.push(settle_rings(member, crs, rings, notes)?.to_value());
            }
            let value = canonical(json!({"type": COLLECTION, "geometries": values}));
            if nests_within(&value, NESTING_MAX) {
                Ok(Geometry::Other(value))
            } else {
                Err(Fault::TooDeep)
            }
        }
    }
}

fn simple(
    kind: Kind,
    mut coords: Coords,
    crs: &Crs,
    rings: Rings,
    notes: &mut NoteSet,
) -> Result<Geometry, Fault> {
    // An empty geometry is legal (RFC 7946 §3.1) and comes back as it was.
    if coords == Coords::List(Vec::new()) {
        return Ok(Geometry::Other(
            json!({"type": kind.name(), "coordinates": []}),
        ));
    }
    each_position(&mut coords, &mut |values, len| {
        if *len > 3 {
            *len = 3;
            notes.add(Note::NumbersDropped);
        }
        crs.to_wgs84(values)
    })?;
    if !crs.is_wgs84() {
        notes.add(Note::Reprojected);
    }
    close_rings(kind, &mut coords, notes);
    match Shape::from_geojson(kind, &coords) {
        Ok(shape) => Ok(Geometry::Shape(
            match shape.wound().filter(|_| rings == Rings::Turned) {
                Some(turned) => {
                    notes.add(Note::RingTurned);
                    turned
                }
                None => shape,
            },
        )),
        Err(ShapeFault::MixedDims) => Ok(Geometry::Other(
            json!({"type": kind.name(), "coordinates": coords.to_value()}),
        )),
        Err(fault) => Err(Fault::Geometry(fault)),
    }
}

/// Levels of arrays around the positions of a geometry, at most; anything deeper is refused by the checks.
const LEVELS_MAX: usize = 4;

fn each_position(
    coords: &mut Coords,
    act: &mut impl FnMut(&mut [f64; 3], &mut usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut level = vec![coords];
    for _ in 0..LEVELS_MAX {
        let mut next = Vec::new();
        for coords in level {
            match coords {
                Coords::Position { values, len } => act(values, len)?,
                Coords::List(list) => next.extend(list.iter_mut()),
                Coords::Odd(_) => {}
            }
        }
        level = next;
    }
    Ok(())
}

fn close_rings(kind: Kind, coords: &mut Coords, notes: &mut NoteSet) {
    let lists = |coords: &mut Coords, act: &mut dyn FnMut(&mut Coords)| {
        if let Coords::List(list) = coords {
            list.iter_mut().for_each(act);
        }
    };
    let mut close = |ring: &mut Coords| close_ring(ring, notes);
    match kind {
        Kind::Polygon => lists(coords, &mut close),
        Kind::MultiPolygon => lists(coords, &mut |part| lists(part, &mut close)),
        _ => {}
    }
}

/// Closes a ring of three or more positions; one that ends where it starts but at another height ends at its start.
fn close_ring(ring: &mut Coords, notes: &mut NoteSet) {
    let Coords::List(list) = ring else { return };
    let (Some(first), Some(last)) = (list.first().cloned(), list.last()) else {
        return;
    };
    if first == *last || list.len() < 3 {
        return;
    }
    let same_place = matches!(
        (&first, last),
        (Coords::Position { values: [x, y, _], .. }, Coords::Position { values: [to_x, to_y, _], .. })
            if x == to_x && y == to_y
    );
    if same_place {
        list.pop();
    }
    list.push(first);
    notes.add(Note::RingClosed);
}

/// A geometry to write: simple shapes, empty geometries and collections of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    /// A simple type with at least one vertex.
    Shape(Shape),
    /// A simple type without any.
    Empty(Kind),
    /// A collection.
    Collection(Vec<Plain>),
}

impl Plain {
    /// The geometry in a form that writers take: rings turned as RFC 7946 §3.1.6 says, and a height of 0 where only
    /// some positions have one. `None` for what is no geometry, as a hostile document may hold.
    pub(super) fn of(geometry: &Geometry) -> Option<Self> {
        match geometry {
            Geometry::Shape(shape) => {
                Some(Self::shape(shape.wound().unwrap_or_else(|| shape.clone())))
            }
            Geometry::Other(value) => Self::value(value, COLLECTIONS_MAX),
        }
    }

    fn shape(shape: Shape) -> Self {
        if shape.vertex_count() == 0 {
            Self::Empty(shape.kind())
        } else {
            Self::Shape(shape)
        }
    }

    fn value(value: &Value, levels: usize) -> Option<Self> {
        let name = value.get("type")?.as_str()?;
        if name == COLLECTION {
            let levels = levels.checked_sub(1)?;
            let members = value.get("geometries")?.as_array()?;
            return Some(Self::Collection(
                members
                    .iter()
                    .filter_map(|member| Self::value(member, levels))
                    .collect(),
            ));
        }
        let kind = Kind::from_name(name)?;
        let mut coords: Coords = serde::Deserialize::deserialize(value.get("coordinates")?).ok()?;
        if coords == Coords::List(Vec::new()) {
            return Some(Self::Empty(kind));
        }
        let mut most = 2;
        let measured = each_position(&mut coords, &mut |_, len| {
            most = most.max((*len).min(3));
            Ok(())
        });
        let filled = each_position(&mut coords, &mut |_, len| {
            *len = most;
            Ok(())
        });
        measured.and(filled).ok()?;
        Shape::from_stored(kind, &coords).map(|shape| {
            let wound = shape.wound();
            Self::shape(wound.unwrap_or(shape))
        })
    }

    /// Whether any position in it has a height.
    pub(super) fn has_heights(&self) -> bool {
        match self {
            Self::Shape(shape) => shape.dims() == Dims::Three,
            Self::Empty(_) => false,
            Self::Collection(members) => members.iter().any(Self::has_heights),
        }
    }

    /// The type's name as in GeoJSON.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Shape(shape) => shape.kind().name(),
            Self::Empty(kind) => kind.name(),
            Self::Collection(_) => COLLECTION,
        }
    }

    /// West, south, east, north of all vertices, in degrees; `None` without any.
    pub(super) fn bounds(&self) -> Option<[f64; 4]> {
        match self {
            Self::Shape(shape) => shape.bbox().map(|bbox| bbox.sides()),
            Self::Empty(_) => None,
            Self::Collection(members) => members.iter().filter_map(Self::bounds).reduce(|a, b| {
                let [west, south, east, north] = a;
                let [w, s, e, n] = b;
                [west.min(w), south.min(s), east.max(e), north.max(n)]
            }),
        }
    }
}

/// The vertices of a segment as slices; a ring's first one again at the end.
pub(super) fn vertices<'s>(
    shape: &Shape,
    segment: &'s Segment,
) -> impl Iterator<Item = &'s [f64]> + use<'s> {
    let vertices = segment.chunks_exact(shape.dims().numbers());
    let closing = if shape.kind().has_rings() {
        vertices.clone().next()
    } else {
        None
    };
    vertices.chain(closing)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settled(kind: Kind, text: &str) -> (String, NoteSet) {
        let mut notes = NoteSet::default();
        let raw = Raw::Simple(kind, serde_json::from_str(text).unwrap());
        let geometry = settle(raw, &Crs::Wgs84, &mut notes).unwrap();
        (geometry.to_value()["coordinates"].to_string(), notes)
    }

    #[test]
    fn rings_are_closed_and_turned_and_start_where_they_did() {
        let (text, notes) = settled(
            Kind::Polygon,
            "[[[0,0],[0,4],[4,4],[4,0]],[[1,1],[2,1],[2,2],[1,2],[1,1]]]",
        );
        assert_eq!(
            text,
            "[[[0,0],[4,0],[4,4],[0,4],[0,0]],[[1,1],[1,2],[2,2],[2,1],[1,1]]]"
        );
        assert!(notes.has(Note::RingClosed) && notes.has(Note::RingTurned));
        let (text, notes) = settled(Kind::Polygon, "[[[0,0],[4,0],[4,4],[0,0]]]");
        assert_eq!(text, "[[[0,0],[4,0],[4,4],[0,0]]]");
        assert_eq!(notes, NoteSet::default());
    }

    #[test]
    fn a_ring_that_ends_at_another_height_ends_at_its_start() {
        let (text, notes) = settled(Kind::Polygon, "[[[0,0,1],[4,0,1],[4,4,1],[0,0,9]]]");
        assert_eq!(text, "[[[0,0,1],[4,0,1],[4,4,1],[0,0,1]]]");
        assert!(notes.has(Note::RingClosed));
    }

    #[test]
    fn a_fourth_number_is_left_out_and_noted() {
        let (text, notes) = settled(Kind::LineString, "[[1,2,3,4],[5,6,7,8,9]]");
        assert_eq!(text, "[[1,2,3],[5,6,7]]");
        assert!(notes.has(Note::NumbersDropped));
    }

    #[test]
    fn writers_get_heights_of_zero_where_some_are_missing() {
        let other = Geometry::Other(
            json!({"type": "LineString", "coordinates": [[1.0, 2.0], [3.0, 4.0, 5.0]]}),
        );
        let Some(Plain::Shape(shape)) = Plain::of(&other) else {
            panic!("a shape")
        };
        assert_eq!(shape.vertices().next(), Some(&[1.0, 2.0, 0.0][..]));
        let nested = json!({"type": COLLECTION, "geometries": [
            {"type": COLLECTION, "geometries": [{"type": "Point", "coordinates": []}]},
            {"type": "Point", "coordinates": [1.0, 2.0]}]});
        let plain = Plain::of(&Geometry::Other(nested)).unwrap();
        assert_eq!(plain.bounds(), Some([1.0, 2.0, 1.0, 2.0]));
    }
}
