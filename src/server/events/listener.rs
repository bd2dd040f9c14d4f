//! One listener: follows the map's log at the pace at which it is read, and tells presence beside it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use mapweave_proto::{Access, CloseReason, Seq, SessionId};
use mapweave_storage::{Kind, Origin, Record, UpdateLog};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::peer::Ear;
use super::problems::Watching;
use super::sessions::Named;
use super::text::{Events, Place};
use super::wanted::Wanted;
use super::{
    BEHIND_RECORDS_MAX, CHUNK_BYTES, PRESENCE_EVERY, RETRY_MIN, RETRY_SPREAD, UPDATE_BYTES_MAX,
};
use crate::room::{Beginning, RoomHandle};

/// A connection that listens.
pub struct Listener {
    pub(super) session: SessionId,
    pub(super) room: RoomHandle,
    pub(super) store: Arc<dyn UpdateLog>,
    pub(super) wanted: Wanted,
    /// Up to where the log was told.
    pub(super) place: Place,
    pub(super) durable: watch::Receiver<Seq>,
    pub(super) heartbeat: Duration,
    /// Where chunks wait for the socket; full while that is.
    pub(super) out: mpsc::Sender<Bytes>,
    pub(super) events: Events,
    /// Updates that wait for others in the map, still to be told; all listeners share their bytes.
    pub(super) waiting: VecDeque<Bytes>,
    pub(super) pace: Pace,
    pub(super) problems: Watching,
    pub(super) ear: Arc<Ear>,
    /// The name of the stream, for requests.
    pub(super) named: Named,
    /// Completes when the client may listen no more.
    pub(super) ended: BoxFuture<'static, CloseReason>,
}

/// What was done last, and when.
pub(super) struct Pace {
    sent: Instant,
    /// Seen of the log.
    durable: Seq,
    presence: Option<Instant>,
}

/// Why a listener is not told any more.
enum End {
    /// It is not there any more.
    Gone,
    /// Nothing more can be told.
    Closing(CloseReason),
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            sent: Instant::now(),
            durable: Seq::ZERO,
            presence: None,
        }
    }

    fn presence_due(&self) -> Instant {
        self.presence
            .map_or(self.sent, |told| told + PRESENCE_EVERY)
    }
}

impl Listener {
    /// Tells the place where the log stands, and what waits there.
    pub(super) fn begin(&mut self, beginning: &Beginning) {
        self.place.seq = beginning.seq;
        self.events.retry(self.retry());
        self.events.place(self.place);
        self.note_waiting(beginning);
    }

    /// Goes on from the place where the client was told last. It may have gone before it was told all that waits, of which no
    /// later record tells.
    pub(super) fn resume(&mut self, at: Place, beginning: &Beginning) {
        self.place = at;
        self.events.retry(self.retry());
        self.events.place(self.place);
        self.note_waiting(beginning);
    }

    /// The same for a client that cannot be told all that it missed.
    pub(super) fn begin_anew(&mut self, beginning: &Beginning, why: &str) {
        self.place.seq = beginning.seq;
        self.events.retry(self.retry());
        self.tell_reset(beginning, why);
    }

    /// Tells until the client is gone or the room ends.
    pub(super) async fn run(mut self, origin: Arc<Origin>) {
        let ear = self.ear.clone();
        let joined = self
            .room
            .join(self.session, ear, origin, Access::ReadOnly)
            .await;
        let joined = match (joined, self.wanted.notices) {
            (Ok(()), true) => self.room.hear_notices(self.session).await,
            (joined, _) => joined,
        };
        let end = match joined {
            Ok(()) => {
                self.events.session(self.named.key());
                self.tell().await
            }
            Err(_) => End::Closing(CloseReason::Unavailable("the map is being reloaded")),
        };
        if let End::Closing(reason) = end {
            self.events.closing(&reason);
            self.events.retry(self.retry());
            // Whoever is gone by now needs no goodbye, and a room that is gone none either.
            let _ = self.flush().await;
        }
        let _ = self.room.leave(self.session).await;
    }

    async fn tell(&mut self) -> End {
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), End> {
        if let Some(reason) = (&mut self.ended).now_or_never() {
            return Err(End::Closing(reason));
        }
        let closing = self.ear.closing();
        let durable = *self.durable.borrow_and_update();
        if durable > self.pace.durable {
            self.pace.durable = durable;
            self.problems.note_edits();
        }
        self.tell_waiting().await?;
        if self.wanted.updates {
            self.tell_updates(durable).await?;
        }
        for notice in self.ear.take_notices() {
            self.events.notice(&notice);
        }
        if let Some(reason) = closing {
            return Err(End::Closing(reason));
        }
        if self.wanted.presence && Instant::now() >= self.pace.presence_due() {
            let presence = self.ear.take_presence();
            if !presence.is_empty() {
                self.pace.presence = Some(Instant::now());
                self.events.presence(presence.values());
            }
        }
        self.flush().await?;
        self.wait().await
    }

