//! Geometries of placemarks.

use std::io::Read;

use crate::formats::error::Fault;
use crate::formats::shape::{COLLECTIONS_MAX, Raw};
use crate::formats::xml::{Element, Piece, Stop, Xml, XmlFault};
use crate::geometry::{Coords, Element as Number, Kind};

/// A geometry with the times of its vertices, where it is a track.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) raw: Raw,
    /// By line, each time where there is one.
    pub(super) times: Vec<Vec<Option<String>>>,
}

impl Found {
    fn plain(raw: Raw) -> Self {
        Self {
            raw,
            times: Vec::new(),
        }
    }
}

/// Whether an element of this name is a geometry.
pub(super) fn is_geometry(name: &str) -> bool {
    matches!(
        name,
        "Point"
            | "LineString"
            | "LinearRing"
            | "Polygon"
            | "MultiGeometry"
            | "Track"
            | "MultiTrack"
    )
}

/// Reads the geometry that was just started, up to its end.
pub(super) fn read<R: Read>(xml: &mut Xml<R>, element: &Element) -> Result<Found, Stop> {
    geometry(xml, element, COLLECTIONS_MAX)
}

fn geometry<R: Read>(xml: &mut Xml<R>, element: &Element, levels: usize) -> Result<Found, Stop> {
    match element.name.as_str() {
        "Point" => {
            let mut positions = coordinates(xml)?;
            let position = positions.pop().unwrap_or(Coords::List(Vec::new()));
            if !positions.is_empty() {
                return Err(Stop::Record(unreadable(
                    "a Point has more than one position".to_owned(),
                )));
            }
            Ok(Found::plain(Raw::Simple(Kind::Point, position)))
        }
        "LineString" | "LinearRing" => Ok(Found::plain(Raw::Simple(
            Kind::LineString,
            Coords::List(coordinates(xml)?),
        ))),
        "Polygon" => Ok(Found::plain(Raw::Simple(Kind::Polygon, polygon(xml)?))),
        "Track" => {
            let (positions, times) = track(xml)?;
            Ok(Found {
                raw: Raw::Simple(Kind::LineString, Coords::List(positions)),
                times: vec![times],
            })
        }
        "MultiTrack" => {
            let (mut lines, mut times) = (Vec::new(), Vec::new());
            for_each_child(xml, |xml, child| {
                if child.name != "Track" {
                    return Ok(());
                }
                let (positions, line_times) = track(xml)?;
                lines.push(Coords::List(positions));
                times.push(line_times);
                Ok(())
            })?;
            Ok(Found {
                raw: Raw::Simple(Kind::MultiLineString, Coords::List(lines)),
                times,
            })
        }
        _ => {
            let Some(levels) = levels.checked_sub(1) else {
                return Err(Stop::Record(Fault::TooDeep));
            };
            let mut members = Vec::new();
            for_each_child(xml, |xml, child| {
                if is_geometry(&child.name) {
                    members.push(geometry(xml, child, levels)?.raw);
                }
                Ok(())
            })?;
            Ok(Found::plain(joined(members)))
        }
    }
}

/// Geometries of one simple type as one of its multiple, others as a collection.
pub(super) fn joined(members: Vec<Raw>) -> Raw {
    let kind = |raw: &Raw| match raw {
        Raw::Simple(Kind::Point, Coords::Position { .. }) => Some(Kind::MultiPoint),
        Raw::Simple(Kind::LineString, _) => Some(Kind::MultiLineString),
        Raw::Simple(Kind::Polygon, _) => Some(Kind::MultiPolygon),
        _ => None,
    };
    let first = members.first().and_then(kind);
    let Some(multi) = first.filter(|multi| members.iter().all(|raw| kind(raw) == Some(*multi)))
    else {
        return Raw::Collection(members);
    };
    let coords = members.into_iter().filter_map(|raw| match raw {
        Raw::Simple(_, coords) => Some(coords),
        Raw::Collection(_) => None,
    });
    Raw::Simple(multi, Coords::List(coords.collect()))
}

