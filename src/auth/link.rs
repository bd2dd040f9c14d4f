//! Share links: tokens for one map that an owner gives away.

use mapweave_proto::MapName;
use serde::{Deserialize, Serialize};

use super::claims::{Claims, Grant, NumericDate};
use super::pattern::MapPattern;
use super::role::Role;

/// What an owner asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWish {
    /// For which map.
    pub map: MapName,
    /// For whom it is, in words; may be empty.
    pub name: String,
    /// What its bearers may do.
    pub role: Role,
    /// For how long, in seconds.
    pub expires_in_s: u64,
    /// Who asks.
    pub by: String,
}

/// A link that was given away. Its text is what the log keeps of it; the token itself is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The id of its token.
    pub id: String,
    /// The map's name when it was made.
    pub map: String,
    /// For whom it is, in words.
    pub name: String,
    /// What its bearers may do.
    pub role: Role,
    /// When it was made, in seconds since 1970 (UTC).
    pub made_s: u64,
    /// Until when it is good.
    pub expires_s: u64,
    /// Who made it.
    pub by: String,
}

impl Link {
    /// The link for a wish.
    pub(super) fn new(wish: LinkWish, id: String, now_s: u64) -> Self {
        let LinkWish {
            map,
            name,
            role,
            expires_in_s,
            by,
        } = wish;
        Self {
            id,
            map: map.as_str().to_owned(),
            name,
            role,
            made_s: now_s,
            expires_s: now_s.saturating_add(expires_in_s),
            by,
        }
    }

    /// What its token says: edits made by it are the link's, for whoever reads the log.
    pub(super) fn claims(&self, map: &MapName) -> Claims {
        Claims {
            sub: format!("link:{}", self.id),
            name: self.name.clone(),
            exp: Some(NumericDate(self.expires_s)),
            iat: Some(NumericDate(self.made_s)),
            jti: Some(self.id.clone()),
            maps: vec![Grant {
                pattern: MapPattern::exactly(map),
                role: self.role,
            }],
            ..Claims::default()
        }
    }

    /// As the log keeps it.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the log; `None` for what a later version wrote.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
