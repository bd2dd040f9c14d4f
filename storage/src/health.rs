//! Whether a store takes writes, and a way to hear of changes without asking.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

/// Whether the store accepts writes, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ok,
    /// The disk refuses writes (it is full, say). Becomes [`Health::Ok`] by itself when it takes them again.
    ReadOnly(String),
    /// A sync failed, or the store's own threads did: for good. The process must exit and recover.
    Poisoned(String),
}

/// The present health, and the tasks that wait for another.
#[derive(Debug, Clone)]
pub(crate) struct HealthBoard(Arc<Mutex<Board>>);

#[derive(Debug)]
struct Board {
    health: Health,
    version: u64,
    closed: bool,
    waiting: Vec<Waker>,
}

impl HealthBoard {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Board {
            health: Health::Ok,
            version: 1,
            closed: false,
            waiting: Vec::new(),
        })))
    }

    pub(crate) fn get(&self) -> Health {
        lock(&self.0).health.clone()
    }

    /// Puts up `health`. What is poisoned stays so.
    pub(crate) fn set(&self, health: Health) {
        self.change(|board| {
            if board.health != health && !matches!(board.health, Health::Poisoned(_)) {
                board.health = health;
                board.version += 1;
            }
        });
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.change(|board| board.closed = true);
    }

    pub(crate) fn watch(&self) -> HealthWatch {
        HealthWatch {
            board: Arc::clone(&self.0),
            seen: 0,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Board)) {
        let waiting = {
            let mut board = lock(&self.0);
            change(&mut board);
            std::mem::take(&mut board.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The health now, then after every change the newest one; ends when the store is closed.
/// Changes that follow each other faster than they are read are seen as one.
#[derive(Debug)]
pub struct HealthWatch {
    board: Arc<Mutex<Board>>,
    seen: u64,
}

impl Stream for HealthWatch {
    type Item = Health;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Health>> {
        let this = &mut *self;
        let mut board = lock(&this.board);
        if board.version != this.seen {
            this.seen = board.version;
            return Poll::Ready(Some(board.health.clone()));
        }
        if board.closed {
            return Poll::Ready(None);
        }
        if !board
            .waiting
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            board.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// The board is whole after every statement, so a panic elsewhere while it was held does not spoil it.
fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    #[test]
    fn a_watch_tells_the_present_then_each_change_then_the_end() {
        let board = HealthBoard::new();
        let mut watch = board.watch();
        assert_eq!(watch.next().now_or_never(), Some(Some(Health::Ok)));
        assert_eq!(watch.next().now_or_never(), None);
        board.set(Health::ReadOnly("full".into()));
        assert_eq!(
            watch.next().now_or_never(),
            Some(Some(Health::ReadOnly("full".into())))
        );
        board.set(Health::Poisoned("sync".into()));
        board.set(Health::Ok);
        assert_eq!(
            watch.next().now_or_never(),
            Some(Some(Health::Poisoned("sync".into())))
        );
        board.close();
        assert_eq!(watch.next().now_or_never(), Some(None));
    }
}
