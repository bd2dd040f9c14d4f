//! An acknowledgement may be late, never early: what was acknowledged survives SIGKILL at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use yrs::{Any, Doc, Map, Transact};

use crate::harness::wait::until_true;
use crate::harness::{Client, Content, Random, Request, Server};

/// Writers over WebSockets, of 50.
const SOCKET_WRITERS: usize = 42;

/// Writers over plain HTTP, of 50.
const HTTP_WRITERS: usize = 8;

/// Maps that they share.
const MAPS: usize = 5;

/// Maps are left behind after so many rounds, so that long runs do not slow down.
const ROUNDS_PER_MAP: u64 = 10;

/// Edits that a writer has under way at most.
const WINDOW: u64 = 8;

/// What one writer was promised: its edits 1 to `acknowledged`.
#[derive(Debug)]
struct Promise {
    map: String,
    writer: String,
    acknowledged: u64,
}

/// `make crash` runs this for hours: CRASH_ROUNDS kills, the seed and a summary printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let rounds: u64 = std::env::var("CRASH_ROUNDS")
        .map_or(3, |text| text.parse().expect("CRASH_ROUNDS is a number"));
    let mut random = Random::printed("crash");
    let mut server = Server::start().await;
    let (mut acknowledged, mut lost) = (0, Vec::new());
    let mut promises: Vec<Promise> = Vec::new();
    for round in 0..rounds {
        let maps = maps_of(round);
        promises.retain(|promise| maps.contains(&promise.map));
        let new = round_of_writers(&mut server, round, &mut random).await;
        acknowledged += new.iter().map(|promise| promise.acknowledged).sum::<u64>();
        promises.extend(new);
        server.restart().await;
        for map in &maps {
            lost.extend(missing(&server, map, &promises).await);
        }
        if (round + 1) % ROUNDS_PER_MAP == 0 || round + 1 == rounds {
            server.verify_running().await;
        }
        eprintln!("crash: round {}, acked {acknowledged}", round + 1);
    }
    eprintln!(
        "crash: rounds {rounds}, acked {acknowledged}, lost {}, panics {}",
        lost.len(),
        server.panics()
    );
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_whole_right_after_a_crash() {
    let mut random = Random::printed("verify after a crash");
    let mut server = Server::start().await;
    let promises = round_of_writers(&mut server, 0, &mut random).await;
    assert!(promises.iter().any(|promise| promise.acknowledged > 0));
    // No server has recovered it yet: the command itself reads past the torn end.
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_made_offline_are_acknowledged_only_once_they_are_stored() {
    let mut server = Server::start().await;
    let mut client = Client::offline("offline");
    for number in 0..200 {
        client.set(&format!("edit {number}"), number as f64);
    }
    // The token goes out right at the start, before any of the edits it stands for.
    client.go_online(&server).await;
    client.stored().await;
    server.kill().await;
    client.closed().await;
    server.restart().await;
    let survived = Content::of_update(&server.state("offline").await);
    assert_eq!(survived, client.content());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_deletions_of_maps_survive_a_crash() {
    let mut server = Server::start().await;
    let create = |name: &str| {
        let body = format!(r#"{{"name":"{name}"}}"#);
        Request::post("/api/v1/maps", "application/json", body)
    };
    for name in ["kept", "gone", "back"] {
        assert_eq!(server.send(create(name)).await.status, 201);
    }
    for name in ["gone", "back"] {
        let delete = Request::new("DELETE", &format!("/api/v1/maps/{name}"));
        assert_eq!(server.send(delete).await.status, 204);
    }
    let undelete = Request::new("POST", "/api/v1/maps/back/undelete");
    assert_eq!(server.send(undelete).await.status, 204);
    server.kill().await;
    server.restart().await;
    for (name, status) in [("kept", 200), ("gone", 410), ("back", 200), ("other", 404)] {
        let answer = server.get(&format!("/api/v1/maps/{name}/state")).await;
        assert_eq!(answer.status, status, "{name}");
    }
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_back_from_its_client() {
    let mut server = Server::start().await;
    let mut writers = Vec::new();
    for number in 0..6 {
        let client = Client::join(&server, "shared").await;
        for edit in 0..300 {
            client.set(&format!("{number}.{edit}"), edit as f64);
        }
        writers.push(client);
    }
    let all = 6 * 300 / 4;
    until_true("a part of the edits is stored", || {
        writers.iter().map(Client::acknowledged).sum::<u64>() >= all
    })
    .await;
    server.kill().await;
    for writer in &mut writers {
        writer.closed().await;
    }
    server.restart().await;
    for writer in &mut writers {
        writer.go_online(&server).await;
        writer.stored().await;
    }
    let fresh = Client::join(&server, "shared").await;
    assert_eq!(fresh.content().keys().len(), 6 * 300);
    for writer in &writers {
        writer.converges_with(&fresh).await;
    }
    server.stop().await;
    server.verify_folder().await;
}

fn maps_of(round: u64) -> Vec<String> {
    let generation = round / ROUNDS_PER_MAP;
    (0..MAPS)
        .map(|map| format!("crash-{generation}-{map}"))
        .collect()
}

/// Fifty writers until a random number of acknowledgements, then SIGKILL; what each was promised.
async fn round_of_writers(server: &mut Server, round: u64, random: &mut Random) -> Vec<Promise> {
    let maps = maps_of(round);
    let stored = Arc::new(AtomicU64::new(0));
    let mut writers: Vec<JoinHandle<Promise>> = Vec::new();
    let joining = (0..SOCKET_WRITERS).map(|number| Client::join(server, &maps[number % MAPS]));
    // All have joined before the first one writes: a crash may come at the very first edit.
    let clients = join_all(joining).await;
    for (number, client) in clients.into_iter().enumerate() {
        let (map, writer) = (maps[number % MAPS].clone(), format!("{round}.{number}"));
        let writing = write_to_socket(client, map, writer, stored.clone());
        writers.push(tokio::spawn(writing));
    }
    for number in 0..HTTP_WRITERS {
        let (map, writer) = (maps[number % MAPS].clone(), format!("{round}.h{number}"));
        let address = server.address();
        let writing = write_over_http(address, map, writer, stored.clone());
        writers.push(tokio::spawn(writing));
    }
    let enough = random.below(1_500);
    let what = format!("{enough} edits are acknowledged");
    until_true(&what, || stored.load(Relaxed) >= enough).await;
    // The fault is injected at a random moment; nothing waits for it.
    tokio::time::sleep(Duration::from_micros(random.below(4_000))).await;
    server.kill().await;
    let mut promises = Vec::new();
    for writer in writers {
        promises.push(writer.await.expect("a writer"));
    }
    promises
}

/// Edit `n` sets one key for good and replaces a second one by that of the next number.
fn edit(writer: &str, number: u64, feat: &yrs::MapRef, txn: &mut yrs::TransactionMut<'_>) {
    feat.insert(txn, format!("{writer}.{number}"), Any::from(number as f64));
    feat.insert(txn, format!("{writer}.{number} newest"), Any::from(true));
    feat.remove(txn, &format!("{writer}.{} newest", number - 1));
}

async fn write_to_socket(
    mut client: Client,
    map: String,
    writer: String,
    stored: Arc<AtomicU64>,
) -> Promise {
    let mut changes = client.changes();
    let mut counted = 0;
    while !client.is_closed() {
        while client.made() < counted + WINDOW {
            let number = client.made() + 1;
            client.edit(|feat, txn| edit(&writer, number, feat, txn));
        }
        client.news(&mut changes).await;
        let acknowledged = client.acknowledged();
        stored.fetch_add(acknowledged - counted, Relaxed);
        counted = acknowledged;
    }
    client.closed().await;
    Promise {
        map,
        writer,
        acknowledged: client.acknowledged(),
    }
}

async fn write_over_http(
    address: std::net::SocketAddr,
    map: String,
    writer: String,
    stored: Arc<AtomicU64>,
) -> Promise {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let path = format!("/api/v1/maps/{map}/state");
    let mut acknowledged = 0;
    loop {
        let update = {
            let mut txn = doc.transact_mut();
            edit(&writer, acknowledged + 1, &feat, &mut txn);
            txn.encode_update_v1()
        };
        let request = Request::post(&path, "application/octet-stream", update);
        let Some(answer) = request.try_send(address).await else {
            break;
        };
        assert_eq!(answer.status, 200);
        acknowledged += 1;
        stored.fetch_add(1, Relaxed);
    }
    Promise {
        map,
        writer,
        acknowledged,
    }
}

/// Edits that were promised and are not there as promised.
async fn missing(server: &Server, map: &str, promises: &[Promise]) -> Vec<String> {
    let promised: Vec<&Promise> = promises
        .iter()
        .filter(|promise| promise.map == map && promise.acknowledged > 0)
        .collect();
    if promised.is_empty() {
        return Vec::new();
    }
    let content = Content::of_update(&server.state(map).await);
    let mut missing = Vec::new();
    for promise in promised {
        let writer = &promise.writer;
        for number in 1..=promise.acknowledged {
            let value = Any::from(number as f64);
            if content.get(&format!("{writer}.{number}")) != Some(&value) {
                missing.push(format!("{map}: edit {number} of {writer}"));
            }
            if content
                .get(&format!("{writer}.{} newest", number - 1))
                .is_some()
            {
                missing.push(format!("{map}: deletion by edit {number} of {writer}"));
            }
        }
    }
    missing
}
