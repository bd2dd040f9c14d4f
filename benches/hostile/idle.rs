//! Sockets that are open and do nothing, and the memory that they take.

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::harness::raw::{BINARY, frame};
use crate::harness::{Request, Server, wire};

/// As many files as the machine gives: a socket is one.
pub fn allow_many_files() {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits).unwrap();
}

/// Opens so many sockets at each kind of place; KiB of the server for each of them.
pub async fn measure(sockets: usize) -> Value {
    println!("{sockets} idle sockets on one process");
    println!("| where | KiB of memory a socket | open |");
    println!("|---|---|---|");
    let mut rows = Vec::new();
    for (place, map) in [
        ("all in one map", None),
        ("each in a map of its own", Some("map")),
    ] {
        let mut server = Server::with(&[
            "log.filter=warn,mapweave::cli=info",
            "limits.sessions_max=20000",
            "limits.sessions_per_map_max=20000",
        ])
        .await;
        // Threads and caches are there.
        open(&server, 100, None).await;
        server.until_sockets(0).await;
        let before = server.resident_bytes();
        let open = open(&server, sockets, map).await;
        server.until_sockets(sockets).await;
        let kib = (server.resident_bytes() - before) as f64 / 1024.0 / sockets as f64;
        println!("| {place} | {kib:.1} | {} |", open.len());
        rows.push(json!({ "place": place, "kib": kib, "sockets": open.len() }));
        drop(open);
        server.stop().await;
    }
    Value::from(rows)
}

/// Sockets that have synced; in one map, or in one each.
async fn open(server: &Server, sockets: usize, map: Option<&str>) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for number in 0..sockets {
        let path = match map {
            Some(map) => format!("/ws/{map}{number}"),
            None => "/ws/one".to_owned(),
        };
        let (answer, mut received, mut stream) =
            Request::upgrade(&path).open(server.address()).await;
        assert_eq!(answer.status, 101, "{path}");
        let said = [wire::sync_step1(&[0]), wire::sync_step2(&[0, 0])];
        for message in said {
            use tokio::io::AsyncWriteExt;
            stream.write_all(&frame(BINARY, &message)).await.unwrap();
        }
        // Two short frames come: the question, and the state of a map without content.
        while received.len() < 10 {
            let read = stream.read_buf(&mut received).await.unwrap();
            assert!(read > 0, "the server ended a socket");
        }
        open.push(stream);
    }
    open
}
