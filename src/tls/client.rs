//! Whom a command trusts when it speaks TLS to a server.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{AUTHORITY_FILE, FOLDER, Fingerprint, TlsError, files, provider};
use crate::config::Config;

/// Whom to trust. Nothing given: the authorities that this machine trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Files in PEM with authorities: these and no others.
    pub authorities: Vec<PathBuf>,
    /// The server's certificate, or an authority that it sends along, has this fingerprint; then neither its name nor
    /// any other authority matters.
    pub pin: Option<Fingerprint>,
}

impl Trust {
    /// For connections that are not to be TLS at all.
    pub fn nobody() -> Self {
        Self {
            authorities: Vec::new(),
            pin: Some(Fingerprint::NONE),
        }
    }
}

/// Whom a command trusts that speaks to the server of its own configuration: the server's certificate, or the
/// authority in the data folder where there is one.
///
/// # Errors
/// Where the configured certificate cannot be read.
pub fn trust_in_own(config: &Config) -> Result<Option<Trust>, TlsError> {
    if let Some(cert) = &config.tls.cert {
        let chain = files::read_chain(cert)?;
        return Ok(Some(Trust {
            authorities: Vec::new(),
            pin: chain.first().map(Fingerprint::of),
        }));
    }
    let file = config.data.join(FOLDER).join(AUTHORITY_FILE);
    Ok(file.exists().then(|| Trust {
        authorities: vec![file],
        pin: None,
    }))
}

/// The settings of TLS connections to servers that `trust` covers. Without ALPN: whoever uses it sets that.
///
/// # Errors
/// Where a file cannot be read, or there is nobody to trust.
pub fn client_config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    if let Some(pin) = trust.pin {
        let verifier = Arc::new(Pinned {
            pin,
            provider: provider(),
        });
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        return Ok(builder.with_no_client_auth());
    }
    let roots = match trust.authorities.as_slice() {
        [] => native_roots()?,
        files => roots_of(files)?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(files: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in files {
        for certificate in files::read_chain(path)? {
            roots
                .add(certificate)
                .map_err(|error| TlsError::Certificate {
                    path: path.clone(),
                    why: error.to_string(),
                })?;
        }
    }
    Ok(roots)
}

fn native_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good > 0 {
        return Ok(roots);
    }
    let why = found
        .errors
        .first()
        .map_or("none".to_owned(), ToString::to_string);
    Err(TlsError::NoRoots { why })
}

/// Trusts one certificate: the server's, or that of an authority behind it.
#[derive(Debug)]
struct Pinned {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Fingerprint::of(end_entity) == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let pinned = |certificate: &&CertificateDer<'_>| Fingerprint::of(certificate) == self.pin;
        let Some(authority) = intermediates.iter().find(pinned) else {
            let seen = intermediates.last().unwrap_or(end_entity);
            return Err(Error::General(format!(
                "the server shows another certificate than the one with the fingerprint {}: {}",
                self.pin,
                Fingerprint::of(seen)
            )));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
