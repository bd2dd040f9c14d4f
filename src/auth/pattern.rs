//! Which maps a right is for.

use std::fmt;
use std::str::FromStr;

use mapweave_proto::MapName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

/// Longest pattern in bytes: a map name of which every character is escaped.
pub const PATTERN_BYTES_MAX: usize = 400;

/// Names of maps: a name in which `*` stands for any characters within a segment, also for none, and `**` for any
/// characters at all. `\*` is the star itself.
///
/// ```
/// use mapweave::auth::MapPattern;
/// use mapweave_proto::MapName;
/// let north: MapPattern = "north/*".parse().unwrap();
/// assert!(north.matches(&MapName::parse("north/field 7").unwrap()));
/// assert!(!north.matches(&MapName::parse("north/farm/field 7").unwrap()));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MapPattern {
    text: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Byte(u8),
    /// Any bytes but `/`.
    Star,
    /// Any bytes.
    Stars,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing was given.
    #[error("a pattern must not be empty; ** stands for all maps")]
    Empty,
    /// More than [`PATTERN_BYTES_MAX`] bytes.
    #[error("a pattern has at most {PATTERN_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A character that no map name holds.
    #[error("no map name holds {character:?}, so that the pattern would be for no map")]
    Character {
        /// The first such character.
        character: char,
    },
    /// More than two stars.
    #[error("write * for characters within a segment and ** for any characters")]
    Stars,
    /// A `\` that is not before a star.
    #[error("\\ stands before a * only, which then is the star itself")]
    Escape,
    /// Segments that no map name has.
    #[error("a pattern must not start or end with / or hold //, for no map name does")]
    Slash,
}

impl MapPattern {
    /// All maps.
    pub fn all() -> Self {
        Self {
            text: "**".into(),
            parts: [Part::Stars].into(),
        }
    }

    /// This map alone, whatever characters its name holds.
    pub fn exactly(name: &MapName) -> Self {
        let text = name.as_str();
        Self {
            text: text.replace('*', "\\*").into(),
            parts: text.bytes().map(Part::Byte).collect(),
        }
    }

    /// Whether it stands for all maps.
    pub fn is_all(&self) -> bool {
        *self.parts == [Part::Stars]
    }

    /// Whether `name` is one of its maps. Takes time of the product of both lengths at most.
    pub fn matches(&self, name: &MapName) -> bool {
        // The places in the pattern that the bytes so far can have led to; stars may stand for nothing.
        let mut at = vec![false; self.parts.len() + 1];
        self.reach(&mut at, 0);
        for byte in name.as_str().bytes() {
            let mut next = vec![false; self.parts.len() + 1];
            for (place, part) in self.parts.iter().enumerate() {
                if !at.get(place).copied().unwrap_or(false) {
                    continue;
                }
                match part {
                    Part::Byte(wanted) if *wanted == byte => self.reach(&mut next, place + 1),
                    Part::Star if byte != b'/' => self.reach(&mut next, place),
                    Part::Stars => self.reach(&mut next, place),
                    Part::Byte(_) | Part::Star => {}
                }
            }
            at = next;
        }
        at.last().copied().unwrap_or(false)
    }

    /// Marks a place, and those behind stars that follow.
    fn reach(&self, places: &mut [bool], from: usize) {
        for (place, mark) in places.iter_mut().enumerate().skip(from) {
            *mark = true;
            if !matches!(self.parts.get(place), Some(Part::Star | Part::Stars)) {
                return;
            }
        }
    }
}

