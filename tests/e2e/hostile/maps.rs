//! Sockets with a thousand maps, and maps by the thousand.

use super::crew::Crew;
use super::{Attack, MIB};
use crate::harness::raw::{BINARY, addressed, detach, frame, token};
use crate::harness::wait::{until_async, until_true, within};
use crate::harness::{Raw, Server, wire};

/// Maps on one socket at most (docs/protocol.md).
const MAPS_MAX: usize = 256;

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_gets_no_more_maps_than_one_may_have() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let mut socket = Raw::open(&server, "/hocuspocus").await;
    let all: Vec<u8> = (0..1_000)
        .flat_map(|number| frame(BINARY, &token(&format!("map{number}"))))
        .collect();
    let (mut granted, mut denied) = (0, 0);
    socket.send(&all).await.unwrap();
    let answers = async {
        while granted + denied < 1_000 {
            let (_, message) = socket.next().await.expect("the socket goes on");
            // Behind the address, whose length comes first.
            let answer = message.get(1 + usize::from(message[0])..);
            match answer {
                Some([2, 2, ..]) => granted += 1,
                Some([2, 1, ..]) => denied += 1,
                _ => {}
            }
        }
    };
    within("every map is answered", answers).await;
    assert_eq!((granted, denied), (MAPS_MAX, 1_000 - MAPS_MAX));
    crew.work().await;
    crew.finds_memory_bounded(&server, 96 * MIB);
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_that_are_opened_and_left_for_ever_are_not_kept() {
    let server = Server::start().await;
    let mut crew = Crew::join(&server).await;
    let before = server.metric("mapweave_maps_live").await;
    let attacks: Vec<Attack> = (0..4)
        .map(|attacker| {
            let endpoint = *server;
            Attack::begin(async move {
                let mut socket = Raw::open(&endpoint, "/hocuspocus").await;
                for number in 0.. {
                    let map = format!("never-written-{attacker}-{number}");
                    let said = [
                        token(&map),
                        addressed(&map, &wire::sync_step1(&[0])),
                        detach(&map),
                    ];
                    for message in said {
                        if socket.say(&message).await.is_err() {
                            return;
                        }
                    }
                    socket.hear(&addressed(&map, &[2, 2])).await;
                }
            })
        })
        .collect();
    for _ in 0..20 {
        crew.work().await;
    }
    crew.finds_memory_bounded(&server, 192 * MIB);
    drop(attacks);
    until_async("maps without content are gone", || async {
        (server.metric("mapweave_maps_live").await <= before).then_some(())
    })
    .await;
    crew.leaves_all_well(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_for_everyone_come_no_faster_than_everyone_can_be_told() {
    let server = Server::with(&["storage.cache_bytes=1 MiB"]).await;
    let mut crew = Crew::join(&server).await;
    let mut listening = Raw::open(&server, "/hocuspocus").await;
    listening.say(&token("m")).await.unwrap();
    let mut text = addressed("m", &[5]);
    wire::number(&mut text, 60 << 10);
    text.resize(text.len() + (60 << 10), b'x');
    let mut socket = Raw::open(&server, "/hocuspocus").await;
    socket.say(&token("m")).await.unwrap();
    let _flood = Attack::flood(socket, frame(BINARY, &text).repeat(16));
    for _ in 0..10 {
        crew.work().await;
    }
    listening.hear(&addressed("m", &[5])).await;
    until_true("it is still there", || !crew.ann().is_closed()).await;
    crew.finds_memory_bounded(&server, 96 * MIB);
    crew.leaves_all_well(server).await;
}