    async fn wait(&mut self) -> Result<(), End> {
        let presence = self.wanted.presence && self.ear.has_presence();
        tokio::select! {
            () = self.ear.news() => {}
            reason = &mut self.ended => return Err(End::Closing(reason)),
            // The sender lives as long as our way into the room.
            _ = self.durable.changed(), if self.wanted.updates || self.wanted.problems => {}
            told = self.problems.next(&self.room), if self.wanted.problems => {
                if let Some(data) = told {
                    self.events.event("problems", &data);
                }
            }
            () = sleep_until(self.pace.presence_due()), if presence => {}
            () = sleep_until(self.pace.sent + self.heartbeat) => self.events.heartbeat(),
            () = self.out.closed() => return Err(End::Gone),
        }
        Ok(())
    }

    /// Tells what became durable since the last call.
    async fn tell_updates(&mut self, durable: Seq) -> Result<(), End> {
        if durable <= self.place.seq {
            return Ok(());
        }
        let from = self.place.seq.next();
        let mut records = self.store.read_log(self.room.doc(), from, durable);
        while self.place.seq < durable {
            if self.is_too_far_behind() {
                return self.reset("the connection is too slow").await;
            }
            let record = match records.next().await {
                Some(Ok(record)) => record,
                // The state is there all the same, and a client that came back would come to the same place.
                ended => {
                    let error = ended.and_then(Result::err).map(|error| error.to_string());
                    tracing::warn!(at = %self.place.seq, error, "the log cannot be read on");
                    return self.reset("the log cannot be read here").await;
                }
            };
            if let Some(why) = self.tell_record(&record) {
                return self.reset(why).await;
            }
            if self.events.bytes() >= CHUNK_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn is_too_far_behind(&self) -> bool {
        let Seq(durable) = *self.durable.borrow();
        durable.saturating_sub(self.place.seq.0) > BEHIND_RECORDS_MAX
    }

    /// Tells a record, or why it cannot be told.
    fn tell_record(&mut self, record: &Record) -> Option<&'static str> {
        self.place.seq = record.seq;
        match record.kind {
            Kind::Update | Kind::Gapped if record.payload.len() > UPDATE_BYTES_MAX => {
                Some("an update is too large for an event")
            }
            Kind::Update | Kind::Gapped => {
                self.events.update(self.place, &record.payload);
                None
            }
            Kind::Expired => Some("updates that waited for others were given up"),
            _ => None,
        }
    }

    async fn reset(&mut self, why: &str) -> Result<(), End> {
        let beginning = self.room.beginning().await.map_err(|_| {
            let reloaded = || CloseReason::Unavailable("the map is being reloaded");
            End::Closing(self.ear.closing().unwrap_or_else(reloaded))
        })?;
        metrics::counter!("mapweave_event_resets_total").increment(1);
        self.place.seq = beginning.seq;
        self.tell_reset(&beginning, why);
        self.tell_waiting().await
    }

    fn tell_reset(&mut self, beginning: &Beginning, why: &str) {
        self.events.reset(self.place, why);
        self.note_waiting(beginning);
    }

    /// These are in no state: without them a client would miss what they bring once their base is there.
    fn note_waiting(&mut self, beginning: &Beginning) {
        self.waiting.clear();
        if self.wanted.updates {
            self.waiting.extend(beginning.waiting.iter().cloned());
        }
    }

    /// Tells them at the pace at which they are read: there may be megabytes of them, for each listener.
    async fn tell_waiting(&mut self) -> Result<(), End> {
        while let Some(update) = self.waiting.pop_front() {
            self.events.waiting(self.place.seq, &update);
            if self.events.bytes() >= CHUNK_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Hands over what was told; waits while the socket has enough.
    async fn flush(&mut self) -> Result<(), End> {
        if let Some(chunk) = self.events.take() {
            self.out.send(chunk).await.map_err(|_| End::Gone)?;
            self.pace.sent = Instant::now();
        }
        Ok(())
    }

    /// Clients that lose a server together come back one after the other.
    fn retry(&self) -> Duration {
        let spread_ms = u64::try_from(RETRY_SPREAD.as_millis()).unwrap_or(1).max(1);
        RETRY_MIN + Duration::from_millis(self.session.0.wrapping_mul(617) % spread_ms)
    }
}
