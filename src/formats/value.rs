//! Values between texts and JSON, for formats whose cells are texts.
//!
//! A text is taken as a number, a boolean, an array or an object only where that would be written exactly so again.
//! Thus nothing is ever lost: `007`, `1.0` and numbers with more digits than a double holds stay texts.

use serde_json::Value;

use crate::geometry::json_number;
use crate::model::{NESTING_MAX, canonical, nests_within};

/// The value that a text stands for.
pub(super) fn typed(text: &str) -> Value {
    scalar(text)
        .or_else(|| structure(text))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The number or boolean that a text is.
pub(super) fn scalar(text: &str) -> Option<Value> {
    match text {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || first == b'-') {
        return None;
    }
    let number: f64 = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())?;
    let number = json_number(number);
    (number.to_string() == text).then_some(Value::Number(number))
}

/// The array or object that a text is.
pub(super) fn structure(text: &str) -> Option<Value> {
    if !text.starts_with(['[', '{']) {
        return None;
    }
    let value = canonical(serde_json::from_str(text).ok()?);
    let written = value.to_string();
    // The object of the properties is a level too.
    (nests_within(&value, NESTING_MAX - 1) && written == text).then_some(value)
}

/// The text that a value is written as; nothing for null.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_typed_only_where_it_would_be_written_the_same() {
        for (text, value) in [
            ("5", json!(5)),
            ("-5.25", json!(-5.25)),
            ("true", json!(true)),
            ("[1,2]", json!([1, 2])),
            ("{\"a\":null}", json!({"a": null})),
        ] {
            assert_eq!(typed(text), canonical(value));
        }
        for text in [
            "",
            "5.0",
            "007",
            "+5",
            "1e3",
            "NaN",
            "inf",
            "-",
            "9007199254740993",
            "TRUE",
            "[1, 2]",
            "[",
            "{\"b\":1,\"a\":1}",
            " 5",
            "-0",
        ] {
            assert_eq!(typed(text), Value::String(text.to_owned()));
        }
        let deep = format!("{}{}", "[".repeat(50), "]".repeat(50));
        assert_eq!(typed(&deep), Value::String(deep.clone()));
    }
}
