//! The store: a journal that acknowledges, sled that is read, snapshots in files. Start from [`SledStore`].
//!
//! Four threads carry a record: the committer makes it durable in the journal, the applier puts it into
//! sled, another makes sled durable, the archiver packs journal files that sled no longer needs. A few workers
//! serve reads.

mod applier;
mod backlog;
mod check;
mod committer;
mod lost;
mod open;
mod options;
mod queue;
mod read;
mod replay;
mod snapshots;
mod workers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, future};
use mapweave_proto::{DocId, MapName, Seq};

use crate::catalog::{Catalog, check_append};
use crate::health::{HealthBoard, HealthWatch};
use crate::journal::{Files, Mark};
use crate::log::{Appended, Permit, Snapshot, UpdateLog};
use crate::sled_log::Index;
use crate::{
    Exchange, Head, Health, Identity, MapEntry, NewRecord, Record, RecoveryReport, Report,
    StoreError,
};
use backlog::Backlog;
use queue::{Queue, Request};
use workers::Workers;

pub use options::{Access, Clock, StoreOptions};

/// A store in a folder of this machine.
///
/// Dropping it closes it as [`SledStore::close`] does, without saying what went wrong.
#[derive(Debug)]
pub struct SledStore {
    core: Arc<Core>,
    workers: Arc<Workers>,
    threads: Mutex<Threads>,
}

#[derive(Debug, Default)]
struct Threads {
    committer: Option<JoinHandle<()>>,
    applier: Option<JoinHandle<()>>,
    checkpoints: Option<JoinHandle<()>>,
    archiver: Option<JoinHandle<()>>,
    lock: Option<File>,
}

/// What the threads of a store share.
#[derive(Debug)]
pub(crate) struct Core {
    root: PathBuf,
    options: StoreOptions,
    files: Files,
    identity: Mutex<Identity>,
    health: HealthBoard,
    durable: RwLock<Durable>,
    queue: Arc<Queue>,
    backlog: Backlog,
    /// Gone once the store is closed.
    index: RwLock<Option<Arc<Index>>>,
    closing: AtomicBool,
    /// Number of the last frame when the store was opened.
    opened_lsn: u64,
}

/// What is durable.
#[derive(Debug)]
struct Durable {
    catalog: Catalog,
    end: Mark,
}

impl Core {
    // Locks are held for single statements that cannot leave what they guard half changed, so a panic
    // elsewhere does not spoil it.
    fn durable(&self) -> RwLockReadGuard<'_, Durable> {
        self.durable.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable_mut(&self) -> RwLockWriteGuard<'_, Durable> {
        self.durable.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> Result<Arc<Index>, StoreError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.clone().ok_or(StoreError::Closed)
    }

    fn identity(&self) -> Identity {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The error that an append gets while the store is not well.
    fn refusal(&self) -> Option<StoreError> {
        match self.health.get() {
            Health::Ok => None,
            Health::ReadOnly(why) => Some(StoreError::ReadOnly { why }),
            Health::Poisoned(why) => Some(StoreError::Poisoned { why }),
        }
    }
}

impl SledStore {
    /// Opens the store in folder `root`, or makes it where [`StoreOptions::create`] says so, and recovers
    /// whatever a crash or a damaged disk left. The report says what that took.
    ///
    /// After a clean stop this reads no logs. After a crash it reads what sled did not have yet. Where sled
    /// is no good it is set aside and rebuilt from archive and journal, which takes a while.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it, [`StoreError::Io`] where the machine fails,
    /// [`StoreError::Version`] for files of a later version. Damage is no error here: it is in the report.
    pub fn open(root: &Path, options: StoreOptions) -> Result<(Self, RecoveryReport), StoreError> {
        let opened = open::open(root, options)?;
        let core = Arc::new(opened.core);
        let workers = Arc::new(Workers::start()?);
        let mut threads = Threads {
            lock: Some(opened.lock),
            ..Threads::default()
        };
        if let Some(journal) = opened.journal {
            let (archiver, below) = applier::start_archiver(&core)?;
            threads.archiver = Some(archiver);
            let (checkpoints, ask) = applier::start_checkpoints(&core, below)?;
            threads.checkpoints = Some(checkpoints);
            threads.applier = Some(applier::start(&core, ask)?);
            threads.committer = Some(committer::start(&core, journal)?);
        }
        Ok((
            Self {
                core,
                workers,
                threads: Mutex::new(threads),
            },
            opened.report,
        ))
    }

    /// Stops taking appends, finishes those that were queued, brings sled up to date and lets go of the folder.
    ///
    /// # Errors
    /// The store was poisoned, or became so. What was acknowledged is safe all the same.
    pub fn close(self) -> Result<(), StoreError> {
        self.stop();
        match self.core.health.get() {
            Health::Poisoned(why) => Err(StoreError::Poisoned { why }),
            Health::Ok | Health::ReadOnly(_) => Ok(()),
        }
    }

