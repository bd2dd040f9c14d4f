//! States that are being downloaded: kept for a while so that a download which breaks goes on where it broke, with the
//! same bytes, although the map has moved on.
//!
//! Bounded in bytes and in time; whoever finds its state gone begins anew. Pure but for the lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};

/// A state that nobody has asked for so long is let go. A link that breaks comes back far sooner.
pub const PINNED_FOR: Duration = Duration::from_secs(600);

/// All pinned states together have at most so many bytes; the ones used longest ago go first. What a room keeps anyway
/// is shared with it.
pub const PINNED_BYTES_MAX: usize = 256 << 20;

/// A smaller state comes whole or is asked for again; it is not worth the memory.
pub const PINNED_BYTES_MIN: usize = 64 << 10;

/// What one entry costs beside its bytes, about.
const ENTRY_BYTES: usize = 512;

/// The bytes of a state and what they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The strong entity tag, quoted.
    pub tag: Arc<str>,
    /// A v1 update.
    pub bytes: Bytes,
    /// The last record in it.
    pub seq: Seq,
    /// Whether it is all of the map, or what a reader lacked.
    pub whole: bool,
}

/// Pinned states of all maps.
#[derive(Debug, Default)]
pub struct Pins {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By map and tag.
    states: HashMap<(DocId, Arc<str>), (Pinned, Instant)>,
    bytes: usize,
}

impl Pins {
    /// The state of `doc` that has this tag.
    pub fn find(&self, doc: DocId, tag: &str, now: Instant) -> Option<Pinned> {
        let mut kept = self.lock();
        let (pinned, used) = kept.states.get_mut(&(doc, Arc::from(tag)))?;
        *used = now;
        Some(pinned.clone())
    }

    /// The whole state of `doc` with everything up to `seq`, so that one place of the log has one tag.
    pub fn whole_at(&self, doc: DocId, seq: Seq, now: Instant) -> Option<Pinned> {
        let mut kept = self.lock();
        let mut states = kept.states.iter_mut();
        let found =
            states.find(|((of, _), (pinned, _))| *of == doc && pinned.whole && pinned.seq == seq);
        let (_, (pinned, used)) = found?;
        *used = now;
        Some(pinned.clone())
    }

    /// Keeps a state, if it is worth it. True where it is the first that is kept: somebody has to [`Pins::sweep`] then
    /// until nothing is left.
    pub fn pin(&self, doc: DocId, pinned: &Pinned, now: Instant) -> bool {
        let length = pinned.bytes.len();
        if !(PINNED_BYTES_MIN..=PINNED_BYTES_MAX - ENTRY_BYTES).contains(&length) {
            return false;
        }
        let mut kept = self.lock();
        let was_empty = kept.states.is_empty();
        kept.remove(&(doc, pinned.tag.clone()));
        kept.bytes += length + ENTRY_BYTES;
        let key = (doc, pinned.tag.clone());
        kept.states.insert(key, (pinned.clone(), now));
        while kept.bytes > PINNED_BYTES_MAX
            && let Some(oldest) = kept.oldest()
        {
            kept.remove(&oldest);
        }
        was_empty
    }

    /// Lets go of what nobody has asked for in [`PINNED_FOR`]. True while any is left.
    pub fn sweep(&self, now: Instant) -> bool {
        let mut kept = self.lock();
        let stale = |used: &Instant| now.saturating_duration_since(*used) >= PINNED_FOR;
        let gone: Vec<_> = kept
            .states
            .iter()
            .filter(|(_, (_, used))| stale(used))
            .map(|(key, _)| key.clone())
            .collect();
        gone.iter().for_each(|key| kept.remove(key));
        !kept.states.is_empty()
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Held for a look at all pinned states at most, which are few, and never over an await.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn oldest(&self) -> Option<(DocId, Arc<str>)> {
        let oldest = self.states.iter().min_by_key(|(_, (_, used))| *used);
        oldest.map(|(key, _)| key.clone())
    }

    fn remove(&mut self, key: &(DocId, Arc<str>)) {
        if let Some((pinned, _)) = self.states.remove(key) {
            self.bytes -= pinned.bytes.len() + ENTRY_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: DocId = DocId::from_bytes([1; 16]);
    const OTHER: DocId = DocId::from_bytes([2; 16]);

    fn state(tag: &str, seq: u64, length: usize) -> Pinned {
        Pinned {
            tag: tag.into(),
            bytes: vec![7; length].into(),
            seq: Seq(seq),
            whole: true,
        }
    }

    #[test]
    fn a_state_is_found_by_its_tag_and_by_its_place_in_its_own_map() {
        let (pins, now) = (Pins::default(), Instant::now());
        let kept = state("a", 5, PINNED_BYTES_MIN);
        assert!(pins.pin(DOC, &kept, now));
        assert_eq!(pins.find(DOC, "a", now), Some(kept.clone()));
        assert_eq!(pins.whole_at(DOC, Seq(5), now), Some(kept));
        assert_eq!(pins.find(OTHER, "a", now), None);
        assert_eq!(pins.find(DOC, "b", now), None);
        assert_eq!(pins.whole_at(DOC, Seq(6), now), None);
    }

    #[test]
    fn small_and_enormous_states_are_not_kept() {
        let (pins, now) = (Pins::default(), Instant::now());
        assert!(!pins.pin(DOC, &state("a", 1, PINNED_BYTES_MIN - 1), now));
        assert!(!pins.pin(DOC, &state("b", 1, PINNED_BYTES_MAX), now));
        assert_eq!(pins.bytes(), 0);
    }

    #[test]
    fn what_is_used_longest_ago_makes_room() {
        let (pins, now) = (Pins::default(), Instant::now());
        let later = |s| now + Duration::from_secs(s);
        let half = PINNED_BYTES_MAX / 2 - ENTRY_BYTES;
        pins.pin(DOC, &state("a", 1, half), now);
        pins.pin(DOC, &state("b", 2, half), later(1));
        assert!(pins.find(DOC, "a", later(2)).is_some());
        pins.pin(DOC, &state("c", 3, PINNED_BYTES_MIN), later(3));
        assert!(pins.find(DOC, "b", later(4)).is_none());
        assert!(pins.find(DOC, "a", later(4)).is_some());
        assert!(pins.bytes() <= PINNED_BYTES_MAX);
    }

    #[test]
    fn what_nobody_asks_for_is_let_go() {
        let (pins, now) = (Pins::default(), Instant::now());
        pins.pin(DOC, &state("a", 1, PINNED_BYTES_MIN), now);
        // The same once more does not count twice.
        assert!(!pins.pin(DOC, &state("a", 1, PINNED_BYTES_MIN), now));
        assert!(pins.sweep(now + PINNED_FOR - Duration::from_secs(1)));
        assert!(!pins.sweep(now + PINNED_FOR));
        assert_eq!(pins.bytes(), 0);
    }
}
