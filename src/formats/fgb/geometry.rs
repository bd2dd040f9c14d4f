//! Geometries as FlatGeobuf lays them out: flat arrays of numbers, and where each line or ring ends.

use flatbuffers::{FlatBufferBuilder, WIPOffset};
use flatgeobuf::{Geometry, GeometryArgs, GeometryType};

use crate::formats::error::Fault;
use crate::formats::notes::{Note, NoteSet};
use crate::formats::shape::{COLLECTIONS_MAX, Plain, Raw, vertices};
use crate::geometry::{Coords, Element, Kind, Part, Shape};

/// The geometry of a feature, by the header's type where it says none itself.
pub(super) fn read(
    geometry: Geometry<'_>,
    header: GeometryType,
    notes: &mut NoteSet,
) -> Result<Raw, Fault> {
    if geometry.m().is_some_and(|m| !m.is_empty()) {
        notes.add(Note::NumbersDropped);
    }
    let own = geometry.type_();
    let kind = if own == GeometryType::Unknown {
        header
    } else {
        own
    };
    raw(geometry, kind, COLLECTIONS_MAX)
}

fn raw(geometry: Geometry<'_>, kind: GeometryType, levels: usize) -> Result<Raw, Fault> {
    let parts = || geometry.parts().into_iter().flatten();
    if kind == GeometryType::GeometryCollection {
        let levels = levels.checked_sub(1).ok_or(Fault::TooDeep)?;
        let members = parts().map(|part| raw(part, part.type_(), levels));
        return members.collect::<Result<_, _>>().map(Raw::Collection);
    }
    let (shape, coords) = match kind {
        GeometryType::Point => {
            let first = positions(geometry)?.into_iter().next();
            (Kind::Point, first.unwrap_or(Coords::List(Vec::new())))
        }
        GeometryType::LineString => (Kind::LineString, Coords::List(positions(geometry)?)),
        GeometryType::MultiPoint => (Kind::MultiPoint, Coords::List(positions(geometry)?)),
        GeometryType::MultiLineString => (Kind::MultiLineString, lines(geometry)?),
        GeometryType::Polygon => (Kind::Polygon, lines(geometry)?),
        GeometryType::MultiPolygon => {
            let polygons = parts().map(lines).collect::<Result<_, _>>()?;
            (Kind::MultiPolygon, Coords::List(polygons))
        }
        other => {
            return Err(broken(format!(
                "geometries of type {} cannot be read",
                other.variant_name().unwrap_or("unknown")
            )));
        }
    };
    Ok(Raw::Simple(shape, coords))
}

/// All positions. One that is not a number in x and y is how an empty point is written; heights that are none mean
/// that there is none.
fn positions(geometry: Geometry<'_>) -> Result<Vec<Coords>, Fault> {
    let xy: Vec<f64> = geometry.xy().into_iter().flatten().collect();
    let z: Vec<f64> = geometry.z().into_iter().flatten().collect();
    if !xy.len().is_multiple_of(2) || (!z.is_empty() && z.len() != xy.len() / 2) {
        return Err(broken(
            "a geometry's numbers do not match each other".to_owned(),
        ));
    }
    let mut heights = z.into_iter();
    let positions = xy.chunks_exact(2).filter_map(|pair| {
        let height = heights.next().filter(|height| !height.is_nan());
        match pair {
            [x, y] if x.is_nan() && y.is_nan() => None,
            [x, y] => {
                let numbers = [Some(*x), Some(*y), height].into_iter().flatten();
                Some(Coords::array(numbers.map(Element::Number)))
            }
            _ => None,
        }
    });
    Ok(positions.collect())
}

/// The positions by the lines or rings that they belong to.
fn lines(geometry: Geometry<'_>) -> Result<Coords, Fault> {
    let positions = positions(geometry)?;
    let ends: Vec<u32> = geometry.ends().into_iter().flatten().collect();
    if ends.is_empty() {
        let one = Some(positions).filter(|positions| !positions.is_empty());
        return Ok(Coords::List(one.into_iter().map(Coords::List).collect()));
    }
    let mut lines = Vec::with_capacity(ends.len());
    let mut start = 0;
    for end in ends {
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        let line = positions
            .get(start..end)
            .ok_or_else(|| broken("a geometry's lines end beyond its positions".to_owned()))?;
        lines.push(Coords::List(line.to_vec()));
        start = end;
    }
    Ok(Coords::List(lines))
}

fn broken(what: String) -> Fault {
    Fault::Unreadable {
        what,
        hint: "write the file again: `ogr2ogr -f FlatGeobuf out.fgb IN`",
    }
}

/// The number of the type of a geometry.
pub(super) fn code(name: &str) -> GeometryType {
    match name {
        "Point" => GeometryType::Point,
        "LineString" => GeometryType::LineString,
        "Polygon" => GeometryType::Polygon,
        "MultiPoint" => GeometryType::MultiPoint,
        "MultiLineString" => GeometryType::MultiLineString,
        "MultiPolygon" => GeometryType::MultiPolygon,
        "GeometryCollection" => GeometryType::GeometryCollection,
        _ => GeometryType::Unknown,
    }
}

/// Builds a geometry. In a file with heights each position has one; where it has none, it is not a number.
pub(super) fn write<'f>(
    plain: &Plain,
    heights: bool,
    builder: &mut FlatBufferBuilder<'f>,
) -> WIPOffset<Geometry<'f>> {
    let type_ = code(plain.name());
    let args = match plain {
        Plain::Empty(_) => GeometryArgs {
            type_,
            ..GeometryArgs::default()
        },
        Plain::Collection(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|member| write(member, heights, builder))
                .collect();
            GeometryArgs {
                type_,
                parts: Some(builder.create_vector(&members)),
                ..GeometryArgs::default()
            }
        }
        Plain::Shape(shape) if shape.kind() == Kind::MultiPolygon => {
            let polygons: Vec<_> = shape
                .parts()
                .iter()
                .map(|part| flat(shape, part, GeometryType::Polygon, heights, builder))
                .collect();
            GeometryArgs {
                type_,
                parts: Some(builder.create_vector(&polygons)),
                ..GeometryArgs::default()
            }
        }
        Plain::Shape(shape) => {
            let segments: Part = shape.parts().iter().flatten().cloned().collect();
            return flat(shape, &segments, type_, heights, builder);
        }
    };
    Geometry::create(builder, &args)
}

fn flat<'f>(
    shape: &Shape,
    segments: &Part,
    type_: GeometryType,
    heights: bool,
    builder: &mut FlatBufferBuilder<'f>,
) -> WIPOffset<Geometry<'f>> {
    let (mut xy, mut z, mut ends) = (Vec::<f64>::new(), Vec::new(), Vec::new());
    for segment in segments {
        for vertex in vertices(shape, segment) {
            xy.extend(vertex.iter().take(2));
            z.push(vertex.get(2).copied().unwrap_or(f64::NAN));
        }
        ends.push(u32::try_from(xy.len() / 2).unwrap_or(u32::MAX));
    }
    let nested = matches!(type_, GeometryType::Polygon | GeometryType::MultiLineString);
    let args = GeometryArgs {
        type_,
        xy: Some(builder.create_vector(&xy)),
        z: heights.then(|| builder.create_vector(&z)),
        ends: nested.then(|| builder.create_vector(&ends)),
        ..GeometryArgs::default()
    };
    Geometry::create(builder, &args)
}
