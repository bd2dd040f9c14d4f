//! What happens to a session, and what it makes of that.

use bytes::Bytes;

use super::Refusal;
use crate::awareness::AwarenessUpdate;
use crate::codec::hocuspocus::Answer;
use crate::error::CloseReason;
use crate::message::Message;
use crate::state_vector::StateVector;
use crate::update::Scanned;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The room took us in. A spare one does nothing.
    Attached,
    /// One whole binary WebSocket message from the peer.
    Frame(Bytes),
    /// One message for this map of a Hocuspocus socket, already taken from its frame. Others pass over it.
    Message(Message),
    /// From the room: every update of this session numbered `upto` or lower is durable, or brought nothing
    /// while everything before it is durable.
    Settled {
        /// The highest such number.
        upto: u64,
    },
    /// From the room: this update was not applied.
    Refused {
        /// Its number.
        number: u64,
        /// Why.
        reason: Refusal,
    },
    /// From the room: the sync request that it had from this session is answered. Every one it gets is, by its
    /// answer or one to all.
    Answered {
        /// What had to be encoded for it, in bytes; counted against what the peer may send.
        bytes: u64,
    },
    /// So many frames came that no message was made of: fragments, pings and pongs. They take work as well, and count as
    /// messages of the peer.
    Frames(u64),
    /// Something that did not come from this session went out to the peer.
    Sent,
    /// Time passed; due at [`Session::next_tick_ms`](super::Session::next_tick_ms), harmless at any time.
    Tick,
    /// End the connection.
    Stop(CloseReason),
}

/// What the shell must do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Tell the room.
    Room(ToRoom),
    /// Send a frame to the peer.
    Send(Bytes),
    /// Give the peer this answer, at the address of the map: only where it speaks Hocuspocus.
    Answer(Answer),
    /// Stop reading from the socket until then: the peer is over its rate. Frames that come nevertheless are
    /// handled and prolong the pause.
    Pause {
        /// On the clock of `now_ms`.
        until_ms: u64,
    },
    /// Close the connection. The last effect of a session.
    Close(CloseReason),
}

/// What a session has for its room.
#[derive(Debug)]
pub enum ToRoom {
    /// The peer has this and wants the rest.
    SyncStep1(StateVector),
    /// The peer sent an update.
    Update {
        /// Counts this session's updates from 1, without gaps.
        number: u64,
        /// The update, scanned; the room must judge it.
        update: Scanned,
        /// Whether it is a SyncStep2 rather than a change.
        step2: bool,
    },
    /// The peer sent presence, its own or others'.
    Awareness(AwarenessUpdate),
    /// The peer wants everybody's presence.
    QueryAwareness,
    /// The peer has asked anew and wants to be asked too: send it a SyncStep1.
    AskBack,
    /// The peer has something for everyone in the map, itself among them.
    Stateless(String),
}
