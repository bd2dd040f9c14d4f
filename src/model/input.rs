//! A feature on its way into a map, checked so that it can be stored and read back without loss.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::id::{Fid, SOURCE_ID_BYTES_MAX, SourceId};
use super::json::{canonical, nests_within, sorted};
use super::schema::{NAME_BYTES_MAX, VALUE_BYTES_MAX};
use crate::geometry::{Geometry, INTEGER_MAX};

/// A feature to import: an id, a geometry, properties, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct InputFeature {
    fid: Fid,
    id: Option<SourceId>,
    geometry: Option<Geometry>,
    properties: Map<String, Value>,
    members: Map<String, Value>,
    layer: Option<Arc<str>>,
    place: Place,
    /// Whether its `fid` is a name; else it was made from the content.
    named: bool,
}

/// Where a record stands in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first record is 1; 0 is the file as a whole.
    pub record: u64,
    /// The first line is 1; 0 where the format has no lines.
    pub line: u64,
    /// Offset of the record's first byte; 0 where the format has no such order.
    pub byte: u64,
}

/// Why a feature cannot be stored as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputFault {
    /// An id longer than any that makes sense.
    #[error("the id has {bytes} bytes; {SOURCE_ID_BYTES_MAX} are allowed")]
    LongId {
        /// Its size.
        bytes: usize,
    },
    /// A property whose name no edit could carry.
    #[error("a property's name has {bytes} bytes; 1 to {NAME_BYTES_MAX} are allowed: {start:?}")]
    PropertyName {
        /// Its size.
        bytes: usize,
        /// How it starts.
        start: String,
    },
    /// A value nested too deeply.
    #[error("the value of {name:?} nests deeper than {NESTING_MAX} levels", NESTING_MAX = super::json::NESTING_MAX)]
    Nesting {
        /// The property or member.
        name: String,
    },
    /// A value whose JSON text is too long.
    #[error("the value of {name:?} has {bytes} bytes; {VALUE_BYTES_MAX} are allowed")]
    LongValue {
        /// The property or member.
        name: String,
        /// Size of its JSON text.
        bytes: usize,
    },
    /// Properties whose JSON text is too long together.
    #[error("the properties have {bytes} bytes together; {VALUE_BYTES_MAX} are allowed")]
    LongProperties {
        /// Size of their JSON text.
        bytes: usize,
    },
    /// An integer that no double holds, so that every JSON reader would round it.
    #[error("{name:?} holds the integer {number}, which is beyond 2^53 and would be rounded")]
    RoundedInteger {
        /// The property or member.
        name: String,
        /// The number.
        number: String,
    },
}

impl InputFault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::LongId { .. } => "use a shorter id and keep the long one as a property",
            Self::PropertyName { .. } => "rename the property",
            Self::Nesting { .. } => "flatten the value, or store it as a string of JSON",
            Self::LongValue { .. } | Self::LongProperties { .. } => {
                "store large content elsewhere and keep a link to it"
            }
            Self::RoundedInteger { .. } => "write the number as a string, in quotes",
        }
    }
}

/// What a feature is made of, unchecked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) id: Option<SourceId>,
    pub(crate) geometry: Option<Geometry>,
    pub(crate) properties: Map<String, Value>,
    pub(crate) members: Map<String, Value>,
}

impl InputFeature {
    /// A feature with an id of its own. `members` are foreign members of a GeoJSON feature (RFC 7946 §6.1).
    ///
    /// # Errors
    /// When something in it cannot be stored without loss.
    pub fn new(
        id: SourceId,
        geometry: Option<Geometry>,
        properties: Map<String, Value>,
        members: Map<String, Value>,
        place: Place,
    ) -> Result<Self, InputFault> {
        let content = Content {
            id: Some(id),
            geometry,
            properties,
            members,
        }
        .checked()?;
        let fid = content.id.as_ref().map(Fid::of_source);
        Ok(Self::assemble(
            fid.unwrap_or_else(|| Fid::of_content(&content.hash(), 0)),
            content,
            place,
        ))
    }

    pub(crate) fn assemble(fid: Fid, content: Content, place: Place) -> Self {
        let Content {
            id,
            geometry,
            properties,
            members,
        } = content;
        Self {
            fid,
            named: id.is_some(),
            id,
            geometry,
            properties,
            members,
            layer: None,
            place,
        }
    }

