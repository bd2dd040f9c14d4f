//! Starting, stopping, and what stands in the way of either.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::process::{Process, Ran, command, run};
use crate::harness::wait::{until, until_async, until_true};
use crate::harness::{Client, Content, Server};

/// Starts a second server with these arguments, which has to give up.
async fn serve(folder: &Path, args: &[&str]) -> Ran {
    run(folder, [&["serve"], args].concat()).await
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_everybody_to_come_back_and_stores_what_it_acknowledged() {
    let mut server = Server::start().await;
    let mut clients = Vec::new();
    for number in 0..10 {
        let client =
            Client::join(&server, &format!("map {}", number % 3).replace(' ', "%20")).await;
        for edit in 0..200 {
            client.set(&format!("{number}.{edit}"), f64::from(edit));
        }
        clients.push(client);
    }
    let some = || clients.iter().map(Client::acknowledged).sum::<u64>() >= 500;
    until_true("some edits are stored", some).await;
    server.terminate();
    let mut promised = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let (code, _) = client.closed().await.expect("a close with a code");
        assert_eq!(code, 1012);
        promised.push((number, client.acknowledged()));
    }
    server.stopped().await;
    server.verify_folder().await;
    server.restart().await;
    for (number, acknowledged) in promised {
        let state = server.state(&format!("map%20{}", number % 3)).await;
        let content = Content::of_update(&state);
        for edit in 0..acknowledged {
            let key = format!("{number}.{edit}");
            assert!(content.get(&key).is_some(), "{key} was acknowledged");
        }
    }
    for client in &mut clients {
        client.go_online(&server).await;
        client.stored().await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_leaves_nothing_to_recover() {
    let mut server = Server::start().await;
    let mut client = Client::join(&server, "m").await;
    client.set("edit", 1.0);
    client.stored().await;
    client.go_offline().await;
    server.stop().await;
    server.restart().await;
    let last = until("the second start is told", || {
        let log = server.log();
        let mut opened = log.iter().filter(|line| line.contains("the store is open"));
        opened.nth(1).cloned()
    })
    .await;
    assert!(last.contains("clean=true"), "{last}");
    assert!(last.contains("replayed=0"), "{last}");
    server.stop().await;
}

/// One who does not read, and has more coming than the ways to it hold; and the one who sent that.
async fn one_who_takes_nothing(server: &Server) -> (Client, Client) {
    let slow = Client::join(server, "m").await;
    let writer = Client::join(server, "m").await;
    slow.read(false);
    let large = "x".repeat(200_000);
    until_async("the one who does not read has a backlog", || {
        writer.set("large", large.clone());
        let writer = &writer;
        async move {
            writer.stored().await;
            (server.metric("mapweave_sessions_behind_total").await > 0.0).then_some(())
        }
    })
    .await;
    (slow, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_does_not_read_does_not_keep_the_server_from_stopping() {
    let mut server = Server::with(&["server.shutdown_deadline_s=1"]).await;
    let (_slow, _writer) = one_who_takes_nothing(&server).await;
    server.stop().await;
    server.verify_folder().await;
}

/// Begins a request that never ends.
async fn endless_request(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/v1/maps/m/state HTTP/1.1\r\nhost: {}\r\ncontent-type: application/octet-stream\r\n\
         content-length: 100\r\nexpect: 100-continue\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body once the request has reached its handler.
    let mut asked = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut asked)
        .await
        .unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_holds_up_no_stop() {
    let mut server = Server::with(&["server.shutdown_deadline_s=600"]).await;
    let stream = endless_request(&server).await;
    server.stop().await;
    let late = |line: &String| line.contains("the deadline for stopping has passed");
    assert!(!server.log().iter().any(late));
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_cuts_a_stop_short() {
    let mut server = Server::with(&["server.shutdown_deadline_s=600"]).await;
    // Whoever takes nothing has seconds to take the last frame, and the stop waits for that.
    let (_slow, _writer) = one_who_takes_nothing(&server).await;
    server.terminate();
    let logged = |word: &str| server.log().iter().any(|line| line.contains(word));
    until_true("it is stopping", || logged("a second signal cuts it short")).await;
    server.terminate();
    assert_eq!(server.gone().await, Some(1));
    let stopped = |line: &String| line.ends_with("stopped");
    assert!(!server.log().iter().any(stopped), "the stop was over first");
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_a_folder_is_told_who_has_it() {
    let mut server = Server::start().await;
    let data = text(server.data()).to_owned();
    let listen = ["--listen", "127.0.0.1:0", "--data", &data];
    let second = serve(server.folder(), &listen).await.exited(1);
    second.says(&[&data, "in use by another process", "--server"]);
    for args in [
        &["maps", "--data", &data][..],
        &["verify", "--data", &data],
        &["compact", "--data", &data],
    ] {
        let ran = server.mapweave(args).await.exited(1);
        ran.says(&[&data, "in use by another process", "--server"]);
    }
    let client = Client::join(&server, "m").await;
    client.set("edit", 1.0);
    client.stored().await;
    server.stop().await;
    // Whoever had it is gone, and so is the lock.
    server.verify_folder().await;
    server.restart().await;
    server.kill().await;
    server.verify_folder().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_before_anything_is_touched() {
    let mut server = Server::start().await;
    let (address, data) = (server.address().to_string(), server.folder().join("other"));
    let args = ["--listen", &address, "--data", text(&data)];
    let ran = serve(server.folder(), &args).await.exited(1);
    ran.says(&[&address, "another program has this port", "--listen"]);
    assert!(!data.exists());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_problems_are_told_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapweave.toml");
    let toml = "[limits]\nsesions_max = 5\nupdate_bytes_max = \"much\"\n[srever]\nx = 1\n";
    std::fs::write(&file, toml).unwrap();
    let mut command = command(folder.path(), ["serve", "--set", "room.keepalive_s=99"]);
    command.env("MAPWEAVE_LIMITS_SESSIONS_MAX", "none");
    let ran = Process::spawn(command).ended().await.exited(2);
    let ran = ran.says(&[
        "mapweave.toml",
        "limits.sesions_max",
        "limits.sessions_max",
        "limits.update_bytes_max",
        "srever",
        "MAPWEAVE_LIMITS_SESSIONS_MAX",
        "room.keepalive_s",
        "99",
    ]);
    assert_eq!(ran.out, "");
    assert!(!folder.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_nobody_knows_is_named_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), ["doctor", "--json"]);
    command.env("MAPWEAVE_LIMITS_SESSIONS", "3");
    let doctor = Process::spawn(command).ended().await;
    assert!(
        doctor
            .out
            .contains("did you mean MAPWEAVE_LIMITS_SESSIONS_MAX")
    );
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut command = self::command(folder.path(), ["maps", "--data", text(&data)]);
    command.env("MAPWEAVE_LIMITS_SESSIONS", "3");
    let ran = Process::spawn(command).ended().await;
    ran.says(&["WARN", "MAPWEAVE_LIMITS_SESSIONS", "unknown variable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_are_not_let_in_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let ran = serve(folder.path(), &["--listen", "0.0.0.0:0"]).await;
    ran.exited(2).says(&["0.0.0.0:0", "allow"]);
    assert!(!folder.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    // Nobody makes folders in /proc, not even root.
    for data in [
        &file,
        &file.join("data"),
        &PathBuf::from("/proc/mapweave-data"),
    ] {
        let args = ["--listen", "127.0.0.1:0", "--data", text(data)];
        let ran = serve(folder.path(), &args).await.exited(1);
        ran.says(&["error: ", text(data)]);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("photos");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("IDENTITY"), "somebody else's").unwrap();
    let args = ["--listen", "127.0.0.1:0", "--data", text(&data)];
    let ran = serve(folder.path(), &args).await.exited(1);
    ran.says(&["error: ", "IDENTITY"]);
    let kept = std::fs::read_to_string(data.join("IDENTITY")).unwrap();
    assert_eq!(kept, "somebody else's");
}
