//! What each session shows, and how fast what it shows is told on: one that shows too much is told of more slowly,
//! with nothing but its newest states, and gives way before others do. Pure.

use std::collections::HashMap;

use mapweave_proto::SessionId;

/// Most clients that one session may speak for: a browser has one, a relay or a test bench some.
pub const PRESENCE_CLIENTS_PER_SESSION_MAX: usize = 1_000;

/// Most bytes of states that one session may show, 64 KiB for each of sixteen: everybody who joins is sent all.
pub const PRESENCE_BYTES_PER_SESSION_MAX: usize = 1 << 20;

/// Most bytes of states that one map shows (16 MiB): 20 000 people with name and pointer, each of whom is told all.
pub const PRESENCE_BYTES_MAX: usize = 16 << 20;

/// Bytes a second of one session's states that everybody is told for long (512 KiB). A pointer takes ten thousand, a
/// polygon that is being dragged some hundred thousand.
pub const PRESENCE_BYTES_PER_S: u64 = 512 << 10;

/// Bytes a second of all states of a map that everybody is told for long (2 MiB): each goes out as often as there are
/// people. Those who show much share it, and those who show little have as much for themselves.
pub const PRESENCE_BYTES_PER_S_MAX: u64 = 2 << 20;

/// How far a map may run ahead of that, in microseconds: 1 MiB at once, which a connection's queue holds beside its edits.
const MAP_AHEAD_MICROS: u64 = 500_000;

/// A name and a pointer, in bytes: who shows no more, and owes nothing, does not wait for those who show much.
const LIGHT_BYTES: usize = 2 << 10;

/// How far a session may run ahead of its own bound, in microseconds: all that it may show at once.
const AHEAD_MICROS: u64 =
    (PRESENCE_BYTES_PER_SESSION_MAX as u64) * 1_000_000 / PRESENCE_BYTES_PER_S;

/// All sessions that show something, or did so too fast.
#[derive(Debug, Default)]
pub(super) struct Shares {
    sessions: HashMap<SessionId, Share>,
    clients: usize,
    bytes: usize,
    /// When all that was told of all of them will be paid, in microseconds: of those who show little …
    light_paid_micros: u64,
    /// … and of those who show much.
    heavy_paid_micros: u64,
}

#[derive(Debug, Default)]
struct Share {
    clients: usize,
    bytes: usize,
    /// When all that was told of it will be paid, in microseconds.
    paid_micros: u64,
}

impl Shares {
    /// Whether `session` may show a state of `bytes`, in place of one of its own with `instead` bytes.
    pub(super) fn has_room(
        &self,
        session: SessionId,
        instead: Option<usize>,
        bytes: usize,
    ) -> bool {
        let (clients, held) = self
            .sessions
            .get(&session)
            .map_or((0, 0), |share| (share.clients, share.bytes));
        let clients = clients.saturating_sub(usize::from(instead.is_some()));
        let held = held.saturating_sub(instead.unwrap_or(0));
        clients < PRESENCE_CLIENTS_PER_SESSION_MAX
            && held.saturating_add(bytes) <= PRESENCE_BYTES_PER_SESSION_MAX
    }

    pub(super) fn give(&mut self, session: SessionId, bytes: usize) {
        let share = self.sessions.entry(session).or_default();
        share.clients += 1;
        share.bytes += bytes;
        self.clients += 1;
        self.bytes += bytes;
    }

