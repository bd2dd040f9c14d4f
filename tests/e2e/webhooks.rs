//! Webhooks: what happens in maps is told to a service, signed, again where it was not taken, and holds up nothing.

use std::sync::{Arc, Mutex};

use mapweave::webhooks::signature;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::certificates::Files;
use crate::harness::tunnel::acceptor;
use crate::harness::wait::{until, until_true};
use crate::harness::{Client, Server, wire};

const SECRET: &str = "thirty-two bytes of a secret, more or less";
const ANN: &str = r#"{"user":{"name":"Ann"}}"#;

/// A service that takes what it is told, unless it is to answer otherwise.
#[derive(Clone, Default)]
struct Service {
    heard: Arc<Mutex<Vec<Delivery>>>,
    /// Statuses for the next deliveries; 200 once there is none left.
    answers: Arc<Mutex<Vec<u16>>>,
}

#[derive(Clone)]
struct Delivery {
    head: String,
    body: Vec<u8>,
    taken: bool,
}

impl Delivery {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

impl Service {
    /// The service, and its address.
    async fn open() -> (Self, String) {
        Self::open_with(None).await
    }

    /// The same over https, with this certificate.
    async fn open_under_tls(files: &Files) -> (Self, String) {
        Self::open_with(Some(acceptor(files))).await
    }

