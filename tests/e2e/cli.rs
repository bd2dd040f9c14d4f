//! Commands on a data folder and on a running server: what goes in comes out, and both ways agree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use yrs::Any;

use crate::harness::process::Process;
use crate::harness::wait::{until_async, until_true};
use crate::harness::{Client, Content, Server, process};

/// Where commands find the maps: with the server running, or in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Server,
    Folder,
}

/// Runs a command of the test on the server or on its data folder, as the server is up or not.
struct Commands<'a>(&'a Server, Way);

impl Commands<'_> {
    async fn run(&self, args: &[&str]) -> process::Ran {
        let (url, data) = (self.0.url(), self.0.data().to_str().unwrap().to_owned());
        let target = match self.1 {
            Way::Server => ["--server", url.as_str()],
            Way::Folder => ["--data", data.as_str()],
        };
        self.0.mapweave(&[args, &target].concat()).await
    }

    async fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).await.done().json()
    }

    async fn import(&self, map: &str, file: &Path) -> Value {
        let told = self.json(&["import", map, file.to_str().unwrap()]).await;
        assert_eq!((&told["ok"], &told["wrong"]), (&json!(true), &json!(0)));
        told
    }

    async fn export(&self, map: &str) -> String {
        self.run(&["export", map]).await.done().out
    }

    async fn updates(&self, map: &str) -> u64 {
        let maps = self.json(&["maps"]).await;
        let mut maps = maps.as_array().unwrap().iter();
        let found = maps.find(|found| found["name"] == map);
        found.map_or(0, |map| map["updates"].as_u64().unwrap())
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = repository().join("tests/fixtures/geojson").join(kind);
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().unwrap() != "json");
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Real data, made from npm packages before the tests.
fn demo(file: &str) -> PathBuf {
    let path = repository().join("target/demo").join(file);
    assert!(
        path.exists(),
        "{} is missing: run `make demo-data`",
        path.display()
    );
    path
}

/// Features by id, whatever their order and the order of their members.
fn features(text: &str) -> BTreeMap<String, Value> {
    let collection: Value = serde_json::from_str(text).unwrap();
    let features = collection["features"].as_array().unwrap().iter();
    features
        .map(|feature| (feature["id"].to_string(), feature.clone()))
        .collect()
}

