//! One status for one update, as Hocuspocus clients count them.
//!
//! **The invariant of `acks.rs` holds here too: late, never early.** An update that was refused is told at once
//! and is not among those told as durable, although "durable up to here" says nothing of it.
//!
//! None is told as durable before the first SyncStep2 has settled or was refused: when a provider connects it counts
//! all that it did offline as one change, sends the edits that it had queued, and only then its SyncStep2. The
//! status of the first queued edit would be taken for all of them.

use std::collections::BTreeSet;

use crate::limits::REFUSED_WAITING_MAX;

/// How far a session's updates have been told of.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    settled: u64,
    /// Numbers above `settled` of updates that were refused.
    refused: BTreeSet<u64>,
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
        newly.saturating_sub(refused.len() as u64)
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
mod tests {
    use super::*;

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
    fn what_is_refused_without_end_takes_no_memory_without_end() {
        let mut statuses = Statuses::default();
        let refused = (1..).map(|number| statuses.refuse(number));
        assert_eq!(
            refused.take_while(Result::is_ok).count(),
            REFUSED_WAITING_MAX
        );
    }
}
