//! The server's copy of one map document: what an update goes through before anyone else sees it.
//!
//! An update is judged by the [`Ledger`] first. Only one whose base is complete reaches the yrs document, so
//! the document never holds pending parts; one that came too early is *held* here, whole, until what it
//! builds on arrives. Pure: no clock, no task, no disk. Start at [`Replica::receive`].

mod cache;
mod comments;
mod held;
mod owners;
mod quarantine;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use mapweave_proto::{
    ClientId, DoorError, Ledger, ScanError, Scanned, Seq, StateVector, Verdict, scan,
};
use yrs::updates::decoder::Decode;
use yrs::{Doc, Options, ReadTxn, Transact, Update};

pub use cache::StateCache;
pub use comments::Comment;
use held::HeldList;
pub use held::{Expired, HELD_ID_BYTES, HeldId, HeldLimits};
pub use owners::Owners;
pub use quarantine::{Decision, Kept, Quarantine, QuarantineLimits, Quarantined, REJECTED_MAX};

/// What became of an update.
#[derive(Debug)]
pub enum Outcome {
    /// It brought nothing that was not there.
    Nothing,
    /// It is part of the document now.
    Applied {
        /// What it newly brought.
        brought: Scanned,
        /// What had waited for it, in the order in which it went in after it.
        released: Vec<Scanned>,
    },
    /// Something that a part of it builds on is missing: kept whole until that comes.
    Held {
        /// Clients of which earlier changes are missing.
        missing: Vec<ClientId>,
        /// The part that went in at once, and what had waited for it, in order.
        went_in: Vec<Scanned>,
    },
}

/// What the server's own edits came to.
#[derive(Debug)]
pub struct Written {
    /// The edits.
    pub written: Scanned,
    /// What had waited for them, in the order in which it went in after them.
    pub released: Vec<Scanned>,
}

/// Why an update, or a request to make the map, was not taken. The replica is as it was, except after [`Refused::Broken`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It breaks a rule of the door.
    #[error("the update is refused: {0}")]
    Door(#[from] DoorError),
    /// yrs cannot read what the scanner let through.
    #[error("the update cannot be decoded: {why}")]
    Undecodable {
        /// What the decoder said.
        why: String,
    },
    /// Too much waits for missing updates already.
    #[error(
        "{held_bytes} bytes of updates wait for others that never came, the limit is {limit_bytes}: sync from the start"
    )]
    HeldFull {
        /// Bytes that wait already.
        held_bytes: usize,
        /// Which limit was reached, in bytes.
        limit_bytes: usize,
    },
    /// Too many updates wait for missing ones already.
    #[error(
        "{held} updates wait for others that never came, the limit is {limit}: sync from the start"
    )]
    TooManyHeld {
        /// Updates that wait already.
        held: usize,
        /// Which limit was reached, in updates.
        limit: usize,
    },
    /// Whoever sent it may only read, and it brings something.
    #[error("you may only read this map")]
    ReadOnly,
    /// Whoever sent it may not make this edit.
    #[error("{why}")]
    Forbidden {
        /// Which, and why.
        why: String,
    },
    /// Whoever sent it may not edit any more. It is kept, durably, until an owner decides about it.
    #[error(
        "you may not edit this map any more: what you changed is not part of it, and is kept for an owner to decide about"
    )]
    Kept,
    /// It cannot be judged before what it builds on is there.
    #[error(
        "the update builds on edits that the map does not have (of {clients} clients): send those with it, or first"
    )]
    Early {
        /// How many clients wrote them.
        clients: usize,
    },
    /// No edit of this name waits for a decision.
    #[error("no edit {seq} waits in quarantine: it was decided about, or never was there")]
    NotQuarantined {
        /// The name asked for.
        seq: Seq,
    },
    /// A map that was to be made is there already.
    #[error("the map exists already")]
    Exists,
    /// The document did not survive the update: drop this replica and load it anew.
    #[error("the document could not take the update: {why}")]
    Broken {
        /// What went wrong inside.
        why: String,
    },
}

/// A map document, its ledger and the updates that wait.
pub struct Replica {
    doc: Doc,
    ledger: Ledger,
    held: HeldList,
    limits: HeldLimits,
    /// The ledger has heard of the deletions that yrs made by itself.
    deletions_known: bool,
    owners: Owners,
    quarantine: Quarantine,
}

fn clients_of(updates: &[Scanned]) -> HashSet<ClientId> {
    let clients = updates.iter().flat_map(Scanned::clients);
    clients.map(|(client, ..)| client).collect()
}

