//! The one thread that acknowledges: takes everything that waits, places it, writes it, syncs once, answers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_channel::oneshot;

use super::Core;
use super::backlog::Batch;
use super::queue::{Request, Taken};
use crate::catalog::Draft;
use crate::journal::{Journal, Mark, Place, Placed, WriteError};
use crate::log::Appended;
use crate::{Health, Record, StoreError};

type Reply = oneshot::Sender<Result<Appended, StoreError>>;

pub(crate) fn start(core: &Arc<Core>, journal: Journal) -> Result<JoinHandle<()>, StoreError> {
    let shared = Arc::clone(core);
    let body = move || {
        let mut committer = Committer {
            core: &shared,
            journal,
        };
        if catch_unwind(AssertUnwindSafe(|| committer.run())).is_err() {
            let why = "the committer panicked";
            committer.poison(why.into(), Vec::new());
            // What it had in hand never comes: nobody may wait for it.
            shared
                .backlog
                .fail(StoreError::Poisoned { why: why.into() });
            // Without a committer nobody would ever take from the queue.
            shared.queue.close();
            committer.refuse_queued();
        }
    };
    let thread = thread::Builder::new()
        .name("store-commit".into())
        .spawn(body);
    thread.map_err(|e| StoreError::io("start a thread for", &core.root, e))
}

struct Committer<'a> {
    core: &'a Core,
    journal: Journal,
}

impl Committer<'_> {
    fn run(&mut self) {
        loop {
            match self.core.queue.take(self.patience()) {
                Taken::Requests(requests) => self.commit(requests),
                Taken::Idle => self.try_to_heal(),
                Taken::Closed => return,
            }
        }
    }

    /// While the disk refuses writes the queue is left now and then to look again.
    fn patience(&self) -> Option<Duration> {
        matches!(self.core.health.get(), Health::ReadOnly(_))
            .then_some(self.core.options.probe_interval)
    }

    fn commit(&mut self, requests: Vec<Request>) {
        if let Some(refusal) = self.core.refusal() {
            return refuse(requests.into_iter().map(|request| request.reply), &refusal);
        }
        if let Err(error) = self.core.backlog.wait_for_room() {
            return self.poison(error.to_string(), replies(requests));
        }
        if let Some(why) = self.shortage(self.core.options.free_bytes_min) {
            return self.turn_read_only(why, replies(requests));
        }
        let (appends, replies, draft) = self.place(requests);
        if appends.is_empty() {
            return;
        }
        match self.journal.write_placed(&appends) {
            Ok(places) => self.publish(appends, places, draft, replies),
            Err(WriteError::Refused(error)) => {
                self.turn_read_only(format!("the disk refused a write ({error})"), replies);
            }
            Err(WriteError::Poisoned(error)) => {
                self.poison(format!("a sync failed ({error})"), replies)
            }
        }
    }

    /// Gives the records their places; appends that cannot be are answered here.
    fn place(&self, requests: Vec<Request>) -> (Vec<Vec<Record>>, Vec<Reply>, Draft) {
        let durable = self.core.durable();
        let mut draft = Draft::new(
            &durable.catalog,
            self.core.identity(),
            self.core.options.clock.now_ms(),
        );
        let (mut appends, mut replies) = (Vec::new(), Vec::new());
        for Request {
            doc,
            records,
            reply,
            ..
        } in requests
        {
            match draft.place(&durable.catalog, doc, records) {
                Ok(records) => {
                    appends.push(records);
                    replies.push(reply);
                }
                Err(error) => refuse([reply].into_iter(), &error),
            }
        }
        (appends, replies, draft)
    }

    /// Everything is durable: readers may see it, callers may know it, sled may have it. In this order.
    fn publish(
        &self,
        appends: Vec<Vec<Record>>,
        places: Vec<(Place, Mark)>,
        draft: Draft,
        replies: Vec<Reply>,
    ) {
        let answers: Vec<_> = appends.iter().map(|records| answer(records)).collect();
        let end = self.journal.end();
        let states: BTreeMap<_, _> = draft.into_changed().into_iter().collect();
        let records = appends.into_iter().flatten().zip(places);
        let records = records
            .map(|(record, (place, end))| Placed { record, place, end })
            .collect();
        {
            let mut durable = self.core.durable_mut();
            for (doc, state) in &states {
                // Snapshots are stored, and damage is found, beside the committer; a draft may not know yet.
                let mut state = state.clone();
                if let Some(known) = durable.catalog.state(*doc).map(|known| &known.head) {
                    state.head.newest_snapshot =
                        state.head.newest_snapshot.max(known.newest_snapshot);
                    state.head.damaged = state.head.damaged.or_else(|| known.damaged.clone());
                }
                durable.catalog.put(*doc, state);
            }
            durable.end = end;
        }
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Nobody may be waiting any more; the record is stored all the same.
            let _ = reply.send(answer);
        }
        // A reader who comes before this waits for sled to reach `end`.
        self.core.backlog.push(Batch {
            records,
            states,
            end,
        });
    }

    fn shortage(&self, needed: u64) -> Option<String> {
        let free = self.core.options.disk.free_bytes(&self.core.root).ok()?;
        (free < needed)
            .then(|| format!("the disk has {free} bytes left, the store needs {needed} to go on"))
    }

    fn turn_read_only(&self, why: String, replies: Vec<Reply>) {
        tracing::error!(%why, "the store takes no writes until the disk does");
        self.core.health.set(Health::ReadOnly(why.clone()));
        refuse(replies.into_iter(), &StoreError::ReadOnly { why });
        self.refuse_queued();
    }

    fn poison(&self, why: String, replies: Vec<Reply>) {
        tracing::error!(%why, "the store must be closed and opened again");
        self.core.health.set(Health::Poisoned(why.clone()));
        refuse(replies.into_iter(), &StoreError::Poisoned { why });
        self.refuse_queued();
    }

    /// What was queued behind an append that failed may rest on it, so it fails as well.
    fn refuse_queued(&self) {
        if let Some(refusal) = self.core.refusal() {
            refuse(replies(self.core.queue.drain()).into_iter(), &refusal);
        }
    }

    fn try_to_heal(&self) {
        // A little more room than the low-water mark, so that the health does not flutter.
        let needed = self
            .core
            .options
            .free_bytes_min
            .saturating_add(self.core.options.free_bytes_min / 4);
        if self.shortage(needed).is_some() || !matches!(self.core.health.get(), Health::ReadOnly(_))
        {
            return;
        }
        if self.journal.probe().is_ok() {
            tracing::info!("the disk takes writes again");
            self.core.health.set(Health::Ok);
        }
    }
}

fn answer(records: &[Record]) -> Result<Appended, StoreError> {
    match (records.first(), records.last()) {
        (Some(first), Some(last)) => Ok(Appended {
            first: first.seq,
            last: last.seq,
            chain: last.chain,
        }),
        _ => Err(StoreError::Empty),
    }
}

fn replies(requests: Vec<Request>) -> Vec<Reply> {
    requests.into_iter().map(|request| request.reply).collect()
}

fn refuse(replies: impl Iterator<Item = Reply>, error: &StoreError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
