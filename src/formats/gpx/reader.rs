//! GPX in, one waypoint, route or track at a time.

use std::io::Read;

use serde_json::{Map, Value};

use super::fields::known;
use crate::formats::crs::FileCrs;
use crate::formats::error::{Fault, RecordError};
use crate::formats::notes::{Note, NoteSet};
use crate::formats::records::{Item, Reading, Record};
use crate::formats::shape::{Raw, settle};
use crate::formats::table::ID_COLUMN;
use crate::formats::times::{self, TIMES};
use crate::formats::value;
use crate::formats::xml::{Element, Piece, Stop, Xml, XmlFault};
use crate::geometry::{Coords, Element as Number, Kind};
use crate::model::{Content, SourceId, VERTICES_MAX};

pub(in crate::formats) struct Reader<R: Read> {
    xml: Xml<R>,
    crs: FileCrs,
    records: u64,
    started: bool,
}

impl<R: Read> Reading for Reader<R> {
    fn next(&mut self) -> Option<Record> {
        self.step()
            .unwrap_or_else(|fault| Some(Err(self.xml.fatal(fault))))
    }
}

/// A record while it is read.
#[derive(Default)]
struct Draft {
    properties: Map<String, Value>,
    id: Option<SourceId>,
    links: usize,
    lines: Vec<Line>,
    vertices: u64,
}

#[derive(Default)]
struct Line {
    positions: Vec<Coords>,
    times: Vec<Option<String>>,
}

impl<R: Read> Reader<R> {
    pub(in crate::formats) fn new(reader: R, crs: FileCrs) -> Self {
        Self {
            xml: Xml::new(reader),
            crs,
            records: 0,
            started: false,
        }
    }

    fn step(&mut self) -> Result<Option<Record>, XmlFault> {
        loop {
            let place = self.xml.place(self.records + 1);
            match self.xml.next()? {
                Piece::Start(element) if self.xml.depth() == 1 => {
                    self.started = true;
                    if element.name != "gpx" {
                        return Err(XmlFault(Fault::Unreadable {
                            what: format!(
                                "this is no GPX: its first element is {:?}",
                                element.name
                            ),
                            hint: "a GPX file is one element \"gpx\" with waypoints, routes and tracks",
                        }));
                    }
                }
                Piece::Start(element) => {
                    let kind = match element.name.as_str() {
                        "wpt" => Kind::Point,
                        "rte" => Kind::LineString,
                        "trk" => Kind::MultiLineString,
                        _ => {
                            self.xml.skip_to(1)?;
                            continue;
                        }
                    };
                    self.records += 1;
                    let read = self.record(&element, kind);
                    self.xml.skip_to(1)?;
                    return match read {
                        Ok((content, notes)) => {
                            Ok(Some(Ok(Item::new(content, place).noted(notes))))
                        }
                        Err(Stop::Record(fault)) => {
                            Ok(Some(Err(RecordError::of_record(place, None, fault))))
                        }
                        Err(Stop::File(fault)) => Err(fault),
                    };
                }
                Piece::Eof if !self.started => return Err(XmlFault(Fault::Empty)),
                Piece::Eof => return Ok(None),
                Piece::End | Piece::Text(_) => {}
            }
        }
    }

    fn record(&mut self, element: &Element, kind: Kind) -> Result<(Content, NoteSet), Stop> {
        let mut draft = Draft::default();
        if kind == Kind::Point {
            let (position, time) = self.point(element, Some(&mut draft))?;
            draft.lines.push(Line {
                positions: vec![position],
                times: Vec::new(),
            });
            if let Some(time) = time {
                draft
                    .properties
                    .insert("time".to_owned(), Value::String(time));
            }
        } else {
            if kind == Kind::LineString {
                draft.lines.push(Line::default());
            }
            self.line(&mut draft)?;
        }
        let mut notes = NoteSet::default();
        let geometry = match draft.raw(kind, &mut notes) {
            None => None,
            Some(raw) => Some(settle(raw, &self.crs.crs, &mut notes)?),
        };
        let content = Content {
            id: draft.id,
            geometry,
            properties: draft.properties,
            members: Map::new(),
        };
        Ok((content, notes))
    }

    /// Reads a route or track up to its end.
    fn line(&mut self, draft: &mut Draft) -> Result<(), Stop> {
        let depth = self.xml.depth();
        loop {
            match self.xml.next()? {
                Piece::End if self.xml.depth() < depth => return Ok(()),
                Piece::Start(element) => match element.name.as_str() {
                    "trkseg" => draft.lines.push(Line::default()),
                    "rtept" | "trkpt" => {
                        draft.vertices += 1;
                        if draft.vertices > VERTICES_MAX {
                            return Err(Stop::Record(Fault::Unreadable {
                                what: format!("it has more than {VERTICES_MAX} points"),
                                hint: "split the track",
                            }));
                        }
                        let (position, time) = self.point(&element, None)?;
                        if let Some(line) = draft.lines.last_mut() {
                            line.positions.push(position);
                            line.times.push(time);
                        }
                    }
                    _ => self.property(&element, draft)?,
                },
                Piece::Eof => return Ok(()),
                Piece::End | Piece::Text(_) => {}
            }
        }
    }

