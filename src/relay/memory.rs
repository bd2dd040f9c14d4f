//! What outlives a connection and not the process: parts of large batches, how far logs were taken, what was looked into.
//! All of it only saves work.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use mapweave_proto::DocId;
use mapweave_storage::Identity;

use super::link::Progress;

/// Most bytes of parts that are kept; the oldest go first.
const PARTS_BYTES_MAX: usize = 128 << 20;

/// Most stores of which it is kept how far they have come.
const STORES_MAX: usize = 1_024;

/// Most maps that are known to have been looked into.
const VERIFIED_MAX: usize = 1 << 17;

type StoreLife = ([u8; 16], u64);

#[derive(Default)]
pub(super) struct Memory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    parts: VecDeque<([u8; 16], BytesMut)>,
    progress: HashMap<StoreLife, Progress>,
    verified: HashSet<(StoreLife, DocId)>,
}

impl Memory {
    /// What is here of the batch `hash`.
    pub(super) fn take_part(&self, hash: &[u8; 16]) -> BytesMut {
        let parts = &mut self.lock().parts;
        let at = parts.iter().position(|(of, _)| of == hash);
        let found = at.and_then(|at| parts.remove(at));
        found.map_or_else(BytesMut::new, |(_, bytes)| bytes)
    }

    /// Keeps the beginning of the batch `hash`.
    pub(super) fn keep_part(&self, hash: [u8; 16], bytes: BytesMut) {
        let parts = &mut self.lock().parts;
        parts.retain(|(of, _)| *of != hash);
        parts.push_back((hash, bytes));
        let sum = |parts: &VecDeque<([u8; 16], BytesMut)>| -> usize {
            parts.iter().map(|(_, bytes)| bytes.len()).sum()
        };
        while sum(parts) > PARTS_BYTES_MAX && parts.pop_front().is_some() {}
    }

    pub(super) fn progress(&self, peer: Identity) -> Progress {
        let life = (peer.store, peer.epoch);
        self.lock().progress.get(&life).cloned().unwrap_or_default()
    }

    pub(super) fn keep_progress(&self, peer: Identity, progress: Progress) {
        let kept = &mut self.lock().progress;
        if kept.len() >= STORES_MAX {
            kept.clear();
        }
        kept.insert((peer.store, peer.epoch), progress);
    }

    /// Whether the map of that store is looked into for the first time; it is not from then on.
    pub(super) fn verify(&self, peer: Identity, theirs: DocId) -> bool {
        let verified = &mut self.lock().verified;
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(((peer.store, peer.epoch), theirs))
    }

    /// Held for a few steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
