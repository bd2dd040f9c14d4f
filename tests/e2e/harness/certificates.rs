//! Certificates of authorities of the tests' own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A certificate, its key and its authority, in files.
pub struct Files {
    /// The certificate, in PEM.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that vouches for it.
    pub authority: PathBuf,
}

impl Files {
    /// A certificate for `names` by an authority that nobody trusts yet; the files are called after `name`.
    pub fn made(folder: &Path, name: &str, names: &[&str]) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a certificate");
        let certificate = authority
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().expect("a certificate");
        let leaf = CertificateParams::new(names)
            .expect("a certificate")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        let write = |kind: &str, text: &str| {
            let path = folder.join(format!("{name}.{kind}"));
            std::fs::write(&path, text).expect("a certificate");
            path
        };
        Self {
            cert: write("pem", &leaf.pem()),
            key: write("key", &key.serialize_pem()),
            authority: write("ca", &certificate.pem()),
        }
    }
}
