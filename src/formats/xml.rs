//! XML as a stream of elements and texts, for GPX and KML: bounded in depth and in the size of one piece, with lines.
//!
//! Entities that a document declares itself are not resolved, so that none can be a bomb.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::decoded::Decoded;
use super::error::{Fault, RecordError};
use super::source::RECORD_BYTES_MAX;
use crate::model::Place;

/// Levels of elements, at most; folders of folders of the deepest real file have a dozen.
const DEPTH_MAX: usize = 100;

/// An element's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// What stands before the colon of its name.
    pub(super) prefix: String,
    /// The name without prefix.
    pub(super) name: String,
    /// Attributes by their name without prefix.
    attributes: Vec<(String, String)>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The next piece of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An element starts; its end always follows.
    Start(Element),
    /// The innermost open element ends.
    End,
    /// A piece of text; several may follow each other.
    Text(String),
    /// The document has ended.
    Eof,
}

/// Why the document cannot be read on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct XmlFault(pub(super) Fault);

/// Why reading a record stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The record is wrong; the next one can be read.
    Record(Fault),
    /// The file cannot be read on.
    File(XmlFault),
}

impl From<XmlFault> for Stop {
    fn from(fault: XmlFault) -> Self {
        Self::File(fault)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Record(fault)
    }
}

/// A document that is read piece by piece.
pub(super) struct Xml<R: Read> {
    reader: Reader<Counted<BufReader<Decoded<BufReader<R>>>>>,
    buffer: Vec<u8>,
    depth: usize,
}

impl<R: Read> Xml<R> {
    pub(super) fn new(reader: R) -> Self {
        let decoded = BufReader::new(Decoded::new(BufReader::new(reader)));
        let mut reader = Reader::from_reader(Counted {
            inner: decoded,
            line: 1,
            byte: 0,
            piece: 0,
            too_long: false,
        });
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            depth: 0,
        }
    }

    /// The place of the next piece.
    pub(super) fn place(&self, record: u64) -> Place {
        let counted = self.reader.get_ref();
        Place {
            record,
            line: counted.line,
            byte: counted.byte,
        }
    }

    /// The error for the file as a whole.
    pub(super) fn fatal(&self, fault: XmlFault) -> RecordError {
        RecordError::of_file(self.place(0), fault.0)
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn next(&mut self) -> Result<Piece, XmlFault> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().piece = 0;
            let piece = match self.reader.read_event_into(&mut self.buffer) {
                Ok(Event::Start(start)) => element(&start).map(Piece::Start),
                Ok(Event::End(_)) => Ok(Piece::End),
                Ok(Event::Text(text)) => Ok(Piece::Text(text.xml10_content().into_owned())),
                Ok(Event::CData(text)) => Ok(Piece::Text(text.xml10_content().into_owned())),
                Ok(Event::GeneralRef(name)) => Ok(Piece::Text(
                    match (name.resolve_char_ref(), name.xml10_content()) {
                        (Ok(Some(character)), _) => character.to_string(),
                        (_, name) => entity(&name),
                    },
                )),
                Ok(Event::Eof) => Ok(Piece::Eof),
                Ok(_) => continue,
                Err(error) => Err(error.to_string()),
            };
            return match piece {
                Ok(Piece::Start(element)) => {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(XmlFault(Fault::TooDeep));
                    }
                    Ok(Piece::Start(element))
                }
                Ok(Piece::End) => {
                    self.depth = self.depth.saturating_sub(1);
                    Ok(Piece::End)
                }
                Ok(Piece::Eof) if self.depth > 0 => Err(XmlFault(Fault::Truncated {
                    within: "an XML element",
                })),
                Ok(piece) => Ok(piece),
                Err(message) => Err(XmlFault(self.broken(&message))),
            };
        }
    }

    fn broken(&self, message: &str) -> Fault {
        let counted = self.reader.get_ref();
        if counted.too_long {
            return Fault::TooLong;
        }
        if message.contains("I/O error") {
            return Fault::Io(message.to_owned());
        }
        Fault::Unreadable {
            what: format!("not well-formed XML at line {}: {message}", counted.line),
            hint: "correct the text at that place, or write the file again",
        }
    }

    /// The text of the element that was just started, without that of elements in it, up to its end.
    pub(super) fn text(&mut self) -> Result<String, XmlFault> {
        let depth = self.depth;
        let mut text = String::new();
        loop {
            match self.next()? {
                Piece::End if self.depth < depth => return Ok(text),
                Piece::Text(piece) if self.depth == depth => {
                    if text.len() + piece.len() > RECORD_BYTES_MAX {
                        return Err(XmlFault(Fault::TooLong));
                    }
                    text.push_str(&piece);
                }
                Piece::Eof => return Ok(text),
                _ => {}
            }
        }
    }

    /// Reads on until only `depth` elements are open.
    pub(super) fn skip_to(&mut self, depth: usize) -> Result<(), XmlFault> {
        while self.depth > depth {
            if self.next()? == Piece::Eof {
                break;
            }
        }
        Ok(())
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let (local, prefix) = start.name().decompose();
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        let name = attribute.key.local_name().as_ref().to_owned();
        Ok((name, value.into_owned()))
    });
    Ok(Element {
        prefix: prefix.map_or(String::new(), |prefix| prefix.as_ref().to_owned()),
        name: local.as_ref().to_owned(),
        attributes: attributes.collect::<Result<_, String>>()?,
    })
}

