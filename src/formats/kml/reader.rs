//! KML in, one placemark at a time.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::geometry::{self, Found, for_each_child, is_geometry, joined};
use crate::formats::crs::FileCrs;
use crate::formats::error::{Fault, RecordError};
use crate::formats::notes::NoteSet;
use crate::formats::records::{Item, Reading, Record};
use crate::formats::shape::{Raw, settle};
use crate::formats::table::ID_COLUMN;
use crate::formats::times::{self, TIMES};
use crate::formats::value;
use crate::formats::xml::{Element, Piece, Stop, Xml, XmlFault};
use crate::geometry::Kind;
use crate::model::{Content, SourceId};

/// Fields of all schemas of a file, at most.
const FIELDS_MAX: usize = 10_000;
/// Bytes of a layer's name, at most.
const LAYER_BYTES_MAX: usize = 1024;

pub(in crate::formats) struct Reader<R: Read> {
    xml: Xml<R>,
    crs: FileCrs,
    records: u64,
    /// Open folders: the depth of each, and the path of names down to it.
    folders: Vec<(usize, Option<Arc<str>>)>,
    /// Whether fields hold texts, by the id of their schema and their name.
    fields: HashMap<(String, String), FieldType>,
    started: bool,
}

/// What a field of a schema says that its texts are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldType {
    Text,
    Other,
}

impl<R: Read> Reading for Reader<R> {
    fn next(&mut self) -> Option<Record> {
        self.step()
            .unwrap_or_else(|fault| Some(Err(self.xml.fatal(fault))))
    }
}

#[derive(Default)]
struct Draft {
    id: Option<SourceId>,
    properties: Map<String, Value>,
    geometries: Vec<Found>,
}

impl<R: Read> Reader<R> {
    pub(in crate::formats) fn new(reader: R, crs: FileCrs) -> Self {
        Self {
            xml: Xml::new(reader),
            crs,
            records: 0,
            folders: Vec::new(),
            fields: HashMap::new(),
            started: false,
        }
    }

    fn step(&mut self) -> Result<Option<Record>, XmlFault> {
        loop {
            let place = self.xml.place(self.records + 1);
            let depth = self.xml.depth();
            match self.xml.next()? {
                Piece::Start(element) => match element.name.as_str() {
                    "Placemark" => {
                        self.records += 1;
                        let read = self.placemark(&element);
                        self.xml.skip_to(depth)?;
                        let layer = self.folders.last().and_then(|(_, name)| name.clone());
                        return match read {
                            Ok((content, notes)) => {
                                let mut item = Item::new(content, place).noted(notes);
                                item.layer = layer;
                                Ok(Some(Ok(item)))
                            }
                            Err(Stop::Record(fault)) => {
                                let mut error = RecordError::of_record(place, None, fault);
                                error.layer = layer.as_deref().map(str::to_owned);
                                Ok(Some(Err(error)))
                            }
                            Err(Stop::File(fault)) => Err(fault),
                        };
                    }
                    "Folder" => {
                        let outer = self.folders.last().and_then(|(_, name)| name.clone());
                        self.folders.push((self.xml.depth(), outer));
                    }
                    "name" if self.folders.last().is_some_and(|(open, _)| *open == depth) => {
                        self.name_folder()?;
                    }
                    "Schema" => self.schema(&element)?,
                    "kml" | "Document" => self.started = true,
                    name if !self.started => {
                        return Err(XmlFault(Fault::Unreadable {
                            what: format!("this is no KML: its first element is {name:?}"),
                            hint: "a KML file is one element \"kml\" with placemarks in it",
                        }));
                    }
                    _ => self.xml.skip_to(depth)?,
                },
                Piece::End => {
                    let depth = self.xml.depth();
                    self.folders.retain(|(open, _)| *open <= depth);
                }
                Piece::Eof if !self.started => return Err(XmlFault(Fault::Empty)),
                Piece::Eof => return Ok(None),
                Piece::Text(_) => {}
            }
        }
    }

    fn name_folder(&mut self) -> Result<(), XmlFault> {
        let name = self.xml.text()?;
        let name = name.trim();
        let outer = self.folders.iter().rev().nth(1);
        let outer = outer.and_then(|(_, outer)| outer.as_deref());
        let path = match outer {
            Some(outer) => format!("{outer}/{name}"),
            None => name.to_owned(),
        };
        if let Some((_, own)) = self.folders.last_mut()
            && !name.is_empty()
            && path.len() <= LAYER_BYTES_MAX
        {
            *own = Some(path.into());
        }
        Ok(())
    }

    fn schema(&mut self, element: &Element) -> Result<(), XmlFault> {
        let id = element.attribute("id").unwrap_or_default().to_owned();
        let fields = &mut self.fields;
        for_each_child(&mut self.xml, |_, field| {
            if field.name == "SimpleField" && fields.len() < FIELDS_MAX {
                let name = field.attribute("name").unwrap_or_default().to_owned();
                let text = field
                    .attribute("type")
                    .is_none_or(|kind| kind.trim_start_matches("xsd:") == "string");
                let kind = if text {
                    FieldType::Text
                } else {
                    FieldType::Other
                };
                fields.insert((id.clone(), name), kind);
            }
            Ok(())
        })
        .map_err(XmlFault::from)
    }

