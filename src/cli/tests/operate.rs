//! `serve`, `maps`, `verify`, `compact`, `doctor`, and what all commands have in common.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::{Served, Shared, folder_with, mapweave, mapweave_in, nobody};
use crate::Exit;
use crate::cli::{Console, Watched, run};
use crate::config::FixedEnvironment;

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
