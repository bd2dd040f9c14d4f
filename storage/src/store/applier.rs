//! The threads behind the journal: one brings sled up to it, one makes sled durable now and then, one packs
//! journal files that sled has no more need of.
//!
//! Making sled durable waits for a disk; the applier goes on meanwhile, so that appends that wait for room in
//! the backlog never wait for that disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Core;
use super::backlog::{Batch, Work, bytes_of};
use crate::journal::Mark;
use crate::sled_log::Index;
use crate::{Health, StoreError};

/// Bytes put into sled after which it is made durable before its time.
const CHECKPOINT_BYTES: usize = 8 << 20;

/// Records put into sled before their room in the backlog is given back: an append that waits for room waits
/// for these few at most, not for the whole portion.
const PIECE_RECORDS: usize = 64;

pub(crate) fn start(
    core: &Arc<Core>,
    checkpoints: SyncSender<Mark>,
) -> Result<JoinHandle<()>, StoreError> {
    let index = core.index()?;
    let shared = Arc::clone(core);
    let body = move || {
        let mut applier = Applier {
            core: &shared,
            index,
            checkpoints,
            pending: None,
            pending_bytes: 0,
            since: Instant::now(),
        };
        if let Err(error) = applier.run() {
            give_up(&shared, error);
        }
    };
    spawn(core, "store-apply", body)
}

fn spawn(
    core: &Core,
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let thread = thread::Builder::new().name(name.into()).spawn(body);
    thread.map_err(|e| StoreError::io("start a thread for", &core.root, e))
}

fn give_up(core: &Core, error: StoreError) {
    tracing::error!(%error, "sled takes nothing any more; the journal has everything");
    core.health.set(Health::Poisoned(error.to_string()));
    core.backlog.fail(error);
}

struct Applier<'a> {
    core: &'a Core,
    index: Arc<Index>,
    checkpoints: SyncSender<Mark>,
    /// Up to where sled has the journal, which no checkpoint says yet.
    pending: Option<Mark>,
    pending_bytes: usize,
    since: Instant,
}

impl Applier<'_> {
    fn run(&mut self) -> Result<(), StoreError> {
        loop {
            match self.core.backlog.take(self.patience()) {
                Work::Batch(batch) => self.apply(batch)?,
                Work::Idle => {}
                Work::Closed => {
                    if let Some(mark) = self.pending.take() {
                        // Where nobody takes it, it was said why.
                        let _ = self.checkpoints.send(mark);
                    }
                    return Ok(());
                }
            }
            let is_due = self.pending_bytes >= CHECKPOINT_BYTES || self.patience().is_zero();
            if is_due && !self.checkpoint() {
                return Ok(());
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

    /// Records first, then the heads that reach over them.
    fn apply(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        // Neighbours in sled one after the other.
        batch
            .records
            .sort_unstable_by_key(|placed| (placed.record.doc, placed.record.seq));
        for piece in batch.records.chunks(PIECE_RECORDS) {
            self.index.put(piece, &BTreeMap::new())?;
            let bytes = bytes_of(piece);
            self.core.backlog.give_back(bytes);
            self.pending_bytes += bytes;
        }
        self.index.put(&[], &batch.states)?;
        self.core.backlog.applied(batch.end.lsn);
        if self.pending.replace(batch.end).is_none() {
            self.since = Instant::now();
        }
        Ok(())
    }

    /// Asks for a checkpoint, later again where one is being made. Says whether there is anyone to ask.
    fn checkpoint(&mut self) -> bool {
        let Some(mark) = self.pending else {
            return true;
        };
        self.since = Instant::now();
        match self.checkpoints.try_send(mark) {
            Ok(()) => {
                self.pending = None;
                self.pending_bytes = 0;
                true
            }
            Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Starts the thread that makes sled durable up to the places sent to it, and then tells `below` which
/// journal files sled needs no more.
pub(crate) fn start_checkpoints(
    core: &Arc<Core>,
    below: Sender<u64>,
) -> Result<(JoinHandle<()>, SyncSender<Mark>), StoreError> {
    let index = core.index()?;
    let shared = Arc::clone(core);
    let (sender, receiver) = mpsc::sync_channel::<Mark>(1);
    let body = move || {
        for mark in receiver {
            if let Err(error) = index.checkpoint(mark) {
                return give_up(&shared, error);
            }
            // The archiver may have ended over a failure; files then stay unpacked.
            let _ = below.send(mark.file);
        }
    };
    Ok((spawn(core, "store-checkpoint", body)?, sender))
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
    Ok((spawn(core, "store-archive", body)?, sender))
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
