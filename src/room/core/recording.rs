//! What goes into a map's document and its log: updates as they come, and what the server itself writes.

use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Refusal, Scanned, Seq, SessionId};
use mapweave_storage::{Kind, NewRecord, Origin, Protocol};

use super::waiting::Waiter;
use super::{Core, Effects, Ticket, Writing};
use crate::room::replica::{Outcome, Refused, Written};

/// How far the log of a map has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogPosition {
    pub(super) appended: Seq,
    pub(super) durable: Seq,
    /// The first record of a new map says that it exists.
    pub(super) exists: bool,
    pub(super) records_since_snapshot: u64,
    pub(super) bytes_since_snapshot: u64,
}

impl Core {
    /// An edit that only the log could bring back after a crash is told to nobody before it is in there. Who
    /// joins meanwhile may see it early, as part of the whole state.
    pub(super) fn author(
        &mut self,
        ticket: Ticket,
        writing: Writing,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) {
        match self.replica.write(&origin.user, writing.0) {
            Ok(written) => {
                if let Some(Written { written, released }) = written {
                    self.append(Kind::Update, written.bytes().clone(), origin, fx);
                    self.forget_answers();
                    for update in std::iter::once(written).chain(released) {
                        self.cache.push(&update);
                        self.authored.push_back((self.log.appended, update));
                    }
                }
                self.wait(Waiter::Ticket(ticket), fx);
            }
            Err(refused) => {
                if let Refused::Broken { why } = &refused {
                    fx.broken = Some(why.clone());
                }
                fx.replies.push((ticket, Err(refused)));
            }
        }
    }

    /// Of several who want to make the map only the first has made it.
    pub(super) fn create(&mut self, ticket: Ticket, origin: &Arc<Origin>, fx: &mut Effects) {
        if self.log.exists {
            fx.replies.push((ticket, Err(Refused::Exists)));
        } else {
            self.ensure_exists(origin, fx);
            self.wait(Waiter::Ticket(ticket), fx);
        }
    }

    /// Applies an update and queues its record; tells whether something it builds on is missing.
    pub(super) fn take_in(
        &mut self,
        update: Scanned,
        from: Option<SessionId>,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) -> Result<bool, Refused> {
        let raw = update.bytes().clone();
        let source = from.map_or(u64::MAX, |s| s.0);
        match self.replica.receive_of(update, source, &origin.user)? {
            Outcome::Nothing => Ok(false),
            Outcome::Applied { brought, released } => {
                self.append(Kind::Update, brought.bytes().clone(), origin, fx);
                self.took_in(from, brought, released);
                Ok(false)
            }
            Outcome::Held { went_in, .. } => {
                // The record has all of it, as it came; peers hear only what has its base.
                self.append(Kind::Gapped, raw, origin, fx);
                let mut went_in = went_in.into_iter();
                if let Some(first) = went_in.next() {
                    self.took_in(from, first, went_in.collect());
                }
                Ok(true)
            }
        }
    }

    /// Notes what is new in the document, for this turn's message and those who join: what `from` brought, and
    /// what had waited for it, which is news to everyone.
    pub(super) fn took_in(
        &mut self,
        from: Option<SessionId>,
        brought: Scanned,
        released: Vec<Scanned>,
    ) {
        self.forget_answers();
        let others = released.into_iter().map(|update| (None, update));
        for (from, update) in std::iter::once((from, brought)).chain(others) {
            self.cache.push(&update);
            self.turn.push((from, update));
        }
    }

    /// The first record of a map's log says that the map exists.
    pub(super) fn ensure_exists(&mut self, origin: &Arc<Origin>, fx: &mut Effects) {
        if !self.log.exists {
            self.log.exists = true;
            // That the map is made is no record of the store that an update came from.
            let origin = &match origin.relayed {
                None => origin.clone(),
                Some(_) => Arc::new(Origin {
                    relayed: None,
                    ..Origin::clone(origin)
                }),
            };
            self.append(
                Kind::Created {
                    name: self.name.clone(),
                },
                Bytes::new(),
                origin,
                fx,
            );
        }
    }

    pub(super) fn append(
        &mut self,
        kind: Kind,
        payload: Bytes,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) {
        self.ensure_exists(origin, fx);
        self.log.appended = self.log.appended.next();
        self.log.records_since_snapshot += 1;
        self.log.bytes_since_snapshot += payload.len() as u64;
        self.update_bytes += payload.len() as u64;
        fx.append.push(NewRecord {
            kind,
            origin: origin.clone(),
            payload,
        });
    }

    /// What waited too long is out of the document for good, and the log says so: whoever replays it must do the same.
    /// Its own record stays.
    pub(super) fn give_up_held(&mut self, now_ms: u64, fx: &mut Effects) {
        let unix_ms = self.options.unix_ms_at_zero.saturating_add(now_ms);
        let expired = self
            .replica
            .expire_held(unix_ms, self.options.held_expiry_ms);
        if expired.is_empty() {
            return;
        }
        let ids: Vec<u8> = expired.iter().flat_map(|expired| expired.id).collect();
        let origin = Arc::new(Origin {
            protocol: Protocol::Server,
            ..Origin::default()
        });
        self.append(Kind::Expired, ids.into(), &origin, fx);
        fx.expired += expired.len() as u64;
        let told = expired.iter().filter_map(|expired| {
            let session = SessionId(expired.source);
            let there = self.sessions.contains_key(&session);
            Some((session, expired.number.filter(|_| there)?, Refusal::Expired))
        });
        fx.refused.extend(told);
    }
}
