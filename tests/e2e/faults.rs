//! Disks that fill up or fail, under the whole server: nothing acknowledged is lost, and nothing is said too early.

use std::path::PathBuf;
use std::process::Command;

use futures_util::FutureExt;
use mapweave::server::ServeError;
use mapweave_storage::{FaultyDisk, UpdateLog};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use tempfile::TempDir;
use yrs::Map;

use crate::harness::wait::{until_true, within};
use crate::harness::{Client, Content, Endpoint, Hosted, Request, Server, wire};

/// A file system of the machine's own that is small; gone with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        let options = format!("size={size}");
        mount.args(["-t", "tmpfs", "-o", &options, "mapweave-e2e"]);
        let mounted = mount.arg(folder.path()).output().ok()?;
        mounted.status.success().then(|| Self(folder))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes all room but `left` bytes, while the server goes on writing.
    fn fill(&self, left: u64) {
        let file = std::fs::File::create(self.filler()).expect("a filler");
        let mut taken = 0;
        loop {
            let room = statvfs(self.0.path()).expect("the room on a disk");
            let free = (room.f_bavail * room.f_frsize).saturating_sub(left);
            if free == 0 {
                return;
            }
            match fallocate(&file, FallocateFlags::empty(), taken, free) {
                Ok(()) => taken += free,
                // The server was faster: there is less room than there was.
                Err(Errno::NOSPC) => {}
                Err(error) => panic!("cannot fill the disk: {error}"),
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        // What cannot be unmounted is gone with the machine.
        let _ = unmount.arg("--lazy").arg(self.0.path()).output();
    }
}

/// Fills the disk under a server with clients, looks at what it says, frees the disk and sees it go on.
async fn survives_a_full_disk(server: &Endpoint, fill: impl Fn(), free: impl Fn()) -> Client {
    let mut ann = Client::join(server, "m").await;
    let mut ben = Client::join(server, "m").await;
    let mut elsewhere = Client::join(server, "other").await;
    for number in 0..50 {
        ann.set(&format!("{number}"), f64::from(number));
        elsewhere.set("same", f64::from(number));
    }
    ann.stored().await;
    elsewhere.stored().await;
    fill();
    let mut number = 50;
    until_true("the server refuses", || {
        ann.set(&format!("{number}"), f64::from(number));
        number += 1;
        ann.is_closed()
    })
    .await;
    // Nobody is left with edits that were shown and are not stored.
    for client in [&mut ann, &mut ben, &mut elsewhere] {
        let (code, _) = client.closed().await.expect("a close with a code");
        assert_eq!(code, 4503);
    }
    server.until_ready(503).await;
    let ready = server.get("/readyz").await.json();
    assert_eq!(ready["status"], "read-only");
    assert!(ready["why"].is_string());
    assert_eq!(server.metric("mapweave_store_ok").await, 0.0);
    assert_eq!(server.get("/healthz").await.status, 200);
    let state = Content::of_update(&server.state("m").await);
    for edit in 0..ann.acknowledged() {
        assert!(
            state.get(&edit.to_string()).is_some(),
            "edit {edit} was acknowledged"
        );
    }
    assert!(ann.acknowledged() >= 50 && ann.acknowledged() < ann.made());
    let write = Request::post("/api/v1/maps/m/state", "application/octet-stream", [0, 0]);
    let create = Request::post("/api/v1/maps", "application/json", r#"{"name":"new"}"#);
    for request in [
        write,
        create,
        Request::upgrade("/ws/m"),
        Request::new("DELETE", "/api/v1/maps/m"),
    ] {
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "unavailable")
        );
        assert!(answer.header("retry-after").is_some());
    }
    free();
    server.until_ready(200).await;
    ann.go_online(server).await;
    ann.stored().await;
    ben.go_online(server).await;
    ben.converges_with(&ann).await;
    let fresh = Client::join(server, "m").await;
    assert_eq!(fresh.content(), ann.content());
    ann
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived_and_loses_nothing() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let server = Hosted::start(&folder, &disk);
    let fill = || disk.set_capacity(Some(disk.used() + 10_000));
    let mut ann = survives_a_full_disk(&server, fill, || disk.set_capacity(None)).await;
    ann.go_offline().await;
    server.stop().await;
    let server = Hosted::start(&folder, &disk);
    let state = Content::of_update(&server.state("m").await);
    assert_eq!(state, ann.content());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_disk_that_fills_up_is_survived_where_one_may_be_mounted() {
    // Without the right to mount, the test above stands for this one.
    let Some(disk) = SmallDisk::mount("256m") else {
        return;
    };
    let mut server = Server::down(&[]).on(&disk.0.path().join("data"));
    server.expect_errors();
    server.restart().await;
    let fill = || disk.fill(40 << 20);
    let mut ann = survives_a_full_disk(&server, fill, || disk.free()).await;
    ann.go_offline().await;
    server.stop().await;
    server.verify_folder().await;
    server.restart().await;
    let state = Content::of_update(&server.state("m").await);
    assert_eq!(state, ann.content());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_a_byte_left_may_end_the_server_but_loses_nothing() {
    // Without the right to mount, the first test stands for this one.
    let Some(disk) = SmallDisk::mount("256m") else {
        return;
    };
    let data = disk.0.path().join("data");
    let mut server = Server::down(&[]).on(&data);
    server.expect_errors();
    server.restart().await;
    let mut ann = Client::join(&server, "m").await;
    for number in 0..50 {
        ann.set(&format!("{number}"), f64::from(number));
    }
    ann.stored().await;
    disk.fill(0);
    let mut number = 50;
    until_true("the server refuses", || {
        ann.set(&format!("{number}"), f64::from(number));
        number += 1;
        ann.is_closed()
    })
    .await;
    ann.closed().await;
    // It ends by itself when its index cannot be written; nothing waits for that.
    server.kill().await;
    let data = data.to_str().expect("a path in UTF-8");
    let again = ["serve", "--listen", "127.0.0.1:0", "--data", data];
    let again = server.mapweave(&again).await.exited(1);
    again.says(&[data, "make room"]);
    disk.free();
    server.restart().await;
    let state = Content::of_update(&server.state("m").await);
    for edit in 0..ann.acknowledged() {
        let kept = state.get(&edit.to_string()).is_some();
        assert!(kept, "edit {edit} was acknowledged");
    }
    ann.go_online(&server).await;
    ann.stored().await;
    ann.go_offline().await;
    server.stop().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_synced_is_never_acknowledged_and_ends_the_server() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let server = Hosted::start(&folder, &disk);
    let mut ann = Client::join(&server, "m").await;
    ann.set("kept", 1.0);
    ann.stored().await;
    disk.fail_syncs(true);
    let unsure = ann.edit_and_lose(|feat, txn| {
        feat.insert(txn, "unsure", 2.0);
    });
    // In one frame: the server has the question for certain before the disk fails.
    ann.send([wire::update(&unsure), wire::durable(&[2])].concat());
    let (code, _) = ann.closed().await.expect("a close with a code");
    assert_eq!(code, 4503);
    assert_eq!((ann.made(), ann.acknowledged()), (2, 1));
    let ended = server.ended().await;
    assert!(
        matches!(ended, Err(ServeError::StorePoisoned { .. })),
        "{ended:?}"
    );
    disk.fail_syncs(false);
    let server = Hosted::start(&folder, &disk);
    let state = Content::of_update(&server.state("m").await);
    assert!(state.get("kept").is_some());
    ann.go_online(&server).await;
    ann.stored().await;
    let state = Content::of_update(&server.state("m").await);
    assert_eq!(state, ann.content());
    ann.go_offline().await;
    server.stop().await;
}

/// On one thread, so that whoever blocks it stops the whole server.
#[tokio::test]
async fn a_disk_that_hangs_stops_no_thread_and_what_waited_is_stored_when_it_goes_on() {
    const MAPS: usize = 24;
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let server = Hosted::start(&folder, &disk);
    let update = |number: usize| {
        let doc = yrs::Doc::with_client_id(7);
        let feat = doc.get_or_insert_map("feat");
        let text = format!("{number:08}").repeat(1 << 19);
        let mut txn = yrs::Transact::transact_mut(&doc);
        feat.insert(&mut txn, "large", text);
        txn.encode_update_v1()
    };
    disk.hold_syncs(true);
    let endpoint = server.endpoint;
    let writing: Vec<_> = (0..MAPS)
        .map(|number| {
            let update = update(number);
            tokio::spawn(async move { endpoint.post(&format!("m{number}"), update).await })
        })
        .collect();
    until_true("the queue of the store is full", || {
        server.store.reserve(1).now_or_never().is_none()
    })
    .await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert!(writing.iter().all(|writing| !writing.is_finished()));
    disk.hold_syncs(false);
    for writing in writing {
        assert_eq!(within("it is stored", writing).await.unwrap(), 2);
    }
    server.stop().await;
}
