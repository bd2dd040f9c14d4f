//! The `coordinates` member of a GeoJSON geometry as it was written, before anybody knows the geometry's type.
//!
//! Positions are stored without allocation, so a ring of a million vertices costs 40 MB while it is read and not
//! several hundred as a tree of JSON values would.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json_number;

/// Nested arrays of positions.
#[derive(Clone, Debug, PartialEq)]
pub enum Coords {
    /// An array that starts with a number: its first three numbers and how many there are.
    Position {
        /// Longitude, latitude, height as far as present, else 0.
        values: [f64; 3],
        /// How many numbers the array has.
        len: usize,
    },
    /// An array that starts with an array, or an empty one.
    List(Vec<Coords>),
    /// Something that has no place here.
    Odd(Found),
}

/// What was found instead of what belongs there; reads as an English noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number
    Number,
    /// A string
    Text,
    /// An array
    Array,
    /// An object
    Object,
    /// A position with something in it that is no number
    MixedPosition,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::MixedPosition => "a position with something that is not a number",
        })
    }
}

impl Found {
    /// What a JSON value is.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

impl Coords {
    /// What stands there, as a noun.
    #[must_use]
    pub fn found(&self) -> Found {
        match self {
            Self::Position { .. } | Self::List(_) => Found::Array,
            Self::Odd(found) => *found,
        }
    }

    /// The coordinates as JSON. Numbers beyond the third of a position, and oddities, are not kept.
    ///
    /// Call it on coordinates that are known to nest as geometries do: it recurses as deep as they nest.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Position { values, len } => Value::Array(
                values
                    .iter()
                    .take(*len)
                    .map(|value| Value::Number(json_number(*value)))
                    .collect(),
            ),
            Self::List(list) => Value::Array(list.iter().map(Self::to_value).collect()),
            Self::Odd(_) => Value::Null,
        }
    }

    /// An array of `elements`; shared by every source of coordinates, so that all are read alike.
    pub fn array(elements: impl Iterator<Item = Element>) -> Self {
        let mut building = Building::default();
        elements.for_each(|element| building.push(element));
        building.finish()
    }
}

/// One element of an array of coordinates.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// A finite number.
    Number(f64),
    /// Anything else.
    Other(Coords),
}

impl From<Element> for Coords {
    fn from(element: Element) -> Self {
        match element {
            Element::Number(_) => Self::Odd(Found::Number),
            Element::Other(coords) => coords,
        }
    }
}

#[derive(Default)]
struct Building {
    numbers: [f64; 3],
    len: usize,
    mixed: bool,
    list: Vec<Coords>,
}

impl Building {
    fn push(&mut self, element: Element) {
        match element {
            Element::Number(number) if self.list.is_empty() => {
                if let Some(slot) = self.numbers.get_mut(self.len) {
                    // −0 and 0 are the same place and must not be two texts.
                    *slot = number + 0.0;
                }
                self.len = self.len.saturating_add(1);
            }
            _ if self.len > 0 => self.mixed = true,
            element => self.list.push(element.into()),
        }
    }

    fn finish(self) -> Coords {
        if self.mixed {
            Coords::Odd(Found::MixedPosition)
        } else if self.len > 0 {
            Coords::Position {
                values: self.numbers,
                len: self.len,
            }
        } else {
            Coords::List(self.list)
        }
    }
}

impl<'de> Deserialize<'de> for Coords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Element::deserialize(deserializer).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or an array")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Element, E> {
        Ok(Element::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Element, E> {
        Ok(Element::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Element, E> {
        Ok(Element::Number(number as f64))
    }

    fn visit_unit<E>(self) -> Result<Element, E> {
        Ok(Element::Other(Coords::Odd(Found::Null)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Element, E> {
        Ok(Element::Other(Coords::Odd(Found::Bool)))
    }

    fn visit_str<E>(self, _: &str) -> Result<Element, E> {
        Ok(Element::Other(Coords::Odd(Found::Text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Element::Other(Coords::Odd(Found::Object)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Element, A::Error> {
        let mut building = Building::default();
        while let Some(element) = seq.next_element()? {
            building.push(element);
        }
        Ok(Element::Other(building.finish()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, expected: &Coords) {
        assert_eq!(
            &serde_json::from_str::<Coords>(text).unwrap(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn coordinates_are_positions_lists_or_named_oddities() {
        check(
            "[8.5,47]",
            &Coords::Position {
                values: [8.5, 47.0, 0.0],
                len: 2,
            },
        );
        check(
            "[1,2,3,4,5]",
            &Coords::Position {
                values: [1.0, 2.0, 3.0],
                len: 5,
            },
        );
        check("[]", &Coords::List(vec![]));
        check(
            "[[1,2],7]",
            &Coords::List(vec![
                Coords::Position {
                    values: [1.0, 2.0, 0.0],
                    len: 2,
                },
                Coords::Odd(Found::Number),
            ]),
        );
        check("[1,\"2\"]", &Coords::Odd(Found::MixedPosition));
        check("[1,[2]]", &Coords::Odd(Found::MixedPosition));
        check("[null]", &Coords::List(vec![Coords::Odd(Found::Null)]));
        check("{\"a\":[1]}", &Coords::Odd(Found::Object));
        check("3", &Coords::Odd(Found::Number));
    }

    #[test]
    fn minus_zero_is_zero() {
        let Coords::Position { values, .. } = serde_json::from_str("[-0.0,-0]").unwrap() else {
            panic!("position")
        };
        assert!(values.iter().all(|value| value.is_sign_positive()));
    }
}
