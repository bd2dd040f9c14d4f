//! What a map's log holds of all the logs that relays exchange: one number for each. Pure; start from [`Known`].

use std::collections::BTreeMap;
use std::sync::Arc;

use mapweave_proto::{DocId, MapName, Seq};

/// The epoch in which every store begins.
pub const FIRST_EPOCH: u64 = 1;

/// One log as all stores name it: a map of a store, in one of that store's lives.
///
/// A store that was restored from older data gives places anew that it gave before; its epoch tells the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId {
    /// Id of the store ([`crate::Identity::store`]).
    pub store: [u8; 16],
    /// The life of the store ([`crate::Identity::epoch`]).
    pub epoch: u64,
    /// The map's id there.
    pub doc: DocId,
}

/// How far every log is held: all records of it up to a place, without gaps.
///
/// Relays keep to the order of a log, so that one number is enough: whoever holds record 9 of a log holds what the
/// records before it said. A record that brought nothing counts as held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(Arc<BTreeMap<LogId, Seq>>);

impl Known {
    /// The last record of `log` that is held; [`Seq::ZERO`] where none is.
    pub fn upto(&self, log: &LogId) -> Seq {
        self.0.get(log).copied().unwrap_or_default()
    }

    /// Whether record `seq` of `log` is held.
    pub fn holds(&self, log: &LogId, seq: Seq) -> bool {
        seq <= self.upto(log)
    }

    /// Notes that `log` is held up to `seq`; says whether that is news.
    pub fn raise(&mut self, log: LogId, seq: Seq) -> bool {
        if self.holds(&log, seq) {
            return false;
        }
        Arc::make_mut(&mut self.0).insert(log, seq);
        true
    }

    /// Notes all that `other` holds.
    pub fn join(&mut self, other: &Self) {
        for (log, seq) in other.iter() {
            self.raise(log, seq);
        }
    }

    /// Whether all that `other` holds is held.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(log, seq)| self.holds(&log, seq))
    }

    /// All logs of which something is held, in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (LogId, Seq)> {
        self.0.iter().map(|(log, seq)| (*log, *seq))
    }

    /// How many logs something is held of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(LogId, Seq)> for Known {
    fn from_iter<T: IntoIterator<Item = (LogId, Seq)>>(items: T) -> Self {
        let mut known = Self::default();
        for (log, seq) in items {
            known.raise(log, seq);
        }
        known
    }
}

/// What relays have to know of a map beside its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The name it bears; `None` for the store's own log.
    pub name: Option<MapName>,
    /// Deleted, and restorable.
    pub deleted: bool,
    /// Last record of its log.
    pub last: Seq,
    /// What its log holds, its own records included.
    pub known: Known,
    /// When it was created, deleted or restored last, by the clock of the store where that happened, in
    /// milliseconds since 1970. Of two such turns made apart the later one counts everywhere.
    pub turned_at_ms: u64,
}
