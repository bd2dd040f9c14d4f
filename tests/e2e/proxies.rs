//! Behind a proxy: whom the server takes for its client, and what every answer tells browsers.

use crate::harness::wait::until;
use crate::harness::{Request, Server};

const TRUSTED: &str = "server.trusted_proxies=127.0.0.0/8";
const TOLD: &str = "log.filter=info,mapweave::server=debug";

async fn status(server: &Server, headers: &[(&str, &str)]) -> u16 {
    let request = Request::upgrade("/ws/m");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    request.open(server.address()).await.0.status
}

/// Waits until the log tells of a session from this address.
async fn session_from(server: &Server, address: &str) {
    let wanted = format!("address={address}");
    until("a session from there begins", || {
        let log = server.log();
        let told = |line: &String| line.contains("the session begins") && line.contains(&wanted);
        log.iter().any(told).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_whom_it_asks_for() {
    let server = Server::with(&[TRUSTED, TOLD]).await;
    let told = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.44"),
        ("forwarded", "for=7.7.7.7"),
    ];
    assert_eq!(status(&server, &told).await, 101);
    session_from(&server, "192.0.2.44:0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_header_counts_where_it_is_chosen() {
    let server = Server::with(&[TRUSTED, TOLD, "server.proxy_header=forwarded"]).await;
    let told = [
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=\"[2001:db8::9]:77\";proto=https"),
    ];
    assert_eq!(status(&server, &told).await, 101);
    session_from(&server, "[2001:db8::9]:77").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_say_who_it_is() {
    let server = Server::with(&[TOLD]).await;
    assert_eq!(
        status(&server, &[("x-forwarded-for", "192.0.2.44")]).await,
        101
    );
    session_from(&server, "127.0.0.1:").await;
    assert!(!server.log().iter().any(|line| line.contains("192.0.2.44")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_came_in_plain_is_no_page_of_a_server_behind_an_encrypting_proxy() {
    let server = Server::with(&[TRUSTED, "tls.hsts_s=60"]).await;
    let host = server.address().to_string();
    let page = |scheme: &str| format!("{scheme}://{host}");
    let over_https = ("x-forwarded-proto", "https");
    assert_eq!(status(&server, &[("origin", &page("http"))]).await, 101);
    assert_eq!(
        status(&server, &[("origin", &page("https")), over_https]).await,
        101
    );
    assert_eq!(
        status(&server, &[("origin", &page("http")), over_https]).await,
        403
    );
    let promise = async |request: Request| {
        let answer = server.send(request).await;
        answer
            .header("strict-transport-security")
            .map(str::to_owned)
    };
    let (name, value) = over_https;
    assert_eq!(
        promise(Request::get("/healthz").header(name, value))
            .await
            .as_deref(),
        Some("max-age=60")
    );
    assert_eq!(promise(Request::get("/healthz")).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_not_to_do_with_it() {
    let server = Server::start().await;
    let requests = [
        Request::get("/"),
        Request::get("/healthz"),
        Request::get("/metrics"),
        Request::get("/api/v1/maps"),
        Request::get("/api/v1/maps/none/state"),
        Request::get("/no/such/thing"),
        Request::new("DELETE", "/healthz"),
        Request::get("/healthz").host("evil.example"),
        Request::get("/ws/m"),
    ];
    for request in requests {
        let answer = server.send(request).await;
        let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{}: {policy}",
            answer.status
        );
        assert!(
            policy.starts_with("default-src '") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert!(header("permissions-policy").contains("geolocation=(self)"));
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_programs_tell_the_connection_and_the_map_of_a_session() {
    let server = Server::with(&["log.format=json", TOLD]).await;
    assert_eq!(status(&server, &[]).await, 101);
    let line = until("a session begins", || {
        let log = server.log();
        log.iter()
            .find(|line| line.contains("the session begins"))
            .cloned()
    })
    .await;
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let spans = told["spans"].as_array().unwrap();
    let find = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    assert!(find("connection")["number"].is_u64(), "{line}");
    let session = find("session");
    assert_eq!(session["map"], "m");
    assert!(
        session["session"].is_string() && session["address"].is_string(),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_by_the_wrong_method_is_told_the_right_ones() {
    let server = Server::start().await;
    for (method, path, allowed) in [
        ("PUT", "/api/v1/maps", "GET, POST"),
        ("POST", "/api/v1/maps/m", "GET, DELETE"),
        ("GET", "/api/v1/maps/m/compact", "POST"),
        ("DELETE", "/api/v1/maps/m/state", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
    ] {
        let answer = server.send(Request::new(method, path)).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    let unknown = server.send(Request::new("POST", "/api/v1/nothing")).await;
    assert_eq!(unknown.status, 404);
}
