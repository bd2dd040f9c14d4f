//! CSV out: all layers as one table, bytes that depend on the content alone.

use std::io::{self, Write};

use serde_json::Value;

use super::columns::{coordinates_stand_apart, id_name, wkt_name};
use crate::formats::shape::Plain;
use crate::formats::table::Table;
use crate::formats::{value, wkt};
use crate::model::Feature;

/// Writes the features of all tables under one header; how many there are.
pub(in crate::formats) fn write(
    tables: &[Table],
    feature: &mut dyn FnMut(&str) -> Option<Feature>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut names: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| column.name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    let id = id_name(names.iter().copied());
    names.retain(|name| *name != id);
    let points = tables
        .iter()
        .all(|table| table.kinds.iter().all(|kind| *kind == "Point"))
        && tables.iter().any(|table| table.bounds.is_some());
    let points = points && coordinates_stand_apart(names.iter().copied());
    let heights = tables.iter().any(|table| table.heights.0);
    let geometry: &[&str] = match (points, heights) {
        (true, true) => &["lon", "lat", "z"],
        (true, false) => &["lon", "lat"],
        (false, _) => &[wkt_name(names.iter().copied())],
    };
    let header = std::iter::once(id)
        .chain(geometry.iter().copied())
        .chain(names.iter().copied());
    line(
        header.map(|name| cell(&Value::String(name.to_owned()))),
        out,
    )?;
    let mut fids: Vec<&String> = tables.iter().flat_map(|table| &table.fids).collect();
    fids.sort_unstable();
    let mut count = 0;
    for feature in fids.into_iter().filter_map(|fid| feature(fid)) {
        let plain = feature.geometry.as_ref().and_then(Plain::of);
        let geometry = if points {
            coordinates(plain.as_ref(), geometry.len())
        } else {
            vec![
                plain
                    .as_ref()
                    .map_or(String::new(), |plain| quoted(&wkt::write(plain))),
            ]
        };
        let properties = names
            .iter()
            .map(|name| feature.properties.get(*name).map_or(String::new(), cell));
        let cells = std::iter::once(cell(&feature.id_value()))
            .chain(geometry)
            .chain(properties);
        line(cells, out)?;
        count += 1;
    }
    Ok(count)
}

fn coordinates(plain: Option<&Plain>, columns: usize) -> Vec<String> {
    let vertex = match plain {
        Some(Plain::Shape(shape)) => shape.vertices().next().unwrap_or_default(),
        _ => &[],
    };
    let number = |at: usize| vertex.get(at).map_or(String::new(), f64::to_string);
    (0..columns).map(number).collect()
}

fn line(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(cell.as_bytes())?;
    }
    out.write_all(b"\r\n")
}

/// A value so that reading it gives the same one: texts that look like something else stand in quotes.
fn cell(value: &Value) -> String {
    let Some(text) = value::text(value) else {
        return String::new();
    };
    let plain = match value {
        Value::String(text) => {
            !text.is_empty()
                && text.trim() == text
                && !text.contains(['"', ',', ';', '\t', '|', '\r', '\n'])
                && value::typed(text) == *value
        }
        Value::Bool(_) | Value::Number(_) => true,
        _ => false,
    };
    if plain { text } else { quoted(&text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