    fn placemark(&mut self, element: &Element) -> Result<(Content, NoteSet), Stop> {
        let mut draft = Draft::default();
        let fields = &self.fields;
        for_each_child(&mut self.xml, |xml, child| draft.child(xml, child, fields))?;
        let mut notes = NoteSet::default();
        let geometry = match draft.raw() {
            None => None,
            Some(raw) => Some(settle(raw, &self.crs.crs, &mut notes)?),
        };
        let own_id = element
            .attribute("id")
            .filter(|id| !id.is_empty())
            .map(|id| SourceId::Text(id.to_owned()));
        let content = Content {
            id: draft.id.or(own_id),
            geometry,
            properties: draft.properties,
            members: Map::new(),
        };
        Ok((content, notes))
    }
}

impl Draft {
    fn child<R: Read>(
        &mut self,
        xml: &mut Xml<R>,
        child: &Element,
        fields: &HashMap<(String, String), FieldType>,
    ) -> Result<(), Stop> {
        match child.name.as_str() {
            name if is_geometry(name) => {
                self.geometries.push(geometry::read(xml, child)?);
                Ok(())
            }
            "name" | "description" | "address" | "phoneNumber" | "styleUrl" | "Snippet"
            | "snippet" => {
                let text = Value::String(xml.text()?);
                self.properties.insert(child.name.clone(), text);
                Ok(())
            }
            "visibility" | "open" => {
                let text = value::typed(xml.text()?.trim());
                self.properties.insert(child.name.clone(), text);
                Ok(())
            }
            "TimeStamp" | "TimeSpan" => for_each_child(xml, |xml, time| {
                let name = match time.name.as_str() {
                    "when" => "timestamp",
                    "begin" => "begin",
                    "end" => "end",
                    _ => return Ok(()),
                };
                let text = Value::String(xml.text()?);
                self.properties.insert(name.to_owned(), text);
                Ok(())
            }),
            "ExtendedData" => for_each_child(xml, |xml, data| self.data(xml, data, fields)),
            _ => Ok(()),
        }
    }

    fn data<R: Read>(
        &mut self,
        xml: &mut Xml<R>,
        data: &Element,
        fields: &HashMap<(String, String), FieldType>,
    ) -> Result<(), Stop> {
        match data.name.as_str() {
            "Data" => {
                let name = data.attribute("name").unwrap_or_default().to_owned();
                for_each_child(xml, |xml, part| {
                    if part.name == "value" {
                        let value = value::typed(&xml.text()?);
                        self.set(name.clone(), value);
                    }
                    Ok(())
                })
            }
            "SchemaData" => {
                let schema = data.attribute("schemaUrl").unwrap_or_default();
                let schema = schema.trim_start_matches('#').to_owned();
                for_each_child(xml, |xml, part| {
                    if part.name != "SimpleData" {
                        return Ok(());
                    }
                    let name = part.attribute("name").unwrap_or_default().to_owned();
                    let text = xml.text()?;
                    let field = fields.get(&(schema.clone(), name.clone()));
                    let value = match field {
                        Some(FieldType::Other) => other(&text),
                        _ => value::structure(&text).unwrap_or(Value::String(text)),
                    };
                    self.set(name, value);
                    Ok(())
                })
            }
            _ => Ok(()),
        }
    }

    fn set(&mut self, name: String, value: Value) {
        if name == ID_COLUMN {
            self.id = match value {
                Value::Number(number) => number.as_f64().map(SourceId::Number),
                other => value::text(&other).map(SourceId::Text),
            };
        } else if !name.is_empty() {
            self.properties.insert(name, value);
        }
    }

    fn raw(&mut self) -> Option<Raw> {
        let found = std::mem::take(&mut self.geometries);
        let one = found.len() == 1;
        let mut raws = Vec::with_capacity(found.len());
        for Found { raw, times } in found {
            let nested = matches!(raw, Raw::Simple(Kind::MultiLineString, _));
            if let Some(times) = times::value(&times, nested).filter(|_| one) {
                self.properties.insert(TIMES.to_owned(), times);
            }
            raws.push(raw);
        }
        if raws.len() > 1 {
            return Some(joined(raws));
        }
        raws.pop()
    }
}

/// The value of a field that is no text: numbers as they are usually written count too, `1` and `0` as truth do not.
fn other(text: &str) -> Value {
    let trimmed = text.trim();
    value::scalar(trimmed)
        .or_else(|| {
            let number = trimmed.parse::<f64>().ok().filter(|n| n.is_finite())?;
            Some(Value::Number(crate::geometry::json_number(number)))
        })
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
