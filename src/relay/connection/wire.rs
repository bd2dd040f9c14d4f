//! The socket under a connection: frames at a pace, and a count of what is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};

use super::super::message::MESSAGE_BYTES_MAX;
use super::super::pace::Pace;

/// How sockets of relays are set up: their messages are small.
pub fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(64 << 10)
        .write_buffer_size(0)
}

/// Reads the next frame, at the pace.
///
/// # Cancel safety
/// Safe: what was read in part is kept in the stream.
pub(super) async fn hear<S>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    pace: &Pace,
) -> Option<Result<Frame, SocketError>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pace.ready().await;
    stream.next().await
}

/// Writes frames as they come, at the pace.
pub(super) async fn write<S>(
    mut sink: SplitSink<WebSocketStream<S>, Frame>,
    mut frames: mpsc::Receiver<Frame>,
    mut pace: Pace,
) -> Result<(), SocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(frame) = frames.recv().await {
        pace.ready().await;
        let bytes = frame.len();
        sink.send(frame).await?;
        pace.passed(bytes);
        metrics::counter!("mapweave_relay_sent_bytes_total").increment(bytes as u64);
    }
    Ok(())
}

/// A stream that counts what is read, so that a slow message is told from a dead connection.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    pub(super) read_bytes: Arc<AtomicU64>,
}

impl<S> Counted<S> {
    /// Nothing read yet.
    pub fn new(stream: S) -> Self {
        let read_bytes = Arc::default();
        Self { stream, read_bytes }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        self.read_bytes.fetch_add(read as u64, Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