    pub(super) fn take(&mut self, session: SessionId, bytes: usize) {
        if let Some(share) = self.sessions.get_mut(&session) {
            share.clients = share.clients.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(bytes);
            self.clients = self.clients.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Forgets a session that is gone and shows nothing any more.
    pub(super) fn leave(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// Forgets those who show nothing and owe nothing.
    pub(super) fn forget_paid(&mut self, now_ms: u64) {
        let now = micros(now_ms);
        self.sessions
            .retain(|_, share| share.clients > 0 || share.paid_micros > now);
    }

    /// Bytes of all states.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who shows most bytes; of several the one that came last.
    pub(super) fn heaviest(&self) -> Option<SessionId> {
        let heaviest = |(id, share): &(&SessionId, &Share)| (share.bytes, **id);
        self.sessions.iter().max_by_key(heaviest).map(|(id, _)| *id)
    }

    /// Who speaks for most clients, and for how many.
    pub(super) fn most_crowded(&self) -> Option<(SessionId, usize)> {
        let crowded = |(id, share): &(&SessionId, &Share)| (share.clients, **id);
        let most = self.sessions.iter().max_by_key(crowded);
        most.map(|(id, share)| (*id, share.clients))
    }

    /// For how many clients all sessions speak.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// For how many clients a session speaks.
    pub(super) fn clients_of(&self, session: SessionId) -> usize {
        self.sessions.get(&session).map_or(0, |share| share.clients)
    }

    /// Up to when a session has paid for what was told of it: whoever has the least of that comes next.
    pub(super) fn paid_micros(&self, session: SessionId) -> u64 {
        self.sessions.get(&session).map_or(0, |s| s.paid_micros)
    }

    /// Charges `session` for `bytes` that everybody is told now; or says when it has paid enough for what it was told
    /// before, in milliseconds.
    pub(super) fn charge(
        &mut self,
        session: SessionId,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), u64> {
        let now = micros(now_ms);
        let share = self.sessions.entry(session).or_default();
        let is_light = share.paid_micros <= now && bytes <= LIGHT_BYTES;
        let of_all = match is_light {
            true => &mut self.light_paid_micros,
            false => &mut self.heavy_paid_micros,
        };
        let (paid, all_paid) = (share.paid_micros.max(now), (*of_all).max(now));
        let too_far = (paid - now).saturating_sub(AHEAD_MICROS);
        let too_far = too_far.max((all_paid - now).saturating_sub(MAP_AHEAD_MICROS));
        if too_far > 0 {
            return Err(now_ms.saturating_add(too_far.div_ceil(1_000)));
        }
        share.paid_micros = paid.saturating_add(cost_micros(bytes, PRESENCE_BYTES_PER_S));
        *of_all = all_paid.saturating_add(cost_micros(bytes, PRESENCE_BYTES_PER_S_MAX));
        Ok(())
    }
}

fn cost_micros(bytes: usize, per_s: u64) -> u64 {
    (bytes as u64).saturating_mul(1_000_000) / per_s
}

fn micros(ms: u64) -> u64 {
    ms.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: SessionId = SessionId(1);

    #[test]
    fn a_session_may_show_all_it_may_at_once_and_then_at_its_rate() {
        let mut shares = Shares::default();
        let piece = 64 << 10;
        let at_once = (0..100).take_while(|_| shares.charge(ME, piece, 5).is_ok());
        assert_eq!(at_once.count(), PRESENCE_BYTES_PER_SESSION_MAX / piece + 1);
        let Err(due_ms) = shares.charge(ME, piece, 5) else {
            unreachable!("it was refused before")
        };
        assert!(shares.charge(ME, piece, due_ms - 1).is_err());
        assert_eq!(shares.charge(ME, piece, due_ms), Ok(()));
        // An hour at full speed.
        let told = (0..3_600_000_u64).filter(|ms| shares.charge(ME, 100, due_ms + ms).is_ok());
        let bytes = 100 * told.count() as u64;
        assert!(bytes <= 3_601 * PRESENCE_BYTES_PER_S, "{bytes}");
    }

    #[test]
    fn debts_outlive_what_is_shown_and_are_forgotten_when_paid() {
        let mut shares = Shares::default();
        shares.give(ME, 10);
        while shares.charge(ME, 1 << 20, 0).is_ok() {}
        shares.take(ME, 10);
        shares.forget_paid(0);
        assert!(shares.charge(ME, 1, 0).is_err());
        shares.forget_paid(1_000_000);
        assert!(shares.sessions.is_empty() && shares.bytes() == 0);
    }

    #[test]
    fn who_shows_most_is_found_by_bytes_and_by_number() {
        let mut shares = Shares::default();
        let other = SessionId(2);
        shares.give(ME, 100);
        shares.give(other, 10);
        shares.give(other, 10);
        assert_eq!(shares.heaviest(), Some(ME));
        assert_eq!(shares.most_crowded(), Some((other, 2)));
        assert_eq!((shares.bytes(), shares.clients_of(ME)), (120, 1));
    }
}
