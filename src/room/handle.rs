//! A way into a live map: what connections and requests ask of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mapweave_proto::{
    Access, DocId, Ledger, MapName, Scanned, Seq, SessionId, StateVector, ToRoom,
};
use mapweave_storage::Origin;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{TryAcquireError, oneshot};

use super::actor::{Envelope, Request, RequestError, StateAnswer};
use super::container::Summary;
use super::core::Foreign;
use super::errand::Errand;
use super::peer::Peer;
use super::registry::RoomShared;
use super::replica::{Decision, Kept};

/// A way into a live map. While one is held, the map stays loaded.
#[derive(Clone)]
pub struct RoomHandle {
    pub(super) shared: Arc<RoomShared>,
}

/// A connection's place in a map, given back when dropped.
pub struct RoomPlace {
    shared: Arc<RoomShared>,
}

impl Drop for RoomPlace {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Relaxed);
    }
}

/// The room ended; entering again finds a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the map is being reloaded")]
pub struct RoomGone;

impl RoomHandle {
    /// What the map is called.
    pub fn name(&self) -> &MapName {
        &self.shared.name
    }

    /// The map's document.
    pub fn doc(&self) -> DocId {
        self.shared.doc
    }

    /// How many connections are in the map.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// A place in the map for one more connection, if fewer than `places_max` are taken.
    pub fn take_place(&self, places_max: usize) -> Option<RoomPlace> {
        let taken = self
            .shared
            .connections
            .fetch_update(Relaxed, Relaxed, |n| (n < places_max).then_some(n + 1));
        taken.is_ok().then(|| RoomPlace {
            shared: self.shared.clone(),
        })
    }

    /// Joins with a connection; messages for it go to `peer` from now on.
    ///
    /// # Errors
    /// [`RoomGone`]: enter again.
    ///
    /// # Cancel safety
    /// Whether the room has heard is not known after a cancel, here and below.
    pub async fn join(
        &self,
        session: SessionId,
        peer: Arc<dyn Peer>,
        origin: Arc<Origin>,
        access: Access,
    ) -> Result<(), RoomGone> {
        self.carry(Errand::join(session, peer, origin, access))
            .await
    }

