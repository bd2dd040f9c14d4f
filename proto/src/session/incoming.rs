//! What a peer says: its frames, and the messages in them.

use bytes::Bytes;

use super::{Access, Effect, Phase, Refusal, Session, ToRoom, Turn};
use crate::awareness::AwarenessUpdate;
use crate::codec::hocuspocus::Answer;
use crate::codec::yws;
use crate::error::{CloseReason, DecodeError};
use crate::limits;
use crate::message::Message;
use crate::state_vector::StateVector;
use crate::update::{ScanError, scan};

impl Session {
    pub(super) fn frame(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        let frame_bytes_max = self.limits.update_bytes_max.saturating_add(16);
        if frame.len() > frame_bytes_max {
            let (size, size_max) = (frame.len() as u64, frame_bytes_max as u64);
            return self.close(
                CloseReason::TooLarge {
                    what: "bytes of a message",
                    size,
                    size_max,
                },
                turn,
            );
        }
        let paid_ms = self.bytes.take(turn.now_ms, frame.len() as u64);
        self.pause(paid_ms, turn);
        if self.phase == Phase::Greeting {
            self.keep(frame, turn);
        } else {
            self.messages_of(frame, turn);
        }
    }

    /// Keeps a frame until the room takes us in: a client sends as soon as its socket opens.
    fn keep(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        self.early_bytes = self.early_bytes.saturating_add(frame.len());
        self.early.push_back(frame);
        if self.early_bytes > limits::GREETING_BYTES_MAX
            || self.early.len() > limits::GREETING_FRAMES_MAX
        {
            self.close(
                CloseReason::Unavailable("the map is still loading, come back"),
                turn,
            );
        }
    }

    pub(super) fn messages_of(&mut self, frame: Bytes, turn: &mut Turn<'_>) {
        for message in yws::decode(frame) {
            if self.phase == Phase::Closing {
                return;
            }
            let paid_ms = self.messages.take(turn.now_ms, 1);
            self.pause(paid_ms, turn);
            match message {
                Ok(message) => self.message(message, turn),
                Err(DecodeError::UnknownMessage { .. }) => self.ignored += 1,
                Err(error) => self.close(close_reason(error), turn),
            }
        }
    }

    pub(super) fn addressed(&mut self, message: Message, turn: &mut Turn<'_>) {
        if self.statuses.is_some() {
            self.message(message, turn);
        } else {
            self.ignored += 1;
        }
    }

    fn message(&mut self, message: Message, turn: &mut Turn<'_>) {
        match message {
            Message::SyncStep1(vector) => match StateVector::decode(vector) {
                Ok(vector) => {
                    if let Some(statuses) = &mut self.statuses {
                        statuses.begin(&vector, self.acks.received());
                    }
                    let asked = self.asking.ask(turn.now_ms, vector);
                    self.ask(asked, turn);
                }
                Err(error) => self.close(close_reason(error), turn),
            },
            Message::SyncStep2(update) => self.update(update, true, turn),
            Message::Update(update) => self.update(update, false, turn),
            Message::Awareness(awareness) => self.awareness(awareness, turn),
            Message::QueryAwareness if self.access.reads() => turn.room(ToRoom::QueryAwareness),
            Message::DurableAck(token) => self.asked(token, turn),
            Message::Stateless(payload) if self.statuses.is_some() && self.access.reads() => {
                let paid_ms = self.texts.take(turn.now_ms, payload.len() as u64);
                self.pause(paid_ms, turn);
                turn.room(ToRoom::Stateless(payload));
            }
            Message::QueryAwareness
            | Message::AuthDenied(_)
            | Message::AuthGranted
            | Message::Stateless(_)
            | Message::Notice(_)
            | Message::Custom { .. } => self.ignored += 1,
        }
    }

