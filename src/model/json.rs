//! Values in properties: canonical JSON, bounds on nesting, and the way between JSON and Yjs values.
//!
//! Two values are equal exactly when their canonical forms are: members sorted by bytes, numbers as doubles.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use yrs::Any;
use yrs::any::Number;

use crate::geometry::{json_number, whole};

/// How many levels may lie below an entry or below an object of properties (`map-document` §10).
pub const NESTING_MAX: usize = 16;

/// A member of a stored object that JavaScript cannot read, so that no reader does.
const UNREADABLE: &str = "__proto__";

/// The value with sorted members and every number as the double that readers see.
#[must_use]
pub fn canonical(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(json_number(number.as_f64().unwrap_or_default())),
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Object(members) => Value::Object(sorted(members)),
        other => other,
    }
}

/// The members sorted by name, each canonical.
#[must_use]
pub fn sorted(members: Map<String, Value>) -> Map<String, Value> {
    let mut members: Vec<(String, Value)> = members
        .into_iter()
        .map(|(name, value)| (name, canonical(value)))
        .collect();
    members.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    members.into_iter().collect()
}

/// Whether nothing lies more than `levels` levels below the value. Looks no deeper than that.
#[must_use]
pub fn nests_within(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| {
        levels
            .checked_sub(1)
            .is_some_and(|levels| nests_within(value, levels))
    };
    match value {
        Value::Array(items) => items.iter().all(below),
        Value::Object(members) => members.values().all(below),
        _ => true,
    }
}

/// Whether nothing lies more than `levels` levels below the value and no bytes are in it.
#[must_use]
pub(super) fn any_nests_within(any: &Any, levels: usize) -> bool {
    let below = |any: &Any| {
        levels
            .checked_sub(1)
            .is_some_and(|levels| any_nests_within(any, levels))
    };
    match any {
        Any::Array(items) => items.iter().all(below),
        Any::Map(members) => members
            .iter()
            .filter(|(name, _)| *name != UNREADABLE)
            .all(|(_, value)| below(value)),
        Any::Buffer(_) => false,
        _ => true,
    }
}

/// JSON text as a canonical value; `None` if it is no JSON, a number overflows a double, a string holds a lone
/// surrogate, or it nests too deeply.
#[must_use]
pub(super) fn parse(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    nests_within(&value, NESTING_MAX).then(|| canonical(value))
}

/// A stored value as canonical JSON. Bytes and what is not finite become `null`.
///
/// Call it on values that passed [`any_nests_within`]: it recurses as deep as the value nests.
#[must_use]
pub(super) fn from_any(any: &Any) -> Value {
    match any {
        Any::Null | Any::Undefined | Any::Buffer(_) => Value::Null,
        Any::Bool(value) => Value::Bool(*value),
        Any::Number(_) => {
            number(any).map_or(Value::Null, |number| Value::Number(json_number(number)))
        }
        Any::String(text) => Value::String(text.to_string()),
        Any::Array(items) => Value::Array(items.iter().map(from_any).collect()),
        Any::Map(members) => Value::Object(sorted(
            members
                .iter()
                .filter(|(name, _)| *name != UNREADABLE)
                .map(|(name, value)| (name.clone(), from_any(value)))
                .collect(),
        )),
    }
}

/// A JSON value as it is stored.
#[must_use]
pub(super) fn to_any(value: &Value) -> Any {
    match value {
        Value::Null => Any::Null,
        Value::Bool(value) => Any::Bool(*value),
        Value::Number(number) => number_any(number.as_f64().unwrap_or_default()),
        Value::String(text) => Any::from(text.as_str()),
        Value::Array(items) => Any::Array(items.iter().map(to_any).collect()),
        Value::Object(members) => {
            let members: HashMap<String, Any> = members
                .iter()
                .map(|(name, value)| (name.clone(), to_any(value)))
                .collect();
            Any::Map(Arc::new(members))
        }
    }
}

/// A number as `map-document` §2 demands: whole ones up to 2^31 − 1 as integers, −0 as 0.
#[must_use]
pub(super) fn number_any(value: f64) -> Any {
    match whole(value) {
        Some(integer) if integer.unsigned_abs() <= 0x7FFF_FFFF => Any::Number(Number::Int(integer)),
        _ => Any::Number(Number::Float(value)),
    }
}

/// The finite double that a stored value is.
#[must_use]
pub(super) fn number(any: &Any) -> Option<f64> {
    match any {
        Any::Number(Number::Int(integer)) => Some(*integer as f64),
        Any::Number(Number::Float(float)) => Some(*float).filter(|float| float.is_finite()),
        _ => None,
    }
}

/// The text that a stored value is.
#[must_use]
pub(super) fn text(any: &Any) -> Option<&Arc<str>> {
    match any {
        Any::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn canonical_text_is_sorted_and_numbers_are_doubles() {
        let value =
            parse(r#"{"b":5.0,"a":{"z":-0,"é":0.10},"a0":[1e2,9007199254740993]}"#).unwrap();
        assert_eq!(
            value.to_string(),
            r#"{"a":{"z":0,"é":0.1},"a0":[100,9007199254740992],"b":5}"#
        );
    }

    #[test]
    fn text_that_readers_would_disagree_on_is_no_value() {
        for text in [
            "1e400",
            r#""\ud800""#,
            "{",
            "{}x",
            "NaN",
            &("[".repeat(17) + "1" + &"]".repeat(17)),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse(&("[".repeat(16) + "1" + &"]".repeat(16))).is_some());
        assert!(parse(&"[".repeat(100_000)).is_none());
        assert_eq!(parse(r#"{"a":1,"a":2}"#).unwrap().to_string(), r#"{"a":2}"#);
    }

    #[test]
    fn values_survive_the_way_through_the_document() {
        let value = parse(r#"{"a":[null,true,1,2147483648,-0.5,"x",{"b":[]}]}"#).unwrap();
        assert_eq!(from_any(&to_any(&value)), value);
        assert_eq!(
            number_any(2_147_483_647.0),
            Any::Number(Number::Int(2_147_483_647))
        );
        assert!(matches!(
            number_any(2_147_483_648.0),
            Any::Number(Number::Float(_))
        ));
        assert_eq!(number_any(-0.0), Any::Number(Number::Int(0)));
    }
}
