//! Geometries as well-known binary (OGC 06-103r4 §8, ISO 13249-3), also with the flags of PostGIS.

use super::notes::{Note, NoteSet};
use super::shape::{COLLECTIONS_MAX, Plain, Raw, vertices};
use crate::geometry::{Coords, Element, Kind, Shape};

/// Why bytes are no geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WkbFault {
    /// Fewer bytes than they say.
    #[error("the geometry's bytes are cut short")]
    Short,
    /// A type that has no place in GeoJSON.
    #[error("geometries of type {0} (curves and surfaces) cannot be read")]
    Type(u32),
    /// The first byte of a geometry is neither 0 nor 1.
    #[error("the geometry's byte order is {0}, which is none")]
    Order(u8),
    /// Collections in collections.
    #[error("the geometry's collections nest deeper than {COLLECTIONS_MAX} levels")]
    Deep,
}

/// The geometry at the start of the bytes.
pub(super) fn read(bytes: &[u8], notes: &mut NoteSet) -> Result<Raw, WkbFault> {
    let mut reading = Reading {
        bytes,
        little: true,
        notes,
    };
    reading.geometry(COLLECTIONS_MAX)
}

const Z_FLAG: u32 = 0x8000_0000;
const M_FLAG: u32 = 0x4000_0000;
const SRID_FLAG: u32 = 0x2000_0000;
/// The number of a geometry collection; the six below it are those of the shapes.
const COLLECTION_CODE: u32 = 7;
/// The least bytes of one member of a collection or multi-geometry: byte order, type, count.
const MEMBER_BYTES: usize = 9;

struct Reading<'b, 'n> {
    bytes: &'b [u8],
    little: bool,
    notes: &'n mut NoteSet,
}

/// Which numbers a position has beyond x and y.
#[derive(Clone, Copy)]
struct Numbers {
    height: bool,
    measure: bool,
}

impl Numbers {
    fn bytes(self) -> usize {
        8 * (2 + usize::from(self.height) + usize::from(self.measure))
    }
}

