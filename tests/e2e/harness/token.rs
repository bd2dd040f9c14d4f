//! Tokens, made by the standards once more: the tests do not take the server's own code as their witness.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// A secret that the server under test shares with the test.
pub const SECRET: &str = "end-to-end: thirty-two bytes or more";

/// The setting that gives it to a server.
pub fn with_secret() -> String {
    format!("auth.secret={SECRET}")
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock that goes").as_secs()
}

/// A token of HS256 with the shared secret.
pub fn token(claims: &Value) -> String {
    signed(
        &json!({ "alg": "HS256", "typ": "JWT" }),
        claims,
        SECRET.as_bytes(),
    )
}

/// A token for one pattern, good for an hour.
pub fn for_maps(user: &str, pattern: &str, role: &str) -> String {
    let maps = json!([{ "pattern": pattern, "role": role }]);
    token(&json!({ "sub": user, "iat": now_s(), "exp": now_s() + 3_600, "maps": maps }))
}

/// A token with any header, signed with HMAC and any secret.
pub fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{text}.{}", B64.encode(hmac::sign(&key, text.as_bytes())))
}

/// A token without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}.", part(header), part(claims))
}

/// A key of Ed25519 of the test's own.
pub struct Ed25519(Ed25519KeyPair);

impl Ed25519 {
    /// A key that is always the same.
    pub fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"))
    }

    /// Writes its public half for a server.
    pub fn write_public(&self, file: &Path) {
        let x = B64.encode(self.0.public_key());
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "e1", "x": x });
        std::fs::write(file, json!({ "keys": [key] }).to_string()).expect("a file");
    }

    /// The bytes of its public half.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// A token that it signed.
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": "e1" });
        let text = format!("{}.{}", part(&header), part(claims));
        format!("{text}.{}", B64.encode(self.0.sign(text.as_bytes())))
    }
}

fn part(json: &Value) -> String {
    B64.encode(json.to_string())
}
