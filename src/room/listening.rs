//! What somebody needs who follows a map by its log rather than by messages: where it stands, and when it moves on.
//!
//! Who listens so costs the room nothing but one number: records are read from the store, at the reader's own pace.

use bytes::Bytes;
use mapweave_proto::Seq;
use tokio::sync::watch;

use super::actor::{Request, RequestError};
use super::handle::RoomHandle;

/// Where somebody begins to follow a map's log.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The last record so far; it is durable. The state that [`RoomHandle::state`] gives later contains it.
    pub seq: Seq,
    /// Updates (v1) of records up to there that are in no state yet: what they build on is missing. No later record
    /// repeats them when it comes.
    pub waiting: Vec<Bytes>,
}

impl RoomHandle {
    /// The last durable record, and every later one as it becomes so; several may be skipped. Ends with the room.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<Seq> {
        self.shared.durable.subscribe()
    }

    /// A place of the log to begin at, now.
    ///
    /// # Errors
    /// [`RequestError`]: the map cannot be loaded or is ending.
    pub async fn beginning(&self) -> Result<Beginning, RequestError> {
        let beginning = self.ask(0, |reply| Request::Waiting { reply }).await?;
        self.settled(beginning.seq).await?;
        Ok(beginning)
    }
}