    async fn open_with(tls: Option<TlsAcceptor>) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let service = Self::default();
        let serving = service.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serving.serve(stream).await,
                        // Whoever does not trust the certificate breaks off.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serving.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        (service, format!("{scheme}://{address}/told"))
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut received = Vec::new();
        loop {
            let Some((head, body)) = read_request(&mut stream, &mut received).await else {
                return;
            };
            let status = self.next_answer();
            let taken = status == 200;
            let delivery = Delivery { head, body, taken };
            self.heard
                .lock()
                .expect("a service that stands")
                .push(delivery);
            let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn next_answer(&self) -> u16 {
        let mut answers = self.answers.lock().expect("a service that stands");
        if answers.is_empty() {
            200
        } else {
            answers.remove(0)
        }
    }

    fn heard(&self) -> Vec<Delivery> {
        self.heard.lock().expect("a service that stands").clone()
    }

    /// The first event that was taken and is so.
    async fn event(&self, what: &str, accept: impl Fn(&Value) -> bool) -> Value {
        until(what, || {
            let taken = self.heard().into_iter().filter(|delivery| delivery.taken);
            let mut events = taken.flat_map(|delivery| {
                let json = delivery.json();
                json["events"].as_array().expect("events").clone()
            });
            events.find(&accept)
        })
        .await
    }
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(received[..end].to_vec()).expect("a head");
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.parse().expect("a length"));
            if received.len() >= end + 4 + length {
                let body = received[end + 4..end + 4 + length].to_vec();
                received.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if !matches!(stream.read_buf(received).await, Ok(1..)) {
            return None;
        }
    }
}

async fn server(url: &str, more: &[&str]) -> Server {
    let (url, secret) = (
        format!("webhooks.url={url}"),
        format!("webhooks.secret={SECRET}"),
    );
    let settings = [&[&*url, &*secret, "webhooks.collect_s=0"], more].concat();
    Server::with(&settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_and_what_changed_is_told_and_signed() {
    let (service, url) = Service::open().await;
    let mut server = server(&url, &[]).await;
    let mut ann = Client::join(&server, "north/1").await;
    ann.send(wire::awareness(&[(7, 1, ANN)]));
    let joined = service
        .event("Ann comes", |event| event["kind"] == "join")
        .await;
    assert_eq!(joined["map"], "north/1");
    assert_eq!(
        (&joined["name"], &joined["client"]),
        (&"Ann".into(), &7.into())
    );
    ann.set("k", 1);
    ann.stored().await;
    let head = server.updates("north%2F1").await;
    let changed = |event: &Value| event["kind"] == "change" && event["seq"] == head;
    service.event("the change is told", changed).await;
    ann.go_offline().await;
    let left = service
        .event("Ann leaves", |event| event["kind"] == "leave")
        .await;
    assert_eq!((&left["name"], &left["count"]), (&"Ann".into(), &0.into()));
    for delivery in service.heard() {
        let signed = signature(SECRET.as_bytes(), &delivery.body);
        assert_eq!(delivery.header("x-mapweave-signature"), Some(&*signed));
        let id = delivery.json()["id"].as_str().expect("an id").to_owned();
        assert_eq!(delivery.header("x-mapweave-delivery"), Some(&*id));
    }
    server.stop().await;
    assert!(!server.log().join("\n").contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_comes_again_and_what_is_refused_does_not() {
    let (service, url) = Service::open().await;
    *service.answers.lock().unwrap() = vec![503, 400];
    let mut server = server(&url, &["webhooks.people=false"]).await;
    let ann = Client::join(&server, "m").await;
    ann.set("first", 1);
    ann.stored().await;
    let heard = until("the delivery comes again and is refused", || {
        Some(service.heard()).filter(|heard| heard.len() >= 2)
    })
    .await;
    assert_eq!(heard[0].body, heard[1].body, "the same, with the same id");
    ann.set("second", 2);
    ann.stored().await;
    let head = server.updates("m").await;
    let changed = |event: &Value| event["kind"] == "change" && event["seq"] == head;
    service.event("a later change is told", changed).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_holds_up_nothing_and_a_stop_tells_what_is_left() {
    let (service, url) = Service::open().await;
    let mut lonely = Server::with(&["webhooks.url=http://127.0.0.1:9/told"]).await;
    let mut server = server(&url, &["webhooks.collect_s=3600"]).await;
    for server in [&mut lonely, &mut server] {
        let ann = Client::join(server, "m").await;
        for n in 0..20 {
            ann.set("k", n);
        }
        ann.stored().await;
    }
    server.stop().await;
    let last = service
        .event("the last change is told", |event| event["kind"] == "change")
        .await;
    assert_eq!(last["map"], "m");
    lonely.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_another_kind_of_address_is_refused_at_the_start() {
    let server = Server::down(&["webhooks.url=ftp://example.org"]);
    let ran = server.command("127.0.0.1:0").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("webhooks.url"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_under_tls_is_told_once_its_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::made(folder.path(), "service", &["127.0.0.1"]);
    let (service, url) = Service::open_under_tls(&files).await;
    let stranger = Files::made(folder.path(), "stranger", &["127.0.0.1"]);
    let trusting = |files: &Files| format!("webhooks.ca_file={}", files.authority.display());
    let mut server = server(&url, &[&trusting(&files)]).await;
    let mut wary = self::server(&url, &[&trusting(&stranger)]).await;
    for (server, map) in [(&server, "known"), (&wary, "unknown")] {
        let ann = Client::join(server, map).await;
        ann.set("k", 1);
        ann.stored().await;
    }
    let changed = |event: &Value| event["kind"] == "change" && event["map"] == "known";
    service.event("the change is told", changed).await;
    until_true("the operator is told what to do", || {
        let said =
            |line: &String| line.contains("cannot be reached") && line.contains("webhooks.ca_file");
        wary.log().iter().any(said)
    })
    .await;
    server.stop().await;
    wary.stop().await;
    let unknown = |delivery: Delivery| delivery.json().to_string().contains("unknown");
    assert!(!service.heard().into_iter().any(unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_not_there_is_named_at_the_start() {
    for (url, ca_file) in [
        ("webhooks.url", "webhooks.ca_file"),
        ("auth.webhook_url", "auth.webhook_ca_file"),
    ] {
        let settings = [
            format!("{url}=https://127.0.0.1:9/"),
            format!("{ca_file}=/nowhere/ca.pem"),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let server = Server::down(&settings);
        let ran = server.command("127.0.0.1:0").output().unwrap();
        assert_eq!(ran.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(
            said.contains(url) && said.contains("/nowhere/ca.pem"),
            "{said}"
        );
    }
}
