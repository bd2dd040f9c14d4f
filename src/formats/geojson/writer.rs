//! GeoJSON out: one feature a line, bytes that depend on the content alone.
//!
//! Numbers are written in full, never rounded; properties and foreign members are sorted by name.

use std::io::{self, Write};

use serde_json::Value;

use crate::formats::export::ExportOptions;
use crate::formats::shape::Plain;
use crate::geometry::{Geometry, Kind, Segment, Shape, json_number};
use crate::model::Feature;

/// Members of a feature that are written from the document; a foreign member cannot take their place.
const OWN_MEMBERS: [&str; 5] = ["bbox", "geometry", "id", "properties", "type"];

/// Writes a `FeatureCollection`; how many features it has. Its box, where wanted, takes another pass.
pub(in crate::formats) fn write_collection<I: Iterator<Item = Feature>>(
    features: &dyn Fn() -> I,
    options: ExportOptions,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut count = 0;
    out.write_all(b"{\"type\":\"FeatureCollection\",")?;
    if options.with_bbox {
        let boxes = features().filter_map(|feature| bounds(feature.geometry.as_ref()?));
        if let Some(bounds) = boxes.reduce(union) {
            write_bounds(bounds, out)?;
            out.write_all(b",")?;
        }
    }
    out.write_all(b"\"features\":[")?;
    for feature in features() {
        out.write_all(if count == 0 { b"\n" } else { b",\n" })?;
        write_feature(&feature, options.with_bbox, out)?;
        count += 1;
    }
    out.write_all(if count == 0 { b"]}\n" } else { b"\n]}\n" })?;
    Ok(count)
}

/// Writes one feature without a line end, with the box around it if wanted.
pub(in crate::formats) fn write_feature(
    feature: &Feature,
    with_bbox: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(
        out,
        "{{\"type\":\"Feature\",\"id\":{},\"properties\":",
        feature.id_value()
    )?;
    serde_json::to_writer(&mut *out, &feature.properties)?;
    let around = feature.geometry.as_ref().filter(|_| with_bbox);
    if let Some(around) = around.and_then(bounds) {
        out.write_all(b",")?;
        write_bounds(around, out)?;
    }
    out.write_all(b",\"geometry\":")?;
    match &feature.geometry {
        None => out.write_all(b"null")?,
        Some(Geometry::Other(value)) => serde_json::to_writer(&mut *out, value)?,
        Some(Geometry::Shape(shape)) => write_shape(shape, out)?,
    }
    for (name, value) in feature
        .members
        .iter()
        .filter(|(name, _)| !OWN_MEMBERS.contains(&name.as_str()))
    {
        write!(out, ",{}:{value}", Value::String(name.clone()))?;
    }
    out.write_all(b"}")
}

/// One feature as GeoJSON text, as exports write it.
#[must_use]
pub fn feature_json(feature: &Feature) -> String {
    let mut out = Vec::new();
    // Writing to memory cannot fail, and JSON is UTF-8.
    let written = write_feature(feature, false, &mut out).is_ok();
    String::from_utf8(out)
        .ok()
        .filter(|_| written)
        .unwrap_or_default()
}

/// Longitudes, latitudes and, where a position has one, heights: the least first.
type Bounds = ([f64; 4], Option<[f64; 2]>);

