//! Entity tags of features and the conditions that requests set on them (RFC 9110 §8.8.3, §13; RFC 7240).
//!
//! A feature's tag names its representation and a place of the log where it was so: the hash decides whether two
//! tags are the same, the place finds the version again that a later edit is based on.

use mapweave_proto::Seq;
use warp::http::HeaderMap;

/// Digits of the hash in a tag: 96 bits.
const HASH_DIGITS: usize = 24;

/// The version of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// A place of the log where the feature was as the hash says.
    pub seq: Seq,
    hash: String,
}

impl Tag {
    /// The tag of a representation that was current at `seq`.
    #[must_use]
    pub fn new(seq: Seq, representation: &str) -> Self {
        let hash = blake3::hash(representation.as_bytes()).to_hex();
        Self {
            seq,
            hash: hash.chars().take(HASH_DIGITS).collect(),
        }
    }

    /// Whether the two name the same representation.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    /// The tag as a header has it.
    #[must_use]
    pub fn to_header(&self) -> String {
        format!("\"{:x}.{}\"", self.seq.0, self.hash)
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix('"')?.strip_suffix('"')?;
        let (seq, hash) = text.split_once('.')?;
        let digits = hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then_some(())?;
        Some(Self {
            seq: Seq(u64::from_str_radix(seq, 16).ok()?),
            hash: hash.to_owned(),
        })
    }
}

/// What a request asks of the present version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`: the edit is based on one of these.
    pub if_match: Option<Match>,
    /// `If-None-Match`: the client has one of these, or wants to create.
    pub if_none_match: Option<Match>,
    /// `Prefer: handling=strict`: an edit of another version fails instead of being merged.
    pub strict: bool,
}

/// The versions that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `*`: any that there is.
    Any,
    /// These; tags that are none of ours are not among them.
    Tags(Vec<Tag>),
}

impl Match {
    /// Whether `present` is among them.
    #[must_use]
    pub fn has(&self, present: &Tag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.is_same(present)),
        }
    }

    fn read(headers: &HeaderMap, name: &str) -> Option<Self> {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        let mut tags = Vec::new();
        for value in values {
            for item in value.to_str().unwrap_or_default().split(',') {
                match item.trim() {
                    "*" => return Some(Self::Any),
                    item => tags.extend(Tag::parse(item)),
                }
            }
        }
        Some(Self::Tags(tags))
    }
}

impl Conditions {
    /// What the headers say.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let preferences = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let strict = preferences
            .flat_map(|value| value.split([',', ';']))
            .any(|item| {
                let item: String = item
                    .chars()
                    .filter(|c| !c.is_whitespace() && *c != '"')
                    .collect();
                item.eq_ignore_ascii_case("handling=strict")
            });
        Self {
            if_match: Match::read(headers, "if-match"),
            if_none_match: Match::read(headers, "if-none-match"),
            strict,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_tag_is_read_back_and_its_place_does_not_make_it_another() {
        let tag = Tag::new(Seq(300), "{}");
        assert_eq!(Tag::parse(&tag.to_header()), Some(tag.clone()));
        assert!(tag.is_same(&Tag::new(Seq(9), "{}")));
        assert!(!tag.is_same(&Tag::new(Seq(300), "{ }")));
        for foreign in [
            "",
            "*",
            "W/\"1.a\"",
            "\"abc\"",
            "\"zz.000000000000000000000000\"",
        ] {
            assert_eq!(Tag::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn conditions_are_read_from_all_headers_of_their_name() {
        let (a, b) = (Tag::new(Seq(1), "a"), Tag::new(Seq(2), "b"));
        let both = format!("\"foreign\", {}", a.to_header());
        let read = Conditions::read(&headers(&[
            ("if-match", &both),
            ("if-match", &b.to_header()),
        ]));
        assert_eq!(read.if_match, Some(Match::Tags(vec![a, b])));
        assert_eq!(read.if_none_match, None);
        let any = Conditions::read(&headers(&[("if-none-match", "*")]));
        assert_eq!(any.if_none_match, Some(Match::Any));
    }

    #[test]
    fn strict_handling_is_one_preference_among_others() {
        for (value, strict) in [
            ("handling=strict", true),
            ("return=minimal, Handling = \"strict\"", true),
            ("handling=lenient", false),
        ] {
            assert_eq!(
                Conditions::read(&headers(&[("prefer", value)])).strict,
                strict,
                "{value}"
            );
        }
    }
}
