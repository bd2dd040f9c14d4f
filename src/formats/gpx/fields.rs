//! Which properties GPX has elements for, in the order that its schema wants.

use serde_json::Value;

use crate::formats::times::parse_ms;
use crate::formats::{value, xml};

/// What an element can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Any text.
    Text,
    /// A time.
    Time,
    /// A number.
    Number,
    /// A whole number from 0 on.
    Count,
    /// One of the words for how a position was found.
    Fix,
}

/// An element of a waypoint before its links.
pub(super) const WAYPOINT_START: [(&str, Holds); 7] = [
    ("time", Holds::Time),
    ("magvar", Holds::Number),
    ("geoidheight", Holds::Number),
    ("name", Holds::Text),
    ("cmt", Holds::Text),
    ("desc", Holds::Text),
    ("src", Holds::Text),
];
/// An element of a waypoint after its links.
pub(super) const WAYPOINT_END: [(&str, Holds); 9] = [
    ("sym", Holds::Text),
    ("type", Holds::Text),
    ("fix", Holds::Fix),
    ("sat", Holds::Count),
    ("hdop", Holds::Number),
    ("vdop", Holds::Number),
    ("pdop", Holds::Number),
    ("ageofdgpsdata", Holds::Number),
    ("dgpsid", Holds::Count),
];
/// An element of a route or track before its links.
pub(super) const LINE_START: [(&str, Holds); 4] = [
    ("name", Holds::Text),
    ("cmt", Holds::Text),
    ("desc", Holds::Text),
    ("src", Holds::Text),
];
/// An element of a route or track after its links.
pub(super) const LINE_END: [(&str, Holds); 2] = [("number", Holds::Count), ("type", Holds::Text)];

impl Holds {
    /// The value that the text of an element stands for.
    pub(super) fn value(self, text: String) -> Value {
        match self {
            Self::Number | Self::Count => value::scalar(text.trim()).unwrap_or(Value::String(text)),
            _ => Value::String(text),
        }
    }

    /// Whether the element holds this value and gives it back.
    pub(super) fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::String(text)) => xml::holds(text),
            (Self::Time, Value::String(text)) => text.contains('T') && parse_ms(text).is_some(),
            (Self::Fix, Value::String(text)) => {
                ["none", "2d", "3d", "dgps", "pps"].contains(&text.as_str())
            }
            (Self::Number, Value::Number(_)) => true,
            (Self::Count, Value::Number(number)) => number.as_u64().is_some(),
            _ => false,
        }
    }
}

/// What the element of this name holds, in whichever list it is.
pub(super) fn known(name: &str) -> Option<Holds> {
    let all = WAYPOINT_START.iter().chain(&WAYPOINT_END).chain(&LINE_END);
    all.chain(&LINE_START)
        .find(|(own, _)| *own == name)
        .map(|(_, holds)| *holds)
}
