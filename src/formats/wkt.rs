//! Geometries as well-known text (OGC 06-103r4 §7, ISO 19125), also with `SRID=…;` before it as PostGIS writes.

use std::fmt::Write;

use super::notes::{Note, NoteSet};
use super::shape::{COLLECTIONS_MAX, Plain, Raw, vertices};
use crate::geometry::{Coords, Element, Kind, Part, Shape};

/// Why a text is no geometry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the well-known text {start:?} is no geometry: expected {expected} at character {at}")]
pub(super) struct WktFault {
    /// What belongs there.
    expected: &'static str,
    /// Where, from 1.
    at: usize,
    /// How the text starts.
    start: String,
}

/// Characters of a text that an error quotes.
const QUOTE_CHARS: usize = 40;

/// The geometry that a text describes, and the EPSG code that it names.
pub(super) fn read(text: &str, notes: &mut NoteSet) -> Result<(Raw, Option<u32>), WktFault> {
    let mut reading = Reading {
        text,
        at: 0,
        dropped: false,
    };
    let srid = reading.srid()?;
    let raw = reading.geometry(COLLECTIONS_MAX)?;
    reading.spaces();
    if reading.at < text.len() {
        return Err(reading.expected("the end"));
    }
    if reading.dropped {
        notes.add(Note::NumbersDropped);
    }
    Ok((raw, srid))
}

/// Which numbers follow x and y.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    /// As many as stand there.
    Any,
    /// A measure, which is not kept.
    Measure,
}

struct Reading<'t> {
    text: &'t str,
    at: usize,
    dropped: bool,
}

impl<'t> Reading<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> WktFault {
        WktFault {
            expected,
            at: self.text.get(..self.at).unwrap_or_default().chars().count() + 1,
            start: self.text.chars().take(QUOTE_CHARS).collect(),
        }
    }

    fn takes(&mut self, symbol: char) -> bool {
        self.spaces();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len_utf8();
        }
        found
    }

    fn needs(&mut self, symbol: char, expected: &'static str) -> Result<(), WktFault> {
        if self.takes(symbol) {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn word(&mut self) -> &'t str {
        self.spaces();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn srid(&mut self) -> Result<Option<u32>, WktFault> {
        self.spaces();
        let rest = self.rest();
        let Some(prefix) = rest
            .get(..5)
            .filter(|start| start.eq_ignore_ascii_case("SRID="))
        else {
            return Ok(None);
        };
        let digits = rest.get(prefix.len()..).unwrap_or_default();
        let end = digits.find(';').unwrap_or(digits.len());
        let code = digits
            .get(..end)
            .and_then(|digits| digits.trim().parse().ok());
        if code.is_none() {
            return Err(self.expected("SRID=number;"));
        }
        self.at += prefix.len() + end;
        self.needs(';', "a semicolon after the SRID")?;
        Ok(code)
    }

    fn geometry(&mut self, levels: usize) -> Result<Raw, WktFault> {
        let start = self.at;
        let word = self.word().to_ascii_uppercase();
        let (name, mut extra) = match word.strip_suffix("ZM").or_else(|| word.strip_suffix('Z')) {
            Some(name) => (name, Extra::Any),
            None => match word.strip_suffix('M') {
                Some(name) => (name, Extra::Measure),
                None => (word.as_str(), Extra::Any),
            },
        };
        let before = self.at;
        match self.word().to_ascii_uppercase().as_str() {
            "Z" | "ZM" => {}
            "M" => extra = Extra::Measure,
            _ => self.at = before,
        }
        if name == "GEOMETRYCOLLECTION" {
            let Some(levels) = levels.checked_sub(1) else {
                return Err(self.expected("collections that nest less deeply"));
            };
            return self
                .list(|reading| reading.geometry(levels))
                .map(Raw::Collection);
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name));
        let Some(kind) = kind else {
            self.at = start;
            self.spaces();
            return Err(self.expected("POINT, LINESTRING, POLYGON, MULTI… or GEOMETRYCOLLECTION"));
        };
        let position = |reading: &mut Self| reading.position(extra);
        let line = |reading: &mut Self| reading.list(position).map(Coords::List);
        let part = |reading: &mut Self| reading.list(line).map(Coords::List);
        let coords = match kind {
            Kind::Point => match self.list(position)?.as_slice() {
                [] => Coords::List(Vec::new()),
                [one] => one.clone(),
                _ => return Err(self.expected("one position in a point")),
            },
            // Older writers leave out the brackets around each point.
            Kind::MultiPoint => Coords::List(self.list(|reading| {
                if !reading.takes('(') {
                    return position(reading);
                }
                let point = position(reading)?;
                reading.needs(')', "a closing bracket")?;
                Ok(point)
            })?),
            Kind::LineString => line(self)?,
            Kind::MultiLineString | Kind::Polygon => part(self)?,
            Kind::MultiPolygon => Coords::List(self.list(part)?),
        };
        Ok(Raw::Simple(kind, coords))
    }

    /// What brackets hold, separated by commas; nothing for EMPTY.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, WktFault>,
    ) -> Result<Vec<T>, WktFault> {
        let before = self.at;
        if self.word().eq_ignore_ascii_case("EMPTY") {
            return Ok(Vec::new());
        }
        self.at = before;
        self.needs('(', "an opening bracket or EMPTY")?;
        let mut items = vec![item(self)?];
        while self.takes(',') {
            items.push(item(self)?);
        }
        self.needs(')', "a comma or a closing bracket")?;
        Ok(items)
    }

    fn position(&mut self, extra: Extra) -> Result<Coords, WktFault> {
        let mut numbers = Vec::with_capacity(3);
        loop {
            self.spaces();
            if self.rest().is_empty() || self.rest().starts_with([',', ')']) {
                break;
            }
            let rest = self.rest();
            let end = rest
                .find(|c: char| c.is_whitespace() || matches!(c, ',' | ')' | '('))
                .unwrap_or(rest.len());
            let number = rest
                .get(..end)
                .and_then(|number| number.parse::<f64>().ok())
                .filter(|number| number.is_finite());
            match number {
                Some(number) => numbers.push(number),
                None => return Err(self.expected("a number")),
            }
            self.at += end;
        }
        if extra == Extra::Measure && numbers.len() == 3 {
            numbers.pop();
            self.dropped = true;
        }
        if numbers.len() < 2 {
            return Err(self.expected("at least two numbers in a position"));
        }
        Ok(Coords::array(numbers.into_iter().map(Element::Number)))
    }
}

