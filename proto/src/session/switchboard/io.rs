//! What happens to a socket, what it makes of that, and how it is closed.

use bytes::Bytes;

use super::super::{Event, ToRoom};
use super::{Granted, LaneId};
use crate::codec::hocuspocus::Address;
use crate::error::CloseReason;

/// What happened.
#[derive(Debug)]
pub enum SocketEvent {
    /// One whole binary WebSocket message from the peer.
    Frame(Bytes),
    /// The answer to [`SocketEffect::Enter`]: the map is there, and the peer may do this.
    Entered(LaneId, Granted),
    /// The answer to [`SocketEffect::Renew`]: the peer may do this from now on.
    Renewed(LaneId, Granted),
    /// The peer may not have the map of an [`SocketEffect::Enter`] or [`SocketEffect::Renew`]: why.
    Denied(LaneId, String),
    /// What the peer was granted for a map has come to its end: the token expired, or was revoked.
    Ended(LaneId, CloseReason),
    /// Something for one map's session, from its room. Late ones do nothing.
    Lane(LaneId, Event),
    /// So many frames came that no message was made of, as [`Event::Frames`].
    Frames(u64),
    /// Something that was not asked for here went out to the peer.
    Sent,
    /// Time passed; due at [`Switchboard::next_tick_ms`](super::Switchboard::next_tick_ms), harmless at any time.
    Tick,
    /// End the connection.
    Stop(CloseReason),
}

/// What the shell must do, in this order.
#[derive(Debug)]
pub enum SocketEffect {
    /// Look for the map that the peer wants, and say [`SocketEvent::Entered`] or [`SocketEvent::Denied`] once that is
    /// known. Until then nothing is told to the map's room.
    Enter {
        /// What the map is called from now on.
        lane: LaneId,
        /// Its name, not checked, and perhaps a session.
        address: Address,
        /// Who the peer says it is, if it does.
        token: Option<String>,
    },
    /// The peer has a new token for a map that it is in: say [`SocketEvent::Renewed`] or [`SocketEvent::Denied`] once
    /// that is judged. Until then what it was granted before holds.
    Renew {
        /// The map.
        lane: LaneId,
        /// Its name and perhaps a session.
        address: Address,
        /// The token.
        token: String,
    },
    /// Join the map that was entered.
    Join(LaneId),
    /// Tell the map's room.
    Room(LaneId, ToRoom),
    /// Send a frame to the peer, behind what the map's room has for it.
    Send(LaneId, Bytes),
    /// Leave the map, or stop looking for it; what was sent before still goes out.
    Leave(LaneId),
    /// Stop reading from the socket until then, as [`Effect::Pause`](crate::Effect::Pause).
    Pause {
        /// On the clock of `now_ms`.
        until_ms: u64,
    },
    /// Close the connection. The last effect of a socket.
    Close(SocketClose),
}

/// Why and how a socket is closed. Only where the peer breaks its bounds the code is one that older providers
/// do not come back after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketClose {
    /// The WebSocket close code.
    pub code: u16,
    /// The text beside it.
    pub reason: String,
}

/// "Reset the connection": the code of Hocuspocus for a peer that does not keep to the protocol.
pub(super) const RESET: u16 = 4205;
/// The code of Hocuspocus for a peer that says nothing for too long.
pub(super) const TIMEOUT: u16 = 4408;
const TOO_LARGE: u16 = 1009;

impl SocketClose {
    pub(super) fn too_much_waits() -> Self {
        let reason = "too much was sent to maps before they were entered, wait for the answer";
        Self {
            code: RESET,
            reason: reason.to_owned(),
        }
    }

    pub(super) fn too_late() -> Self {
        let reason = "no map was entered in time";
        Self {
            code: TIMEOUT,
            reason: reason.to_owned(),
        }
    }
}

impl From<&CloseReason> for SocketClose {
    fn from(reason: &CloseReason) -> Self {
        let code = match reason {
            CloseReason::TooLarge { .. } => TOO_LARGE,
            terminal if terminal.is_terminal() => RESET,
            other => other.code(),
        };
        let reason = reason.text();
        Self { code, reason }
    }
}
