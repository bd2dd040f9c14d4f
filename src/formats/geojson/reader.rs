//! A GeoJSON file of any size, feature by feature.
//!
//! The features of a collection are cut out of the stream one at a time; members of the collection may come in any
//! order. A file that is one feature or one geometry is a single record.

use std::io::Read;

use serde_json::Value;

use super::feature::{esri, from_cut, is_esri, number_or_syntax, own_crs, topology};
use crate::formats::crs::FileCrs;
use crate::formats::error::{Fault, RecordError};
use crate::formats::records::{Item, Reading, Record};
use crate::formats::source::{Broken, Cut, Source};
use crate::geometry::Found;

pub(in crate::formats) struct Reader<R> {
    source: Source<R>,
    state: State,
    /// Records so far.
    records: u64,
    /// The `type` of the top-level object, once it has come.
    r#type: Option<Value>,
    crs: FileCrs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    Start,
    /// After the bracket or a comma in `features`.
    BeforeFeature,
    /// After a feature.
    AfterFeature,
    /// After the array of features.
    AfterFeatures,
    /// Nothing more follows.
    End,
}

const COLLECTION: &str = "the collection";

impl<R: Read> Reading for Reader<R> {
    fn next(&mut self) -> Option<Record> {
        self.step()
    }
}

impl<R: Read> Reader<R> {
    pub(in crate::formats) fn new(reader: R, crs: FileCrs) -> Self {
        Self {
            source: Source::new(reader),
            state: State::Start,
            records: 0,
            r#type: None,
            crs,
        }
    }

