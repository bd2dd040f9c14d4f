//! Every replica agrees: offline edits, restarts, gaps, many joiners, slow readers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message as Frame;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact, Update};

use crate::harness::client::{Socket, connect, next_message};
use crate::harness::wait::{until_async, until_true, within};
use crate::harness::wire::{self, Message};
use crate::harness::{Client, Content, Request, Server};

/// One update per edit of a single client, and the document they make.
fn edits(keys: &[&str]) -> (Vec<Vec<u8>>, Doc) {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let mut updates = Vec::new();
    for key in keys {
        let mut txn = doc.transact_mut();
        feat.insert(&mut txn, *key, 1.0);
        updates.push(txn.encode_update_v1());
    }
    (updates, doc)
}

/// Asks on a bare socket for an acknowledgement of all before, having nothing else to offer.
async fn settle(socket: &mut Socket, token: u8) {
    let ask = wire::durable(&[token]);
    socket.send(Frame::binary(ask)).await.unwrap();
    while next_message(socket).await != Message::Durable(vec![token]) {}
}

/// A bare socket whose first sync is over, so that acknowledgements come.
async fn bare(server: &Server, map: &str) -> Socket {
    let mut socket = connect(server, map).await;
    let nothing = wire::sync_step2(&[0, 0]);
    socket.send(Frame::binary(nothing)).await.unwrap();
    settle(&mut socket, 0).await;
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_worked_offline_merge_and_a_third_sees_the_same() {
    let mut server = Server::start().await;
    let mut ann = Client::join(&server, "field").await;
    let mut ben = Client::join(&server, "field").await;
    ann.set("well", "dry");
    ann.set("bridge", "open");
    ben.sees("bridge", "open").await;
    ann.stored().await;
    ann.go_offline().await;
    ben.go_offline().await;
    for number in 0..100 {
        ann.set(&format!("ann {number}"), number as f64);
        ben.set(&format!("ben {number}"), number as f64);
    }
    ann.set("well", "full");
    ben.set("well", "poisoned");
    ann.remove("bridge");
    ben.set("bridge", "closed");
    server.kill().await;
    server.restart().await;
    ann.go_online(&server).await;
    ann.stored().await;
    server.kill().await;
    ann.closed().await;
    server.restart().await;
    ben.go_online(&server).await;
    ann.go_online(&server).await;
    ben.stored().await;
    ann.converges_with(&ben).await;
    let third = Client::join(&server, "field").await;
    assert_eq!(third.content(), ann.content());
    assert_eq!(
        Content::of_update(&server.state("field").await),
        ann.content()
    );
    assert_eq!(third.content().keys().len(), 202);
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_without_news_adds_nothing_to_the_log() {
    let mut server = Server::start().await;
    let mut ann = Client::join(&server, "m").await;
    let ben = Client::join(&server, "m").await;
    for number in 0..20 {
        ann.set("same key", number as f64);
        ben.set("same key", -number as f64);
        ann.set(&format!("ann {number}"), "a");
        ben.remove(&format!("ann {number}"));
    }
    ann.stored().await;
    ben.stored().await;
    ann.converges_with(&ben).await;
    let before = server.updates("m").await;
    for _ in 0..5 {
        ann.go_offline().await;
        ann.go_online(&server).await;
        ann.stored().await;
    }
    let fresh = Client::join(&server, "m").await;
    fresh.converges_with(&ann).await;
    // Whoever sends all that it has, again and again, brings nothing either.
    let whole = ann.update();
    fresh.send(wire::sync_step2(&whole));
    fresh.send(wire::update(&whole));
    let mut socket = bare(&server, "m").await;
    settle(&mut socket, 1).await;
    assert_eq!(server.post("m", whole).await, before);
    assert_eq!(server.updates("m").await, before);
    server.kill().await;
    server.restart().await;
    for client in [&mut ann] {
        client.closed().await;
        client.go_online(&server).await;
        client.stored().await;
    }
    assert_eq!(server.updates("m").await, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_lost_on_the_way_is_asked_for_and_comes() {
    let mut server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    let ben = Client::join(&server, "m").await;
    ann.set("first", 1.0);
    ben.sees("first", 1.0).await;
    ann.edit_and_lose(|feat, txn| {
        feat.insert(txn, "lost", 2.0);
    });
    ann.set("third", 3.0);
    ben.sees("lost", 2.0).await;
    ben.sees("third", 3.0).await;
    ann.stored().await;
    ann.converges_with(&ben).await;
    let late = Client::join(&server, "m").await;
    assert_eq!(late.content(), ann.content());
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_nobody_can_fill_yet_is_kept_through_restarts_and_heals() {
    let mut server = Server::start().await;
    let keys = ["1", "2 missing", "3", "4 missing", "5"];
    let (updates, doc) = edits(&keys);
    let watcher = Client::join(&server, "m").await;
    let mut socket = bare(&server, "m").await;
    for index in [0, 2, 4] {
        let frame = wire::update(&updates[index]);
        socket.send(Frame::binary(frame)).await.unwrap();
    }
    // What waits is acknowledged as well: it is stored.
    settle(&mut socket, 1).await;
    drop(socket);
    watcher.sees("1", 1.0).await;
    server.kill().await;
    server.restart().await;
    let mut late = Client::join(&server, "m").await;
    late.sees("1", 1.0).await;
    let compacted = server
        .mapweave(&["compact", "m", "--server", &server.url()])
        .await;
    compacted.done();
    server.stop().await;
    late.closed().await;
    let verified = server.verify_folder().await;
    assert_eq!(verified["maps"][0]["held"], 2, "{verified:#}");
    server.restart().await;
    late.go_online(&server).await;
    let later = Client::join(&server, "m").await;
    let mut socket = bare(&server, "m").await;
    let frame = wire::update(&updates[1]);
    socket.send(Frame::binary(frame)).await.unwrap();
    settle(&mut socket, 1).await;
    for client in [&late, &later] {
        client.sees("3", 1.0).await;
    }
    server.kill().await;
    server.restart().await;
    let mut socket = bare(&server, "m").await;
    let frame = wire::update(&updates[3]);
    socket.send(Frame::binary(frame)).await.unwrap();
    settle(&mut socket, 1).await;
    let whole = Content::of(&doc);
    assert_eq!(Content::of_update(&server.state("m").await), whole);
    late.closed().await;
    late.go_online(&server).await;
    let newest = Client::join(&server, "m").await;
    for client in [&late, &newest] {
        until_true("the gap is healed", || client.content() == whole).await;
        assert!(!client.content().is_missing_something());
    }
    server.stop().await;
    let verified = server.verify_folder().await;
    assert_eq!(verified["maps"][0]["held"], 0, "{verified:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_join_at_once_are_sent_the_same_bytes() {
    let mut server = Server::start().await;
    let writer = Client::join(&server, "m").await;
    for number in 0..2_000 {
        writer.set(&format!("feature {number}"), "x".repeat(100));
        if number % 7 == 0 {
            writer.remove(&format!("feature {}", number / 2));
        }
    }
    writer.stored().await;
    for restarted in [false, true] {
        if restarted {
            server.kill().await;
            server.restart().await;
        }
        let joining = (0..20).map(|_| first_state(&server, "m"));
        let states = futures_util::future::join_all(joining).await;
        for state in &states {
            assert_eq!(state, &states[0], "restarted: {restarted}");
        }
        assert_eq!(Content::of_update(&states[0]), writer.content());
    }
    server.stop().await;
}

/// The first SyncStep2 that a newcomer gets.
async fn first_state(server: &Server, map: &str) -> Vec<u8> {
    let mut socket = connect(server, map).await;
    let ask = wire::sync_step1(&StateVector::default().encode_v1());
    socket.send(Frame::binary(ask)).await.unwrap();
    loop {
        if let Message::SyncStep2(state) = next_message(&mut socket).await {
            return state;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_brought_up_to_date_on_the_same_connection() {
    let mut server = Server::with(&["limits.session_queue_bytes_max=64 KiB"]).await;
    let mut slow = Client::join(&server, "m").await;
    let writer = Client::join(&server, "m").await;
    let fast = Client::join(&server, "m").await;
    slow.read(false);
    let large = "x".repeat(200_000);
    let mut number = 0;
    until_async("the slow reader is behind", || {
        number += 1;
        writer.set("large", format!("{number} {large}"));
        writer.set(&format!("small {number}"), f64::from(number));
        writer.remove(&format!("small {}", number - 1));
        let (writer, server) = (&writer, &server);
        async move {
            writer.stored().await;
            (server.metric("mapweave_sessions_behind_total").await > 0.0).then_some(())
        }
    })
    .await;
    // Those who read are not held up by the one who does not.
    writer.set("during", 1.0);
    fast.sees("during", 1.0).await;
    slow.read(true);
    slow.converges_with(&writer).await;
    writer.set("after", 2.0);
    slow.sees("after", 2.0).await;
    slow.set("from the slow one", 3.0);
    fast.sees("from the slow one", 3.0).await;
    slow.stored().await;
    assert!(!slow.is_closed());
    slow.go_offline().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_frames_are_read_and_every_answer_has_a_frame_of_its_own() {
    let mut server = Server::start().await;
    let (updates, doc) = edits(&["a", "b"]);
    let other = Client::join(&server, "m").await;
    let mut socket = connect(&server, "m").await;
    let packed = [
        wire::sync_step2(&updates[0]),
        wire::update(&updates[1]),
        wire::awareness(&[(7, 1, "{}")]),
        wire::durable(&[9]),
        wire::sync_step1(&[0]),
        wire::query_awareness(),
        // Whatever follows is passed over: y-sweet's client puts a payload there.
        vec![0xff, 0xff, 0xff],
    ]
    .concat();
    socket.send(Frame::binary(packed)).await.unwrap();
    // `next_message` refuses a frame of two messages.
    let (mut step1, mut state, mut acknowledged, mut present) = (false, None, false, false);
    while !(step1 && state.is_some() && acknowledged && present) {
        match next_message(&mut socket).await {
            Message::SyncStep1(_) => step1 = true,
            Message::SyncStep2(update) => state = Some(update),
            Message::Durable(token) => acknowledged = token == [9],
            Message::Awareness(entries) => present |= entries == [(7, 1, "{}".to_owned())],
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(Content::of_update(&state.unwrap()), Content::of(&doc));
    other.sees("b", 1.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_before_the_map_is_loaded_are_not_lost() {
    let mut server = Server::start().await;
    let (updates, doc) = edits(&["a", "b", "c"]);
    server.post("m", updates[0].clone()).await;
    server.kill().await;
    server.restart().await;
    let mut socket = connect(&server, "m").await;
    for frame in [
        wire::sync_step2(&updates[1]),
        wire::update(&updates[2]),
        wire::durable(&[5]),
    ] {
        socket.feed(Frame::binary(frame)).await.unwrap();
    }
    socket.flush().await.unwrap();
    while next_message(&mut socket).await != Message::Durable(vec![5]) {}
    assert_eq!(
        Content::of_update(&server.state("m").await),
        Content::of(&doc)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_over_http_is_the_state_over_sockets() {
    let mut server = Server::start().await;
    let client = Client::join(&server, "deep/er%20map").await;
    client.set("a", 1.0);
    client.stored().await;
    // One percent-encoded segment on HTTP, any number of segments on sockets.
    let path = "deep%2Fer%20map";
    let state = server.state(path).await;
    assert_eq!(Content::of_update(&state), client.content());
    let (updates, _) = edits(&["over http"]);
    server.post(path, updates[0].clone()).await;
    client.sees("over http", 1.0).await;
    let have = Doc::new();
    let apply = |update: &[u8]| {
        let update = Update::decode_v1(update).unwrap();
        have.transact_mut().apply_update(update).unwrap();
    };
    apply(&state);
    let vector = have.transact().state_vector().encode_v1();
    let sv = URL_SAFE_NO_PAD.encode(vector);
    let rest = server
        .get(&format!("/api/v1/maps/{path}/state?sv={sv}"))
        .await;
    assert_eq!(rest.status, 200);
    let whole = server.get(&format!("/api/v1/maps/{path}/state")).await;
    assert!(rest.body.len() < whole.body.len());
    apply(&rest.body);
    assert_eq!(Content::of(&have), client.content());
    let tag = whole.header("etag").unwrap();
    let again = Request::get(&format!("/api/v1/maps/{path}/state"));
    let again = server.send(again.header("if-none-match", tag)).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_connection_is_kept_alive_by_messages() {
    let mut server = Server::with(&["room.keepalive_s=1"]).await;
    let mut socket = bare(&server, "m").await;
    let mut alive = 0;
    while alive < 2 {
        let message = within("a sign of life comes", socket.next()).await;
        let frame = message.unwrap().unwrap();
        // Control frames do not count for clients: the sign has to be a message.
        if let Frame::Binary(frame) = frame {
            assert_eq!(wire::read(&frame), Message::Awareness(Vec::new()));
            alive += 1;
        }
    }
    server.stop().await;
}
