//! Commands as a user runs them, without a process: arguments in, output and exit out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use mapweave_proto::MapName;
use serde_json::Value;
use tempfile::TempDir;
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

/// An address where nobody listens: it was free a moment ago, and tests do not fight for ports.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
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
    let exit = run(args, environment, &mut console);
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
        let url = text.trim().trim_start_matches("listening on ").to_owned();
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
    let well = mapweave(folder.path(), &["doctor", "--json"]).done().json();
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
    let ill =
        mapweave(folder.path(), &["doctor", "--set", "room.keepalive_s=99"]).ended(Exit::Failed);
    assert!(
        ill.out.contains("FAIL  configuration") && ill.out.contains("room.keepalive_s"),
        "{}",
        ill.out
    );
    let served = Served::start(folder.path());
    let asked = mapweave(folder.path(), &["doctor", "--server", &served.url]).done();
    assert!(asked.out.contains("ok    server health"), "{}", asked.out);
}
