//! GPX 1.1 out: waypoints, then routes, then tracks, as the schema wants them; bytes that depend on the content alone.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::fields::{Holds, LINE_END, LINE_START, WAYPOINT_END, WAYPOINT_START};
use super::reader::OWN_PREFIX;
use crate::formats::shape::Plain;
use crate::formats::table::ID_COLUMN;
use crate::formats::times::{self, TIMES};
use crate::formats::value;
use crate::formats::xml::{escaped, holds};
use crate::geometry::{Kind, Shape};
use crate::model::Feature;

/// What became of the features.
pub(in crate::formats) struct Written {
    pub(in crate::formats) features: u64,
    /// Features whose geometry GPX cannot hold.
    pub(in crate::formats) left_out: u64,
}

/// The three kinds of records, in the order of the schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Waypoint,
    Route,
    Track,
}

/// Writes the features, which are gone through once for each kind of record.
pub(in crate::formats) fn write<I: Iterator<Item = Feature>>(
    features: &dyn Fn() -> I,
    out: &mut dyn Write,
) -> io::Result<Written> {
    out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gpx version=\"1.1\" creator=\"Mapweave\" xmlns=\"http://www.topografix.com/GPX/1/1\" xmlns:ogr=\"http://osgeo.org/gdal\">\n")?;
    let mut written = Written {
        features: 0,
        left_out: 0,
    };
    for wanted in [Record::Waypoint, Record::Route, Record::Track] {
        for feature in features() {
            match shape(&feature) {
                Some((record, shape)) if record == wanted => {
                    written.features += 1;
                    match record {
                        Record::Waypoint => waypoint(&feature, &shape, out)?,
                        Record::Route => route(&feature, &shape, out)?,
                        Record::Track => track(&feature, &shape, out)?,
                    }
                }
                None if wanted == Record::Waypoint => written.left_out += 1,
                _ => {}
            }
        }
    }
    out.write_all(b"</gpx>\n")?;
    Ok(written)
}

/// The record that a feature becomes: a line with times is a track, one without is a route.
fn shape(feature: &Feature) -> Option<(Record, Shape)> {
    let Plain::Shape(shape) = Plain::of(feature.geometry.as_ref()?)? else {
        return None;
    };
    match shape.kind() {
        Kind::Point => Some((Record::Waypoint, shape)),
        Kind::LineString if !feature.properties.contains_key(TIMES) => Some((Record::Route, shape)),
        Kind::LineString | Kind::MultiLineString => Some((Record::Track, shape)),
        _ => None,
    }
}

fn waypoint(feature: &Feature, shape: &Shape, out: &mut dyn Write) -> io::Result<()> {
    let vertex = shape.vertices().next().unwrap_or_default();
    point("wpt", vertex, out)?;
    let written = [
        elements(&feature.properties, &WAYPOINT_START, out)?,
        links(&feature.properties, out)?,
        elements(&feature.properties, &WAYPOINT_END, out)?,
    ];
    extensions(feature, &written.concat(), out)?;
    out.write_all(b"</wpt>\n")
}

fn route(feature: &Feature, shape: &Shape, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<rte>")?;
    head(feature, &[], out)?;
    for vertex in shape.vertices() {
        point("rtept", vertex, out)?;
        out.write_all(b"</rtept>\n")?;
    }
    out.write_all(b"</rte>\n")
}

fn track(feature: &Feature, shape: &Shape, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<trk>")?;
    head(feature, &[TIMES.to_owned()], out)?;
    let numbers = shape.dims().numbers();
    let lines: Vec<&Vec<f64>> = shape.parts().iter().flatten().collect();
    let counts: Vec<usize> = lines.iter().map(|line| line.len() / numbers).collect();
    let times = times::read(feature.properties.get(TIMES), &counts);
    for (line, times) in lines.into_iter().zip(times) {
        out.write_all(b"<trkseg>\n")?;
        for (vertex, time) in line.chunks_exact(numbers).zip(times) {
            point("trkpt", vertex, out)?;
            if let Some(time) = time {
                write!(out, "<time>{}</time>", escaped(&time))?;
            }
            out.write_all(b"</trkpt>\n")?;
        }
        out.write_all(b"</trkseg>\n")?;
    }
    out.write_all(b"</trk>\n")
}

/// What comes before the points of a line.
fn head(feature: &Feature, done: &[String], out: &mut dyn Write) -> io::Result<()> {
    let written = [
        done.to_vec(),
        elements(&feature.properties, &LINE_START, out)?,
        links(&feature.properties, out)?,
        elements(&feature.properties, &LINE_END, out)?,
    ];
    extensions(feature, &written.concat(), out)?;
    out.write_all(b"\n")
}

/// Starts a point.
fn point(name: &str, vertex: &[f64], out: &mut dyn Write) -> io::Result<()> {
    let [lon, lat, rest @ ..] = vertex else {
        return Ok(());
    };
    write!(out, "<{name} lat=\"{lat}\" lon=\"{lon}\">")?;
    match rest.first() {
        Some(height) => write!(out, "<ele>{height}</ele>"),
        None => Ok(()),
    }
}

/// Writes the properties that have elements; their names.
fn elements(
    properties: &Map<String, Value>,
    known: &[(&str, Holds)],
    out: &mut dyn Write,
) -> io::Result<Vec<String>> {
    let mut written = Vec::new();
    for (name, kind) in known {
        let value = properties.get(*name).filter(|value| kind.holds(value));
        if let Some(text) = value.and_then(value::text) {
            write!(out, "<{name}>{}</{name}>", escaped(&text))?;
            written.push((*name).to_owned());
        }
    }
    Ok(written)
}

/// Writes links, which are numbered from 1 without a gap; the names of their properties.
fn links(properties: &Map<String, Value>, out: &mut dyn Write) -> io::Result<Vec<String>> {
    let mut written = Vec::new();
    for number in 1.. {
        let part = |part: &str| {
            let name = format!("link{number}_{part}");
            let text = properties.get(&name)?.as_str().filter(|text| holds(text))?;
            Some((name, text))
        };
        let Some((name, href)) = part("href") else {
            break;
        };
        write!(out, "<link href=\"{}\">", escaped(href))?;
        written.push(name);
        for element in ["text", "type"] {
            if let Some((name, text)) = part(element) {
                write!(out, "<{element}>{}</{element}>", escaped(text))?;
                written.push(name);
            }
        }
        out.write_all(b"</link>")?;
    }
    Ok(written)
}

/// Writes the id and the properties that have no element of their own.
fn extensions(feature: &Feature, written: &[String], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<extensions>")?;
    extension(ID_COLUMN, &feature.id_value(), out)?;
    for (name, value) in &feature.properties {
        if !written.contains(name) && name != ID_COLUMN {
            extension(name, value, out)?;
        }
    }
    out.write_all(b"</extensions>")
}

fn extension(name: &str, value: &Value, out: &mut dyn Write) -> io::Result<()> {
    let Some(text) = value::text(value) else {
        return Ok(());
    };
    let element = element_name(name);
    write!(out, "<{OWN_PREFIX}:{element}")?;
    if element != name {
        write!(out, " name=\"{}\"", escaped(name))?;
    }
    if value.is_string() && value::typed(&text) != *value {
        out.write_all(b" type=\"text\"")?;
    }
    write!(out, ">{}</{OWN_PREFIX}:{element}>", escaped(&text))
}

/// The name with everything that cannot be in an element's name replaced.
fn element_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut out: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out
}
