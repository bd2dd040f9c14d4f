//! Who is here: shown to all and the sender, taken out on leave, seen at once on return, never forged.

use crate::harness::wait::until_true;
use crate::harness::{Client, Server, wire};

const STATE: &str = r#"{"user":{"name":"Ann"}}"#;
const MOVED: &str = r#"{"user":{"name":"Ann"},"cursor":[7.6,47.5]}"#;

fn says(client: &Client, entries: &[(u64, u64, &str)]) {
    client.send(wire::awareness(entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_to_everybody_and_echoed_to_its_sender() {
    let mut server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    let ben = Client::join(&server, "m").await;
    let elsewhere = Client::join(&server, "another").await;
    says(&ann, &[(7, 1, STATE)]);
    for client in [&ann, &ben] {
        client.sees_presence(7, 1, STATE).await;
    }
    says(&ann, &[(7, 2, MOVED)]);
    for client in [&ann, &ben] {
        client.sees_presence(7, 2, MOVED).await;
    }
    let late = Client::join(&server, "m").await;
    late.sees_presence(7, 2, MOVED).await;
    elsewhere.set("something", "heard");
    elsewhere.stored().await;
    assert!(elsewhere.presence().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_taken_out_and_who_says_so_as_well() {
    let mut server = Server::start().await;
    let watcher = Client::join(&server, "m").await;
    let mut ann = Client::join(&server, "m").await;
    let ben = Client::join(&server, "m").await;
    says(&ann, &[(7, 3, STATE)]);
    says(&ben, &[(8, 1, STATE)]);
    watcher.sees_presence(7, 3, STATE).await;
    watcher.sees_presence(8, 1, STATE).await;
    ann.go_offline().await;
    watcher.sees_presence(7, 3, "null").await;
    says(&ben, &[(8, 2, "null")]);
    watcher.sees_presence(8, 2, "null").await;
    let late = Client::join(&server, "m").await;
    late.send(wire::query_awareness());
    says(&late, &[(9, 1, STATE)]);
    late.sees_presence(9, 1, STATE).await;
    assert_eq!(late.presence().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_returns_with_the_same_clock_is_seen_at_once() {
    let mut server = Server::start().await;
    let watcher = Client::join(&server, "m").await;
    let mut ann = Client::join(&server, "m").await;
    says(&ann, &[(7, 5, STATE)]);
    watcher.sees_presence(7, 5, STATE).await;
    ann.go_offline().await;
    watcher.sees_presence(7, 5, "null").await;
    ann.go_online(&server).await;
    says(&ann, &[(7, 5, STATE)]);
    // The others would pass over a clock that they know; the owner learns the new one by the echo.
    for client in [&watcher, &ann] {
        client.sees_presence(7, 6, STATE).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_end_of_the_old_connection_does_not_take_out_the_new_one() {
    let mut server = Server::start().await;
    let watcher = Client::join(&server, "m").await;
    let mut old = Client::join(&server, "m").await;
    says(&old, &[(7, 5, STATE)]);
    watcher.sees_presence(7, 5, STATE).await;
    let new = Client::join(&server, "m").await;
    says(&new, &[(7, 6, MOVED)]);
    watcher.sees_presence(7, 6, MOVED).await;
    old.go_offline().await;
    server.until_sockets(2).await;
    says(&new, &[(7, 7, STATE)]);
    watcher.sees_presence(7, 7, STATE).await;
    let gone = (7, 6, "null".to_owned());
    let told = watcher.heard().into_iter().any(
        |message| matches!(message, wire::Message::Awareness(entries) if entries.contains(&gone)),
    );
    assert!(!told, "the new connection's presence was taken out");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_removal_and_a_stale_echo_are_passed_over() {
    let mut server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    let forger = Client::join(&server, "m").await;
    says(&ann, &[(7, 5, STATE)]);
    forger.sees_presence(7, 5, STATE).await;
    says(&forger, &[(7, 5, "null")]);
    says(&forger, &[(7, 99, "null")]);
    says(&forger, &[(7, 4, MOVED)]);
    // What comes after is told after: by then the forgeries were judged.
    says(&forger, &[(8, 1, STATE)]);
    ann.sees_presence(8, 1, STATE).await;
    assert_eq!(ann.presence().get(&7), Some(&(5, STATE.to_owned())));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_no_json_reaches_nobody() {
    let mut server = Server::start().await;
    let careless = Client::join(&server, "m").await;
    let other = Client::join(&server, "m").await;
    says(&careless, &[(7, 1, "{oops"), (8, 1, "")]);
    says(&careless, &[(9, 1, STATE)]);
    other.sees_presence(9, 1, STATE).await;
    assert_eq!(other.presence().len(), 1);
    until_true("the careless one is still connected", || {
        !careless.is_closed() && careless.presence().contains_key(&9)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_not_stored() {
    let mut server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    ann.set("edit", 1.0);
    ann.stored().await;
    let updates = server.updates("m").await;
    says(&ann, &[(7, 1, STATE)]);
    ann.sees_presence(7, 1, STATE).await;
    assert_eq!(server.updates("m").await, updates);
    server.kill().await;
    server.restart().await;
    let late = Client::join(&server, "m").await;
    assert!(late.presence().is_empty());
    server.stop().await;
}
