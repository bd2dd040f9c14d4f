//! Stock clients and browsers: the Node programs in `tests/clients`, each against the server under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::process::{BINARY, Process};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

/// Runs the tests of one file with the built server.
async fn passes(file: &str) {
    let folder = folder();
    // The page's own helpers are among what is tested.
    for (modules, target) in [(&folder, "client-tests"), (&web(), "web")] {
        assert!(
            modules.join("node_modules").exists(),
            "{} is missing its packages: run `make {target}`",
            modules.display()
        );
    }
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec"])
        .arg(folder.join("test").join(file))
        .current_dir(&folder)
        .env("MAPWEAVE_BIN", BINARY);
    let ran = Process::spawn(node).ended_by_its_own_limits().await;
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    assert!(
        ran.out.contains("pass ") && !ran.out.contains("pass 0"),
        "{}",
        ran.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_merge_what_they_did_offline() {
    passes("offline-merge.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_keep_what_was_acknowledged() {
    passes("durable-ack.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_hocuspocus_providers_share_one_socket_for_many_maps() {
    passes("hocuspocus.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_y_sweet_clients_and_their_sdk_are_served() {
    passes("ysweet.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_are_shown_nothing_as_saved_that_a_kill_takes_away() {
    passes("kill-rounds.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_get_the_subprotocol_that_they_ask_for() {
    passes("subprotocols.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_see_who_is_here() {
    passes("presence.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_reach_maps_of_any_name() {
    passes("names.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_is_in_the_map() {
    passes("browser.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_in_step_over_bad_networks() {
    passes("provider-browser.test.mjs").await;
}

/// Files that also need the replica of `tests/sim`, the npm package or the Python client, which `make test` makes before it
/// runs them.
const RUN_BY_MAKE_TEST: [&str; 10] = [
    "converge.test.mjs",
    "docs.test.mjs",
    "hard-cases.test.mjs",
    "hostile-documents.test.mjs",
    "map-edits.test.mjs",
    "mapdoc-package.test.mjs",
    "matrix.test.mjs",
    "provider-chaos.test.mjs",
    "provider-package.test.mjs",
    "provider.test.mjs",
];

#[test]
fn every_file_of_client_tests_is_run() {
    let files = std::fs::read_dir(folder().join("test")).unwrap();
    let mut files: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".test.mjs"))
        .collect();
    files.sort();
    let here = include_str!("clients.rs");
    for file in files {
        let runs = here.contains(&format!("passes(\"{file}\")"));
        assert!(runs || RUN_BY_MAKE_TEST.contains(&file.as_str()), "{file}");
    }
}