    fn stop(&self) {
        let mut threads = self.threads();
        self.core.closing.store(true, Ordering::Release);
        self.core.queue.close();
        join(threads.committer.take());
        self.core.backlog.close();
        join(threads.applier.take());
        join(threads.checkpoints.take());
        join(threads.archiver.take());
        self.workers.stop();
        let index = self
            .core
            .index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(index) = index.and_then(Arc::into_inner) {
            index.close();
            self.refresh_index();
        }
        if let Some(lock) = threads.lock.take() {
            // Said aloud: a child process that is being started may hold a copy of the handle for an instant.
            let _ = lock.unlock();
        }
        self.core.health.close();
    }

    /// sled notes where it stands only when it opens; without a note from the end of a busy life, its next
    /// open goes over all that it wrote. Opened once more now, the next open is fast. Failing does no harm.
    fn refresh_index(&self) {
        let core = &self.core;
        let written = core.durable().end.lsn.saturating_sub(core.opened_lsn);
        if written < REFRESH_RECORDS || core.health.get() != Health::Ok {
            return;
        }
        let options = &core.options;
        match Index::open(
            &core.root.join("sled"),
            options.cache_bytes,
            options.index_open_limit,
        ) {
            Ok((index, _)) => index.close(),
            Err(error) => {
                tracing::warn!(%error, "sled did not open again; the next open checks it")
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a worker, whether or not the future is polled.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let core = Arc::clone(&self.core);
        self.workers.run(move || work(&core))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Records written in one life after which the next open of sled would take noticeably longer.
const REFRESH_RECORDS: u64 = 100_000;

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the store panicked; the next open recovers");
    }
}

impl UpdateLog for SledStore {
    fn append(
        &self,
        doc: DocId,
        records: Vec<NewRecord>,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        if let Some(refusal) = self.core.refusal() {
            return future::ready(Err(refusal)).boxed();
        }
        let bytes = match check_append(&records) {
            Ok(bytes) => bytes,
            Err(error) => return future::ready(Err(error)).boxed(),
        };
        let (reply, answer) = oneshot::channel();
        match self.core.queue.push(Request {
            doc,
            records,
            bytes,
            reply,
        }) {
            Ok(()) => answer
                .map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
                .boxed(),
            Err(error) => future::ready(Err(error)).boxed(),
        }
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'static, Permit> {
        match self.core.queue.room(bytes) {
            Ok(room) => future::ready(Permit::holding(room)).boxed(),
            Err(waits) => waits
                .map(|room| room.map_or_else(|_| Permit::free(), Permit::holding))
                .boxed(),
        }
    }

    fn read_log(
        &self,
        doc: DocId,
        from: Seq,
        to: Seq,
    ) -> BoxStream<'static, Result<Record, StoreError>> {
        read::stream(
            Arc::clone(&self.core),
            Arc::clone(&self.workers),
            doc,
            from,
            to,
        )
    }

    fn head(&self, doc: DocId) -> Result<Option<Head>, StoreError> {
        Ok(self
            .core
            .durable()
            .catalog
            .state(doc)
            .map(|state| state.head.clone()))
    }

    fn put_snapshot(
        &self,
        doc: DocId,
        upto: Seq,
        bytes: Bytes,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.spawn(move |core| snapshots::put(core, doc, upto, &bytes))
    }

    fn snapshot(
        &self,
        doc: DocId,
        at: Option<Seq>,
    ) -> BoxFuture<'static, Result<Option<Snapshot>, StoreError>> {
        self.spawn(move |core| snapshots::newest(core, doc, at))
    }

    fn map(&self, name: &MapName) -> Option<MapEntry> {
        self.core.durable().catalog.by_name(name)
    }

    fn maps(&self) -> Vec<MapEntry> {
        self.core.durable().catalog.entries()
    }

    fn verify(&self, doc: Option<DocId>) -> BoxFuture<'static, Result<Report, StoreError>> {
        self.spawn(move |core| check::verify(core, doc))
    }

    fn health(&self) -> Health {
        self.core.health.get()
    }

    fn watch_health(&self) -> HealthWatch {
        self.core.health.watch()
    }

    fn identity(&self) -> Identity {
        self.core.identity()
    }

    fn exchange(&self, doc: DocId) -> Option<Exchange> {
        let store = self.core.identity().store;
        Some(self.core.durable().catalog.state(doc)?.exchange(store, doc))
    }

    fn renew(&self) -> BoxFuture<'static, Result<Identity, StoreError>> {
        self.spawn(open::renew)
    }
}
