//! A room's records on their way into the log: first in line for room in the store's queue, then in that queue.
//!
//! A room whose records wait for room takes nothing more in. So what all rooms have waiting is bounded by the store's
//! queue and one turn of each room, and no thread is ever blocked. Start at [`Appending::push`].

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use mapweave_proto::DocId;
use mapweave_storage::{Appended, NewRecord, Permit, StoreError, UpdateLog};

/// Appends of one map, in their order.
pub(crate) struct Appending {
    doc: DocId,
    store: Arc<dyn UpdateLog>,
    waiting: Option<(BoxFuture<'static, Permit>, Vec<NewRecord>)>,
    queued: FuturesOrdered<BoxFuture<'static, Step>>,
}

/// What became of records.
pub(crate) enum Step {
    /// Those that waited are in the store's queue now.
    Queued,
    /// So many, the oldest, are durable, or the store has failed.
    Done(u64, Result<Appended, StoreError>),
}

impl Appending {
    pub(crate) fn new(doc: DocId, store: Arc<dyn UpdateLog>) -> Self {
        Self {
            doc,
            store,
            waiting: None,
            queued: FuturesOrdered::new(),
        }
    }

    /// Hands records to the store, as soon as that has room for them.
    pub(crate) fn push(&mut self, records: Vec<NewRecord>) {
        if let Some((_, waiting)) = &mut self.waiting {
            return waiting.extend(records);
        }
        if records.is_empty() {
            return;
        }
        let bytes = records.iter().map(|record| record.payload.len()).sum();
        let mut permit = self.store.reserve(bytes);
        match (&mut permit).now_or_never() {
            Some(permit) => self.queue(permit, records),
            None => self.waiting = Some((permit, records)),
        }
    }

    /// Whether records wait for room: push no more.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none() && self.queued.is_empty()
    }

    /// The next step of what is on its way; never where nothing is.
    ///
    /// # Cancel safety
    /// Safe: records keep their places.
    pub(crate) async fn next(&mut self) -> Step {
        let room = async {
            match &mut self.waiting {
                Some((permit, _)) => permit.await,
                None => std::future::pending().await,
            }
        };
        let permit = tokio::select! {
            biased;
            Some(done) = self.queued.next() => return done,
            permit = room => permit,
        };
        if let Some((_, records)) = self.waiting.take() {
            self.queue(permit, records);
        }
        Step::Queued
    }

    fn queue(&mut self, permit: Permit, records: Vec<NewRecord>) {
        let count = records.len() as u64;
        let bytes = records
            .iter()
            .map(|record| record.payload.len() as u64)
            .sum();
        let begun = Instant::now();
        let appending = self.store.append(self.doc, records);
        drop(permit);
        let done = appending.map(move |appended| {
            if appended.is_ok() {
                metrics::counter!("mapweave_appended_records_total").increment(count);
                metrics::counter!("mapweave_appended_bytes_total").increment(bytes);
                metrics::histogram!("mapweave_append_seconds").record(begun.elapsed());
            }
            Step::Done(count, appended)
        });
        self.queued.push_back(done.boxed());
    }
}
