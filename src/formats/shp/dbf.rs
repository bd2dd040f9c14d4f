//! The table of a shapefile (dBASE III and IV), row by row.

use std::io::Read;

use serde_json::{Map, Value};

use super::bytes;
use super::codepage::CodePage;
use crate::formats::error::Fault;
use crate::formats::table::row_id;
use crate::geometry::json_number;
use crate::model::SourceId;

const HEADER_BYTES: usize = 32;
const FIELD_BYTES: usize = 32;
/// Ends the list of fields.
const FIELDS_END: u8 = 0x0D;
/// Marks a row that was deleted.
const DELETED: u8 = b'*';

pub(super) struct Table<R> {
    reader: R,
    code_page: CodePage,
    fields: Vec<Field>,
    row_bytes: usize,
    rows: u32,
}

struct Field {
    name: String,
    kind: u8,
    start: usize,
    length: usize,
}

impl<R: Read> Table<R> {
    /// Reads the header; `said` is the code page that a `.cpg` file names, else the header's own counts.
    pub(super) fn open(mut reader: R, said: Option<CodePage>) -> Result<Self, Fault> {
        let damaged = || Fault::Unreadable {
            what: "the .dbf file is damaged".to_owned(),
            hint: "copy or download the archive again",
        };
        let header = bytes(&mut reader, HEADER_BYTES)?;
        let [_, _, _, _, r0, r1, r2, r3, h0, h1, l0, l1, ..] = header.as_slice() else {
            return Err(damaged());
        };
        let driver = header.get(29).copied().unwrap_or_default();
        let code_page = said.unwrap_or_else(|| CodePage::from_driver(driver));
        let rows = u32::from_le_bytes([*r0, *r1, *r2, *r3]);
        let header_bytes = usize::from(u16::from_le_bytes([*h0, *h1]));
        let row_bytes = usize::from(u16::from_le_bytes([*l0, *l1]));
        let rest = header_bytes.checked_sub(HEADER_BYTES).ok_or_else(damaged)?;
        let described = bytes(&mut reader, rest)?;
        if described.len() < rest || row_bytes == 0 {
            return Err(damaged());
        }
        let mut fields = Vec::new();
        let mut start = 1;
        for field in described.chunks_exact(FIELD_BYTES) {
            if field.first() == Some(&FIELDS_END) {
                break;
            }
            let (Some(name), Some(kind), Some(length), Some(decimals)) =
                (field.get(..11), field.get(11), field.get(16), field.get(17))
            else {
                break;
            };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            // Long texts keep the upper half of their length in the place of the decimals.
            let length = if *kind == b'C' {
                usize::from(u16::from_le_bytes([*length, *decimals]))
            } else {
                usize::from(*length)
            };
            fields.push(Field {
                name: code_page.decode(name).trim().to_owned(),
                kind: *kind,
                start,
                length,
            });
            start += length;
        }
        Ok(Self {
            reader,
            code_page,
            fields,
            row_bytes,
            rows,
        })
    }

    /// The properties of the next row; none for one that was deleted; nothing after the last.
    pub(super) fn next(&mut self) -> Result<Option<Option<Map<String, Value>>>, Fault> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.rows -= 1;
        let row = bytes(&mut self.reader, self.row_bytes)?;
        if row.len() < self.row_bytes {
            return Ok(None);
        }
        if row.first() == Some(&DELETED) {
            return Ok(Some(None));
        }
        let properties = self.fields.iter().filter_map(|field| {
            let end = field.start.checked_add(field.length)?;
            let cell = row.get(field.start..end)?;
            let value = self.value(field.kind, cell)?;
            Some((field.name.clone(), value)).filter(|(name, _)| !name.is_empty())
        });
        Ok(Some(Some(properties.collect())))
    }

    /// The value of a cell; none where it is blank.
    fn value(&self, kind: u8, cell: &[u8]) -> Option<Value> {
        match kind {
            b'I' => {
                let number = i32::from_le_bytes(*cell.first_chunk()?);
                Some(Value::Number(json_number(f64::from(number))))
            }
            b'O' | b'B' if cell.len() == 8 => {
                let number = f64::from_le_bytes(*cell.first_chunk()?);
                number
                    .is_finite()
                    .then(|| Value::Number(json_number(number)))
            }
            b'M' | b'G' | b'P' => None,
            _ => {
                let text = self.code_page.decode(cell);
                let text = text.trim_end_matches([' ', '\0']);
                if text.trim().is_empty() {
                    return None;
                }
                match kind {
                    b'N' | b'F' => number(text.trim()),
                    b'L' => match text.trim() {
                        "T" | "t" | "Y" | "y" => Some(Value::Bool(true)),
                        "F" | "f" | "N" | "n" => Some(Value::Bool(false)),
                        _ => None,
                    },
                    b'D' => Some(Value::String(date(text.trim()))).filter(|date| date != ""),
                    _ => Some(Value::String(text.to_owned())),
                }
            }
        }
    }
}

/// A number; integers that a double would round stay texts, and stars stand for none.
fn number(text: &str) -> Option<Value> {
    if text.starts_with('*') {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>()
        && let SourceId::Text(text) = row_id(integer)
    {
        return Some(Value::String(text));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Some(Value::Number(json_number(number))),
        _ => Some(Value::String(text.to_owned())),
    }
}

/// A date of eight digits with dashes; nothing for zeros.
fn date(text: &str) -> String {
    match (text.get(..4), text.get(4..6), text.get(6..8)) {
        _ if text.bytes().all(|byte| byte == b'0') => String::new(),
        (Some(year), Some(month), Some(day)) if text.len() == 8 => format!("{year}-{month}-{day}"),
        _ => text.to_owned(),
    }
}