/// Goes through the elements in the one that was just started, up to its end.
pub(super) fn for_each_child<R: Read>(
    xml: &mut Xml<R>,
    mut act: impl FnMut(&mut Xml<R>, &Element) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let depth = xml.depth();
    loop {
        match xml.next()? {
            Piece::Start(element) => {
                act(xml, &element)?;
                xml.skip_to(depth)?;
            }
            Piece::End if xml.depth() < depth => return Ok(()),
            Piece::Eof => return Ok(()),
            Piece::End | Piece::Text(_) => {}
        }
    }
}

/// The positions of the element that was just started.
fn coordinates<R: Read>(xml: &mut Xml<R>) -> Result<Vec<Coords>, Stop> {
    let mut positions = Vec::new();
    for_each_child(xml, |xml, child| {
        if child.name == "coordinates" {
            positions = tuples(&xml.text()?)?;
        }
        Ok(())
    })?;
    Ok(positions)
}

fn polygon<R: Read>(xml: &mut Xml<R>) -> Result<Coords, Stop> {
    let (mut exterior, mut holes) = (None, Vec::new());
    for_each_child(xml, |xml, boundary| {
        let outer = boundary.name == "outerBoundaryIs";
        if !outer && boundary.name != "innerBoundaryIs" {
            return Ok(());
        }
        for_each_child(xml, |xml, ring| {
            if ring.name == "LinearRing" {
                let ring = Coords::List(coordinates(xml)?);
                if outer {
                    exterior = Some(ring);
                } else {
                    holes.push(ring);
                }
            }
            Ok(())
        })
    })?;
    match exterior {
        Some(exterior) => Ok(Coords::List(
            std::iter::once(exterior).chain(holes).collect(),
        )),
        None if holes.is_empty() => Ok(Coords::List(Vec::new())),
        None => Err(Stop::Record(unreadable(
            "a Polygon has holes but no outerBoundaryIs".to_owned(),
        ))),
    }
}

type Track = (Vec<Coords>, Vec<Option<String>>);

/// The positions of a track with their times; both come in their own order, first of all the times.
fn track<R: Read>(xml: &mut Xml<R>) -> Result<Track, Stop> {
    let (mut positions, mut times) = (Vec::new(), Vec::new());
    for_each_child(xml, |xml, child| {
        match child.name.as_str() {
            "when" => times.push(Some(xml.text()?).filter(|time| !time.is_empty())),
            "coord" => {
                let text = xml.text()?;
                let numbers: Result<Vec<f64>, Fault> =
                    text.split_ascii_whitespace().map(number).collect();
                positions.push(Coords::array(numbers?.into_iter().map(Number::Number)));
            }
            _ => {}
        }
        Ok(())
    })?;
    times.resize(positions.len(), None);
    Ok((positions, times))
}

/// Positions as numbers joined by commas, separated by spaces. Spaces around commas, which many files have, are taken.
fn tuples(text: &str) -> Result<Vec<Coords>, Fault> {
    let mut positions = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut numbers = Vec::with_capacity(3);
        loop {
            let end = rest
                .find(|c: char| c == ',' || c.is_whitespace())
                .unwrap_or(rest.len());
            let (token, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            numbers.push(number(token)?);
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None => break,
            }
        }
        positions.push(Coords::array(numbers.into_iter().map(Number::Number)));
    }
    Ok(positions)
}

fn number(text: &str) -> Result<f64, Fault> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| {
        let start: String = text.chars().take(40).collect();
        unreadable(format!("coordinates hold {start:?}, which is no number"))
    })
}

fn unreadable(what: String) -> Fault {
    Fault::Unreadable {
        what,
        hint: "coordinates are longitude,latitude or longitude,latitude,height, separated by spaces",
    }
}

impl From<Stop> for XmlFault {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::File(fault) => fault,
            Stop::Record(fault) => Self(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn coordinates_are_read_with_and_without_heights_and_stray_spaces() {
        let read = |text: &str| -> Vec<String> {
            let positions = tuples(text).unwrap();
            positions.iter().map(|p| p.to_value().to_string()).collect()
        };
        assert_eq!(
            read(" 1,2 3,4.5\n\t5,6,7 "),
            ["[1,2]", "[3,4.5]", "[5,6,7]"]
        );
        assert_eq!(read("1, 2, 3 4 ,5"), ["[1,2,3]", "[4,5]"]);
        assert_eq!(read(" \n"), Vec::<String>::new());
        assert!(tuples("1,a").is_err() && tuples("1,,2").is_err() && tuples("1,2,").is_err());
    }
}
