//! What the updates of a connection come to at everybody in its map.
//!
//! Each byte of one person is as many bytes as others are in the map. Whoever sends more than their share of those is read
//! more slowly, so that the others' edits do not wait behind them. Bytes count and not updates: many small ones go out in one
//! write.

use mapweave_proto::{Bucket, ToRoom};

use crate::config::Limits;
use crate::room::RoomHandle;

/// What one connection has caused of late.
#[derive(Debug)]
pub struct Deliveries {
    bucket: Bucket,
    burst: u64,
}

impl Deliveries {
    /// None yet.
    pub fn new(limits: &Limits) -> Self {
        let Limits {
            delivered_bytes_per_second,
            delivered_bytes_burst,
            ..
        } = *limits;
        Self {
            bucket: Bucket::new(delivered_bytes_per_second, delivered_bytes_burst),
            burst: delivered_bytes_burst,
        }
    }

    /// Counts what is handed to the room; when the connection may be read again, if not at once, on the clock of `now_ms`.
    pub fn take(&mut self, now_ms: u64, said: &ToRoom, room: &RoomHandle) -> Option<u64> {
        let ToRoom::Update { update, .. } = said else {
            return None;
        };
        let others = (room.connections() as u64).saturating_sub(1);
        self.bucket
            .take(now_ms, self.cost(update.bytes().len() as u64, others))
    }

    /// One update costs no more than may come at once, or whoever brings days of work would wait for minutes after it.
    fn cost(&self, bytes: u64, others: u64) -> u64 {
        bytes.saturating_mul(others).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_costs_by_who_hears_it_and_by_its_size_and_never_more_than_a_burst() {
        let deliveries = Deliveries::new(&Limits {
            delivered_bytes_burst: 1_000,
            ..Limits::default()
        });
        for (bytes, others, cost) in [
            (10, 0, 0),
            (0, 3, 0),
            (10, 3, 30),
            (10, 99, 990),
            (64 << 20, 99, 1_000),
            (u64::MAX, u64::MAX, 1_000),
        ] {
            assert_eq!(
                deliveries.cost(bytes, others),
                cost,
                "{bytes} bytes to {others}"
            );
        }
    }
}
