//! XML of any encoding as UTF-8: what a byte order mark or the declaration names.

use std::io::{self, BufRead, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

/// Bytes at the start in which the declaration is looked for.
const DECLARATION_BYTES: usize = 1024;
/// Bytes that are decoded at once, and room for what they become.
const CHUNK_BYTES: usize = 16 * 1024;

/// A reader that gives UTF-8. Bytes that claim to be UTF-8 pass as they are; others become U+FFFD where they are wrong.
pub(super) struct Decoded<R> {
    reader: R,
    start: Vec<u8>,
    decoder: Option<Decoder>,
    opened: bool,
    ended: bool,
    ready: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Decoded<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            start: Vec::new(),
            decoder: None,
            opened: false,
            ended: false,
            ready: Vec::new(),
            at: 0,
        }
    }

    fn open(&mut self) -> io::Result<()> {
        let limit = DECLARATION_BYTES as u64;
        self.reader
            .by_ref()
            .take(limit)
            .read_to_end(&mut self.start)?;
        let encoding = match Encoding::for_bom(&self.start) {
            Some((encoding, _)) => encoding,
            None => declared(&self.start).unwrap_or(UTF_8),
        };
        if encoding == UTF_8 {
            self.ready = std::mem::take(&mut self.start);
        } else {
            self.decoder = Some(encoding.new_decoder_with_bom_removal());
        }
        self.opened = true;
        Ok(())
    }

    /// Decodes the next bytes.
    fn decode(&mut self) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        self.ready.resize(CHUNK_BYTES * 4, 0);
        let mut input = std::mem::take(&mut self.start);
        if input.is_empty() {
            let filled = self.reader.fill_buf()?;
            input = filled.get(..CHUNK_BYTES).unwrap_or(filled).to_vec();
            self.reader.consume(input.len());
        }
        let last = input.is_empty();
        let (result, read, written, _) = decoder.decode_to_utf8(&input, &mut self.ready, last);
        self.ready.truncate(written);
        self.at = 0;
        self.ended = last && result == CoderResult::InputEmpty;
        if let Some(rest) = input.get(read..) {
            self.start = rest.to_vec();
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.opened {
            self.open()?;
        }
        while self.at >= self.ready.len() {
            if self.decoder.is_none() {
                return self.reader.read(buffer);
            }
            if self.ended {
                return Ok(0);
            }
            self.decode()?;
        }
        let ready = self.ready.get(self.at..).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// The encoding that the declaration at the start names.
fn declared(start: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(start);
    let declaration = text.trim_start().strip_prefix("<?xml")?;
    let (declaration, _) = declaration.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next()?;
    let (label, _) = value.get(1..)?.split_once(quote)?;
    let encoding = Encoding::for_label(label.as_bytes())?;
    // A declaration that could be read is in no encoding of two bytes, whatever it says.
    encoding.is_ascii_compatible().then_some(encoding)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn decoded(bytes: &[u8]) -> String {
        let mut text = String::new();
        Decoded::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn every_encoding_becomes_utf_8() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>Z\xFCrich</a>";
        assert!(decoded(latin).ends_with("<a>Zürich</a>"));
        let mut wide = vec![0xFF, 0xFE];
        "<?xml version='1.0' encoding='UTF-16'?><a>Zürich €</a>"
            .encode_utf16()
            .for_each(|unit| wide.extend(unit.to_le_bytes()));
        assert!(decoded(&wide).ends_with("<a>Zürich €</a>"));
        let plain = "<?xml version='1.0' encoding='UTF-8'?><a>Zürich</a>";
        assert_eq!(decoded(plain.as_bytes()), plain);
        assert_eq!(decoded(b""), "");
        let lie = "<?xml version='1.0' encoding='UTF-16'?><a>ü</a>";
        assert_eq!(decoded(lie.as_bytes()), lie);
        let mut long = latin.to_vec();
        long.extend(b"\xE4".repeat(100_000));
        assert_eq!(decoded(&long).matches('ä').count(), 100_000);
    }
}
