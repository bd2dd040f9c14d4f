//! Problems as they come and go, for one listener: the index is asked what differs, some time after something was
//! edited.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::super::features::{ToldProblems, problems_since};
use super::PROBLEMS_EVERY;
use crate::index::Moment;
use crate::room::{RequestError, RoomHandle};

/// What a listener was told of problems, and what is being looked for.
pub struct Watching {
    told: Option<Moment>,
    /// Whether something may differ from what was told.
    edited: bool,
    due: Instant,
    looking: Option<BoxFuture<'static, Result<ToldProblems, RequestError>>>,
}

impl Default for Watching {
    /// Nothing was told: all is to be, soon.
    fn default() -> Self {
        Self {
            told: None,
            edited: true,
            due: Instant::now(),
            looking: None,
        }
    }
}

impl Watching {
    /// The map was edited.
    pub fn note_edits(&mut self) {
        if !self.edited {
            self.edited = true;
            // Those that belong together come within a moment, and one look finds them all.
            self.due = Instant::now() + PROBLEMS_EVERY;
        }
    }

    /// What to tell next, if a look has found anything; never completes while nothing is edited. The looking itself
    /// happens off the room's task, in the map's index, which reads only what was edited.
    ///
    /// # Cancel safety
    /// Safe: a look that was begun goes on with the next call.
    pub async fn next(&mut self, room: &RoomHandle) -> Option<Value> {
        if self.looking.is_none() {
            if !self.edited {
                return std::future::pending().await;
            }
            sleep_until(self.due).await;
            self.edited = false;
            let (room, since) = (room.clone(), self.told.clone());
            let looking = async move {
                let found = room.features(move |index| problems_since(index, since.as_ref()));
                found.await
            };
            self.looking = Some(looking.boxed());
        }
        let found = match &mut self.looking {
            Some(looking) => looking.await,
            None => return None,
        };
        self.looking = None;
        match found {
            Ok(ToldProblems { upto, data, more }) => {
                self.told = Some(upto);
                self.again(more, Instant::now());
                data
            }
            // The room may be ending, which it says itself; or the map changed too fast.
            Err(_) => {
                self.again(true, Instant::now() + PROBLEMS_EVERY);
                None
            }
        }
    }

    fn again(&mut self, again: bool, due: Instant) {
        if again {
            self.edited = true;
            self.due = due;
        }
    }
}
