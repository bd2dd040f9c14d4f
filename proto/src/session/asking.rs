//! Which of a peer's sync requests reach the room, and when.
//!
//! To answer one the room may have to encode its whole document. So only one at a time is with the room; of those
//! that come meanwhile the newest counts, whose answer is the answer to all; and the next one waits until what
//! the last one cost is paid at the session's rate.

use crate::state_vector::StateVector;

/// The sync requests of a session.
#[derive(Debug, Default)]
pub(super) struct Asking {
    with_room: bool,
    next: Option<StateVector>,
    /// When the last answer is paid, if it is not yet.
    paid_ms: Option<u64>,
    answers: u64,
}

impl Asking {
    /// The peer asks; what the room is to be asked now.
    pub(super) fn ask(&mut self, now_ms: u64, vector: StateVector) -> Option<StateVector> {
        self.next = Some(vector);
        self.next(now_ms)
    }

    /// The room has answered. The first answer is what a peer comes for, and costs nothing.
    pub(super) fn answered(&mut self, bytes: u64) -> u64 {
        self.with_room = false;
        self.answers += 1;
        if self.answers == 1 { 0 } else { bytes }
    }

    /// How often the room has answered.
    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    /// The last answer is paid then.
    pub(super) fn pay_until(&mut self, paid_ms: Option<u64>) {
        self.paid_ms = paid_ms;
    }

    /// What the room is to be asked now.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<StateVector> {
        if self.with_room || self.paid_ms.is_some_and(|paid| now_ms < paid) {
            return None;
        }
        self.paid_ms = None;
        let next = self.next.take();
        self.with_room = next.is_some();
        next
    }

    /// When [`Asking::next`] has something that it does not have now, by time alone.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let waits = self.next.is_some() && !self.with_room;
        self.paid_ms.filter(|_| waits)
    }
}
