//! GeoJSON text sequences (RFC 8142) and newline-delimited GeoJSON: one feature per record, each on its own.
//!
//! A file that starts with a record separator has them before every record; otherwise each line is a record. A
//! damaged record costs only itself.

use std::io::{self, Read, Write};

use super::crs::FileCrs;
use super::error::{Fault, RecordError};
use super::export::ExportOptions;
use super::geojson::{from_cut, write_feature};
use super::records::{Item, Reading, Record};
use super::sniff::RECORD_SEPARATOR;
use super::source::Source;
use crate::model::Feature;

pub(super) struct Reader<R> {
    source: Source<R>,
    /// What ends a record; none before the start was seen.
    end: Option<u8>,
    records: u64,
    crs: FileCrs,
}

impl<R: Read> Reading for Reader<R> {
    fn next(&mut self) -> Option<Record> {
        self.read()
            .unwrap_or_else(|error| Some(Err(self.fatal(Fault::Io(error.to_string())))))
    }
}

impl<R: Read> Reader<R> {
    pub(super) fn new(reader: R, crs: FileCrs) -> Self {
        Self {
            crs,
            source: Source::new(reader),
            end: None,
            records: 0,
        }
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        let end = match self.end {
            Some(end) => end,
            None => {
                if let Some(foreign) = self.source.open()? {
                    return Ok(Some(Err(self.fatal(Fault::Foreign {
                        wanted: "GeoJSON",
                        what: foreign.what,
                        hint: foreign.hint,
                    }))));
                }
                let separated = self.source.skip(b"")? == Some(RECORD_SEPARATOR);
                *self
                    .end
                    .insert(if separated { RECORD_SEPARATOR } else { b'\n' })
            }
        };
        if self.source.skip(&[RECORD_SEPARATOR])?.is_none() {
            return Ok(if self.records == 0 {
                Some(Err(self.fatal(Fault::Empty)))
            } else {
                None
            });
        }
        self.records += 1;
        self.source.start_cut();
        while let Some(byte) = self.source.peek()?.filter(|byte| *byte != end) {
            self.source.take(byte);
        }
        let mut cut = self.source.end_cut();
        let place = cut.place(self.records);
        cut.bytes.truncate(cut.bytes.trim_ascii_end().len());
        Ok(Some(match from_cut(&cut, &self.crs) {
            Ok((content, notes)) => Ok(Item::new(content, place).noted(notes)),
            Err((id, fault)) => Err(RecordError::of_record(place, id, fault)),
        }))
    }

    fn fatal(&self, fault: Fault) -> RecordError {
        RecordError::of_file(self.source.place(0), fault)
    }
}

/// Writes a text sequence (RFC 8142 §2); how many features it has.
pub(super) fn write_sequence(
    features: impl Iterator<Item = Feature>,
    options: ExportOptions,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut count = 0;
    for feature in features {
        out.write_all(&[RECORD_SEPARATOR])?;
        write_feature(&feature, options.with_bbox, out)?;
        out.write_all(b"\n")?;
        count += 1;
    }
    Ok(count)
}
