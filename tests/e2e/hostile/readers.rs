//! Sockets that are not read, and those whose other end fell silent.

use super::crew::Crew;
use super::{MAP, MIB};
use crate::harness::raw::{addressed, token};
use crate::harness::wait::until_async;
use crate::harness::{Raw, Server, wire};

/// What a session that has nothing says when it comes.
const NOTHING: &[u8] = &[0, 0];

/// A socket of y-websocket that has synced.
async fn plain(server: &Server) -> Raw {
    let mut socket = Raw::open(server, "/ws/m").await;
    for message in [wire::sync_step1(&[0]), wire::sync_step2(NOTHING)] {
        socket.say(&message).await.unwrap();
    }
    socket
}

/// The same of Hocuspocus.
async fn addressing(server: &Server) -> Raw {
    let mut socket = Raw::open(server, "/hocuspocus").await;
    for message in [
        token(MAP),
        addressed(MAP, &wire::sync_step1(&[0])),
        addressed(MAP, &wire::sync_step2(NOTHING)),
    ] {
        socket.say(&message).await.unwrap();
    }
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_not_read_cost_no_more_than_their_queue_and_are_resynced_in_place() {
    const SOCKETS: usize = 8;
    let server = Server::with(&[
        "limits.session_queue_bytes_max=256 KiB",
        "limits.unanswered_s=600",
        "storage.cache_bytes=1 MiB",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    let (mut plain_ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..SOCKETS {
        plain_ones.push(plain(&server).await);
        others.push(addressing(&server).await);
    }
    // What all of it would take that does not fit into the system's buffers: 16 times 24 MiB.
    let large = "x".repeat(128 << 10);
    for _ in 0..24 {
        for _ in 0..8 {
            crew.ann().set("large", large.as_str());
        }
        crew.work().await;
    }
    until_async("all of them are behind", || async {
        let behind = server.metric("mapweave_sessions_behind_total").await;
        (behind >= 2.0 * SOCKETS as f64).then_some(())
    })
    .await;
    crew.finds_memory_bounded(&server, 128 * MIB);
    for mut socket in plain_ones {
        // The answer to the first question, then the difference to what was dropped.
        socket.hear(&[0, 1]).await;
        socket.hear(&[0, 1]).await;
    }
    for mut socket in others {
        let difference = addressed(MAP, &[0, 1]);
        socket.hear(&difference).await;
        socket.hear(&difference).await;
    }
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_whose_other_end_fell_silent_is_given_up_with_its_presence() {
    let server = Server::with(&["limits.unanswered_s=5", "room.presence_expiry_s=86400"]).await;
    let mut crew = Crew::join(&server).await;
    let mut silent = plain(&server).await;
    let state = r#"{"user":{"name":"Ben"}}"#;
    silent
        .say(&wire::awareness(&[(77, 1, state)]))
        .await
        .unwrap();
    crew.ann().sees_presence(77, 1, state).await;
    // It neither reads nor closes: what it is sent goes unanswered.
    let large = "x".repeat(128 << 10);
    while server.metric("mapweave_sockets_open").await > 4.0 {
        crew.ann().set("large", large.as_str());
        crew.work().await;
    }
    crew.ann().sees_presence(77, 1, "null").await;
    crew.leaves_all_well(server).await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_not_read_do_not_hold_up_a_stop() {
    let server = Server::with(&["limits.unanswered_s=600", "storage.cache_bytes=1 MiB"]).await;
    let crew = Crew::join(&server).await;
    // Full to the brim: neither the last acknowledgement nor the close will be taken.
    let large = "x".repeat(1 << 20);
    let (plain_one, other) = (plain(&server).await, addressing(&server).await);
    for _ in 0..16 {
        crew.ann().set("large", large.as_str());
        crew.ann().stored().await;
    }
    crew.leaves_all_well(server).await;
    drop((plain_one, other));
}
