//! The server speaks TLS itself: sockets and requests as over plain TCP, certificates made, trusted and replaced.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::harness::certificates::Files;
use crate::harness::client::connect;
use crate::harness::tunnel::{connector, shake};
use crate::harness::wait::{until, until_async, within};
use crate::harness::{Client, Content, Request, Server, Tunnel, http};

const OWN: &str = "tls.self_signed=true";

fn authority(server: &Server) -> PathBuf {
    server.data().join("tls/authority.pem")
}

async fn tunnel(server: &Server) -> Tunnel {
    Tunnel::to(server.address(), &authority(server)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crew_edits_under_tls_and_nothing_is_lost_by_a_restart() {
    let mut server = Server::with(&[OWN]).await;
    let through = tunnel(&server).await;
    let (mut ann, ben) = (
        Client::join(&through, "field").await,
        Client::join(&through, "field").await,
    );
    ann.set("well", "dry");
    ben.sees("well", "dry").await;
    // More than any buffer on the way, and less than the frames that the test's own client takes (16 MiB).
    let large = "x".repeat(12 << 20);
    ann.set("photo", large.as_str());
    ann.stored().await;
    ben.sees("photo", large.as_str()).await;
    let third = Client::join(&through, "field").await;
    third.sees("photo", large.as_str()).await;
    let state = Content::of_update(&through.state("field").await);

    server.terminate();
    assert_eq!(ann.closed().await.map(|(code, _)| code), Some(1012));
    server.stopped().await;
    server.restart().await;
    let through = tunnel(&server).await;
    assert_eq!(Content::of_update(&through.state("field").await), state);
    through.post("field", vec![0, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_small_edits_pass_both_ways_while_a_large_one_is_on_its_way() {
    let server = Server::with(&[OWN]).await;
    let through = tunnel(&server).await;
    let (ann, ben) = (
        Client::join(&through, "busy").await,
        Client::join(&through, "busy").await,
    );
    let large = "y".repeat(8 << 20);
    ben.set("large", large.as_str());
    for number in 0..500 {
        ann.set(&format!("ann {number}"), f64::from(number));
        ben.set(&format!("ben {number}"), f64::from(number));
    }
    ann.stored().await;
    ben.stored().await;
    ann.sees("ben 499", 499.0).await;
    ann.sees("large", large.as_str()).await;
    ben.sees("ann 499", 499.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_gets_the_authority_that_it_shall_trust() {
    let server = Server::with(&[OWN, "tls.hsts_s=600"]).await;
    let through = tunnel(&server).await;
    let answer = through.get("/.well-known/mapweave-ca.crt").await;
    let expected = CertificateDer::from_pem_file(authority(&server)).unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &*expected));
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-x509-ca-cert")
    );
    assert_eq!(
        answer.header("strict-transport-security"),
        Some("max-age=600")
    );

    let plain = Server::start().await;
    let answer = plain.get("/.well-known/mapweave-ca.crt").await;
    assert_eq!(
        (answer.status, answer.problem()),
        (404, "no-authority".to_owned())
    );
    assert_eq!(answer.header("strict-transport-security"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_trust_an_authority_a_fingerprint_or_nobody() {
    let server = Server::with(&[OWN]).await;
    let url = format!("https://{}", server.address());
    let ca = authority(&server).to_str().unwrap().to_owned();
    let pin = until("the server says its fingerprint", || {
        let told = server.log().join("\n");
        let (_, behind) = told.split_once("--pin ")?;
        behind.split_whitespace().next().map(str::to_owned)
    })
    .await;
    let pin = pin.as_str();
    server
        .mapweave(&["maps", "--server", &url, "--ca", &ca])
        .await
        .done();
    server
        .mapweave(&["maps", "--server", &url, "--pin", pin])
        .await
        .done();
    let wrong = "00".repeat(32);
    let pinned = server
        .mapweave(&["maps", "--server", &url, "--pin", &wrong])
        .await;
    pinned.exited(1).says(&["is not trusted", pin]);
    let stranger = Files::made(server.folder(), "stranger", &["localhost"]);
    let stranger = stranger.authority.to_str().unwrap();
    let unknown = server
        .mapweave(&["maps", "--server", &url, "--ca", stranger])
        .await;
    unknown.exited(1).says(&["is not trusted", "--pin"]);
    let url = format!("http://{}", server.address());
    let plain = server.mapweave(&["maps", "--server", &url]).await;
    plain.exited(1).says(&["This port speaks TLS", "https://"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_the_server_of_its_own_data_folder_whether_or_not_it_speaks_tls() {
    let server = Server::with(&[OWN]).await;
    let through = tunnel(&server).await;
    let ann = Client::offline("m");
    ann.set("a", 1.0);
    through.post("m", ann.update()).await;
    let listen = format!("listen={}", server.address());
    let data = format!("data={}", server.data().display());
    let ran = server
        .mapweave(&["maps", "--json", "--set", &listen, "--set", &data])
        .await;
    let ran = ran.done().says(&["using the server https://"]);
    assert_eq!(ran.json()[0]["name"], "m");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = Files::made(folder.path(), "first", &["127.0.0.1"]);
    let settings = [
        format!("tls.cert={}", first.cert.display()),
        format!("tls.key={}", first.key.display()),
    ];
    let server = Server::with(&[&settings[0], &settings[1]]).await;
    let through = Tunnel::to(server.address(), &first.authority).await;
    let ann = Client::join(&through, "m").await;

    let second = Files::made(folder.path(), "second", &["127.0.0.1"]);
    std::fs::copy(&second.cert, &first.cert).unwrap();
    server.hang_up();
    until("the half that is changed is told", || {
        let log = server.log();
        log.iter()
            .any(|line| line.contains("is not that of the certificate"))
            .then_some(())
    })
    .await;
    shake(&connector(&first.authority), server.address()).await;

    std::fs::copy(&second.key, &first.key).unwrap();
    server.hang_up();
    until("a new certificate is told", || {
        let log = server.log();
        log.iter()
            .any(|line| line.contains("get a new certificate"))
            .then_some(())
    })
    .await;
    let new = shake(&connector(&second.authority), server.address()).await;
    let shown = new.get_ref().1.peer_certificates().unwrap();
    assert_eq!(
        shown[0],
        CertificateDer::from_pem_file(&second.cert).unwrap()
    );
    ann.set("still", "here");
    ann.stored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_in_plain_http_is_told_what_to_write() {
    let server = Server::with(&[OWN]).await;
    let answer = server.get("/").await;
    assert_eq!(
        (answer.status, answer.problem()),
        (400, "tls-needed".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_neither_keep_others_out_nor_stay() {
    let server = Server::with(&[OWN, "limits.handshakes_max=8", "limits.header_timeout_s=5"]).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let through = tunnel(&server).await;
    let ann = Client::join(&through, "m").await;
    ann.set("a", 1.0);
    ann.stored().await;
    for connection in &mut silent {
        let mut byte = [0];
        // Closed or reset: it is over either way.
        let _ = within("a silent connection is closed", connection.read(&mut byte)).await;
    }
    let outcome = |word: &str| format!("mapweave_tls_handshakes_total{{outcome=\"{word}\"}}");
    assert!(through.metric(&outcome("crowded")).await >= 32.0);
    assert!(through.metric(&outcome("late")).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_instead_of_tls_costs_only_whoever_sends_it() {
    let server = Server::with(&[OWN]).await;
    let through = tunnel(&server).await;
    let mut socket = connect(&through, "m").await;
    for rubbish in [
        &b"\x16\x03\x01\xff\xff"[..],
        &[22; 5000],
        &[0; 100],
        &[255; 70_000],
    ] {
        use tokio::io::AsyncWriteExt;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        // It may close before it has read all.
        let _ = stream.write_all(rubbish).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = within("rubbish is turned away", stream.read_to_end(&mut answer)).await;
    }
    until_async("all of it is counted", || async {
        let failed = through
            .metric("mapweave_tls_handshakes_total{outcome=\"failed\"}")
            .await;
        (failed >= 4.0).then_some(())
    })
    .await;
    let _ = socket.close(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let one = Files::made(folder.path(), "one", &["localhost"]);
    let other = Files::made(folder.path(), "other", &["localhost"]);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let server = Server::down(&[]);
    let data = path(server.data());
    let start = async |cert: &str, key: &str| {
        let listen = ["serve", "--listen", "127.0.0.1:0", "--data", &data];
        server
            .mapweave(&[&listen[..], &["--tls-cert", cert, "--tls-key", key]].concat())
            .await
    };
    let (cert, key) = (path(&one.cert), path(&one.key));
    start("nowhere.pem", &key)
        .await
        .exited(1)
        .says(&["cannot read nowhere.pem"]);
    start(&key, &key)
        .await
        .exited(1)
        .says(&["there is no certificate in it"]);
    start(&cert, &path(&other.key))
        .await
        .exited(1)
        .says(&["is not that of the certificate"]);
    let alone = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        &data,
        "--tls-cert",
        &cert,
    ];
    server
        .mapweave(&alone)
        .await
        .exited(2)
        .says(&["tls.cert (flag --tls-cert)", "--tls-key"]);
    let both = [&alone[..], &["--tls-key", &key, "--tls-self-signed"]].concat();
    server
        .mapweave(&both)
        .await
        .exited(2)
        .says(&["tls.self_signed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_came_in_plain_is_no_page_of_this_server() {
    let server = Server::with(&[OWN]).await;
    let through = tunnel(&server).await;
    let host = through.address().to_string();
    let status = async |scheme: &str| {
        let request = Request::upgrade("/ws/m").header("origin", &format!("{scheme}://{host}"));
        let (answer, ..): (http::Response, _, _) = request.open(through.address()).await;
        answer.status
    };
    assert_eq!(status("https").await, 101);
    assert_eq!(status("http").await, 403);
}
