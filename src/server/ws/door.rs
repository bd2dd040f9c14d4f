//! Who may have a map of a Hocuspocus socket. Start at [`Door`].

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mapweave_proto::hocuspocus::Address;
use mapweave_proto::{Access, CloseReason};
use mapweave_storage::Origin;

use crate::room::{RoomHandle, RoomPlace};
use crate::server::pace::Pace;
use crate::server::state::SocketPlace;

/// Decides who may have a map, and finds it. Neither question may wait for ever; while one is open, the client's other
/// maps go on. A future that is dropped decides nothing.
pub trait Door: Send {
    /// Whether a client may have a map, as whom its token says it is, if it has one.
    fn enter(
        &self,
        address: Address,
        token: Option<String>,
    ) -> impl Future<Output = Result<Entry, NoEntry>> + Send + 'static;

    /// What a client with a new token may do in a map that it has.
    fn renew(
        &self,
        address: Address,
        token: String,
    ) -> impl Future<Output = Result<Grant, NoEntry>> + Send + 'static;
}

/// A map, with places for one more connection.
pub struct Entry {
    /// Its room.
    pub room: RoomHandle,
    /// What the client may do.
    pub grant: Grant,
    /// Given back when the map is left.
    pub places: (SocketPlace, RoomPlace),
}

/// What a client may do in a map.
pub struct Grant {
    /// What it may do.
    pub access: Access,
    /// Who it is, for the log.
    pub origin: Arc<Origin>,
    /// What the person sends on all their connections, if they have a name.
    pub pace: Option<Arc<Pace>>,
    /// When the token expires, in milliseconds since 1970, if it does: the client is asked for a new one in time.
    pub expires_at_ms: Option<u64>,
    /// Completes when what is granted ends, with why: the token has expired, or was revoked.
    pub ended: BoxFuture<'static, CloseReason>,
}

/// Why there is no way into a map.
pub enum NoEntry {
    /// For the user, at the map's address; the socket goes on.
    Denied(String),
    /// No map can be had now: end the socket, the client comes back.
    Unavailable(&'static str),
}