/// The character of a predefined entity; any other entity as it stands.
fn entity(name: &str) -> String {
    match name {
        "amp" => "&".to_owned(),
        "lt" => "<".to_owned(),
        "gt" => ">".to_owned(),
        "quot" => "\"".to_owned(),
        "apos" => "'".to_owned(),
        other => format!("&{other};"),
    }
}

/// Counts lines and bytes, and refuses to go on in a piece that is too long.
struct Counted<B> {
    inner: B,
    line: u64,
    byte: u64,
    piece: usize,
    too_long: bool,
}

impl<B: BufRead> Read for Counted<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl<B: BufRead> BufRead for Counted<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece > RECORD_BYTES_MAX {
            self.too_long = true;
            return Err(io::Error::other("too long"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is consumed was filled before, so nothing is read here.
        if let Ok(filled) = self.inner.fill_buf() {
            let taken = filled.get(..count).unwrap_or(filled);
            self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        self.byte += count as u64;
        self.piece = self.piece.saturating_add(count);
        self.inner.consume(count);
    }
}

/// The text so that XML holds it and gives it back. The few characters that XML 1.0 cannot hold become U+FFFD.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let plain =
        |c: char| !matches!(c, '&' | '<' | '>' | '"' | '\'' | '\u{FFFE}' | '\u{FFFF}') && c >= ' ';
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            other if plain(other) => out.push(other),
            _ => out.push('\u{FFFD}'),
        }
    }
    Cow::Owned(out)
}

/// Whether XML can hold every character of the text.
pub(super) fn holds(text: &str) -> bool {
    !text.chars().any(|c| {
        matches!(c, '\u{FFFE}' | '\u{FFFF}') || (c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text_of(document: &str) -> Result<String, XmlFault> {
        let mut xml = Xml::new(document.as_bytes());
        loop {
            match xml.next()? {
                Piece::Start(_) => return xml.text(),
                Piece::Eof => panic!("an element"),
                _ => {}
            }
        }
    }

    #[test]
    fn texts_come_back_as_they_went_in() {
        for text in [
            "",
            "a & b < c > \"d\" 'e'",
            "line\r\nline\ttab",
            " spaces ",
            "ä €",
        ] {
            let document = format!("<a>{}</a>", escaped(text));
            assert_eq!(text_of(&document).unwrap(), text);
        }
        assert_eq!(
            text_of("<a>&nbsp;&#x41;<![CDATA[<b>]]><c>no</c>!</a>").unwrap(),
            "&nbsp;A<b>!"
        );
        assert_eq!(escaped("\u{1}"), "\u{FFFD}");
        assert!(holds("ä\n") && !holds("\u{1}"));
    }

    #[test]
    fn declared_entities_are_not_resolved() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"yyyy\"><!ENTITY z \"&x;&x;\">]><a>&z;</a>";
        assert_eq!(text_of(bomb).unwrap(), "&z;");
    }

    #[test]
    fn bounds_hold_and_faults_have_lines() {
        let deep = "<a>".repeat(1000);
        assert_eq!(text_of(&deep), Err(XmlFault(Fault::TooDeep)));
        assert!(matches!(
            text_of("<a>"),
            Err(XmlFault(Fault::Truncated { .. }))
        ));
        let fault = text_of("<a>\n\n<b></a>").unwrap_err().0.to_string();
        assert!(fault.contains("at line 3"), "{fault}");
        struct Letters(usize);
        impl Read for Letters {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = buffer.len().min(self.0);
                buffer[..count].fill(b'x');
                self.0 -= count;
                Ok(count)
            }
        }
        let mut xml = Xml::new(b"<a>".chain(Letters(RECORD_BYTES_MAX * 2)));
        assert!(matches!(xml.next(), Ok(Piece::Start(_))));
        assert_eq!(xml.text(), Err(XmlFault(Fault::TooLong)));
    }

    #[test]
    fn other_encodings_are_read() {
        let document = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>Z\xFCrich</a>";
        let mut xml = Xml::new(&document[..]);
        while !matches!(xml.next().unwrap(), Piece::Start(_)) {}
        assert_eq!(xml.text().unwrap(), "Zürich");
    }
}
