//! TLS handshakes: each in limited time, and so many at once at most.
//!
//! Where there are too many, the one that has waited longest gives way: an honest client is through in a round trip
//! or two, and somebody who opens connections and says nothing pushes out its own first.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Stream, TlsStream};

/// The first byte of every TLS connection: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Why a connection did not come to speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client took too long.
    #[error("the TLS handshake was not done within {} s", limit.as_secs())]
    Late {
        /// How long it may take.
        limit: Duration,
    },
    /// It gave way to a newer one.
    #[error("too many TLS handshakes at once (limits.handshakes_max)")]
    Crowded,
    /// The client speaks plain HTTP, and was told.
    #[error("the client speaks plain HTTP where TLS is spoken")]
    Plain,
    /// The client does not agree with us, or is gone.
    #[error("the TLS handshake failed: {0}")]
    Failed(#[from] io::Error),
}

impl HandshakeError {
    /// For counting.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Late { .. } => "late",
            Self::Crowded => "crowded",
            Self::Plain => "plain",
            Self::Failed(_) => "failed",
        }
    }
}

/// Makes TLS connections of TCP connections.
pub struct Handshakes {
    acceptor: TlsAcceptor,
    limit: Duration,
    waiting: Arc<Waiting>,
}

impl Handshakes {
    /// Handshakes by `config`, of which `count_max` go on at once, for `limit` each.
    pub fn new(config: Arc<ServerConfig>, count_max: usize, limit: Duration) -> Self {
        Self {
            acceptor: TlsAcceptor::from(config),
            limit,
            waiting: Arc::new(Waiting::new(count_max)),
        }
    }

    /// Completes the handshake of `tcp`.
    ///
    /// # Errors
    /// Why there is none; the connection is closed then.
    ///
    /// # Cancel safety
    /// A cancelled handshake closes its connection.
    pub async fn open(&self, tcp: TcpStream) -> Result<Stream, HandshakeError> {
        let place = self.waiting.enter();
        let (limit, shaken) = (self.limit, self.shake(tcp));
        let opened = tokio::select! {
            shaken = tokio::time::timeout(limit, shaken) => {
                shaken.unwrap_or(Err(HandshakeError::Late { limit }))
            }
            () = place.gave_way.cancelled() => Err(HandshakeError::Crowded),
        };
        let outcome = opened
            .as_ref()
            .map_or_else(HandshakeError::outcome, |_| "done");
        metrics::counter!("mapweave_tls_handshakes_total", "outcome" => outcome).increment(1);
        opened
    }

    async fn shake(&self, mut tcp: TcpStream) -> Result<Stream, HandshakeError> {
        let mut first = [0];
        if tcp.peek(&mut first).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let [first] = first;
        if first != HANDSHAKE_RECORD && first.is_ascii_uppercase() {
            // Whether it hears us is its own affair.
            let _ = say_https(&mut tcp).await;
            return Err(HandshakeError::Plain);
        }
        let done = self.acceptor.accept(tcp).await?;
        Ok(Stream::Tls(Box::new(TlsStream::new(done))))
    }
}

/// Tells a client that asks in plain HTTP what to do, instead of bytes that it cannot read.
async fn say_https(tcp: &mut TcpStream) -> io::Result<()> {
    /// What is read of a request so that the answer is not lost with the rest of it.
    const REQUEST_BYTES_MAX: u64 = 64 << 10;
    const BODY: &str = r#"{"type":"urn:mapweave:problem:tls-needed","title":"This port speaks TLS","status":400,"detail":"write https:// (for sockets wss://) instead of http://"}"#;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    tcp.write_all(answer.as_bytes()).await?;
    tcp.shutdown().await?;
    let mut rest = tcp.take(REQUEST_BYTES_MAX);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Handshakes that go on, oldest first.
struct Waiting {
    count_max: usize,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    next: u64,
    going_on: BTreeMap<u64, CancellationToken>,
}

/// One of them, until it is dropped.
struct Place {
    waiting: Arc<Waiting>,
    number: u64,
    gave_way: CancellationToken,
}

impl Waiting {
    fn new(count_max: usize) -> Self {
        Self {
            count_max,
            turns: Mutex::default(),
        }
    }

    fn enter(self: &Arc<Self>) -> Place {
        let gave_way = CancellationToken::new();
        let mut turns = self.lock();
        let number = turns.next;
        turns.next = number.wrapping_add(1);
        turns.going_on.insert(number, gave_way.clone());
        if turns.going_on.len() > self.count_max
            && let Some((_, oldest)) = turns.going_on.pop_first()
        {
            oldest.cancel();
        }
        Place {
            waiting: self.clone(),
            number,
            gave_way,
        }
    }

    /// Held for one look-up only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().going_on.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_handshake_gives_way_and_places_come_back() {
        let waiting = Arc::new(Waiting::new(2));
        let (first, second) = (waiting.enter(), waiting.enter());
        assert!(!first.gave_way.is_cancelled());
        let third = waiting.enter();
        assert!(first.gave_way.is_cancelled() && !second.gave_way.is_cancelled());
        drop(second);
        let _fourth = waiting.enter();
        assert!(!third.gave_way.is_cancelled());
        drop(first);
        assert_eq!(waiting.lock().going_on.len(), 2);
    }
}
