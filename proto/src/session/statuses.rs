//! One status for one update, as Hocuspocus clients count them.
//!
//! **The invariant of `acks.rs` holds here too: late, never early.** An update that was refused is told at once
//! and is not among those told as durable, although "durable up to here" says nothing of it.
//!
//! None is told as durable before the first SyncStep2 has settled or was refused: when a provider connects it counts
//! all that it did offline as one change, sends the edits that it had queued, and only then its SyncStep2. The
//! status of the first queued edit would be taken for all of them. Those queued edits get none of their own at all,
//! see `counting.rs`.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use super::counting::Counting;
use crate::limits::{REFUSED_WAITING_MAX, UNCOUNTED_RUNS_MAX};
use crate::state_vector::StateVector;
use crate::update::Scanned;

/// How far a session's updates have been told of.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    settled: u64,
    /// Numbers above `settled` of updates that were refused.
    refused: BTreeSet<u64>,
    counting: Counting,
    /// Numbers above `settled` of updates that the provider does not count, ascending and disjoint.
    uncounted: VecDeque<RangeInclusive<u64>>,
}

/// More was refused than is kept in mind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyRefused;

impl Statuses {
    /// Everything up to `settled` is durable, or was refused before; how many are to be told as durable now.
    pub(super) fn release(&mut self, first_step2: Option<u64>, settled: u64) -> u64 {
        let synced = |first: u64| first <= settled || self.refused.contains(&first);
        let synced = self.settled > 0 || first_step2.is_some_and(synced);
        match synced {
            true => self.settle(settled),
            false => 0,
        }
    }

    fn settle(&mut self, number: u64) -> u64 {
        let newly = number.saturating_sub(self.settled);
        self.settled = self.settled.max(number);
        let above = self.refused.split_off(&self.settled.saturating_add(1));
        let refused = std::mem::replace(&mut self.refused, above);
        let refused = refused.iter().filter(|number| self.counts(**number));
        let untold = refused.count() as u64;
        newly
            .saturating_sub(untold)
            .saturating_sub(self.forget_uncounted())
    }

    /// Forgets the uncounted numbers up to `settled`; how many there were.
    fn forget_uncounted(&mut self) -> u64 {
        let mut forgotten = 0;
        while let Some(run) = self.uncounted.pop_front() {
            let (first, last) = (*run.start(), (*run.end()).min(self.settled));
            forgotten += (last + 1).saturating_sub(first);
            if *run.end() > self.settled {
                let left = first.max(self.settled + 1)..=*run.end();
                self.uncounted.push_front(left);
                break;
            }
        }
        forgotten
    }

    fn counts(&self, number: u64) -> bool {
        !self.uncounted.iter().any(|run| run.contains(&number))
    }

    /// The provider sent a SyncStep1 after its updates up to `received`. Where it begins to count anew with it, it
    /// has forgotten those.
    pub(super) fn begin(&mut self, vector: &StateVector, received: u64) {
        if self.counting.begin(vector) && received > self.settled {
            self.uncounted.clear();
            self.uncounted.push_back(self.settled + 1..=received);
        }
    }

    /// Update `number` was received.
    pub(super) fn receive(&mut self, number: u64, update: &Scanned, step2: bool) {
        let counts = match step2 {
            true => self.counting.step2(update),
            false => self.counting.change(update),
        };
        if !counts {
            self.leave_out(number);
        }
    }

    /// Notes that the last update received gets no status.
    fn leave_out(&mut self, number: u64) {
        let full = self.uncounted.len() >= UNCOUNTED_RUNS_MAX;
        match self.uncounted.back_mut() {
            Some(run) if full || *run.end() + 1 == number => *run = *run.start()..=number,
            _ => self.uncounted.push_back(number..=number),
        }
    }

    /// Update `number` was refused; whether that is news. It is none of an update that was told as durable: one
    /// that waited in vain for what it builds on.
    pub(super) fn refuse(&mut self, number: u64) -> Result<bool, TooManyRefused> {
        if self.refused.len() >= REFUSED_WAITING_MAX {
            return Err(TooManyRefused);
        }
        Ok(number > self.settled && self.refused.insert(number))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::ClientId;

    #[test]
    fn every_update_is_told_once_whatever_comes_first() {
        let mut statuses = Statuses::default();
        assert_eq!(statuses.refuse(2), Ok(true));
        assert_eq!(statuses.refuse(5), Ok(true));
        assert_eq!(statuses.refuse(5), Ok(false));
        assert_eq!(statuses.settle(3), 2, "1 and 3");
        assert_eq!(statuses.settle(3), 0);
        assert_eq!(statuses.settle(1), 0);
        assert_eq!(statuses.settle(6), 2, "4 and 6");
        assert_eq!(statuses.refuse(6), Ok(false), "it was told already");
    }

    #[test]
    fn nothing_is_told_before_the_first_step2_is_durable_or_refused() {
        let mut statuses = Statuses::default();
        assert_eq!(statuses.release(None, 2), 0);
        assert_eq!(statuses.release(Some(3), 2), 0);
        assert_eq!(statuses.release(Some(3), 3), 3);
        let mut statuses = Statuses::default();
        assert_eq!(statuses.refuse(3), Ok(true));
        assert_eq!(statuses.release(Some(3), 2), 2);
        assert_eq!(statuses.release(Some(3), 4), 1);
    }

    #[test]
    fn updates_that_the_provider_forgot_are_told_only_where_they_are_refused() {
        let vector: StateVector = [(ClientId(7), 3)].into_iter().collect();
        let mut statuses = Statuses::default();
        statuses.begin(&vector, 4);
        assert_eq!(statuses.refuse(2), Ok(true));
        assert_eq!(statuses.release(Some(5), 4), 0);
        assert_eq!(statuses.release(Some(5), 6), 2, "5 and 6");
        assert_eq!(statuses.release(Some(5), 7), 1);
    }

    #[test]
    fn runs_without_a_status_are_told_apart_and_bounded() {
        let mut statuses = Statuses::default();
        for number in [2, 3, 5] {
            statuses.leave_out(number);
        }
        assert_eq!(statuses.settle(2), 1, "1");
        assert_eq!(statuses.settle(6), 2, "4 and 6");
        for number in (0..4096).map(|n| 8 + 2 * n) {
            statuses.leave_out(number);
        }
        assert_eq!(statuses.uncounted.len(), UNCOUNTED_RUNS_MAX);
        assert!(statuses.settle(10_000) < 10_000 - 6 - 4096);
        assert!(statuses.uncounted.is_empty());
    }

    #[test]
    fn what_is_refused_without_end_takes_no_memory_without_end() {
        let mut statuses = Statuses::default();
        let refused = (1..).map(|number| statuses.refuse(number));
        assert_eq!(
            refused.take_while(Result::is_ok).count(),
            REFUSED_WAITING_MAX
        );
    }
}
