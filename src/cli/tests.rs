//! Commands as a user runs them, without a process: arguments in, output and exit out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use mapweave_proto::MapName;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use yrs::{Any, Doc, Map, ReadTxn, StateVector, Transact};

use super::target::{Intent, Local, Target};
use super::{Console, Watched, run, serve};
use crate::Exit;
use crate::config::{Config, FixedEnvironment};

/// What a command said and how it ended.
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

/// A stream that can be read while it is written.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An address that is ours and where nobody listens, so that no other test's server can come to have it.
fn nobody() -> String {
    static HELD: OnceLock<(TcpSocket, String)> = OnceLock::new();
    let held = HELD.get_or_init(|| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        (socket, address)
    });
    held.1.clone()
}

/// Runs `mapweave` with `args` in `folder`; no server answers at the configured address.
pub(super) fn mapweave(folder: &Path, args: &[&str]) -> Ran {
    mapweave_reading(folder, args, "")
}

/// The same with something on standard input.
pub(super) fn mapweave_reading(folder: &Path, args: &[&str], input: &str) -> Ran {
    let environment = FixedEnvironment::in_folder(folder).with("MAPWEAVE_LISTEN", &nobody());
    mapweave_in(&environment, args, input)
}

fn mapweave_in(environment: &FixedEnvironment, args: &[&str], input: &str) -> Ran {
    let (out, err) = (Shared::default(), Shared::default());
    let mut console = Console {
        input: Box::new(Cursor::new(input.as_bytes().to_vec())),
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        watched: Watched::No,
    };
    let args = std::iter::once("mapweave")
        .chain(args.iter().copied())
        .map(Into::into);
    // Quiet, since the log goes to the test's own standard error.
    let environment = environment.clone().with("MAPWEAVE_LOG_FILTER", "off");
    let exit = run(args, &environment, &mut console);
    Ran {
        exit,
        out: out.text(),
        err: err.text(),
    }
}

impl Ran {
    #[track_caller]
    pub(super) fn done(self) -> Self {
        assert_eq!(
            self.exit,
            Exit::Done,
            "out: {}\nerr: {}",
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    pub(super) fn ended(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

fn name(text: &str) -> MapName {
    MapName::parse(text).unwrap()
}

fn config_of(folder: &Path) -> Config {
    Config {
        data: folder.join("data"),
        ..Config::default()
    }
}

/// An update that gives a map its title.
fn titled(title: &str) -> bytes::Bytes {
    let doc = Doc::new();
    let meta = doc.get_or_insert_map("meta");
    meta.insert(&mut doc.transact_mut(), "title", Any::from(title));
    doc.transact()
        .encode_state_as_update_v1(&StateVector::default())
        .into()
}

/// A folder whose store has one map a name.
fn folder_with(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let local = Box::new(Local::open(&config_of(folder.path()), Intent::Create).unwrap());
        for text in names {
            local
                .submit(&name(text), titled(&format!("Map {text}")))
                .await
                .unwrap();
        }
        local.close().await.unwrap();
    });
    folder
}

/// A server in this process, on the store of a folder.
pub(super) struct Served {
    pub(super) url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Exit>>,
}

impl Served {
    pub(super) fn start(folder: &Path) -> Self {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..config_of(folder)
        };
        let (stop, stopped) = oneshot::channel();
        let (said, says) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut console = Console {
                input: Box::new(io::empty()),
                out: Box::new(Announced(said)),
                err: Box::new(io::sink()),
                watched: Watched::No,
            };
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let shutdown = async move { drop(stopped.await) };
            runtime
                .block_on(serve::serve(config, &mut console, shutdown))
                .unwrap()
        });
        let mut text = String::new();
        while !text.ends_with('\n') {
            text += &says
                .recv()
                .expect("the server ended before it had an address");
        }
        let url = text
            .trim()
            .strip_prefix("listening on ")
            .expect("an address")
            .to_owned();
        Self {
            url,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let exit = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            assert_eq!(exit.unwrap(), Exit::Done);
        }
    }
}

/// Passes on what a server says.
struct Announced(std::sync::mpsc::Sender<String>);

