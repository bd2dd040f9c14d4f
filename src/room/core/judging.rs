//! What becomes of an update, by what its sender may do.
//!
//! An editor's goes into the document. A commenter's does if it writes nothing but comments of its own; one that
//! cannot be judged yet, because something that it builds on is missing, waits in memory, unlogged and unacknowledged,
//! and everything that its sender says after it waits behind it. What people send who lost their right to edit is
//! logged and kept beside the document; [`Core::decide`] is an owner's word on it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Access, ClientId, Refusal, Scanned, Seq, SessionId};
use mapweave_storage::{Kind, Origin};

use super::{Core, Effects, Ticket, Waiter};
use crate::room::replica::{Comment, Decision, Kept, Outcome, Quarantined, Refused};

/// Longest time that a commenter's update waits for what it builds on, in milliseconds; others are on their way in that
/// time, or will be asked for anew when the commenter comes back.
pub const EARLY_COMMENT_MS: u64 = 60_000;

/// Most bytes of updates that wait so, of one session and of all.
pub const EARLY_COMMENT_BYTES_MAX: usize = 1 << 20;
const EARLY_COMMENTS_BYTES_MAX: usize = 4 << 20;

/// Most updates of one session that wait so.
pub const EARLY_COMMENTS_MAX: usize = 256;

/// Updates of one commenter that wait, in their order.
#[derive(Debug)]
pub(super) struct EarlyComments {
    updates: VecDeque<(u64, Scanned)>,
    bytes: usize,
    since_ms: u64,
    /// What the first of them waits for.
    missing: Vec<(ClientId, u64)>,
}

/// What a commenter's update came to.
enum Tried {
    Settled,
    Early(Scanned, Vec<(ClientId, u64)>),
}

/// Why it came to nothing.
enum Denied {
    Refused(Refused),
    /// It is more than a comment, of somebody who could once edit: to be kept beside the map.
    Kept(Scanned),
}

/// An update with who sends it and what that one may do.
pub(super) struct Sent {
    pub(super) who: Waiter,
    pub(super) update: Scanned,
    pub(super) origin: Arc<Origin>,
    pub(super) access: Access,
}

