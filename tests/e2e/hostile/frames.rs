//! Frames: fragments of a byte, messages without an end, pings without an end, sizes that are only claimed.

use super::crew::Crew;
use super::{Attack, MAP, MIB};
use crate::harness::raw::{BEGIN, BINARY, CONTINUE, PING, frame, frame_head, token};
use crate::harness::wait::until_async;
use crate::harness::{Raw, Request, Server};

const PATHS: [&str; 2] = ["/ws/m", "/hocuspocus"];

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_fragments_of_one_byte_ends_at_the_limit() {
    let server = Server::with(&["limits.update_bytes_max=64 KiB"]).await;
    let mut crew = Crew::join(&server).await;
    let mut attacks = Vec::new();
    for path in PATHS {
        let mut socket = Raw::open(&server, path).await;
        socket.send(&frame(BEGIN, b"x")).await.unwrap();
        attacks.push(Attack::flood(socket, frame(CONTINUE, b"x").repeat(1_000)));
    }
    for _ in 0..5 {
        crew.work().await;
    }
    // By the code that the protocol has for it.
    until_async("both are ended", || async {
        (server.metric("mapweave_sessions_closed_total").await >= 2.0).then_some(())
    })
    .await;
    crew.finds_memory_bounded(&server, 64 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_of_nothing_and_pings_without_end_hold_up_nobody() {
    let server = Server::with(&["limits.messages_per_second=2000"]).await;
    let mut crew = Crew::join(&server).await;
    let mut attacks = Vec::new();
    for path in PATHS {
        let mut socket = Raw::open(&server, path).await;
        socket.send(&frame(BEGIN, b"x")).await.unwrap();
        attacks.push(Attack::flood(socket, frame(CONTINUE, b"").repeat(10_000)));
        let socket = Raw::open(&server, path).await;
        attacks.push(Attack::flood(socket, frame(PING, b"").repeat(10_000)));
    }
    for _ in 0..10 {
        crew.work().await;
    }
    crew.finds_memory_bounded(&server, 64 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_never_end_share_one_bound() {
    const SOCKETS: usize = 24;
    let server = Server::with(&[
        "limits.update_bytes_max=4 MiB",
        "limits.unfinished_bytes_max=8 MiB",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let endpoint = *server;
        let path = PATHS[number % PATHS.len()];
        sockets.push(tokio::spawn(async move {
            let mut socket = Raw::open(&endpoint, path).await;
            let mut begun = frame_head(BINARY, 4 << 20);
            begun.resize(begun.len() + (3 << 20), 0);
            // Whoever gives way is closed while it sends.
            let _ = socket.send(&begun).await;
            socket
        }));
    }
    let mut open = Vec::new();
    for socket in sockets {
        open.push(socket.await.unwrap());
        crew.work().await;
    }
    let evicted = "mapweave_unfinished_evicted_total";
    until_async("the largest have given way", || async {
        (server.metric(evicted).await >= (SOCKETS - 2) as f64).then_some(())
    })
    .await;
    assert!(server.metric("mapweave_unfinished_bytes").await <= (8 * MIB) as f64);
    crew.finds_memory_bounded(&server, 96 * MIB);
    drop(open);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_claimed_takes_no_memory() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let mut sockets = Vec::new();
    for number in 0..200 {
        let mut socket = Raw::open(&server, PATHS[number % PATHS.len()]).await;
        // 64 MiB each, of which the first bytes come.
        let claimed = [frame_head(BINARY, 64 << 20), vec![0; 64]].concat();
        socket.send(&claimed).await.unwrap();
        sockets.push(socket);
    }
    until_async("all of it has arrived", || async {
        let waiting = server.metric("mapweave_unfinished_bytes").await;
        (waiting >= 200.0 * 64.0).then_some(())
    })
    .await;
    crew.work().await;
    crew.finds_memory_bounded(&server, 64 * MIB);
    crew.leaves_all_well(server).await;
    drop(sockets);
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_not_spoken_on_sockets_whoever_offers_it() {
    let server = Server::start().await;
    let crew = Crew::join(&server).await;
    for path in PATHS {
        let offer = Request::upgrade(path).header(
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame",
        );
        let (answer, mut socket) = Raw::ask(&server, offer).await;
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        // A thousand bytes of zeros, as permessage-deflate would have them.
        let compressed = [0x62, 0x60, 0x18, 0x05, 0xa3, 0x00, 0x00];
        socket.send(&frame(0xc2, &compressed)).await.unwrap();
        assert_eq!(socket.closed().await, Some(1002));
    }
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_and_does_not_read_the_answers_is_listened_to_no_more() {
    let server = Server::with(&["limits.unanswered_s=600"]).await;
    let mut crew = Crew::join(&server).await;
    let mut attacks = Vec::new();
    for path in PATHS {
        let mut socket = Raw::open(&server, path).await;
        let mut questions = frame(PING, &[7; 125]);
        if path == "/hocuspocus" {
            socket.say(&token(MAP)).await.unwrap();
            questions.extend(frame(BINARY, &[9]));
        }
        let questions = questions.repeat(1_000);
        attacks.push(Attack::begin(async move {
            // At some point nothing is taken any more.
            while socket.send(&questions).await.is_ok() {}
        }));
    }
    for _ in 0..10 {
        crew.work().await;
    }
    crew.finds_memory_bounded(&server, 64 * MIB);
    crew.leaves_all_well(server).await;
}