impl Reading<'_, '_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WkbFault> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(WkbFault::Short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, WkbFault> {
        let bytes = self.take()?;
        Ok(if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn f64(&mut self) -> Result<f64, WkbFault> {
        let bytes = self.take()?;
        Ok(if self.little {
            f64::from_le_bytes(bytes)
        } else {
            f64::from_be_bytes(bytes)
        })
    }

    /// A number of things that take `least` bytes each, as far as there are bytes for them.
    fn count(&mut self, least: usize) -> Result<usize, WkbFault> {
        let count = usize::try_from(self.u32()?).map_err(|_| WkbFault::Short)?;
        if count > self.bytes.len() / least.max(1) {
            return Err(WkbFault::Short);
        }
        Ok(count)
    }

    fn head(&mut self) -> Result<(u32, Numbers), WkbFault> {
        let [order] = self.take()?;
        self.little = match order {
            0 => false,
            1 => true,
            other => return Err(WkbFault::Order(other)),
        };
        let code = self.u32()?;
        if code & SRID_FLAG != 0 {
            self.u32()?;
        }
        let plain = code & !(Z_FLAG | M_FLAG | SRID_FLAG);
        let (base, thousands) = (plain % 1000, plain / 1000);
        if thousands > 3 {
            return Err(WkbFault::Type(code));
        }
        let numbers = Numbers {
            height: code & Z_FLAG != 0 || thousands == 1 || thousands == 3,
            measure: code & M_FLAG != 0 || thousands == 2 || thousands == 3,
        };
        if numbers.measure {
            self.notes.add(Note::NumbersDropped);
        }
        Ok((base, numbers))
    }

    fn geometry(&mut self, levels: usize) -> Result<Raw, WkbFault> {
        let (base, numbers) = self.head()?;
        if base == COLLECTION_CODE {
            let levels = levels.checked_sub(1).ok_or(WkbFault::Deep)?;
            let count = self.count(MEMBER_BYTES)?;
            let members = (0..count).map(|_| self.geometry(levels));
            return members.collect::<Result<_, _>>().map(Raw::Collection);
        }
        let kind = Kind::from_number(match base {
            1 => 1,
            2 => 2,
            3 => 3,
            4 => 4,
            5 => 5,
            6 => 6,
            other => return Err(WkbFault::Type(other)),
        })
        .ok_or(WkbFault::Type(base))?;
        let coords = match kind {
            Kind::Point => self.position(numbers)?,
            Kind::LineString => self.line(numbers)?,
            Kind::Polygon => self.rings(numbers)?,
            Kind::MultiPoint => self.members(|reading, numbers| reading.position(numbers))?,
            Kind::MultiLineString => self.members(|reading, numbers| reading.line(numbers))?,
            Kind::MultiPolygon => self.members(|reading, numbers| reading.rings(numbers))?,
        };
        Ok(Raw::Simple(kind, coords))
    }

    fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Numbers) -> Result<Coords, WkbFault>,
    ) -> Result<Coords, WkbFault> {
        let count = self.count(MEMBER_BYTES)?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let (_, numbers) = self.head()?;
            members.push(member(self, numbers)?);
        }
        Ok(Coords::List(members))
    }

    fn rings(&mut self, numbers: Numbers) -> Result<Coords, WkbFault> {
        let count = self.count(4)?;
        let rings = (0..count).map(|_| self.line(numbers));
        rings.collect::<Result<_, _>>().map(Coords::List)
    }

    fn line(&mut self, numbers: Numbers) -> Result<Coords, WkbFault> {
        let count = self.count(numbers.bytes())?;
        let positions = (0..count).map(|_| self.position(numbers));
        positions.collect::<Result<_, _>>().map(Coords::List)
    }

    /// A position; one that is not a number in x and y is how an empty point is written.
    fn position(&mut self, numbers: Numbers) -> Result<Coords, WkbFault> {
        let (x, y) = (self.f64()?, self.f64()?);
        let height = numbers.height.then(|| self.f64()).transpose()?;
        if numbers.measure {
            self.f64()?;
        }
        if x.is_nan() && y.is_nan() {
            return Ok(Coords::List(Vec::new()));
        }
        let numbers = [Some(x), Some(y), height].into_iter().flatten();
        Ok(Coords::array(numbers.map(Element::Number)))
    }
}

/// The geometry as ISO well-known binary, little-endian.
pub(super) fn write(plain: &Plain) -> Vec<u8> {
    let mut out = Vec::new();
    put(plain, &mut out);
    out
}

fn put_head(base: u32, heights: bool, out: &mut Vec<u8>) {
    out.push(1);
    let code = base + if heights { 1000 } else { 0 };
    out.extend_from_slice(&code.to_le_bytes());
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    // A map holds fewer than 2^32 of anything.
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_le_bytes());
}

fn put(plain: &Plain, out: &mut Vec<u8>) {
    let heights = plain.has_heights();
    match plain {
        Plain::Empty(kind) => {
            put_head(code(*kind), false, out);
            if *kind == Kind::Point {
                let nan = f64::NAN.to_le_bytes();
                out.extend(nan.into_iter().chain(nan));
            } else {
                put_count(0, out);
            }
        }
        Plain::Collection(members) => {
            put_head(COLLECTION_CODE, heights, out);
            put_count(members.len(), out);
            members.iter().for_each(|member| put(member, out));
        }
        Plain::Shape(shape) => put_shape(shape, heights, out),
    }
}

fn code(kind: Kind) -> u32 {
    match kind {
        Kind::Point => 1,
        Kind::LineString => 2,
        Kind::Polygon => 3,
        Kind::MultiPoint => 4,
        Kind::MultiLineString => 5,
        Kind::MultiPolygon => 6,
    }
}

