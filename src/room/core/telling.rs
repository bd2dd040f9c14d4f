//! What everyone hears: the updates of a turn as one message, and presence at its own pace.

use bytes::Bytes;
use mapweave_proto::{AwarenessUpdate, Message, Scanned, concat};

use super::{Audience, Broadcast, Core, Effects};
use crate::room::peer::Outgoing;

pub(super) fn awareness(update: &AwarenessUpdate) -> Outgoing {
    Outgoing::new(Message::Awareness(update.encode()))
}

/// Sends an application's text to all, its sender among them: nothing of it stays here.
pub(super) fn tell_everyone(payload: String, fx: &mut Effects) {
    fx.broadcast.push(Broadcast {
        message: Outgoing::new(Message::Stateless(payload)),
        except: None,
        audience: Audience::All,
    });
}

/// How long presence changes are collected after some were told, in milliseconds: a hundred people who move
/// their cursors become one message a turn rather than a hundred.
pub const PRESENCE_EVERY_MS: u64 = 5;

impl Core {
    pub(super) fn tell_updates(&mut self, fx: &mut Effects) {
        let turn = std::mem::take(&mut self.turn);
        let Some((first, _)) = turn.first() else {
            return;
        };
        // The one who said all of it need not hear it; among several, an echo does no harm.
        let except = first.filter(|_| turn.iter().all(|(from, _)| from == first));
        let parts: Vec<&Scanned> = turn.iter().map(|(_, update)| update).collect();
        let mut say = |bytes: Bytes, except| {
            let message = Outgoing::new(Message::Update(bytes));
            fx.broadcast.push(Broadcast {
                message,
                except,
                audience: Audience::Synced,
            });
        };
        match parts.as_slice() {
            [only] => say(only.bytes().clone(), except),
            several => match concat(several) {
                Ok(joined) => say(joined, except),
                Err(_) => turn
                    .iter()
                    .for_each(|(from, update)| say(update.bytes().clone(), *from)),
            },
        }
    }

    pub(super) fn tell_presence(&mut self, now_ms: u64, fx: &mut Effects) {
        if self.presence_due_ms().is_none_or(|due| due > now_ms) {
            return;
        }
        self.presence_told_ms = Some(now_ms);
        fx.presence_gave_way += self.presence.take_gave_way();
        for piece in self.presence.take_changes(now_ms) {
            self.see_people(now_ms, &piece);
            fx.broadcast.push(Broadcast {
                message: awareness(&piece),
                except: None,
                audience: Audience::All,
            });
        }
    }

    fn see_people(&mut self, now_ms: u64, told: &AwarenessUpdate) {
        for entry in &told.entries {
            let Some((owner, state)) = self.presence.shown(entry.client) else {
                self.people.see_go(now_ms, entry.client);
                continue;
            };
            let session = self.sessions.get(&owner);
            let user = session.map_or("", |session| &session.origin.user);
            self.people.see(now_ms, entry.client, state.name(), user);
        }
    }

    /// When presence has to be told, if there is anything to tell: call [`Core::end_turn`] then.
    pub fn presence_due_ms(&self) -> Option<u64> {
        let told_ms = self.presence_told_ms;
        let paced_ms = told_ms.map_or(0, |told| told.saturating_add(PRESENCE_EVERY_MS));
        Some(self.presence.due_ms()?.max(paced_ms))
    }
}
