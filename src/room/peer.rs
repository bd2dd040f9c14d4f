//! What a room sees of a connection: somewhere to put messages, without waiting.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use mapweave_proto::{CloseReason, Message, Refusal};

/// One connection, as its room uses it. No method waits or fails: a connection that cannot keep up drops what
/// it has not sent, says so through [`Peer::is_caught_up`], and asks the room for a fresh difference later.
pub trait Peer: Send + Sync + fmt::Debug {
    /// Queues a message, or writes it at once.
    fn send(&self, message: &Outgoing);
    /// Every update of this connection up to number `upto` is durable.
    fn settled(&self, upto: u64);
    /// Update `number` of this connection was not taken.
    fn refused(&self, number: u64, refusal: Refusal);
    /// The sync request of this connection that came last is answered; `bytes` had to be encoded for that.
    fn answered(&self, bytes: u64);
    /// The connection has to end.
    fn close(&self, reason: CloseReason);
    /// Whether everything sent so far was handed to the network.
    fn is_caught_up(&self) -> bool;
    /// Whether it would keep a few messages more, and not drop them with others that wait.
    fn takes_more(&self) -> bool {
        self.is_caught_up()
    }
}

/// A message on its way to any number of peers; what one makes of it for its wire, the others use too, and so do
/// its clones.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What is said.
    pub message: Message,
    frames: Arc<Frames>,
}

/// How a wire frames messages so that many connections can have the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As y-websocket and y-sweet.
    YWebsocket,
    /// As Hocuspocus, addressed to the map's name.
    Hocuspocus,
}

#[derive(Debug, Default)]
struct Frames {
    y_websocket: OnceLock<Option<Bytes>>,
    hocuspocus: OnceLock<Option<Bytes>>,
}

impl Outgoing {
    /// A message that nobody has framed yet.
    pub fn new(message: Message) -> Self {
        Self {
            message,
            frames: Arc::default(),
        }
    }

    /// The message as bytes for the wire, if it has a word for it: made by the first caller, shared by all others.
    pub fn frame(
        &self,
        framing: Framing,
        make: impl FnOnce(&Message) -> Option<Bytes>,
    ) -> Option<Bytes> {
        let frame = match framing {
            Framing::YWebsocket => &self.frames.y_websocket,
            Framing::Hocuspocus => &self.frames.hocuspocus,
        };
        frame.get_or_init(|| make(&self.message)).clone()
    }
}
