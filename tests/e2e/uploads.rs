//! States too large to be one update: taken whole and in pieces, or not at all.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use yrs::updates::decoder::Decode;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact, Update};

use crate::harness::wait::{until_async, until_true};
use crate::harness::{Client, Content, Request, Server};

const BYTES: &str = "application/octet-stream";
const STATE: &str = "/api/v1/maps/m/state";

/// The largest update of these tests, in bytes.
const UPDATE_BYTES_MAX: usize = 16 << 10;

async fn server() -> Server {
    let update = format!("limits.update_bytes_max={UPDATE_BYTES_MAX}");
    Server::with(&[&update, "limits.state_bytes_max=1 MiB"]).await
}

/// Three editors who write over and delete each other's entries, with about `bytes` bytes of texts.
fn document(bytes: usize) -> Doc {
    const TEXT: usize = 500;
    let editors = [7, 8, 1 << 40].map(Doc::with_client_id);
    for number in 0..bytes / TEXT {
        let doc = &editors[number % editors.len()];
        let feat = doc.get_or_insert_map("feat");
        if number % 50 == 0 {
            merge(doc, &editors[(number + 1) % editors.len()]);
        }
        let text = format!("{number:05}").repeat(TEXT / 5);
        feat.insert(&mut doc.transact_mut(), format!("{}", number / 2), text);
        if number % 7 == 0 {
            feat.remove(&mut doc.transact_mut(), &format!("{}", number / 4));
        }
    }
    let [first, second, third] = editors;
    for other in [second, third] {
        merge(&first, &other);
    }
    first
}

fn merge(into: &Doc, other: &Doc) {
    let update = Update::decode_v1(&state(other)).expect("an update");
    into.transact_mut().apply_update(update).expect("a merge");
}

fn state(doc: &Doc) -> Vec<u8> {
    doc.transact()
        .encode_state_as_update_v1(&StateVector::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_state_goes_in_whole_and_once() {
    let mut server = server().await;
    let watching = Client::join(&server, "m").await;
    let doc = document(400 << 10);
    let state = state(&doc);
    let seq = server.post("m", state.clone()).await;
    assert!(seq > state.len() as u64 / UPDATE_BYTES_MAX as u64);
    let expected = Content::of(&doc);
    assert_eq!(Content::of_update(&server.state("m").await), expected);
    until_true("who watches has all of it", || {
        watching.content() == expected
    })
    .await;
    assert_eq!(server.post("m", state.clone()).await, seq);
    assert_eq!(server.updates("m").await, seq);
    // Acknowledged is durable.
    server.kill().await;
    server.restart().await;
    assert_eq!(Content::of_update(&server.state("m").await), expected);
    assert_eq!(server.post("m", state).await, seq);
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_state_that_is_cut_off_or_wrong_leaves_nothing() {
    let mut server = server().await;
    let create = Request::post("/api/v1/maps", "application/json", r#"{"name":"m"}"#);
    assert_eq!(server.send(create).await.status, 201);
    let state = state(&document(400 << 10));
    let length = state.len();

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST {STATE} HTTP/1.1\r\nhost: {}\r\ncontent-type: {BYTES}\r\ncontent-length: {length}\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&state[..length - 1]).await.unwrap();
    drop(stream);
    until_async("the server notices", || async {
        (server
            .metric("mapweave_http_problems_total{status=\"400\"}")
            .await
            == 1.0)
            .then_some(())
    })
    .await;

    let mut damaged = state.clone();
    damaged.push(0);
    let early = {
        let doc = document(400 << 10);
        let first = doc.transact().state_vector();
        let feat = doc.get_or_insert_map("feat");
        let text = "x".repeat(3 * UPDATE_BYTES_MAX / 4);
        feat.insert(&mut doc.transact_mut(), "a", text.clone());
        feat.insert(&mut doc.transact_mut(), "b", text);
        doc.transact().encode_diff_v1(&first)
    };
    let unwieldy = {
        let doc = Doc::with_client_id(7);
        let feat = doc.get_or_insert_map("feat");
        let text = "x".repeat(UPDATE_BYTES_MAX);
        feat.insert(&mut doc.transact_mut(), "a", text);
        self::state(&doc)
    };
    for (what, body, status, problem, says) in [
        (
            "a byte too many",
            damaged,
            422,
            "refused-update",
            "1 bytes follow",
        ),
        (
            "no base",
            early,
            409,
            "missing-base",
            "send the whole state",
        ),
        (
            "one huge struct",
            unwieldy,
            422,
            "refused-update",
            "limits.update_bytes_max",
        ),
        (
            "too much",
            vec![0; (1 << 20) + 1],
            413,
            "too-large",
            "limits.state_bytes_max",
        ),
    ] {
        let answer = server.send(Request::post(STATE, BYTES, body)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem),
            "{what}"
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{what}: {detail}");
    }
    assert_eq!(server.updates("m").await, 1);
    let folder = server.data().join("uploads");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    // The same bytes whole go in.
    server.post("m", state.clone()).await;
    assert_eq!(
        Content::of_update(&server.state("m").await),
        Content::of_update(&state)
    );
    server.stop().await;
    server.verify_folder().await;
}