/// The box around a geometry; one of pieces that touch the antimeridian from both sides goes across it (RFC 7946 §5.2).
fn bounds(geometry: &Geometry) -> Option<Bounds> {
    let plain = Plain::of(geometry)?;
    let mut sides = plain.bounds()?;
    if let Plain::Shape(shape) = &plain {
        let [west, _, east, _] = &mut sides;
        if *west == -180.0 && *east == 180.0 && shape.parts().len() > 1 {
            let pieces: Vec<[f64; 2]> = shape
                .parts()
                .iter()
                .filter_map(|part| extent(part, shape))
                .collect();
            let western = pieces.iter().filter(|[_, end]| *end < 0.0);
            let eastern = pieces.iter().filter(|[start, _]| *start > 0.0);
            if western.clone().count() + eastern.clone().count() == pieces.len() {
                *east = western.map(|[_, end]| *end).fold(-180.0, f64::max);
                *west = eastern.map(|[start, _]| *start).fold(180.0, f64::min);
            }
        }
    }
    let heights = match &plain {
        Plain::Shape(shape) if plain.has_heights() => {
            let heights = shape.vertices().filter_map(|vertex| vertex.get(2).copied());
            Some(
                heights.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], height| {
                    [low.min(height), high.max(height)]
                }),
            )
        }
        _ => None,
    };
    Some((sides, heights))
}

/// The least and greatest longitude of a part.
fn extent(part: &[Segment], shape: &Shape) -> Option<[f64; 2]> {
    let lons = part
        .iter()
        .flat_map(|segment| segment.iter().step_by(shape.dims().numbers()));
    lons.map(|lon| [*lon, *lon])
        .reduce(|[west, east], [lon, _]| [west.min(lon), east.max(lon)])
}

fn union(a: Bounds, b: Bounds) -> Bounds {
    let ([west, south, east, north], [w, s, e, n]) = (a.0, b.0);
    let heights = match (a.1, b.1) {
        (Some([low, high]), Some([l, h])) => Some([low.min(l), high.max(h)]),
        _ => None,
    };
    let across = west > east || w > e;
    let (west, east) = if across {
        (-180.0, 180.0)
    } else {
        (west.min(w), east.max(e))
    };
    ([west, south.min(s), east, north.max(n)], heights)
}

fn write_bounds((sides, heights): Bounds, out: &mut dyn Write) -> io::Result<()> {
    let [west, south, east, north] = sides;
    let numbers = match heights {
        None => vec![west, south, east, north],
        Some([low, high]) => vec![west, south, low, east, north, high],
    };
    out.write_all(b"\"bbox\":")?;
    write_list(numbers.iter(), out, |number, out| {
        write!(out, "{}", json_number(*number))
    })
}

fn write_shape(shape: &Shape, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{{\"type\":\"{}\",\"coordinates\":",
        shape.kind().name()
    )?;
    let first = shape.parts().first();
    let line = |segment: &Segment, out: &mut dyn Write| write_segment(shape, segment, out);
    match shape.kind() {
        Kind::Point => match shape.vertices().next() {
            Some(vertex) => write_position(vertex, out)?,
            None => out.write_all(b"[]")?,
        },
        Kind::LineString | Kind::MultiPoint => match first.and_then(|part| part.first()) {
            Some(segment) => line(segment, out)?,
            None => out.write_all(b"[]")?,
        },
        Kind::MultiLineString => write_list(shape.parts().iter().flatten(), out, line)?,
        Kind::Polygon => write_list(first.into_iter().flatten(), out, line)?,
        Kind::MultiPolygon => write_list(shape.parts().iter(), out, |part, out| {
            write_list(part.iter(), out, line)
        })?,
    }
    out.write_all(b"}")
}

fn write_segment(shape: &Shape, segment: &Segment, out: &mut dyn Write) -> io::Result<()> {
    let vertices = segment.chunks_exact(shape.dims().numbers());
    let closing = if shape.kind().has_rings() {
        vertices.clone().next()
    } else {
        None
    };
    write_list(vertices.chain(closing), out, write_position)
}

fn write_position(vertex: &[f64], out: &mut dyn Write) -> io::Result<()> {
    write_list(vertex.iter(), out, |number, out| {
        write!(out, "{}", json_number(*number))
    })
}

fn write_list<T>(
    items: impl Iterator<Item = T>,
    out: &mut dyn Write,
    write: impl Fn(T, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut open: &[u8] = b"[";
    for item in items {
        out.write_all(open)?;
        write(item, out)?;
        open = b",";
    }
    out.write_all(if open == b"[" { b"[]" } else { b"]" })
}
