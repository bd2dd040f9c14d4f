//! Sockets that send back what they hear: everything that the sockets of maps share (frames, both kinds of queues, pings, the last
//! frame), and no map. No address of the server leads here; `tests/conformance` drives it with cases for all of RFC 6455.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::connection::{Ending, Waiting, closing, read_some, say_last};
use super::frame::{self, FrameReader, Incoming};
use super::lanes::Lanes;
use super::outbox::Outbox;
use crate::server::stream::Stream;

/// The largest message of the cases has 16 MiB.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Which queue a socket writes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// That of `/ws/`.
    OfOneMap,
    /// That of `/hocuspocus`.
    OfManyMaps,
}

/// Serves a socket until it ends; `early` is what came with the handshake.
pub async fn echo(stream: Stream, early: Bytes, queue: Queue) {
    let stream = Arc::new(stream);
    match queue {
        Queue::OfOneMap => {
            let outbox = Outbox::new(stream.clone(), MESSAGE_BYTES_MAX);
            serve(&stream, &early, &outbox, || outbox.rung()).await;
        }
        Queue::OfManyMaps => {
            let lanes = Lanes::new(stream.clone(), MESSAGE_BYTES_MAX);
            serve(&stream, &early, &lanes, || lanes.rung()).await;
        }
    }
}

async fn serve<F: Future<Output = ()>>(
    stream: &Stream,
    early: &[u8],
    queue: &impl Waiting,
    rung: impl Fn() -> F,
) {
    let mut reader = FrameReader::new(MESSAGE_BYTES_MAX, early);
    let mut done = say_back(&mut reader, queue);
    let ending = loop {
        if let Err(ending) = done {
            break ending;
        }
        done = tokio::select! {
            () = rung() => Ok(()),
            writable = stream.writable(), if queue.has_backlog() => {
                writable.and_then(|()| queue.flush()).map_err(|_| Ending::Lost)
            }
            readable = stream.readable() => match readable {
                Ok(()) => read_some(stream, &mut reader).and_then(|_| say_back(&mut reader, queue)),
                Err(_) => Err(Ending::Lost),
            },
        };
    };
    let last = match ending {
        Ending::Lost | Ending::RoomGone => return,
        Ending::Closed(code) => frame::close_echo(code),
        Ending::Close(code, reason) => closing(code, &reason),
    };
    say_last(queue, stream, last).await;
}

fn say_back(reader: &mut FrameReader, queue: &impl Waiting) -> Result<(), Ending> {
    loop {
        match reader.next_message() {
            Ok(None) => return Ok(()),
            Ok(Some(Incoming::Binary(message))) => queue.put(frame::binary(&message)),
            Ok(Some(Incoming::Text(message))) => queue.put(frame::text(&message)),
            Ok(Some(Incoming::Ping(payload))) => queue.put(frame::pong(&payload)),
            Ok(Some(Incoming::Pong)) => {}
            Ok(Some(Incoming::Close(code))) => return Err(Ending::Closed(code)),
            Err(error) => return Err(Ending::Close(error.code(), error.to_string())),
        }
    }
}