impl Write for Announced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn help_and_version_are_results_and_bad_usage_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let help = mapweave(folder.path(), &["serve", "--help"]).done();
    for word in [
        "--listen",
        "--allow-anonymous",
        "MAPWEAVE_LIMITS_SESSIONS_MAX",
        "--set",
        "64 MiB",
    ] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    assert!(
        mapweave(folder.path(), &["--version"])
            .done()
            .out
            .starts_with("mapweave ")
    );
    for args in [
        &["sevre"][..],
        &[],
        &["maps", "--jsno"],
        &["verify", "a//b"],
    ] {
        let ran = mapweave(folder.path(), args).ended(Exit::BadUsage);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{args:?}");
    }
}

#[test]
fn a_configuration_with_problems_stops_every_command_and_tells_them_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("mapweave.toml"),
        "[limits]\nsessions_maxx = 1\n[log]\nformat = \"xml\"",
    )
    .unwrap();
    for command in ["serve", "maps", "compact"] {
        let ran = mapweave(folder.path(), &[command]).ended(Exit::BadUsage);
        for word in [
            "limits.sessions_maxx",
            "line 2",
            "did you mean limits.sessions_max?",
            "log.format",
            "line 4",
        ] {
            assert!(ran.err.contains(word), "{word}: {}", ran.err);
        }
    }
}

#[test]
fn maps_of_a_folder_and_of_its_server_are_the_same() {
    let folder = folder_with(&["north/field 7", "süd"]);
    let local = mapweave(folder.path(), &["maps", "--json"]).done();
    assert!(local.err.contains("using the data folder"), "{}", local.err);
    let listed = local.json();
    assert_eq!(listed[0]["name"], "north/field 7");
    assert_eq!(listed[0]["title"], "Map north/field 7");
    assert_eq!(
        (&listed[1]["features"], &listed[1]["updates"]),
        (&Value::from(0), &Value::from(2))
    );
    assert!(listed[1]["last_edit"].as_str().unwrap().ends_with('Z'));
    let served = Served::start(folder.path());
    let remote = mapweave(folder.path(), &["maps", "--json", "--server", &served.url]).done();
    assert!(
        remote
            .err
            .contains(&format!("using the server {}", served.url)),
        "{}",
        remote.err
    );
    assert_eq!(remote.json(), listed);
    let table = mapweave(folder.path(), &["maps", "--server", &served.url]).done();
    assert!(
        table.out.starts_with("NAME") && table.out.contains("Map süd"),
        "{}",
        table.out
    );
}

#[test]
fn a_server_that_answers_is_used_and_a_locked_folder_says_so() {
    let folder = folder_with(&["m"]);
    let served = Served::start(folder.path());
    let address = served.url.strip_prefix("http://").unwrap();
    let environment = FixedEnvironment::in_folder(folder.path()).with("MAPWEAVE_LISTEN", address);
    let found = mapweave_in(&environment, &["maps"], "").done();
    assert!(found.err.contains("using the server"), "{}", found.err);
    let named = FixedEnvironment::in_folder(folder.path()).with("MAPWEAVE_SERVER", &served.url);
    assert!(
        mapweave_in(&named, &["maps"], "")
            .done()
            .err
            .contains("using the server")
    );
    let locked = mapweave(folder.path(), &["maps", "--data", "data"]).ended(Exit::Failed);
    assert!(
        locked.err.contains("in use") && locked.err.contains("--server"),
        "{}",
        locked.err
    );
}

