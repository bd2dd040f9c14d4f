//! What a client shows of itself, read and checked once, on the task of its connection: a room needs no more than to
//! pass it on.

use std::fmt;

use bytes::Bytes;
use mapweave_proto::{AwarenessUpdate, ClientId};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longest name that is told, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Where in a state its name is.
const NAME_PATH: &[&str] = &["user", "name"];

/// What somebody shows for one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The client.
    pub client: ClientId,
    /// Counts its states; only a higher one is news.
    pub clock: u64,
    /// What it shows; `None` once it is gone.
    pub state: Option<State>,
}

/// A state that is JSON, with what the server itself reads in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    text: Bytes,
    name: Option<Box<str>>,
}

impl Shown {
    /// What `update` shows. States that are no JSON are passed over: JavaScript clients parse them without a guard, and
    /// one such would break them all.
    pub fn all_of(update: &AwarenessUpdate) -> Vec<Self> {
        let shown = update.entries.iter().filter_map(|entry| {
            let state = match entry.is_gone() {
                true => None,
                false => Some(State::parse(entry.state.clone())?),
            };
            let (client, clock) = (entry.client, entry.clock);
            Some(Self {
                client,
                clock,
                state,
            })
        });
        shown.collect()
    }
}

impl State {
    /// Reads a state; `None` if it is no JSON. It takes as long as it is, and no stack however deep it is.
    pub fn parse(text: Bytes) -> Option<Self> {
        let name = match name_in(&text) {
            Ok(name) => name.map(|name| presentable(&name)),
            // JSON may hold what no Rust string or number can; it has no name then.
            Err(_) => serde_json::from_slice::<IgnoredAny>(&text)
                .ok()
                .map(|_| None)?,
        };
        Some(Self { text, name })
    }

    /// JSON text.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// What somebody calls themselves there (`user.name`), on one line and of a fair length, if they say.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

fn presentable(name: &str) -> Box<str> {
    let shown = name.trim().chars().filter(|c| !c.is_control());
    let shown: String = shown.take(NAME_CHARS_MAX).collect();
    shown.into()
}

fn name_in(text: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let name = Within(NAME_PATH).deserialize(&mut reader)?;
    reader.end()?;
    Ok(name)
}

/// Finds the string at a path of members, and looks over everything else.
struct Within(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Within {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            return IgnoredAny.visit_map(members).map(|_| None);
        };
        let mut found = None;
        while let Some(key) = members.next_key::<String>()? {
            if key == *first {
                found = members.next_value_seed(Within(rest))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(values).map(|_| None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| text.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: Option<Option<&str>>) {
        let state = State::parse(Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(state.as_ref().map(State::name), name, "{text}");
        assert!(state.is_none_or(|state| state.text() == text.as_bytes()));
    }

    #[test]
    fn a_name_is_found_where_it_belongs_and_nowhere_else() {
        check(
            r#"{"user":{"name":" Ann\u0007 "},"cursor":[1,2]}"#,
            Some(Some("Ann")),
        );
        check(
            r#"{"cursor":{"name":"x"},"user":{"color":"red","name":""}}"#,
            Some(Some("")),
        );
        check(r#"{"name":"Ann"}"#, Some(None));
        for none in ["{}", "[]", "7", "-7", "1.5", "true", "null", r#""user""#] {
            check(none, Some(None));
        }
        for none in [
            "7",
            "[\"name\"]",
            "null",
            "true",
            r#""name""#,
            r#"{"name":{"name":"x"}}"#,
        ] {
            check(&format!(r#"{{"user":{none}}}"#), Some(None));
        }
    }

    #[test]
    fn what_is_no_json_is_no_state() {
        for text in [
            "",
            "{oops",
            "{} {}",
            "undefined",
            r#"{"user":{"name":"Ann"}"#,
        ] {
            check(text, None);
        }
    }

    #[test]
    fn json_that_only_rust_cannot_hold_is_a_state_without_a_name() {
        for text in [
            r#"{"\ud800":1}"#,
            r#"{"user":{"name":"\ud800"}}"#,
            r#""\ud800""#,
            "1e999",
        ] {
            check(text, Some(None));
        }
    }

    #[test]
    fn a_name_without_end_is_cut_and_a_state_without_bottom_needs_no_stack() {
        let long = format!(r#"{{"user":{{"name":"{}"}}}}"#, "ü".repeat(9_000));
        let state = State::parse(long.into()).unwrap();
        assert_eq!(state.name().unwrap().chars().count(), NAME_CHARS_MAX);
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        check(&deep, Some(None));
    }

    #[test]
    fn who_is_gone_shows_nothing_and_what_is_no_json_is_passed_over() {
        let entry = |client, state: &'static str| mapweave_proto::AwarenessEntry {
            client: ClientId(client),
            clock: 1,
            state: Bytes::from_static(state.as_bytes()),
        };
        let entries = vec![entry(1, "null"), entry(2, "{oops"), entry(3, "{}")];
        let shown = Shown::all_of(&AwarenessUpdate { entries });
        let shown: Vec<_> = shown
            .iter()
            .map(|s| (s.client.0, s.state.is_some()))
            .collect();
        assert_eq!(shown, [(1, false), (3, true)]);
    }
}
