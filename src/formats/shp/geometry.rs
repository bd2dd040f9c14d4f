//! Shapes of a `.shp` file.

use crate::formats::antimeridian::contains;
use crate::formats::error::Fault;
use crate::formats::notes::{Note, NoteSet};
use crate::formats::shape::Raw;
use crate::geometry::{Coords, Element, Kind};

/// The geometry of a record's content; none for a null shape.
pub(super) fn read(content: &[u8], notes: &mut NoteSet) -> Result<Option<Raw>, Fault> {
    let mut cursor = Cursor(content);
    let kind = cursor.u32()?;
    let (base, heights, measures) = match kind {
        0 => return Ok(None),
        1 | 3 | 5 | 8 => (kind, false, false),
        11 | 13 | 15 | 18 => (kind - 10, true, false),
        21 | 23 | 25 | 28 => (kind - 20, false, true),
        other => {
            let name = if other == 31 { " (multipatch)" } else { "" };
            return Err(Fault::Unreadable {
                what: format!("shapes of type {other}{name} cannot be read"),
                hint: "convert it to points, lines or polygons first",
            });
        }
    };
    if measures {
        notes.add(Note::NumbersDropped);
    }
    if base == 1 {
        let (x, y) = (cursor.f64()?, cursor.f64()?);
        let height = heights.then(|| cursor.f64()).transpose()?;
        return Ok(Some(Raw::Simple(Kind::Point, position(x, y, height))));
    }
    cursor.skip(32)?;
    let parts = if base == 8 { 1 } else { cursor.count(4)? };
    let points = cursor.count_later(16, if base == 8 { 0 } else { parts * 4 })?;
    let mut starts = Vec::with_capacity(parts);
    if base == 8 {
        starts.push(0);
    } else {
        for _ in 0..parts {
            starts.push(usize::try_from(cursor.u32()?).unwrap_or(usize::MAX));
        }
    }
    let mut xy = Vec::with_capacity(points);
    for _ in 0..points {
        xy.push((cursor.f64()?, cursor.f64()?));
    }
    let mut z = Vec::new();
    if heights {
        cursor.skip(16)?;
        for _ in 0..points {
            z.push(cursor.f64()?);
        }
    }
    let mut segments = Vec::with_capacity(parts);
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(points);
        let line = xy.get(*start..end).ok_or_else(damaged)?;
        let heights = z.get(*start..end);
        segments.push(Segment {
            flat: line.iter().flat_map(|(x, y)| [*x, *y]).collect(),
            coords: line
                .iter()
                .enumerate()
                .map(|(at, (x, y))| {
                    let height = heights.and_then(|heights| heights.get(at).copied());
                    position(*x, *y, height)
                })
                .collect(),
        });
    }
    Ok(Some(match base {
        8 => Raw::Simple(
            Kind::MultiPoint,
            list(segments.into_iter().flat_map(|s| s.coords)),
        ),
        3 => multi(
            Kind::LineString,
            Kind::MultiLineString,
            segments.into_iter().map(|s| list(s.coords)),
        ),
        _ => multi(
            Kind::Polygon,
            Kind::MultiPolygon,
            polygons(segments).into_iter(),
        ),
    }))
}

/// A line or ring: its x and y, and its positions.
struct Segment {
    flat: Vec<f64>,
    coords: Vec<Coords>,
}

fn list(coords: impl IntoIterator<Item = Coords>) -> Coords {
    Coords::List(coords.into_iter().collect())
}

/// One as the single type, several as the multiple one.
fn multi(single: Kind, multiple: Kind, items: impl Iterator<Item = Coords>) -> Raw {
    let mut items: Vec<Coords> = items.collect();
    match (items.len(), items.pop()) {
        (1, Some(only)) => Raw::Simple(single, only),
        (_, last) => {
            items.extend(last);
            Raw::Simple(multiple, Coords::List(items))
        }
    }
}

fn position(x: f64, y: f64, height: Option<f64>) -> Coords {
    let numbers = [Some(x), Some(y), height].into_iter().flatten();
    Coords::array(numbers.map(Element::Number))
}

/// Rings as polygons: exteriors run clockwise here, holes counter-clockwise and within an exterior. Where all run
/// counter-clockwise, or a hole lies in none, rings count as exteriors.
fn polygons(rings: Vec<Segment>) -> Vec<Coords> {
    let exterior = |ring: &Segment| doubled_area(&ring.flat) <= 0.0;
    let any = rings.iter().any(exterior);
    let (exteriors, holes): (Vec<Segment>, Vec<Segment>) =
        rings.into_iter().partition(|ring| !any || exterior(ring));
    let mut polygons: Vec<(Vec<f64>, Vec<Coords>)> = exteriors
        .into_iter()
        .map(|ring| (ring.flat, vec![Coords::List(ring.coords)]))
        .collect();
    for hole in holes {
        // A vertex may lie on the exterior, most do not.
        let inside = |exterior: &Vec<f64>| {
            let vertices = hole.flat.chunks_exact(2);
            let count = vertices.len();
            vertices
                .filter(|vertex| contains(exterior, vertex, 2))
                .count()
                * 2
                > count
        };
        match polygons.iter_mut().find(|(exterior, _)| inside(exterior)) {
            Some((_, rings)) => rings.push(Coords::List(hole.coords)),
            None => polygons.push((hole.flat, vec![Coords::List(hole.coords)])),
        }
    }
    polygons
        .into_iter()
        .map(|(_, rings)| Coords::List(rings))
        .collect()
}

/// Twice the area of a closed ring, negative if it runs clockwise.
fn doubled_area(flat: &[f64]) -> f64 {
    let (x0, y0) = match flat {
        [x, y, ..] => (*x, *y),
        _ => return 0.0,
    };
    let vertices = flat.chunks_exact(2).filter_map(|vertex| match vertex {
        [x, y] => Some((x - x0, y - y0)),
        _ => None,
    });
    let next = vertices.clone().skip(1);
    vertices
        .zip(next)
        .map(|((ax, ay), (bx, by))| ax * by - bx * ay)
        .sum()
}

struct Cursor<'b>(&'b [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64, Fault> {
        self.take().map(f64::from_le_bytes)
    }

    fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.0 = self.0.get(count..).ok_or_else(damaged)?;
        Ok(())
    }

    /// A number of things of so many bytes each, as far as there are bytes for them.
    fn count(&mut self, bytes: usize) -> Result<usize, Fault> {
        self.count_later(bytes, 0)
    }

    /// The same, for things that come after `before` other bytes.
    fn count_later(&mut self, bytes: usize, before: usize) -> Result<usize, Fault> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let left = self.0.len().saturating_sub(before);
        if count > left / bytes {
            return Err(damaged());
        }
        Ok(count)
    }
}

fn damaged() -> Fault {
    Fault::Unreadable {
        what: "the shape's bytes are damaged".to_owned(),
        hint: "copy or download the archive again",
    }
}
