//! The state of a map as bytes: in ranges over links that break, under tags that stay with their bytes.

use std::io::Read;

use serde_json::json;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact};

use crate::harness::http::Response;
use crate::harness::{Client, Content, Listener, Random, Request, Server};

const STATE: &str = "/api/v1/maps/m/state";

/// A server whose map `m` has a state of about `bytes` bytes that do not repeat.
async fn server(bytes: usize) -> Server {
    let server = Server::start().await;
    let doc = Doc::with_client_id(7);
    let feat = doc.get_or_insert_map("feat");
    let mut random = Random::printed("texts");
    for number in 0..bytes.div_ceil(1_000) {
        let text: String = (0..62).map(|_| format!("{:016x}", random.next())).collect();
        feat.insert(&mut doc.transact_mut(), format!("{number}"), text);
    }
    let update = doc
        .transact()
        .encode_state_as_update_v1(&StateVector::default());
    server.post("m", update).await;
    server
}

async fn range(server: &Server, range: &str, tag: Option<&str>) -> Response {
    let mut request = Request::get(STATE).header("range", range);
    if let Some(tag) = tag {
        request = request.header("if-range", tag);
    }
    server.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_with_the_same_bytes_while_the_map_is_edited() {
    let server = server(300 << 10).await;
    let first = range(&server, "bytes=0-99999", None).await;
    assert_eq!(first.status, 206);
    let tag = first.header("etag").unwrap().to_owned();
    let total: usize = first.header("content-range").unwrap()["bytes 0-99999/".len()..]
        .parse()
        .unwrap();
    let mut bytes = first.body;
    // The map moves on, so that its state has other bytes now.
    let ann = Client::join(&server, "m").await;
    for number in 0..50 {
        ann.set(&format!("{number}"), "changed");
        ann.stored().await;
    }
    let now = server.send(Request::new("HEAD", STATE)).await;
    assert_ne!(now.header("etag"), Some(tag.as_str()));
    while bytes.len() < total {
        let rest = range(&server, &format!("bytes={}-", bytes.len()), Some(&tag)).await;
        assert_eq!(
            (rest.status, rest.header("etag")),
            (206, Some(tag.as_str()))
        );
        // The link breaks after some of it.
        bytes.extend(rest.body.into_iter().take(70_000));
    }
    let then = Content::of_update(&bytes);
    assert_ne!(then, ann.content());
    let missing = server.state("m").await;
    assert_eq!(Content::of_update(&missing), ann.content());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_bytes_that_are_gone_is_answered_with_all_of_the_present() {
    let server = server(100 << 10).await;
    let whole = server.get(STATE).await;
    let other = range(
        &server,
        "bytes=5-",
        Some("\"1.00000000-9.0000000000000000\""),
    )
    .await;
    assert_eq!((other.status, &other.body), (200, &whole.body));
    assert_eq!(other.header("etag"), whole.header("etag"));
    assert_eq!(other.header("accept-ranges"), Some("bytes"));
    let outside = range(&server, "bytes=99999999-", None).await;
    let expected = format!("bytes */{}", whole.body.len());
    assert_eq!(
        (outside.status, outside.header("content-range")),
        (416, Some(expected.as_str()))
    );
    let last = range(&server, "bytes=-7", None).await;
    assert_eq!(
        (last.status, last.body.as_slice()),
        (206, &whole.body[whole.body.len() - 7..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_the_state_is_told_so_by_whatever_form_of_its_tag() {
    let server = server(2_000).await;
    let whole = server.get(STATE).await;
    let tag = whole.header("etag").unwrap();
    for known in [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"x\", {tag}"),
        "*".to_owned(),
    ] {
        let answer = server
            .send(Request::get(STATE).header("if-none-match", &known))
            .await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
    }
    let head = server.send(Request::new("HEAD", STATE)).await;
    assert_eq!((head.status, head.header("etag")), (200, Some(tag)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_made_smaller_on_its_way_only_where_all_of_it_is_asked_for() {
    let server = server(100 << 10).await;
    let plain = server.get(STATE).await;
    let asked = |encoding: &str| Request::get(STATE).header("accept-encoding", encoding);
    let gzip = server.send(asked("gzip, deflate")).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut back = Vec::new();
    flate2::read::GzDecoder::new(gzip.body.as_slice())
        .read_to_end(&mut back)
        .unwrap();
    assert_eq!(back, plain.body);
    let zstd = server.send(asked("gzip, zstd")).await;
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(
        zstd::bulk::decompress(&zstd.body, plain.body.len()).unwrap(),
        plain.body
    );
    let tags = [&plain, &gzip, &zstd].map(|answer| answer.header("etag").unwrap());
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    let part = server
        .send(asked("gzip").header("range", "bytes=0-9"))
        .await;
    assert_eq!((part.status, part.header("content-encoding")), (206, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_not_there_yet_can_be_read_as_empty_and_listened_to() {
    let server = Server::start().await;
    let early = "/api/v1/maps/later/state?unknown=empty";
    assert_eq!(server.get("/api/v1/maps/later/state").await.status, 404);
    let empty = server.get(early).await;
    assert_eq!((empty.status, empty.body.as_slice()), (200, &[0, 0][..]));
    let listener = Listener::with(
        &server,
        Request::get("/api/v1/maps/later/events?unknown=empty"),
    )
    .await;
    // Reading and listening made nothing.
    assert_eq!(server.get("/api/v1/maps").await.json(), json!([]));
    let ann = Client::join(&server, "later").await;
    ann.set("a", 1);
    ann.stored().await;
    listener.event("update", |_| true).await;
    assert_eq!(
        Content::of_update(&server.get(early).await.body),
        ann.content()
    );
}
