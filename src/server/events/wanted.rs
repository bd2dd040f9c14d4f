//! What a listener asks for in its query.

use super::super::problem::Problem;
use crate::room::IfUnknown;

/// The kinds of events that a listener is told, beside those about the stream itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// `update`.
    pub updates: bool,
    /// `presence`.
    pub presence: bool,
    /// `problems`.
    pub problems: bool,
    /// `notice`: who comes and goes, and messages to one person.
    pub notices: bool,
}

/// The query of GET `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which events.
    pub wanted: Wanted,
    /// `after`: the id of the last event that the client has, for those that cannot send it as a header.
    pub after: Option<String>,
    /// `unknown=empty`: a map that is not there is listened to until it comes.
    pub if_unknown: IfUnknown,
}

impl Query {
    /// Reads `events=` (names with commas; all if it is not there), `after=` and `unknown=empty`.
    ///
    /// # Errors
    /// Another parameter, or a name that is no event's.
    pub fn read(query: &str) -> Result<Self, Problem> {
        let mut read = Self {
            wanted: Wanted {
                updates: true,
                presence: true,
                problems: true,
                notices: true,
            },
            after: None,
            if_unknown: IfUnknown::Refuse,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "events" => read.wanted = Wanted::read(&value)?,
                "after" => read.after = Some(value.into_owned()),
                "unknown" if value == "empty" => read.if_unknown = IfUnknown::Open,
                "token" => {}
                _ => {
                    let detail = format!(
                        "there is no parameter {name:?}; there are events, after and unknown=empty"
                    );
                    return Err(Problem::bad_request(detail));
                }
            }
        }
        Ok(read)
    }
}

impl Wanted {
    fn read(names: &str) -> Result<Self, Problem> {
        let mut wanted = Self {
            updates: false,
            presence: false,
            problems: false,
            notices: false,
        };
        for name in names.split(',').map(str::trim) {
            match name {
                "update" => wanted.updates = true,
                "presence" => wanted.presence = true,
                "problems" => wanted.problems = true,
                "notice" => wanted.notices = true,
                _ => {
                    let detail = format!(
                        "there is no event {name:?} to ask for; there are update, presence, problems and notice"
                    );
                    return Err(Problem::bad_request(detail));
                }
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_wanted_unless_something_is_named() {
        let all = Query::read("token=x").unwrap();
        assert!(all.wanted.updates && all.wanted.presence && all.wanted.problems);
        let some = Query::read("events=presence&after=3.a7a7a7a7-57").unwrap();
        assert!(!some.wanted.updates && some.wanted.presence && !some.wanted.notices);
        assert_eq!(some.after.as_deref(), Some("3.a7a7a7a7-57"));
        assert_eq!(some.if_unknown, IfUnknown::Refuse);
        let early = Query::read("unknown=empty").unwrap();
        assert_eq!(early.if_unknown, IfUnknown::Open);
        for wrong in ["events=", "events=updates", "since=5", "unknown=new"] {
            assert!(Query::read(wrong).is_err(), "{wrong}");
        }
    }
}
