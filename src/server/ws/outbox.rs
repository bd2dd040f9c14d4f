//! A connection's [`Backlog`], shared by its room and its own task.
//!
//! The room writes straight to the socket while it takes everything, which costs no task switch; what the
//! socket does not take waits for the connection's own task.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mapweave_proto::{CloseReason, Refusal};
use tokio::sync::Notify;

use super::backlog::{Backlog, News, Offered};
use crate::room::{Outgoing, Peer};
use crate::server::stream::Stream;
use crate::server::unfinished::Evict;

/// A session's messages on their way out, and its room's news for it.
#[derive(Debug)]
pub struct Outbox {
    backlog: Mutex<Backlog>,
    /// Rings for the connection's task when there is something it must do.
    wake: Notify,
    stream: Arc<Stream>,
}

impl Outbox {
    /// An empty outbox that writes to `stream` and keeps at most `bytes_max` bytes that wait.
    pub fn new(stream: Arc<Stream>, bytes_max: usize) -> Self {
        Self {
            backlog: Mutex::new(Backlog::new(bytes_max)),
            wake: Notify::new(),
            stream,
        }
    }

    /// Completes when [`Outbox::news`] or [`Outbox::flush`] has something to do.
    ///
    /// # Cancel safety
    /// Safe: a call rung for nobody is kept for the next.
    pub async fn rung(&self) {
        self.wake.notified().await;
    }

    /// Puts bytes out that are for this connection alone: acknowledgements, pongs, a close.
    pub fn put(&self, frame: Bytes) {
        let mut backlog = self.lock();
        backlog.put(frame);
        self.write_or_ring(&mut backlog);
    }

    /// Whether bytes wait for the socket.
    pub fn has_backlog(&self) -> bool {
        !self.lock().is_empty() || self.stream.has_unsent()
    }

    /// Whether the peer should not be listened to before it has read some of its answers.
    pub fn is_clogged(&self) -> bool {
        self.lock().is_clogged()
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// The socket's; the connection is over.
    pub fn flush(&self) -> io::Result<()> {
        self.write(&mut self.lock())?;
        self.stream.flush_some()
    }

    /// What the room had to say since the last call.
    pub fn news(&self) -> News {
        self.lock().news()
    }

    fn write(&self, backlog: &mut Backlog) -> io::Result<()> {
        backlog.write(|slices| self.stream.try_write_vectored(slices))
    }

    fn write_or_ring(&self, backlog: &mut Backlog) {
        // An error is met again, and answered, by the connection's own task. It also asks for the difference
        // once a queue that was dropped has gone out, whoever wrote the last of it.
        let written = self.write(backlog);
        let left = !backlog.is_empty() || self.stream.has_unsent();
        if written.is_err() || left || backlog.wants_difference() {
            self.wake.notify_one();
        }
    }

    /// Held for a few non-blocking steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Evict for Outbox {
    fn evict(&self) {
        self.close(CloseReason::Unavailable(
            "too many large messages are on their way, send it again",
        ));
    }
}

impl Peer for Outbox {
    fn send(&self, outgoing: &Outgoing) {
        let mut backlog = self.lock();
        match backlog.offer(outgoing) {
            Offered::Queued => self.write_or_ring(&mut backlog),
            Offered::Passed => {}
            Offered::Overflowed => {
                metrics::counter!("mapweave_sessions_behind_total").increment(1);
            }
        }
    }

    fn settled(&self, upto: u64) {
        self.lock().settled(upto);
        self.wake.notify_one();
    }

    fn refused(&self, number: u64, refusal: Refusal) {
        self.lock().refused(number, refusal);
        self.wake.notify_one();
    }

    fn answered(&self, bytes: u64) {
        self.lock().answered(bytes);
        self.wake.notify_one();
    }

    fn close(&self, reason: CloseReason) {
        self.lock().close(reason);
        self.wake.notify_one();
    }

    fn is_caught_up(&self) -> bool {
        self.lock().is_caught_up()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use mapweave_proto::Message;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn connected() -> (Arc<Stream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap());
        let (theirs, accepted) = tokio::join!(theirs, listener.accept());
        (Arc::new(accepted.unwrap().0.into()), theirs.unwrap())
    }

    /// As [`Peer::send`], and tells what became of it.
    fn send(outbox: &Outbox, message: &Outgoing) -> Offered {
        let mut backlog = outbox.lock();
        let offered = backlog.offer(message);
        if offered == Offered::Queued {
            outbox.write_or_ring(&mut backlog);
        }
        offered
    }

    #[tokio::test]
    async fn who_fell_behind_asks_for_the_difference_whoever_writes_the_last_of_its_queue() {
        let (ours, mut theirs) = connected().await;
        let outbox = Outbox::new(ours.clone(), 1 << 20);
        let message = Outgoing::new(Message::Update(vec![7; 256 << 10].into()));
        while send(&outbox, &message) != Offered::Overflowed {}
        // The connection's task has heard of the backlog and waits for the socket …
        outbox.rung().await;
        assert!(!outbox.news().wants_difference);
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; 1 << 20];
            while theirs.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        });
        // … but a ping comes in first, and its answer takes the rest of the queue along.
        while outbox.has_backlog() {
            _ = outbox.rung().now_or_never();
            ours.writable().await.unwrap();
            outbox.put(Bytes::from_static(b"pong"));
        }
        assert_eq!(outbox.rung().now_or_never(), Some(()));
        assert!(outbox.news().wants_difference);
        drop((outbox, ours));
        reading.await.unwrap();
    }
}
