//! Certificates: ours, with which the server speaks TLS, and those of others, which commands trust.
//!
//! Start at [`Identity`] for the server and at [`client_config`] for whoever connects to one. The streams themselves
//! are in `server::stream`.

mod authority;
mod client;
mod files;
mod fingerprint;
mod identity;
mod names;
mod service;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use authority::{AUTHORITY_FILE, FOLDER};
pub use client::{Trust, client_config, trust_in_own};
pub use fingerprint::Fingerprint;
pub use identity::{Identity, Looked, WARN_BEFORE_DAYS, days_left};
pub use service::{HttpClient, Service, ServiceAt, ServiceError, Silent, Unreached, http_client};

/// Largest file with a certificate or a key, in bytes: anything larger was named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is wrong with certificates, keys or trust, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {why}; it must be in PEM, from -----BEGIN {wanted}----- on", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A certificate that cannot be used.
    #[error("the certificate in {} cannot be used: {why}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A key that cannot be used.
    #[error("the private key in {} cannot be used: {why}; RSA (2048 bits and more), P-256, P-384 and Ed25519 are understood", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A certificate and a key that have nothing to do with each other.
    #[error("the private key in {} is not that of the certificate in {}: the server's own certificate must come first in its file", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate whose time is over.
    #[error("the certificate in {} expired at {at}: have it renewed", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When, as in RFC 3339.
        at: String,
    },
    /// A certificate of our own cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(String),
    /// The authority of our own is damaged.
    #[error("{why}; if the files of the authority are lost, remove the folder {} and have every device trust the new authority that is made then", folder.display())]
    Authority {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        why: Box<TlsError>,
    },
    /// This machine trusts nobody.
    #[error(
        "no trusted authorities are found on this machine ({why}): install its ca-certificates, or say whom to trust: a command with --ca FILE or --pin FINGERPRINT, a server with a `ca_file` in its configuration"
    )]
    NoRoots {
        /// What was found instead.
        why: String,
    },
    /// Nothing can be agreed on at all: our own mistake.
    #[error("TLS cannot be set up: {0}")]
    Protocol(#[from] rustls::Error),
}

/// The cryptography of all our TLS: ring's.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
