//! What a peer says to maps that it has not been let into yet, in its order and within bounds.
//!
//! Finding out whether somebody may have a map can take a while, and clients do not wait for it: their sync request
//! and the edits that they had queued come right behind the token.

use std::collections::VecDeque;

use crate::codec::hocuspocus::Said;
use crate::limits::{WAITING_BYTES_MAX, WAITING_MAPS_MAX, WAITING_MESSAGES_MAX};

/// All that waits on one socket.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    maps: usize,
    messages: usize,
    bytes: usize,
}

/// What waits for one map.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) since_ms: u64,
    said: VecDeque<(Said, usize)>,
    bytes: usize,
}

/// More waits than may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuchWaits;

impl Waiting {
    /// A map more that is waited for.
    pub(super) fn open(&mut self, now_ms: u64) -> Result<Line, TooMuchWaits> {
        if self.maps >= WAITING_MAPS_MAX {
            return Err(TooMuchWaits);
        }
        self.maps += 1;
        Ok(Line {
            since_ms: now_ms,
            said: VecDeque::new(),
            bytes: 0,
        })
    }

    /// Keeps what came in a frame of `bytes` for later.
    pub(super) fn keep(
        &mut self,
        line: &mut Line,
        said: Said,
        bytes: usize,
    ) -> Result<(), TooMuchWaits> {
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        line.bytes = line.bytes.saturating_add(bytes);
        line.said.push_back((said, bytes));
        if self.messages > WAITING_MESSAGES_MAX || self.bytes > WAITING_BYTES_MAX {
            return Err(TooMuchWaits);
        }
        Ok(())
    }

    /// The wait for a map is over: what was kept for it.
    pub(super) fn close(&mut self, line: Line) -> VecDeque<(Said, usize)> {
        self.maps = self.maps.saturating_sub(1);
        self.messages = self.messages.saturating_sub(line.said.len());
        self.bytes = self.bytes.saturating_sub(line.bytes);
        line.said
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_over_all_maps_of_the_socket_and_forgotten_with_the_wait() {
        let mut waiting = Waiting::default();
        let (mut one, mut two) = (waiting.open(0).unwrap(), waiting.open(0).unwrap());
        let half = WAITING_BYTES_MAX / 2;
        assert_eq!(waiting.keep(&mut one, Said::Detach, half), Ok(()));
        assert_eq!(waiting.keep(&mut two, Said::Detach, half), Ok(()));
        assert_eq!(
            waiting.keep(&mut two, Said::Detach, 1 + WAITING_BYTES_MAX % 2),
            Err(TooMuchWaits)
        );
        assert_eq!(waiting.close(two).len(), 2);
        assert_eq!(waiting.close(one).len(), 1);
        assert_eq!((waiting.maps, waiting.messages, waiting.bytes), (0, 0, 0));
    }

    #[test]
    fn neither_many_messages_nor_many_maps_wait() {
        let mut waiting = Waiting::default();
        let mut line = waiting.open(0).unwrap();
        for _ in 0..WAITING_MESSAGES_MAX {
            assert_eq!(waiting.keep(&mut line, Said::Detach, 1), Ok(()));
        }
        assert_eq!(waiting.keep(&mut line, Said::Detach, 1), Err(TooMuchWaits));
        let more = (1..WAITING_MAPS_MAX).all(|_| waiting.open(0).is_ok());
        assert!(more && waiting.open(0).is_err());
    }
}
