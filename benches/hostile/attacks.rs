//! Hostile clients of each kind, in the map of the honest ones. Each goes on until its process is killed, and comes back where it is
//! turned away.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yrs::{Doc, Map, Transact};

use crate::harness::raw::{BEGIN, BINARY, CONTINUE, PING, frame, frame_head};
use crate::harness::{Endpoint, Raw, Request, wire};

/// What a hostile client does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads nothing of what it is sent.
    Deaf,
    /// Opens connections, says half a request, opens more.
    Lingering,
    /// Sends fragments of one byte, and pings, without end.
    Fragments,
    /// Begins messages of 64 MiB and never ends them.
    Unfinished,
    /// Shows the largest presence there is, ever newer.
    Presence,
    /// Asks for differences to ever other states.
    Asking,
    /// Sends updates that build on others which never come.
    Gaps,
    /// Sends bodies byte by byte.
    Slow,
    /// Listens to events without reading.
    Listening,
    /// Writes updates as fast as they are taken.
    Writing,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Deaf,
        Self::Lingering,
        Self::Fragments,
        Self::Unfinished,
        Self::Presence,
        Self::Asking,
        Self::Gaps,
        Self::Slow,
        Self::Listening,
        Self::Writing,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Deaf => "a socket that is not read",
            Self::Lingering => "connections without a request",
            Self::Fragments => "one-byte fragments and pings",
            Self::Unfinished => "messages that never end",
            Self::Presence => "presence without end",
            Self::Asking => "sync requests without end",
            Self::Gaps => "updates with gaps",
            Self::Slow => "bodies byte by byte",
            Self::Listening => "events that are not read",
            Self::Writing => "updates at full speed",
        }
    }
}

/// Does what `name` says, for ever.
pub async fn run(name: &str, server: Endpoint) {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    match kind.expect("a kind of attack") {
        Kind::Deaf => deaf(server).await,
        Kind::Lingering => lingering(server).await,
        Kind::Fragments => fragments(server).await,
        Kind::Unfinished => unfinished(server).await,
        Kind::Presence => presence(server).await,
        Kind::Asking => asking(server).await,
        Kind::Gaps => gaps(server).await,
        Kind::Slow => slow(server).await,
        Kind::Listening => listening(server).await,
        Kind::Writing => writing(server).await,
    }
}

/// A socket that has synced.
async fn synced(server: Endpoint) -> Raw {
    let mut socket = Raw::open(&server, "/ws/m").await;
    for message in [wire::sync_step1(&[0]), wire::sync_step2(&[0, 0])] {
        // It may be closed at once, here and below: then the next one is.
        let _ = socket.say(&message).await;
    }
    socket
}

async fn deaf(server: Endpoint) {
    loop {
        let mut socket = synced(server).await;
        let ping = frame(PING, &[7; 125]).repeat(100);
        while socket.send(&ping).await.is_ok() {}
    }
}

