//! Joins two servers that know nothing of each other: what one says is said to the other.
//!
//! Both ends of a connection are alike, so that a command between two servers only has to carry it. It reads what maps
//! are offered and answers for those that are not to pass; nothing else is looked into.

use std::future::Future;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::connection::{Ended, Until};
use super::link::{Allow, LinkError};
use super::message::{BEGIN, LEVEL, Message, OFFER};
use super::pace::Pace;
use super::upstream::{Socket, Upstream, UpstreamError};

/// Carries what `one` and `two` say until either ends, or both have all of each other's where that is wanted.
///
/// # Errors
/// Where one of them cannot be reached or refuses, or the connection ends otherwise.
pub async fn join(
    one: &Upstream,
    two: &Upstream,
    until: Until,
    stop: impl Future<Output = String>,
) -> Result<(), UpstreamError> {
    let mut bridge = Bridge {
        sockets: [one.dial().await?, two.dial().await?],
        level: [false; 2],
        allow: [one.allow.clone(), two.allow.clone()],
    };
    let bytes_per_s = one.bytes_per_s.into_iter().chain(two.bytes_per_s).min();
    let ended = bridge.carry(until, Pace::new(bytes_per_s), stop).await;
    for socket in &mut bridge.sockets {
        // Whoever is gone needs no farewell.
        let _ = socket.close(None).await;
    }
    match ended {
        Ended::Level => Ok(()),
        other => Err(other.into()),
    }
}

struct Bridge {
    sockets: [Socket; 2],
    /// Who has said last that all is sent.
    level: [bool; 2],
    allow: [Allow; 2],
}

/// One of the two ends.
#[derive(Debug, Clone, Copy)]
enum End {
    One = 0,
    Two = 1,
}

impl Bridge {
    async fn carry(
        &mut self,
        until: Until,
        mut pace: Pace,
        stop: impl Future<Output = String>,
    ) -> Ended {
        let mut stop = std::pin::pin!(stop);
        loop {
            if until == Until::Level && self.level == [true; 2] {
                return Ended::Level;
            }
            pace.ready().await;
            let [one, two] = &mut self.sockets;
            let (from, frame) = tokio::select! {
                why = &mut stop => return Ended::Stopped(why),
                frame = one.next() => (End::One, frame),
                frame = two.next() => (End::Two, frame),
            };
            let bytes = match frame {
                None => return Ended::Closed(String::new()),
                Some(Err(error)) => return Ended::Socket(error),
                Some(Ok(Frame::Binary(bytes))) => bytes,
                Some(Ok(Frame::Close(close))) => {
                    let why = close.map(|close| close.reason.to_string());
                    return Ended::Closed(why.unwrap_or_default());
                }
                Some(Ok(_)) => continue,
            };
            pace.passed(bytes.len());
            if let Err(ended) = self.pass(from, bytes).await {
                return ended;
            }
        }
    }

    async fn pass(&mut self, from: End, bytes: Bytes) -> Result<(), Ended> {
        let [level_one, level_two] = &mut self.level;
        let mine = match from {
            End::One => level_one,
            End::Two => level_two,
        };
        match bytes.first() {
            Some(&LEVEL) => *mine = true,
            Some(&BEGIN) => *mine = false,
            Some(&OFFER) => {
                *mine = false;
                let offer = Message::decode(bytes.clone()).map_err(LinkError::from)?;
                if let Message::Offer { doc, name, .. } = offer
                    && !self.allow.iter().all(|allow| allow(&name))
                {
                    let why = "it is not among the maps to be exchanged".to_owned();
                    return self.say(from, Message::Wait { doc, why }.encode()).await;
                }
            }
            _ => {}
        }
        let to = match from {
            End::One => End::Two,
            End::Two => End::One,
        };
        self.say(to, bytes).await
    }

    async fn say(&mut self, to: End, bytes: Bytes) -> Result<(), Ended> {
        let [one, two] = &mut self.sockets;
        let socket = match to {
            End::One => one,
            End::Two => two,
        };
        Ok(socket.send(Frame::Binary(bytes)).await?)
    }
}