/// Imports and exports real data: everything is equal, stable and comes only once.
async fn real_data_survives(server: &mut Server, way: Way, file: &str, count: usize) {
    let path = demo(file);
    let original = features(&std::fs::read_to_string(&path).unwrap());
    assert_eq!(
        original.len(),
        count,
        "{file}: features with ids of their own"
    );
    let commands = Commands(server, way);
    let told = commands.import("real", &path).await;
    assert_eq!(told["files"][0]["created"], count);
    let updates = commands.updates("real").await;
    let exported = commands.export("real").await;
    let again = features(&exported);
    for (id, feature) in &original {
        assert_eq!(again.get(id), Some(feature), "{file}: feature {id}");
    }
    assert_eq!(again.len(), count);
    for _ in 0..2 {
        let told = commands.import("real", &path).await;
        assert_eq!(
            (&told["updates"], &told["files"][0]["unchanged"]),
            (&json!(0), &json!(count))
        );
    }
    assert_eq!(commands.updates("real").await, updates);
    assert_eq!(commands.export("real").await, exported);
    // After a restart, on the other way, and through a second map the bytes are the same.
    let other = match way {
        Way::Server => {
            server.stop().await;
            Way::Folder
        }
        Way::Folder => {
            server.restart().await;
            Way::Server
        }
    };
    let commands = Commands(server, other);
    assert_eq!(commands.export("real").await, exported);
    let copy = server.folder().join("copy.geojson");
    std::fs::write(&copy, &exported).unwrap();
    commands.import("copy", &copy).await;
    assert_eq!(commands.export("copy").await, exported);
    commands.run(&["verify"]).await.done();
    if other == Way::Server {
        server.stop().await;
    }
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_counties_come_back_from_a_server_as_they_were() {
    let mut server = Server::start().await;
    real_data_survives(&mut server, Way::Server, "us-counties.geojson", 3_231).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_countries_come_back_from_a_folder_as_they_were() {
    let mut server = Server::down(&[]);
    real_data_survives(&mut server, Way::Folder, "countries.geojson", 241).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn good_files_are_imported_once_and_exported_alike_on_both_ways() {
    let mut server = Server::start().await;
    let mut exports = BTreeMap::new();
    for file in fixtures("valid") {
        let map = file.file_name().unwrap().to_str().unwrap().to_owned();
        let commands = Commands(&server, Way::Server);
        commands.import(&map, &file).await;
        let updates = commands.updates(&map).await;
        let told = commands.import(&map, &file).await;
        assert_eq!(told["updates"], 0, "{map}: {told}");
        assert_eq!(commands.updates(&map).await, updates, "{map}");
        if updates > 0 {
            exports.insert(map.clone(), commands.export(&map).await);
        }
    }
    server.stop().await;
    let commands = Commands(&server, Way::Folder);
    for (map, exported) in &exports {
        assert_eq!(&commands.export(map).await, exported, "{map}");
        let file = server.folder().join("again.geojson");
        std::fs::write(&file, exported).unwrap();
        let told = commands.import(map, &file).await;
        assert_eq!(
            told["updates"], 0,
            "{map}: its own export changed it: {told}"
        );
    }
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_are_told_what_is_wrong_and_write_nothing() {
    let mut server = Server::start().await;
    let expected = repository().join("tests/fixtures/geojson/invalid/expected.json");
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    let commands = Commands(&server, Way::Server);
    for file in fixtures("invalid") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let ran = commands.run(&["import", "m", file.to_str().unwrap()]).await;
        let ran = ran.exited(1);
        let wrong = &expected[name];
        let what = wrong["what"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is not expected"));
        assert!(
            ran.err.contains(what),
            "{name}: {what:?} is not in: {}",
            ran.err
        );
        assert!(
            ran.err.contains(name) && ran.err.contains("nothing was written"),
            "{}",
            ran.err
        );
        if wrong["record"] != 0 {
            let place = format!("record {}, line {}", wrong["record"], wrong["line"]);
            assert!(
                ran.err.contains(&place),
                "{name}: {place:?} is not in: {}",
                ran.err
            );
        }
    }
    // Not even the map was made.
    assert_eq!(commands.json(&["maps"]).await, json!([]));
    for (args, words) in [
        (
            &["import", "m", "no-such-file.geojson"][..],
            &["no-such-file.geojson", "No such file"][..],
        ),
        (&["import", "m", "."], &["folder"]),
        (&["export", "m"], &["there is no map \"m\""]),
        (&["compact", "m"], &["there is no map \"m\""]),
        (&["verify", "m"], &["there is no map \"m\""]),
    ] {
        commands.run(args).await.exited(1).says(words);
    }
    for args in [
        &["import", "a//b", "x"][..],
        &["export", ""],
        &["export", "m", "--format", "doc"],
    ] {
        commands.run(args).await.exited(2);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_reaches_those_who_are_in_the_map() {
    let mut server = Server::start().await;
    let client = Client::join(&server, "m").await;
    client.set("mine", 1.0);
    let file = demo("us-counties.geojson");
    Commands(&server, Way::Server).import("m", &file).await;
    until_true("all counties have arrived", || {
        client.content().keys().len() == 3_232
    })
    .await;
    client.stored().await;
    let state = Content::of_update(&server.state("m").await);
    assert_eq!(state, client.content());
    assert_eq!(state.get("mine"), Some(&Any::from(1.0)));
    // The same again says nothing to anybody.
    let heard = client.heard().len();
    Commands(&server, Way::Server).import("m", &file).await;
    client.set("mine", 2.0);
    client.stored().await;
    assert_eq!(client.content().keys().len(), 3_232);
    let updates = |messages: &[crate::harness::wire::Message]| {
        let update = |message: &&crate::harness::wire::Message| {
            matches!(message, crate::harness::wire::Message::Update(_))
        };
        messages.iter().filter(update).count()
    };
    assert_eq!(updates(&client.heard()[heard..]), 0);
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_cut_short_goes_on_where_it_stopped() {
    let mut server = Server::start().await;
    let file = demo("us-counties.geojson");
    let (url, path) = (server.url(), file.to_str().unwrap());
    let args = ["import", "m", path, "--server", &url];
    let importing = Process::spawn(process::command(server.folder(), args));
    until_async("a part is imported", || async {
        let answer = server.get("/api/v1/maps").await.json();
        let updates = answer[0]["updates"].as_u64();
        (updates >= Some(2)).then_some(())
    })
    .await;
    server.kill().await;
    // It may have come to its end just before.
    let cut_short = importing.ended().await;
    assert!(matches!(cut_short.code, Some(0 | 1)), "{cut_short:?}");
    server.restart().await;
    let commands = Commands(&server, Way::Server);
    commands.import("m", &file).await;
    let exported = features(&commands.export("m").await);
    let original = features(&std::fs::read_to_string(&file).unwrap());
    assert_eq!(exported, original);
    assert_eq!(commands.import("m", &file).await["updates"], 0);
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_tell_is_the_same_on_both_ways() {
    let mut server = Server::start().await;
    for map in ["a", "b/c d", "Zürich"] {
        let file = &fixtures("valid")[0];
        Commands(&server, Way::Server).import(map, file).await;
    }
    let by_server = Commands(&server, Way::Server);
    let compacted = by_server.json(&["compact", "b/c d"]).await;
    assert_eq!(compacted, json!([{ "name": "b/c d", "seq": 2 }]));
    let maps = by_server.json(&["maps"]).await;
    let verified = by_server.json(&["verify"]).await;
    let doctor = by_server.json(&["doctor"]).await;
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    server.stop().await;
    let by_folder = Commands(&server, Way::Folder);
    let free_port = ["doctor", "--set", "listen=127.0.0.1:0"];
    let doctor = by_folder.json(&free_port).await;
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    assert_eq!(by_folder.json(&["maps"]).await, maps);
    assert_eq!(by_folder.json(&["compact", "b/c d"]).await, compacted);
    let mut again = by_folder.json(&["verify"]).await;
    // A stop may have stored snapshots.
    for (map, before) in again["maps"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(verified["maps"].as_array().unwrap())
    {
        map["snapshots"] = before["snapshots"].clone();
    }
    assert_eq!(again, verified);
    let names: Vec<&str> = maps
        .as_array()
        .unwrap()
        .iter()
        .map(|map| map["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Zürich", "a", "b/c d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_everything_else_is_served() {
    let mut server = Server::start().await;
    let mut whole = Client::join(&server, "whole").await;
    whole.set("key", "value");
    whole.stored().await;
    for map in ["damaged", "another"] {
        let client = Client::join(&server, map).await;
        client.set("mark", format!("the mark of {map}"));
        client.stored().await;
    }
    whole.go_offline().await;
    server.stop().await;
    turn_a_bit(&server.data().join("journal"), b"the mark of damaged");
    let commands = Commands(&server, Way::Folder);
    let verified = commands.run(&["verify", "--json"]).await.exited(1).json();
    assert_eq!(verified["ok"], false);
    let of = |name: &str| {
        let mut maps = verified["maps"].as_array().unwrap().iter();
        maps.find(|map| map["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&of("whole")["ok"], &of("another")["ok"]),
        (&json!(true), &json!(true))
    );
    let problem = &of("damaged")["problems"][0];
    assert!(
        problem["file"].as_str().unwrap().starts_with("journal/"),
        "{problem}"
    );
    assert!(problem["offset"].as_u64() > Some(0) && problem["what"].is_string());
    server.expect_errors();
    server.restart().await;
    assert_eq!(server.get("/readyz").await.status, 200);
    for map in ["whole", "another", "damaged"] {
        let client = Client::join(&server, map).await;
        client.set("after", 1.0);
        client.stored().await;
    }
    whole.go_online(&server).await;
    whole.sees("after", 1.0).await;
    whole.go_offline().await;
    server.stop().await;
}

/// Damages the first file in a folder that holds these bytes, at their place.
fn turn_a_bit(folder: &Path, part: &[u8]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(part.len()).position(|window| window == part) {
            bytes[at] ^= 1;
            return std::fs::write(path, bytes).unwrap();
        }
    }
    panic!("no file in {} holds the bytes", folder.display());
}
