//! A few threads for reads, snapshots and checks: work that waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use futures_core::future::BoxFuture;
use futures_util::FutureExt;

use crate::StoreError;

/// How many calls are served at once. A check of the whole store keeps one of them busy.
const WORKERS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Workers {
    jobs: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    pub(crate) fn start() -> Result<Self, StoreError> {
        let (jobs, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for number in 0..WORKERS {
            let receiver = Arc::clone(&receiver);
            let thread = thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || work(&receiver));
            threads.push(
                thread.map_err(|e| StoreError::io("start a thread for", Path::new("reads"), e))?,
            );
        }
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            threads: Mutex::new(threads),
        })
    }

    /// Queues `work` at once; the future only waits for its result.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                Err(StoreError::Index {
                    what: "a read panicked".into(),
                })
            });
            let _ = reply.send(result);
        });
        if let Some(jobs) = &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = jobs.send(job);
        }
        async move { answer.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    /// Finishes what is queued and ends the threads.
    pub(crate) fn stop(&self) {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let me = thread::current().id();
        for thread in threads {
            // The last handle of a store may be dropped on one of its own workers.
            if thread.thread().id() != me && thread.join().is_err() {
                tracing::error!("a worker of the store panicked");
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
