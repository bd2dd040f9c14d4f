//! People: shown over HTTP where sockets are blocked, announced when they come and go, and told something alone.

use serde_json::{Value, json};

use crate::harness::http::Response;
use crate::harness::wait::until_async;
use crate::harness::{Client, Listener, Request, Server, wire};

const ANN: &str = r#"{"user":{"name":"Ann"}}"#;
const BEN: &str = r#"{"user":{"name":"Ben"}}"#;
const UPDATE: &str = "application/octet-stream";

/// The key that an event stream tells its client.
async fn session(listener: &Listener) -> String {
    let told = listener.event("session", |_| true).await;
    told.data["session"].as_str().unwrap().to_owned()
}

async fn shows(server: &Server, session: &str, entries: &[(u64, u64, &str)]) -> Response {
    // The message as sockets frame it, without its type and length.
    let frame = wire::awareness(entries);
    let body = wire::body(&frame[1..]).to_vec();
    let path = format!("/api/v1/maps/m/presence?session={session}");
    server.send(Request::post(&path, UPDATE, body)).await
}

async fn tells(server: &Server, query: &str, message: &Value) -> Response {
    let path = format!("/api/v1/maps/m/messages{query}");
    let body = message.to_string();
    let request = Request::post(&path, "application/json", body);
    server.send(request).await
}

async fn people(server: &Server) -> Value {
    server.get("/api/v1/maps/m/people").await.json()
}

fn names(people: &Value) -> Vec<&str> {
    let people = people.as_array().unwrap();
    people.iter().map(|p| p["name"].as_str().unwrap()).collect()
}

