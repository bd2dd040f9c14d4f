//! Names of features, layers and sessions, and how foreign ids become ours.
//!
//! A hash is the first 16 bytes of BLAKE3 as one big-endian number; its lowest base-62 digits, highest first,
//! over the digits `0-9A-Za-z`.

use std::fmt;

use serde_json::Value;

use super::key::DIGITS;
use crate::geometry::json_number;

/// Bytes of a feature id in foreign data, at most: far more than any real one, far less than a record.
pub const SOURCE_ID_BYTES_MAX: usize = 4096;
/// Base-62 digits in a derived id: 95 bits, so that two of a billion ids meet once in 10^11 maps.
const HASH_DIGITS: usize = 16;

/// A feature's id in the document: 1–64 of `[0-9A-Za-z_-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fid(String);

/// A layer's id in the document: 1–64 of `[0-9A-Za-z_-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lid(String);

/// A writer's session id: 5–16 of `[0-9A-Za-z]`, never shared by processes that can edit without seeing each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(String);

/// A feature's id as foreign data gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceId {
    /// A string, of any characters.
    Text(String),
    /// A finite number.
    Number(f64),
}

impl Fid {
    /// The id that this text is, if it has the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.to_owned()))
    }

    /// The id under which a feature with a foreign id is stored: the id itself where it has the form, a number's
    /// decimal text, else `x` and a hash.
    #[must_use]
    pub fn of_source(id: &SourceId) -> Self {
        let text = id.to_string();
        Self::parse(&text)
            .unwrap_or_else(|| Self(format!("x{}", hash(text.as_bytes(), HASH_DIGITS))))
    }

    /// The id of a feature from a format whose ids count per layer: `x` and the hash of layer name, a zero byte, id.
    #[must_use]
    pub fn of_row(layer: &str, id: i64) -> Self {
        let text = format!("{layer}\0{id}");
        Self(format!("x{}", hash(text.as_bytes(), HASH_DIGITS)))
    }

    /// The id of a feature without one: a hash of its content and of how many equal ones came before it.
    #[must_use]
    pub(crate) fn of_content(content: &[u8; 32], occurrence: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(content).update(&occurrence.to_be_bytes());
        Self(format!("x{}", digits(&hasher.finalize(), HASH_DIGITS)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Lid {
    /// The id of the layer that imports under this name make: the name where it has the form, else `l` and a hash.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        if is_id(name) {
            Self(name.to_owned())
        } else {
            Self(format!("l{}", hash(name.as_bytes(), HASH_DIGITS)))
        }
    }

    /// The id that this text is, if it has the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sid {
    /// The session id that this text is, if it has the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let alnum = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (alnum && (5..=16).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// A session id of ten digits from 64 random bits.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(base62(u128::from(bits), 10))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SourceId {
    /// The id as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone()),
            Self::Number(number) => Value::Number(json_number(*number)),
        }
    }
}

impl fmt::Display for SourceId {
    /// The text itself; a number in plain decimals without exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            // −0 and 0 are one id.
            Self::Number(number) => write!(f, "{}", number + 0.0),
        }
    }
}

impl fmt::Display for Fid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Lid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The last `count` base-62 digits of BLAKE3 over `bytes`.
pub(super) fn hash(bytes: &[u8], count: usize) -> String {
    digits(&blake3::hash(bytes), count)
}

fn digits(hash: &blake3::Hash, count: usize) -> String {
    let number = hash
        .as_bytes()
        .iter()
        .take(16)
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    base62(number, count)
}

fn base62(mut number: u128, count: usize) -> String {
    let mut digits = Vec::with_capacity(count);
    for _ in 0..count {
        let digit = usize::try_from(number % 62)
            .ok()
            .and_then(|digit| DIGITS.get(digit));
        digits.push(char::from(*digit.unwrap_or(&b'0')));
        number /= 62;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_id_of_the_right_form_is_kept_and_any_other_is_hashed() {
        let fid = |text: &str| Fid::of_source(&SourceId::Text(text.into())).to_string();
        assert_eq!(fid("p4RkT0aa0001"), "p4RkT0aa0001");
        assert_eq!(fid(&"a".repeat(64)), "a".repeat(64));
        for other in ["", "a b", "ä", "way/17", &"a".repeat(65)] {
            let fid = fid(other);
            assert!(
                fid.len() == 17 && fid.starts_with('x') && is_id(&fid),
                "{other}: {fid}"
            );
        }
        assert_ne!(fid("a b"), fid("a c"));
    }

    #[test]
    fn a_number_is_stored_under_its_decimal_text() {
        let fid = |number| Fid::of_source(&SourceId::Number(number)).to_string();
        assert_eq!(fid(5.0), "5");
        assert_eq!(fid(-17.0), "-17");
        assert_eq!(fid(-0.0), "0");
        assert_eq!(fid(1e20), "100000000000000000000");
        assert!(fid(1e300).starts_with('x'));
        assert_eq!(
            fid(1.5),
            Fid::of_source(&SourceId::Text("1.5".into())).to_string()
        );
    }

    #[test]
    fn rows_of_different_layers_have_different_ids() {
        assert_ne!(Fid::of_row("roads", 7), Fid::of_row("paths", 7));
        assert_ne!(Fid::of_row("roads", 7), Fid::of_row("roads", 8));
        assert!(is_id(Fid::of_row("Wege & Straßen", -1).as_str()));
    }

    #[test]
    fn hashes_are_the_documented_digits() {
        // BLAKE3("") starts with af1349b9f5f9a1a6a0404dea36dcc949.
        let number = 0xaf13_49b9_f5f9_a1a6_a040_4dea_36dc_c949_u128;
        let mut expected = number % 62_u128.pow(16);
        let decoded = hash(b"", 16).bytes().fold(0_u128, |n, digit| {
            n * 62 + DIGITS.iter().position(|d| *d == digit).unwrap() as u128
        });
        assert_eq!(decoded, expected);
        expected %= 62;
        assert_eq!(
            usize::try_from(expected).unwrap(),
            DIGITS
                .iter()
                .position(|d| *d == hash(b"", 1).as_bytes()[0])
                .unwrap()
        );
    }

    #[test]
    fn session_ids_have_their_form() {
        assert!(
            Sid::parse("kQ3ta").is_some()
                && Sid::parse("kQ3t").is_none()
                && Sid::parse("kQ3t_").is_none()
        );
        assert!(Sid::parse(Sid::from_random(u64::MAX).as_str()).is_some());
    }
}
