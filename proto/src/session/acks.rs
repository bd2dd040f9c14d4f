//! When a client may be told that its edits are durable.
//!
//! **The invariant: an acknowledgement may be late, never early.** A token says "all that I sent before this".
//! It is answered only when (a) the connection's first SyncStep2 has settled, since offline edits arrive in
//! it, after the first token; and (b) every update that came before the token has settled. An update that was
//! refused never settles, so no token after it is ever answered on this connection.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::ACK_TOKENS_MAX;

/// Tokens that wait, and how far a session's updates have settled.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Number of the last update received; they are numbered from 1.
    received: u64,
    settled: u64,
    first_step2: Option<u64>,
    /// Number of the first update refused; tokens that include it are never answered.
    refused: Option<u64>,
    /// An update was refused before it got a number: no later token is answered.
    deaf: bool,
    /// Tokens with the last update before them, numbers ascending and different.
    tokens: VecDeque<(Bytes, u64)>,
}

impl Acks {
    /// Number of the last update up to which all are settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Number of the last update received; 0 before the first.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Number of the first SyncStep2, once it was received.
    pub(super) fn first_step2(&self) -> Option<u64> {
        self.first_step2
    }

    /// Numbers an update just received.
    pub(super) fn receive(&mut self, step2: bool) -> u64 {
        self.received += 1;
        if step2 && self.first_step2.is_none() {
            self.first_step2 = Some(self.received);
        }
        self.received
    }

    /// Takes a token just received. Of those after the same update only the newest counts, and of too many
    /// the last but one is dropped: the oldest is the next to be answered.
    pub(super) fn ask(&mut self, token: Bytes) {
        if self.deaf {
            return;
        }
        let full = self.tokens.len() == ACK_TOKENS_MAX;
        if full
            || self
                .tokens
                .back()
                .is_some_and(|(_, number)| *number == self.received)
        {
            self.tokens.pop_back();
        }
        self.tokens.push_back((token, self.received));
    }

    /// Everything up to `number` is durable, or brought nothing.
    pub(super) fn settle(&mut self, number: u64) {
        self.settled = self.settled.max(number.min(self.received));
    }

    /// Update `number` was refused.
    pub(super) fn refuse(&mut self, number: u64) {
        self.refused = Some(self.refused.map_or(number, |refused| refused.min(number)));
    }

    /// An update was refused that got no number; every later token includes it.
    pub(super) fn refuse_unnumbered(&mut self) {
        self.deaf = true;
    }

    /// Whether the first SyncStep2 has settled.
    pub(super) fn synced(&self) -> bool {
        self.first_step2
            .is_some_and(|first| first <= self.covered())
    }

    /// The newest token that is now covered; older ones are forgotten with it.
    pub(super) fn answer(&mut self) -> Option<Bytes> {
        if !self.synced() {
            return None;
        }
        let covered = self.covered();
        let count = self
            .tokens
            .iter()
            .take_while(|(_, number)| *number <= covered)
            .count();
        self.tokens.drain(..count).last().map(|(token, _)| token)
    }

    /// The last update up to which all are settled and none was refused.
    fn covered(&self) -> u64 {
        let before_refused = self
            .refused
            .map_or(u64::MAX, |number| number.saturating_sub(1));
        self.settled.min(before_refused)
    }
}