/// A map that exists.
async fn server() -> Server {
    let server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    ann.set("k", 1);
    ann.stored().await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_to_events_shows_presence_over_http_and_is_gone_with_the_stream() {
    let mut server = server().await;
    let ann = Client::join(&server, "m").await;
    let listener = Listener::open(&server, "m").await;
    let key = session(&listener).await;
    assert_eq!(shows(&server, &key, &[(7, 1, BEN)]).await.status, 204);
    ann.sees_presence(7, 1, BEN).await;
    // It hears itself, as every client does.
    let own = |data: &Value| data[0]["client"] == 7 && data[0]["clock"] == 1;
    listener.event("presence", own).await;
    assert_eq!(shows(&server, &key, &[(7, 2, "null")]).await.status, 204);
    ann.sees_presence(7, 2, "null").await;
    assert_eq!(shows(&server, &key, &[(7, 3, BEN)]).await.status, 204);
    ann.sees_presence(7, 3, BEN).await;
    drop(listener);
    ann.sees_presence(7, 3, "null").await;
    let gone = until_async("the key is forgotten", || async {
        let answer = shows(&server, &key, &[(7, 4, BEN)]).await;
        (answer.status == 404).then(|| answer.problem())
    })
    .await;
    assert_eq!(gone, "unknown-session");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_over_http_obeys_the_rules_that_sockets_obey() {
    let mut server = server().await;
    let ann = Client::join(&server, "m").await;
    ann.send(wire::awareness(&[(5, 9, ANN)]));
    ann.sees_presence(5, 9, ANN).await;
    let listener = Listener::open(&server, "m").await;
    let key = session(&listener).await;
    // A forged removal, a stale echo, no JSON: passed over, and nothing to complain about.
    for entry in [
        (5, 9, "null"),
        (5, 99, "null"),
        (5, 8, BEN),
        (8, 1, "{oops"),
    ] {
        assert_eq!(shows(&server, &key, &[entry]).await.status, 204);
    }
    assert_eq!(shows(&server, &key, &[(7, 1, BEN)]).await.status, 204);
    ann.sees_presence(7, 1, BEN).await;
    assert_eq!(ann.presence().get(&5), Some(&(9, ANN.to_owned())));
    assert!(!ann.presence().contains_key(&8));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_that_cannot_be_taken_is_refused_in_words() {
    let mut server = server().await;
    let listener = Listener::open(&server, "m").await;
    let key = session(&listener).await;
    let post = async |path: &str, media_type: &str, body: &[u8]| {
        let path = format!("/api/v1/maps/{path}");
        let answer = server.send(Request::post(&path, media_type, body)).await;
        (answer.status, answer.problem())
    };
    let own = format!("m/presence?session={key}");
    for (path, media_type, body, status, problem) in [
        (&*own, "text/plain", &b"\0"[..], 415, "media-type"),
        (&own, UPDATE, &[9, 9], 400, "bad-request"),
        (&own, UPDATE, &vec![0; 65 << 10], 413, "too-large"),
        ("m/presence", UPDATE, &[0], 400, "bad-request"),
        ("m/presence?session=x", UPDATE, &[0], 404, "unknown-session"),
        // A key is good for its own map only.
        (
            &own.replace("m/", "other/"),
            UPDATE,
            &[0],
            404,
            "unknown-session",
        ),
    ] {
        let told = post(path, media_type, body).await;
        assert_eq!(told, (status, problem.to_owned()), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_who_leaves_is_told_by_name_and_who_is_here_can_be_asked() {
    let mut server = server().await;
    let listener = Listener::open(&server, "m").await;
    let begun = listener
        .event("notice", |data| data["kind"] == "people")
        .await;
    assert_eq!(begun.data["count"], 0);
    let mut ann = Client::join(&server, "m").await;
    ann.send(wire::awareness(&[(5, 1, ANN)]));
    let came = |data: &Value| data["joined"] != json!([]) && data["joined"].is_array();
    let came = listener.event("notice", came).await.data;
    assert_eq!(
        (names(&came["joined"]), &came["count"]),
        (vec!["Ann"], &json!(1))
    );
    let here = people(&server).await;
    assert_eq!(
        (&here["count"], &here["connections"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        here["people"],
        json!([{ "client": 5, "name": "Ann", "user": "" }])
    );
    ann.go_offline().await;
    let left = |data: &Value| data["left"] != json!([]) && data["left"].is_array();
    let left = listener.event("notice", left).await.data;
    assert_eq!(
        (names(&left["left"]), &left["count"]),
        (vec!["Ann"], &json!(0))
    );
    assert_eq!(people(&server).await["people"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_one_person_and_nobody_else() {
    let mut server = server().await;
    let (ben, eve) = (
        Listener::open(&server, "m").await,
        Listener::open(&server, "m").await,
    );
    let (ben_key, eve_key) = (session(&ben).await, session(&eve).await);
    shows(&server, &ben_key, &[(7, 1, BEN)]).await;
    shows(&server, &eve_key, &[(8, 1, r#"{"user":{"name":"Eve"}}"#)]).await;
    let query = format!("?session={ben_key}");
    let told = tells(&server, &query, &json!({ "to": 8, "text": "lunch?" })).await;
    assert_eq!((told.status, told.json()), (200, json!({ "reached": 1 })));
    let heard = eve.event("notice", |data| data["kind"] == "message").await;
    let from = json!({ "client": 7, "name": "Ben", "user": "" });
    let wanted = json!({ "mapweave": 1, "kind": "message", "from": from, "text": "lunch?" });
    assert_eq!(heard.data, wanted);
    let answered = tells(&server, "", &json!({ "to": 7, "text": "yes" })).await;
    assert_eq!(answered.status, 200);
    let heard = ben.event("notice", |data| data["kind"] == "message").await;
    assert_eq!(
        (&heard.data["text"], &heard.data["from"]["client"]),
        (&json!("yes"), &Value::Null)
    );
    let all = ben.heard().events.into_iter();
    let messages = all.filter(|event| event.data["kind"] == "message");
    assert_eq!(messages.count(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_nobody_or_without_sense_is_refused_in_words() {
    let mut server = server().await;
    let plain = Client::join(&server, "m").await;
    plain.send(wire::awareness(&[(5, 1, ANN)]));
    plain.sees_presence(5, 1, ANN).await;
    let long = "x".repeat(17 << 10);
    for (message, status, problem) in [
        (json!({ "to": 99, "text": "?" }), 404, "nobody-there"),
        // y-websocket has no word for it.
        (json!({ "to": 5, "text": "?" }), 404, "nobody-there"),
        (json!({ "to": "", "text": "?" }), 404, "nobody-there"),
        (json!({ "to": "ann", "text": "?" }), 404, "nobody-there"),
        (json!({ "to": -1, "text": "?" }), 400, "bad-request"),
        (json!({ "text": "?" }), 400, "bad-request"),
        (json!({ "to": 5, "text": long }), 413, "too-large"),
    ] {
        let told = tells(&server, "", &message).await;
        assert_eq!((told.status, told.problem()), (status, problem.to_owned()));
    }
    plain.set("still", 1);
    plain.stored().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_told_no_notices_that_it_did_not_ask_for() {
    let mut server = server().await;
    let request = Request::get("/api/v1/maps/m/events?events=presence");
    let listener = Listener::with(&server, request).await;
    let key = session(&listener).await;
    shows(&server, &key, &[(7, 1, BEN)]).await;
    let told = tells(&server, "", &json!({ "to": 7, "text": "?" })).await;
    assert_eq!(told.problem(), "nobody-there");
    let told = listener.heard().events.into_iter();
    assert_eq!(told.filter(|event| event.name == "notice").count(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_who_is_in_a_map_loads_no_map() {
    let mut server = server().await;
    server.kill().await;
    server.restart().await;
    let nobody = json!({ "count": 0, "connections": 0, "more": false, "people": [] });
    assert_eq!(people(&server).await, nobody);
    assert_eq!(server.get("/api/v1/maps/none/people").await.status, 404);
    server.stop().await;
}
