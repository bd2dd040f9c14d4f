//! What the updates of a connection cost everybody in its map.
//!
//! One message of one person is as many messages as others are in the map. Whoever sends more than their share of those is
//! read more slowly, so that the others' edits do not wait behind them.

use mapweave_proto::{Bucket, ToRoom};

use crate::config::Limits;
use crate::room::RoomHandle;

/// So many bytes of an update that goes to somebody count as one delivery: about what a small one takes besides.
const DELIVERY_BYTES: u64 = 16 << 10;

/// The deliveries that one connection has caused of late.
#[derive(Debug)]
pub struct Deliveries {
    bucket: Bucket,
    burst: u64,
}

impl Deliveries {
    /// None yet.
    pub fn new(limits: &Limits) -> Self {
        let Limits {
            deliveries_per_second,
            deliveries_burst,
            ..
        } = *limits;
        Self {
            bucket: Bucket::new(deliveries_per_second, deliveries_burst),
            burst: deliveries_burst,
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
        let each = bytes.div_ceil(DELIVERY_BYTES).max(1);
        each.saturating_mul(others).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_costs_by_who_hears_it_and_by_its_size_and_never_more_than_a_burst() {
        let deliveries = Deliveries::new(&Limits {
            deliveries_burst: 1_000,
            ..Limits::default()
        });
        for (bytes, others, cost) in [
            (10, 0, 0),
            (0, 3, 3),
            (10, 99, 99),
            (DELIVERY_BYTES, 99, 99),
            (DELIVERY_BYTES + 1, 99, 198),
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