    /// The same feature in a layer of this name.
    #[must_use]
    pub fn in_layer(self, layer: Option<Arc<str>>) -> Self {
        Self { layer, ..self }
    }

    /// The id in the document.
    #[must_use]
    pub fn fid(&self) -> &Fid {
        &self.fid
    }

    /// The id in the source, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&SourceId> {
        self.id.as_ref()
    }

    /// The geometry.
    #[must_use]
    pub fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// The properties, canonical and sorted by name.
    #[must_use]
    pub fn properties(&self) -> &Map<String, Value> {
        &self.properties
    }

    /// Foreign members of a GeoJSON feature, canonical and sorted by name.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The feature under another id in the document, and without one of its own.
    #[must_use]
    pub fn under(self, fid: Fid) -> Self {
        Self {
            fid,
            id: None,
            named: true,
            ..self
        }
    }

    /// Whether its id in the document is a name that others may give to other content; else it was made from this.
    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// The feature without the foreign member of this name, and that member.
    #[must_use]
    pub fn without_member(mut self, name: &str) -> (Self, Option<Value>) {
        let member = self.members.remove(name);
        (self, member)
    }

    /// Name of the layer that it belongs to, where its file says so.
    #[must_use]
    pub fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    /// Where it came from.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }
}

impl Content {
    /// The same content in canonical form, if it can be stored.
    pub(crate) fn checked(mut self) -> Result<Self, InputFault> {
        if let Some(SourceId::Text(id)) = &self.id
            && id.len() > SOURCE_ID_BYTES_MAX
        {
            return Err(InputFault::LongId { bytes: id.len() });
        }
        for (name, value) in self.properties.iter().chain(&self.members) {
            check(name, value)?;
        }
        if let Some(Geometry::Other(value)) = self.geometry {
            self.geometry = Some(Geometry::Other(canonical(value)));
        }
        self.properties = sorted(self.properties);
        self.members = sorted(self.members);
        for members in [&self.properties, &self.members] {
            if members.iter().map(most_member_bytes).sum::<usize>() > VALUE_BYTES_MAX {
                match serde_json::to_string(members).unwrap_or_default().len() {
                    bytes if bytes > VALUE_BYTES_MAX => {
                        return Err(InputFault::LongProperties { bytes });
                    }
                    _ => {}
                }
            }
        }
        Ok(self)
    }

    /// A hash of geometry, properties and members in canonical form. It must never change: ids are made from it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let geometry = self
            .geometry
            .as_ref()
            .map_or(Value::Null, |geometry| canonical(geometry.to_value()));
        let mut hasher = blake3::Hasher::new();
        hash(&mut hasher, &geometry);
        hash_members(&mut hasher, &self.properties);
        hash_members(&mut hasher, &self.members);
        *hasher.finalize().as_bytes()
    }
}

/// Hashes a value by its structure: a letter for its kind, lengths and numbers as 8 bytes, big-endian.
fn hash(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Null => drop(hasher.update(b"n")),
        Value::Bool(value) => drop(hasher.update(if *value { b"t" } else { b"f" })),
        Value::Number(number) => {
            let bits = (number.as_f64().unwrap_or_default() + 0.0).to_bits();
            hasher.update(b"d").update(&bits.to_be_bytes());
        }
        Value::String(text) => hash_text(hasher, text),
        Value::Array(items) => {
            hasher
                .update(b"a")
                .update(&(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| hash(hasher, item));
        }
        Value::Object(members) => hash_members(hasher, members),
    }
}

fn hash_members(hasher: &mut blake3::Hasher, members: &Map<String, Value>) {
    hasher
        .update(b"o")
        .update(&(members.len() as u64).to_be_bytes());
    for (name, value) in members {
        hash_text(hasher, name);
        hash(hasher, value);
    }
}

fn hash_text(hasher: &mut blake3::Hasher, text: &str) {
    hasher
        .update(b"s")
        .update(&(text.len() as u64).to_be_bytes())
        .update(text.as_bytes());
}