impl Replica {
    /// An empty document. Every load gets a client id of its own, so that no id is ever used twice.
    pub fn new(limits: HeldLimits) -> Self {
        // What formatting clean-up deletes would be the server's own edits; peers do that themselves.
        // Positions in text are counted as browsers count them.
        let options = Options {
            cleanup_formatting: false,
            offset_kind: yrs::OffsetKind::Utf16,
            ..Options::default()
        };
        let doc = Doc::with_options(options);
        Self {
            doc,
            ledger: Ledger::default(),
            held: HeldList::default(),
            limits,
            deletions_known: false,
            owners: Owners::default(),
            quarantine: Quarantine::default(),
        }
    }

    /// Bounds what may wait from now on.
    pub fn set_limits(&mut self, limits: HeldLimits) {
        self.limits = limits;
    }

    /// The document. Write to it only through [`Replica::receive`].
    pub fn doc(&self) -> &Doc {
        &self.doc
    }

    /// Edits that wait for an owner to decide about them.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// The same, to be changed as the log says.
    pub fn quarantine_mut(&mut self) -> &mut Quarantine {
        &mut self.quarantine
    }

    /// Of how many clients earlier changes are missing that `update` builds on.
    ///
    /// # Errors
    /// Where it must not be applied at all.
    pub fn missing_of(&self, update: &Scanned) -> Result<usize, Refused> {
        match self.ledger.judge(update)? {
            // A gap may be a hole in the update alone.
            Verdict::Gap { missing } => Ok(missing.len().max(1)),
            Verdict::Nothing | Verdict::Fresh | Verdict::Overlap => Ok(0),
        }
    }

    /// What of `update` is not here, gaps and all.
    pub fn unknown_part(&self, update: Scanned) -> Scanned {
        scan(self.ledger.fresh_part(&update), usize::MAX).unwrap_or(update)
    }

    /// Clocks and the like, for questions that need no document.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes in a state that another replica made of what had passed its door. Judging it again as one update
    /// could refuse what came in by many: a state has all their dependencies at once.
    ///
    /// # Errors
    /// [`Refused::Undecodable`] or [`Refused::Broken`]: it is no such state.
    pub fn restore(&mut self, state: &Scanned) -> Result<(), Refused> {
        self.apply(state.bytes())?;
        self.admit(state);
        Ok(())
    }

    /// As [`Replica::receive`], and puts clients that nobody had written under down to `user`, whose edit it is.
    ///
    /// # Errors
    /// As [`Replica::receive`].
    pub fn receive_of(
        &mut self,
        update: Scanned,
        source: u64,
        user: &str,
    ) -> Result<Outcome, Refused> {
        if user.is_empty() {
            return self.receive(update, source);
        }
        let unused = self.unused_clients(&update);
        let outcome = self.receive(update, source)?;
        // As the record says that is made of it: whoever replays that comes to the same.
        let recorded: HashSet<ClientId> = match &outcome {
            Outcome::Nothing => HashSet::new(),
            Outcome::Applied { brought, .. } => clients_of(std::slice::from_ref(brought)),
            Outcome::Held { .. } => unused.iter().copied().collect(),
        };
        for client in unused.iter().filter(|client| recorded.contains(client)) {
            self.owners.claim(*client, user);
        }
        Ok(outcome)
    }

    /// Takes in an update from `source` (a number that stands for the sender; equal for all its updates).
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed, except after [`Refused::Broken`].
    pub fn receive(&mut self, update: Scanned, source: u64) -> Result<Outcome, Refused> {
        match self.ledger.judge(&update)? {
            Verdict::Nothing => Ok(Outcome::Nothing),
            Verdict::Gap { missing } => {
                let missing = missing.into_iter().map(|(client, _)| client).collect();
                self.hold(update, source, missing)
            }
            Verdict::Fresh => self.take_in(update),
            Verdict::Overlap => match scan(self.ledger.fresh_part(&update), usize::MAX) {
                Ok(part) => self.take_in(part),
                Err(error) => Err(Refused::Undecodable {
                    why: error.to_string(),
                }),
            },
        }
    }

