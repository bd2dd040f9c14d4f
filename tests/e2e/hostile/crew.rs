//! Honest people at work while somebody attacks.

use super::MAP;
use crate::harness::{Client, Content, Server};

/// Two people in the map under attack, and two elsewhere.
pub struct Crew {
    here: [Client; 2],
    elsewhere: [Client; 2],
    rounds: u32,
    /// Memory of the server when they had begun, in bytes.
    resident_bytes: u64,
}

impl Crew {
    /// People who have begun.
    pub async fn join(server: &Server) -> Self {
        let mut crew = Self {
            here: [
                Client::join(server, MAP).await,
                Client::join(server, MAP).await,
            ],
            elsewhere: [
                Client::join(server, "elsewhere").await,
                Client::join(server, "elsewhere").await,
            ],
            rounds: 0,
            resident_bytes: 0,
        };
        crew.work().await;
        crew.resident_bytes = server.resident_bytes();
        crew
    }

    /// Somebody of the map under attack.
    pub fn ann(&self) -> &Client {
        let [ann, _] = &self.here;
        ann
    }

    /// Everybody edits, all of it is stored, and each sees what the other wrote.
    pub async fn work(&mut self) {
        self.rounds += 1;
        for (place, pair) in [("here", &self.here), ("there", &self.elsewhere)] {
            for (number, client) in pair.iter().enumerate() {
                client.set(&format!("{place}{number}"), f64::from(self.rounds));
            }
        }
        for (place, pair) in [("here", &self.here), ("there", &self.elsewhere)] {
            for client in pair {
                client.stored().await;
                for number in 0..pair.len() {
                    let key = format!("{place}{number}");
                    client.sees(&key, f64::from(self.rounds)).await;
                }
                assert!(!client.is_closed(), "an honest connection was closed");
            }
        }
    }

    /// The server has grown by no more than `bytes_max` since the crew began.
    #[track_caller]
    pub fn finds_memory_bounded(&self, server: &Server, bytes_max: u64) {
        let (before, now) = (self.resident_bytes, server.resident_bytes());
        let grown = now.saturating_sub(before);
        assert!(
            grown <= bytes_max,
            "from {before} to {now} bytes, {grown} more"
        );
    }

    /// A newcomer finds in both maps what the crew has, the server stops in time although the attackers are still
    /// there, and everything stored is whole and is read to the same content again.
    pub async fn leaves_all_well(mut self, mut server: Server) {
        self.work().await;
        for (map, [client, _]) in [(MAP, &self.here), ("elsewhere", &self.elsewhere)] {
            let newcomer = Client::join(&server, map).await;
            newcomer.converges_with(client).await;
        }
        for client in self.here.iter_mut().chain(&mut self.elsewhere) {
            client.go_offline().await;
        }
        let [ann, _] = self.here;
        let here = ann.content();
        server.stop().await;
        let late = |line: &String| line.contains("the deadline for stopping has passed");
        assert!(!server.log().iter().any(late), "{:#?}", server.log());
        server.verify_folder().await;
        server.restart().await;
        let state = Content::of_update(&server.state(MAP).await);
        assert_eq!(state, here);
        server.stop().await;
    }
}
