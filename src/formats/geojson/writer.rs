//! GeoJSON out: one feature a line, bytes that depend on the content alone.
//!
//! Numbers are written in full, never rounded; properties and foreign members are sorted by name.

use std::io::{self, Write};

use serde_json::Value;

use crate::geometry::{Geometry, Kind, Segment, Shape, json_number};
use crate::model::Feature;

/// Members of a feature that are written from the document; a foreign member cannot take their place.
const OWN_MEMBERS: [&str; 5] = ["bbox", "geometry", "id", "properties", "type"];

/// Writes a `FeatureCollection`; how many features it has.
pub(in crate::formats) fn write_collection(
    features: impl Iterator<Item = Feature>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut count = 0;
    out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
    for feature in features {
        out.write_all(if count == 0 { b"\n" } else { b",\n" })?;
        write_feature(&feature, out)?;
        count += 1;
    }
    out.write_all(if count == 0 { b"]}\n" } else { b"\n]}\n" })?;
    Ok(count)
}

/// Writes one feature without a line end.
pub(in crate::formats) fn write_feature(feature: &Feature, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{{\"type\":\"Feature\",\"id\":{},\"properties\":",
        feature.id_value()
    )?;
    serde_json::to_writer(&mut *out, &feature.properties)?;
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
    let written = write_feature(feature, &mut out).is_ok();
    String::from_utf8(out)
        .ok()
        .filter(|_| written)
        .unwrap_or_default()
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
