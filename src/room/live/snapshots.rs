//! When a snapshot is due, and its way to the store.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mapweave_proto::Seq;
use mapweave_storage::StoreError;

use super::{End, Reply, Room, off_the_others};
use crate::room::actor::RequestError;
use crate::room::appending::Step;
use crate::room::container::{Beside, Held, StoredState};
use crate::room::summary::summarize;

/// A snapshot is written when the log since the last has this share of its size, so that a large map is not
/// written again for every few edits …
const SNAPSHOT_SHARE: u64 = 4;

/// … or this many records, which take tens of milliseconds to replay.
const SNAPSHOT_RECORDS_MAX: u64 = 10_000;

/// A map that is unloaded with fewer records than this since its snapshot needs no new one.
const SNAPSHOT_RECORDS_MIN: u64 = 16;

/// The snapshot of a room that is on its way, if one is.
#[derive(Default)]
pub(crate) struct SnapshotWriter {
    /// Taken, and waiting until what it contains is durable.
    taken: Option<(Seq, Bytes)>,
    writing: Option<(Seq, BoxFuture<'static, Result<(), StoreError>>)>,
    pub(super) replies: Vec<Reply<Seq>>,
    /// Bytes of the last one, and so about how long the document takes to encode.
    pub(super) size: u64,
}

impl Room {
    pub(super) fn snapshot_is_due(&self) -> bool {
        let (records, bytes) = self.core.since_snapshot();
        let long = records >= self.options.snapshot_records || bytes >= self.options.snapshot_bytes;
        long && (bytes >= self.snapshot.size / SNAPSHOT_SHARE || records >= SNAPSHOT_RECORDS_MAX)
    }

    pub(super) fn take_snapshot(&mut self) {
        if self.snapshot.taken.is_some() || self.snapshot.writing.is_some() {
            return;
        }
        let replica = self.core.replica();
        let size = self.snapshot.size.max(self.core.since_snapshot().1);
        let encoded = off_the_others(size, || {
            let summary = summarize(replica.doc());
            let held = replica.held_since().map(|(update, since_ms)| Held {
                update: update.clone(),
                since_ms,
            });
            let held = held.collect();
            let beside = Beside::of(replica);
            replica.encode_state().map(|state| {
                StoredState {
                    state,
                    held,
                    beside,
                    summary,
                }
                .encode()
            })
        });
        match encoded {
            Ok(bytes) => {
                let (upto, _) = self.core.positions();
                self.snapshot.size = bytes.len() as u64;
                self.snapshot.taken = Some((upto, bytes));
                self.core.snapshot_taken();
                self.write_taken_snapshot();
            }
            Err(error) => {
                tracing::error!(doc = %self.doc, %error, "no snapshot could be taken");
                let why = error.to_string();
                self.answer_snapshot(&Err(RequestError::Unavailable { why }));
            }
        }
    }

    pub(super) fn write_taken_snapshot(&mut self) {
        let (_, durable) = self.core.positions();
        if let Some((upto, bytes)) = self.snapshot.taken.take_if(|(upto, _)| *upto <= durable) {
            if upto == Seq::ZERO {
                return self.answer_snapshot(&Ok(upto));
            }
            self.snapshot.writing = Some((upto, self.store.put_snapshot(self.doc, upto, bytes)));
        }
    }

    pub(crate) fn snapshot_stored(&mut self, (upto, stored): (Seq, Result<(), StoreError>)) {
        self.snapshot.writing = None;
        // The log has everything a snapshot has: one less costs time at the next load, nothing else.
        let answer = stored.map(|()| upto).map_err(|error| {
            tracing::warn!(doc = %self.doc, %error, "a snapshot could not be stored");
            RequestError::Unavailable {
                why: error.to_string(),
            }
        });
        self.answer_snapshot(&answer);
    }

    pub(super) fn answer_snapshot(&mut self, answer: &Result<Seq, RequestError>) {
        for reply in self.snapshot.replies.drain(..) {
            let _ = reply.send(answer.clone());
        }
    }

    pub(crate) fn is_writing_snapshot(&self) -> bool {
        self.snapshot.taken.is_some() || self.snapshot.writing.is_some()
    }

    /// Waits for the log, then stores a snapshot if it would help the next load.
    pub(crate) async fn finish(&mut self) -> Result<(), End> {
        while !self.appending.is_empty() {
            if let Step::Done(records, appended) = self.appending.next().await {
                self.appended(0, records, appended)?;
            }
        }
        let (records, bytes) = self.core.since_snapshot();
        if records >= SNAPSHOT_RECORDS_MIN || bytes >= self.options.snapshot_bytes {
            self.take_snapshot();
        }
        while self.snapshot.writing.is_some() {
            let stored = self.snapshot.written().await;
            self.snapshot_stored(stored);
        }
        Ok(())
    }
}

impl SnapshotWriter {
    /// Nothing is on its way, and the last one had `size` bytes.
    pub(super) fn after(size: u64) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// Completes when a snapshot that is being written is stored or not; never where none is.
    ///
    /// # Cancel safety
    /// Safe: the writing goes on by itself and is kept for the next call.
    pub(crate) async fn written(&mut self) -> (Seq, Result<(), StoreError>) {
        match &mut self.writing {
            Some((upto, writing)) => (*upto, writing.await),
            None => std::future::pending().await,
        }
    }
}
