use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// A TLS connection: our end, and that of a client.
async fn connected() -> (Stream, TlsStream<TcpStream>) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let handshakes = Handshakes::new(Arc::new(server), 1, Duration::from_secs(60));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let theirs = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        connector.connect(name, tcp).await.unwrap()
    };
    let ours = async {
        let (tcp, _) = listener.accept().await.unwrap();
        handshakes.open(tcp).await.unwrap()
    };
    tokio::join!(ours, theirs)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place % 251) as u8).collect()
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_kept_and_goes_out_later() {
    let (ours, mut theirs) = connected().await;
    let sent = pattern(32 << 20);
    let mut rest = sent.as_slice();
    while let Ok(written) = ours.try_write_vectored(&[IoSlice::new(rest)]) {
        rest = rest.get(written..).unwrap();
    }
    assert!(ours.has_unsent() && !rest.is_empty());
    let read = async {
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).await.unwrap();
        received
    };
    let write = async {
        while !rest.is_empty() {
            ours.writable().await.unwrap();
            match ours.try_write_vectored(&[IoSlice::new(rest)]) {
                Ok(written) => rest = rest.get(written..).unwrap(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        ours.finish().await.unwrap();
        assert!(!ours.has_unsent());
    };
    let (received, ()) = tokio::join!(read, write);
    assert!(
        received == sent,
        "{} bytes of {}",
        received.len(),
        sent.len()
    );
}

#[tokio::test]
async fn many_small_pieces_arrive_as_they_were_put_together() {
    let (ours, mut theirs) = connected().await;
    let sent = pattern(100_000);
    let pieces: Vec<IoSlice<'_>> = sent.chunks(17).map(IoSlice::new).collect();
    let mut written = 0;
    for some in pieces.chunks(32) {
        written += ours.try_write_vectored(some).unwrap();
    }
    assert_eq!(written, sent.len());
    let mut received = vec![0; sent.len()];
    theirs.read_exact(&mut received).await.unwrap();
    assert!(received == sent);
}

#[tokio::test]
async fn plain_text_that_is_here_makes_a_stream_readable_while_its_socket_is_silent() {
    let (ours, mut theirs) = connected().await;
    let sent = pattern(10_000);
    theirs.write_all(&sent).await.unwrap();
    theirs.shutdown().await.unwrap();
    let mut received = Vec::new();
    let mut few = [0; 7];
    loop {
        ours.readable().await.unwrap();
        match ours.try_read(&mut few) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(few.get(..count).unwrap()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    assert!(received == sent);
    // The end stays the end.
    assert_eq!(
        ours.readable().now_or_never().map(|ready| ready.is_ok()),
        Some(true)
    );
    assert_eq!(ours.try_read(&mut few).unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_breaks_tls_is_an_error_and_one_that_breaks_off_an_end() {
    let (ours, theirs) = connected().await;
    let (mut tcp, _) = theirs.into_inner();
    tcp.write_all(&[23, 3, 3, 0, 32]).await.unwrap();
    tcp.write_all(&[7; 32]).await.unwrap();
    let mut buffer = [0; 64];
    let error = loop {
        ours.readable().await.unwrap();
        match ours.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => break read.unwrap_err(),
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);

    let (ours, theirs) = connected().await;
    let (mut tcp, _) = theirs.into_inner();
    tcp.shutdown().await.unwrap();
    let end = loop {
        ours.readable().await.unwrap();
        match ours.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => break read.unwrap(),
        }
    };
    assert_eq!(end, 0);
}
