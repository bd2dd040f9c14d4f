//! JSON Web Tokens in their compact form (RFC 7515 §7.1, RFC 7519): signed and checked, nothing else.
//!
//! On `ring` directly: what a token may be is decided here in a page, and none of the ways in which tokens were
//! forged elsewhere exists. The header's `alg` never chooses how a signature is checked; the key does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mapweave_proto::limits::TOKEN_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::claims::Claims;
use super::key::{Key, Keys};

/// Why a token is not taken. Says nothing of what the token holds beyond what its bearer must know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none, and one is needed.
    #[error(
        "a token is needed: send it as `Authorization: Bearer`, as `?token=`, or as your provider's token"
    )]
    Missing,
    /// Not three parts in base64url, or too long.
    #[error(
        "this is no token of the kind that this server takes (a JSON Web Token in its compact form)"
    )]
    Malformed,
    /// The header asks for something that must be understood and is not (RFC 7515 §4.1.11).
    #[error("the token asks for extensions that this server does not know")]
    Critical,
    /// No key of this server is for the token's algorithm and key id.
    #[error(
        "the token was not signed by a key of this server: its algorithm or key id is none of theirs"
    )]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// The claims cannot be read or exceed a bound.
    #[error("the token's claims are not as they should be: {0}")]
    Claims(String),
    /// It was good before.
    #[error("the token expired; ask whoever gave it to you for a fresh one")]
    Expired,
    /// It will be good later.
    #[error("the token is not valid yet; check the clock of whoever made it")]
    NotYet,
    /// It is for another service.
    #[error("the token is for another audience (auth.audience)")]
    Audience,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing)]
    crit: Option<serde_json::Value>,
}

/// A token that says `claims`; `None` where the key can only check.
pub fn sign(key: &Key, claims: &Claims) -> Option<String> {
    let header = Header {
        alg: key.algorithm().name().into(),
        typ: Some("JWT".into()),
        kid: key.id().map(Into::into),
        crit: None,
    };
    let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let header = part(serde_json::to_vec(&header).ok()?);
    let payload = part(serde_json::to_vec(claims).ok()?);
    let signed = format!("{header}.{payload}");
    let signature = key.sign(signed.as_bytes())?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// What a token says, if one of `keys` signed it. Times, audience and revocations are not looked at.
///
/// # Errors
/// The first thing that is wrong, in the order of [`TokenError`].
pub fn verify(keys: &Keys, token: &str) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload, signature) = (bytes(header)?, bytes(payload)?, bytes(signature)?);
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    keys.check(
        &header.alg,
        header.kid.as_deref(),
        signed.as_bytes(),
        &signature,
    )?;
    // Only now anything of the payload is looked at.
    serde_json::from_slice(&payload).map_err(|error| TokenError::Claims(error.to_string()))
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}
