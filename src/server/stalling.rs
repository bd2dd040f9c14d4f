//! Connections that take nothing of what they are sent: a stop does not wait for them. Start at [`Watched`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use warp::hyper::rt::{Read, ReadBufCursor, Write};

use super::stream::Stream;

/// Whoever takes nothing for so long while something waits is not waited for any more.
const STALLED: Duration = Duration::from_secs(2);

/// A stream for hyper that notes whether what is written is taken.
#[derive(Debug)]
pub struct Watched {
    stream: TokioIo<Stream>,
    progress: Arc<Progress>,
}

/// How far the writing has come, and whether a request waits for its answer.
#[derive(Debug, Default)]
pub struct Progress {
    writes: AtomicU64,
    blocked: AtomicBool,
    requests: AtomicUsize,
}

/// A request that waits for its answer, until it is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Progress>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

impl Watched {
    /// Notes nothing yet.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream: TokioIo::new(stream),
            progress: Arc::default(),
        }
    }

    /// What it notes.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// The stream, watched no more.
    pub fn into_inner(self) -> Stream {
        self.stream.into_inner()
    }

    fn stream(&mut self) -> Pin<&mut TokioIo<Stream>> {
        Pin::new(&mut self.stream)
    }

    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let blocked = written.is_pending();
        if !blocked {
            self.progress.writes.fetch_add(1, Relaxed);
        }
        self.progress.blocked.store(blocked, Relaxed);
        written
    }
}

impl Progress {
    /// A request has come.
    pub fn request(self: &Arc<Self>) -> Waiting {
        self.requests.fetch_add(1, Relaxed);
        Waiting(self.clone())
    }

    /// Completes when nothing has moved for long and nobody but the other end could move it: it takes nothing of what it is
    /// sent, or it has not said to its end what it wants.
    ///
    /// # Cancel safety
    /// Safe: the time begins anew.
    pub async fn stalled(&self) {
        loop {
            let before = self.writes.load(Relaxed);
            tokio::time::sleep(STALLED).await;
            let theirs = self.blocked.load(Relaxed) || self.requests.load(Relaxed) == 0;
            if theirs && self.writes.load(Relaxed) == before {
                return;
            }
        }
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
