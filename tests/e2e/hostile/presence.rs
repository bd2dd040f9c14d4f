//! Presence: too much of it, and other people's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::AsyncWriteExt;

use super::crew::Crew;
use super::{Attack, MIB};
use crate::harness::raw::{BINARY, frame};
use crate::harness::wait::{until_async, until_true};
use crate::harness::{Client, Endpoint, Raw, Server, wire};

const ANN: u64 = 7;
const STATE: &str = r#"{"user":{"name":"Ann"},"cursor":[7.6,47.5]}"#;

/// Shows sixteen large states on one socket, each newer than the last, for ever; reads what it is told.
fn flood(server: Endpoint, first_client: u64) -> Attack {
    Attack::begin(async move {
        let socket = Raw::open(&server, "/ws/m").await;
        let (mut reading, mut writing) = socket.into_split();
        let state = format!("\"{}\"", "x".repeat(60 << 10));
        let sending = async {
            for clock in 1.. {
                for client in first_client..first_client + 16 {
                    let shown = wire::awareness(&[(client, clock, &state)]);
                    if writing.write_all(&frame(BINARY, &shown)).await.is_err() {
                        return;
                    }
                }
            }
        };
        // An end is an end, whatever its reason.
        let mut nowhere = tokio::io::sink();
        let _ = tokio::join!(sending, tokio::io::copy(&mut reading, &mut nowhere));
    })
}

/// Moves Ann's pointer and waits until others see it.
async fn moves(ann: &Client, others: &[&Client]) {
    static CLOCK: AtomicU64 = AtomicU64::new(1);
    let clock = CLOCK.fetch_add(1, Relaxed);
    let state = format!(r#"{{"user":{{"name":"Ann"}},"cursor":[{clock},47.5]}}"#);
    ann.send(wire::awareness(&[(ANN, clock, &state)]));
    for other in others {
        other.sees_presence(ANN, clock, &state).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_presence_than_anybody_needs_is_slowed_down_and_shuts_out_nobody() {
    // The deadlines are for a machine that is busy with much else.
    let server = Server::with(&[
        "storage.cache_bytes=1 MiB",
        "limits.header_timeout_s=120",
        "server.shutdown_deadline_s=60",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    // Eighteen of them show more than a map tells of.
    let floods: Vec<Attack> = (0..24).map(|n| flood(*server, 1_000 + 16 * n)).collect();
    until_async("some of it gave way", || async {
        (server.metric("mapweave_presence_gave_way_total").await > 0.0).then_some(())
    })
    .await;
    for _ in 0..5 {
        let newcomer = Client::join(&server, "m").await;
        moves(crew.ann(), &[crew.ann(), &newcomer]).await;
        crew.work().await;
    }
    // What they show, what of it is on its way in and out, and what is unfinished.
    crew.finds_memory_bounded(&server, 128 * MIB);
    crew.leaves_all_well(server).await;
    drop(floods);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_somebody_else_however_often_they_try() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    crew.ann().send(wire::awareness(&[(ANN, 1, STATE)]));
    crew.ann().sees_presence(ANN, 1, STATE).await;
    // Ann gone at any clock, for ever: what only she may say.
    let mut forged = Vec::new();
    for clock in (1..64).map(|bit| 1_u64 << bit.min(52)) {
        let gone = wire::awareness(&[(ANN, clock, "null")]);
        forged.extend(frame(BINARY, &gone));
    }
    let socket = Raw::open(&server, "/ws/m").await;
    let _forging = Attack::flood(socket, forged);
    for _ in 0..5 {
        crew.work().await;
        let newcomer = Client::join(&server, "m").await;
        newcomer.sees_presence(ANN, 1, STATE).await;
    }
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_made_up_by_the_thousand_leave_room_for_those_who_are_there() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    // 40 sockets that each speak for as many clients as one may: twice what a map remembers.
    let mut sockets = Vec::new();
    for number in 0..40_u64 {
        let mut socket = Raw::open(&server, "/ws/m").await;
        for some in 0..2 {
            let first = 1_000_000 + 1_000 * number + 500 * some;
            let entries: Vec<_> = (first..first + 500).map(|id| (id, 1, "{}")).collect();
            socket.say(&wire::awareness(&entries)).await.unwrap();
        }
        sockets.push(socket);
    }
    let newcomer = Client::join(&server, "m").await;
    moves(&newcomer, &[crew.ann()]).await;
    until_true("the newcomer sees a crowd", || {
        newcomer.presence().len() > 10_000
    })
    .await;
    crew.work().await;
    crew.finds_memory_bounded(&server, 96 * MIB);
    crew.leaves_all_well(server).await;
    drop(sockets);
}
