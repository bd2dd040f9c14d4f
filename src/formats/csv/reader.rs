//! CSV in, line by line.

use std::collections::HashSet;
use std::io::{self, Read};

use serde_json::{Map, Value};

use super::columns::{Columns, Geometry};
use crate::formats::crs::{Crs, FileCrs};
use crate::formats::error::{Fault, RecordError};
use crate::formats::notes::NoteSet;
use crate::formats::records::{Item, ReadOptions, Reading, Record};
use crate::formats::shape::{Raw, settle};
use crate::formats::source::{RECORD_BYTES_MAX, Source};
use crate::formats::{value, wkt};
use crate::geometry::{Coords, Element, Kind};
use crate::model::{Content, Place, SourceId};

/// Columns of a file, at most; a wide census table has some thousands.
const COLUMNS_MAX: usize = 32 * 1024;
/// What may separate cells; of two that are equally frequent in the header, the first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

pub(in crate::formats) struct Reader<R> {
    source: Source<R>,
    options: ReadOptions,
    crs: FileCrs,
    /// What the first line said, once it was read.
    head: Option<Head>,
    records: u64,
}

struct Head {
    delimiter: u8,
    names: Vec<String>,
    columns: Columns,
}

#[derive(Default)]
struct Cell {
    text: String,
    quoted: bool,
}

/// A line with what is wrong with it as text.
struct Line {
    cells: Vec<Cell>,
    place: Place,
    fault: Option<Fault>,
}

impl<R: Read> Reading for Reader<R> {
    fn next(&mut self) -> Option<Record> {
        if self.head.is_none() {
            match self.open() {
                Ok(Ok(head)) => self.head = Some(head),
                Ok(Err(fault)) => return Some(Err(self.fatal(fault))),
                Err(error) => return Some(Err(self.fatal(Fault::Io(error.to_string())))),
            }
        }
        let delimiter = self.head.as_ref()?.delimiter;
        self.records += 1;
        match self.line(delimiter) {
            Err(error) => Some(Err(self.fatal(Fault::Io(error.to_string())))),
            Ok(None) => None,
            Ok(Some(line)) => Some(self.record(line)),
        }
    }
}

impl<R: Read> Reader<R> {
    pub(in crate::formats) fn new(reader: R, options: &ReadOptions) -> Self {
        Self {
            source: Source::new(reader),
            crs: options.file_crs(),
            options: options.clone(),
            head: None,
            records: 0,
        }
    }

    fn fatal(&self, fault: Fault) -> RecordError {
        RecordError::of_file(self.source.place(0), fault)
    }

    /// Reads the header.
    fn open(&mut self) -> io::Result<Result<Head, Fault>> {
        if let Some(foreign) = self.source.open()? {
            return Ok(Err(Fault::Foreign {
                wanted: "CSV",
                what: foreign.what,
                hint: foreign.hint,
            }));
        }
        let delimiter = delimiter(self.source.ahead());
        let Some(line) = self.line(delimiter)? else {
            return Ok(Err(Fault::Empty));
        };
        if let Some(fault) = line.fault {
            return Ok(Err(fault));
        }
        let names = line.cells.into_iter().enumerate().map(|(at, cell)| {
            if cell.quoted {
                cell.text
            } else {
                match cell.text.trim() {
                    "" => format!("column_{}", at + 1),
                    name => name.to_owned(),
                }
            }
        });
        let names: Vec<String> = names.collect();
        if names.len() > COLUMNS_MAX {
            return Ok(Err(Fault::Unreadable {
                what: format!(
                    "there are {} columns; {COLUMNS_MAX} are allowed",
                    names.len()
                ),
                hint: "leave out columns that are not needed",
            }));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Ok(Err(Fault::Unreadable {
                what: format!("two columns have the name {twice:?}"),
                hint: "give each column a name of its own in the first line",
            }));
        }
        Ok(Columns::find(&names, &self.options).map(|columns| Head {
            delimiter,
            names,
            columns,
        }))
    }

