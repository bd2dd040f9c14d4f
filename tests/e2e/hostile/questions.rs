//! Questions that cost the server more than whoever asks: sync requests in all varieties, reads of features.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::crew::Crew;
use super::{Attack, MAP, MIB, text_of};
use crate::harness::raw::{BINARY, addressed, frame, token};
use crate::harness::wait::until_async;
use crate::harness::{Raw, Request, Server, wire};

/// State vectors of somebody who has heard of the first of these clients, each to another clock.
fn vectors(count: u64) -> Vec<Vec<u8>> {
    let vector = |clock: u64| {
        let mut vector = Vec::new();
        for number in [2, 1, clock, 2, 1] {
            wire::number(&mut vector, number);
        }
        vector
    };
    (1..=count).map(vector).collect()
}

/// A map whose state takes long to look through: as many entries as come in one update.
async fn filled(server: &Server) {
    use yrs::{Doc, Map, Transact};
    let doc = Doc::with_client_id(1);
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    for number in 0..20_000 {
        feat.insert(&mut txn, format!("large{number}"), "x".repeat(50));
    }
    server.post(MAP, txn.encode_update_v1()).await;
    drop(txn);
    server.post(MAP, text_of(2, "more", 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_requests_without_end_hold_up_nobody() {
    let server = Server::with(&["server.shutdown_deadline_s=60"]).await;
    filled(&server).await;
    let mut crew = Crew::join(&server).await;
    let questions: Vec<Vec<u8>> = vectors(500).iter().map(|v| wire::sync_step1(v)).collect();
    let mut attacks = Vec::new();
    for number in 0..8 {
        let (path, said): (_, Vec<Vec<u8>>) = match number % 2 {
            0 => ("/ws/m", questions.clone()),
            _ => (
                "/hocuspocus",
                questions.iter().map(|q| addressed(MAP, q)).collect(),
            ),
        };
        let mut socket = Raw::open(&server, path).await;
        if number % 2 == 1 {
            socket.say(&token(MAP)).await.unwrap();
        }
        let said = said.iter().flat_map(|message| frame(BINARY, message));
        attacks.push(Attack::flood(socket, said.collect()));
    }
    for _ in 0..10 {
        crew.work().await;
    }
    crew.finds_memory_bounded(&server, 256 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_anew_for_every_sync_request_holds_up_nobody() {
    let server = Server::with(&["server.shutdown_deadline_s=60"]).await;
    filled(&server).await;
    let mut crew = Crew::join(&server).await;
    let questions = Arc::new(vectors(5_000));
    let mut attacks = Vec::new();
    for number in 0..8 {
        let (endpoint, questions) = (*server, questions.clone());
        attacks.push(Attack::begin(async move {
            for vector in questions.iter().skip(number).step_by(8).cycle() {
                if number % 2 == 0 {
                    let mut socket = Raw::open(&endpoint, "/ws/m").await;
                    // What comes back is of no interest.
                    let _ = socket.say(&wire::sync_step1(vector)).await;
                    let _ = socket.hear(&[0, 1]).await;
                } else {
                    let vector = URL_SAFE_NO_PAD.encode(vector);
                    let path = format!("/api/v1/maps/{MAP}/state?sv={vector}");
                    let _ = Request::get(&path).try_send(endpoint.address()).await;
                }
            }
        }));
    }
    for _ in 0..10 {
        crew.work().await;
    }
    crew.finds_memory_bounded(&server, 512 * MIB);
    drop(attacks);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reads_of_features_take_turns_and_hold_up_no_upload() {
    let server = Server::with(&["limits.update_bytes_max=1 MiB"]).await;
    let features: Vec<String> = (0..3_000)
        .map(|n| {
            let text = "x".repeat(100);
            format!(r#"{{"type":"Feature","id":{n},"geometry":{{"type":"Point","coordinates":[{},50]}},"properties":{{"a":{n},"text":"{text}"}}}}"#, n % 180)
        })
        .collect();
    for some in features.chunks(500) {
        let body = format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            some.join(",")
        );
        let path = format!("/api/v1/maps/{MAP}/features");
        let answer = server
            .send(Request::post(&path, "application/geo+json", body))
            .await;
        assert_eq!(answer.status, 201);
    }
    let mut crew = Crew::join(&server).await;
    // More than there are threads for work that blocks.
    let mut attacks = Vec::new();
    for number in 0..600 {
        let endpoint = *server;
        attacks.push(Attack::begin(async move {
            loop {
                let path = format!("/api/v1/maps/{MAP}/features?limit=1000&prop.a={number}");
                // Answered or turned away.
                let _ = Request::get(&path).try_send(endpoint.address()).await;
            }
        }));
    }
    until_async("they wait for each other", || async {
        (server
            .metric("mapweave_http_problems_total{status=\"503\"}")
            .await
            > 0.0)
            .then_some(())
    })
    .await;
    for number in 0..3 {
        crew.work().await;
        // Larger than one update: it waits on disk, by threads of the same pool.
        let update = large_update(number);
        server.post("elsewhere", update).await;
    }
    crew.finds_memory_bounded(&server, 512 * MIB);
    drop(attacks);
    crew.leaves_all_well(server).await;
}

/// An update of several structs that is larger than 1 MiB.
fn large_update(number: u64) -> Vec<u8> {
    use yrs::{Doc, Map, Transact};
    let doc = Doc::with_client_id(100 + number);
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    for part in 0..24 {
        feat.insert(&mut txn, format!("part{number}.{part}"), "x".repeat(60_000));
    }
    txn.encode_update_v1()
}
