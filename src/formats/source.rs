//! Bytes with their place in the file, and JSON values cut out of them without parsing.

use std::io::{self, Read};

use super::sniff::{BOM, Foreign, foreign};
use crate::model::Place;

/// Bytes of one record, at most: a ring of a million vertices with three long numbers each fits.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Levels of brackets in one record, at most; more cannot be anything that is accepted later.
const BRACKETS_MAX: usize = 100;
/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// A reader that knows its place.
pub(super) struct Source<R> {
    reader: R,
    buffer: Box<[u8]>,
    at: usize,
    filled: usize,
    line: u64,
    column: u64,
    byte: u64,
    record: Option<Cut>,
}

/// A piece of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    pub(super) bytes: Vec<u8>,
    /// Line of the first byte, from 1.
    pub(super) line: u64,
    /// Column of the first byte, in bytes from 1.
    pub(super) column: u64,
    /// Offset of the first byte.
    pub(super) byte: u64,
    /// It was longer than [`RECORD_BYTES_MAX`]; the rest is not in `bytes`.
    pub(super) too_long: bool,
    /// It nests deeper than anything that could be accepted.
    pub(super) too_deep: bool,
}

impl Cut {
    /// Its place as that of a record.
    pub(super) fn place(&self, record: u64) -> Place {
        Place {
            record,
            line: self.line,
            byte: self.byte,
        }
    }
}

/// Why a value could not be cut out.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file ended within it.
    End,
    /// The file could not be read.
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self {
            reader,
            buffer,
            at: 0,
            filled: 0,
            line: 1,
            column: 1,
            byte: 0,
            record: None,
        }
    }

    /// Looks at the start of the file and skips a byte order mark. Call it first and once.
    pub(super) fn open(&mut self) -> io::Result<Option<Foreign>> {
        while self.filled < self.buffer.len() {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match retry(|| self.reader.read(free))? {
                0 => break,
                read => self.filled += read,
            }
        }
        let start = self.buffer.get(..self.filled).unwrap_or_default();
        let found = foreign(start);
        if start.starts_with(BOM) {
            self.at = BOM.len();
            self.byte = BOM.len() as u64;
        }
        Ok(found)
    }

    /// What was read ahead: after [`Self::open`] the start of the file.
    pub(super) fn ahead(&self) -> &[u8] {
        self.buffer.get(self.at..self.filled).unwrap_or_default()
    }

    /// The next byte, without taking it.
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.filled {
            self.at = 0;
            self.filled = retry(|| self.reader.read(&mut self.buffer))?;
        }
        let next = self
            .buffer
            .get(..self.filled)
            .and_then(|filled| filled.get(self.at));
        Ok(next.copied())
    }

    /// Takes the byte that was last peeked.
    pub(super) fn take(&mut self, byte: u8) {
        self.at += 1;
        self.byte += 1;
        self.column += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        }
        if let Some(cut) = &mut self.record {
            if cut.bytes.len() < RECORD_BYTES_MAX {
                cut.bytes.push(byte);
            } else {
                cut.too_long = true;
            }
        }
    }

    /// Skips spaces and whatever else is given; the byte after them.
    pub(super) fn skip(&mut self, more: &[u8]) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') && !more.contains(&byte) {
                return Ok(Some(byte));
            }
            self.take(byte);
        }
        Ok(None)
    }

    /// Starts to record what is taken.
    pub(super) fn start_cut(&mut self) {
        self.record = Some(Cut {
            line: self.line,
            column: self.column,
            byte: self.byte,
            ..Cut::default()
        });
    }

    /// Bytes recorded so far.
    pub(super) fn cut_len(&self) -> usize {
        self.record.as_ref().map_or(0, |cut| cut.bytes.len())
    }

    /// What was recorded from `start` on, while recording goes on.
    pub(super) fn cut_from(&self, start: usize) -> &[u8] {
        self.record
            .as_ref()
            .and_then(|cut| cut.bytes.get(start..))
            .unwrap_or_default()
    }

    /// Ends recording.
    pub(super) fn end_cut(&mut self) -> Cut {
        self.record.take().unwrap_or_default()
    }

    /// The place of the next byte.
    pub(super) fn place(&self, record: u64) -> Place {
        Place {
            record,
            line: self.line,
            byte: self.byte,
        }
    }

    /// The column of the next byte.
    pub(super) fn column(&self) -> u64 {
        self.column
    }

    /// Takes one JSON value by its brackets and quotes; whether it is well-formed inside shows when it is parsed.
    pub(super) fn value(&mut self) -> Result<(), Broken> {
        match self.peek()?.ok_or(Broken::End)? {
            b'"' => self.string(),
            b'{' | b'[' => self.nested(),
            _ => {
                while let Some(byte) = self.peek()? {
                    if matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n') {
                        break;
                    }
                    self.take(byte);
                }
                Ok(())
            }
        }
    }

    fn nested(&mut self) -> Result<(), Broken> {
        let mut open = 0_usize;
        loop {
            let byte = self.peek()?.ok_or(Broken::End)?;
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open = open.saturating_add(1),
                b'}' | b']' => open = open.saturating_sub(1),
                _ => {}
            }
            self.take(byte);
            if open > BRACKETS_MAX
                && let Some(cut) = &mut self.record
            {
                cut.too_deep = true;
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// Takes a string with its quotes.
    fn string(&mut self) -> Result<(), Broken> {
        self.take(b'"');
        let mut escaped = false;
        loop {
            let byte = self.peek()?.ok_or(Broken::End)?;
            self.take(byte);
            match byte {
                b'"' if !escaped => return Ok(()),
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