    /// Hands over what a connection said. Waits while the room has too much to do: do not read on meanwhile.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn heard(&self, session: SessionId, said: ToRoom) -> Result<(), RoomGone> {
        self.carry(Errand::heard(session, said)).await
    }

    /// The connection may do this from now on, and is this one for the log: its token was renewed.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn permit(
        &self,
        session: SessionId,
        origin: Arc<Origin>,
        access: Access,
    ) -> Result<(), RoomGone> {
        self.carry(Errand::permit(session, origin, access)).await
    }

    /// The connection is gone.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn leave(&self, session: SessionId) -> Result<(), RoomGone> {
        self.carry(Errand::leave(session)).await
    }

    /// The connection has dropped messages and wants the difference.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn wants_difference(&self, session: SessionId) -> Result<(), RoomGone> {
        self.carry(Errand::wants_difference(session)).await
    }

    /// Hands something to the room if that needs no waiting, and back otherwise.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub fn hand_over(&self, errand: Errand) -> Result<Option<Errand>, RoomGone> {
        let budget = match errand.kib() {
            0 => None,
            kib => match self.shared.budget.clone().try_acquire_many_owned(kib) {
                Ok(budget) => Some(budget),
                Err(TryAcquireError::NoPermits) => return Ok(Some(errand)),
                Err(TryAcquireError::Closed) => return Err(RoomGone),
            },
        };
        let Errand { request, bytes } = errand;
        match self.shared.inbox.try_send(Envelope { request, budget }) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(Envelope { request, .. })) => {
                Ok(Some(Errand { request, bytes }))
            }
            Err(TrySendError::Closed(_)) => Err(RoomGone),
        }
    }

    /// Hands something to the room; waits while that has too much to do.
    ///
    /// # Errors
    /// As [`RoomHandle::join`].
    pub async fn carry(&self, errand: Errand) -> Result<(), RoomGone> {
        let budget = match errand.kib() {
            0 => None,
            kib => {
                let budget = self.shared.budget.clone().acquire_many_owned(kib).await;
                Some(budget.map_err(|_| RoomGone)?)
            }
        };
        let request = errand.request;
        let envelope = Envelope { request, budget };
        self.shared.inbox.send(envelope).await.map_err(|_| RoomGone)
    }

    /// Writes an update of somebody who may write; resolves once it is durable, to the place of the log that contains
    /// it.
    ///
    /// # Errors
    /// [`RequestError`], here and below.
    pub async fn submit(&self, update: Scanned, origin: Arc<Origin>) -> Result<Seq, RequestError> {
        self.submit_as(Access::ReadWrite, update, origin).await
    }

    /// The same for somebody who may do what `access` says; what that one may not write is refused, or kept beside the
    /// map.
    ///
    /// # Errors
    /// [`Refused::ReadOnly`](super::Refused::ReadOnly), [`Refused::Forbidden`](super::Refused::Forbidden),
    /// [`Refused::Early`](super::Refused::Early), and [`Refused::Kept`](super::Refused::Kept) once that is durable.
    pub async fn submit_as(
        &self,
        access: Access,
        update: Scanned,
        origin: Arc<Origin>,
    ) -> Result<Seq, RequestError> {
        let bytes = update.bytes().len();
        self.ask(bytes, |reply| Request::Submit {
            update,
            origin,
            access,
            reply,
        })
        .await
    }

    /// What waits for an owner to decide about it, oldest first.
    pub async fn quarantine(&self) -> Result<Vec<Kept>, RequestError> {
        self.ask(0, |reply| Request::Quarantine { reply }).await
    }

    /// Carries out what an owner, `origin`, decides about the edit whose record is `seq`; resolves once that is durable.
    ///
    /// # Errors
    /// [`Refused::NotQuarantined`](super::Refused::NotQuarantined), and [`Refused::Early`](super::Refused::Early) of one
    /// that builds on others.
    pub async fn decide(
        &self,
        seq: Seq,
        decision: Decision,
        origin: Arc<Origin>,
    ) -> Result<Seq, RequestError> {
        self.ask(0, |reply| Request::Decide {
            seq,
            decision,
            origin,
            reply,
        })
        .await
    }

    /// Takes in records of other stores, in the order of the log that they were read from; resolves once all of them are
    /// held durably. Those held before add nothing.
    ///
    /// # Errors
    /// Where one is refused, those before it are in.
    pub async fn relay(&self, records: Vec<Foreign>) -> Result<Seq, RequestError> {
        let updates = records.iter().filter_map(|record| record.update.as_ref());
        let bytes = updates.map(|update| update.bytes().len()).sum();
        self.ask(bytes, |reply| Request::Relay { records, reply })
            .await
    }

    /// Makes the map; resolves once that is durable.
    ///
    /// # Errors
    /// [`Refused::Exists`](super::Refused::Exists) where it exists, be it that somebody else is making it now.
    pub async fn create(&self, origin: Arc<Origin>) -> Result<Seq, RequestError> {
        self.ask(0, |reply| Request::Create { origin, reply }).await
    }

    /// What a reader with `have` lacks.
    pub async fn state(&self, have: StateVector) -> Result<StateAnswer, RequestError> {
        self.ask(0, |reply| Request::State { have, reply }).await
    }

    /// What the map holds, as far as its door must know: a copy, to try updates on.
    pub async fn ledger(&self) -> Result<Ledger, RequestError> {
        self.ask(0, |reply| Request::Ledger { reply }).await
    }

    /// What a list of maps tells of the map.
    pub async fn summary(&self) -> Result<Summary, RequestError> {
        self.ask(0, |reply| Request::Summary { reply }).await
    }

    /// Stores a snapshot; resolves to the last record in it.
    pub async fn snapshot(&self) -> Result<Seq, RequestError> {
        self.ask(0, |reply| Request::Snapshot { reply }).await
    }

    pub(super) async fn ask<T>(
        &self,
        bytes: usize,
        request: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Request,
    ) -> Result<T, RequestError> {
        let gone = || RequestError::Unavailable {
            why: RoomGone.to_string(),
        };
        let (reply, answer) = oneshot::channel();
        let errand = Errand::new(request(reply), bytes);
        self.carry(errand).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}
