//! What a role may write inside a map, how a refusal is told, and what becomes of late edits.

use serde_json::{Value, json};
use yrs::Any;

use crate::harness::token::{for_maps, with_secret};
use crate::harness::wait::{until_async, until_true};
use crate::harness::{Client, Request, Server};

const BYTES: &str = "application/octet-stream";
const JSON: &str = "application/json";
const GEOJSON: &str = "application/geo+json";

const POINT: &str = r#"[1795000000,"annAnn",1,[8.5,47.5],"{\"name\":\"Well\"}",""]"#;

async fn guarded() -> Server {
    Server::with(&[&with_secret(), "auth.leeway_s=0"]).await
}

fn token(user: &str, role: &str) -> String {
    for_maps(user, "m", role)
}

fn address(user: &str, role: &str) -> String {
    format!("m?token={}", token(user, role))
}

async fn online(server: &Server, user: &str, role: &str) -> Client {
    let mut client = Client::offline(&address(user, role));
    client.go_online(server).await;
    client
}

fn point(client: &Client, key: &str) {
    client.set(key, Any::from_json(POINT).unwrap());
}

fn bearing(request: Request, token: &str) -> Request {
    request.header("authorization", &format!("Bearer {token}"))
}

async fn asked(server: &Server, method: &str, rest: &str) -> (u16, Value) {
    let path = format!("/api/v1/maps/m/quarantine{rest}");
    let request = match method {
        "GET" => Request::get(&path),
        _ => Request::post(&path, JSON, ""),
    };
    let answer = server.send(bearing(request, &token("root", "owner"))).await;
    (answer.status, answer.json())
}

/// What waits for a decision, once so much does.
async fn waiting(server: &Server, count: usize) -> Vec<Value> {
    until_async("edits are in quarantine", || async {
        let (status, list) = asked(server, "GET", "").await;
        assert_eq!(status, 200, "{list}");
        let list = list["quarantine"].as_array().unwrap().clone();
        (list.len() == count).then_some(list)
    })
    .await
}

