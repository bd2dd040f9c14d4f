//! Certificates and keys in files: read, understood and checked against each other.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{FILE_BYTES_MAX, TlsError, provider};

/// A certificate with its key, ready to be shown to clients.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// The chain and the key.
    pub certified: Arc<CertifiedKey>,
    /// What is in the certificate.
    pub facts: Facts,
}

/// What matters of a certificate's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The last second of its time, since 1970.
    pub expires_s: i64,
    /// Names and addresses that it is for; names in small letters, wildcards as `*.name`.
    pub names: Vec<String>,
}

/// What tells that a file was changed or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// That of `path`; `None` where nothing can be said.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// Reads a certificate, its chain and its key. Whether its time is over is the caller's question.
///
/// # Errors
/// What is wrong with which file.
pub(super) fn read_pair(cert: &Path, key: &Path) -> Result<Pair, TlsError> {
    let chain = read_chain(cert)?;
    let facts = facts(&chain).map_err(|why| TlsError::Certificate {
        path: cert.to_owned(),
        why,
    })?;
    let private = read_key(key)?;
    let certified = certify(chain, private).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        },
        Error::InvalidCertificate(why) => TlsError::Certificate {
            path: cert.to_owned(),
            why: format!("{why:?}"),
        },
        error => TlsError::Key {
            path: key.to_owned(),
            why: error.to_string(),
        },
    })?;
    Ok(Pair { certified, facts })
}

/// The certificates in a file, in their order; at least one.
///
/// # Errors
/// Where it cannot be read, or has none.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_bounded(path)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let wrong = |why: String| TlsError::Pem {
        path: path.to_owned(),
        wanted: "CERTIFICATE",
        why,
    };
    match chain {
        Ok(chain) if chain.is_empty() => Err(wrong("there is no certificate in it".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_bounded(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| TlsError::Pem {
        path: path.to_owned(),
        wanted: "PRIVATE KEY",
        why: match error {
            pem::Error::NoItemsFound => {
                "there is no private key without a password in it".to_owned()
            }
            error => error.to_string(),
        },
    })
}

/// Checks that a key is that of the chain's first certificate.
pub(super) fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, Error> {
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new)
}

/// What the first certificate of a chain says.
pub(super) fn facts(chain: &[CertificateDer<'_>]) -> Result<Facts, String> {
    let first = chain.first().ok_or("there is none")?;
    let (_, certificate) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|error| error.to_string())?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    Ok(Facts {
        expires_s: certificate.validity().not_after.timestamp(),
        names: names.iter().filter_map(name).collect(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "it is larger than {FILE_BYTES_MAX} bytes"
            )));
        }
        Ok(text)
    };
    read().map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let write = || {
        // What an interrupted attempt left may have other permissions.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|source| TlsError::Write {
        path: path.to_owned(),
        source,
    })
}
