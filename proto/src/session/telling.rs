//! What a peer is told of its edits: that they are durable, or why they are refused.

use super::{Effect, Phase, Refusal, Session, Turn};
use crate::codec::hocuspocus::Answer;
use crate::codec::yws;
use crate::error::CloseReason;
use crate::message::Message;

/// What the peer was told of its edits, each once.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// That some are refused.
    refused: bool,
    /// That some are kept for an owner to decide about.
    kept: bool,
}

impl Session {
    pub(super) fn settled(&mut self, upto: u64, turn: &mut Turn<'_>) {
        self.acks.settle(upto);
        self.release_statuses(turn);
    }

    fn release_statuses(&mut self, turn: &mut Turn<'_>) {
        let (first_step2, settled) = (self.acks.first_step2(), self.acks.settled());
        if let Some(statuses) = &mut self.statuses {
            for _ in 0..statuses.release(first_step2, settled) {
                turn.out.push(Effect::Answer(Answer::Applied));
            }
        }
    }

    pub(super) fn refused(&mut self, number: u64, reason: Refusal, turn: &mut Turn<'_>) {
        self.acks.refuse(number);
        let counted = self.statuses.as_mut().map(|s| s.refuse(number));
        match (counted, reason) {
            (None, reason) => self.refused_silently(reason, turn),
            (
                Some(Ok(true)),
                reason @ (Refusal::ReadOnly
                | Refusal::Forbidden(_)
                | Refusal::Kept
                | Refusal::Corrupt(_)),
            ) => {
                turn.out.push(Effect::Answer(Answer::Refused));
                self.tell_refused(&reason, turn);
                self.release_statuses(turn);
            }
            (Some(_), Refusal::Unavailable(what)) => {
                self.close(CloseReason::Unavailable(what), turn);
            }
            // Whoever connects anew is asked for all that is missing here.
            (Some(_), _) => {
                self.close(
                    CloseReason::Unavailable("an edit could not be taken, sync again"),
                    turn,
                );
            }
        }
    }

    /// Tells of a refusal where the protocol has no word for a single update.
    fn refused_silently(&mut self, reason: Refusal, turn: &mut Turn<'_>) {
        match reason {
            Refusal::Corrupt(what) => self.close(CloseReason::Corrupt(what), turn),
            Refusal::TooMuchHeld => {
                let reason =
                    CloseReason::Unavailable("too many updates wait for missing ones, sync again");
                self.close(reason, turn);
            }
            Refusal::Unavailable(what) => self.close(CloseReason::Unavailable(what), turn),
            other => self.tell_refused(&other, turn),
        }
    }

    /// Gives the reason for people, the first time on this connection: a client that is refused one edit usually goes on
    /// to be refused the next. That edits are kept is another matter, and said by itself.
    pub(super) fn tell_refused(&mut self, refusal: &Refusal, turn: &mut Turn<'_>) {
        let Some(words) = refusal.words() else { return };
        let told = match refusal {
            Refusal::Kept => &mut self.told.kept,
            _ => &mut self.told.refused,
        };
        if std::mem::replace(told, true) {
            return;
        }
        match self.statuses {
            Some(_) => turn.out.push(Effect::Answer(Answer::Why {
                reason: words.to_owned(),
                kept: *refusal == Refusal::Kept,
            })),
            None => self.send(yws::encode(&Message::AuthDenied(words.to_owned())), turn),
        }
    }

    /// Sends the newest token that is covered, and says whether there was one.
    pub(super) fn release_acks(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.phase == Phase::Syncing && self.acks.synced() {
            self.phase = Phase::Live;
        }
        if self.phase != Phase::Live {
            return false;
        }
        let Some(token) = self.acks.answer() else {
            return false;
        };
        self.send(yws::encode(&Message::DurableAck(token)), turn);
        true
    }
}