/// The geometry as well-known text; heights under `Z`, numbers in full.
pub(super) fn write(plain: &Plain) -> String {
    let mut out = String::new();
    put(plain, &mut out);
    out
}

fn put(plain: &Plain, out: &mut String) {
    out.push_str(&plain.name().to_ascii_uppercase());
    if plain.has_heights() {
        out.push_str(" Z");
    }
    out.push(' ');
    match plain {
        Plain::Empty(_) => out.push_str("EMPTY"),
        Plain::Collection(members) if members.is_empty() => out.push_str("EMPTY"),
        Plain::Collection(members) => put_list(members.iter(), out, put),
        Plain::Shape(shape) => put_shape(shape, out),
    }
}

fn put_shape(shape: &Shape, out: &mut String) {
    let line = |segment: &Vec<f64>, out: &mut String| {
        put_list(vertices(shape, segment), out, put_position);
    };
    let part = |part: &Part, out: &mut String| put_list(part.iter(), out, line);
    let first = shape.parts().first();
    match shape.kind() {
        Kind::Point => put_list(shape.vertices(), out, put_position),
        Kind::MultiPoint => put_list(shape.vertices(), out, |vertex, out| {
            put_list(std::iter::once(vertex), out, put_position);
        }),
        Kind::LineString => first
            .into_iter()
            .flatten()
            .for_each(|segment| line(segment, out)),
        Kind::MultiLineString => put_list(shape.parts().iter().flatten(), out, line),
        Kind::Polygon => first.into_iter().for_each(|rings| part(rings, out)),
        Kind::MultiPolygon => put_list(shape.parts().iter(), out, part),
    }
}

fn put_list<T>(items: impl Iterator<Item = T>, out: &mut String, put: impl Fn(T, &mut String)) {
    out.push('(');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        put(item, out);
    }
    out.push(')');
}

fn put_position(vertex: &[f64], out: &mut String) {
    for (index, number) in vertex.iter().enumerate() {
        let space = if index > 0 { " " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{space}{number}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::formats::crs::Crs;
    use crate::formats::shape::settle;

    fn round(text: &str) -> String {
        let mut notes = NoteSet::default();
        let (raw, _) = read(text, &mut notes).unwrap();
        let geometry = settle(raw, &Crs::Wgs84, &mut notes).unwrap();
        write(&Plain::of(&geometry).unwrap())
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
            "POLYGON EMPTY",
            "MULTIPOLYGON Z (((0 0 1,4 0 1,4 4 1,0 0 1)))",
            "GEOMETRYCOLLECTION (POINT (1 2),GEOMETRYCOLLECTION (LINESTRING (1 2,3 4)))",
            "GEOMETRYCOLLECTION EMPTY",
        ] {
            assert_eq!(round(text), text);
        }
    }

    #[test]
    fn dialects_are_understood() {
        assert_eq!(round("point(1 2)"), "POINT (1 2)");
        assert_eq!(round("POINTZ(1 2 3)"), "POINT Z (1 2 3)");
        assert_eq!(round("POINT(1 2 3)"), "POINT Z (1 2 3)");
        assert_eq!(round("POINT M (1 2 3)"), "POINT (1 2)");
        assert_eq!(round("POINTZM (1 2 3 4)"), "POINT Z (1 2 3)");
        assert_eq!(
            round(" MULTIPOINT ( 1 2 , 3 4 ) "),
            "MULTIPOINT ((1 2),(3 4))"
        );
        assert_eq!(
            round("LINESTRING(1e0 -2E-1, 3 +4)"),
            "LINESTRING (1 -0.2,3 4)"
        );
        let mut notes = NoteSet::default();
        let (_, srid) = read("SRID=25832;POINT(1 2)", &mut notes).unwrap();
        assert_eq!((srid, notes), (Some(25832), NoteSet::default()));
        read("POINT ZM (1 2 3 4)", &mut notes).unwrap();
        read("POINT M (1 2 3)", &mut notes).unwrap();
        assert!(notes.has(Note::NumbersDropped));
    }

    #[test]
    fn faults_name_what_belongs_where() {
        let fault = |text: &str| read(text, &mut NoteSet::default()).unwrap_err().to_string();
        assert!(fault("CIRCLE (1 2)").contains("expected POINT, LINESTRING"));
        assert!(fault("POINT (1 b)").ends_with("expected a number at character 10"));
        assert!(fault("POINT (1)").contains("at least two numbers"));
        assert!(fault("POINT (1 2").contains("a comma or a closing bracket"));
        assert!(fault("POINT (1 2) x").contains("the end"));
        assert!(fault("POINT (NaN 2)").contains("a number"));
        assert!(fault("").contains("expected POINT"));
        assert!(fault("ÄÖ").contains("expected POINT"));
        let deep = "GEOMETRYCOLLECTION(".repeat(100_000);
        assert!(fault(&deep).contains("nest less deeply"));
    }
}
