//! Who may do what: tokens at every entrance, their end while they are in use, and what is never shown.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact};

use crate::harness::client::{connect, read_to_close};
use crate::harness::process::{Process, command};
use crate::harness::token::{self, Ed25519, SECRET, for_maps, now_s, with_secret};
use crate::harness::wait::{until_async, until_true, within};
use crate::harness::{Client, Listener, Request, Server};

const BYTES: &str = "application/octet-stream";
const JSON: &str = "application/json";
const GEOJSON: &str = "application/geo+json";

async fn guarded() -> Server {
    Server::with(&[&with_secret(), "auth.leeway_s=0"]).await
}

/// As somebody with a token asks.
fn bearing(request: Request, token: &str) -> Request {
    request.header("authorization", &format!("Bearer {token}"))
}

fn empty_update(map: &str) -> Request {
    Request::post(&format!("/api/v1/maps/{map}/state"), BYTES, [0, 0])
}

/// An edit of somebody who was alone with the map.
fn update(map: &str) -> Request {
    let doc = Doc::new();
    doc.get_or_insert_map("feat")
        .insert(&mut doc.transact_mut(), "key", 1);
    let update = doc
        .transact()
        .encode_state_as_update_v1(&StateVector::default());
    Request::post(&format!("/api/v1/maps/{map}/state"), BYTES, update)
}

/// A map with something in it.
async fn made(server: &Server, map: &str) {
    let mut client = Client::offline(&as_owner(map));
    client.go_online(server).await;
    client.set("made", true);
    client.stored().await;
    client.go_offline().await;
}

/// The address of a map's socket for an owner of all maps.
fn as_owner(map: &str) -> String {
    format!("{map}?token={}", for_maps("root", "**", "owner"))
}

/// Every address behind which something of a map can be read or changed, and how much a request there needs.
fn entrances(map: &str) -> Vec<(&'static str, Request)> {
    let of = |rest: &str| format!("/api/v1/maps/{map}{rest}");
    let feature =
        r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,2]}}"#;
    let with = |method: &str, rest: &str, media: &str, body: &str| {
        Request::with_body(method, &of(rest), media, body)
    };
    vec![
        ("viewer", Request::get(&of(""))),
        ("viewer", Request::get(&of("/state"))),
        ("viewer", Request::get(&of("/features"))),
        ("viewer", Request::get(&of("/features/f"))),
        ("viewer", Request::get(&of("/problems"))),
        ("viewer", Request::get(&of("/problems/f"))),
        ("viewer", Request::get(&of("/events"))),
        ("viewer", Request::upgrade(&format!("/ws/{map}"))),
        ("editor", update(map)),
        ("editor", with("POST", "/features", GEOJSON, feature)),
        ("editor", with("PUT", "/features/f", GEOJSON, feature)),
        (
            "editor",
            with("PATCH", "/features/f", "application/merge-patch+json", "{}"),
        ),
        ("editor", Request::new("DELETE", &of("/features/f"))),
        ("editor", Request::new("POST", &of("/features/f/undelete"))),
        ("owner", Request::new("POST", &of("/compact"))),
        (
            "owner",
            with("POST", "/share", JSON, r#"{"role":"viewer"}"#),
        ),
        ("owner", Request::get(&of("/share"))),
        ("owner", Request::new("DELETE", &of("/share/x"))),
        ("owner", Request::new("POST", &of("/undelete"))),
        ("owner", Request::get(&format!("/api/v1/verify?map={map}"))),
        ("owner", Request::new("DELETE", &of(""))),
    ]
}