fn check(name: &str, value: &Value) -> Result<(), InputFault> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        let start = name.chars().take(40).collect();
        return Err(InputFault::PropertyName {
            bytes: name.len(),
            start,
        });
    }
    // The object that holds the value is a level too.
    if !nests_within(value, super::json::NESTING_MAX - 1) {
        return Err(InputFault::Nesting {
            name: name.to_owned(),
        });
    }
    if let Some(number) = rounded(value) {
        return Err(InputFault::RoundedInteger {
            name: name.to_owned(),
            number,
        });
    }
    if most_bytes(value) <= VALUE_BYTES_MAX {
        return Ok(());
    }
    match value.to_string().len() {
        bytes if bytes > VALUE_BYTES_MAX => Err(InputFault::LongValue {
            name: name.to_owned(),
            bytes,
        }),
        _ => Ok(()),
    }
}

/// An integer in the value that a double cannot hold. Call it on values of bounded nesting.
fn rounded(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            let integer = number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "an integer's double is whole and far within i128"
            )]
            let double = number.as_f64()? as i128;
            (integer.abs() > i128::from(INTEGER_MAX) && integer != double)
                .then(|| number.to_string())
        }
        Value::Array(items) => items.iter().find_map(rounded),
        Value::Object(members) => members.values().find_map(rounded),
        _ => None,
    }
}

/// The longest way to write a byte of a string in JSON, `\u0000`.
const CHARACTER_BYTES: usize = 6;

/// Bytes that the JSON text of a value has at most; spares writing it where that is little.
fn most_bytes(value: &Value) -> usize {
    /// The longest number is some 25 digits, sign and exponent.
    const NUMBER_BYTES: usize = 32;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => NUMBER_BYTES,
        Value::String(text) => text.len().saturating_mul(CHARACTER_BYTES) + 2,
        Value::Array(items) => items.iter().map(|item| most_bytes(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => members.iter().map(most_member_bytes).sum::<usize>() + 2,
    }
}

fn most_member_bytes((name, value): (&String, &Value)) -> usize {
    name.len().saturating_mul(CHARACTER_BYTES) + most_bytes(value) + 4
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn make(properties: Value) -> Result<InputFeature, InputFault> {
        let Value::Object(properties) = properties else {
            panic!("an object")
        };
        InputFeature::new(
            SourceId::Number(1.0),
            None,
            properties,
            Map::new(),
            Place::default(),
        )
    }

    #[test]
    fn what_cannot_be_stored_without_loss_is_refused() {
        assert!(matches!(
            make(json!({"": 1})),
            Err(InputFault::PropertyName { .. })
        ));
        assert!(matches!(
            make(json!({"é".repeat(129): 1})),
            Err(InputFault::PropertyName { bytes: 258, .. })
        ));
        assert!(matches!(
            make(json!({"a": "x".repeat(VALUE_BYTES_MAX)})),
            Err(InputFault::LongValue { .. })
        ));
        let half = "x".repeat(VALUE_BYTES_MAX / 2);
        assert!(matches!(
            make(json!({"a": half, "b": half})),
            Err(InputFault::LongProperties { .. })
        ));
        assert!(matches!(
            make(json!({"a": [9_007_199_254_740_993_u64]})),
            Err(InputFault::RoundedInteger { .. })
        ));
        assert!(make(json!({"a": 9_007_199_254_740_992_u64, "b": 1_u64 << 60})).is_ok());
        let nested = |levels: usize| (0..levels).fold(json!(1), |value, _| json!([value]));
        assert!(make(json!({"a": nested(15)})).is_ok());
        assert!(matches!(
            make(json!({"a": nested(16)})),
            Err(InputFault::Nesting { .. })
        ));
    }

    #[test]
    fn equal_content_has_equal_ids_and_its_occurrence_tells_it_apart() {
        let fid = |content: &Content, occurrence| Fid::of_content(&content.hash(), occurrence);
        let content = |text: &str| Content {
            properties: serde_json::from_str(text).unwrap(),
            ..Content::default()
        };
        let (one, same) = (
            content(r#"{"a":1.0,"b":2}"#).checked().unwrap(),
            content(r#"{"b":2,"a":1}"#).checked().unwrap(),
        );
        assert_eq!(fid(&one, 0), fid(&same, 0));
        assert_ne!(fid(&one, 0), fid(&one, 1));
        assert_eq!(
            fid(&one, 0).as_str(),
            "x59NycL6F1cG0zfvv",
            "ids from content must never change"
        );
        assert_ne!(
            fid(&one, 0),
            fid(&content(r#"{"a":1}"#).checked().unwrap(), 0)
        );
    }
}
