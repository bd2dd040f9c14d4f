//! Boxes that exchange maps: in a chain, through kills, after a restore, by command, with names and rights.

use std::path::Path;

use futures_util::StreamExt;
use mapweave_proto::{MapName, Seq};
use mapweave_storage::{Access, Record, SledStore, StoreOptions, UpdateLog};
use serde_json::Value;
use yrs::{Doc, Map, Transact};

use crate::harness::wait::until_async;
use crate::harness::{Client, Content, Endpoint, Request, Server};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A server that exchanges with `upstream`.
async fn below(upstream: &Server, settings: &[&str]) -> Server {
    let url = format!("upstream.url={}", upstream.url());
    let mut all = vec![url.as_str()];
    all.extend(settings);
    Server::with(&all).await
}

async fn upstream(server: &Endpoint) -> Value {
    server.get("/api/v1/upstream").await.json()["upstream"].clone()
}

/// Waits until a server says that both ends have all of each other's, in the one map that there is. It says so
/// from time to time, so that what it says may be of a moment ago.
async fn level(server: &Endpoint) {
    let is_level = || async {
        let status = upstream(server).await;
        (status["level"] == true && status["maps"] == 1).then_some(())
    };
    until_async("both ends have all of each other's", is_level).await;
}

/// Waits until a map has a key at a server.
async fn has(server: &Endpoint, map: &str, key: &str) {
    let path = format!("/api/v1/maps/{map}/state");
    let there = || async {
        let answer = server.get(&path).await;
        (answer.status == 200 && Content::of_update(&answer.body).get(key).is_some()).then_some(())
    };
    until_async(&format!("{map} has {key}"), there).await;
}

fn one_edit(key: &str) -> Vec<u8> {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    feat.insert(&mut txn, key, 1.0);
    txn.encode_update_v1()
}

