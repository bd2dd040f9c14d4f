//! Listeners to events and readers of states that stop reading.

use super::crew::Crew;
use super::{MAP, MIB};
use crate::harness::wait::until_async;
use crate::harness::{Client, Raw, Request, Server};

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_stopped_reading_cost_little_and_do_not_hold_up_a_stop() {
    const LISTENERS: usize = 16;
    let server = Server::with(&[
        "limits.unanswered_s=600",
        "storage.cache_bytes=1 MiB",
        "server.shutdown_deadline_s=60",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let request = Request::get(&format!("/api/v1/maps/{MAP}/events"));
        let (answer, listener) = Raw::ask(&server, request).await;
        assert_eq!(answer.status, 200);
        listeners.push(listener);
    }
    let large = "x".repeat(128 << 10);
    for _ in 0..24 {
        for _ in 0..4 {
            crew.ann().set("large", large.as_str());
        }
        crew.work().await;
    }
    crew.finds_memory_bounded(&server, 128 * MIB);
    crew.leaves_all_well(server).await;
    drop(listeners);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_state_who_take_nothing_share_it_and_do_not_hold_up_a_stop() {
    let server = Server::with(&[
        "limits.unanswered_s=600",
        "storage.cache_bytes=1 MiB",
        "server.shutdown_deadline_s=60",
    ])
    .await;
    let mut crew = Crew::join(&server).await;
    crew.ann().set("large", "x".repeat(8 << 20));
    crew.work().await;
    let mut readers = Vec::new();
    for _ in 0..64 {
        let request = Request::get(&format!("/api/v1/maps/{MAP}/state"));
        let (answer, reader) = Raw::ask(&server, request).await;
        assert_eq!(answer.status, 200);
        readers.push(reader);
    }
    crew.work().await;
    // One copy for all who ask for the same, and not one for each.
    crew.finds_memory_bounded(&server, 256 * MIB);
    crew.leaves_all_well(server).await;
    drop(readers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_cannot_listen_now_is_told_to_come_back() {
    let server = Server::with(&["limits.sessions_per_map_max=3"]).await;
    let crew = Crew::join(&server).await;
    let events = format!("/api/v1/maps/{MAP}/events");
    let mut third = Client::join(&server, MAP).await;
    // Programs are told by the status.
    let refused = server.get(&events).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "unavailable")
    );
    // A browser's EventSource gives up for good on any status but 200.
    let browser = Request::get(&events).header("accept", "text/event-stream");
    let answer = until_async("it is answered", || async {
        browser.clone().try_send(server.address()).await
    })
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(
        text.contains("retry: ") && text.contains("event: notice"),
        "{text}"
    );
    assert!(text.contains("\"final\":false"), "{text}");
    // What will not change by waiting is told by the status to all.
    let unknown = Request::get("/api/v1/maps/none/events").header("accept", "text/event-stream");
    assert_eq!(server.send(unknown).await.status, 404);
    third.go_offline().await;
    server.until_sockets(4).await;
    crew.leaves_all_well(server).await;
}
