//! The record that a feature starts from, written once (`map-document` §4).

use std::sync::Arc;

use serde_json::{Map, Value};
use yrs::Any;

use super::id::SourceId;
use super::json::{self, number, number_any, text};
use super::schema::{Raw, integer, time};

/// The generation of a geometry unless a record says otherwise.
pub(super) const GENERATION: &str = "0";

/// `[t, sid, kind, coords, props, lid]`, then perhaps `gen` and the original id.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) t: u64,
    pub(super) sid: Arc<str>,
    pub(super) kind: i64,
    pub(super) coords: Any,
    pub(super) props: Arc<str>,
    pub(super) lid: Arc<str>,
    pub(super) generation: Arc<str>,
    pub(super) id: Option<SourceId>,
}

impl Record {
    /// The record, if it is well-formed (`map-document` §10).
    pub(super) fn read(raw: &Raw) -> Option<Self> {
        let items = raw.array()?;
        let [t, sid, kind, coords, props, lid, rest @ ..] = &items[..] else {
            return None;
        };
        let id = match rest.get(1) {
            Some(Any::String(id)) => Some(SourceId::Text(id.to_string())),
            Some(other) => number(other).map(SourceId::Number),
            None => None,
        };
        Some(Self {
            t: time(t)?,
            sid: text(sid)?.clone(),
            kind: integer(kind)?,
            coords: coords.clone(),
            props: text(props)?.clone(),
            lid: text(lid).cloned().unwrap_or_default(),
            generation: rest
                .first()
                .and_then(text)
                .cloned()
                .unwrap_or_else(|| GENERATION.into()),
            id,
        })
    }

    /// The value to store.
    pub(super) fn to_any(&self) -> Any {
        let mut items = vec![
            number_any(self.t as f64),
            Any::String(self.sid.clone()),
            number_any(self.kind as f64),
            self.coords.clone(),
            Any::String(self.props.clone()),
            Any::String(self.lid.clone()),
        ];
        if &*self.generation != GENERATION || self.id.is_some() {
            items.push(Any::String(self.generation.clone()));
        }
        match &self.id {
            Some(SourceId::Text(text)) => items.push(Any::from(text.as_str())),
            Some(SourceId::Number(number)) => items.push(number_any(*number)),
            None => {}
        }
        Any::from(items)
    }

    /// The properties that it was made with; `None` if their text is malformed, which counts as none at all.
    pub(super) fn properties(&self) -> Option<Map<String, Value>> {
        match json::parse(&self.props) {
            Some(Value::Object(members)) => Some(members),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::json::to_any;
    use super::*;

    fn read(value: &Value) -> Option<Record> {
        match to_any(value) {
            Any::Array(items) => Record::read(&Raw::Array(items)),
            _ => Record::read(&Raw::Other),
        }
    }

    #[test]
    fn a_record_without_its_six_items_or_their_types_is_malformed() {
        assert!(read(&json!([1, "s", 0, null, "{}", ""])).is_some());
        for bad in [
            json!(null),
            json!([]),
            json!([1, "s", 0, null, "{}"]),
            json!(["1", "s", 0, null, "{}", ""]),
            json!([1, 2, 0, null, "{}", ""]),
            json!([1, "s", 0.5, null, "{}", ""]),
            json!([1, "s", 0, null, {}, ""]),
            json!([-1, "s", 0, null, "{}", ""]),
            json!([1.5, "s", 0, null, "{}", ""]),
        ] {
            assert!(read(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_record_is_stored_as_it_was_read() {
        for value in [
            json!([1, "s", 0, null, "{}", "l"]),
            json!([1, "s", 0, null, "{}", "l", "g1"]),
            json!([1, "s", 0, null, "{}", "l", "0", 5]),
            json!([1, "s", 0, null, "{}", "l", "g1", "a b"]),
        ] {
            assert_eq!(read(&value).unwrap().to_any(), to_any(&value));
        }
    }

    #[test]
    fn items_beyond_the_sixth_are_taken_only_where_they_have_their_type() {
        let record = read(&json!([1, "s", 0, null, "{}", 7, 8, null])).unwrap();
        assert_eq!(
            (&*record.lid, &*record.generation, record.id),
            ("", "0", None)
        );
    }
}
