//! A plain port before a server that speaks TLS, so that every client of these tests can use it; and what services of the
//! tests' own answer TLS with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Endpoint;
use super::certificates::Files;

/// It trusts one authority, and checks that the server is who it should be.
pub struct Tunnel {
    endpoint: Endpoint,
    accepting: JoinHandle<()>,
}

impl Tunnel {
    /// A tunnel to the server at `address`, which must show a certificate of the authority in this file.
    pub async fn to(address: SocketAddr, authority: &Path) -> Self {
        let connector = connector(authority);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let endpoint = Endpoint::at(listener.local_addr().expect("an address"));
        let accepting = tokio::spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let mut encrypted = shake(&connector, address).await;
                    // Either end may break off; the other one then sees its connection end.
                    let _ = tokio::io::copy_bidirectional(&mut plain, &mut encrypted).await;
                });
            }
        });
        Self {
            endpoint,
            accepting,
        }
    }
}

impl std::ops::Deref for Tunnel {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What makes TLS connections that trust the authority in this file alone.
pub fn connector(authority: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority).expect("an authority");
    roots.add(certificate).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A TLS connection to the server at `address`.
pub async fn shake(connector: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::IpAddress(address.ip().into());
    connector.connect(name, tcp).await.expect("a handshake")
}

/// What answers TLS connections with this certificate.
pub fn acceptor(files: &Files) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(&files.cert).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}
