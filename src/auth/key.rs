//! Keys that sign and check tokens, each for one algorithm only.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use super::jwt::TokenError;
use super::secret::Secret;

/// Shortest secret of HS256 in bytes: as long as its hash (RFC 7518 §3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Most keys at once. Rotation needs two; every token without a key id is tried with all of its algorithm.
pub const KEYS_MAX: usize = 16;

/// Largest file of keys, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// Length of an Ed25519 seed and of a public key, in bytes.
const ED25519_BYTES: usize = 32;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever can check tokens can make them.
    Hs256,
    /// Ed25519 (RFC 8037): a public key checks, only the private one makes them.
    EdDsa,
}

/// One key, bound to its algorithm.
pub struct Key {
    id: Option<Box<str>>,
    material: Material,
}

enum Material {
    Hmac(hmac::Key),
    Ed25519 {
        public: [u8; ED25519_BYTES],
        pair: Option<Box<Ed25519KeyPair>>,
    },
}

/// The keys of a server: the first that can sign signs, all of them check.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

/// Why there are no keys. Never shows any part of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the keys in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no keys: {what}; `mapweave token keygen` makes one", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A secret that could be guessed.
    #[error(
        "the secret has {bytes} bytes; HS256 needs at least {SECRET_BYTES_MIN} random ones: `mapweave token keygen` makes a key"
    )]
    Short {
        /// How long it is.
        bytes: usize,
    },
    /// The machine gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// A key as a JSON Web Key (RFC 7517, RFC 8037).
#[derive(Default, Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum KeyFile {
    Set { keys: Vec<Jwk> },
    One(Jwk),
}

impl Algorithm {
    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl Key {
    /// A key of HS256 from a shared secret.
    ///
    /// # Errors
    /// [`KeyError::Short`].
    pub fn from_secret(id: Option<&str>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            let bytes = secret.len();
            return Err(KeyError::Short { bytes });
        }
        Ok(Self {
            id: id.map(Into::into),
            material: Material::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret)),
        })
    }

    /// A fresh key as the text of a JSON Web Key, with an id of its own.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate(algorithm: Algorithm) -> Result<String, KeyError> {
        let secret: [u8; 32] = random()?;
        let id: [u8; 6] = random()?;
        let mut jwk = Jwk {
            kid: Some(URL_SAFE_NO_PAD.encode(id)),
            alg: Some(algorithm.name().to_owned()),
            ..Jwk::default()
        };
        match algorithm {
            Algorithm::Hs256 => {
                jwk.kty = "oct".to_owned();
                jwk.k = Some(URL_SAFE_NO_PAD.encode(secret));
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&secret);
                let pair = pair.map_err(|_| KeyError::Random)?;
                jwk.kty = "OKP".to_owned();
                jwk.crv = Some("Ed25519".to_owned());
                jwk.x = Some(URL_SAFE_NO_PAD.encode(pair.public_key()));
                jwk.d = Some(URL_SAFE_NO_PAD.encode(secret));
            }
        }
        Ok(serde_json::to_string(&jwk).unwrap_or_default())
    }

    /// The half of the key that only checks, as the text of a JSON Web Key; `None` for a shared secret.
    pub fn public_half(&self) -> Option<String> {
        let Material::Ed25519 { public, .. } = &self.material else {
            return None;
        };
        let jwk = Jwk {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            alg: Some(Algorithm::EdDsa.name().to_owned()),
            kid: self.id.as_deref().map(str::to_owned),
            x: Some(URL_SAFE_NO_PAD.encode(public)),
            ..Jwk::default()
        };
        serde_json::to_string(&jwk).ok()
    }

    /// What it is called in a token's header, if it has a name.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Hmac(_) => Algorithm::Hs256,
            Material::Ed25519 { .. } => Algorithm::EdDsa,
        }
    }

    /// The signature over `bytes`; `None` for the public half of a key.
    pub fn sign(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        match &self.material {
            Material::Hmac(key) => Some(hmac::sign(key, bytes).as_ref().to_vec()),
            Material::Ed25519 { pair, .. } => Some(pair.as_ref()?.sign(bytes).as_ref().to_vec()),
        }
    }

    /// Whether `signature` is this key's over `bytes`; takes the same time for every wrong one.
    fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac(key) => hmac::verify(key, bytes, signature).is_ok(),
            Material::Ed25519 { public, .. } => {
                let public = UnparsedPublicKey::new(&ED25519, public);
                public.verify(bytes, signature).is_ok()
            }
        }
    }

    fn from_jwk(jwk: &Jwk) -> Result<Self, String> {
        let decoded = |name: &str, text: Option<&String>| {
            let text = text.ok_or_else(|| format!("{name:?} is missing"))?;
            let text = text.trim_end_matches('=');
            let bytes = URL_SAFE_NO_PAD.decode(text);
            bytes.map_err(|_| format!("{name:?} is not in base64url"))
        };
        let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("oct", _) => {
                let secret = decoded("k", jwk.k.as_ref())?;
                Self::from_secret(jwk.kid.as_deref(), &secret).map_err(|e| e.to_string())?
            }
            ("OKP", Some("Ed25519")) => {
                let public = decoded("x", jwk.x.as_ref())?;
                let pair = match &jwk.d {
                    None => None,
                    Some(_) => {
                        let seed = decoded("d", jwk.d.as_ref())?;
                        let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public);
                        Some(Box::new(pair.map_err(
                            |_| "\"d\" and \"x\" are not the two halves of one key",
                        )?))
                    }
                };
                let public = public
                    .try_into()
                    .map_err(|_| format!("\"x\" has not {ED25519_BYTES} bytes"))?;
                Self {
                    id: jwk.kid.as_deref().map(Into::into),
                    material: Material::Ed25519 { public, pair },
                }
            }
            _ => return Err(
                "a key is of another kind than \"oct\" (HS256) or \"OKP\" with \"Ed25519\" (EdDSA)"
                    .to_owned(),
            ),
        };
        let names = match key.algorithm() {
            Algorithm::Hs256 => ["HS256", "HS256"],
            Algorithm::EdDsa => ["EdDSA", "Ed25519"],
        };
        match jwk.alg.as_deref() {
            Some(alg) if !names.contains(&alg) => {
                Err("\"alg\" is not the algorithm of the key".to_owned())
            }
            _ => Ok(key),
        }
    }
}

