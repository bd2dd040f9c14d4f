//! How the connections to other stores stand, for people and metrics. Start at [`Board`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mapweave_storage::Identity;
use serde::Serialize;

use super::link::Standing;
use crate::time::rfc3339_ms;

/// Most maps that are told to wait, with their reasons.
const WAITING_TOLD_MAX: usize = 100;

/// Which end opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// This one did: to head office.
    Upstream,
    /// The other did.
    Downstream,
}

/// A connection to another store, as `GET /api/v1/upstream` tells it.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionStatus {
    /// Which end opened it.
    pub way: Way,
    /// The address of head office, or the user that the relay came as.
    pub with: String,
    /// Whether it is there now.
    pub connected: bool,
    /// Id of the other store, once it has said so.
    pub store: Option<String>,
    /// Since when it is there, or is not.
    pub since: String,
    /// When something was last heard.
    pub last_contact: Option<String>,
    /// Maps that both ends exchange.
    pub maps: usize,
    /// Records of this store that the other lacks, about; 0 while none is known to be missing.
    pub behind_out: u64,
    /// Records of the other store that this one lacks, about.
    pub behind_in: u64,
    /// Whether both ends have all of each other's.
    pub level: bool,
    /// Why it is not there, or was last lost.
    pub problem: Option<String>,
    /// Maps that are not exchanged for now.
    pub waiting: Vec<WaitingMap>,
}

/// A map that is not exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingMap {
    /// Its name.
    pub map: String,
    /// Why.
    pub why: String,
}

/// All connections of a process.
#[derive(Clone, Default)]
pub struct Board {
    posts: Arc<Mutex<Posts>>,
}

#[derive(Default)]
struct Posts {
    next: u64,
    all: BTreeMap<u64, ConnectionStatus>,
}

/// A connection's place on the board, given back when dropped.
pub struct Post {
    board: Board,
    number: u64,
}

impl Board {
    /// A place for a connection that is not there yet.
    pub fn post(&self, way: Way, with: &str) -> Post {
        let mut posts = self.lock();
        posts.next += 1;
        let number = posts.next;
        let status = ConnectionStatus {
            way,
            with: with.to_owned(),
            connected: false,
            store: None,
            since: now(),
            last_contact: None,
            maps: 0,
            behind_out: 0,
            behind_in: 0,
            level: false,
            problem: None,
            waiting: Vec::new(),
        };
        posts.all.insert(number, status);
        Post {
            board: self.clone(),
            number,
        }
    }

    /// How all connections stand, upstream first.
    pub fn all(&self) -> Vec<ConnectionStatus> {
        let mut all: Vec<_> = self.lock().all.values().cloned().collect();
        all.sort_by_key(|status| status.way);
        all
    }

    /// Held for a few steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Posts> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Post {
    /// The socket is open.
    pub(super) fn opened(&self) {
        self.change(|status| {
            (status.connected, status.since) = (true, now());
            status.problem = None;
        });
    }

    /// How it stands now; `heard_ms_ago`: when something was last heard.
    pub(super) fn stands(&self, peer: Option<Identity>, standing: &Standing, heard_ms_ago: u64) {
        let store = peer.map(|peer| uuid::Uuid::from_bytes(peer.store).to_string());
        let waiting = standing.waiting.iter().take(WAITING_TOLD_MAX);
        let waiting = waiting.map(|(map, why)| WaitingMap {
            map: map.as_str().to_owned(),
            why: why.clone(),
        });
        let waiting = waiting.collect();
        self.change(|status| {
            (status.store, status.last_contact) = (store, Some(ago(heard_ms_ago)));
            (status.maps, status.level) = (standing.maps, standing.level);
            (status.behind_out, status.behind_in) = (standing.behind_out, standing.behind_in);
            status.waiting = waiting;
        });
    }

    /// The connection is over, or was not made.
    pub(super) fn lost(&self, why: String) {
        self.change(|status| {
            if status.connected {
                status.since = now();
            }
            (status.connected, status.level) = (false, false);
            status.problem = Some(why);
        });
    }

    fn change(&self, change: impl FnOnce(&mut ConnectionStatus)) {
        if let Some(status) = self.board.lock().all.get_mut(&self.number) {
            change(status);
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.board.lock().all.remove(&self.number);
    }
}

fn now() -> String {
    ago(0)
}

fn ago(ms: u64) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = since.map_or(0, |since| since.as_millis() as u64);
    rfc3339_ms(now_ms.saturating_sub(ms))
}