/// The log of a map in the folder of a stopped server.
async fn log_of(folder: &Path, map: &str) -> Vec<Record> {
    let options = StoreOptions {
        create: false,
        access: Access::ReadOnly,
        ..StoreOptions::default()
    };
    let (store, _) = SledStore::open(folder, options).unwrap();
    let entry = store.map(&MapName::parse(map).unwrap()).unwrap();
    let log = store.read_log(entry.id, Seq(1), Seq(u64::MAX));
    let records: Vec<_> = log.collect().await;
    records.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_go_live_through_a_chain_of_three_and_the_way_is_told() {
    let mut office = Server::start().await;
    let mut truck = below(&office, &[]).await;
    let mut phone = below(&truck, &[]).await;
    let mut ann = Client::join(&office, "north").await;
    ann.set("from the office", "seen");
    ann.stored().await;
    has(&phone, "north", "from the office").await;
    let mut ben = Client::join(&phone, "north").await;
    ben.sees("from the office", "seen").await;
    ben.set("from the phone", "seen");
    ann.sees("from the phone", "seen").await;
    ann.set("and back", "seen");
    ben.sees("and back", "seen").await;
    for server in [&truck, &phone] {
        level(server).await;
        let status = upstream(server).await;
        assert_eq!(
            (&status["connected"], &status["maps"]),
            (&true.into(), &1.into())
        );
        assert_eq!(
            server
                .metric("mapweave_relay_connected{way=\"upstream\"}")
                .await,
            1.0
        );
    }
    // A map deleted at the office is deleted on the phone, and comes back with all that is in it.
    let map = "/api/v1/maps/north";
    ann.go_offline().await;
    ben.go_offline().await;
    assert_eq!(office.send(Request::new("DELETE", map)).await.status, 204);
    let gone = || async { (phone.get(map).await.status == 410).then_some(()) };
    until_async("the map is gone on the phone", gone).await;
    let undelete = Request::new("POST", "/api/v1/maps/north/undelete");
    assert_eq!(phone.send(undelete).await.status, 204);
    has(&office, "north", "from the phone").await;
    for server in [&mut phone, &mut truck, &mut office] {
        server.stop().await;
        server.verify_folder().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_of_three_is_killed_nothing_acknowledged_is_lost() {
    let mut office = Server::start().await;
    let truck = below(&office, &[]).await;
    let phone = below(&truck, &[]).await;
    let (mut truck, mut phone) = (truck, phone);
    let mut written = Vec::new();
    for round in 0..3 {
        for victim in 0..3 {
            for (name, server) in [("office", &office), ("truck", &truck), ("phone", &phone)] {
                let client = Client::join(server, "site").await;
                for number in 0..5 {
                    let key = format!("{name} {round} {victim} {number}");
                    client.set(&key, 1.0);
                    written.push(key);
                }
                client.stored().await;
            }
            let server = match victim {
                0 => &mut office,
                1 => &mut truck,
                _ => &mut phone,
            };
            server.kill().await;
            server.restart_there().await;
        }
    }
    let last = Client::join(&phone, "site").await;
    last.set("the last", 1.0);
    last.stored().await;
    has(&office, "site", "the last").await;
    for server in [&office, &truck, &phone] {
        for key in &written {
            has(server, "site", key).await;
        }
        has(server, "site", "the last").await;
    }
    let contents = [
        Content::of_update(&office.state("site").await),
        Content::of_update(&truck.state("site").await),
        Content::of_update(&phone.state("site").await),
    ];
    for content in &contents {
        let missing: Vec<_> = written
            .iter()
            .filter(|key| content.get(key).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    drop(last);
    for server in [&mut phone, &mut truck, &mut office] {
        server.stop().await;
        server.verify_folder().await;
        let log = log_of(server.data(), "site").await;
        let mut seen = std::collections::BTreeSet::new();
        let here = [0; 16];
        assert!(log.iter().all(|record| seen.insert(record.born(here))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_restored_from_a_backup_gets_back_what_it_lost_and_loses_nothing_new() {
    let mut office = Server::start().await;
    let mut truck = below(&office, &[]).await;
    truck.post("site", one_edit("before the backup")).await;
    has(&office, "site", "before the backup").await;
    truck.stop().await;
    let backup = truck.folder().join("backup");
    copy(truck.data(), &backup);
    truck.restart().await;
    truck.post("site", one_edit("after the backup")).await;
    has(&office, "site", "after the backup").await;
    truck.kill().await;
    std::fs::remove_dir_all(truck.data()).unwrap();
    copy(&backup, truck.data());
    truck.restart().await;
    truck.post("site", one_edit("after the restore")).await;
    has(&office, "site", "after the restore").await;
    has(&truck, "site", "after the backup").await;
    // What is written from now on bears the name of a new life.
    level(&truck).await;
    truck.post("site", one_edit("later")).await;
    has(&office, "site", "later").await;
    truck.stop().await;
    office.stop().await;
    for server in [&truck, &office] {
        server.verify_folder().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_office_knows_who_edited_in_the_truck_and_a_relay_brings_only_what_it_may() {
    let auth = format!("auth.secret={SECRET}");
    let mut office = Server::with(&[&auth]).await;
    let token = |maps: &'static str, role: &'static str, user: &'static str| {
        let set = auth.clone();
        let office = &office;
        async move {
            let args = [
                "--set", &set, "token", "--map", maps, "--role", role, "--user", user,
            ];
            office.mapweave(&args).await.done().out.trim().to_owned()
        }
    };
    let relay = token("north/**", "relay", "truck 7").await;
    let eva = token("**", "editor", "eva").await;
    let file = office.folder().join("relay.token");
    std::fs::write(&file, format!("{relay}\n")).unwrap();
    let setting = format!("upstream.token_file={}", file.display());
    let mut truck = below(&office, &[&auth, &setting]).await;
    let bearer = format!("Bearer {eva}");
    for map in ["south%2Fsite", "north%2Fsite"] {
        let path = format!("/api/v1/maps/{map}/state");
        let request = Request::post(&path, "application/octet-stream", one_edit("a well"));
        let answer = truck.send(request.header("authorization", &bearer)).await;
        assert_eq!(answer.status, 200);
    }
    let path = "/api/v1/maps/north%2Fsite/state";
    let there = || async {
        let request = Request::get(path).header("authorization", &bearer);
        (office.send(request).await.status == 200).then_some(())
    };
    until_async("the map is at the office", there).await;
    let status = || async {
        let request = Request::get("/api/v1/upstream").header("authorization", &bearer);
        let status = truck.send(request).await.json()["upstream"].clone();
        (status["level"] == true && status["maps"] != 0).then_some(status)
    };
    let status = until_async("all that may be brought is brought", status).await;
    assert_eq!(status["maps"], 1);
    let request = Request::get("/api/v1/maps/south%2Fsite").header("authorization", &bearer);
    assert_eq!(office.send(request).await.status, 404);
    assert_eq!(truck.get("/api/v1/upstream").await.status, 401);
    assert_eq!(office.send(Request::upgrade("/sync")).await.status, 401);
    truck.stop().await;
    office.stop().await;
    let log = log_of(office.data(), "north/site").await;
    let edit = log
        .iter()
        .find(|record| !record.payload.is_empty())
        .unwrap();
    let relayed = edit.origin.relayed.as_ref().unwrap();
    assert_eq!((&*edit.origin.user, &*relayed.via), ("eva", "truck 7"));
    assert!(relayed.at_ms <= edit.time_ms && relayed.at_ms > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_brings_a_folder_and_a_server_level_and_two_servers_too() {
    let mut office = Server::start().await;
    office.post("site", one_edit("from the office")).await;
    let mut truck = Server::start().await;
    truck.post("site", one_edit("from the truck")).await;
    truck.post("private", one_edit("of the crew")).await;
    truck.stop().await;
    let (data, url) = (truck.data().display().to_string(), office.url());
    let args = ["sync", &url, "--data", &data, "--maps", "site", "--once"];
    truck
        .mapweave(&args)
        .await
        .done()
        .says(&["all of each other's"]);
    has(&office, "site", "from the truck").await;
    assert_eq!(office.get("/api/v1/maps/private").await.status, 404);
    truck.restart().await;
    has(&truck, "site", "from the office").await;
    // Once more, now for the running server, and with nothing to do the third time.
    office.post("site", one_edit("more")).await;
    let args = ["sync", &url, "--server", &truck.url(), "--once"];
    truck
        .mapweave(&args)
        .await
        .done()
        .says(&["all of each other's"]);
    has(&truck, "site", "more").await;
    has(&office, "private", "of the crew").await;
    let records = office.updates("site").await;
    truck.mapweave(&args).await.done();
    assert_eq!(office.updates("site").await, records);
    // Nobody there, and somebody who is no server of ours.
    let closed = "http://127.0.0.1:9";
    let args = ["sync", closed, "--data", "other", "--once"];
    truck
        .mapweave(&args)
        .await
        .exited(1)
        .says(&["does not answer"]);
    let args = ["sync", "ftp://x", "--data", "other"];
    truck.mapweave(&args).await.exited(2);
    truck.stop().await;
    office.stop().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_open_and_empty_at_the_office_becomes_the_truck_s() {
    let mut office = Server::start().await;
    // Somebody looks at the map of this name before anything is in it.
    let mut ann = Client::join(&office, "site").await;
    let mut truck = below(&office, &[]).await;
    truck.post("site", one_edit("from the truck")).await;
    ann.sees("from the truck", 1.0).await;
    ann.set("from the office", 1.0);
    has(&truck, "site", "from the office").await;
    truck.post("site", one_edit("and more")).await;
    ann.sees("and more", 1.0).await;
    ann.go_offline().await;
    for server in [&mut truck, &mut office] {
        server.stop().await;
        server.verify_folder().await;
    }
}
