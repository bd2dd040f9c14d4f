//! What is loaded from which source, and what is said of mistakes.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{FRAME_OVERHEAD_BYTES, FixedEnvironment};

fn folder_with(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(DEFAULT_FILE), toml).unwrap();
    folder
}

fn flag(key: &str, value: &str) -> Given {
    let flags = vec![(key.to_owned(), value.to_owned(), format!("--{key}"))];
    Given {
        flags,
        ..Given::default()
    }
}

fn problems(given: &Given, environment: &FixedEnvironment) -> Vec<String> {
    let problems = Config::load(given, environment).unwrap_err();
    problems.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_valid_and_what_an_empty_environment_gives() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = Config::load(
        &Given::default(),
        &FixedEnvironment::in_folder(folder.path()),
    )
    .unwrap();
    assert_eq!(
        loaded,
        Config {
            data: folder.path().join("./data"),
            ..Config::default()
        }
    );
}

#[test]
fn every_default_is_within_its_own_bounds() {
    for key in keys() {
        let shown = key.show(&Config::default());
        let written = shown
            .trim_end_matches(" s")
            .trim_end_matches(" B")
            .replace("none", "");
        let mut config = Config::default();
        (key.set)(&mut config, &Raw::Text(written), key.rule)
            .unwrap_or_else(|e| panic!("{}: {e}", key.name));
        assert_eq!(config, Config::default(), "{}", key.name);
    }
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let folder = folder_with(
        "listen = \"127.0.0.1:1\"\ndata = \"file\"\n[limits]\nsessions_max = 7\n[log]\nfilter = \"debug\"",
    );
    let file_only = FixedEnvironment::in_folder(folder.path());
    let with_variables = file_only
        .clone()
        .with("MAPWEAVE_LISTEN", "127.0.0.1:2")
        .with("MAPWEAVE_LIMITS_SESSIONS_MAX", "8");
    let port = |given: &Given, env| Config::load(given, env).unwrap().listen.port();
    assert_eq!(port(&Given::default(), &file_only), 1);
    assert_eq!(port(&Given::default(), &with_variables), 2);
    assert_eq!(port(&flag("listen", "127.0.0.1:3"), &with_variables), 3);
    let config = Config::load(&Given::default(), &with_variables).unwrap();
    assert_eq!(
        (
            config.limits.sessions_max,
            config.limits.sessions_per_map_max
        ),
        (8, 8)
    );
    assert_eq!(
        (config.data, config.log.filter.as_str()),
        (folder.path().join("file"), "debug")
    );
}

#[test]
fn all_problems_are_told_at_once_each_with_its_place() {
    let toml = "lisen = \"x\"\n[limits]\nsessions_max = 0\nsession_queue_byte_max = 1\n[rooms]\nkeepalive_s = 1\n[room]\nkeepalive_s = 16\nidle_unload_s = 1.5";
    let folder = folder_with(toml);
    let environment = FixedEnvironment::in_folder(folder.path())
        .with("MAPWEAVE_LISTEN", "nonsense")
        .with("OTHER", "ignored");
    let found = problems(&flag("limits.sesions_max", "5"), &environment);
    let file = folder.path().join(DEFAULT_FILE).display().to_string();
    let expected = [
        format!("lisen ({file} line 1): unknown key; did you mean listen?"),
        format!("limits.sessions_max ({file} line 3): 0 is out of bounds: give a number from 1 to 1000000"),
        format!("limits.session_queue_byte_max ({file} line 4): unknown key; did you mean limits.session_queue_bytes_max?"),
        format!("[rooms] ({file} line 5): unknown section; did you mean [room]?"),
        format!("room.keepalive_s ({file} line 8): 16 is out of bounds: give whole seconds from 1 s to 15 s"),
        format!("room.idle_unload_s ({file} line 9): a number with a fraction is given where whole seconds from 1 s to 86400 s is wanted"),
        "listen (environment variable MAPWEAVE_LISTEN): \"nonsense\" is no address with a port: write 127.0.0.1:8080 or [::1]:8080".to_owned(),
        "limits.sesions_max (flag --limits.sesions_max): unknown key; did you mean limits.sessions_max?".to_owned(),
    ];
    for line in &expected {
        assert!(found.contains(line), "missing: {line}\nfound: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn variables_that_are_none_of_ours_stop_nothing_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let environment = FixedEnvironment::in_folder(folder.path())
        .with("MAPWEAVE_DATTA", "x")
        .with("MAPWEAVE_PORT_8080_TCP_ADDR", "10.0.0.1")
        .with("MAPWEAVE_CONFIGG", "x")
        .with("MAPWEAVE_SERVER", "http://127.0.0.1:1")
        .with("MAPWEAVE_LIMITS_SESSIONS_MAX", "8")
        .with("OTHER", "ignored");
    assert!(Config::load(&Given::default(), &environment).is_ok());
    let warnings = Config::warnings(&environment);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "MAPWEAVE_CONFIGG (environment variable MAPWEAVE_CONFIGG): unknown variable; did you mean MAPWEAVE_CONFIG?",
            "MAPWEAVE_DATTA (environment variable MAPWEAVE_DATTA): unknown variable; did you mean MAPWEAVE_DATA?",
            "MAPWEAVE_PORT_8080_TCP_ADDR (environment variable MAPWEAVE_PORT_8080_TCP_ADDR): unknown variable; docs/configuration.md lists them all",
        ]
    );
}