impl Keys {
    /// The keys of a secret and of a file, each of which may not be there. The file's come first, so that one of
    /// them signs.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(secret: &Secret, file: Option<&Path>) -> Result<Self, KeyError> {
        let mut keys = match file {
            Some(path) => Self::from_file(path)?,
            None => Self::default(),
        };
        if !secret.is_empty() {
            keys.0
                .push(Key::from_secret(None, secret.expose().as_bytes())?);
        }
        Ok(keys)
    }

    /// The keys of a file that holds a JSON Web Key or a set of them.
    ///
    /// # Errors
    /// [`KeyError::File`], [`KeyError::Form`].
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let cannot = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        let form = |what: String| KeyError::Form {
            path: path.to_owned(),
            what,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(cannot)?;
        let mode = file.metadata().map_err(cannot)?.mode();
        file.take(KEY_FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(cannot)?;
        if text.len() as u64 > KEY_FILE_BYTES_MAX {
            return Err(form(format!(
                "it is larger than {KEY_FILE_BYTES_MAX} bytes"
            )));
        }
        let keys = Self::parse(&text).map_err(form)?;
        if mode & 0o077 != 0 && keys.signer().is_some() {
            tracing::warn!(
                file = %path.display(),
                "others on this machine can read the keys that make tokens: chmod 600"
            );
        }
        Ok(keys)
    }

    /// The keys in the text of such a file.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The parser's own words could hold a part of a key.
        let parsed: KeyFile = serde_json::from_str(text)
            .map_err(|_| "it is no JSON Web Key and no set of them".to_owned())?;
        let keys = match parsed {
            KeyFile::Set { keys } => keys,
            KeyFile::One(key) => vec![key],
        };
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(format!("it has {} keys: 1 to {KEYS_MAX}", keys.len()));
        }
        keys.iter()
            .map(Key::from_jwk)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// The key that makes tokens, if there is one that can.
    pub fn signer(&self) -> Option<&Key> {
        self.0.iter().find(|key| match &key.material {
            Material::Hmac(_) => true,
            Material::Ed25519 { pair, .. } => pair.is_some(),
        })
    }

    /// Whether one of the keys made the signature. A token names its key or, where it names none of ours, is tried
    /// with those that have no name; in any case only with keys of the algorithm that it says.
    pub(super) fn check(
        &self,
        algorithm: &str,
        id: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let known = id.is_some_and(|id| self.0.iter().any(|key| key.id() == Some(id)));
        let may_be = |key: &&Key| match id {
            Some(id) if known => key.id() == Some(id),
            Some(_) => key.id().is_none(),
            None => true,
        };
        let mut candidates = self
            .0
            .iter()
            .filter(may_be)
            .filter(|key| key.algorithm().name() == algorithm)
            .peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        match candidates.any(|key| key.has_signed(signed, signature)) {
            true => Ok(()),
            false => Err(TokenError::Signature),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

/// A name for a text that is not to be kept: its SHA-256.
pub(super) fn fingerprint(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    for (to, from) in out.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    out
}
