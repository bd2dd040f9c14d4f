//! Sockets: each kind of bad message ends its own connection with its code, and no other.

use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use yrs::{Doc, Map, Transact};

use super::poison;
use crate::harness::client::{connect, next_message, read_to_close};
use crate::harness::wait::{until_async, within};
use crate::harness::wire::{self, Message};
use crate::harness::{Client, Content, Request, Server};

/// Refusals are told at once: these tests have many.
const AT_ONCE: &str = "limits.refusal_pause_s=0";

/// Sends frames on a socket of their own and expects the server to close it with `code` and a reason; says and
/// reads something on another connection to the same map.
async fn refused(server: &Server, bystander: &Client, what: &str, frames: &[Vec<u8>], code: u16) {
    let metric = format!("mapweave_sessions_closed_total{{code=\"{code}\"}}");
    let before = server.metric(&metric).await;
    let mut socket = connect(server, "m").await;
    for frame in frames {
        let sent = socket.send(Frame::binary(frame.clone())).await;
        sent.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let (given, reason) = read_to_close(&mut socket)
        .await
        .unwrap_or_else(|| panic!("{what}: the connection broke without a word"));
    assert_eq!(given, code, "{what}: {reason}");
    assert!(
        !reason.is_empty() && reason.len() <= 123,
        "{what}: {reason}"
    );
    drop(socket);
    until_async("the refusal is counted", || async {
        (server.metric(&metric).await == before + 1.0).then_some(())
    })
    .await;
    bystander.set("after", what);
    bystander.stored().await;
    assert!(!bystander.is_closed(), "{what}: another connection ended");
    let fresh = Client::join(server, "m").await;
    fresh.sees("after", what).await;
}

/// The map as it was read after a restart, and everything stored about it, is whole.
async fn unharmed(mut server: Server, mut bystander: Client) {
    bystander.go_offline().await;
    server.kill().await;
    server.restart().await;
    let state = Content::of_update(&server.state("m").await);
    assert_eq!(state, bystander.content());
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_end_their_connection_only() {
    let server = Server::with(&[AT_ONCE]).await;
    let bystander = Client::join(&server, "m").await;
    let huge_number = [&[0xff; 9][..], &[1]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an empty frame", vec![]),
        ("half a number", vec![0x80]),
        ("a number beyond 2^53", huge_number),
        ("an unknown kind of sync", vec![0, 7]),
        ("an unknown kind of auth", vec![2, 9]),
        ("a sync request without its vector", vec![0, 0]),
        ("a length beyond the end", vec![0, 2, 100, 1]),
        (
            "a good message, then half a one",
            [wire::awareness(&[]), vec![0, 2, 9]].concat(),
        ),
        ("bytes after a state vector", wire::sync_step1(&[0, 0])),
        (
            "a client twice in a state vector",
            wire::sync_step1(&[2, 1, 1, 1, 2]),
        ),
        ("bytes after awareness", wire::tagged(&[1], &[0, 0])),
        (
            "awareness that is not UTF-8",
            wire::tagged(&[1], &[1, 7, 1, 1, 0xff]),
        ),
        (
            "a client twice in awareness",
            wire::awareness(&[(7, 1, "{}"), (7, 2, "{}")]),
        ),
    ];
    for (what, frame) in &cases {
        refused(&server, &bystander, what, std::slice::from_ref(frame), 4422).await;
    }
    // More than the bytes that follow can hold: refused by the count, before anything is made for it.
    for frame in [
        wire::sync_step1(poison::MANY_CLIENTS),
        wire::tagged(&[1], poison::MANY_CLIENTS),
    ] {
        refused(&server, &bystander, "139 million clients", &[frame], 4413).await;
    }
    unharmed(server, bystander).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_must_not_be_applied_are_not() {
    let server = Server::with(&[AT_ONCE]).await;
    let bystander = Client::join(&server, "m").await;
    for (what, update) in poison::updates() {
        for frame in [wire::update(&update), wire::sync_step2(&update)] {
            refused(&server, &bystander, what, &[frame], 4422).await;
        }
    }
    unharmed(server, bystander).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nesting_is_bounded_over_any_number_of_updates() {
    let server = Server::with(&[AT_ONCE]).await;
    let bystander = Client::join(&server, "m").await;
    let rungs: Vec<Vec<u8>> = poison::ladder(70).iter().map(|u| wire::update(u)).collect();
    refused(&server, &bystander, "a ladder", &rungs, 4422).await;
    // The same from its end: nothing is deep as long as the beginning is missing.
    let mut backwards: Vec<Vec<u8>> = poison::ladder(70).iter().map(|u| wire::update(u)).collect();
    backwards.reverse();
    let mut socket = connect(&server, "m").await;
    for frame in [wire::sync_step2(&[0, 0])].into_iter().chain(backwards) {
        socket.send(Frame::binary(frame)).await.unwrap();
    }
    bystander.set("still", "here");
    bystander.stored().await;
    let path = "/api/v1/maps/m/state";
    until_async("the state can be read", || async {
        (server.get(path).await.status == 200).then_some(())
    })
    .await;
    drop(socket);
    let mut server = server;
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_with_its_limit() {
    let server = Server::with(&[
        AT_ONCE,
        "limits.update_bytes_max=4096",
        "limits.awareness_bytes_max=1 KiB",
    ])
    .await;
    let bystander = Client::join(&server, "m").await;
    let update = |bytes: usize| {
        let doc = Doc::with_client_id(7);
        let feat = doc.get_or_insert_map("feat");
        let mut txn = doc.transact_mut();
        feat.insert(&mut txn, "large", "x".repeat(bytes));
        txn.encode_update_v1()
    };
    let around = update(4_000).len() - 4_000;
    let large = update(4_097 - around);
    assert_eq!(large.len(), 4_097);
    let state = format!("\"{}\"", "x".repeat(1_030));
    let many = wire::awareness(&[]).repeat(65);
    for (what, frame, code) in [
        ("an update over its limit", wire::update(&large), 4413),
        (
            "a message over the session's limit",
            wire::update(&update(4_300)),
            4413,
        ),
        (
            "a message over the socket's limit",
            wire::update(&update(9_000)),
            4413,
        ),
        (
            "presence over its limit",
            wire::awareness(&[(7, 1, &state)]),
            4413,
        ),
        (
            "an acknowledgement token of 33 bytes",
            wire::durable(&[1; 33]),
            4413,
        ),
        ("65 messages in a frame", many, 4413),
    ] {
        refused(&server, &bystander, what, &[frame], code).await;
    }
    bystander.set("just small enough", "x".repeat(3_900));
    bystander.stored().await;
    unharmed(server, bystander).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_is_refused() {
    let mut server = Server::start().await;
    let mut socket = connect(&server, "m").await;
    socket.send(Frame::text("hello")).await.unwrap();
    let (code, reason) = read_to_close(&mut socket).await.unwrap();
    assert_eq!((code, reason.is_empty()), (1003, false));
    let closed = server.metric("mapweave_sessions_closed_total{code=\"1003\"}");
    assert_eq!(closed.await, 1.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_websocket_framing_is_refused() {
    let mut server = Server::start().await;
    let not_masked: &[u8] = &[0x82, 1, b'x'];
    let reserved: &[u8] = &[0x83, 0x80, 0, 0, 0, 0];
    let endless: &[u8] = &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 2, 3, 4];
    for (bytes, code) in [(not_masked, 1002), (reserved, 1002), (endless, 4413)] {
        let answer = upgraded_and_sent(&server, bytes).await;
        let close: u16 = code;
        let end = [&[0x88][..], &close.to_be_bytes()];
        let found = answer
            .windows(4)
            .any(|w| w[0] == 0x88 && w[2..4] == *end[1]);
        assert!(found, "no close {code} after {bytes:?} in {answer:?}");
    }
    let client = Client::join(&server, "m").await;
    client.set("fine", 1.0);
    client.stored().await;
    server.stop().await;
}

/// Opens a socket by hand, sends bytes and reads to the end.
async fn upgraded_and_sent(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "GET /ws/m HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address()
    );
    let sent = [head.as_bytes(), bytes].concat();
    stream.write_all(&sent).await.unwrap();
    let mut answer = Vec::new();
    within("the server closes", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_unknown_types_are_passed_over() {
    let mut server = Server::start().await;
    let other = Client::join(&server, "m").await;
    let mut socket = connect(&server, "m").await;
    for frame in [
        vec![5],
        wire::tagged(&[77], b"somebody's own"),
        vec![2, 1],
        wire::tagged(&[2, 0], b"a reason"),
        wire::sync_step2(&[0, 0]),
        wire::durable(&[4]),
    ] {
        socket.send(Frame::binary(frame)).await.unwrap();
    }
    while next_message(&mut socket).await != Message::Durable(vec![4]) {}
    other.set("fine", 1.0);
    other.stored().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_wait_for_missing_ones_are_bounded() {
    let mut server = Server::with(&[
        "limits.held_bytes_per_session_max=1 KiB",
        "limits.held_bytes_per_map_max=2 KiB",
    ])
    .await;
    let bystander = Client::join(&server, "m").await;
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let mut updates = Vec::new();
    for number in 0..40 {
        let mut txn = doc.transact_mut();
        feat.insert(&mut txn, format!("{number}"), "x".repeat(100));
        updates.push(wire::update(&txn.encode_update_v1()));
    }
    let (first, others) = updates.split_first().unwrap();
    // Whoever comes back is refused again, at the latest by the map's bound; the code says to come back.
    for _ in 0..3 {
        let frames: Vec<Vec<u8>> = others.to_vec();
        refused(&server, &bystander, "too much that waits", &frames, 4503).await;
    }
    assert!(server.metric("mapweave_updates_refused_total").await >= 3.0);
    // With the one that was missing, everything comes in order and goes in.
    let mut socket = connect(&server, "m").await;
    let mut frames = vec![wire::sync_step2(&[0, 0]), first.clone()];
    frames.extend(others.iter().cloned());
    frames.push(wire::durable(&[1]));
    for frame in frames {
        socket.send(Frame::binary(frame)).await.unwrap();
    }
    while next_message(&mut socket).await != Message::Durable(vec![1]) {}
    bystander.sees("39", "x".repeat(100)).await;
    server.stop().await;
    let verified = server.verify_folder().await;
    assert_eq!(verified["maps"][0]["held"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_sends_too_fast_is_read_more_slowly_and_loses_nothing() {
    let mut server = Server::with(&[
        "limits.messages_per_second=200",
        "limits.messages_burst=100",
    ])
    .await;
    let eager = Client::join(&server, "m").await;
    let calm = Client::join(&server, "m").await;
    for number in 0..250 {
        eager.set(&format!("{number}"), f64::from(number));
    }
    calm.set("in between", 1.0);
    calm.stored().await;
    assert!(
        eager.acknowledged() < eager.made(),
        "nothing was slowed down"
    );
    eager.stored().await;
    assert!(!eager.is_closed());
    calm.converges_with(&eager).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_sockets_are_opened_than_allowed() {
    let mut server = Server::with(&["limits.sessions_max=2"]).await;
    let mut first = Client::join(&server, "a").await;
    let second = Client::join(&server, "b").await;
    let answer = server.send(Request::upgrade("/ws/c")).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "unavailable")
    );
    assert!(answer.header("retry-after").is_some());
    second.set("fine", 1.0);
    second.stored().await;
    first.go_offline().await;
    server.until_sockets(1).await;
    let third = Client::join(&server, "c").await;
    third.set("fine", 1.0);
    third.stored().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_sockets_are_opened_in_one_map_than_allowed() {
    let mut server = Server::with(&["limits.sessions_per_map_max=2"]).await;
    let _first = Client::join(&server, "a").await;
    let _second = Client::join(&server, "a").await;
    // A map counts its connections once in a while.
    let answer = until_async("the map is full", || async {
        let answer = server.send(Request::upgrade("/ws/a")).await;
        (answer.status != 101).then_some(answer)
    })
    .await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "unavailable")
    );
    let _elsewhere = Client::join(&server, "b").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_map_is_closed_to_everybody_until_it_is_restored() {
    let mut server = Server::start().await;
    let mut ann = Client::join(&server, "m").await;
    ann.set("old", 1.0);
    ann.stored().await;
    let delete = Request::new("DELETE", "/api/v1/maps/m");
    assert_eq!(server.send(delete.clone()).await.status, 204);
    let (code, _) = ann.closed().await.unwrap();
    assert_eq!(code, 4404);
    let update = ann.update();
    let write = Request::post("/api/v1/maps/m/state", "application/octet-stream", update);
    for request in [
        Request::get("/api/v1/maps/m"),
        Request::get("/api/v1/maps/m/state"),
        write,
        delete.clone(),
    ] {
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (410, "deleted-map")
        );
    }
    // Browsers tell a page nothing of an answer that opens no socket: the close code says it.
    let mut late = connect(&server, "m").await;
    let (code, reason) = read_to_close(&mut late).await.unwrap();
    assert_eq!((code, reason.as_str()), (4404, "this map was deleted"));
    let undelete = Request::new("POST", "/api/v1/maps/m/undelete");
    assert_eq!(server.send(undelete).await.status, 204);
    ann.set("new", 2.0);
    ann.go_online(&server).await;
    ann.stored().await;
    let fresh = Client::join(&server, "m").await;
    assert_eq!(fresh.content().keys(), ["new", "old"]);
    drop(fresh);
    // Created anew, the name stands for another document: the old one stays deleted.
    assert_eq!(server.send(delete).await.status, 204);
    ann.closed().await;
    let create = Request::post("/api/v1/maps", "application/json", r#"{"name":"m"}"#);
    assert_eq!(server.send(create).await.status, 201);
    let fresh = Client::join(&server, "m").await;
    assert!(fresh.content().keys().is_empty());
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_messages_are_bounded_over_all_sockets_and_the_largest_goes() {
    let mut server = Server::with(&[
        "limits.update_bytes_max=64 KiB",
        "limits.unfinished_bytes_max=100 KiB",
    ])
    .await;
    // The head of a masked binary message of 65 000 bytes, and fewer than that.
    let begin =
        |bytes: usize| [&[0x82, 0xfe, 0xfd, 0xe8, 1, 2, 3, 4][..], &vec![0; bytes]].concat();
    let mut large = connect(&server, "m").await;
    let begun = begin(60_000);
    large.get_mut().write_all(&begun).await.unwrap();
    until_async("it has arrived", || async {
        (server.metric("mapweave_unfinished_bytes").await >= 60_000.0).then_some(())
    })
    .await;
    let mut small = connect(&server, "m").await;
    small.get_mut().write_all(&begin(50_000)).await.unwrap();
    let (code, reason) = read_to_close(&mut large).await.unwrap();
    assert_eq!(code, 4503, "{reason}");
    let evicted = "mapweave_unfinished_evicted_total";
    assert_eq!(server.metric(evicted).await, 1.0);
    until_async("it holds nothing any more", || async {
        (server.metric("mapweave_unfinished_bytes").await < 60_000.0).then_some(())
    })
    .await;
    // Others go on.
    let client = Client::join(&server, "m").await;
    client.set("fine", "x".repeat(40_000));
    client.stored().await;
    drop((large, small));
    server.stop().await;
}
