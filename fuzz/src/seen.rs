//! What a run of a law met: the driver keeps inputs that meet something new, which stands in for coverage.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

thread_local! {
    static SEEN: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that a law came to `what`.
pub fn saw(what: impl Hash) {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    SEEN.with_borrow_mut(|seen| seen.insert(hasher.finish()));
}

/// What was met on this thread since the last call.
pub(crate) fn take() -> BTreeSet<u64> {
    SEEN.take()
}