async fn lingering(server: Endpoint) {
    let one = || async move {
        loop {
            let Ok(mut stream) = TcpStream::connect(server.address()).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let _ = stream.write_all(b"GET /ws/m HTTP/1.1\r\nhost: ").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    let many = (0..5_000).map(|_| tokio::spawn(one()));
    futures_util::future::join_all(many).await;
}

/// Sends the same bytes for ever and reads what comes.
async fn flood(server: Endpoint, first: Vec<u8>, bytes: Vec<u8>) {
    loop {
        let mut socket = synced(server).await;
        let _ = socket.send(&first).await;
        let (mut reading, mut writing) = socket.into_split();
        let sending = async { while writing.write_all(&bytes).await.is_ok() {} };
        let mut nowhere = tokio::io::sink();
        tokio::select! {
            () = sending => {}
            _ = tokio::io::copy(&mut reading, &mut nowhere) => {}
        }
    }
}

async fn fragments(server: Endpoint) {
    let begun = frame(BEGIN, b"x");
    let some = frame(CONTINUE, b"x").repeat(1_000);
    let pings = frame(PING, b"").repeat(1_000);
    tokio::join!(flood(server, begun, some), flood(server, Vec::new(), pings));
}

async fn unfinished(server: Endpoint) {
    let one = || async move {
        loop {
            let mut socket = synced(server).await;
            let _ = socket.send(&frame_head(BINARY, 64 << 20)).await;
            let piece = vec![7; 64 << 10];
            for _ in 0..1_000 {
                if socket.send(&piece).await.is_err() {
                    break;
                }
            }
            let _ = socket.closed().await;
        }
    };
    let several = (0..8).map(|_| tokio::spawn(one()));
    futures_util::future::join_all(several).await;
}

async fn presence(server: Endpoint) {
    let state = format!("\"{}\"", "x".repeat(60 << 10));
    loop {
        let (mut reading, mut writing) = synced(server).await.into_split();
        let sending = async {
            for clock in 1.. {
                for client in 1_000..1_016 {
                    let shown = wire::awareness(&[(client, clock, &state)]);
                    if writing.write_all(&frame(BINARY, &shown)).await.is_err() {
                        return;
                    }
                }
            }
        };
        let mut nowhere = tokio::io::sink();
        tokio::select! {
            () = sending => {}
            _ = tokio::io::copy(&mut reading, &mut nowhere) => {}
        }
    }
}

async fn asking(server: Endpoint) {
    // Somebody whom the map knows has to be among them, or all of these are the same question.
    write(server, 11, 5_000).await;
    let questions = (1..5_000_u64).flat_map(|clock| {
        let mut vector = Vec::new();
        for number in [1, 11, clock] {
            wire::number(&mut vector, number);
        }
        frame(BINARY, &wire::sync_step1(&vector))
    });
    let questions: Vec<u8> = questions.collect();
    let vectors = Arc::new(questions.clone());
    let returning = async move {
        // Each question on a connection of its own, for which the first answer costs nothing.
        for one in vectors.chunks_exact(10).cycle() {
            let mut socket = Raw::open(&server, "/ws/m").await;
            let _ = socket.send(one).await;
            let _ = socket.next().await;
        }
    };
    tokio::join!(flood(server, Vec::new(), questions), returning);
}

/// Writes so many entries as one client.
async fn write(server: Endpoint, client: u64, count: usize) {
    let doc = Doc::with_client_id(client);
    let feat = doc.get_or_insert_map("feat");
    let update = {
        let mut txn = doc.transact_mut();
        for number in 0..count {
            feat.insert(&mut txn, format!("entry{client}.{number}"), "x".repeat(50));
        }
        txn.encode_update_v1()
    };
    server.post("m", update).await;
}

async fn gaps(server: Endpoint) {
    for client in 100_000.. {
        let doc = Doc::with_client_id(client);
        let feat = doc.get_or_insert_map("feat");
        let mut socket = synced(server).await;
        for number in 0..10_000 {
            let update = {
                let mut txn = doc.transact_mut();
                feat.insert(&mut txn, format!("gap{number}"), "x".repeat(2_000));
                txn.encode_update_v1()
            };
            // The first one is never sent.
            if number > 0 && socket.say(&wire::update(&update)).await.is_err() {
                break;
            }
        }
    }
}

async fn slow(server: Endpoint) {
    let body = || async move {
        loop {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            let head = format!(
                "POST /api/v1/maps/m/state HTTP/1.1\r\nhost: {}\r\ncontent-type: application/octet-stream\r\n\
                 content-length: 1000000\r\n\r\n",
                server.address()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[0]).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
    };
    let bodies = (0..50).map(|_| tokio::spawn(body()));
    futures_util::future::join_all(bodies).await;
}

async fn listening(server: Endpoint) {
    let listener = || async move {
        let events = Request::get("/api/v1/maps/m/events");
        loop {
            let (_, listener) = Raw::ask(&server, events.clone()).await;
            // Until the server has had enough of it.
            let (reading, _writing) = listener.into_split();
            while reading.ready(tokio::io::Interest::ERROR).await.is_err() {}
        }
    };
    let listeners = (0..50).map(|_| tokio::spawn(listener()));
    futures_util::future::join_all(listeners).await;
}

async fn writing(server: Endpoint) {
    let doc = Doc::with_client_id(12);
    let feat = doc.get_or_insert_map("feat");
    loop {
        let (mut reading, mut writing) = synced(server).await.into_split();
        let sending = async {
            loop {
                let update = {
                    let mut txn = doc.transact_mut();
                    feat.insert(&mut txn, "hostile", "x".repeat(1_000));
                    txn.encode_update_v1()
                };
                let said = frame(BINARY, &wire::update(&update));
                if writing.write_all(&said).await.is_err() {
                    return;
                }
            }
        };
        let mut nowhere = tokio::io::sink();
        tokio::select! {
            () = sending => {}
            _ = tokio::io::copy(&mut reading, &mut nowhere) => {}
        }
    }
}