#[test]
fn nothing_to_work_on_is_told_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["maps", "verify", "compact"] {
        let ran = mapweave(folder.path(), &[command]).ended(Exit::Failed);
        assert!(
            ran.err.contains("there is no store") && ran.err.contains("--data"),
            "{}",
            ran.err
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let url = format!("http://{}", nobody());
    let silent = mapweave(folder.path(), &["maps", "--server", &url]).ended(Exit::Failed);
    assert!(
        silent.err.contains("cannot reach") && silent.err.contains("is it running?"),
        "{}",
        silent.err
    );
}

#[test]
fn verify_and_compact_agree_on_folder_and_server() {
    let folder = folder_with(&["a", "b"]);
    let compacted = mapweave(folder.path(), &["compact", "--json"])
        .done()
        .json();
    assert_eq!(compacted[1], serde_json::json!({ "name": "b", "seq": 2 }));
    let local = mapweave(folder.path(), &["verify", "--json"]).done().json();
    assert_eq!(
        (&local["ok"], &local["maps"][0]["records"]),
        (&Value::Bool(true), &Value::from(2))
    );
    assert!(local["maps"][0]["snapshots"].as_u64() >= Some(1));
    let served = Served::start(folder.path());
    let remote = mapweave(
        folder.path(),
        &["verify", "--json", "--server", &served.url],
    )
    .done()
    .json();
    assert_eq!(remote["maps"][0]["chain"], local["maps"][0]["chain"]);
    assert!(
        mapweave(folder.path(), &["compact", "a", "--server", &served.url])
            .done()
            .out
            .contains("record 2")
    );
    let text = mapweave(folder.path(), &["verify", "b", "--server", &served.url]).done();
    assert!(
        text.out.contains("everything is whole") && !text.out.contains("\na "),
        "{}",
        text.out
    );
}

#[test]
fn an_unknown_map_is_told_with_names_like_it() {
    let folder = folder_with(&["north", "south"]);
    for command in ["verify", "compact"] {
        let ran = mapweave(folder.path(), &[command, "nort"]).ended(Exit::Failed);
        assert!(
            ran.err.contains("no map \"nort\"; did you mean \"north\"?"),
            "{}",
            ran.err
        );
    }
    let served = Served::start(folder.path());
    let ran =
        mapweave(folder.path(), &["verify", "sout", "--server", &served.url]).ended(Exit::Failed);
    assert!(ran.err.contains("did you mean \"south\"?"), "{}", ran.err);
}

#[test]
fn damage_makes_verify_fail_and_is_named_with_its_place() {
    let folder = folder_with(&["m"]);
    let snapshots = folder.path().join("data/snapshots");
    mapweave(folder.path(), &["compact"]).done();
    let mut found = Vec::new();
    let mut folders = vec![snapshots];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    let snapshot = found.first().expect("a snapshot file");
    let mut bytes = std::fs::read(snapshot).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(snapshot, bytes).unwrap();
    let ran = mapweave(folder.path(), &["verify"]).ended(Exit::Failed);
    assert!(
        ran.out.contains("damaged") && ran.out.contains("file snapshots/"),
        "{}",
        ran.out
    );
    let json = mapweave(folder.path(), &["verify", "--json"])
        .ended(Exit::Failed)
        .json();
    assert_eq!(json["ok"], Value::Bool(false));
}

/// Turns a bit of a record in the middle of a map's log.
fn damage_journal(folder: &Path) {
    let mut files: Vec<_> = ["journal", "archive"]
        .iter()
        .filter_map(|part| std::fs::read_dir(folder.join("data").join(part)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let file = files
        .iter()
        .find(|file| contains(&std::fs::read(file).unwrap(), b"Map m").is_some());
    let file = file.expect("a journal file with the title");
    let mut bytes = std::fs::read(file).unwrap();
    let at = contains(&bytes, b"Map m").unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

fn contains(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[test]
fn a_damaged_record_makes_verify_fail_for_the_map_that_has_it() {
    let folder = folder_with(&["m", "other"]);
    damage_journal(folder.path());
    for args in [&["verify"][..], &["verify", "m"]] {
        let ran = mapweave(folder.path(), args).ended(Exit::Failed);
        for word in ["damaged: map \"m\"", "file journal/", "byte "] {
            assert!(ran.out.contains(word), "{word}: {} {}", ran.out, ran.err);
        }
    }
    let other = mapweave(folder.path(), &["verify", "other", "--json"]).json();
    assert_eq!(other["maps"][0]["ok"], Value::Bool(true));
    assert_eq!(
        mapweave(folder.path(), &["maps", "--json"])
            .done()
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_reader_who_leaves_early_is_not_told_off() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let folder = folder_with(&["m"]);
    let err = Shared::default();
    let (input, out) = (Box::new(io::empty()), Box::new(Gone));
    let mut console = Console {
        input,
        out,
        err: Box::new(err.clone()),
        watched: Watched::No,
    };
    let environment = FixedEnvironment::in_folder(folder.path());
    let args = ["mapweave", "export", "m", "--data", "data"].map(Into::into);
    assert_eq!(run(args, &environment, &mut console), Exit::Failed);
    assert!(!err.text().contains("error"), "{}", err.text());
}

#[test]
fn a_port_in_use_is_told_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = mapweave(folder.path(), &["serve", "--listen", &address]).ended(Exit::Failed);
    assert!(
        ran.err.contains(&address) && ran.err.contains("--listen"),
        "{}",
        ran.err
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_doctor_finds_a_sound_folder_sound_and_names_what_is_not() {
    let folder = folder_with(&["m"]);
    let environment =
        FixedEnvironment::in_folder(folder.path()).with("MAPWEAVE_LISTEN", "127.0.0.1:0");
    let doctor = |args: &[&str]| mapweave_in(&environment, &[&["doctor"], args].concat(), "");
    let well = doctor(&["--json"]).done().json();
    assert_eq!(well["ok"], Value::Bool(true));
    let names: Vec<&str> = well["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    for name in [
        "version",
        "configuration",
        "clock",
        "data folder",
        "lock",
        "free space",
        "disk",
        "open files",
        "port",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let ill = doctor(&["--set", "room.keepalive_s=99"]).ended(Exit::Failed);
    assert!(
        ill.out.contains("FAIL  configuration") && ill.out.contains("room.keepalive_s"),
        "{}",
        ill.out
    );
    let served = Served::start(folder.path());
    let asked = mapweave(folder.path(), &["doctor", "--server", &served.url]).done();
    assert!(asked.out.contains("ok    server health"), "{}", asked.out);
}

/// A collection of points along a meridian, with ids, names and heights of its members.
fn points(count: usize) -> String {
    let feature = |i: usize| {
        format!(
            r#"{{"type":"Feature","id":{i},"geometry":{{"type":"Point","coordinates":[7.25,{}]}},"properties":{{"name":"P{i}","n":{i}}}}}"#,
            f64::from(u32::try_from(i % 80).unwrap()) + 0.125
        )
    };
    let features: Vec<String> = (1..=count).map(feature).collect();
    format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[\n{}\n]}}\n",
        features.join(",\n")
    )
}

fn write(folder: &Path, file: &str, text: &str) {
    std::fs::write(folder.join(file), text).unwrap();
}

/// Features by id, whatever the order of members and features.
fn features_of(text: &str) -> Vec<(String, Value)> {
    let collection: Value = serde_json::from_str(text).unwrap();
    let features = collection["features"].as_array().unwrap();
    let mut by_id: Vec<(String, Value)> = features
        .iter()
        .map(|f| (f["id"].to_string(), f.clone()))
        .collect();
    by_id.sort_by(|a, b| a.0.cmp(&b.0));
    by_id
}

fn updates_of(folder: &Path, map: &str) -> u64 {
    let maps = mapweave(folder, &["maps", "--json"]).done().json();
    let found = maps
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["name"] == map)
        .cloned();
    found.map_or(0, |m| m["updates"].as_u64().unwrap())
}

#[test]
fn what_goes_in_comes_out_and_the_same_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = points(2_500);
    write(folder.path(), "p.geojson", &text);
    let first = mapweave(folder.path(), &["import", "m", "p.geojson"]).done();
    assert!(
        first.out.contains("2500 created, 0 changed, 0 unchanged"),
        "{}",
        first.out
    );
    let updates = updates_of(folder.path(), "m");
    let out = mapweave(folder.path(), &["export", "m"]).done().out;
    assert_eq!(features_of(&out), features_of(&text));
    let again = mapweave(folder.path(), &["import", "m", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(
        (&again["files"][0]["unchanged"], &again["updates"]),
        (&Value::from(2_500), &Value::from(0))
    );
    assert_eq!(updates_of(folder.path(), "m"), updates);
    assert_eq!(mapweave(folder.path(), &["export", "m"]).done().out, out);
    write(
        folder.path(),
        "p.geojson",
        &text.replace("\"P7\"", "\"seven\""),
    );
    let changed = mapweave(folder.path(), &["import", "m", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(
        (&changed["files"][0]["changed"], &changed["updates"]),
        (&Value::from(1), &Value::from(1))
    );
    mapweave(folder.path(), &["verify"]).done();
}

#[test]
fn a_running_server_imports_and_exports_the_same_bytes() {
    let folder = folder_with(&["other"]);
    write(folder.path(), "p.geojson", &points(1_200));
    mapweave(folder.path(), &["import", "local", "p.geojson"]).done();
    let local = mapweave(folder.path(), &["export", "local"]).done().out;
    let served = Served::start(folder.path());
    let server = ["--server", served.url.as_str()];
    let run = |args: &[&str]| mapweave(folder.path(), &[args, &server].concat());
    let imported = run(&["import", "remote/a b", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(imported["files"][0]["created"], Value::from(1_200));
    assert!(imported["seq"].as_u64() >= Some(2), "{imported}");
    assert_eq!(run(&["export", "remote/a b"]).done().out, local);
    assert_eq!(run(&["export", "local"]).done().out, local);
    let again = run(&["import", "remote/a b", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(again["updates"], Value::from(0));
    let unknown = run(&["export", "remote/a"]).ended(Exit::Failed);
    assert!(
        unknown.err.contains("did you mean \"remote/a b\"?"),
        "{}",
        unknown.err
    );
    run(&["verify"]).done();
}

#[test]
fn one_bad_record_is_named_and_keeps_everything_back_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let text = points(5).replace("[7.25,3.125]", "[7.25,\"north\"]");
    write(folder.path(), "bad.geojson", &text);
    let refused = mapweave(folder.path(), &["import", "m", "bad.geojson"]).ended(Exit::Failed);
    for word in [
        "bad.geojson: record 3, line 4: id \"3\":",
        "1 record is wrong; nothing was written",
        "--keep-going",
    ] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    assert!(refused.out.is_empty());
    assert_eq!(updates_of(folder.path(), "m"), 0);
    let json = mapweave(folder.path(), &["import", "m", "bad.geojson", "--json"])
        .ended(Exit::Failed)
        .json();
    assert_eq!(
        (&json["ok"], &json["written"], &json["wrong"]),
        (&Value::Bool(false), &Value::Bool(false), &Value::from(1))
    );
    assert_eq!(
        (&json["problems"][0]["record"], &json["problems"][0]["line"]),
        (&Value::from(3), &Value::from(4))
    );
    let going = mapweave(
        folder.path(),
        &["import", "m", "bad.geojson", "--keep-going"],
    )
    .done();
    assert!(
        going.out.contains("4 created") && going.err.contains("record 3"),
        "{} {}",
        going.out,
        going.err
    );
}

#[test]
fn a_wrong_record_in_the_last_file_keeps_the_first_back_too_and_all_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.geojson", &points(3));
    write(
        folder.path(),
        "bad.geojson",
        &points(30).replace("\"Point\"", "\"Pont\""),
    );
    let ran = mapweave(
        folder.path(),
        &["import", "m", "good.geojson", "bad.geojson"],
    )
    .ended(Exit::Failed);
    assert!(
        ran.err.contains("and 10 more like these") && ran.err.contains("30 records are wrong"),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.matches("bad.geojson: record").count(), 20);
    assert_eq!(updates_of(folder.path(), "m"), 0);
}

#[test]
fn files_that_are_no_features_are_told_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("zip.geojson"), b"PK\x03\x04rest").unwrap();
    write(path, "empty.geojson", "");
    write(path, "cut.geojson", points(3).get(..200).unwrap());
    for (file, word) in [
        ("zip.geojson", "zip archive"),
        ("empty.geojson", "empty"),
        ("cut.geojson", "truncated"),
    ] {
        let ran = mapweave(path, &["import", "m", file]).ended(Exit::Failed);
        assert!(
            ran.err.contains(file) && ran.err.contains(word),
            "{}",
            ran.err
        );
    }
    let nothing =
        mapweave(path, &["import", "m", "zip.geojson", "--keep-going"]).ended(Exit::Failed);
    assert!(
        nothing.err.contains("nothing else to import"),
        "{}",
        nothing.err
    );
    let missing =
        mapweave(path, &["import", "m", "cut.geojson", "gone.geojson"]).ended(Exit::Failed);
    assert!(
        missing.err.contains("cannot open") && missing.err.contains("gone.geojson"),
        "{}",
        missing.err
    );
    let folder_given = mapweave(path, &["import", "m", "."]).ended(Exit::Failed);
    assert!(
        folder_given.err.contains("it is a folder"),
        "{}",
        folder_given.err
    );
}

#[test]
fn standard_input_is_read_and_its_format_told_from_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let text = points(3);
    let lines = text
        .lines()
        .filter(|l| l.contains("\"id\""))
        .map(|l| l.trim_end_matches(',').to_owned() + "\n");
    let ran = mapweave_reading(
        folder.path(),
        &["import", "m", "-"],
        &lines.collect::<String>(),
    )
    .done();
    assert!(ran.out.contains("standard input: 3 created"), "{}", ran.out);
    mapweave_reading(folder.path(), &["import", "m", "-", "-"], "").ended(Exit::BadUsage);
    let sequence = mapweave(folder.path(), &["export", "m", "--format", "geojsonseq"])
        .done()
        .out;
    assert_eq!(sequence.lines().count(), 3);
}

#[test]
fn layers_and_boxes_choose_what_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "p.geojson", &points(10));
    write(
        path,
        "one.geojson",
        r#"{"type":"Feature","id":"x","geometry":null,"properties":{}}"#,
    );
    mapweave(path, &["import", "m", "p.geojson", "--layer", "Punkte"]).done();
    mapweave(path, &["import", "m", "one.geojson"]).done();
    let count = |args: &[&str]| {
        features_of(
            &mapweave(path, &[&["export", "m"][..], args].concat())
                .done()
                .out,
        )
        .len()
    };
    assert_eq!(count(&[]), 11);
    assert_eq!(count(&["--layer", "Punkte"]), 10);
    assert_eq!(count(&["--bbox", "7,2,8,4.5"]), 3);
    assert_eq!(count(&["--bbox", "-10,2,7,4"]), 0);
    let ran = mapweave(path, &["export", "m", "--layer", "Linien"]).ended(Exit::Failed);
    assert!(
        ran.err.contains("Linien") && ran.err.contains("Punkte") && ran.out.is_empty(),
        "{}",
        ran.err
    );
    mapweave(
        path,
        &["export", "m", "--format", "yjs", "--layer", "Punkte"],
    )
    .ended(Exit::BadUsage);
}

#[test]
fn an_exported_file_appears_whole_and_keeps_its_mode() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "p.geojson", &points(10));
    mapweave(path, &["import", "m", "p.geojson"]).done();
    let ran = mapweave(path, &["export", "m", "-o", "out.geojson"]).done();
    assert!(
        ran.out.is_empty() && ran.err.contains("10 features written to"),
        "{}",
        ran.err
    );
    let file = path.join("out.geojson");
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(features_of(&before).len(), 10);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    mapweave(
        path,
        &["export", "m", "-o", "out.geojson", "--layer", "none"],
    )
    .ended(Exit::Failed);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    mapweave(path, &["export", "m", "-o", "out.geojson"]).done();
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert!(
        mapweave(path, &["export", "m", "-o", "."])
            .ended(Exit::Failed)
            .err
            .contains("it is a folder")
    );
    let left: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn the_whole_document_moves_as_one_update() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "p.geojson", &points(10));
    mapweave(path, &["import", "a", "p.geojson"]).done();
    mapweave(path, &["export", "a", "-o", "a.yjs"]).done();
    let moved = mapweave(path, &["import", "b", "a.yjs"]).done();
    assert!(moved.out.contains("10 created"), "{}", moved.out);
    assert_eq!(
        mapweave(path, &["export", "b"]).done().out,
        mapweave(path, &["export", "a"]).done().out
    );
    let again = mapweave(path, &["import", "b", "a.yjs", "--json"])
        .done()
        .json();
    assert_eq!(again["updates"], Value::from(0));
    write(path, "rubbish.yjs", "rubbish");
    let refused = mapweave(path, &["import", "b", "rubbish.yjs"]).ended(Exit::Failed);
    assert!(
        refused.err.contains("rubbish.yjs") && refused.err.contains("no Yjs update"),
        "{}",
        refused.err
    );
    mapweave(path, &["import", "b", "a.yjs", "p.geojson"]).ended(Exit::BadUsage);
}

#[test]
fn an_update_that_builds_on_missing_ones_is_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let doc = Doc::new();
    let meta = doc.get_or_insert_map("meta");
    meta.insert(&mut doc.transact_mut(), "title", Any::from("one"));
    let known = doc.transact().state_vector();
    meta.insert(&mut doc.transact_mut(), "title", Any::from("two"));
    let late = doc.transact().encode_state_as_update_v1(&known);
    std::fs::write(folder.path().join("late.yjs"), late).unwrap();
    let ran = mapweave(folder.path(), &["import", "m", "late.yjs"]).ended(Exit::Failed);
    assert!(
        ran.err.contains(&doc.client_id().to_string()) && ran.err.contains("import those first"),
        "{}",
        ran.err
    );
    assert_eq!(updates_of(folder.path(), "m"), 0);
}