    /// Reads a point up to its end: its position and its time, and its other elements if they are wanted.
    fn point(
        &mut self,
        element: &Element,
        mut draft: Option<&mut Draft>,
    ) -> Result<(Coords, Option<String>), Stop> {
        let depth = self.xml.depth();
        let position = [number(element, "lon"), number(element, "lat")];
        let (mut height, mut time) = (None, None);
        loop {
            match self.xml.next()? {
                Piece::End if self.xml.depth() < depth => break,
                Piece::Start(element) => match (element.name.as_str(), &mut draft) {
                    ("ele", _) => {
                        let text = self.xml.text()?;
                        let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
                        height = Some(number.ok_or_else(|| bad("ele", &text))?);
                    }
                    ("time", _) => time = Some(self.xml.text()?),
                    (_, Some(draft)) => self.property(&element, draft)?,
                    (_, None) => self.xml.skip_to(depth)?,
                },
                Piece::Eof => break,
                Piece::End | Piece::Text(_) => {}
            }
        }
        let [lon, lat] = position;
        let numbers = [Some(lon?), Some(lat?), height].into_iter().flatten();
        Ok((Coords::array(numbers.map(Number::Number)), time))
    }

    fn property(&mut self, element: &Element, draft: &mut Draft) -> Result<(), XmlFault> {
        match element.name.as_str() {
            "extensions" => self.extensions(draft),
            "link" => {
                draft.links += 1;
                let name = |part: &str, links| format!("link{links}_{part}");
                if let Some(href) = element.attribute("href") {
                    let value = Value::String(href.to_owned());
                    draft.properties.insert(name("href", draft.links), value);
                }
                let depth = self.xml.depth();
                loop {
                    match self.xml.next()? {
                        Piece::Start(part) => {
                            let text = self.xml.text()?;
                            let name = name(&part.name, draft.links);
                            draft.properties.insert(name, Value::String(text));
                        }
                        Piece::End if self.xml.depth() < depth => return Ok(()),
                        Piece::Eof => return Ok(()),
                        Piece::End | Piece::Text(_) => {}
                    }
                }
            }
            name => {
                let text = self.xml.text()?;
                let value = match known(name) {
                    Some(holds) => holds.value(text),
                    None => Value::String(text),
                };
                draft.properties.insert(name.to_owned(), value);
                Ok(())
            }
        }
    }

    /// Reads the elements that hold nothing but text, however deep they lie.
    fn extensions(&mut self, draft: &mut Draft) -> Result<(), XmlFault> {
        let depth = self.xml.depth();
        let mut open: Option<(Element, String)> = None;
        loop {
            match self.xml.next()? {
                Piece::Start(element) => open = Some((element, String::new())),
                Piece::Text(piece) => {
                    if let Some((_, text)) = &mut open {
                        text.push_str(&piece);
                    }
                }
                Piece::End if self.xml.depth() < depth => return Ok(()),
                Piece::End => {
                    if let Some((element, text)) = open.take() {
                        draft.extension(&element, text);
                    }
                }
                Piece::Eof => return Ok(()),
            }
        }
    }
}

impl Draft {
    fn extension(&mut self, element: &Element, text: String) {
        let name = match (element.attribute("name"), element.prefix.as_str()) {
            (Some(name), OWN_PREFIX) => name.to_owned(),
            (None, OWN_PREFIX | "") => element.name.clone(),
            (_, prefix) => format!("{prefix}_{}", element.name),
        };
        let value = match element.attribute("type") {
            Some("text") => Value::String(text),
            _ => value::typed(&text),
        };
        if name != ID_COLUMN {
            self.properties.insert(name, value);
            return;
        }
        self.id = match value {
            Value::Number(number) => number.as_f64().map(SourceId::Number),
            other => value::text(&other).map(SourceId::Text),
        };
    }

    /// The geometry, with `times` set; segments of fewer than two points are left out.
    fn raw(&mut self, kind: Kind, notes: &mut NoteSet) -> Option<Raw> {
        if kind == Kind::Point {
            let position = self.lines.pop()?.positions.pop()?;
            return Some(Raw::Simple(kind, position));
        }
        let before = self.lines.len();
        self.lines.retain(|line| line.positions.len() > 1);
        if self.lines.len() < before {
            notes.add(Note::ShortLine);
        }
        let nested = kind == Kind::MultiLineString;
        let times: Vec<_> = self
            .lines
            .iter_mut()
            .map(|line| std::mem::take(&mut line.times))
            .collect();
        if let Some(times) = times::value(&times, nested) {
            self.properties.insert(TIMES.to_owned(), times);
        }
        let mut lines: Vec<Coords> = std::mem::take(&mut self.lines)
            .into_iter()
            .map(|line| Coords::List(line.positions))
            .collect();
        if lines.is_empty() {
            return None;
        }
        let coords = if nested {
            Coords::List(lines)
        } else {
            lines.pop()?
        };
        Some(Raw::Simple(kind, coords))
    }
}

/// The prefix of elements that hold properties, as GDAL writes it.
pub(super) const OWN_PREFIX: &str = "ogr";

fn number(element: &Element, name: &'static str) -> Result<f64, Fault> {
    let text = element.attribute(name).ok_or_else(|| Fault::Unreadable {
        what: format!("the element {:?} has no attribute {name:?}", element.name),
        hint: "every point has lat and lon in decimal degrees",
    })?;
    let number = text.trim().parse::<f64>().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| bad(name, text))
}

fn bad(name: &'static str, text: &str) -> Fault {
    Fault::Unreadable {
        what: format!(
            "{name:?} is {:?}, which is no number",
            text.chars().take(40).collect::<String>()
        ),
        hint: "numbers are decimal, as in 8.5421",
    }
}
