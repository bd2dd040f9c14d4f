//! Connections driven by hand, for what no client library would send, or would not leave unread.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use super::endpoint::Endpoint;
use super::http::{Request, Response};
use super::wait::within;
use super::wire;

/// First byte of a whole binary message.
pub const BINARY: u8 = 0x82;
/// First byte of the first fragment of a binary message.
pub const BEGIN: u8 = 0x02;
/// First byte of a fragment that is neither the first nor the last.
pub const CONTINUE: u8 = 0x00;
/// First byte of a ping.
pub const PING: u8 = 0x89;

/// What a socket that is not read may hold in the system, in bytes: little, so that it is full soon.
const RECEIVE_BUFFER_BYTES: u32 = 16 << 10;

/// A WebSocket of which every byte is the test's own. Nothing is read unless the test does.
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    /// A socket at `path`, with a small buffer for what it is sent.
    ///
    /// # Panics
    /// Where the server opens none.
    pub async fn open(server: &Endpoint, path: &str) -> Self {
        let (answer, raw) = Self::ask(server, Request::upgrade(path)).await;
        assert_eq!(answer.status, 101, "no socket at {path}");
        raw
    }

    /// The answer to a request, and the connection that it came on.
    pub async fn ask(server: &Endpoint, request: Request) -> (Response, Self) {
        let stream = connect(server.address()).await.expect("a connection");
        let (answer, received, stream) = request.open_on(stream, server.address()).await;
        (answer, Self { stream, received })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The socket's: a server that closes may do so at any time.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends one message in one frame.
    ///
    /// # Errors
    /// As [`Raw::send`].
    pub async fn say(&mut self, message: &[u8]) -> io::Result<()> {
        self.send(&frame(BINARY, message)).await
    }

    /// The payload of the next frame from the server; `None` at the end of the connection. A close frame is one with
    /// two bytes or more before its text.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = take_frame(&mut self.received) {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(1..) => {}
                _ => return None,
            }
        }
    }

    /// Its two directions, for whoever sends and reads at once.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.stream.into_split()
    }

    /// Reads on until a binary message begins with these bytes; the rest of it.
    pub async fn hear(&mut self, beginning: &[u8]) -> Vec<u8> {
        let hearing = async {
            loop {
                let (first, payload) = self.next().await.expect("a server that goes on");
                assert_eq!(first, BINARY, "{payload:?}");
                if let Some(rest) = payload.strip_prefix(beginning) {
                    return rest.to_vec();
                }
            }
        };
        within("the message comes", hearing).await
    }

    /// Reads on to the end of the connection; with which code the server closed, if it said one.
    pub async fn closed(&mut self) -> Option<u16> {
        let closing = async {
            while let Some((first, payload)) = self.next().await {
                if let (0x88, Some(code)) = (first, payload.first_chunk()) {
                    return Some(u16::from_be_bytes(*code));
                }
            }
            None
        };
        within("the server closes", closing).await
    }
}

/// A connection with a small buffer for what it is sent.
///
/// # Errors
/// The system's, also where the server's queue is full.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.connect(address).await
}

/// A client's frame, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 1, 9, 3];
    let mut out = frame_head(first, payload.len() as u64);
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    out
}

/// The head of a client's frame of so many bytes, up to its mask.
pub fn frame_head(first: u8, bytes: u64) -> Vec<u8> {
    let mut out = vec![first];
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(short @ ..=125), _) => out.push(0x80 | short),
        (_, Ok(middle)) => {
            out.push(0x80 | 126);
            out.extend(middle.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend(bytes.to_be_bytes());
        }
    }
    out
}

/// A Hocuspocus message for the map at `address`.
pub fn addressed(address: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::number(&mut out, address.len() as u64);
    out.extend_from_slice(address.as_bytes());
    out.extend_from_slice(message);
    out
}

/// What a Hocuspocus provider begins with: a token, here an empty one, and its version.
pub fn token(address: &str) -> Vec<u8> {
    addressed(address, b"\x02\x00\x00\x054.8.0")
}

/// A Hocuspocus provider leaves a map.
pub fn detach(address: &str) -> Vec<u8> {
    addressed(address, &[7])
}

/// Takes the first frame of the server's, once it is whole.
pub fn take_frame(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let [first, length, ..] = **received else {
        return None;
    };
    let (head, length) = match length {
        126 => (
            4,
            u16::from_be_bytes(*received.get(2..)?.first_chunk()?).into(),
        ),
        127 => (10, u64::from_be_bytes(*received.get(2..)?.first_chunk()?)),
        short => (2, short.into()),
    };
    let end = head + usize::try_from(length).expect("a frame that fits into memory");
    let payload = received.get(head..end)?.to_vec();
    received.drain(..end);
    Some((first, payload))
}
