//! Events: what is durable is told once, in order, across crashes; who is slow harms only itself.

use serde_json::json;
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, Map, Transact, Update};

use crate::harness::wait::until_true;
use crate::harness::{Client, Content, Listener, Request, Server, wire};

const EVENTS: &str = "/api/v1/maps/m/events";

/// A document that hears of the map by events alone, after a first state.
struct Follower(Doc);

impl Follower {
    async fn of(server: &Server) -> Self {
        let follower = Self(Doc::new());
        follower.take(&server.state("m").await);
        follower
    }

    fn take(&self, update: &[u8]) {
        let update = Update::decode_v1(update).unwrap();
        self.0.transact_mut().apply_update(update).unwrap();
    }

    fn take_all(&self, updates: &[(u64, Vec<u8>)]) {
        updates.iter().for_each(|(_, update)| self.take(update));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_resumes_over_a_kill_without_missing_or_repeating_an_update() {
    let mut server = Server::start().await;
    let mut ann = Client::join(&server, "m").await;
    ann.set("before", 1);
    ann.stored().await;
    let listener = Listener::open(&server, "m").await;
    let follower = Follower::of(&server).await;
    for n in 0..20 {
        ann.set(&format!("told{n}"), n);
    }
    ann.stored().await;
    until_true("all is told", || listener.updates().len() >= 20).await;
    // These may or may not be on the disk when the server dies.
    for n in 0..50 {
        ann.set(&format!("doubtful{n}"), n);
    }
    server.kill().await;
    ann.go_offline().await;
    for n in 0..5 {
        ann.set(&format!("offline{n}"), n);
    }
    let mut told = listener.updates();
    let id = listener.last_id();
    server.restart().await;
    ann.go_online(&server).await;
    ann.stored().await;
    let resumed = Listener::resume(&server, "m", &id).await;
    let head = server.updates("m").await;
    until_true("the rest is told", || resumed.told_upto() == head).await;
    assert!(
        resumed
            .heard()
            .events
            .iter()
            .all(|event| event.name != "reset")
    );
    told.extend(resumed.updates());
    assert!(told.is_sorted_by(|a, b| a.0 < b.0), "each once, in order");
    let (first, last) = (told.first().unwrap().0, told.last().unwrap().0);
    assert_eq!(told.len() as u64, last - first + 1, "none is missing");
    follower.take_all(&told);
    assert_eq!(
        Content::of(&follower.0),
        Content::of_update(&server.state("m").await)
    );
    assert_eq!(Content::of(&follower.0), ann.content());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_may_also_come_in_the_query_and_one_of_another_log_is_reset() {
    let server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    ann.set("a", 1);
    ann.stored().await;
    let id = Listener::open(&server, "m").await.last_id();
    ann.set("b", 2);
    ann.stored().await;
    let after = Request::get(&format!("{EVENTS}?events=update&after={id}"));
    let listener = Listener::with(&server, after).await;
    let update = listener.event("update", |_| true).await;
    assert_eq!(
        update.id.as_deref().and_then(|id| id.rsplit('-').next()),
        Some("3")
    );
    for other in ["7.00000000-2", "2", ""] {
        let listener = Listener::resume(&server, "m", other).await;
        let reset = listener.event("reset", |_| true).await;
        let so_far = server.updates("m").await;
        assert_eq!(reset.data["seq"], so_far, "{other}");
        // It goes on from there.
        ann.set("c", other);
        ann.stored().await;
        until_true("a later update is told", || !listener.updates().is_empty()).await;
        assert_eq!(listener.updates()[0].0, so_far + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_waits_for_another_reaches_those_who_came_meanwhile() {
    let server = Server::start().await;
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let made = |key: &str| {
        let mut txn = doc.transact_mut();
        feat.insert(&mut txn, key, 1);
        txn.encode_update_v1()
    };
    let [first, lost, waits] = ["first", "lost", "waits"].map(made);
    server.post("m", first).await;
    server.post("m", waits).await;
    let listener = Listener::open(&server, "m").await;
    let follower = Follower::of(&server).await;
    let waiting = listener
        .event("update", |data| data["waiting"] == true)
        .await;
    assert_eq!(waiting.id, None);
    assert!(Content::of(&follower.0).get("waits").is_none());
    server.post("m", lost).await;
    until_true("all is told", || listener.updates().len() == 2).await;
    follower.take_all(&listener.updates());
    assert_eq!(Content::of(&follower.0), Content::of(&doc));
    let state = server.state("m").await;
    assert_eq!(Content::of(&follower.0), Content::of_update(&state));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_keep_up_is_reset_and_others_are_not_affected() {
    let server = Server::with(&["limits.unanswered_s=600"]).await;
    let ann = Client::join(&server, "m").await;
    ann.set("first", 1);
    ann.stored().await;
    let (slow, quick) = (
        Listener::open(&server, "m").await,
        Listener::open(&server, "m").await,
    );
    let follower = Follower::of(&server).await;
    slow.read(false);
    // More than sockets hold.
    let large = "x".repeat(128 << 10);
    for n in 0..60 {
        ann.set(&format!("large{}", n % 2), large.as_str());
        ann.stored().await;
    }
    // More records than events tell of, but never so many at once to those who read.
    let mut head = 0;
    for _ in 0..5 {
        for n in 0..1_000 {
            ann.set("small", n);
        }
        ann.stored().await;
        head = server.updates("m").await;
        until_true("the quick one has heard all", || quick.told_upto() == head).await;
    }
    let heard = quick.heard();
    assert!(heard.events.iter().all(|event| event.name != "reset"));
    slow.read(true);
    let reset = slow.event("reset", |_| true).await;
    assert_eq!(reset.data["seq"], head);
    ann.set("after", true);
    ann.stored().await;
    until_true("the slow one goes on", || slow.told_upto() > head).await;
    until_true("the quick one as well", || quick.told_upto() > head).await;
    follower.take_all(&quick.updates());
    assert_eq!(Content::of(&follower.0), ann.content());
    assert_eq!(
        Content::of(&follower.0).get("after"),
        Some(&Any::from(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_as_it_is_and_as_it_changes() {
    let server = Server::start().await;
    let mut ann = Client::join(&server, "m").await;
    ann.set("first", 1);
    ann.stored().await;
    let here = |client: u64, clock: u64, state: serde_json::Value| {
        move |data: &serde_json::Value| {
            let wanted = json!({ "client": client, "clock": clock, "state": state });
            data.as_array().unwrap().contains(&wanted)
        }
    };
    ann.send(wire::awareness(&[(7, 1, "{\n\"name\": \"Ann\"\r\n}")]));
    ann.sees_presence(7, 1, "{\n\"name\": \"Ann\"\r\n}").await;
    let listener = Listener::open(&server, "m").await;
    let first = listener
        .event("presence", here(7, 1, json!({ "name": "Ann" })))
        .await;
    assert_eq!(first.id, None);
    ann.send(wire::awareness(&[(7, 2, "{\"cursor\":[7.6,47.5]}")]));
    listener
        .event("presence", here(7, 2, json!({ "cursor": [7.6, 47.5] })))
        .await;
    ann.go_offline().await;
    listener.event("presence", here(7, 2, json!(null))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_shows_signs_of_life() {
    let server = Server::with(&["room.keepalive_s=1"]).await;
    let ann = Client::join(&server, "m").await;
    ann.set("first", 1);
    ann.stored().await;
    let listener = Listener::open(&server, "m").await;
    until_true("two heartbeats have come", || {
        listener.heard().comments >= 2
    })
    .await;
    assert!(!listener.heard().ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_wrongly_for_events_is_told_so() {
    let server = Server::with(&["limits.sessions_per_map_max=2"]).await;
    let ann = Client::join(&server, "m").await;
    ann.set("first", 1);
    ann.stored().await;
    let refused = async |request: Request| {
        let answer = server.send(request).await;
        (answer.status, answer.problem())
    };
    let of = |path: &str| Request::get(path);
    assert_eq!(
        refused(of("/api/v1/maps/none/events")).await,
        (404, "unknown-map".into())
    );
    assert_eq!(
        refused(of(&format!("{EVENTS}?events=all"))).await,
        (400, "bad-request".into())
    );
    assert_eq!(
        refused(of(&format!("{EVENTS}?since=1"))).await,
        (400, "bad-request".into())
    );
    let listener = Listener::open(&server, "m").await;
    assert_eq!(refused(of(EVENTS)).await, (503, "unavailable".into()));
    let deleted = server.send(Request::new("DELETE", "/api/v1/maps/m")).await;
    assert_eq!(deleted.status, 204);
    let heard = listener.ended().await;
    let last = heard.events.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["code"]),
        ("notice", &json!(4404))
    );
    assert_eq!(last.data["final"], true);
    assert_eq!(refused(of(EVENTS)).await, (410, "deleted-map".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_with_all_that_came_before_it() {
    let mut server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    ann.set("first", 1);
    ann.stored().await;
    let listener = Listener::open(&server, "m").await;
    for n in 0..10 {
        ann.set("key", n);
    }
    ann.stored().await;
    server.stop().await;
    let heard = listener.ended().await;
    assert_eq!(heard.updates().len(), 10);
    let last = heard.events.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["code"]),
        ("notice", &json!(1012))
    );
    assert_eq!((&last.data["final"], heard.retries), (&json!(false), 2));
}