    /// The next line that is not empty.
    fn line(&mut self, delimiter: u8) -> io::Result<Option<Line>> {
        loop {
            let place = self.source.place(self.records);
            if self.source.peek()?.is_none() {
                return Ok(None);
            }
            let mut line = Line {
                cells: Vec::new(),
                place,
                fault: None,
            };
            let mut bytes = 0;
            loop {
                let last = self.cell(delimiter, &mut line, &mut bytes)?;
                if last {
                    break;
                }
            }
            let empty = matches!(&line.cells[..], [only] if only.text.is_empty() && !only.quoted);
            if !empty || line.fault.is_some() {
                return Ok(Some(line));
            }
        }
    }

    /// Reads one cell with what ends it; whether the line ends with it.
    fn cell(&mut self, delimiter: u8, line: &mut Line, bytes: &mut usize) -> io::Result<bool> {
        let mut text = Vec::new();
        let mut push = |byte: u8, line: &mut Line| {
            *bytes += 1;
            if *bytes <= RECORD_BYTES_MAX {
                text.push(byte);
            } else {
                line.fault = Some(Fault::TooLong);
            }
        };
        let quoted = self.source.peek()? == Some(b'"');
        if quoted {
            self.source.take(b'"');
            loop {
                let Some(byte) = self.source.peek()? else {
                    line.fault = Some(Fault::Truncated {
                        within: "a cell in quotes",
                    });
                    break;
                };
                self.source.take(byte);
                if byte != b'"' {
                    push(byte, line);
                } else if self.source.peek()? == Some(b'"') {
                    self.source.take(b'"');
                    push(b'"', line);
                } else {
                    break;
                }
            }
        }
        let last = loop {
            match self.source.peek()? {
                None => break true,
                Some(b'\n') => {
                    self.source.take(b'\n');
                    break true;
                }
                Some(byte) if byte == delimiter => {
                    self.source.take(byte);
                    break false;
                }
                Some(byte) => {
                    self.source.take(byte);
                    push(byte, line);
                }
            }
        };
        if last && text.last() == Some(&b'\r') {
            text.pop();
        }
        if line.cells.len() <= COLUMNS_MAX {
            let text = String::from_utf8(text).unwrap_or_else(|_| {
                line.fault = Some(Fault::Encoding);
                String::new()
            });
            line.cells.push(Cell { text, quoted });
        }
        Ok(last)
    }

    fn record(&mut self, line: Line) -> Record {
        let Line {
            cells,
            place,
            fault,
        } = line;
        let wrong = |fault| Err(RecordError::of_record(place, None, fault));
        if let Some(fault) = fault {
            return wrong(fault);
        }
        let Some(head) = &self.head else {
            return wrong(Fault::Empty);
        };
        let surplus = cells.iter().skip(head.names.len());
        if surplus.clone().any(|cell| !cell.text.is_empty()) {
            return wrong(Fault::Unreadable {
                what: format!(
                    "the line has {} cells, but there are {} columns",
                    cells.len(),
                    head.names.len()
                ),
                hint: "put texts that hold the separator into double quotes",
            });
        }
        let id = head
            .columns
            .id
            .and_then(|at| cells.get(at))
            .and_then(source_id);
        let wrong = |fault| {
            let id = id.as_ref().map(ToString::to_string);
            Err(RecordError::of_record(place, id, fault))
        };
        let mut notes = NoteSet::default();
        let geometry = match head.geometry(&cells, &self.crs, &mut notes) {
            Ok(Some((raw, crs))) => match settle(raw, &crs, &mut notes) {
                Ok(geometry) => Some(geometry),
                Err(fault) => return wrong(fault),
            },
            Ok(None) => None,
            Err(fault) => return wrong(fault),
        };
        let properties: Map<String, Value> = head
            .names
            .iter()
            .zip(cells)
            .enumerate()
            .filter(|(at, (_, cell))| {
                !head.columns.taken(*at) && (cell.quoted || !cell.text.is_empty())
            })
            .map(|(_, (name, cell))| (name.clone(), cell.value()))
            .collect();
        let content = Content {
            id,
            geometry,
            properties,
            members: Map::new(),
        };
        Ok(Item::new(content, place).noted(notes))
    }
}

