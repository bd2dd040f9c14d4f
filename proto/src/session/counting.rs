//! Which of its updates a Hocuspocus provider counts as unsynced, and so waits for the status of.
//!
//! A provider counts one for each edit, but begins anew at one with every SyncStep1, when it connects or syncs again:
//! that one stands for all that its document holds, and for its next SyncStep2. The edits that it made before are
//! still in its queue (or in a batch, with `flushDelay`), and it sends each of them afterwards. A status for one of
//! those would be taken for that of a later edit, which would then be shown as saved too early. They are known by the
//! state vector of the SyncStep1, written in the same moment: whoever made an edit before has its structs in it.
//!
//! A state vector says nothing of deletions. While the queue may still come, before the first SyncStep2, an update that
//! only deletes what the document held then may be queued or new, and is taken for queued: late, never early.

use crate::limits::COUNTED_CLIENTS_MAX;
use crate::state_vector::StateVector;
use crate::update::Scanned;

/// What is known of a provider's count.
#[derive(Debug)]
pub(super) struct Counting {
    began: Began,
    /// Whether it waits for the status of a SyncStep2.
    awaits_step2: bool,
    /// Whether its queue may still come.
    queued: bool,
}

/// What the provider's document held when it last began to count.
#[derive(Debug)]
enum Began {
    /// It was not heard to begin.
    Unheard,
    With(StateVector),
    /// More clients than are kept in mind.
    Large,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            began: Began::Unheard,
            awaits_step2: true,
            queued: true,
        }
    }
}

impl Counting {
    /// The provider sent a SyncStep1; whether it begins to count anew with it. One from its queue says nothing that it
    /// did not say as it began, and is none.
    pub(super) fn begin(&mut self, vector: &StateVector) -> bool {
        if self.may_be_queued(vector) {
            return false;
        }
        self.awaits_step2 = true;
        self.began = match vector.len() <= COUNTED_CLIENTS_MAX {
            true => Began::With(vector.clone()),
            false => Began::Large,
        };
        true
    }

    fn may_be_queued(&self, vector: &StateVector) -> bool {
        match &self.began {
            Began::With(began) => self.queued && began.covers(vector),
            Began::Unheard | Began::Large => false,
        }
    }

    /// Whether the provider counts this SyncStep2: the first one after it began.
    pub(super) fn step2(&mut self, update: &Scanned) -> bool {
        self.queued = false;
        if let Began::With(began) = &self.began {
            // A batch that was open when it began comes now or later. What is in it is in the SyncStep2 too.
            let kept = update.clients().map(|(client, ..)| client);
            let kept = kept.map(|client| (client, began.get(client)));
            self.began = Began::With(kept.collect());
        }
        std::mem::take(&mut self.awaits_step2)
    }

    /// Whether the provider counts this change.
    pub(super) fn change(&self, update: &Scanned) -> bool {
        let began = match &self.began {
            Began::Unheard => return true,
            Began::With(began) => began,
            Began::Large => return !self.queued,
        };
        let mut structs = update.clients().peekable();
        if structs.peek().is_some() {
            return structs.all(|(client, start, _)| start >= began.get(client));
        }
        let mut deletes = update.deletes();
        !self.queued || deletes.any(|range| range.end > began.get(range.client))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::ClientId;
    use crate::update::scan;

    /// Client 7 writes one GC struct with this clock.
    fn structs(clock: u8) -> Scanned {
        scanned(&[1, 1, 7, clock, 0, 1, 0])
    }

    /// One clock of client 7 is deleted.
    fn deletes(clock: u8) -> Scanned {
        scanned(&[0, 1, 7, 1, clock, 1])
    }

    fn scanned(bytes: &[u8]) -> Scanned {
        scan(Bytes::copy_from_slice(bytes), 100).unwrap()
    }

    fn vector(clock: u64) -> StateVector {
        [(ClientId(7), clock)].into_iter().collect()
    }

    fn begun(clock: u64) -> Counting {
        let mut counting = Counting::default();
        assert!(counting.begin(&vector(clock)));
        counting
    }

    #[test]
    fn what_was_made_before_it_began_is_not_counted_and_what_comes_later_is() {
        let mut counting = begun(3);
        assert!(!counting.change(&structs(2)));
        assert!(counting.change(&structs(3)));
        assert!(counting.step2(&structs(2)));
        assert!(!counting.change(&structs(2)), "an open batch");
        assert!(counting.change(&structs(4)));
    }

    #[test]
    fn a_batch_that_was_open_when_it_began_is_not_counted() {
        let both = scanned(&[1, 2, 7, 2, 0, 1, 0, 1, 0]);
        assert!(!begun(3).change(&both));
        assert!(begun(2).change(&both));
    }

    #[test]
    fn a_deletion_is_counted_where_it_cannot_be_queued() {
        let mut counting = begun(3);
        assert!(!counting.change(&deletes(2)), "perhaps queued");
        assert!(counting.change(&deletes(3)), "what it deletes is new");
        counting.step2(&structs(2));
        assert!(counting.change(&deletes(2)), "the queue was before");
    }

    #[test]
    fn one_step2_is_counted_for_each_beginning() {
        let mut counting = begun(1);
        assert!(counting.step2(&structs(0)));
        assert!(!counting.step2(&structs(0)));
        assert!(counting.begin(&vector(1)));
        assert!(counting.step2(&structs(0)));
        assert!(!counting.step2(&structs(0)));
    }

    #[test]
    fn a_queued_step1_is_no_beginning() {
        let mut counting = begun(3);
        assert!(!counting.begin(&vector(2)));
        assert!(!counting.begin(&vector(3)));
        assert!(!counting.change(&structs(2)));
        assert!(counting.begin(&vector(4)));
        assert!(!counting.change(&structs(3)));
    }

    #[test]
    fn of_too_many_clients_all_may_be_queued_until_the_first_step2() {
        let many = (0..=COUNTED_CLIENTS_MAX as u64).map(|client| (ClientId(client), 1));
        let mut counting = Counting::default();
        assert!(counting.begin(&many.collect()));
        assert!(!counting.change(&structs(9)));
        assert!(counting.step2(&structs(0)));
        assert!(counting.change(&structs(9)));
    }
}
