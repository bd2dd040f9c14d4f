//! Names and numbers that cross the wire or reach the disk, each checked where it is made.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::{UnicodeNormalization, is_nfc};
use uuid::Uuid;

/// Longest map name in bytes of UTF-8.
pub const MAP_NAME_BYTES_MAX: usize = 200;

/// What people and URLs call a map.
///
/// 1–200 bytes of UTF-8 in normalisation form C, in segments joined by `/`. No segment is empty, `.` or
/// `..`; none of `?`, `#`, `%`, `\` and no control character occurs; no space stands at either end.
///
/// ```
/// use mapweave_proto::MapName;
/// assert_eq!(MapName::parse("north/field 7").unwrap().as_str(), "north/field 7");
/// assert!(MapName::parse("../etc").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapName(Arc<str>);

/// Why a text is no map name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("a map name must not be empty")]
    Empty,
    /// More than [`MAP_NAME_BYTES_MAX`] bytes.
    #[error("a map name has at most {MAP_NAME_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// How many bytes the name has.
        bytes: usize,
    },
    /// A character that no name may hold.
    #[error("a map name must not contain {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// An empty segment, `.` or `..`.
    #[error("a map name must not have the segment {segment:?}")]
    Segment {
        /// The segment.
        segment: String,
    },
    /// A space at the start or the end.
    #[error("a map name must not start or end with a space")]
    OuterSpace,
    /// Not UTF-8, or percent-encoding that is not complete.
    #[error("a map name must be UTF-8, percent-encoded once in a URL")]
    Encoding,
}

impl MapName {
    /// Checks `text` and brings it to normalisation form C.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let normal: Arc<str> = if is_nfc(text) {
            Arc::from(text)
        } else {
            Arc::from(text.nfc().collect::<String>())
        };
        check_name(&normal)?;
        Ok(Self(normal))
    }

    /// Decodes a percent-encoded path once, then as [`MapName::parse`]. Slashes may be plain or `%2F`.
    ///
    /// # Errors
    /// [`NameError::Encoding`] where an escape is cut short or the bytes are no UTF-8.
    pub fn from_path(path: &str) -> Result<Self, NameError> {
        Self::parse(&percent_decode(path)?)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one percent-encoded path segment (`a%2Fb`).
    pub fn to_path_segment(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }
}

impl fmt::Display for MapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One map document for ever: a name may be given to another document after a deletion, an id never.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(Uuid);

impl DocId {
    /// A fresh id (UUID version 7, RFC 9562 §5.7).
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The bytes, as in storage keys.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Place of a record in its map's log, counted from 1 without gaps. 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    ///
    /// # Panics
    /// After 2^64 − 1 records, which no store can hold.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection while this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who writes in a Yjs document: drawn at random by every replica for every life of it. At most 2^53 − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAP_NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if let Some(character) = name
        .chars()
        .find(|c| c.is_control() || "?#%\\".contains(*c))
    {
        return Err(NameError::Character { character });
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Err(NameError::OuterSpace);
    }
    match name.split('/').find(|s| matches!(*s, "" | "." | "..")) {
        Some(segment) => Err(NameError::Segment {
            segment: segment.to_owned(),
        }),
        None => Ok(()),
    }
}

fn percent_decode(path: &str) -> Result<String, NameError> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| {
            b.and_then(|b| char::from(b).to_digit(16))
                .ok_or(NameError::Encoding)
        };
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).map_err(|_| NameError::Encoding)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in [
            "a",
            "a/b c",
            "Übersicht",
            "x".repeat(200).as_str(),
            "...",
            "a.b",
        ] {
            assert!(MapName::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "", "/", "a//b", "/a", "a/", ".", "a/..", "a?b", "a#", "50%", "a\\b", "a\n", " a", "a ",
        ] {
            assert!(MapName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            MapName::parse(&"x".repeat(201)),
            Err(NameError::TooLong { bytes: 201 })
        );
    }

    #[test]
    fn two_spellings_of_one_character_are_one_name() {
        assert_eq!(MapName::parse("u\u{308}"), MapName::parse("ü"));
    }

    #[test]
    fn paths_are_decoded_once() {
        assert_eq!(MapName::from_path("a%2Fb%20c").unwrap().as_str(), "a/b c");
        assert_eq!(
            MapName::from_path("a%252Fb"),
            Err(NameError::Character { character: '%' })
        );
        for cut in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(MapName::from_path(cut), Err(NameError::Encoding), "{cut}");
        }
        let name = MapName::parse("a/b ü").unwrap();
        assert_eq!(MapName::from_path(&name.to_path_segment()), Ok(name));
    }
}