    fn step(&mut self) -> Option<Record> {
        loop {
            let step = match self.state {
                State::Start => self.start(),
                State::BeforeFeature => self.feature(),
                State::AfterFeature => self.separator(),
                State::AfterFeatures => self.tail(),
                State::End => return None,
            };
            match step {
                Ok(None) => {}
                Ok(Some(record)) => return Some(record),
                Err(error) => {
                    self.state = State::End;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads until `features`; if there is none, the object is the only record.
    fn start(&mut self) -> Result<Option<Record>, RecordError> {
        if let Some(foreign) = self
            .source
            .open()
            .map_err(|error| self.broken(Broken::Io(error), COLLECTION))?
        {
            return Err(self.fatal(Fault::Foreign {
                wanted: "GeoJSON",
                what: foreign.what,
                hint: foreign.hint,
            }));
        }
        match self.peek()? {
            None => return Err(self.fatal(Fault::Empty)),
            Some(b'{') => {}
            Some(b'[') => {
                let found = "the file is an array".to_owned();
                let hint = "put it into {\"type\":\"FeatureCollection\",\"features\":[…]}";
                return Err(self.fatal(Fault::NotGeoJson { found, hint }));
            }
            Some(_) => return Err(self.syntax("expected `{`")),
        }
        self.source.start_cut();
        self.source.take(b'{');
        if self.peek()? == Some(b'}') {
            self.source.take(b'}');
            return self.single().map(Some);
        }
        if self.members()? {
            self.source.end_cut();
            self.state = State::BeforeFeature;
            return Ok(None);
        }
        self.single().map(Some)
    }

    /// Reads members up to the bracket of `features` (true) or the end of the object (false).
    fn members(&mut self) -> Result<bool, RecordError> {
        loop {
            let name = self.name()?;
            if self.r#type.is_none() && is_esri(&name) {
                return Err(self.fatal(esri()));
            }
            if name == "features" && self.is_collection() {
                if self.peek()? == Some(b'[') {
                    self.source.take(b'[');
                    return Ok(true);
                }
                let start = self.source.cut_len();
                self.value()?;
                let found = serde_json::from_slice(self.source.cut_from(start))
                    .map_or(Found::Text, |value| Found::of(&value));
                let expected = "an array of features";
                return Err(self.fatal(Fault::WrongMember {
                    object: COLLECTION,
                    member: "features",
                    found,
                    expected,
                }));
            }
            let start = self.source.cut_len();
            self.value()?;
            if name == "type" {
                self.r#type = serde_json::from_slice(self.source.cut_from(start)).ok();
            }
            if name == "crs" {
                let crs: Option<Value> = serde_json::from_slice(self.source.cut_from(start)).ok();
                let own = own_crs(crs.as_ref(), self.crs.fixed);
                if let Some(own) = own.map_err(|fault| self.fatal(fault))? {
                    self.crs.crs = own;
                }
            }
            match self.peek()? {
                Some(b',') => self.source.take(b','),
                Some(b'}') => {
                    self.source.take(b'}');
                    return Ok(false);
                }
                Some(_) => return Err(self.syntax("expected `,` or `}`")),
                None => return Err(self.broken(Broken::End, COLLECTION)),
            }
        }
    }

    /// Whether the object can still be a collection; its type may come later.
    fn is_collection(&self) -> bool {
        self.r#type
            .as_ref()
            .is_none_or(|name| name == "FeatureCollection")
    }

    /// A member's name and the colon.
    fn name(&mut self) -> Result<String, RecordError> {
        match self.peek()? {
            Some(b'"') => {}
            Some(_) => return Err(self.syntax("expected a member's name in double quotes")),
            None => return Err(self.broken(Broken::End, COLLECTION)),
        }
        let recording = self.source.cut_len();
        let fresh = recording == 0;
        if fresh {
            self.source.start_cut();
        }
        self.value()?;
        let name = serde_json::from_slice(self.source.cut_from(recording));
        let cut = if fresh {
            Some(self.source.end_cut())
        } else {
            None
        };
        let name = name.map_err(|error| match &cut {
            Some(cut) => self.fatal(number_or_syntax(&error, cut)),
            None => self.syntax("invalid name of a member"),
        })?;
        match self.peek()? {
            Some(b':') => {
                self.source.take(b':');
                self.peek()?
                    .map(|_| name)
                    .ok_or_else(|| self.broken(Broken::End, COLLECTION))
            }
            Some(_) => Err(self.syntax("expected `:`")),
            None => Err(self.broken(Broken::End, COLLECTION)),
        }
    }

    /// The whole object as the only record.
    fn single(&mut self) -> Result<Record, RecordError> {
        let cut = self.source.end_cut();
        if self
            .r#type
            .as_ref()
            .is_some_and(|name| name == "FeatureCollection")
        {
            // A broken member may hide behind the missing one.
            let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(&cut.bytes);
            parsed.map_err(|error| self.fatal(number_or_syntax(&error, &cut)))?;
            return Err(self.fatal(Fault::MissingMember {
                object: COLLECTION,
                member: "features",
            }));
        }
        self.end()?;
        Ok(self.record(&cut))
    }

    fn feature(&mut self) -> Result<Option<Record>, RecordError> {
        match self.peek()? {
            Some(b']') if self.records == 0 => {
                self.source.take(b']');
                self.state = State::AfterFeatures;
                return Ok(None);
            }
            Some(b']') => return Err(self.syntax("trailing comma")),
            Some(_) => {}
            None => return Err(self.broken(Broken::End, COLLECTION)),
        }
        self.source.start_cut();
        let place = self.source.place(self.records + 1);
        if let Err(broken) = self.source.value() {
            let mut error = self.broken(broken, "the record");
            error.place = place;
            return Err(error);
        }
        let cut = self.source.end_cut();
        if cut.bytes.is_empty() {
            return Err(self.syntax("expected a feature"));
        }
        self.state = State::AfterFeature;
        Ok(Some(self.record(&cut)))
    }

    fn separator(&mut self) -> Result<Option<Record>, RecordError> {
        match self.peek()? {
            Some(b',') => {
                self.source.take(b',');
                self.state = State::BeforeFeature;
            }
            Some(b']') => {
                self.source.take(b']');
                self.state = State::AfterFeatures;
            }
            Some(_) => return Err(self.syntax("expected `,` or `]` after a feature")),
            None => return Err(self.broken(Broken::End, COLLECTION)),
        }
        Ok(None)
    }

    /// The members after `features`, and what they say about everything before.
    fn tail(&mut self) -> Result<Option<Record>, RecordError> {
        loop {
            match self.peek()? {
                Some(b'}') => {
                    self.source.take(b'}');
                    break;
                }
                Some(b',') => self.source.take(b','),
                Some(_) => return Err(self.syntax("expected `,` or `}`")),
                None => return Err(self.broken(Broken::End, COLLECTION)),
            }
            self.peek()?;
            let name = self.name()?;
            self.source.start_cut();
            self.value()?;
            let cut = self.source.end_cut();
            let value = serde_json::from_slice::<Value>(&cut.bytes);
            let value = value.map_err(|error| self.fatal(number_or_syntax(&error, &cut)))?;
            match name.as_str() {
                "type" => self.r#type = Some(value),
                "crs" => {
                    let own = own_crs(Some(&value), self.crs.fixed);
                    let own = own.map_err(|fault| self.fatal(fault))?;
                    if let Some(own) = own.filter(|own| *own != self.crs.crs && self.records > 0) {
                        let found = own.to_string();
                        return Err(self.fatal(Fault::LateCrs { found }));
                    }
                }
                "features" => {
                    let found = "the collection has two members \"features\"".to_owned();
                    return Err(self.fatal(Fault::NotGeoJson {
                        found,
                        hint: "put all features into one array",
                    }));
                }
                _ => {}
            }
        }
        let fault = match self.r#type.take() {
            Some(Value::String(name)) if name == "FeatureCollection" => None,
            Some(Value::String(name)) if name == "Topology" => Some(topology()),
            Some(Value::String(found)) => {
                let expected = "\"FeatureCollection\", as it has features";
                Some(Fault::UnknownType {
                    object: "the file",
                    found,
                    expected,
                })
            }
            Some(other) => {
                let (found, expected) = (Found::of(&other), "a string");
                Some(Fault::WrongMember {
                    object: COLLECTION,
                    member: "type",
                    found,
                    expected,
                })
            }
            None => Some(Fault::MissingMember {
                object: COLLECTION,
                member: "type",
            }),
        };
        match fault {
            Some(fault) => Err(self.fatal(fault)),
            None => self.end().map(|()| None),
        }
    }

    /// Nothing but spaces may follow.
    fn end(&mut self) -> Result<(), RecordError> {
        match self.peek()? {
            None => {
                self.state = State::End;
                Ok(())
            }
            Some(_) => Err(self.fatal(Fault::Trailing)),
        }
    }

    fn record(&mut self, cut: &Cut) -> Record {
        self.records += 1;
        let place = cut.place(self.records);
        match from_cut(cut, &self.crs) {
            Ok((content, notes)) => Ok(Item::new(content, place).noted(notes)),
            Err((id, fault)) => Err(RecordError::of_record(place, id, fault)),
        }
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Result<Option<u8>, RecordError> {
        self.source
            .skip(b"")
            .map_err(|error| self.broken(Broken::Io(error), COLLECTION))
    }

    fn value(&mut self) -> Result<(), RecordError> {
        self.source
            .value()
            .map_err(|broken| self.broken(broken, COLLECTION))
    }

    fn fatal(&self, fault: Fault) -> RecordError {
        RecordError::of_file(self.source.place(0), fault)
    }

    fn broken(&self, broken: Broken, within: &'static str) -> RecordError {
        self.fatal(match broken {
            Broken::End => Fault::Truncated { within },
            Broken::Io(error) => Fault::Io(error.to_string()),
        })
    }

    fn syntax(&self, message: &str) -> RecordError {
        let (line, column) = (self.source.place(0).line, self.source.column());
        self.fatal(Fault::Syntax {
            message: message.to_owned(),
            line,
            column,
            hint: None,
        })
    }
}