impl Cell {
    fn value(self) -> Value {
        let typed = if self.quoted {
            value::structure(&self.text)
        } else {
            Some(value::typed(&self.text))
        };
        typed.unwrap_or(Value::String(self.text))
    }
}

fn source_id(cell: &Cell) -> Option<SourceId> {
    if cell.text.is_empty() && !cell.quoted {
        return None;
    }
    match value::scalar(&cell.text).filter(|_| !cell.quoted) {
        Some(Value::Number(number)) => number.as_f64().map(SourceId::Number),
        _ => Some(SourceId::Text(cell.text.clone())),
    }
}

impl Head {
    fn geometry(
        &self,
        cells: &[Cell],
        crs: &FileCrs,
        notes: &mut NoteSet,
    ) -> Result<Option<(Raw, Crs)>, Fault> {
        let text = |at: usize| cells.get(at).map_or("", |cell| cell.text.trim());
        match self.columns.geometry {
            Geometry::None => Ok(None),
            Geometry::Wkt(at) if text(at).is_empty() => Ok(None),
            Geometry::Wkt(at) => {
                let (raw, srid) =
                    wkt::read(text(at), notes).map_err(|fault| Fault::Unreadable {
                        what: fault.to_string(),
                        hint: "geometries are well-known text, as in POINT (8.5 47.3)",
                    })?;
                let crs = match srid.filter(|srid| *srid != 0 && !crs.fixed) {
                    Some(srid) => Crs::from_epsg(srid)?,
                    None => crs.crs.clone(),
                };
                Ok(Some((raw, crs)))
            }
            Geometry::Point { x, y, z } => {
                if text(x).is_empty() && text(y).is_empty() {
                    return Ok(None);
                }
                let z = z.filter(|z| !text(*z).is_empty());
                let numbers = [Some(x), Some(y), z].into_iter().flatten();
                let numbers: Vec<f64> = numbers
                    .map(|at| self.number(at, text(at)))
                    .collect::<Result<_, _>>()?;
                let coords = Coords::array(numbers.into_iter().map(Element::Number));
                Ok(Some((Raw::Simple(Kind::Point, coords), crs.crs.clone())))
            }
        }
    }

    /// A coordinate; with a comma for the decimal point where that does not separate cells.
    fn number(&self, at: usize, text: &str) -> Result<f64, Fault> {
        let number = if self.delimiter == b',' {
            text.parse()
        } else {
            text.replace(',', ".").parse()
        };
        number
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| Fault::Unreadable {
                what: format!(
                    "the column {:?} holds {:?}, which is no number",
                    self.names.get(at).map_or("", String::as_str),
                    text.chars().take(40).collect::<String>()
                ),
                hint: "coordinates are decimal numbers, as in 8.5421; degrees and minutes have to be converted",
            })
    }
}

/// The separator that the first line has most of outside of quotes.
fn delimiter(start: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            byte if !quoted => {
                for (count, delimiter) in counts.iter_mut().zip(DELIMITERS) {
                    *count += usize::from(*byte == delimiter);
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    let found = DELIMITERS
        .into_iter()
        .zip(counts)
        .find(|(_, count)| *count == most);
    found.map_or(b',', |(delimiter, _)| delimiter)
}

/// The columns of a file that starts like this, if they say where the coordinates are.
pub(super) fn header(start: &[u8]) -> Option<Columns> {
    let line = start.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?;
    let separator = char::from(delimiter(line));
    let names: Vec<String> = text
        .split(separator)
        .map(|name| name.trim().trim_matches('"').to_owned())
        .collect();
    Columns::find(&names, &ReadOptions::default()).ok()
}
