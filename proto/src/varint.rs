//! lib0's variable-length integers, strings and buffers.
//!
//! Reads never panic, never allocate and never go past the end. Start from [`Reader`] and [`Writer`]; the
//! update scanner reads the same primitives through [`Cursor`], which borrows.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Fault, Malformed};
use crate::limits::{VAR_UINT_BYTES_MAX, VAR_UINT_MAX};

/// Reads primitives from shared bytes; buffers come out as slices of the same memory.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// Starts at the first byte.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// One varUint (LEB128, low group first).
    ///
    /// # Errors
    /// Cut short, longer than eight bytes, or above 2^53 − 1.
    pub fn var_uint(&mut self) -> Result<u64, Malformed> {
        self.read(Cursor::var_uint)
    }

    /// One varInt (six bits and a sign in the first byte).
    ///
    /// # Errors
    /// As [`Reader::var_uint`], for the magnitude.
    pub fn var_int(&mut self) -> Result<i64, Malformed> {
        self.read(Cursor::var_int)
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end of the bytes.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.read(Cursor::byte)
    }

    /// A length and as many bytes, without copying them.
    ///
    /// # Errors
    /// A length above what is left.
    pub fn buf(&mut self) -> Result<Bytes, Malformed> {
        let length = self.read(Cursor::buf)?.len();
        Ok(self.bytes.slice(self.at.saturating_sub(length)..self.at))
    }

    /// A length and as many bytes of UTF-8.
    ///
    /// # Errors
    /// A length above what is left, or bytes that are not UTF-8.
    pub fn string(&mut self) -> Result<&str, Malformed> {
        self.read(Cursor::string)
    }

    /// Passes over everything that is left.
    pub fn skip_rest(&mut self) {
        self.at = self.bytes.len();
    }

    fn read<'a, T>(
        &'a mut self,
        read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        let mut cursor = Cursor {
            bytes: &self.bytes,
            at: self.at,
        };
        let value = read(&mut cursor)?;
        self.at = cursor.at;
        Ok(value)
    }
}

/// Reads primitives from borrowed bytes.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(Malformed {
            at: self.at,
            fault: Fault::Ends,
        })?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn var_uint(&mut self) -> Result<u64, Malformed> {
        let at = self.at;
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.groups(at, u64::from(first & 0x7f), 7, 1)
    }

    pub(crate) fn var_int(&mut self) -> Result<i64, Malformed> {
        let at = self.at;
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        let magnitude = if first & 0x80 == 0 {
            low
        } else {
            self.groups(at, low, 6, 1)?
        };
        // At most 2^53 − 1, so the sign fits beside it.
        let value = magnitude as i64;
        Ok(if first & 0x40 == 0 { value } else { -value })
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length);
        let slice = end.and_then(|end| self.bytes.get(self.at..end));
        let slice = slice.ok_or(Malformed {
            at: self.at,
            fault: Fault::Ends,
        })?;
        self.at += length;
        Ok(slice)
    }

    #[inline]
    pub(crate) fn buf(&mut self) -> Result<&'a [u8], Malformed> {
        let at = self.at;
        let length = self.var_uint()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.left() => self.take(length),
            _ => Err(Malformed {
                at,
                fault: Fault::Ends,
            }),
        }
    }

    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let at = self.at;
        std::str::from_utf8(self.buf()?).map_err(|_| Malformed {
            at,
            fault: Fault::NotUtf8,
        })
    }

    /// The groups of seven bits after the first byte.
    fn groups(&mut self, at: usize, low: u64, shift: u32, bytes: usize) -> Result<u64, Malformed> {
        let too_large = Malformed {
            at,
            fault: Fault::NumberTooLarge,
        };
        let (mut value, mut shift, mut bytes) = (low, shift, bytes);
        loop {
            if bytes == VAR_UINT_BYTES_MAX {
                return Err(too_large);
            }
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if value <= VAR_UINT_MAX {
                    Ok(value)
                } else {
                    Err(too_large)
                };
            }
            shift += 7;
            bytes += 1;
        }
    }
}

/// Writes primitives.
#[derive(Debug, Default)]
pub struct Writer {
    out: BytesMut,
}

