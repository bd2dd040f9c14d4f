//! What a request for bytes asks beside them: conditions on their tag, and one range of them (RFC 9110 §13, §14).
//!
//! Pure. Start at [`Asked::read`], then [`Asked::answer`].

use warp::http::{HeaderMap, header};

/// Conditions and range of a GET or HEAD request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// `If-None-Match`: the client has these already.
    if_none_match: Option<Tags>,
    /// `If-Range`: the range is of these bytes; of others the client wants all. `None` inside: a date, which is never ours.
    if_range: Option<Option<String>>,
    range: Option<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    /// As they are quoted, without `W/`.
    These(Vec<String>),
}

/// One range of bytes as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    /// From the first, up to and with the last if there is one.
    From { first: u64, last: Option<u64> },
    /// So many at the end.
    Last { bytes: u64 },
}

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nothing: the client has it.
    Known,
    /// All bytes.
    Whole,
    /// The bytes from `start` up to but without `end`, which lie within them and are at least one.
    Some {
        /// The first.
        start: usize,
        /// The one behind the last.
        end: usize,
    },
    /// None of the bytes asked for are there.
    Outside,
}

impl Asked {
    /// What the headers ask. A range of another unit, of several parts or one that cannot be read is passed over, as
    /// RFC 9110 §14.2 has it.
    pub fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            if_none_match: Tags::read(headers),
            if_range: text(header::IF_RANGE).map(|value| {
                let value = value.trim();
                // A weak tag does not name bytes.
                value.starts_with('"').then(|| value.to_owned())
            }),
            range: text(header::RANGE).and_then(Range::read),
        }
    }

    /// The tag of the bytes that the range is of, where the request names one.
    pub fn of(&self) -> Option<&str> {
        self.range.as_ref()?;
        self.if_range.as_ref()?.as_deref()
    }

    /// Whether part of the bytes is asked for, whatever the answer.
    pub fn wants_range(&self) -> bool {
        self.range.is_some()
    }

    /// What to answer from `length` bytes with `tag`.
    pub fn answer(&self, tag: &str, length: usize) -> Part {
        if self
            .if_none_match
            .as_ref()
            .is_some_and(|tags| tags.has(tag))
        {
            return Part::Known;
        }
        let is_other = |of: &Option<String>| of.as_deref() != Some(tag);
        if self.if_range.as_ref().is_some_and(is_other) {
            return Part::Whole;
        }
        self.range.map_or(Part::Whole, |range| range.within(length))
    }
}

impl Tags {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
        values.peek()?;
        let mut tags = Vec::new();
        for value in values {
            // None of our tags has a comma.
            for item in value.to_str().unwrap_or_default().split(',') {
                match item.trim() {
                    "*" => return Some(Self::Any),
                    item => tags.push(item.strip_prefix("W/").unwrap_or(item).to_owned()),
                }
            }
        }
        Some(Self::These(tags))
    }

    /// Weak comparison: bytes that were compressed on the way have the state's tag with a mark at its end.
    fn has(&self, tag: &str) -> bool {
        let bare = |tag: &str| {
            let tag = tag.trim_matches('"');
            tag.split_once(ENCODING_MARK)
                .map_or(tag, |(tag, _)| tag)
                .to_owned()
        };
        match self {
            Self::Any => true,
            Self::These(tags) => tags
                .iter()
                .any(|other| other.starts_with('"') && bare(other) == bare(tag)),
        }
    }
}

/// Stands before the name of an encoding in the tag of encoded bytes.
pub const ENCODING_MARK: char = ';';

impl Range {
    fn read(value: &str) -> Option<Self> {
        let (unit, set) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        match (digits(first), digits(last)) {
            (Some(first), Some(last)) => (first <= last).then_some(Self::From {
                first,
                last: Some(last),
            }),
            (Some(first), None) if last.is_empty() => Some(Self::From { first, last: None }),
            (None, Some(bytes)) if first.is_empty() => Some(Self::Last { bytes }),
            _ => None,
        }
    }

    fn within(self, length: usize) -> Part {
        let length_u64 = length as u64;
        let (start, end) = match self {
            Self::From { first, last } => {
                let end = last.map_or(length_u64, |last| last.saturating_add(1));
                (first, end.min(length_u64))
            }
            Self::Last { bytes } => (length_u64.saturating_sub(bytes), length_u64),
        };
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if start < end => Part::Some { start, end },
            _ => Part::Outside,
        }
    }
}

/// A number of decimal digits alone, without a sign.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = "\"3.a7-9.00ff\"";

    fn asked(pairs: &[(&'static str, &str)]) -> Asked {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        Asked::read(&pairs.collect())
    }

    fn range(range: &str) -> Part {
        asked(&[("range", range)]).answer(TAG, 100)
    }

    #[test]
    fn one_range_is_answered_by_what_is_there_of_it() {
        let part = |start, end| Part::Some { start, end };
        for (text, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 20)),
            ("Bytes = 10-", part(10, 100)),
            ("bytes=90-1000", part(90, 100)),
            ("bytes=-30", part(70, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=0-18446744073709551615", part(0, 100)),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_passed_over() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,5-6",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1-x",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(range(text), Part::Whole, "{text}");
        }
    }

    #[test]
    fn a_range_of_other_bytes_gets_all_of_these() {
        let of = |tag| asked(&[("range", "bytes=5-"), ("if-range", tag)]);
        assert_eq!(of(TAG).answer(TAG, 100), Part::Some { start: 5, end: 100 });
        assert_eq!(of(TAG).of(), Some(TAG));
        for other in [
            "\"3.a7-8.00ff\"",
            "W/\"3.a7-9.00ff\"",
            "Sat, 21 Nov 2026 19:00:00 GMT",
        ] {
            assert_eq!(of(other).answer(TAG, 100), Part::Whole, "{other}");
        }
        // Without a range the condition means nothing.
        assert_eq!(asked(&[("if-range", TAG)]).of(), None);
    }

    #[test]
    fn a_client_that_has_the_bytes_gets_none_however_they_were_encoded() {
        for known in [
            TAG,
            "W/\"3.a7-9.00ff\"",
            "\"x\", \"3.a7-9.00ff\"",
            "*",
            "\"3.a7-9.00ff;zstd\"",
        ] {
            assert_eq!(
                asked(&[("if-none-match", known), ("range", "bytes=1-")]).answer(TAG, 100),
                Part::Known,
                "{known}"
            );
        }
        for other in ["\"3.a7-9\"", "3.a7-9.00ff", "", "\";\""] {
            assert_eq!(
                asked(&[("if-none-match", other)]).answer(TAG, 100),
                Part::Whole,
                "{other}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_part_lies_within_the_bytes(text in ".{0,40}", length in 0_usize..1_000) {
            let Ok(value) = text.parse() else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, value);
            if let Part::Some { start, end } = Asked::read(&headers).answer(TAG, length) {
                prop_assert!(start < end && end <= length);
            }
        }
    }
}
