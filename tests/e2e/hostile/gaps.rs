//! Updates that build on others which never come.

use yrs::{Doc, Map, Transact};

use super::crew::Crew;
use super::{MAP, MIB};
use crate::harness::raw::{addressed, token};
use crate::harness::{Raw, Server, wire};

/// What it takes to say something to the map on a socket at this path.
struct Way {
    path: &'static str,
    first: Option<Vec<u8>>,
    wrap: fn(Vec<u8>) -> Vec<u8>,
}

/// Updates of a client whose first one is never sent.
fn updates_without_a_beginning(client: u64, count: usize) -> Vec<Vec<u8>> {
    let doc = Doc::with_client_id(client);
    let feat = doc.get_or_insert_map("feat");
    let mut updates = Vec::new();
    for number in 0..=count {
        let mut txn = doc.transact_mut();
        feat.insert(&mut txn, format!("gap{number}"), "x".repeat(2_000));
        updates.push(txn.encode_update_v1());
    }
    updates.split_off(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_can_never_go_in_are_bounded_however_often_their_sender_returns() {
    let server = Server::with(&[
        "limits.held_bytes_per_session_max=64 KiB",
        "limits.held_bytes_per_map_max=256 KiB",
        "storage.cache_bytes=1 MiB",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    let ways = [
        Way {
            path: "/ws/m",
            first: None,
            wrap: |message| message,
        },
        Way {
            path: "/hocuspocus",
            first: Some(token(MAP)),
            wrap: |message| addressed(MAP, &message),
        },
    ];
    for round in 0..12_u64 {
        for (number, way) in ways.iter().enumerate() {
            let mut socket = Raw::open(&server, way.path).await;
            let client = 1_000 + 10 * round + number as u64;
            let greeting = [wire::sync_step1(&[0]), wire::sync_step2(&[0, 0])];
            let gaps = updates_without_a_beginning(client, 64);
            let gaps = gaps.iter().map(|update| wire::update(update));
            let said = greeting.into_iter().chain(gaps).map(way.wrap);
            for message in way.first.iter().cloned().chain(said) {
                // It is closed on the way, at the latest by the map's bound.
                let _ = socket.say(&message).await;
            }
            assert!(matches!(socket.closed().await, Some(4503) | None));
        }
        crew.work().await;
    }
    assert!(server.metric("mapweave_updates_refused_total").await >= 24.0);
    crew.finds_memory_bounded(&server, 64 * MIB);
    // What is refused is not logged: of all that was sent, the log has no more than what may wait.
    let described = server.describe(MAP).await;
    let logged = described["bytes"].as_u64().unwrap();
    assert!(logged < MIB, "{logged} bytes are in the log");
    crew.leaves_all_well(server).await;
}
