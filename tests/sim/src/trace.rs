//! What happened, as one number: two runs of one seed must agree on it.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A running hash of events, and how many they were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    hasher: DefaultHasher,
    events: u64,
}

impl Trace {
    /// Notes an event.
    pub(crate) fn note(&mut self, event: impl Hash) {
        self.events += 1;
        event.hash(&mut self.hasher);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}
