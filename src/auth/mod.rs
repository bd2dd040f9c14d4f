//! Who somebody is, and what they may do to which map. Start at [`Gate`].
//!
//! A token is a JSON Web Token (RFC 7519), signed by one of the [`Keys`]; it says who ([`Claims`]), until when, and
//! which maps in which [`Role`]. Where there are neither keys nor a webhook, everybody who reaches the server is an
//! owner of every map. Nothing here knows HTTP routes or rooms: a [`Permit`] is what they are given.

mod claims;
mod gate;
mod jwt;
mod key;
mod link;
mod pattern;
mod permit;
mod revocation;
mod role;
mod secret;
#[cfg(test)]
mod tests;
mod webhook;

pub use claims::{
    Audience, Claims, GRANTS_MAX, Grant, ID_BYTES_MAX, NAME_BYTES_MAX, NumericDate,
    TOKEN_ID_BYTES_MAX,
};
pub use gate::{Clock, Gate, GateError, MintError, RECORDS_MAX, mint, system_clock};
pub use jwt::{TokenError, sign, verify};
pub use key::{Algorithm, KEY_FILE_BYTES_MAX, KEYS_MAX, Key, KeyError, Keys, SECRET_BYTES_MIN};
pub use link::{Link, LinkWish};
pub use pattern::{MapPattern, PATTERN_BYTES_MAX, PatternError};
pub use permit::{Passport, Permit, Refused, RelayPermit, Who};
pub use revocation::{Revocation, Revocations};
pub use role::{Role, UnknownRole};
pub use secret::Secret;