#[test]
fn an_address_that_others_reach_needs_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let environment = FixedEnvironment::in_folder(folder.path());
    let refused = problems(&flag("listen", "0.0.0.0:8080"), &environment);
    assert!(
        matches!(&refused[..], [one] if one.contains("--allow-anonymous")),
        "{refused:?}"
    );
    let mut meant = flag("listen", "0.0.0.0:8080");
    meant.flags.push((
        "allow_anonymous".into(),
        "true".into(),
        "--allow-anonymous".into(),
    ));
    assert!(Config::load(&meant, &environment).unwrap().allow_anonymous);
    let command = Given {
        purpose: Purpose::Command,
        ..flag("listen", "0.0.0.0:8080")
    };
    assert_eq!(
        Config::load(&command, &environment).unwrap().log.filter,
        "warn"
    );
}

#[test]
fn the_largest_message_follows_the_largest_update() {
    let folder = tempfile::tempdir().unwrap();
    let environment = FixedEnvironment::in_folder(folder.path());
    let config = Config::load(&flag("limits.update_bytes_max", "1 MiB"), &environment).unwrap();
    assert_eq!(
        config.limits.frame_bytes_max,
        (1 << 20) + FRAME_OVERHEAD_BYTES
    );
    let small = problems(&flag("limits.frame_bytes_max", "1 MiB"), &environment);
    assert!(
        matches!(&small[..], [one] if one.contains("limits.update_bytes_max")),
        "{small:?}"
    );
}

#[test]
fn a_file_that_was_named_has_to_be_there_and_be_toml() {
    let folder = folder_with("listen = ");
    let environment = FixedEnvironment::in_folder(folder.path());
    let broken = problems(&Given::default(), &environment);
    assert!(broken[0].contains("line 1"), "{broken:?}");
    let missing = Given {
        file: Some("gone.toml".into()),
        ..Given::default()
    };
    assert!(problems(&missing, &environment)[0].contains("gone.toml"));
    let by_variable = environment.with("MAPWEAVE_CONFIG", "gone.toml");
    assert!(problems(&Given::default(), &by_variable)[0].contains("MAPWEAVE_CONFIG"));
}

#[test]
fn a_huge_or_binary_file_is_refused() {
    let folder = folder_with(&"#".repeat(2 << 20));
    let environment = FixedEnvironment::in_folder(folder.path());
    assert!(problems(&Given::default(), &environment)[0].contains("larger than"));
    std::fs::write(folder.path().join(DEFAULT_FILE), [0xff, 0xfe, 0]).unwrap();
    assert!(problems(&Given::default(), &environment)[0].contains("UTF-8"));
}
