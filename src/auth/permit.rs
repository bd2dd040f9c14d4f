//! What the gate gives to those whom it lets in, and what it tells the others.

use std::sync::Arc;

use mapweave_proto::{Access, MapName};

use super::claims::{Grant, strongest};
use super::jwt::TokenError;
use super::pattern::MapPattern;
use super::role::Role;

/// A person or a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// The `sub` of the token; empty for the anonymous. At most [`super::ID_BYTES_MAX`] bytes, no control characters.
    pub id: String,
    /// What people call them; may be empty.
    pub name: String,
}

/// What somebody may do in one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Who.
    pub who: Arc<Who>,
    /// What they may do.
    pub role: Role,
    /// What a session of theirs may send.
    pub access: Access,
    /// Until when, in milliseconds since 1970 (UTC).
    pub expires_at_ms: Option<u64>,
    /// The token that says so, for those who have one.
    pub(super) token: Option<Arc<TokenFacts>>,
}

/// What another server may bring.
#[derive(Debug, Clone)]
pub struct RelayPermit {
    /// Who it is, and until when.
    pub permit: Permit,
    /// For which maps.
    pub patterns: Vec<MapPattern>,
}

/// Who somebody is, before it is asked for which map.
#[derive(Debug, Clone)]
pub struct Passport {
    pub(super) who: Arc<Who>,
    pub(super) rights: Rights,
    pub(super) expires_at_ms: Option<u64>,
    pub(super) token: Option<Arc<TokenFacts>>,
}

/// What a passport is good for.
#[derive(Debug, Clone)]
pub(super) enum Rights {
    /// One role in every map.
    Everywhere(Role),
    /// By map.
    Granted(Arc<[Grant]>),
}

/// By what a token can be revoked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TokenFacts {
    pub id: Option<String>,
    pub issued_at_s: Option<u64>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token is none, or not good: another one is needed. HTTP 401, close code 4401.
    #[error("{0}")]
    BadToken(String),
    /// The token is good, and not for this. HTTP 403, close code 4403.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be decided now. HTTP 503.
    #[error("{0}")]
    Unavailable(String),
}

impl Permit {
    /// Of somebody who is an owner of everything, as all are where there are no keys.
    pub fn of_anyone() -> Self {
        Self {
            who: Arc::default(),
            role: Role::Owner,
            access: Role::Owner.access(),
            expires_at_ms: None,
            token: None,
        }
    }

    /// Whether `needed` is within it.
    ///
    /// # Errors
    /// [`Refused::Forbidden`], naming the role that is needed; [`Refused::BadToken`] where nothing is left of it but to
    /// leave edits.
    pub fn require(&self, needed: Role) -> Result<(), Refused> {
        if self.access == Access::Deposit {
            return Err(TokenError::Revoked.into());
        }
        if self.role.includes(needed) {
            return Ok(());
        }
        Err(Refused::Forbidden(format!(
            "this needs the role {needed} in this map; your token gives the role {}",
            self.role
        )))
    }

    /// Whether it can end while it is in use.
    pub fn can_end(&self) -> bool {
        self.expires_at_ms.is_some() || self.token.is_some()
    }
}

impl Passport {
    /// Who it is.
    pub fn who(&self) -> &Arc<Who> {
        &self.who
    }

    /// The role that it gives in `map`, if any.
    pub fn role(&self, map: &MapName) -> Option<Role> {
        match &self.rights {
            Rights::Everywhere(role) => Some(*role),
            Rights::Granted(grants) => strongest(grants, map),
        }
    }

    /// Whether it is an owner's of all maps: an operator, who may look at the server itself.
    pub fn is_operator(&self) -> bool {
        match &self.rights {
            Rights::Everywhere(role) => *role == Role::Owner,
            Rights::Granted(grants) => grants
                .iter()
                .any(|grant| grant.role == Role::Owner && grant.pattern.is_all()),
        }
    }

    /// What it allows in `role`, of which somebody made sure.
    pub(super) fn in_role(&self, role: Role) -> Permit {
        Permit {
            who: self.who.clone(),
            role,
            access: role.access(),
            expires_at_ms: self.expires_at_ms,
            token: self.token.clone(),
        }
    }

    /// What is left of it in `map` for a person whose rights were taken back.
    ///
    /// # Errors
    /// [`Refused::BadToken`] for who could not edit that map.
    pub(super) fn deposit(&self, map: &MapName) -> Result<Permit, Refused> {
        match self.role(map) {
            Some(Role::Editor | Role::Owner) => Ok(Permit {
                access: Access::Deposit,
                // It cannot be revoked again.
                token: None,
                ..self.in_role(Role::Viewer)
            }),
            _ => Err(TokenError::Revoked.into()),
        }
    }

    /// What it allows in `map`.
    ///
    /// # Errors
    /// [`Refused::Forbidden`] where that is nothing. The same whether or not there is such a map.
    pub fn permit(&self, map: &MapName) -> Result<Permit, Refused> {
        let role = self
            .role(map)
            .ok_or_else(|| Refused::Forbidden("your token is not for this map".to_owned()))?;
        Ok(self.in_role(role))
    }
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::BadToken(error.to_string())
    }
}
