//! What goes into a session and what comes out of it.

use bytes::Bytes;

use crate::awareness::AwarenessUpdate;
use crate::error::CloseReason;
use crate::limits;
use crate::state_vector::StateVector;
use crate::update::Scanned;

/// What a deployment may change of a session's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// See [`limits::UPDATE_BYTES_MAX`].
    pub update_bytes_max: usize,
    /// See [`limits::AWARENESS_BYTES_MAX`]; never above it.
    pub awareness_bytes_max: usize,
    /// See [`limits::KEEPALIVE_MS`].
    pub keepalive_ms: u64,
    /// See [`limits::MESSAGES_PER_S`].
    pub messages_per_s: u64,
    /// See [`limits::MESSAGES_BURST`].
    pub messages_burst: u64,
    /// See [`limits::BYTES_PER_S`].
    pub bytes_per_s: u64,
    /// See [`limits::BYTES_BURST`].
    pub bytes_burst: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            update_bytes_max: limits::UPDATE_BYTES_MAX,
            awareness_bytes_max: limits::AWARENESS_BYTES_MAX,
            keepalive_ms: limits::KEEPALIVE_MS,
            messages_per_s: limits::MESSAGES_PER_S,
            messages_burst: limits::MESSAGES_BURST,
            bytes_per_s: limits::BYTES_PER_S,
            bytes_burst: limits::BYTES_BURST,
        }
    }
}

/// What the peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write; what exactly, the room decides by the update.
    ReadWrite,
    /// Read, and show presence.
    ReadOnly,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The room has not taken it in yet.
    Greeting,
    /// What the peer had before is not durable yet.
    Syncing,
    /// What the peer had before is durable.
    Live,
    /// It ended.
    Closing,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The room took us in. A spare one does nothing.
    Attached,
    /// One whole binary WebSocket message from the peer.
    Frame(Bytes),
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
    /// Something that did not come from this session went out to the peer.
    Sent,
    /// Time passed; due at [`Session::next_tick_ms`](crate::Session::next_tick_ms), harmless at any time.
    Tick,
    /// End the connection.
    Stop(CloseReason),
}

/// Why the room did not apply an update.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The peer may only read, and the update brought something.
    ReadOnly,
    /// The peer's role does not allow this edit: what and why, for the user.
    Forbidden(String),
    /// The update must never be applied (a [`DoorError`](crate::DoorError) or worse): what is wrong.
    Corrupt(String),
    /// Too much is held that depends on something missing.
    TooMuchHeld,
    /// The room cannot take updates now.
    Unavailable(&'static str),
}

/// What the shell must do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Tell the room.
    Room(ToRoom),
    /// Send a frame to the peer.
    Send(Bytes),
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
}
