//! Who waits until something is durable, and is told then.

use mapweave_proto::{Refusal, Seq, SessionId};

use super::recording::LogPosition;
use super::{Core, Effects, Ticket};
use crate::room::replica::Refused;

/// Somebody, and the place in the log that has to be durable first.
pub(super) struct Waiting {
    pub(super) until: Seq,
    pub(super) who: Waiter,
}

/// Who it is.
pub(super) enum Waiter {
    Session(SessionId, u64),
    Ticket(Ticket),
    /// A session whose update is kept beside the map, and so refused.
    KeptOf(SessionId, u64),
    /// A request of which the same is true.
    Kept(Ticket),
}

impl Waiter {
    pub(super) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(session, _) | Self::KeptOf(session, _) => Some(*session),
            Self::Ticket(_) | Self::Kept(_) => None,
        }
    }

    /// The same, whose update is kept beside the map.
    pub(super) fn kept(self) -> Self {
        match self {
            Self::Session(session, number) => Self::KeptOf(session, number),
            Self::Ticket(ticket) => Self::Kept(ticket),
            kept => kept,
        }
    }
}

impl Core {
    /// `who` is told once all that is queued now is durable.
    pub(super) fn wait(&mut self, who: Waiter, fx: &mut Effects) {
        let until = self.log.appended;
        if self.waiting.is_empty() && until <= self.log.durable {
            tell(who, until, fx);
        } else {
            self.waiting.push_back(Waiting { until, who });
        }
    }

    /// The oldest `records` of those on their way are durable: whoever waited for them hears so, and what the server wrote
    /// itself is told.
    pub(super) fn durable(&mut self, records: u64, last: Seq, fx: &mut Effects) {
        self.log.durable = Seq(self.log.durable.0 + records);
        if self.log.durable != last || last > self.log.appended {
            let LogPosition {
                durable, appended, ..
            } = self.log;
            fx.broken = Some(format!(
                "the log is at {last}, the room counted {durable} of {appended}"
            ));
            return;
        }
        let durable = self.log.durable;
        while let Some((_, update)) = self.authored.pop_front_if(|(seq, _)| *seq <= durable) {
            self.turn.push((None, update));
        }
        self.tell_updates(fx);
        while let Some(first) = self.waiting.front() {
            if first.until > self.log.durable {
                break;
            }
            if let Some(Waiting { until, who }) = self.waiting.pop_front()
                && self.is_there(&who)
            {
                tell(who, until, fx);
            }
        }
    }

    /// Whether somebody who waits can still be told: a connection may have ended meanwhile.
    fn is_there(&self, who: &Waiter) -> bool {
        match who {
            Waiter::Session(session, _) | Waiter::KeptOf(session, _) => {
                self.sessions.contains_key(session)
            }
            Waiter::Ticket(_) | Waiter::Kept(_) => true,
        }
    }
}

fn tell(who: Waiter, at: Seq, fx: &mut Effects) {
    match who {
        Waiter::Session(session, number) => fx.settled.push((session, number)),
        Waiter::Ticket(ticket) => fx.replies.push((ticket, Ok(at))),
        Waiter::KeptOf(session, number) => fx.refused.push((session, number, Refusal::Kept)),
        Waiter::Kept(ticket) => fx.replies.push((ticket, Err(Refused::Kept))),
    }
}
