//! Bytes per second, kept by waiting after what was sent or read rather than before.

use std::time::Duration;

use tokio::time::Instant;

/// How much may pass at once after a pause, in seconds of the rate.
const BURST_S: f64 = 1.0;

/// Keeps a stream of bytes to a rate.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_s: Option<u64>,
    /// When all that has passed would have passed at the rate.
    paid_at: Instant,
}

impl Pace {
    /// At most so many bytes a second; any number where that is `None`.
    pub(super) fn new(bytes_per_s: Option<u64>) -> Self {
        Self {
            bytes_per_s,
            paid_at: Instant::now(),
        }
    }

    /// Bytes have passed.
    pub(super) fn passed(&mut self, bytes: usize) {
        let Some(rate) = self.bytes_per_s else {
            return;
        };
        let now = Instant::now();
        let earliest = now
            .checked_sub(Duration::from_secs_f64(BURST_S))
            .unwrap_or(now);
        let took = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        self.paid_at = self.paid_at.max(earliest) + took;
    }

    /// Waits until more may pass.
    ///
    /// # Cancel safety
    /// Safe: the next call waits for the rest.
    pub(super) async fn ready(&self) {
        if self.bytes_per_s.is_some() {
            tokio::time::sleep_until(self.paid_at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_paid_for_at_the_rate() {
        let began = Instant::now();
        let mut pace = Pace::new(Some(1_000));
        for _ in 0..10 {
            pace.passed(500);
        }
        let until = pace.paid_at.duration_since(began).as_secs_f64();
        assert!((4.0..=5.1).contains(&until), "{until}");
        let mut free = Pace::new(None);
        free.passed(1 << 40);
        assert!(free.paid_at <= Instant::now());
    }
}
