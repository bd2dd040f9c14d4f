//! Something that a connection has for its room, before it is known whether the room takes it at once.

use std::sync::Arc;

use mapweave_proto::{Access, SessionId, ToRoom};
use mapweave_storage::Origin;

use super::actor::Request;
use super::peer::Peer;
use super::presence::Shown;

/// Bytes of updates and state vectors that wait for a room, in KiB, also while it is loaded. One update alone
/// may be as large as the limits allow, and all of them fit into one append.
pub(super) const INBOX_KIB_MAX: u32 = 96 << 10;

/// Memory of one client in a state vector, in bytes.
const VECTOR_ENTRY_BYTES: usize = 16;

/// Something for a room. Those of one connection have to reach it in their order.
pub struct Errand {
    pub(super) request: Box<Request>,
    pub(super) bytes: usize,
}

impl Errand {
    pub(super) fn new(request: Request, bytes: usize) -> Self {
        Self {
            request: Box::new(request),
            bytes,
        }
    }

    /// See [`RoomHandle::join`](super::RoomHandle::join).
    pub fn join(
        session: SessionId,
        peer: Arc<dyn Peer>,
        origin: Arc<Origin>,
        access: Access,
    ) -> Self {
        let request = Request::Join {
            session,
            peer,
            origin,
            access,
        };
        Self::new(request, 0)
    }

    /// See [`RoomHandle::heard`](super::RoomHandle::heard). What it shows is read here: whoever shows much has the work.
    pub fn heard(session: SessionId, said: ToRoom) -> Self {
        if let ToRoom::Awareness(update) = &said {
            return Self::new(Request::Shows(session, Shown::all_of(update)), 0);
        }
        let bytes = match &said {
            ToRoom::Update { update, .. } => update.bytes().len(),
            ToRoom::SyncStep1(vector) => vector.len() * VECTOR_ENTRY_BYTES,
            ToRoom::Stateless(payload) => payload.len(),
            ToRoom::Awareness(_) | ToRoom::QueryAwareness | ToRoom::AskBack => 0,
        };
        Self::new(Request::Heard(session, said), bytes)
    }

    /// See [`RoomHandle::permit`](super::RoomHandle::permit).
    pub fn permit(session: SessionId, origin: Arc<Origin>, access: Access) -> Self {
        let request = Request::Permit {
            session,
            origin,
            access,
        };
        Self::new(request, 0)
    }

    /// See [`RoomHandle::hear_notices`](super::RoomHandle::hear_notices).
    pub fn hear_notices(session: SessionId) -> Self {
        Self::new(Request::HearNotices(session), 0)
    }

    /// See [`RoomHandle::leave`](super::RoomHandle::leave).
    pub fn leave(session: SessionId) -> Self {
        Self::new(Request::Leave(session), 0)
    }

    /// See [`RoomHandle::wants_difference`](super::RoomHandle::wants_difference).
    pub fn wants_difference(session: SessionId) -> Self {
        Self::new(Request::WantsDifference(session), 0)
    }

    /// About how much memory it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it takes of the room's inbound budget.
    pub(super) fn kib(&self) -> u32 {
        let kib = u32::try_from(self.bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        kib.min(INBOX_KIB_MAX)
    }
}