fn put_shape(shape: &Shape, heights: bool, out: &mut Vec<u8>) {
    put_head(code(shape.kind()), heights, out);
    let first = shape.parts().first();
    match shape.kind() {
        Kind::Point => shape
            .vertices()
            .for_each(|vertex| put_position(vertex, out)),
        Kind::LineString => put_line(shape, first.and_then(|part| part.first()), out),
        Kind::Polygon => put_rings(shape, first, out),
        Kind::MultiPoint => {
            put_count(shape.vertex_count(), out);
            for vertex in shape.vertices() {
                put_head(code(Kind::Point), heights, out);
                put_position(vertex, out);
            }
        }
        Kind::MultiLineString => {
            put_count(shape.parts().iter().flatten().count(), out);
            for line in shape.parts().iter().flatten() {
                put_head(code(Kind::LineString), heights, out);
                put_line(shape, Some(line), out);
            }
        }
        Kind::MultiPolygon => {
            put_count(shape.parts().len(), out);
            for part in shape.parts() {
                put_head(code(Kind::Polygon), heights, out);
                put_rings(shape, Some(part), out);
            }
        }
    }
}

fn put_rings(shape: &Shape, part: Option<&Vec<Vec<f64>>>, out: &mut Vec<u8>) {
    let rings = part.map(Vec::as_slice).unwrap_or_default();
    put_count(rings.len(), out);
    rings
        .iter()
        .for_each(|ring| put_line(shape, Some(ring), out));
}

fn put_line(shape: &Shape, segment: Option<&Vec<f64>>, out: &mut Vec<u8>) {
    let Some(segment) = segment else {
        return put_count(0, out);
    };
    put_count(vertices(shape, segment).count(), out);
    vertices(shape, segment).for_each(|vertex| put_position(vertex, out));
}

fn put_position(vertex: &[f64], out: &mut Vec<u8>) {
    vertex
        .iter()
        .for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::formats::wkt;

    fn from_wkt(text: &str) -> Raw {
        wkt::read(text, &mut NoteSet::default()).unwrap().0
    }

    fn round(text: &str) -> Raw {
        use crate::formats::crs::Crs;
        use crate::formats::shape::settle;
        let mut notes = NoteSet::default();
        let geometry = settle(from_wkt(text), &Crs::Wgs84, &mut notes).unwrap();
        read(&write(&Plain::of(&geometry).unwrap()), &mut notes).unwrap()
    }

    #[test]
    fn every_type_comes_back() {
        for text in [
            "POINT (8.5 47.25)",
            "POINT Z (8.5 47.25 408)",
            "POINT EMPTY",
            "LINESTRING (1 2,3 4.5)",
            "MULTIPOINT ((1 2),(3 4))",
            "MULTILINESTRING ((1 2,3 4),(5 6,7 8))",
            "POLYGON ((0 0,4 0,4 4,0 0),(1 0.5,2 1,2 0.5,1 0.5))",
            "MULTIPOLYGON Z (((0 0 1,4 0 1,4 4 1,0 0 1)))",
            "GEOMETRYCOLLECTION (POINT (1 2),GEOMETRYCOLLECTION (LINESTRING (1 2,3 4)))",
            "MULTIPOLYGON EMPTY",
        ] {
            assert_eq!(round(text), from_wkt(text), "{text}");
        }
    }

    #[test]
    fn the_other_byte_order_and_the_flags_of_postgis_are_read() {
        let mut big = vec![0, 0xA0, 0, 0, 1, 0, 0, 0x10, 0xE6];
        [1.0_f64, 2.0, 3.0]
            .iter()
            .for_each(|n| big.extend_from_slice(&n.to_be_bytes()));
        assert_eq!(
            read(&big, &mut NoteSet::default()).unwrap(),
            from_wkt("POINT Z (1 2 3)")
        );
    }

    #[test]
    fn no_bytes_make_it_panic_or_allocate_what_is_not_there() {
        let mut notes = NoteSet::default();
        assert_eq!(read(&[], &mut notes), Err(WkbFault::Short));
        assert_eq!(read(&[7], &mut notes), Err(WkbFault::Order(7)));
        assert_eq!(read(&[1, 8, 0, 0, 0], &mut notes), Err(WkbFault::Type(8)));
        let many = [1, 2, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0];
        assert_eq!(read(&many, &mut notes), Err(WkbFault::Short));
        let mut deep = Vec::new();
        for _ in 0..100_000 {
            deep.extend_from_slice(&[1, 7, 0, 0, 0, 1, 0, 0, 0]);
        }
        assert_eq!(read(&deep, &mut notes), Err(WkbFault::Deep));
    }
}
