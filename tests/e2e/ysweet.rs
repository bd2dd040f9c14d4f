//! The y-sweet protocol over HTTP: documents and client tokens as `@y-sweet/sdk` asks for them. The stock client and SDK
//! themselves run in `tests/clients`.

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;
use yrs::{Doc, Map, Transact};

use crate::harness::client::{connect_to, next_message, read_to_close};
use crate::harness::wire::{self, Message};
use crate::harness::{Content, Endpoint, Request, Server};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

async fn make(server: &Endpoint, body: Value) -> (u16, Value) {
    let request = Request::post("/doc/new?z=k2j", JSON, body.to_string());
    let answer = server.send(request).await;
    (answer.status, answer.json())
}

async fn token(server: &Endpoint, map: &str, body: Value) -> (u16, Value) {
    let path = format!("/doc/{map}/auth?z=k2j");
    let request = Request::post(&path, JSON, body.to_string());
    let answer = server.send(request).await;
    (answer.status, answer.json())
}

fn update(key: &str) -> Vec<u8> {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    feat.insert(&mut txn, key, 1.0);
    txn.encode_update_v1()
}

/// The path below a server's address.
fn path_of<'a>(server: &Endpoint, url: &'a Value) -> &'a str {
    let (_, rest) = url.as_str().unwrap().split_once("://").unwrap();
    rest.strip_prefix(&server.address().to_string()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_made_opened_written_and_read() {
    let mut server = Server::start().await;
    let (status, made) = make(&server, json!({ "docId": "my-doc_1" })).await;
    assert_eq!((status, &made), (200, &json!({ "docId": "my-doc_1" })));
    let (status, token) = token(&server, "my-doc_1", json!({})).await;
    let below = format!("{}/d/my-doc_1", server.address());
    let expected = json!({
        "url": format!("ws://{below}/ws"), "baseUrl": format!("http://{below}"),
        "docId": "my-doc_1", "authorization": "full",
    });
    assert_eq!((status, &token), (200, &expected));
    let base = path_of(&server, &token["baseUrl"]);
    let posted = Request::post(&format!("{base}/update?z=1"), BYTES, update("posted"));
    assert_eq!(server.send(posted).await.status, 200);
    // The client appends the document's id.
    let socket = format!(
        "{}/my-doc_1?token=whatever&z=1",
        path_of(&server, &token["url"])
    );
    let mut socket = connect_to(&server, &socket).await;
    let told = [
        wire::sync_step1(&[0]),
        wire::durable(&[0]),
        wire::sync_step2(&update("sent")),
        wire::durable(&[1]),
    ];
    for frame in told {
        socket.send(Frame::binary(frame)).await.unwrap();
    }
    while next_message(&mut socket).await != Message::Durable(vec![1]) {}
    let read = server.get(&format!("{base}/as-update?z=1")).await;
    assert_eq!(read.status, 200);
    assert_eq!(Content::of_update(&read.body).keys(), ["posted", "sent"]);
    assert_eq!(
        Content::of_update(&server.state("my-doc_1").await)
            .keys()
            .len(),
        2
    );
    drop(socket);
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_made_is_there_after_a_crash() {
    let mut server = Server::start().await;
    let (_, made) = make(&server, json!({})).await;
    let name = made["docId"].as_str().unwrap().to_owned();
    assert!(name.len() >= 20 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let (_, other) = make(&server, json!({})).await;
    assert_ne!(other["docId"], made["docId"]);
    server.kill().await;
    server.restart().await;
    assert_eq!(token(&server, &name, json!({})).await.0, 200);
    // Making it again changes nothing.
    let updates = server.updates(&name).await;
    assert_eq!(make(&server, json!({ "docId": name })).await, (200, made));
    assert_eq!(server.updates(&name).await, updates);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_make_a_document_at_once_all_get_it() {
    let mut server = Server::start().await;
    let all = (0..16).map(|_| make(&server, json!({ "docId": "together" })));
    for (status, made) in futures_util::future::join_all(all).await {
        assert_eq!((status, made), (200, json!({ "docId": "together" })));
    }
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_any_name_are_reached_raw_and_encoded() {
    let mut server = Server::start().await;
    for (name, raw, encoded) in [
        ("with space", "with%20space", "with%20space"),
        ("folder/map", "folder/map", "folder%2Fmap"),
        ("a/auth/b", "a/auth/b", "a%2Fauth%2Fb"),
        ("ws/ws", "ws/ws", "ws%2Fws"),
        ("Žižkov", "%C5%BDi%C5%BEkov", "%C5%BDi%C5%BEkov"),
    ] {
        assert_eq!(make(&server, json!({ "docId": name })).await.0, 200);
        for path in [raw, encoded] {
            let (status, token) = token(&server, path, json!({})).await;
            assert_eq!((status, &token["docId"]), (200, &json!(name)));
            let base = path_of(&server, &token["baseUrl"]).to_owned();
            assert_eq!(base, format!("/d/{encoded}"));
            // Whoever writes the name as it is does so twice.
            let raw_only = &[raw][..];
            for (below, lasts) in [(base, &[raw, encoded][..]), (format!("/d/{raw}"), raw_only)] {
                assert_eq!(server.get(&format!("{below}/as-update")).await.status, 200);
                for last in lasts {
                    let upgrade = Request::upgrade(&format!("{below}/ws/{last}"));
                    let answer = server.send(upgrade).await;
                    assert_eq!(answer.status, 101, "{below}/ws/{last}");
                }
            }
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let mut server = Server::start().await;
    assert_eq!(make(&server, json!({ "docId": "m" })).await.0, 200);
    let told = |status: u16, problem: &str| (status, problem.to_owned());
    for (request, expected) in [
        (
            Request::post("/doc/new", JSON, r#"{"docId":"no?name"}"#),
            (400, "bad-map-name"),
        ),
        (
            Request::post("/doc/new", JSON, "no JSON"),
            (400, "bad-request"),
        ),
        (
            Request::post("/doc/new", "text/plain", "{}"),
            (415, "media-type"),
        ),
        (
            Request::post("/doc/nobody/auth", JSON, "{}"),
            (404, "unknown-map"),
        ),
        (
            Request::post("/doc/m/auth", JSON, r#"{"authorization":"all"}"#),
            (400, "bad-request"),
        ),
        (Request::get("/d/nobody/as-update"), (404, "unknown-map")),
        (
            Request::post("/d/m/update", JSON, "{}"),
            (415, "media-type"),
        ),
        (
            Request::post("/d/m/update", BYTES, [9, 9]),
            (422, "refused-update"),
        ),
        (Request::upgrade("/d/m/ws/other"), (400, "bad-request")),
        (Request::upgrade("/d/m/ws/"), (400, "bad-map-name")),
        (Request::get("/d/m/ws/m"), (426, "websocket")),
        (Request::get("/d/m"), (404, "not-found")),
    ] {
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, answer.problem()),
            told(expected.0, expected.1)
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_stays_deleted_however_often_an_app_asks_for_it() {
    let mut server = Server::start().await;
    assert_eq!(make(&server, json!({ "docId": "m" })).await.0, 200);
    let delete = Request::new("DELETE", "/api/v1/maps/m");
    assert_eq!(server.send(delete).await.status, 204);
    assert_eq!(make(&server, json!({ "docId": "m" })).await.0, 410);
    assert_eq!(token(&server, "m", json!({})).await.0, 410);
    assert_eq!(server.get("/d/m/as-update").await.status, 410);
    let mut socket = connect_to(&server, "/d/m/ws/m").await;
    assert_eq!(read_to_close(&mut socket).await.unwrap().0, 4404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_told_to_be_well() {
    let mut server = Server::start().await;
    for request in [
        Request::get("/ready?z=1"),
        Request::get("/check_store"),
        Request::post("/check_store?z=1", JSON, "{}"),
    ] {
        let answer = server.send(request).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "ok": true })));
    }
    server.stop().await;
}