impl Writer {
    /// Nothing written, nothing allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing written, room for this many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: BytesMut::with_capacity(bytes),
        }
    }

    /// One varUint. Values above 2^53 − 1 are written, but no reader takes them.
    pub fn var_uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    /// One varInt.
    pub fn var_int(&mut self, value: i64) {
        let sign = if value < 0 { 0x40 } else { 0 };
        let magnitude = value.unsigned_abs();
        let more = if magnitude > 0x3f { 0x80 } else { 0 };
        self.out.put_u8((magnitude & 0x3f) as u8 | sign | more);
        if more != 0 {
            self.var_uint(magnitude >> 6);
        }
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.put_u8(byte);
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    /// `length` bytes as `fill` makes them, without a length.
    ///
    /// # Errors
    /// What `fill` says; zeros were written then.
    pub fn fill<E>(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.out.len();
        self.out.put_bytes(0, length);
        fill(self.out.get_mut(start..).unwrap_or_default())
    }

    /// A length and the bytes.
    pub fn buf(&mut self, bytes: &[u8]) {
        self.var_uint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A length in bytes and the text as UTF-8.
    pub fn string(&mut self, text: &str) {
        self.buf(text.as_bytes());
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written.
    pub fn finish(self) -> Bytes {
        self.out.freeze()
    }
}

/// How many bytes `value` takes as a varUint.
pub(crate) fn var_uint_bytes(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_above_the_bound_are_refused() {
        let mut writer = Writer::new();
        writer.var_uint(VAR_UINT_MAX);
        writer.var_uint(VAR_UINT_MAX + 1);
        let mut reader = Reader::new(writer.finish());
        assert_eq!(reader.var_uint(), Ok(VAR_UINT_MAX));
        assert_eq!(
            reader.var_uint(),
            Err(Malformed {
                at: 8,
                fault: Fault::NumberTooLarge
            })
        );
    }

    #[test]
    fn nine_bytes_are_too_many_even_for_zero() {
        let long = [&[0x80; 8][..], &[0]].concat();
        let fault = Fault::NumberTooLarge;
        assert_eq!(
            Reader::new(long.clone().into()).var_uint(),
            Err(Malformed { at: 0, fault })
        );
        assert_eq!(
            Reader::new(long.into()).var_int(),
            Err(Malformed { at: 0, fault })
        );
        assert_eq!(
            Reader::new([&[0x80; 7][..], &[0]].concat().into()).var_uint(),
            Ok(0)
        );
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_where_it_stands() {
        for length in [
            &[4, 1, 2, 3][..],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            let read = Reader::new(Bytes::copy_from_slice(length)).buf();
            assert_eq!(
                read,
                Err(Malformed {
                    at: 0,
                    fault: Fault::Ends
                })
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(uint in 0..=VAR_UINT_MAX, int in -(VAR_UINT_MAX as i64)..=VAR_UINT_MAX as i64,
                                   text: String, buf: Vec<u8>) {
            let mut writer = Writer::new();
            writer.var_uint(uint);
            prop_assert_eq!(writer.len(), var_uint_bytes(uint));
            writer.var_int(int);
            writer.string(&text);
            writer.buf(&buf);
            let mut reader = Reader::new(writer.finish());
            prop_assert_eq!(reader.var_uint(), Ok(uint));
            prop_assert_eq!(reader.var_int(), Ok(int));
            prop_assert_eq!(reader.string(), Ok(text.as_str()));
            prop_assert_eq!(reader.buf(), Ok(buf.into()));
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn yrs_reads_the_same_numbers(uint in 0..=VAR_UINT_MAX, int in -(VAR_UINT_MAX as i64)..=VAR_UINT_MAX as i64) {
            use yrs::encoding::read::{Cursor, Read};
            let mut writer = Writer::new();
            writer.var_uint(uint);
            writer.var_int(int);
            let bytes = writer.finish();
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.read_var::<u64>().unwrap(), uint);
            prop_assert_eq!(cursor.read_var::<i64>().unwrap(), int);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(bytes.clone().into());
            while reader.left() > 0 && reader.var_int().is_ok() && reader.buf().is_ok() {}
            let mut reader = Reader::new(bytes.into());
            while reader.left() > 0 && reader.var_uint().is_ok() && reader.string().is_ok() {}
        }
    }
}
