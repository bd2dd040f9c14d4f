//! TLS over a shared TCP stream: rustls' state machine under a lock, without a task or a buffer of our own.
//!
//! An idle connection keeps what rustls keeps: keys, and one read buffer of 4 KiB. What the socket does not take of
//! what was written is at most [`UNSENT_BYTES_MAX`] and an alert.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are encrypted ahead of the socket.
const UNSENT_BYTES_MAX: usize = 64 << 10;

/// Reads from the socket for one piece of plain text: a peer that sends records without content must not keep a
/// thread busy.
const READS_MAX: usize = 32;

/// A connection after its handshake.
#[derive(Debug)]
pub struct TlsStream {
    tcp: TcpStream,
    session: Mutex<ServerConnection>,
}

impl TlsStream {
    /// Takes over a connection from its handshake.
    pub fn new(done: tokio_rustls::server::TlsStream<TcpStream>) -> Self {
        let (tcp, mut session) = done.into_inner();
        session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        Self {
            tcp,
            session: Mutex::new(session),
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.lock();
        for _ in 0..READS_MAX {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Whoever breaks off without TLS's own goodbye has ended as well: what matters has its length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            session.read_tls(&mut Socket(&self.tcp))?;
            let taken = session.process_new_packets();
            // An alert that does not go out is no worse than one that gets lost.
            let _ = self.send(&mut session);
            taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.lock();
        // First what is here already, so that the writer has all its room.
        self.send(&mut session)?;
        let taken = session.writer().write_vectored(slices)?;
        match self.send(&mut session) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    pub(super) fn try_flush(&self) -> io::Result<()> {
        self.send(&mut self.lock())
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.lock().wants_write()
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        // Plain text, or its end, may be here while the socket is silent.
        let waits = self.lock().wants_read();
        if waits {
            self.tcp.readable().await?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes, so that it can tell an end from a cut.
    pub(super) async fn say_goodbye(&self) -> io::Result<()> {
        self.lock().send_close_notify();
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tcp.writable().await?;
                }
                flushed => return flushed,
            }
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp.poll_read_ready(cx))?;
                }
                read => {
                    buffer.advance(read?);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp.poll_write_ready(cx))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp.poll_write_ready(cx))?;
                }
                flushed => return Poll::Ready(flushed),
            }
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Said once, however often this is polled: rustls remembers.
        self.lock().send_close_notify();
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Writes what is encrypted to the socket; `WouldBlock` where something is left.
    fn send(&self, session: &mut ServerConnection) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut Socket(&self.tcp))?;
        }
        Ok(())
    }

    /// Held for a few non-blocking steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, ServerConnection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket as rustls sees it: never waits.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
