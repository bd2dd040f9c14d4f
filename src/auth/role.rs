//! What somebody may do in a map.

use std::fmt;
use std::str::FromStr;

use mapweave_proto::Access;
use serde::{Deserialize, Serialize};

/// What somebody may do in a map: `viewer < commenter < editor < owner`, and `relay` beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read, and show presence.
    Viewer,
    /// Also write notes.
    Commenter,
    /// Also edit everything that the map holds, and make it by that.
    Editor,
    /// Also delete, restore, compact and share the map, and decide about late edits.
    Owner,
    /// Another server: reads the map, and brings edits of others in their names. No person's role.
    Relay,
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no role: there are viewer, commenter, editor, owner and relay")]
pub struct UnknownRole {
    word: String,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Commenter,
        Self::Editor,
        Self::Owner,
        Self::Relay,
    ];

    /// Whether this role may do what `needed` may. An owner is no relay: bringing edits in the name of others is more
    /// than to own a map.
    pub fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Relay, needed) => matches!(needed, Self::Relay | Self::Viewer),
            (_, Self::Relay) => false,
            (has, needed) => has.rank() >= needed.rank(),
        }
    }

    /// What a session in this role may send.
    pub fn access(self) -> Access {
        match self {
            Self::Viewer | Self::Relay => Access::ReadOnly,
            Self::Commenter => Access::Comment,
            Self::Editor | Self::Owner => Access::ReadWrite,
        }
    }

    /// The word for it, as in tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Commenter => "commenter",
            Self::Editor => "editor",
            Self::Owner => "owner",
            Self::Relay => "relay",
        }
    }

    /// Of several roles of one person in one map the last in this order counts.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Viewer => 0,
            Self::Commenter => 1,
            Self::Editor => 2,
            Self::Owner => 3,
            Self::Relay => 4,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| UnknownRole {
            word: text.chars().take(40).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stronger_roles_include_weaker_ones_and_a_relay_only_reads() {
        let persons = [Role::Viewer, Role::Commenter, Role::Editor, Role::Owner];
        for (at, has) in persons.into_iter().enumerate() {
            for (needed_at, needed) in persons.into_iter().enumerate() {
                assert_eq!(has.includes(needed), at >= needed_at, "{has} {needed}");
            }
            assert!(!has.includes(Role::Relay));
            assert_eq!(Role::Relay.includes(has), has == Role::Viewer);
        }
        assert!(Role::Relay.includes(Role::Relay));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
            assert_eq!(
                serde_json::to_string(&role).ok(),
                Some(format!("{:?}", role.name()))
            );
        }
        assert!("Owner".parse::<Role>().is_err());
    }
}
