//! Floods before a request is whole: connections that say nothing, heads without an end, requests that ask for nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::crew::Crew;
use super::{Attack, MIB};
use crate::harness::wait::{until_async, within};
use crate::harness::{Client, Request, Server};

/// Opens a connection, says `beginning` and waits until the server ends it; again for ever.
fn lingering(address: SocketAddr, beginning: &'static [u8]) -> Attack {
    Attack::begin(async move {
        loop {
            let Ok(mut stream) = TcpStream::connect(address).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let mut end = Vec::new();
            // The server may end it at any time.
            let _ = stream.write_all(beginning).await;
            let _ = stream.read_to_end(&mut end).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_for_nothing_leave_room_for_those_who_do() {
    let server =
        Server::with(&["limits.connections_max=1024", "limits.header_timeout_s=600"]).await;
    let mut crew = Crew::join(&server).await;
    let mut attacks = Vec::new();
    for number in 0..700 {
        let beginning: &[u8] = if number % 2 == 0 {
            b""
        } else {
            b"GET /ws/m HTTP/1.1\r\nhost: "
        };
        attacks.push(lingering(server.address(), beginning));
    }
    until_async("the first of them give way", || async {
        (server.metric("mapweave_connections_gave_way_total").await >= 1_000.0).then_some(())
    })
    .await;
    for number in 0..5 {
        crew.work().await;
        let newcomer = Client::join(&server, "m").await;
        newcomer.set(&format!("new{number}"), 1.0);
        newcomer.stored().await;
    }
    crew.finds_memory_bounded(&server, 64 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_is_cut_short() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let mut attacks = Vec::new();
    for _ in 0..16 {
        let address = server.address();
        attacks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("GET /ws/m HTTP/1.1\r\nhost: {address}\r\nx: ");
            let mut sent = stream.write_all(head.as_bytes()).await;
            let mut bytes = 0_u64;
            while sent.is_ok() && bytes < 64 * MIB {
                sent = stream.write_all(&[b'x'; 4096]).await;
                bytes += 4096;
            }
            bytes
        }));
    }
    crew.work().await;
    for attack in attacks {
        let bytes = within("the server ends it", attack).await.unwrap();
        assert!(bytes < 64 * MIB, "{bytes} bytes of a head were taken");
    }
    crew.finds_memory_bounded(&server, 32 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_end_their_connection() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let flood: Vec<u8> = (0_u32..1 << 16).flat_map(u32::to_le_bytes).collect();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        // What is read of it is answered or not, and the connection is over.
        let _ = stream.write_all(&flood).await;
        let mut answer = Vec::new();
        let _ = within("the server ends it", stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    }
    crew.work().await;
    crew.finds_memory_bounded(&server, 32 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_opened_and_dropped_without_end_leave_nothing_behind() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let before = server.metric("mapweave_maps_live").await;
    for round in 0..10 {
        let opening = (0..50).map(|number| {
            let path = match number % 2 {
                0 => "/hocuspocus".to_owned(),
                _ => format!("/ws/never-written-{round}-{number}"),
            };
            let address = server.address();
            async move { Request::upgrade(&path).send(address).await.status }
        });
        let opened = futures_util::future::join_all(opening).await;
        assert!(opened.iter().all(|status| *status == 101), "{opened:?}");
        crew.work().await;
    }
    server.until_sockets(4).await;
    // A map that nobody wrote to is not kept for the time that a map is kept for those who come back.
    until_async("maps without content are gone", || async {
        (server.metric("mapweave_maps_live").await <= before).then_some(())
    })
    .await;
    crew.finds_memory_bounded(&server, 64 * MIB);
    crew.leaves_all_well(server).await;
}