impl Core {
    pub(super) fn update_of(
        &mut self,
        now_ms: u64,
        id: SessionId,
        number: u64,
        update: Scanned,
        fx: &mut Effects,
    ) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let sent = Sent {
            who: Waiter::Session(id, number),
            update,
            origin: session.origin.clone(),
            access: session.access,
        };
        self.sent(now_ms, sent, fx);
    }

    /// Takes in an update as far as its sender may write, and answers it.
    pub(super) fn sent(&mut self, now_ms: u64, sent: Sent, fx: &mut Effects) {
        let Sent {
            who,
            update,
            origin,
            access,
        } = sent;
        match access {
            _ if who.session().is_some_and(|id| self.early.contains_key(&id)) => {
                self.comment(now_ms, who, update, &origin, fx);
            }
            Access::ReadWrite => self.edit(who, update, &origin, fx),
            // A reader's own copy may well answer with what we have; only news is refused.
            _ if self.replica.brings_nothing(&update) => self.wait(who, fx),
            // Whoever could edit once may have done so before that right ended.
            Access::ReadOnly if self.replica.has_edited(&origin.user) => {
                self.keep(now_ms, who, update, &origin, fx);
            }
            Access::ReadOnly => self.refuse(who, Refused::ReadOnly, fx),
            _ if !self.log.exists => self.refuse(who, no_such_map(), fx),
            Access::Comment => self.comment(now_ms, who, update, &origin, fx),
            Access::Quarantine | Access::Deposit => self.keep(now_ms, who, update, &origin, fx),
        }
    }

    fn edit(&mut self, who: Waiter, update: Scanned, origin: &Arc<Origin>, fx: &mut Effects) {
        match (self.take_in(update, who.session(), origin, fx), who) {
            (Ok(missing), who) => {
                if let (true, Waiter::Session(id, number)) = (missing, &who) {
                    let (id, number) = (*id, *number);
                    self.wait(who, fx);
                    self.replica.number_held(id.0, number);
                    // The sender has what is missing, or knows who does.
                    self.ask(id, fx);
                } else {
                    self.wait(who, fx);
                }
            }
            (Err(refused), who) => self.refuse(who, refused, fx),
        }
    }

    /// Says that an update was not taken. Also where the connection has to end: what it sent behind may settle before
    /// it does.
    pub(super) fn refuse(&mut self, who: Waiter, refused: Refused, fx: &mut Effects) {
        if let Refused::Broken { why } = &refused {
            fx.broken = Some(why.clone());
        }
        match who {
            Waiter::Ticket(ticket) | Waiter::Kept(ticket) => {
                fx.replies.push((ticket, Err(refused)));
            }
            Waiter::Session(id, number) | Waiter::KeptOf(id, number) => {
                fx.refused.push((id, number, refusal(refused)));
            }
        }
    }

    fn comment(
        &mut self,
        now_ms: u64,
        who: Waiter,
        update: Scanned,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) {
        let session = who.session();
        let waits = session.is_some_and(|id| self.early.contains_key(&id));
        let tried = match waits {
            // In the order in which they were sent.
            true => Ok(Tried::Early(update, Vec::new())),
            false => self.try_comment(update, session, origin, fx),
        };
        match (tried, who) {
            (Ok(Tried::Settled), who) => self.wait(who, fx),
            (Ok(Tried::Early(update, missing)), Waiter::Session(id, number)) => {
                if !self.put_early(now_ms, id, number, update, missing) {
                    let why = "too many edits wait for earlier ones: sync again".to_owned();
                    self.refuse(Waiter::Session(id, number), Refused::Forbidden { why }, fx);
                } else if !waits {
                    self.ask(id, fx);
                }
            }
            (Ok(Tried::Early(_, missing)), who) => {
                let clients = missing.len();
                self.refuse(who, Refused::Early { clients }, fx);
            }
            (Err(Denied::Kept(update)), who) => self.keep(now_ms, who, update, origin, fx),
            (Err(Denied::Refused(refused)), who) => self.refuse(who, refused, fx),
        }
    }

    fn try_comment(
        &mut self,
        update: Scanned,
        from: Option<SessionId>,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) -> Result<Tried, Denied> {
        let Self {
            replica,
            presence,
            sessions,
            ..
        } = self;
        // Somebody else may be about to write under a client that is there and has not written yet.
        let is_taken = |client| {
            let speaker = presence
                .speaker(client)
                .filter(|speaker| Some(*speaker) != from);
            let speaker = speaker.and_then(|speaker| sessions.get(&speaker));
            speaker.is_some_and(|speaker| speaker.origin.user != origin.user)
        };
        match replica.judge_comment(&update, &origin.user, is_taken) {
            Ok(Comment::Nothing) => Ok(Tried::Settled),
            Ok(Comment::Early { missing }) => Ok(Tried::Early(update, missing)),
            Ok(Comment::Allowed) => {
                self.take_in(update, from, origin, fx)
                    .map_err(Denied::Refused)?;
                Ok(Tried::Settled)
            }
            // Whoever could edit once may have done so before that right ended.
            Err(Refused::Forbidden { .. }) if replica.has_edited(&origin.user) => {
                Err(Denied::Kept(update))
            }
            Err(refused) => Err(Denied::Refused(refused)),
        }
    }

    /// Puts an update behind those of its session that wait, if there is room.
    fn put_early(
        &mut self,
        now_ms: u64,
        id: SessionId,
        number: u64,
        update: Scanned,
        missing: Vec<(ClientId, u64)>,
    ) -> bool {
        let bytes = update.bytes().len();
        let all: usize = self.early.values().map(|early| early.bytes).sum();
        let (updates, own) = self
            .early
            .get(&id)
            .map_or((0, 0), |early| (early.updates.len(), early.bytes));
        if updates >= EARLY_COMMENTS_MAX
            || own.saturating_add(bytes) > EARLY_COMMENT_BYTES_MAX
            || all.saturating_add(bytes) > EARLY_COMMENTS_BYTES_MAX
        {
            return false;
        }
        let early = self.early.entry(id).or_insert_with(|| EarlyComments {
            updates: VecDeque::new(),
            bytes: 0,
            since_ms: now_ms,
            missing,
        });
        early.bytes += bytes;
        early.updates.push_back((number, update));
        true
    }

    /// Tries commenters' updates again whose base may have come.
    pub(super) fn retry_early(&mut self, now_ms: u64, fx: &mut Effects) {
        while let Some(id) = self.next_early(now_ms) {
            self.retry_early_of(now_ms, id, fx);
        }
    }

    /// A session of which the first update that waits may be judged now, or has waited for too long.
    fn next_early(&self, now_ms: u64) -> Option<SessionId> {
        let ledger = self.replica.ledger();
        let is_due = |(id, early): &(&SessionId, &EarlyComments)| {
            let has_come = |(client, clock): &(ClientId, u64)| ledger.clock(*client) > *clock;
            let still = self
                .sessions
                .get(id)
                .is_some_and(|s| s.access == Access::Comment);
            early.missing.iter().any(has_come) || is_overdue(early, now_ms) || !still
        };
        self.early.iter().find(is_due).map(|(id, _)| *id)
    }

    fn retry_early_of(&mut self, now_ms: u64, id: SessionId, fx: &mut Effects) {
        let (Some(mut early), Some(session)) = (self.early.remove(&id), self.sessions.get(&id))
        else {
            return;
        };
        let (origin, access) = (session.origin.clone(), session.access);
        while let Some((number, update)) = early.updates.pop_front() {
            let who = Waiter::Session(id, number);
            if access != Access::Comment {
                // Its role has changed meanwhile.
                let origin = origin.clone();
                let sent = Sent {
                    who,
                    update,
                    origin,
                    access,
                };
                self.sent(now_ms, sent, fx);
                continue;
            }
            let bytes = update.bytes().len();
            match self.try_comment(update, Some(id), &origin, fx) {
                Ok(Tried::Settled) => self.wait(who, fx),
                Ok(Tried::Early(update, _))
                    if is_overdue(&early, now_ms) && self.replica.has_edited(&origin.user) =>
                {
                    // It may build on what is kept already.
                    early.since_ms = now_ms;
                    self.keep(now_ms, who, update, &origin, fx);
                }
                Ok(Tried::Early(..)) if is_overdue(&early, now_ms) => {
                    early.since_ms = now_ms;
                    let why = "it builds on an edit that the map does not have: load the map anew";
                    let why = why.to_owned();
                    self.refuse(who, Refused::Forbidden { why }, fx);
                }
                Ok(Tried::Early(update, missing)) => {
                    early.updates.push_front((number, update));
                    early.missing = missing;
                    self.early.insert(id, early);
                    return;
                }
                Err(Denied::Kept(update)) => self.keep(now_ms, who, update, &origin, fx),
                Err(Denied::Refused(refused)) => self.refuse(who, refused, fx),
            }
            early.bytes = early.bytes.saturating_sub(bytes);
        }
    }

    /// Logs an update beside the document; who sent it hears that it is kept once that is durable.
    fn keep(
        &mut self,
        now_ms: u64,
        who: Waiter,
        update: Scanned,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) {
        match self.put_aside(now_ms, update, origin, fx) {
            Quarantined::New | Quarantined::Known => self.wait(who.kept(), fx),
            Quarantined::Rejected => {
                let why = "an owner of this map has looked at these edits and rejected them";
                let why = why.to_owned();
                self.refuse(who, Refused::Forbidden { why }, fx);
            }
            Quarantined::Full { limit, of } => {
                let why = format!(
                    "you may not edit this map any more, and no more can be kept of what you changed ({limit} {of}): keep it in a file and send that to an owner"
                );
                self.refuse(who, Refused::Forbidden { why }, fx);
            }
        }
    }

    /// Logs an update beside the document, unless it is there or there is no room for it.
    fn put_aside(
        &mut self,
        now_ms: u64,
        update: Scanned,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) -> Quarantined {
        let update = self.replica.unknown_part(update);
        let limits = self.options.quarantine;
        let quarantine = self.replica.quarantine();
        let judged = quarantine.judge(&update, &origin.user, limits);
        if let Quarantined::New = judged {
            self.append(Kind::Quarantined, update.bytes().clone(), origin, fx);
            let kept = Kept {
                seq: self.log.appended,
                origin: origin.clone(),
                since_ms: self.options.unix_ms_at_zero.saturating_add(now_ms),
                update,
            };
            self.replica.quarantine_mut().keep(kept);
            fx.quarantined += 1;
        }
        judged
    }

    /// The same for what a relay hands on.
    pub(super) fn keep_foreign(
        &mut self,
        now_ms: u64,
        update: Scanned,
        origin: &Arc<Origin>,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if self.replica.brings_nothing(&update) {
            return Ok(());
        }
        match self.put_aside(now_ms, update, origin, fx) {
            Quarantined::New | Quarantined::Known | Quarantined::Rejected => Ok(()),
            Quarantined::Full { limit, of } => Err(Refused::Forbidden {
                why: format!(
                    "{:?} may not edit any more, and no more can be kept of what they changed ({limit} {of}): an owner has to look at it first",
                    origin.user
                ),
            }),
        }
    }

    /// Carries out what an owner decides about a kept update: the decision is a record, and what is admitted becomes an
    /// edit of its author's beside it, in the same write.
    pub(super) fn decide(
        &mut self,
        ticket: Ticket,
        seq: Seq,
        decision: Decision,
        by: &Arc<Origin>,
        fx: &mut Effects,
    ) {
        let decided = match (self.replica.quarantine().get(seq).cloned(), decision) {
            (None, _) => Err(Refused::NotQuarantined { seq }),
            (Some(_), Decision::Reject) => {
                self.append(Kind::Rejected { of: seq }, Bytes::new(), by, fx);
                Ok(())
            }
            (Some(kept), Decision::Admit) => self.admit(kept, by, fx),
        };
        match decided {
            Ok(()) => {
                self.replica.quarantine_mut().decide(seq, decision);
                self.wait(Waiter::Ticket(ticket), fx);
            }
            Err(refused) => self.refuse(Waiter::Ticket(ticket), refused, fx),
        }
    }

    fn admit(&mut self, kept: Kept, by: &Arc<Origin>, fx: &mut Effects) -> Result<(), Refused> {
        let clients = self.replica.missing_of(&kept.update)?;
        if clients > 0 {
            return Err(Refused::Early { clients });
        }
        let origin = Arc::new(Origin {
            made_at_ms: kept.origin.made_at_ms.or(Some(kept.since_ms)),
            // It becomes part of the map here and now: other stores know it by this record.
            relayed: None,
            ..(*kept.origin).clone()
        });
        let admitted = Kind::Admitted { of: kept.seq };
        match self
            .replica
            .receive_of(kept.update, u64::MAX, &origin.user)?
        {
            // Everything in it has come by another way.
            Outcome::Nothing => self.append(admitted, Bytes::new(), by, fx),
            Outcome::Applied { brought, released } => {
                self.append(admitted, Bytes::new(), by, fx);
                self.append(Kind::Update, brought.bytes().clone(), &origin, fx);
                self.took_in(None, brought, released);
            }
            // Nothing is missing, as was seen above.
            Outcome::Held { .. } => {
                let why = "an admitted edit waits for others".to_owned();
                return Err(Refused::Broken { why });
            }
        }
        Ok(())
    }
}

fn is_overdue(early: &EarlyComments, now_ms: u64) -> bool {
    now_ms.saturating_sub(early.since_ms) >= EARLY_COMMENT_MS
}

fn no_such_map() -> Refused {
    Refused::Forbidden {
        why: "there is no such map yet, and only editors make one by writing to it".to_owned(),
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::HeldFull { .. } | Refused::TooManyHeld { .. } => Refusal::TooMuchHeld,
        Refused::ReadOnly => Refusal::ReadOnly,
        Refused::Forbidden { why } => Refusal::Forbidden(why),
        Refused::Kept => Refusal::Kept,
        other => Refusal::Corrupt(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