async fn revoke(server: &Server, user: &str) {
    let root = for_maps("root", "**", "owner");
    let body = json!({ "user": user }).to_string();
    let request = Request::post("/api/v1/revocations", JSON, body);
    let answer = server.send(bearing(request, &root)).await;
    assert!(answer.status < 300, "{}", answer.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commenter_writes_notes_and_is_refused_the_rest_with_a_reason() {
    let server = guarded().await;
    let editor = online(&server, "eva", "editor").await;
    point(&editor, "well");
    editor.stored().await;
    let commenter = online(&server, "ida", "commenter").await;
    commenter.write(
        "note",
        "n1",
        Any::from_json(r#"[1,"idaIda","dry?","well",null,null]"#).unwrap(),
    );
    commenter.write(
        "who",
        "idaIda",
        Any::from_json(r#"[1,"ida","Ida"]"#).unwrap(),
    );
    commenter.stored().await;
    point(&commenter, "mine");
    commenter.is_denied("notes only").await;
    // What came after a refused edit builds on it.
    let other = online(&server, "ida", "commenter").await;
    other.write("note", "n2", "second");
    other.stored().await;
    let notes = server
        .send(bearing(
            Request::get("/api/v1/maps/m/features/mine"),
            &token("eva", "editor"),
        ))
        .await;
    assert_eq!(notes.status, 404);
    // The same over HTTP, and for features, which are no commenter's.
    let state = |role: &str, update: Vec<u8>| {
        let post = Request::post("/api/v1/maps/m/state", BYTES, update);
        bearing(post, &token("ina", role))
    };
    let offline = Client::offline("m");
    offline.write("note", "n3", "third");
    let answer = server.send(state("commenter", offline.update())).await;
    assert_eq!(answer.status, 200);
    point(&offline, "mine");
    for role in ["commenter", "viewer"] {
        let answer = server.send(state(role, offline.update())).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "forbidden")
        );
    }
    let feature =
        r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,2]}}"#;
    let post = Request::post("/api/v1/maps/m/features", GEOJSON, feature);
    let answer = server.send(bearing(post, &token("ina", "commenter"))).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_its_author_s_own() {
    let server = guarded().await;
    let editor = online(&server, "eva", "editor").await;
    point(&editor, "well");
    editor.stored().await;
    let ida = online(&server, "ida", "commenter").await;
    ida.write("note", "n1", "ida's");
    ida.stored().await;
    // From the same person's other device, by an update that builds on the first.
    let tablet = online(&server, "ida", "commenter").await;
    tablet.write("note", "n1", "ida's own again");
    tablet.stored().await;
    let other = online(&server, "ina", "commenter").await;
    other.write("note", "n1", "ina's now");
    other.is_denied("of their own").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_edits_of_a_revoked_editor_wait_for_an_owner_who_admits_them() {
    let mut server = guarded().await;
    let ben = online(&server, "ben", "editor").await;
    let mut eva = online(&server, "eva", "editor").await;
    point(&eva, "early");
    eva.stored().await;
    eva.go_offline().await;
    point(&eva, "late");
    revoke(&server, "eva").await;
    point(&ben, "secret");
    ben.stored().await;
    eva.go_online(&server).await;
    eva.is_denied("kept for an owner").await;
    let [kept] = &waiting(&server, 1).await[..] else {
        panic!()
    };
    assert_eq!(
        (&kept["user"], &kept["waits"]),
        (&json!("eva"), &json!(false))
    );
    assert_eq!(kept["summary"], "adds 1 feature");
    assert!(
        eva.content().get("secret").is_none(),
        "she may not read any more"
    );
    assert!(ben.content().get("late").is_none());
    // The same again, from another connection and by HTTP, adds nothing.
    eva.go_offline().await;
    eva.go_online(&server).await;
    let earlier = token_of(&eva);
    let post = Request::post("/api/v1/maps/m/state", BYTES, eva.update());
    let answer = server.send(bearing(post, &earlier)).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
    assert_eq!(answer.json()["quarantined"], true);
    let get = bearing(Request::get("/api/v1/maps/m/state"), &earlier);
    assert_eq!(server.send(get).await.status, 401);
    // Nor is it lost in a crash.
    server.kill().await;
    server.restart().await;
    let [kept] = &waiting(&server, 1).await[..] else {
        panic!()
    };
    let id = kept["id"].as_u64().unwrap();
    let (_, look) = asked(&server, "GET", &format!("/{id}")).await;
    let touched = &look["features"][0];
    assert_eq!(
        (&touched["fid"], &touched["before"]),
        (&json!("late"), &Value::Null)
    );
    assert_eq!(touched["what"], json!(["added"]));
    assert_eq!(
        touched["after"]["geometry"]["coordinates"],
        json!([8.5, 47.5])
    );
    let as_ben = bearing(
        Request::get("/api/v1/maps/m/quarantine"),
        &token("ben", "editor"),
    );
    assert_eq!(server.send(as_ben).await.status, 403);
    let (status, decided) = asked(&server, "POST", &format!("/{id}/admit")).await;
    assert_eq!(
        (status, &decided["durable"]),
        (200, &json!(true)),
        "{decided}"
    );
    assert_eq!(
        asked(&server, "POST", &format!("/{id}/reject")).await.0,
        404
    );
    let ben = online(&server, "ben", "editor").await;
    until_true("the admitted edit is there", || {
        ben.content().get("late").is_some()
    })
    .await;
    waiting(&server, 0).await;
    server.stop().await;
    server.verify_folder().await;
}

/// The token with which a client connects.
fn token_of(client: &Client) -> String {
    let (_, token) = client.address().split_once("token=").expect("a token");
    token.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_as_a_viewer_reads_on_and_a_rejected_edit_stays_out() {
    let server = guarded().await;
    let mut eva = online(&server, "eva", "editor").await;
    point(&eva, "early");
    eva.stored().await;
    eva.go_offline().await;
    point(&eva, "late");
    let ben = online(&server, "ben", "editor").await;
    point(&ben, "open");
    ben.stored().await;
    eva.readdress(&address("eva", "viewer"));
    eva.go_online(&server).await;
    eva.is_denied("kept for an owner").await;
    until_true("she reads what others wrote", || {
        eva.content().get("open").is_some()
    })
    .await;
    let id = waiting(&server, 1).await[0]["id"].as_u64().unwrap();
    let (status, decided) = asked(&server, "POST", &format!("/{id}/reject")).await;
    assert_eq!((status, &decided["decision"]), (200, &json!("rejected")));
    eva.go_offline().await;
    eva.go_online(&server).await;
    eva.is_denied("rejected them").await;
    waiting(&server, 0).await;
    assert!(ben.content().get("late").is_none());
    // Somebody who never edited the map has nothing kept.
    let ina = online(&server, "ina", "viewer").await;
    point(&ina, "never");
    ina.is_denied("may only read").await;
    waiting(&server, 0).await;
}