    /// Makes the server's own edits for `user` in one transaction; what they come to, nothing if they change nothing.
    ///
    /// # Errors
    /// [`Refused::Broken`]: what was written is in the document and breaks a rule of the door.
    pub fn write(
        &mut self,
        user: &str,
        edit: impl FnOnce(&mut yrs::TransactionMut<'_>),
    ) -> Result<Option<Written>, Refused> {
        let broken = |why: String| Refused::Broken { why };
        let doc = &self.doc;
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut txn = doc.transact_mut();
            edit(&mut txn);
            txn.has_changes().then(|| txn.encode_update_v1())
        }));
        let Some(bytes) = attempt.map_err(|panic| broken(panic_text(&*panic)))? else {
            return Ok(None);
        };
        let written = scan(bytes.into(), usize::MAX).map_err(|error| broken(error.to_string()))?;
        match self.ledger.judge(&written) {
            Ok(Verdict::Fresh | Verdict::Overlap) => {}
            Ok(Verdict::Nothing) => return Ok(None),
            Ok(Verdict::Gap { .. }) => {
                return Err(broken("an own edit builds on nothing".to_owned()));
            }
            Err(error) => return Err(broken(error.to_string())),
        }
        for client in self.unused_clients(&written) {
            self.owners.claim(client, user);
        }
        self.admit(&written);
        let released = self.release_held(clients_of(std::slice::from_ref(&written)))?;
        Ok(Some(Written { written, released }))
    }

    /// Whether `update` holds nothing that is not here already.
    pub fn brings_nothing(&mut self, update: &Scanned) -> bool {
        if matches!(
            self.ledger.judge(update),
            Ok(Verdict::Overlap | Verdict::Fresh)
        ) && self.ledger.only_deletes_are_new(update)
        {
            self.learn_deletions();
        }
        matches!(self.ledger.judge(update), Ok(Verdict::Nothing))
    }

    /// Tells the ledger of the deletions that yrs made by itself, as the losers of concurrent writes.
    /// Says whether it could have learned any; looks at the document once for each state of it.
    fn learn_deletions(&mut self) -> bool {
        if self.deletions_known {
            return false;
        }
        let all = self.encode_diff(&self.ledger.state_vector()).ok();
        if let Some(Ok(deletions)) = all.map(|bytes| scan(bytes, usize::MAX)) {
            self.ledger.admit(&deletions);
        }
        self.deletions_known = true;
        true
    }

    fn admit(&mut self, update: &Scanned) {
        self.ledger.admit(update);
        self.deletions_known = false;
    }

    fn take_in(&mut self, update: Scanned) -> Result<Outcome, Refused> {
        let only_deletes = self.ledger.only_deletes_are_new(&update);
        let changed = self.apply(update.bytes())?;
        self.admit(&update);
        let released = self.release_held(clients_of(std::slice::from_ref(&update)))?;
        // Deletions that yrs had made by itself, as the loser of two writes, are no news to anyone.
        Ok(if only_deletes && !changed {
            Outcome::Nothing
        } else {
            Outcome::Applied {
                brought: update,
                released,
            }
        })
    }

    fn apply(&self, bytes: &[u8]) -> Result<bool, Refused> {
        let broken = |why: String| Refused::Broken { why };
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let update = Update::decode_v1(bytes)
                .map_err(|e| Refused::Undecodable { why: e.to_string() })?;
            let mut txn = self.doc.transact_mut();
            txn.apply_update(update)
                .map_err(|e| broken(e.to_string()))?;
            Ok(txn.has_changes())
        }));
        attempt.unwrap_or_else(|panic| Err(broken(panic_text(&*panic))))
    }

    /// The whole document as one update, without what is held.
    ///
    /// # Errors
    /// [`Refused::Broken`] where yrs cannot encode its own document.
    pub fn encode_state(&self) -> Result<Bytes, Refused> {
        self.encode_diff(&StateVector::default())
    }

    /// What somebody with the state vector `have` lacks, with all deletions. An empty vector asks for all.
    ///
    /// # Errors
    /// As [`Replica::encode_state`].
    pub fn encode_diff(&self, have: &StateVector) -> Result<Bytes, Refused> {
        let clock = |c: u64| u32::try_from(c).unwrap_or(u32::MAX);
        let vector: yrs::StateVector = have
            .iter()
            .map(|(client, c)| (yrs::block::ClientID::new(client.0), clock(c)))
            .collect();
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            self.doc.transact().encode_diff_v1(&vector)
        }));
        attempt.map(Bytes::from).map_err(|panic| Refused::Broken {
            why: panic_text(&*panic),
        })
    }
}

/// What [`scan`] found wrong, as a refusal.
impl From<ScanError> for Refused {
    fn from(error: ScanError) -> Self {
        Self::Undecodable {
            why: error.to_string(),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests;
