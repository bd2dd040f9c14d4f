//! Everybody comes back at once after a restart, to a map with a long past.

use futures_util::SinkExt;
use futures_util::future::join_all;
use tokio_tungstenite::tungstenite::Message as Frame;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact, Update};

use crate::harness::client::{connect, next_message};
use crate::harness::wire::{self, Message};
use crate::harness::{Content, Endpoint, Server};

/// Clients that have everything, and come back with it.
const RETURNING: usize = 300;

/// Clients that have nothing yet.
const NEWCOMERS: usize = 10;

/// Sessions of the past, each a client id for ever.
const DEAD_CLIENTS: u64 = 3_000;

/// Deletions that lie apart, so that none can be told together with another.
const DELETIONS: u32 = 100_000;

/// What makes the map large: so many texts of so many letters.
const TEXTS: usize = 200;
const LETTERS: usize = 100_000;

/// Memory of the whole server at its peak: generous, for a build without optimisation.
const MEMORY_KIB_MAX: u64 = 2 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_who_come_back_at_once_add_nothing_to_the_log_of_a_large_map() {
    let mut server = Server::start().await;
    let doc = past();
    let state = {
        let txn = doc.transact();
        txn.encode_state_as_update_v1(&StateVector::default())
    };
    assert!(state.len() > 20_000_000, "{} bytes", state.len());
    server.post("m", state).await;
    let written = server.updates("m").await;
    server.kill().await;
    server.restart().await;
    let vector = doc.transact().state_vector().encode_v1();
    let content = Content::of(&doc);
    let returning = (0..RETURNING).map(|_| comes_back(&server, &doc, &vector));
    let newcomers = (0..NEWCOMERS).map(|_| joins(&server, &content));
    tokio::join!(join_all(returning), join_all(newcomers));
    assert_eq!(server.updates("m").await, written);
    let peak = server.peak_memory_kib();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    server.stop().await;
    server.verify_folder().await;
}

/// A document with many clients, many deletions, and much in it.
fn past() -> Doc {
    let doc = Doc::with_client_id(1 << 40);
    let (feat, gone) = (doc.get_or_insert_map("feat"), doc.get_or_insert_map("gone"));
    {
        let mut txn = doc.transact_mut();
        for text in 0..TEXTS {
            feat.insert(&mut txn, format!("text {text}"), "x".repeat(LETTERS));
        }
        for key in 0..2 * DELETIONS {
            gone.insert(&mut txn, key.to_string(), 1.0);
        }
    }
    {
        let mut txn = doc.transact_mut();
        for key in 0..DELETIONS {
            gone.remove(&mut txn, &(2 * key).to_string());
        }
    }
    for client in 1..=DEAD_CLIENTS {
        let session = Doc::with_client_id(client);
        let feat = session.get_or_insert_map("feat");
        let update = {
            let mut txn = session.transact_mut();
            feat.insert(&mut txn, format!("session {client}"), 1.0);
            txn.encode_update_v1()
        };
        let update = Update::decode_v1(&update).unwrap();
        doc.transact_mut().apply_update(update).unwrap();
    }
    doc
}

/// As a client that has all: it is asked, answers with every deletion, and is told that all is stored.
async fn comes_back(server: &Endpoint, doc: &Doc, vector: &[u8]) {
    let mut socket = connect(server, "m").await;
    let greeting = [wire::sync_step1(vector), wire::durable(&[1])];
    for frame in greeting {
        socket.send(Frame::binary(frame)).await.unwrap();
    }
    loop {
        match next_message(&mut socket).await {
            Message::SyncStep1(asked) => {
                let asked = StateVector::decode_v1(&asked).unwrap();
                let lacking = doc.transact().encode_state_as_update_v1(&asked);
                let answer = Frame::binary(wire::sync_step2(&lacking));
                socket.send(answer).await.unwrap();
            }
            Message::Durable(token) => return assert_eq!(token, [1]),
            _ => {}
        }
    }
}

/// As a client that has nothing: it gets everything.
async fn joins(server: &Endpoint, content: &Content) {
    let mut socket = connect(server, "m").await;
    let ask = Frame::binary(wire::sync_step1(&[0]));
    socket.send(ask).await.unwrap();
    loop {
        if let Message::SyncStep2(state) = next_message(&mut socket).await {
            return assert_eq!(&Content::of_update(&state), content);
        }
    }
}
