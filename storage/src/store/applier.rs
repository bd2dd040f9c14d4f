//! The thread that brings sled behind the journal, and the one that packs journal files sled has no more
//! need of.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Core;
use super::backlog::{Batch, Work};
use crate::journal::Mark;
use crate::sled_log::Index;
use crate::{Health, StoreError};

/// Bytes put into sled after which it is made durable before its time.
const CHECKPOINT_BYTES: usize = 8 << 20;

pub(crate) fn start(core: &Arc<Core>, below: Sender<u64>) -> Result<JoinHandle<()>, StoreError> {
    let index = core.index()?;
    let shared = Arc::clone(core);
    let body = move || {
        let mut applier = Applier {
            core: &shared,
            index,
            below,
            pending: None,
            pending_bytes: 0,
            since: Instant::now(),
        };
        if let Err(error) = applier.run() {
            tracing::error!(%error, "sled takes nothing any more; the journal has everything");
            shared.health.set(Health::Poisoned(error.to_string()));
            shared.backlog.fail(error);
        }
    };
    let thread = thread::Builder::new()
        .name("store-apply".into())
        .spawn(body);
    thread.map_err(|e| StoreError::io("start a thread for", &core.root, e))
}

struct Applier<'a> {
    core: &'a Core,
    index: Arc<Index>,
    below: Sender<u64>,
    /// Up to where sled has the journal but not durably.
    pending: Option<Mark>,
    pending_bytes: usize,
    since: Instant,
}

impl Applier<'_> {
    fn run(&mut self) -> Result<(), StoreError> {
        loop {
            match self.core.backlog.take(self.patience()) {
                Work::Batch(batch, bytes) => self.apply(&batch, bytes)?,
                Work::Idle => {}
                Work::Closed => return self.checkpoint(),
            }
            if self.pending_bytes >= CHECKPOINT_BYTES || self.patience().is_zero() {
                self.checkpoint()?;
            }
        }
    }

    /// How long until the next checkpoint is due; long where nothing is pending.
    fn patience(&self) -> Duration {
        match self.pending {
            Some(_) => self
                .core
                .options
                .checkpoint_interval
                .saturating_sub(self.since.elapsed()),
            None => Duration::from_secs(3600),
        }
    }

    fn apply(&mut self, batch: &Batch, bytes: usize) -> Result<(), StoreError> {
        self.index.put(&batch.records, &batch.states)?;
        self.core.backlog.applied(batch.end.lsn, bytes);
        if self.pending.replace(batch.end).is_none() {
            self.since = Instant::now();
        }
        self.pending_bytes += bytes;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(mark) = self.pending.take() else {
            return Ok(());
        };
        self.pending_bytes = 0;
        self.index.checkpoint(mark)?;
        // The archiver may have ended over a failure; files then stay unpacked.
        let _ = self.below.send(mark.file);
        Ok(())
    }
}

/// Starts the thread that archives journal files with lower numbers than those sent to it.
pub(crate) fn start_archiver(
    core: &Arc<Core>,
) -> Result<(JoinHandle<()>, Sender<u64>), StoreError> {
    let (sender, receiver) = mpsc::channel();
    // Files of earlier lives: the checkpoint made at open lies behind them.
    let _ = sender.send(core.durable().end.file);
    let shared = Arc::clone(core);
    let body = move || archive(&shared, &receiver);
    let thread = thread::Builder::new()
        .name("store-archive".into())
        .spawn(body);
    Ok((
        thread.map_err(|e| StoreError::io("start a thread for", &core.root, e))?,
        sender,
    ))
}

fn archive(core: &Core, below: &Receiver<u64>) {
    let mut done = 0;
    for below in below {
        // Archiving needs room before it frees any.
        if below <= done || core.health.get() != Health::Ok {
            continue;
        }
        match archive_below(core, below) {
            Ok(()) => done = below,
            Err(error) => {
                tracing::warn!(%error, "a journal file could not be archived; it stays as it is")
            }
        }
    }
}

fn archive_below(core: &Core, below: u64) -> Result<(), StoreError> {
    for id in core.files.journal_ids()?.range(..below) {
        core.files.archive(*id)?;
    }
    Ok(())
}