/// The status of an answer, of which only the head is read: some go on for ever.
async fn status(server: &Server, request: Request) -> u16 {
    if request.has_body() {
        return server.send(request).await.status;
    }
    request.open(server.address()).await.0.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_key_is_closed_to_all_without_a_token() {
    let server = guarded().await;
    made(&server, "m").await;
    for map in ["m", "unknown"] {
        for (needs, request) in entrances(map) {
            let answer = server.send(request).await;
            assert_eq!(answer.status, 401, "{map} {needs}");
            assert_eq!(answer.problem(), "token");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let create = Request::post("/api/v1/maps", JSON, r#"{"name":"n"}"#);
    let revoke = Request::post("/api/v1/revocations", JSON, r#"{"user":"x"}"#);
    for request in [
        create,
        revoke,
        Request::get("/api/v1/maps"),
        Request::get("/api/v1/verify"),
        Request::get("/api/v1/revocations"),
        Request::get("/metrics").header("x-forwarded-for", "10.0.0.1"),
    ] {
        assert_eq!(server.send(request).await.problem(), "token");
    }
    for open in ["/healthz", "/readyz", "/metrics", "/"] {
        assert_eq!(server.get(open).await.status, 200, "{open}");
    }
    let word = |line: &String| line.contains("nobody enters without a token");
    until_true("the operator is told", || server.log().iter().any(word)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_good_tokens_open_and_only_their_own_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let key = Ed25519::new();
    key.write_public(&file);
    let keys = format!("auth.keys_file={}", file.display());
    let server = Server::with(&[&with_secret(), &keys, "auth.leeway_s=0"]).await;
    for map in ["m", "north/field 7", "north/a/b"] {
        made(&server, &map.replace(' ', "%20")).await;
    }
    let (exp, late) = (now_s() + 3_600, now_s() - 1);
    let north = json!([{ "pattern": "north/*", "role": "viewer" }]);
    let good = json!({ "sub": "eva", "exp": exp, "maps": north });
    let everything = json!({ "exp": exp, "maps": [{ "pattern": "**", "role": "owner" }] });
    let hs = json!({ "alg": "HS256" });
    let path = |map: &str| {
        format!(
            "/api/v1/maps/{}/state",
            map.replace('/', "%2F").replace(' ', "%20")
        )
    };
    for token in [token::token(&good), key.token(&good)] {
        for (map, status) in [
            ("north/field 7", 200),
            ("north/a/b", 403),
            ("north", 403),
            ("m", 403),
            ("no such map", 403),
            ("north/no such map", 404),
        ] {
            let by_header = server.send(bearing(Request::get(&path(map)), &token)).await;
            assert_eq!(by_header.status, status, "{map}");
            let by_query = server.get(&format!("{}?token={token}", path(map))).await;
            assert_eq!(by_query.status, status, "{map}");
        }
    }
    let with = |claims: Value| token::token(&claims);
    let bad = [
        ("no token at all", "rubbish".to_owned()),
        (
            "expired",
            with(json!({ "exp": late, "maps": everything["maps"] })),
        ),
        (
            "not yet",
            with(json!({ "exp": exp, "nbf": exp, "maps": everything["maps"] })),
        ),
        (
            "a time in words",
            with(json!({ "exp": "4102444800", "maps": everything["maps"] })),
        ),
        (
            "for another",
            with(json!({ "exp": exp, "aud": "x", "maps": everything["maps"] })),
        ),
        (
            "rights of no kind",
            with(json!({ "exp": exp, "maps": [{ "pattern": "**", "role": "god" }] })),
        ),
        (
            "another's key",
            token::signed(&hs, &everything, b"another secret of thirty-two bytes"),
        ),
        (
            "no signature",
            token::unsigned(&json!({ "alg": "none" }), &everything),
        ),
        (
            "no signature but a key's name",
            token::unsigned(&json!({ "alg": "none", "kid": "e1" }), &everything),
        ),
        ("no signature, HS256", token::unsigned(&hs, &everything)),
        (
            "the public key as a secret",
            token::signed(&hs, &everything, key.public()),
        ),
        (
            "the public key as a secret, by its name",
            token::signed(
                &json!({ "alg": "HS256", "kid": "e1" }),
                &everything,
                key.public(),
            ),
        ),
        (
            "a secret's token for a public key",
            token::signed(
                &json!({ "alg": "EdDSA", "kid": "e1" }),
                &everything,
                SECRET.as_bytes(),
            ),
        ),
    ];
    for (what, token) in bad {
        let answer = server.send(bearing(Request::get(&path("m")), &token)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "token"),
            "{what}"
        );
        let body = String::from_utf8(answer.body).expect("text");
        assert!(!body.contains(&token), "{what}: {body}");
        let socket = Request::upgrade(&format!("/ws/m?token={token}"));
        assert_eq!(status(&server, socket).await, 401, "{what}");
        let sockets = Request::upgrade(&format!("/hocuspocus?token={token}"));
        assert_eq!(status(&server, sockets).await, 401, "{what}");
    }
    let mixed = Request::get(&format!(
        "{}?token={}",
        path("m"),
        token::token(&everything)
    ));
    assert_eq!(
        server.send(bearing(mixed, "rubbish")).await.status,
        401,
        "the header counts"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entrance_asks_for_its_role_and_no_more() {
    let server = guarded().await;
    made(&server, "m").await;
    let roles = ["viewer", "commenter", "editor", "owner"];
    let rank = |role: &str| {
        roles
            .iter()
            .position(|known| *known == role)
            .expect("a role")
    };
    for role in roles {
        let token = for_maps("eva", "m", role);
        for (needs, request) in entrances("m") {
            let status = status(&server, bearing(request, &token)).await;
            let may = rank(role) >= rank(needs);
            assert_eq!(
                status != 403,
                may,
                "{role} where {needs} is needed: {status}"
            );
            assert_ne!(status, 401, "{role} where {needs} is needed");
        }
    }
    // The owner has deleted the other one.
    made(&server, "n").await;
    let relay = for_maps("truck", "n", "relay");
    for (needs, request) in entrances("n") {
        let status = status(&server, bearing(request, &relay)).await;
        assert_eq!(
            status != 403,
            needs == "viewer",
            "a relay where {needs} is needed: {status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_what_one_may_read_and_links_repeat_no_token() {
    let server = guarded().await;
    for map in ["a", "b", "c"] {
        made(&server, map).await;
    }
    let names = async |token: &str| -> Vec<String> {
        let list = server
            .send(bearing(Request::get("/api/v1/maps"), token))
            .await
            .json();
        let list = list.as_array().expect("a list").clone();
        list.iter()
            .map(|map| map["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names(&for_maps("eva", "a", "viewer")).await, ["a"]);
    assert_eq!(
        names(&for_maps("eva", "*", "viewer")).await,
        ["a", "b", "c"]
    );
    assert!(names(&for_maps("eva", "d", "owner")).await.is_empty());
    let token = for_maps("eva", "a", "editor");
    let path = format!("/api/v1/maps/a/features?limit=1&token={token}");
    for _ in 0..2 {
        let point =
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,2]}}"#;
        let made = server.send(Request::post(&path, GEOJSON, point)).await;
        assert_eq!(made.status, 201);
        let location = made.header("location").expect("a location");
        assert!(!location.contains("token"), "{location}");
    }
    let page = server.get(&path).await.json();
    assert_eq!(page["links"].as_array().map(Vec::len), Some(2), "{page}");
    assert!(!page.to_string().contains(&token), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_along_and_changes_nothing() {
    let server = guarded().await;
    let mut writer = Client::offline(&format!("m?token={}", for_maps("eva", "m", "editor")));
    writer.go_online(&server).await;
    let mut reader = Client::offline(&format!("m?token={}", for_maps("ida", "m", "viewer")));
    reader.go_online(&server).await;
    reader.set("mine", 1);
    writer.set("theirs", 1);
    writer.stored().await;
    until_async("the reader sees", || async {
        reader.content().get("theirs").map(drop)
    })
    .await;
    let owner = bearing(
        Request::get("/api/v1/maps/m"),
        &for_maps("root", "**", "owner"),
    );
    assert_eq!(
        server.send(owner).await.json()["updates"],
        2,
        "its creation and one edit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_ends_what_it_opened() {
    let server = guarded().await;
    made(&server, "m").await;
    let short = |user: &str| {
        let maps = json!([{ "pattern": "m", "role": "editor" }]);
        token::token(&json!({ "sub": user, "exp": now_s() + 3, "maps": maps }))
    };
    let mut socket = connect(&server, &format!("m?token={}", short("eva"))).await;
    let listen = bearing(Request::get("/api/v1/maps/m/events"), &short("ida"));
    let listener = Listener::with(&server, listen).await;
    let (code, reason) = read_to_close(&mut socket).await.expect("a close frame");
    assert_eq!(code, 4501, "{reason}");
    let heard = listener.ended().await;
    let last = heard.events.last().expect("a last event");
    assert_eq!(last.name, "notice", "{last:?}");
    assert!(last.data.to_string().contains("4501"), "{last:?}");
    let again = Request::upgrade(&format!("/ws/m?token={}", short("eva")));
    assert_eq!(
        status(&server, again).await,
        101,
        "a fresh token opens again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_is_sent_away_at_once_and_stays_away() {
    let mut server = guarded().await;
    made(&server, "m").await;
    let root = for_maps("root", "**", "owner");
    let (eva, ida) = (
        for_maps("eva", "m", "editor"),
        for_maps("ida", "m", "editor"),
    );
    let mut socket = connect(&server, &format!("m?token={eva}")).await;
    let listen = |token: &str| bearing(Request::get("/api/v1/maps/m/events"), token);
    let listener = Listener::with(&server, listen(&eva)).await;
    let mut stays = Client::offline(&format!("m?token={ida}"));
    stays.go_online(&server).await;
    let cli = |args: &[&str], token: &str, server: &Server| {
        let url = server.url();
        let mut command = command(server.folder(), args);
        command
            .args(["--server", &url])
            .env("MAPWEAVE_TOKEN", token);
        Process::spawn(command).ended()
    };
    let revoke = ["token", "revoke", "--user", "eva"];
    cli(&revoke, &ida, &server).await.exited(1).says(&["403"]);
    cli(&revoke, &root, &server).await.done().says(&["eva"]);
    let (code, _) = read_to_close(&mut socket).await.expect("a close frame");
    assert_eq!(code, 4403);
    listener.ended().await;
    for _ in 0..2 {
        // What is left is to leave late edits: see roles.rs.
        for request in [
            Request::get("/api/v1/maps/m/state"),
            Request::get("/api/v1/maps/m/events"),
            Request::get("/api/v1/maps"),
        ] {
            let answer = server.send(bearing(request, &eva)).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "token"));
        }
        let list = cli(&["token", "list-revoked", "--json"], &root, &server)
            .await
            .done()
            .json();
        assert_eq!(list[0]["user"], "eva", "{list}");
        stays.set("still", 1);
        stays.stored().await;
        stays.go_offline().await;
        server.kill().await;
        server.restart().await;
        stays.go_online(&server).await;
    }
    stays.go_offline().await;
    server.stop().await;
    let data = server.data().to_str().expect("a path").to_owned();
    server
        .mapweave(&["token", "revoke", "--id", "t9", "--data", &data])
        .await
        .done();
    let list = server
        .mapweave(&["token", "list-revoked", "--data", &data])
        .await
        .done();
    assert!(
        list.out.contains("t9") && list.out.contains("eva"),
        "{}",
        list.out
    );
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_shares_a_map_and_takes_the_link_back() {
    let server = guarded().await;
    made(&server, "a*").await;
    made(&server, "ab").await;
    let owner = for_maps("eva", "*", "owner");
    let path = "/api/v1/maps/a%2A/share";
    let ask = |body: &str| bearing(Request::post(path, JSON, body), &owner);
    for bad in [
        r#"{"role":"owner"}"#,
        r#"{"role":"relay"}"#,
        r#"{"role":"viewer","expires_in_s":0}"#,
        r#"{"role":"viewer","expires_in_s":99999999999}"#,
        r#"{"role":"viewer","name":"a\nb"}"#,
        r#"{"role":"viewer","pattern":"**"}"#,
        "{}",
    ] {
        assert_eq!(server.send(ask(bad)).await.status, 400, "{bad}");
    }
    let made = server.send(ask(r#"{"role":"viewer","name":"crew"}"#)).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let (token, id) = (
        made["token"].as_str().expect("a token"),
        made["id"].as_str().expect("an id"),
    );
    let expected = format!("{}/m/a%2A#token={token}", server.url());
    assert_eq!(made["url"], expected.as_str());
    let read = |map: &str| bearing(Request::get(&format!("/api/v1/maps/{map}/state")), token);
    assert_eq!(server.send(read("a%2A")).await.status, 200);
    assert_eq!(
        server.send(read("ab")).await.status,
        403,
        "the star is no pattern"
    );
    let list = server
        .send(bearing(Request::get(path), &owner))
        .await
        .json();
    assert_eq!(
        (&list["links"][0]["id"], &list["links"][0]["by"]),
        (&json!(id), &json!("eva"))
    );
    assert!(!list.to_string().contains(token), "{list}");
    let mut socket = connect(&server, &format!("a*?token={token}")).await;
    let end = || bearing(Request::new("DELETE", &format!("{path}/{id}")), &owner);
    assert_eq!(server.send(end()).await.status, 204);
    assert_eq!(
        read_to_close(&mut socket).await.map(|(code, _)| code),
        Some(4403)
    );
    assert_eq!(server.send(read("a%2A")).await.status, 401);
    assert_eq!(server.send(end()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_bear_the_name_of_their_author() {
    let mut server = guarded().await;
    let editor = for_maps("eva", "m", "editor");
    let mut client = Client::offline(&format!("m?token={editor}"));
    client.go_online(&server).await;
    client.set("by socket", 1);
    client.stored().await;
    client.go_offline().await;
    let point =
        r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,2]}}"#;
    let post = Request::post("/api/v1/maps/m/features", GEOJSON, point);
    assert_eq!(server.send(bearing(post, &editor)).await.status, 201);
    server.stop().await;
    let authors = authors(server.data()).await;
    assert!(
        authors.len() >= 3 && authors.iter().all(|user| user == "eva"),
        "{authors:?}"
    );
}

/// Who made the records of the map `m`, by the log itself.
async fn authors(data: &std::path::Path) -> Vec<String> {
    use futures_util::StreamExt;
    use mapweave_storage::{Access, SledStore, StoreOptions, UpdateLog};
    let options = StoreOptions {
        create: false,
        access: Access::ReadOnly,
        ..StoreOptions::default()
    };
    let (store, _) = SledStore::open(data, options).expect("a store");
    let name = mapweave_proto::MapName::parse("m").expect("a name");
    let entry = store.map(&name).expect("a map");
    let records = store.read_log(entry.id, mapweave_proto::Seq(1), entry.head.last);
    let users = records.map(|record| record.expect("a record").origin.user.clone());
    users.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_needs_a_key_or_a_word() {
    let server = Server::down(&[]);
    let refused = Process::spawn(server.command("0.0.0.0:0")).ended().await;
    refused
        .exited(2)
        .says(&["token keygen", "auth.keys_file", "--allow-anonymous"]);
    let weak = Server::down(&["auth.secret=hunter2"]);
    let refused = Process::spawn(weak.command("127.0.0.1:0"))
        .ended()
        .await
        .exited(2);
    assert!(!refused.err.contains("hunter2"), "{}", refused.err);
    let missing = Server::down(&["auth.keys_file=gone.json"]);
    let refused = Process::spawn(missing.command("127.0.0.1:0")).ended().await;
    refused.exited(2).says(&["gone.json"]);
    let open = Server::start().await;
    let word = |line: &String| line.contains("everybody on this machine is an owner");
    until_true("the operator is told", || open.log().iter().any(word)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_made_on_the_command_line_open_and_keys_can_be_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let keygen = |args: &'static [&'static str]| {
        let command = command(folder.path(), [&["token", "keygen"], args].concat());
        Process::spawn(command).ended()
    };
    let (old, new) = (
        keygen(&[]).await.done().out,
        keygen(&["--alg", "eddsa"]).await.done().out,
    );
    let token = async || {
        let args = [
            "token",
            "--key",
            "keys.json",
            "--map",
            "m",
            "--map",
            "n/*",
            "--role",
            "editor",
            "--user",
            "eva",
        ];
        let made = Process::spawn(command(folder.path(), args))
            .ended()
            .await
            .done();
        assert!(made.err.contains("editor"), "{}", made.err);
        made.out.trim().to_owned()
    };
    std::fs::write(&file, &old).expect("a file");
    let first = token().await;
    std::fs::write(&file, format!("{{\"keys\":[{new},{old}]}}")).expect("a file");
    let second = token().await;
    let public = Process::spawn(command(
        folder.path(),
        ["token", "keygen", "--public", "keys.json"],
    ));
    let public = public.ended().await.done().json();
    assert!(
        public["keys"][0]["x"].is_string() && public["keys"][0]["d"].is_null(),
        "{public}"
    );
    let server = Server::with(&[&format!("auth.keys_file={}", file.display())]).await;
    for token in [&first, &second] {
        assert_eq!(server.send(bearing(update("m"), token)).await.status, 200);
        assert_eq!(
            server
                .send(bearing(empty_update("n%2Fx"), token))
                .await
                .status,
            200
        );
        assert_eq!(
            server.send(bearing(empty_update("x"), token)).await.status,
            403
        );
    }
    let maps = server
        .mapweave(&[
            "maps",
            "--json",
            "--server",
            &server.url(),
            "--token",
            &first,
        ])
        .await;
    assert_eq!(maps.done().json()[0]["name"], "m");
    let nobody = server.mapweave(&["maps", "--server", &server.url()]).await;
    nobody.exited(1).says(&["401", "token"]);
    for bad in [
        &["token", "--map", "m"][..],
        &["token", "--role", "editor"],
        &["token", "--map", "a//b", "--role", "editor"],
        &["token", "--map", "m", "--role", "god"],
        &["token", "--map", "m", "--role", "editor", "--expires", "8"],
        &["token", "revoke"],
        &["token", "revoke", "--id", "a", "--user", "b"],
    ] {
        server.mapweave(bad).await.exited(2);
    }
    server
        .mapweave(&["token", "--map", "m", "--role", "editor"])
        .await
        .exited(1)
        .says(&["keygen"]);
}

/// A service that answers every question with the answer of the day, and keeps the questions.
struct Service {
    url: String,
    answer: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "auth.webhook_url=http://{}/ask",
            listener.local_addr().expect("an address")
        );
        let (answer, asked) = (
            Arc::<Mutex<String>>::default(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let service = Self {
            url,
            answer: answer.clone(),
            asked: asked.clone(),
        };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, asked) = (answer.lock().await.clone(), asked.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"}") {
                        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                            return;
                        }
                    }
                    asked
                        .lock()
                        .await
                        .push(String::from_utf8_lossy(&request).into_owned());
                    // Whoever is gone needs no answer.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        service
    }

    async fn says(&self, status: &str, body: &Value) {
        let body = body.to_string();
        *self.answer.lock().await = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_the_operator_s_is_asked_about_tokens_of_others() {
    let service = Service::start().await;
    let secret = "auth.webhook_secret=between the two of us, and nobody else";
    let server = Server::with(&[&service.url, secret]).await;
    let ask =
        async |token: &str, request: Request| server.send(bearing(request, token)).await.status;
    let read = || Request::get("/api/v1/maps/m/state");
    service
        .says(
            "200 OK",
            &json!({ "user": "eva", "role": "editor", "expires": now_s() + 600 }),
        )
        .await;
    assert_eq!(ask("t1", update("m")).await, 200);
    assert_eq!(ask("t1", read()).await, 200);
    let asked = service.asked.lock().await.clone();
    assert_eq!(asked.len(), 1, "the answer is kept");
    for part in [
        r#""token":"t1""#,
        r#""map":"m""#,
        r#""address":"127.0.0.1""#,
        "Bearer between the two",
    ] {
        assert!(asked[0].contains(part), "{}", asked[0]);
    }
    service
        .says(
            "200 OK",
            &json!({ "user": "ida", "maps": [{ "pattern": "m", "role": "viewer" }] }),
        )
        .await;
    assert_eq!(ask("t2", read()).await, 200);
    assert_eq!(ask("t2", update("m")).await, 403);
    assert_eq!(ask("t2", update("n")).await, 403);
    service.says("403 Forbidden", &json!({})).await;
    assert_eq!(ask("t3", read()).await, 403);
    service.says("401 Unauthorized", &json!({})).await;
    assert_eq!(ask("t4", read()).await, 401);
    // Whatever goes wrong, nobody is let in.
    for (status, body) in [
        ("500 Oh", json!({ "role": "owner" })),
        ("200 OK", json!("owner")),
        ("200 OK", json!({ "role": "god" })),
        ("200 OK", json!({ "role": "owner", "expires": 1 })),
        (
            "200 OK",
            json!({ "role": "owner", "user": "x".repeat(20_000) }),
        ),
    ] {
        service.says(status, &body).await;
        assert_eq!(ask("t5", read()).await, 503, "{body}");
    }
    assert_eq!(
        server.send(read()).await.status,
        401,
        "no token at all is nobody's question"
    );
    assert_eq!(
        ask("t1", read()).await,
        200,
        "what was answered holds while the service is away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_token_is_ever_written_to_the_log() {
    let server = Server::with(&[
        &with_secret(),
        "log.filter=debug,mapweave=trace",
        "log.format=json",
    ])
    .await;
    let good = for_maps("eva", "**", "owner");
    let other = for_maps("ida", "other", "viewer");
    let bad = format!("{good}x");
    let mut client = Client::offline(&format!("m?token={good}"));
    client.go_online(&server).await;
    client.set("a", 1);
    client.stored().await;
    for token in [&good, &other, &bad] {
        for path in [
            "/api/v1/maps",
            "/api/v1/maps/m/features",
            "/ws/m",
            "/hocuspocus",
            "/nothing",
            "/metrics",
        ] {
            status(&server, bearing(Request::get(path), token)).await;
            status(&server, Request::get(&format!("{path}?token={token}"))).await;
            status(&server, Request::upgrade(&format!("{path}?token={token}"))).await;
        }
    }
    let share = Request::post("/api/v1/maps/m/share", JSON, r#"{"role":"viewer"}"#);
    let shared = server.send(bearing(share, &good)).await.json()["token"].to_string();
    client.go_offline().await;
    within("the log is written", async {}).await;
    let log = server.log().join("\n");
    assert!(
        log.contains("\"TRACE\"") || log.contains("\"DEBUG\""),
        "the log is wordy"
    );
    for secret in [&good, &other, &bad, &shared] {
        let signature = secret
            .trim_matches('"')
            .rsplit('.')
            .next()
            .expect("a signature");
        assert!(!log.contains(signature), "{signature}");
    }
    assert!(!log.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_person_has_open_is_bounded_and_takes_nothing_from_others() {
    let bounds = [
        "limits.sessions_per_user_max=2",
        "limits.maps_per_user_max=1",
    ];
    let server = Server::with(&[&with_secret(), bounds[0], bounds[1]]).await;
    let socket = |user: &str, map: &str| format!("{map}?token={}", for_maps(user, "**", "editor"));
    let ask = async |user: &str, map: &str| {
        let upgrade = Request::upgrade(&format!("/ws/{}", socket(user, map)));
        status(&server, upgrade).await
    };
    let first = connect(&server, &socket("eva", "m")).await;
    assert_eq!(ask("eva", "other").await, 503, "a second map");
    let second = connect(&server, &socket("eva", "m")).await;
    let refused = server
        .send(Request::upgrade(&format!("/ws/{}", socket("eva", "m"))))
        .await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "unavailable")
    );
    assert!(
        refused.json()["detail"]
            .to_string()
            .contains("limits.sessions_per_user_max")
    );
    let others = connect(&server, &socket("ida", "other")).await;
    assert_eq!(server.metric("mapweave_quota_refused_total").await, 2.0);
    drop((first, second, others));
    until_async("the places are given back", || async {
        (ask("eva", "other").await == 101).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_person_sends_on_all_connections_is_bounded_and_slows_nobody_else() {
    let bounds = [
        "limits.user_messages_per_second=20",
        "limits.user_messages_burst=200",
    ];
    let mut server = Server::with(&[&with_secret(), bounds[0], bounds[1]]).await;
    let token = |user: &str| for_maps(user, "**", "editor");
    let (eva, ida) = (token("eva"), token("ida"));
    let join = async |token: &str| Client::join(&server, &format!("m?token={token}")).await;
    let (phone, laptop, other) = (join(&eva).await, join(&eva).await, join(&ida).await);
    let sent = async |token: &str, map: &str| {
        let path = format!("/api/v1/maps/{map}/state");
        let request = Request::post(&path, "application/octet-stream", vec![0, 0]);
        let request = request.header("authorization", &format!("Bearer {token}"));
        server.send(request).await
    };
    for number in 0..150 {
        phone.set(&format!("phone {number}"), f64::from(number));
        laptop.set(&format!("laptop {number}"), f64::from(number));
    }
    let refused = until_async("a request of hers comes too early", || async {
        let answer = sent(&eva, "m").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    let detail = refused.json()["detail"].to_string();
    assert!(
        detail.contains("limits.user_messages_per_second"),
        "{detail}"
    );
    let made = phone.made() + laptop.made();
    assert!(
        phone.acknowledged() + laptop.acknowledged() < made,
        "nothing was slowed down"
    );
    other.set("in between", 1.0);
    other.stored().await;
    assert_eq!(sent(&ida, "m").await.status, 200);
    // Neither her address nor another name is hers.
    assert!(server.metric("mapweave_person_pauses_total").await > 0.0);
    for client in [&phone, &laptop] {
        client.stored().await;
        assert!(!client.is_closed());
    }
    other.converges_with(&phone).await;
    drop((phone, laptop, other));
    server.stop().await;
}
