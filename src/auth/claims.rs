//! What a token says.

use mapweave_proto::MapName;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use super::jwt::TokenError;
use super::pattern::MapPattern;
use super::role::Role;

/// Longest id of a person, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// Longest name of a person, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Longest id of a token, in bytes.
pub const TOKEN_ID_BYTES_MAX: usize = 128;

/// Most rights in one token.
pub const GRANTS_MAX: usize = 64;

/// The claims that are read from a token (RFC 7519 §4.1 and our own `name` and `maps`); others mean nothing here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who: an id that stays the same for a person, in the log beside every edit. Empty for nobody in particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// What people call them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Not valid any more from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<NumericDate>,
    /// Not valid before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// Which token it is, so that it can be revoked alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// For whom it is. A token that names somebody else is not for us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// What its bearer may do in which maps.
    #[serde(default)]
    pub maps: Vec<Grant>,
}

/// A right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// In which maps.
    pub pattern: MapPattern,
    /// What.
    pub role: Role,
}

/// One name or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several, one of which is enough.
    Several(Vec<String>),
}

/// Seconds since 1970 (UTC). In tokens of others also with a fraction, which is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NumericDate(pub u64);

impl Claims {
    /// Whether the token is good at `now_ms` for a server that is called `audience`, where clocks may differ by
    /// `leeway_s`.
    ///
    /// # Errors
    /// The first claim that says otherwise.
    pub fn check(&self, now_ms: u64, leeway_s: u64, audience: &str) -> Result<(), TokenError> {
        self.check_form()?;
        if !self.aud.as_ref().is_none_or(|aud| aud.names(audience)) {
            return Err(TokenError::Audience);
        }
        if self.aud.is_none() && !audience.is_empty() {
            return Err(TokenError::Audience);
        }
        let leeway_ms = leeway_s.saturating_mul(1_000);
        if self
            .exp
            .is_some_and(|exp| now_ms >= exp.ms().saturating_add(leeway_ms))
        {
            return Err(TokenError::Expired);
        }
        let early = |at: NumericDate| now_ms.saturating_add(leeway_ms) < at.ms();
        if self.nbf.is_some_and(early) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    /// The strongest role that the token gives in `map`.
    pub fn role(&self, map: &MapName) -> Option<Role> {
        strongest(&self.maps, map)
    }

    /// Whether it keeps within the bounds of its fields.
    ///
    /// # Errors
    /// [`TokenError::Claims`], naming the field.
    pub fn check_form(&self) -> Result<(), TokenError> {
        let texts = [
            ("sub", self.sub.as_str(), ID_BYTES_MAX),
            ("name", self.name.as_str(), NAME_BYTES_MAX),
            ("jti", self.jti.as_deref().unwrap_or(""), TOKEN_ID_BYTES_MAX),
        ];
        for (claim, text, bytes_max) in texts {
            if text.len() > bytes_max || text.chars().any(char::is_control) {
                return Err(TokenError::Claims(format!(
                    "{claim:?} is longer than {bytes_max} bytes or holds control characters"
                )));
            }
        }
        if self.maps.len() > GRANTS_MAX {
            return Err(TokenError::Claims(format!(
                "\"maps\" has more than {GRANTS_MAX} entries"
            )));
        }
        Ok(())
    }
}

/// The strongest role that `grants` give in `map`.
pub(super) fn strongest(grants: &[Grant], map: &MapName) -> Option<Role> {
    let roles = grants
        .iter()
        .filter(|grant| grant.pattern.matches(map))
        .map(|grant| grant.role);
    roles.max_by_key(|role| role.rank())
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

impl NumericDate {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        self.0.saturating_mul(1_000)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Date)
    }
}

struct Date;

impl Visitor<'_> for Date {
    type Value = NumericDate;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("seconds since 1970 as a number")
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
        Ok(NumericDate(seconds))
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
        u64::try_from(seconds)
            .map(NumericDate)
            .map_err(|_| E::custom("a date before 1970"))
    }

    fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
        // A cast keeps within the bounds of the type; what is no number is none.
        if seconds.is_finite() && seconds >= 0.0 {
            Ok(NumericDate(seconds as u64))
        } else {
            Err(E::custom("a date that is no time since 1970"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Result<Claims, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_date_that_is_no_number_is_not_passed_over() {
        for bad in [
            r#"{"exp":"1"}"#,
            r#"{"exp":-1}"#,
            r#"{"nbf":true}"#,
            r#"{"nbf":"9999999999"}"#,
            r#"{"exp":[]}"#,
        ] {
            assert!(claims(bad).is_err(), "{bad}");
        }
        assert_eq!(claims(r#"{"exp":1.9}"#).unwrap().exp, Some(NumericDate(1)));
        assert_eq!(
            claims(r#"{"exp":1e300}"#).unwrap().exp,
            Some(NumericDate(u64::MAX))
        );
    }

    #[test]
    fn time_is_checked_with_a_leeway_and_to_the_millisecond() {
        let token = claims(r#"{"nbf":100,"exp":200}"#).unwrap();
        let at = |ms, leeway| token.check(ms, leeway, "").err();
        assert_eq!(at(99_999, 0), Some(TokenError::NotYet));
        assert_eq!(at(100_000, 0), None);
        assert_eq!(at(199_999, 0), None);
        assert_eq!(at(200_000, 0), Some(TokenError::Expired));
        assert_eq!(at(90_000, 10), None);
        assert_eq!(at(209_999, 10), None);
        assert_eq!(at(210_000, 10), Some(TokenError::Expired));
        assert_eq!(at(u64::MAX, u64::MAX), Some(TokenError::Expired));
    }

    #[test]
    fn a_token_for_somebody_else_is_not_for_us() {
        let check = |json: &str, audience| claims(json).unwrap().check(0, 0, audience).is_ok();
        assert!(check("{}", ""));
        assert!(!check("{}", "maps"));
        assert!(!check(r#"{"aud":"other"}"#, ""));
        assert!(!check(r#"{"aud":"other"}"#, "maps"));
        assert!(check(r#"{"aud":"maps"}"#, "maps"));
        assert!(check(r#"{"aud":["other","maps"]}"#, "maps"));
    }

    #[test]
    fn of_several_rights_in_a_map_the_strongest_counts() {
        let token = claims(
            r#"{"maps":[{"pattern":"a/*","role":"editor"},{"pattern":"**","role":"viewer"}]}"#,
        )
        .unwrap();
        let role = |name: &str| token.role(&MapName::parse(name).unwrap());
        assert_eq!(role("a/b"), Some(Role::Editor));
        assert_eq!(role("b"), Some(Role::Viewer));
        assert_eq!(Claims::default().role(&MapName::parse("b").unwrap()), None);
    }

    #[test]
    fn texts_that_would_break_a_log_are_refused() {
        let long = format!("{{\"sub\":\"{}\"}}", "x".repeat(ID_BYTES_MAX + 1));
        for bad in [
            long.as_str(),
            "{\"name\":\"a\\nb\"}",
            "{\"jti\":\"\\u0000\"}",
        ] {
            assert!(claims(bad).unwrap().check(0, 0, "").is_err(), "{bad}");
        }
    }
}
