//! Requests: each kind of bad one is answered with its problem, counted, and changes nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::poison;
use crate::harness::wait::within;
use crate::harness::{Client, Content, Request, Server};

const BYTES: &str = "application/octet-stream";
const JSON: &str = "application/json";

/// Sends each request and expects its status and problem; then that each was counted.
async fn refused(server: &Server, cases: Vec<(&str, Request, u16, &str)>) {
    let mut statuses: Vec<u16> = Vec::new();
    for (what, request, status, problem) in cases {
        let answer = server.send(request).await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{what}: {body}");
        assert_eq!(answer.problem(), problem, "{what}: {body}");
        statuses.push(status);
    }
    for status in &statuses {
        let expected = statuses.iter().filter(|other| *other == status).count();
        let metric = format!("mapweave_http_problems_total{{status=\"{status}\"}}");
        assert_eq!(server.metric(&metric).await, expected as f64, "{metric}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_names_and_strangers_pages_are_turned_away() {
    let mut server = Server::with(&[
        "server.allowed_hosts=maps.example.org",
        "server.allowed_origins=https://app.example.org",
    ])
    .await;
    let port = server.address().port();
    let get = || Request::get("/api/v1/maps");
    let own = format!("http://{}", server.address());
    for good in [
        get(),
        get().host(&format!("localhost:{port}")),
        get().host("maps.example.org"),
        get().header("origin", &own),
        get().header("origin", "https://app.example.org"),
    ] {
        assert_eq!(server.send(good).await.status, 200);
    }
    let upgrade = || Request::upgrade("/ws/m");
    let write = Request::post("/api/v1/maps/m/state", BYTES, [0, 0]);
    let problem = "host-or-origin";
    let cases = vec![
        ("no host", get().without_host(), 403, problem),
        ("another's name", get().host("evil.example"), 403, problem),
        (
            "a name like ours",
            get().host("localhost.evil.example"),
            403,
            problem,
        ),
        ("another address", get().host("192.0.2.1"), 403, problem),
        (
            "another's page",
            get().header("origin", "https://evil.example"),
            403,
            problem,
        ),
        (
            "a page without origin",
            get().header("origin", "null"),
            403,
            problem,
        ),
        (
            "another port's page",
            get().header("origin", "http://127.0.0.1:1"),
            403,
            problem,
        ),
        (
            "a socket by another's name",
            upgrade().host("evil.example"),
            403,
            problem,
        ),
        (
            "a socket of another's page",
            upgrade().header("origin", "https://evil.example"),
            403,
            problem,
        ),
        (
            "a write of another's page",
            write.header("origin", "https://evil.example"),
            403,
            problem,
        ),
    ];
    refused(&server, cases).await;
    assert_eq!(server.get("/api/v1/maps/m").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_what_is_not_there_are_told_so() {
    let mut server = Server::start().await;
    server.post("there", vec![0, 0]).await;
    let cases = vec![
        (
            "an unknown map",
            Request::get("/api/v1/maps/none"),
            404,
            "unknown-map",
        ),
        (
            "its state",
            Request::get("/api/v1/maps/none/state"),
            404,
            "unknown-map",
        ),
        (
            "its deletion",
            Request::new("DELETE", "/api/v1/maps/none"),
            404,
            "unknown-map",
        ),
        (
            "its return",
            Request::new("POST", "/api/v1/maps/none/undelete"),
            404,
            "unknown-map",
        ),
        (
            "its snapshot",
            Request::new("POST", "/api/v1/maps/none/compact"),
            404,
            "unknown-map",
        ),
        (
            "its check",
            Request::get("/api/v1/verify?map=none"),
            404,
            "unknown-map",
        ),
        (
            "no such address",
            Request::get("/api/v2/maps"),
            404,
            "not-found",
        ),
        (
            "no such file",
            Request::get("/assets/none.js"),
            404,
            "not-found",
        ),
        (
            "another method",
            Request::new("PUT", "/api/v1/maps"),
            405,
            "method",
        ),
        (
            "a socket's address",
            Request::get("/ws/there"),
            426,
            "websocket",
        ),
    ];
    refused(&server, cases).await;
    // Reading makes no map.
    assert_eq!(server.get("/api/v1/maps/none").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_parameters_that_make_no_sense_are_refused() {
    let mut server = Server::with(&[
        "limits.update_bytes_max=4096",
        "limits.state_bytes_max=4096",
    ])
    .await;
    let client = Client::join(&server, "m").await;
    client.set("fine", 1.0);
    client.stored().await;
    let before = server.updates("m").await;
    let state = "/api/v1/maps/m/state";
    let maps = "/api/v1/maps";
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000));
    let mut cases = vec![
        (
            "no media type",
            Request::new("POST", state),
            415,
            "media-type",
        ),
        (
            "a form",
            Request::post(state, "application/x-www-form-urlencoded", "a=b"),
            415,
            "media-type",
        ),
        (
            "plain text",
            Request::post(state, "text/plain", [0, 0]),
            415,
            "media-type",
        ),
        (
            "a body over the limit",
            Request::post(state, BYTES, vec![0; 5_000]),
            413,
            "too-large",
        ),
        (
            "a body far over the limit",
            Request::post(state, BYTES, vec![0; 8 << 20]),
            413,
            "too-large",
        ),
        (
            "a vector that is none",
            Request::get(&format!("{state}?sv=!")),
            400,
            "bad-request",
        ),
        (
            "a vector of 139 million",
            Request::get(&format!("{state}?sv=zPWnQg")),
            400,
            "bad-request",
        ),
        (
            "a vector twice",
            Request::get(&format!("{state}?sv=AA&sv=AA")),
            400,
            "bad-request",
        ),
        (
            "a header that is no text",
            Request::post(state, "bytés", [0, 0]),
            400,
            "bad-request",
        ),
        (
            "no JSON",
            Request::post(maps, JSON, "{"),
            400,
            "bad-request",
        ),
        (
            "no name",
            Request::post(maps, JSON, "{}"),
            400,
            "bad-request",
        ),
        (
            "an unknown field",
            Request::post(maps, JSON, r#"{"name":"x","y":1}"#),
            400,
            "bad-request",
        ),
        (
            "JSON called text",
            Request::post(maps, "text/plain", r#"{"name":"x"}"#),
            415,
            "media-type",
        ),
        (
            "JSON that is called nothing",
            Request::new("POST", maps),
            415,
            "media-type",
        ),
        (
            "JSON without end",
            Request::post(maps, JSON, long),
            413,
            "too-large",
        ),
        (
            "a name that is taken",
            Request::post(maps, JSON, r#"{"name":"m"}"#),
            409,
            "name-taken",
        ),
        (
            "a name that is none",
            Request::post(maps, JSON, r#"{"name":"a//b"}"#),
            400,
            "bad-map-name",
        ),
        (
            "a check of no name",
            Request::get("/api/v1/verify?map="),
            400,
            "bad-map-name",
        ),
    ];
    for (what, update) in poison::updates() {
        let request = Request::post(state, BYTES, update);
        cases.push((what, request, 422, "refused-update"));
    }
    refused(&server, cases).await;
    client.set("fine still", 2.0);
    client.stored().await;
    assert_eq!(server.updates("m").await, before + 1);
    let answer = server.get(maps).await.json();
    assert_eq!(answer.as_array().unwrap().len(), 1);
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none_are_refused_on_every_way() {
    let mut server = Server::start().await;
    let too_long = "x".repeat(201);
    let names = [
        ("nothing", ""),
        ("an empty segment", "a%2F%2Fb"),
        ("a step up", "a%2F..%2Fb"),
        ("a dot", "."),
        ("a control character", "a%00b"),
        ("a delete character", "a%7Fb"),
        ("a question mark", "a%3Fb"),
        ("a hash", "a%23b"),
        ("a percent sign", "a%25b"),
        ("a backslash", "a%5Cb"),
        ("a space at the end", "a%20"),
        ("a slash at the end", "a%2F"),
        ("bytes that are no UTF-8", "a%ff"),
        ("half an escape", "a%2"),
        ("201 bytes", &too_long),
    ];
    let mut cases = Vec::new();
    for (what, name) in names {
        let socket = Request::upgrade(&format!("/ws/{name}"));
        cases.push((what, socket, 400, "bad-map-name"));
        if !name.is_empty() && name != "." {
            let path = format!("/api/v1/maps/{name}");
            let write = Request::post(&format!("{path}/state"), BYTES, [0, 0]);
            cases.push((what, Request::get(&path), 400, "bad-map-name"));
            cases.push((what, write, 400, "bad-map-name"));
        }
    }
    let plain = Request::upgrade("/ws/a//b");
    cases.push(("an empty segment, plain", plain, 400, "bad-map-name"));
    refused(&server, cases).await;
    assert_eq!(
        server.get("/api/v1/maps").await.json(),
        serde_json::json!([])
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_means_one_map_however_it_is_written() {
    let mut server = Server::start().await;
    let sockets = [
        "Z%C3%BCrich/2026",
        "Zu%CC%88rich/2026",
        "Z%C3%BCrich%2F2026",
    ];
    let mut clients = Vec::new();
    for (number, path) in sockets.iter().enumerate() {
        let client = Client::join(&server, path).await;
        client.set(&format!("{number}"), 1.0);
        client.stored().await;
        clients.push(client);
    }
    for client in &clients {
        client.converges_with(&clients[2]).await;
    }
    let state = server.state("Z%C3%BCrich%2F2026").await;
    assert_eq!(Content::of_update(&state).keys(), ["0", "1", "2"]);
    let maps = server.get("/api/v1/maps").await.json();
    assert_eq!(maps[0]["name"], "Zürich/2026");
    assert_eq!(maps.as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_never_ends_a_request_is_cut_off() {
    let mut server = Server::with(&["limits.header_timeout_s=1"]).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: loc")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // How the connection ends is of no interest, as long as it does.
    let _ = within("the server cuts it off", stream.read_to_end(&mut answer)).await;
    assert_eq!(server.get("/healthz").await.status, 200);
    server.stop().await;
}
