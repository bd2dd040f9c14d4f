//! KML 2.2 out: a folder per layer, a schema per folder; bytes that depend on the content alone.

use std::io::{self, Write};

use serde_json::Value;

use crate::formats::shape::{Plain, vertices};
use crate::formats::table::{ColumnType, ID_COLUMN, Table};
use crate::formats::value;
use crate::formats::xml::escaped;
use crate::geometry::{Kind, Part, Shape};
use crate::model::Feature;

/// Properties that are elements of their own, where they are texts.
const OWN_ELEMENTS: [&str; 2] = ["name", "description"];

/// Writes a document; how many features it has.
pub(in crate::formats) fn write(
    tables: &[Table],
    feature: &mut dyn FnMut(&str) -> Option<Feature>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\">\n<Document id=\"mapweave\">\n")?;
    for (at, table) in tables.iter().enumerate() {
        schema(table, at, out)?;
    }
    let mut count = 0;
    for (at, table) in tables.iter().enumerate() {
        if let Some(layer) = &table.layer {
            writeln!(out, "<Folder><name>{}</name>", escaped(layer))?;
        }
        for feature in table.fids.iter().filter_map(|fid| feature(fid)) {
            placemark(&feature, table, at, out)?;
            count += 1;
        }
        if table.layer.is_some() {
            out.write_all(b"</Folder>\n")?;
        }
    }
    out.write_all(b"</Document>\n</kml>\n")?;
    Ok(count)
}

fn schema(table: &Table, at: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<Schema name=\"{}\" id=\"schema{at}\">",
        escaped(&table.name)
    )?;
    let columns = table
        .columns
        .iter()
        .filter(|column| column.name != ID_COLUMN)
        .map(|column| (column.name.as_str(), column.r#type, column.small));
    let id = (ID_COLUMN, table.id_type.unwrap_or(ColumnType::Text), false);
    for (name, kind, small) in std::iter::once(id).chain(columns) {
        let kind = match kind {
            ColumnType::Bool => "bool",
            ColumnType::Integer if small => "int",
            ColumnType::Integer | ColumnType::Real => "double",
            ColumnType::Text | ColumnType::Json => "string",
        };
        writeln!(
            out,
            "<SimpleField name=\"{}\" type=\"{kind}\"></SimpleField>",
            escaped(name)
        )?;
    }
    out.write_all(b"</Schema>\n")
}

fn placemark(feature: &Feature, table: &Table, at: usize, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<Placemark>")?;
    for name in OWN_ELEMENTS {
        if let Some(Value::String(text)) = feature.properties.get(name) {
            write!(out, "<{name}>{}</{name}>", escaped(text))?;
        }
    }
    // Values beside texts in one column stand apart, where their own text tells what they are.
    let mut loose = Vec::new();
    out.write_all(b"\n<ExtendedData>")?;
    write!(out, "<SchemaData schemaUrl=\"#schema{at}\">")?;
    let id = feature.id_value();
    let id_type = table.id_type.unwrap_or(ColumnType::Text);
    let columns = table
        .columns
        .iter()
        .filter(|column| column.name != ID_COLUMN)
        .filter_map(|column| {
            let value = feature.properties.get(&column.name)?;
            let own = OWN_ELEMENTS.contains(&column.name.as_str()) && value.is_string();
            (!own).then_some((column.name.as_str(), column.r#type, value))
        });
    for (name, kind, value) in std::iter::once((ID_COLUMN, id_type, &id)).chain(columns) {
        if kind == ColumnType::Json && !value.is_string() {
            loose.push((name, value));
        } else if let Some(text) = value::text(value) {
            write!(
                out,
                "<SimpleData name=\"{}\">{}</SimpleData>",
                escaped(name),
                escaped(&text)
            )?;
        }
    }
    out.write_all(b"</SchemaData>")?;
    for (name, value) in loose {
        if let Some(text) = value::text(value) {
            write!(
                out,
                "<Data name=\"{}\"><value>{}</value></Data>",
                escaped(name),
                escaped(&text)
            )?;
        }
    }
    out.write_all(b"</ExtendedData>\n")?;
    if let Some(plain) = feature.geometry.as_ref().and_then(Plain::of) {
        geometry(&plain, out)?;
    }
    out.write_all(b"</Placemark>\n")
}

fn geometry(plain: &Plain, out: &mut dyn Write) -> io::Result<()> {
    match plain {
        Plain::Empty(Kind::Point) => out.write_all(b"<Point></Point>"),
        Plain::Empty(Kind::LineString) => out.write_all(b"<LineString></LineString>"),
        Plain::Empty(Kind::Polygon) => out.write_all(b"<Polygon></Polygon>"),
        Plain::Empty(_) => out.write_all(b"<MultiGeometry></MultiGeometry>"),
        Plain::Collection(members) => {
            out.write_all(b"<MultiGeometry>")?;
            for member in members {
                geometry(member, out)?;
            }
            out.write_all(b"</MultiGeometry>")
        }
        Plain::Shape(shape) => self::shape(shape, out),
    }
}

fn shape(shape: &Shape, out: &mut dyn Write) -> io::Result<()> {
    let first = shape.parts().first();
    let multi = !matches!(shape.kind(), Kind::Point | Kind::LineString | Kind::Polygon);
    if multi {
        out.write_all(b"<MultiGeometry>")?;
    }
    match shape.kind() {
        Kind::Point | Kind::MultiPoint => {
            for vertex in shape.vertices() {
                out.write_all(b"<Point>")?;
                coordinates(std::iter::once(vertex), out)?;
                out.write_all(b"</Point>")?;
            }
        }
        Kind::LineString | Kind::MultiLineString => {
            for line in shape.parts().iter().flatten() {
                out.write_all(b"<LineString>")?;
                coordinates(vertices(shape, line), out)?;
                out.write_all(b"</LineString>")?;
            }
        }
        Kind::Polygon => polygon(shape, first, out)?,
        Kind::MultiPolygon => {
            for part in shape.parts() {
                polygon(shape, Some(part), out)?;
            }
        }
    }
    if multi {
        out.write_all(b"</MultiGeometry>")?;
    }
    Ok(())
}

fn polygon(shape: &Shape, part: Option<&Part>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<Polygon>")?;
    for (at, ring) in part.into_iter().flatten().enumerate() {
        let boundary = if at == 0 {
            "outerBoundaryIs"
        } else {
            "innerBoundaryIs"
        };
        write!(out, "<{boundary}><LinearRing>")?;
        coordinates(vertices(shape, ring), out)?;
        write!(out, "</LinearRing></{boundary}>")?;
    }
    out.write_all(b"</Polygon>")
}

/// Heights are absolute; without them a geometry lies on the ground.
fn coordinates<'v>(
    vertices: impl Iterator<Item = &'v [f64]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut open = false;
    for vertex in vertices {
        let [lon, lat, rest @ ..] = vertex else {
            continue;
        };
        if !open {
            if !rest.is_empty() {
                out.write_all(b"<altitudeMode>absolute</altitudeMode>")?;
            }
            out.write_all(b"<coordinates>")?;
        } else {
            out.write_all(b" ")?;
        }
        open = true;
        match rest.first() {
            Some(height) => write!(out, "{lon},{lat},{height}")?,
            None => write!(out, "{lon},{lat}")?,
        }
    }
    if !open {
        out.write_all(b"<coordinates>")?;
    }
    out.write_all(b"</coordinates>")
}