impl FromStr for MapPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text: String = text.nfc().collect();
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong { bytes: text.len() });
        }
        if text.starts_with('/') || text.ends_with('/') || text.contains("//") {
            return Err(PatternError::Slash);
        }
        let mut parts = Vec::with_capacity(text.len());
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\\' => match rest.next() {
                    Some('*') => parts.push(Part::Byte(b'*')),
                    _ => return Err(PatternError::Escape),
                },
                '*' if rest.next_if_eq(&'*').is_none() => parts.push(Part::Star),
                '*' if rest.peek() == Some(&'*') => return Err(PatternError::Stars),
                '*' => parts.push(Part::Stars),
                bad if bad.is_control() || "?#%".contains(bad) => {
                    return Err(PatternError::Character { character: bad });
                }
                plain => {
                    let mut buffer = [0; 4];
                    parts.extend(plain.encode_utf8(&mut buffer).bytes().map(Part::Byte));
                }
            }
        }
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }
}

impl fmt::Display for MapPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for MapPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Serialize for MapPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for MapPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let pattern: MapPattern = pattern.parse().unwrap();
        pattern.matches(&MapName::parse(name).unwrap())
    }

    #[test]
    fn one_star_stays_in_its_segment_and_two_do_not() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "A", false),
            ("*", "field 7", true),
            ("*", "a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/*", "a", false),
            ("a*", "a", true),
            ("a*/b", "a1/b", true),
            ("a*/b", "a/1/b", false),
            ("**", "a/b/c", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**", "ab/c", false),
            ("a**", "ab/c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "c", false),
            ("*/b/*", "a/b/c", true),
            ("*a*a*", "banana", true),
            ("*ü", "grün/ü", false),
            ("gr*n", "grün", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_could_be_for_no_map_is_refused() {
        for text in [
            "", "a?", "a#", "%2F", "a\u{0}", "***", "a/***", "/a", "a/", "a//b", "a\\", "\\a",
        ] {
            assert!(text.parse::<MapPattern>().is_err(), "{text:?}");
        }
        assert!("a".repeat(401).parse::<MapPattern>().is_err());
    }

    #[test]
    fn a_pattern_and_a_name_of_many_stars_cost_no_more_than_their_product() {
        let pattern = "*a".repeat(199);
        let pattern: MapPattern = pattern.parse().unwrap();
        assert!(!pattern.matches(&MapName::parse(&"b".repeat(200)).unwrap()));
    }

    /// The definition, by trying everything.
    fn by_trying(parts: &[Part], name: &[u8]) -> bool {
        match parts.split_first() {
            None => name.is_empty(),
            Some((Part::Byte(byte), rest)) => {
                name.first() == Some(byte) && by_trying(rest, &name[1..])
            }
            Some((star, rest)) => {
                let stop = match star {
                    Part::Star => name.iter().position(|b| *b == b'/').unwrap_or(name.len()),
                    _ => name.len(),
                };
                (0..=stop).any(|taken| by_trying(rest, &name[taken..]))
            }
        }
    }

    fn name() -> impl Strategy<Value = MapName> {
        "[ab*]{1,3}(/[ab*]{1,3}){0,3}".prop_map(|text| MapName::parse(&text).unwrap())
    }

    proptest! {
        #[test]
        fn matching_is_what_trying_everything_finds(
            text in "([ab]|\\*{1,2}|\\\\\\*|/){1,8}",
            name in name(),
        ) {
            if let Ok(pattern) = text.parse::<MapPattern>() {
                let expected = by_trying(&pattern.parts, name.as_str().as_bytes());
                prop_assert_eq!(pattern.matches(&name), expected);
            }
        }

        #[test]
        fn a_pattern_for_one_map_is_for_no_other(one in name(), other in name()) {
            let pattern = MapPattern::exactly(&one);
            prop_assert!(pattern.matches(&one));
            prop_assert_eq!(pattern.matches(&other), one == other);
            let again: MapPattern = pattern.to_string().parse().unwrap();
            prop_assert_eq!(again, pattern);
        }

        #[test]
        fn any_text_is_a_pattern_or_none_and_reads_as_it_was_written(text in ".{0,40}") {
            if let Ok(pattern) = text.parse::<MapPattern>() {
                let again: MapPattern = pattern.to_string().parse().unwrap();
                prop_assert_eq!(again, pattern);
            }
        }
    }
}
