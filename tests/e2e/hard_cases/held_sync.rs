//! A disk that takes seconds for a sync, under stock clients that show what is saved.

use std::path::Path;
use std::process::Command;

use mapweave_storage::FaultyDisk;
use rustix::process::Signal;

use crate::harness::process::Process;
use crate::harness::wait::until_true;
use crate::harness::{Content, Hosted, Request};

/// The Node program's word for: everything waits, and has for longer than a client's patience.
const WAITS: &str = "waits";

/// Its word for: everything is shown as saved.
const SAVED: &str = "saved";

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_show_edits_as_saved_only_once_a_slow_disk_has_them() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let server = Hosted::start(&folder, &disk);
    // y-sweet's documents are made first; that, too, waits for the disk.
    let made = Request::post("/api/v1/maps", "application/json", r#"{"name":"held"}"#);
    assert_eq!(server.send(made).await.status, 201);
    disk.hold_syncs(true);
    let mut client = clients(&server.url());
    heard(&mut client, WAITS, 1).await;
    // Reading waits for nobody's sync.
    assert!(!client.out().iter().any(|line| line == SAVED));
    disk.hold_syncs(false);
    heard(&mut client, SAVED, 1).await;
    // The same on connections that have seen acknowledgements: only then y-sweet's client is impatient.
    disk.hold_syncs(true);
    client.signal(Signal::USR2);
    heard(&mut client, WAITS, 2).await;
    disk.hold_syncs(false);
    let ran = client.ended().await;
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    let content = Content::of_update(&server.state("held").await);
    assert_eq!(content.keys().len(), 3 * (20 + 1), "{:?}", content.keys());
    server.stop().await;
}

fn clients(url: &str) -> Process {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(
        folder.join("node_modules").exists(),
        "tests/clients is missing its packages: run `make client-tests`"
    );
    let mut node = Command::new("node");
    node.arg(folder.join("hard/held-sync.mjs")).arg(url);
    node.current_dir(&folder);
    Process::spawn(node)
}

async fn heard(client: &mut Process, word: &str, times: usize) {
    let what = format!("the clients say “{word}” for the {times}. time");
    until_true(&what, || {
        let ended = client.status().filter(|status| !status.success());
        assert!(ended.is_none(), "{:?}\n{:?}", client.out(), client.err());
        client.out().iter().filter(|line| *line == word).count() >= times
    })
    .await;
}
