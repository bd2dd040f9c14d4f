//! How fast a peer may send.

/// A bucket of tokens that refills by the millisecond and may run into debt: what was received is always
/// handled, and the peer waits until the debt is paid.
#[derive(Debug)]
pub struct Bucket {
    per_s: u64,
    burst: u64,
    /// Thousandths of a token, so that nothing is lost to rounding.
    level: i128,
    filled_ms: Option<u64>,
}

impl Bucket {
    /// A full bucket that gains `per_s` (at least 1) a second, up to `burst`.
    pub fn new(per_s: u64, burst: u64) -> Self {
        Self {
            per_s: per_s.max(1),
            burst,
            level: i128::from(burst) * 1000,
            filled_ms: None,
        }
    }

    /// Takes `amount` and says when the debt, if there is one, will be paid, on the clock of `now_ms`. An amount of 0 only
    /// asks.
    pub fn take(&mut self, now_ms: u64, amount: u64) -> Option<u64> {
        let passed = now_ms.saturating_sub(self.filled_ms.unwrap_or(now_ms));
        self.filled_ms = Some(now_ms.max(self.filled_ms.unwrap_or(0)));
        let full = i128::from(self.burst) * 1000;
        self.level = (self.level + i128::from(passed) * i128::from(self.per_s)).min(full);
        self.level -= i128::from(amount) * 1000;
        if self.level >= 0 {
            return None;
        }
        let per_s = i128::from(self.per_s);
        let wait_ms = (-self.level + per_s - 1) / per_s;
        Some(now_ms.saturating_add(u64::try_from(wait_ms).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_debt_waits_until_it_is_paid() {
        let mut bucket = Bucket::new(100, 50);
        assert_eq!(bucket.take(0, 50), None);
        assert_eq!(bucket.take(0, 1), Some(10));
        assert_eq!(bucket.take(10, 0), None);
        assert_eq!(bucket.take(10, 10), Some(110));
        assert_eq!(
            bucket.take(100_000, 50),
            None,
            "refilled to the burst and no further"
        );
        assert_eq!(bucket.take(100_000, 1), Some(100_010));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = Bucket::new(1, 1);
        assert_eq!(bucket.take(1_000, 1), None);
        assert_eq!(bucket.take(0, 0), None);
        assert_eq!(bucket.take(1_000, 1), Some(2_000));
    }

    #[test]
    fn huge_amounts_do_not_overflow() {
        let mut bucket = Bucket::new(1, u64::MAX);
        assert_eq!(bucket.take(0, u64::MAX), None);
        assert!(bucket.take(0, u64::MAX).is_some());
        assert!(bucket.take(u64::MAX, u64::MAX).is_some());
    }
}
