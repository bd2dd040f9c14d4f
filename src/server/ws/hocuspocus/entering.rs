//! Questions at the door: asked without holding up anything, and what follows from their answers.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mapweave_proto::hocuspocus::Address;
use mapweave_proto::{CloseReason, Granted, LaneId, SocketEvent};

use super::super::backlog::Wire;
use super::super::connection::Ending;
use super::super::door::{Door, Entry, Grant, NoEntry};
use super::{Attached, Running};
use crate::room::Errand;
use crate::time::now_unix_ms;

/// What is waited for, beside the rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Awaited {
    /// Whether a map may be entered.
    Entry(LaneId),
    /// What a new token grants.
    Renewal(LaneId),
    /// The end of what was granted.
    End(LaneId),
}

/// What came of it.
pub(super) enum Came {
    Entry(Address, Result<Entry, NoEntry>),
    Renewal(Result<Grant, NoEntry>),
    End(CloseReason),
}

impl<D: Door> Running<D> {
    pub(super) async fn enter(
        &mut self,
        lane: LaneId,
        address: Address,
        token: Option<String>,
    ) -> Option<SocketEvent> {
        let entry = self.door.enter(address.clone(), token);
        let entry = entry.map(|entry| Came::Entry(address, entry));
        self.ask(Awaited::Entry(lane), entry.boxed()).await
    }

    pub(super) async fn renew(
        &mut self,
        lane: LaneId,
        address: Address,
        token: String,
    ) -> Option<SocketEvent> {
        let grant = self.door.renew(address, token).map(Came::Renewal);
        self.ask(Awaited::Renewal(lane), grant.boxed()).await
    }

    /// What a question comes to, if that is known at once; otherwise it is asked on.
    async fn ask(
        &mut self,
        awaited: Awaited,
        mut question: BoxFuture<'static, Came>,
    ) -> Option<SocketEvent> {
        let known = poll_fn(|cx| Poll::Ready(question.as_mut().poll(cx))).await;
        match known {
            Poll::Ready(came) => self.note(awaited, came),
            Poll::Pending => {
                self.awaited.set(awaited, question);
                None
            }
        }
    }

    pub(super) async fn came(&mut self, awaited: Awaited, came: Came) -> Result<(), Ending> {
        match self.note(awaited, came) {
            Some(event) => self.handle(event).await,
            None => Ok(()),
        }
    }

    /// Takes note of what came of a question; what the board has to know of it.
    fn note(&mut self, awaited: Awaited, came: Came) -> Option<SocketEvent> {
        let (Awaited::Entry(lane) | Awaited::Renewal(lane) | Awaited::End(lane)) = awaited;
        let event = match came {
            Came::Entry(address, Ok(entry)) => self.open(lane, address, entry),
            Came::Renewal(Ok(grant)) => self.renewed(lane, grant)?,
            Came::End(reason) => SocketEvent::Ended(lane, reason),
            Came::Entry(_, Err(no)) | Came::Renewal(Err(no)) => match no {
                NoEntry::Denied(reason) => SocketEvent::Denied(lane, reason),
                NoEntry::Unavailable(why) => SocketEvent::Stop(CloseReason::Unavailable(why)),
            },
        };
        Some(event)
    }

    fn open(&mut self, lane: LaneId, address: Address, entry: Entry) -> SocketEvent {
        let Entry {
            room,
            grant,
            places,
        } = entry;
        let is_name = address.as_str() == room.name().as_str();
        let wire = Wire::Hocuspocus { address, is_name };
        self.lanes.open(lane, wire, self.queue_bytes_max);
        let attached = Attached {
            room,
            origin: grant.origin.clone(),
            access: grant.access,
            pace: grant.pace.clone(),
            _places: places,
            id: self.rooms.next_session(),
            joined: false,
        };
        self.count_for(grant.pace.as_ref());
        self.maps.insert(lane, attached);
        SocketEvent::Entered(lane, self.granted(lane, grant))
    }

    /// The room hears of what a new token grants before it hears of what is sent from now on.
    fn renewed(&mut self, lane: LaneId, grant: Grant) -> Option<SocketEvent> {
        let map = self.maps.get_mut(&lane)?;
        (map.origin, map.access) = (grant.origin.clone(), grant.access);
        map.pace = grant.pace.clone();
        let (origin, access) = (map.origin.clone(), map.access);
        self.count_for(grant.pace.as_ref());
        self.forget_paces();
        let told = self.tell_room(lane, |session| Errand::permit(session, origin, access));
        match told {
            Ok(()) => Some(SocketEvent::Renewed(lane, self.granted(lane, grant))),
            // The room is gone: its lane says why.
            Err(_) => None,
        }
    }

    fn granted(&mut self, lane: LaneId, grant: Grant) -> Granted {
        let unix_ms = now_unix_ms();
        let now_ms = self.rooms.now_ms();
        let expires_ms = |at: u64| now_ms.saturating_add(at.saturating_sub(unix_ms));
        let granted = Granted {
            access: grant.access,
            expires_ms: grant.expires_at_ms.map(expires_ms),
        };
        let ended = grant.ended.map(Came::End).boxed();
        self.awaited.set(Awaited::End(lane), ended);
        granted
    }

    /// Nothing of a map is waited for any more.
    pub(super) fn forget_awaited(&mut self, lane: LaneId) {
        for awaited in [
            Awaited::Entry(lane),
            Awaited::Renewal(lane),
            Awaited::End(lane),
        ] {
            self.awaited.forget(awaited);
        }
    }
}