    fn update(&mut self, update: Bytes, step2: bool, turn: &mut Turn<'_>) {
        let update = match scan(update, self.limits.update_bytes_max) {
            Ok(update) => update,
            Err(error) if self.statuses.is_some() => {
                turn.out.push(Effect::Answer(Answer::Refused));
                return self.tell_refused(&Refusal::Corrupt(error.to_string()), turn);
            }
            Err(ScanError::TooLarge { bytes, bytes_max }) => {
                let (size, size_max) = (bytes as u64, bytes_max as u64);
                return self.close(
                    CloseReason::TooLarge {
                        what: "bytes of an update",
                        size,
                        size_max,
                    },
                    turn,
                );
            }
            Err(error) => return self.close(CloseReason::Corrupt(error.to_string()), turn),
        };
        if self.access == Access::ReadOnly && !step2 && !update.is_empty() {
            self.acks.refuse_unnumbered();
            if self.statuses.is_some() {
                turn.out.push(Effect::Answer(Answer::Refused));
            }
            return self.tell_refused(&Refusal::ReadOnly, turn);
        }
        let number = self.acks.receive(step2);
        if let Some(statuses) = &mut self.statuses {
            statuses.receive(number, &update, step2);
        }
        turn.room(ToRoom::Update {
            number,
            update,
            step2,
        });
    }

    fn awareness(&mut self, awareness: Bytes, turn: &mut Turn<'_>) {
        let size_max = self.limits.awareness_bytes_max;
        if awareness.len() > size_max {
            let (size, size_max) = (awareness.len() as u64, size_max as u64);
            return self.close(
                CloseReason::TooLarge {
                    what: "bytes of awareness",
                    size,
                    size_max,
                },
                turn,
            );
        }
        // Everybody in the map is told, and so it is paid for more than once.
        let cost = (awareness.len() as u64).saturating_mul(limits::AWARENESS_COST);
        let paid_ms = self.bytes.take(turn.now_ms, cost);
        self.pause(paid_ms, turn);
        match AwarenessUpdate::decode(awareness) {
            Ok(update) if update.entries.is_empty() => {}
            // Nobody is shown in a map that it does not see.
            Ok(_) if !self.access.reads() => self.ignored += 1,
            Ok(update) => turn.room(ToRoom::Awareness(update)),
            Err(error) => self.close(close_reason(error), turn),
        }
    }

    /// Answers a token at once, by itself if it is covered and else with a sign of life: y-sweet's client
    /// drops a connection on which nothing comes back within three seconds.
    fn asked(&mut self, token: Bytes, turn: &mut Turn<'_>) {
        self.acks.ask(token);
        if !self.release_acks(turn) {
            self.send(yws::keepalive(), turn);
        }
    }

    pub(super) fn answered(&mut self, bytes: u64, turn: &mut Turn<'_>) {
        let cost = self.asking.answered(bytes);
        let paid_ms = self.bytes.take(turn.now_ms, cost);
        self.pause(paid_ms, turn);
        self.asking.pay_until(paid_ms);
        let asked = self.asking.next(turn.now_ms);
        self.ask(asked, turn);
    }

    /// Hands the room a sync request. A Hocuspocus provider that asks again wants to be asked again too: it counts
    /// one change as unsynced until its answer to that is durable. For the first one the room does it unbidden.
    pub(super) fn ask(&self, vector: Option<StateVector>, turn: &mut Turn<'_>) {
        let Some(vector) = vector else {
            return;
        };
        let again = self.statuses.is_some() && self.asking.answers() > 0;
        turn.room(ToRoom::SyncStep1(vector));
        if again {
            turn.room(ToRoom::AskBack);
        }
    }
}

/// Why a message that cannot be read ends the connection.
pub(super) fn close_reason(error: DecodeError) -> CloseReason {
    match error {
        DecodeError::TooLarge {
            what,
            size,
            size_max,
        } => CloseReason::TooLarge {
            what,
            size,
            size_max,
        },
        error => CloseReason::Corrupt(error.to_string()),
    }
}
