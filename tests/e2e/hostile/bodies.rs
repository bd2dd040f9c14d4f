//! Bodies of requests: packed ones, slow ones, many at once.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::crew::Crew;
use super::{Attack, MAP, MIB, text_of};
use crate::harness::wait::{until_async, within};
use crate::harness::{Endpoint, Request, Server};

/// Begins a POST of a state of so many bytes, and sends the first of them.
async fn begin(server: &Endpoint, map: &str, declared: usize, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/v1/maps/{map}/state HTTP/1.1\r\nhost: {}\r\ncontent-type: application/octet-stream\r\n\
         content-length: {declared}\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// The status of the answer that comes on a connection.
async fn answered(mut stream: TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    // A connection may break behind its answer.
    let _ = within("an answer comes", stream.read_to_end(&mut answer)).await;
    let line = answer.get(9..12)?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_bodies_are_refused_before_they_are_unpacked() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    // 10 MiB of zeros; nobody looks into it.
    let bomb = include_bytes!("bomb.gz").to_vec();
    for coding in ["gzip", "zstd", "deflate", "br", "gzip, gzip"] {
        for (method, path, media_type) in [
            ("POST", "state", "application/octet-stream"),
            ("POST", "features", "application/geo+json"),
            ("PUT", "features/a", "application/geo+json"),
            ("PATCH", "features/a", "application/merge-patch+json"),
        ] {
            let path = format!("/api/v1/maps/{MAP}/{path}");
            let request = Request::with_body(method, &path, media_type, bomb.clone());
            let answer = server
                .send(request.header("content-encoding", coding))
                .await;
            let told = (answer.status, answer.problem());
            assert_eq!(told, (415, "content-encoding".into()), "{method} {coding}");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
    }
    let update = text_of(50, "plain", 10);
    let plain = Request::post(
        &format!("/api/v1/maps/{MAP}/state"),
        "application/octet-stream",
        update,
    );
    let answer = server
        .send(plain.header("content-encoding", "identity"))
        .await;
    assert_eq!(answer.status, 200);
    crew.work().await;
    crew.finds_memory_bounded(&server, 32 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_byte_by_byte_hold_up_nobody() {
    let server = Server::with(&[
        "limits.update_bytes_max=64 KiB",
        "limits.frame_bytes_max=128 KiB",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    let mut attacks = Vec::new();
    for number in 0..64 {
        // Some of them wait on disk by now, where there are few places.
        let sent = if number < 8 { 128 << 10 } else { 1 };
        let mut stream = begin(&server, "slow", 1 << 20, &vec![0; sent]).await;
        attacks.push(Attack::begin(async move {
            while stream.write_all(&[0]).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }));
    }
    for number in 0..3 {
        crew.work().await;
        let large = large_update(number);
        let path = "/api/v1/maps/elsewhere/state";
        let request = Request::post(path, "application/octet-stream", large);
        // The slowest give way to whoever is faster.
        let answer = until_async("a large upload finds a place", || async {
            let answer = request.clone().try_send(server.address()).await?;
            (answer.status == 200).then_some(answer)
        })
        .await;
        assert_eq!(answer.json()["durable"], true);
    }
    crew.finds_memory_bounded(&server, 96 * MIB);
    drop(attacks);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_count_until_they_are_applied() {
    let server = Server::with(&[
        "limits.update_bytes_max=4 MiB",
        "limits.unfinished_bytes_max=12 MiB",
        "storage.cache_bytes=1 MiB",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    let body = Arc::new(features(3 << 20));
    let posting = (0..48).map(|number| {
        let (endpoint, body) = (*server, body.clone());
        tokio::spawn(async move {
            let path = format!("/api/v1/maps/many{}/features", number % 4);
            let request = Request::post(&path, "application/geo+json", body.as_bytes());
            let answer = request.try_send(endpoint.address()).await;
            answer.map(|answer| answer.status)
        })
    });
    let posting: Vec<_> = posting.collect();
    crew.work().await;
    let mut answers = Vec::new();
    for posted in posting {
        answers.push(within("it is answered", posted).await.unwrap());
    }
    // Taken, or turned away with a reason to come back: whoever sends on may lose the answer.
    let known = |status: &Option<u16>| matches!(status, None | Some(201 | 503));
    assert!(answers.iter().all(known), "{answers:?}");
    assert!(answers.contains(&Some(201)), "{answers:?}");
    crew.finds_memory_bounded(&server, 768 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_larger_than_it_says_or_never_comes_harms_nobody() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let huge = begin(&server, MAP, usize::MAX >> 1, b"").await;
    assert_eq!(answered(huge).await, Some(413));
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(begin(&server, MAP, 1 << 20, b"").await);
    }
    crew.work().await;
    crew.finds_memory_bounded(&server, 32 * MIB);
    crew.leaves_all_well(server).await;
    drop(waiting);
}

/// A collection of points of about so many bytes.
fn features(bytes: usize) -> String {
    let mut features = String::from(r#"{"type":"FeatureCollection","features":["#);
    while features.len() < bytes {
        features += r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[7.5,47.5]},"properties":{"text":""#;
        features += &"x".repeat(1_000);
        features += "\"}},";
    }
    features.pop();
    features + "]}"
}

/// An update of several structs that is larger than 64 KiB, and no one of which is.
fn large_update(number: u64) -> Vec<u8> {
    use yrs::{Doc, Map, Transact};
    let doc = Doc::with_client_id(200 + number);
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    for part in 0..40 {
        feat.insert(&mut txn, format!("part{number}.{part}"), "x".repeat(20_000));
    }
    txn.encode_update_v1()
}
