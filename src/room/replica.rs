//! The server's copy of one map document: what an update goes through before anyone else sees it.
//!
//! An update is judged by the [`Ledger`] first. Only one whose base is complete reaches the yrs document, so
//! the document never holds pending parts; one that came too early is *held* here, whole, until what it
//! builds on arrives. Pure: no clock, no task, no disk. Start at [`Replica::receive`].

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use mapweave_proto::{
    ClientId, DoorError, Ledger, Outline, ScanError, Scanned, StateVector, Verdict, extend, scan,
};
use yrs::updates::decoder::Decode;

use super::coverage;
use yrs::{Doc, Options, ReadTxn, Transact, Update};

/// Most held updates, in the whole map and of one session. Their number counts beside their bytes: each is
/// judged again whenever something goes in.
#[derive(Clone, Copy, Debug)]
pub struct HeldLimits {
    /// For the map, in bytes.
    pub map_bytes_max: usize,
    /// For one source, in bytes.
    pub source_bytes_max: usize,
    /// For the map, in updates.
    pub map_updates_max: usize,
    /// For one source, in updates.
    pub source_updates_max: usize,
}

impl HeldLimits {
    /// For replay: what was held once may be held again, whatever the limits are now.
    pub const NONE: Self = Self {
        map_bytes_max: usize::MAX,
        source_bytes_max: usize::MAX,
        map_updates_max: usize::MAX,
        source_updates_max: usize::MAX,
    };
}

impl Default for HeldLimits {
    fn default() -> Self {
        Self {
            map_bytes_max: 16 << 20,
            source_bytes_max: 4 << 20,
            map_updates_max: 4_096,
            source_updates_max: 1_024,
        }
    }
}

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
    held: Vec<HeldUpdate>,
    held_bytes: usize,
    limits: HeldLimits,
}

struct HeldUpdate {
    source: u64,
    /// Its number among the updates of its source, where that counts them.
    number: Option<u64>,
    /// When it came, in milliseconds since 1970, once somebody has looked.
    since_ms: Option<u64>,
    update: Scanned,
    /// Clients whose growth may let a part of it in.
    missing: Vec<ClientId>,
}

impl HeldUpdate {
    fn bytes(&self) -> usize {
        held_bytes_of(&self.update)
    }

    fn id(&self) -> HeldId {
        let mut id = HeldId::default();
        blake3::Hasher::new()
            .update(self.update.bytes())
            .finalize_xof()
            .fill(&mut id);
        id
    }
}

/// An update that waited too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// What it is called in the log.
    pub id: HeldId,
    /// Who sent it.
    pub source: u64,
    /// Its number among what that source sent, if it was numbered.
    pub number: Option<u64>,
}

/// What a held update is called in the log: the first bytes of the BLAKE3 of its own.
pub type HeldId = [u8; HELD_ID_BYTES];

/// Length of a [`HeldId`].
pub const HELD_ID_BYTES: usize = 16;

/// What holding an update counts for: many small ones cost time and memory too.
fn held_bytes_of(update: &Scanned) -> usize {
    update.bytes().len() + HELD_OVERHEAD_BYTES
}

fn clients_of(updates: &[Scanned]) -> HashSet<ClientId> {
    let clients = updates.iter().flat_map(Scanned::clients);
    clients.map(|(client, ..)| client).collect()
}

/// Bytes that every held update counts for beside its own, so that a session's four MiB are at most some
/// thousands of updates.
const HELD_OVERHEAD_BYTES: usize = 1 << 10;

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
            held: Vec::new(),
            held_bytes: 0,
            limits,
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

    /// Clocks and the like, for questions that need no document.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Updates that wait for others, oldest first.
    pub fn held(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.held.iter().map(|h| h.update.bytes())
    }

    /// The same with the time since when each waits, in milliseconds since 1970, where that is known.
    pub fn held_since(&self) -> impl ExactSizeIterator<Item = (&Bytes, Option<u64>)> {
        self.held.iter().map(|h| (h.update.bytes(), h.since_ms))
    }

    /// Notes that those which have come since the last call wait since `now_ms`, in milliseconds since 1970.
    pub fn stamp_held(&mut self, now_ms: u64) {
        for held in &mut self.held {
            held.since_ms.get_or_insert(now_ms);
        }
    }

    /// Notes the number of what `source` sent last, if that waits.
    pub fn number_held(&mut self, source: u64, number: u64) {
        if let Some(last) = self.held.last_mut()
            && last.source == source
        {
            last.number.get_or_insert(number);
        }
    }

    /// Gives up those that have waited for `age_ms` or longer; whoever logs that, logs it by their ids.
    pub fn expire_held(&mut self, now_ms: u64, age_ms: u64) -> Vec<Expired> {
        self.stamp_held(now_ms);
        let is_old = |held: &mut HeldUpdate| {
            let since_ms = held.since_ms.unwrap_or(now_ms);
            now_ms.saturating_sub(since_ms) >= age_ms
        };
        let expired: Vec<_> = self.held.extract_if(.., is_old).collect();
        self.held_bytes -= expired.iter().map(HeldUpdate::bytes).sum::<usize>();
        expired
            .iter()
            .map(|held| Expired {
                id: held.id(),
                source: held.source,
                number: held.number,
            })
            .collect()
    }

    /// Gives up those with these ids, as the log says.
    pub fn drop_held(&mut self, ids: &HashSet<HeldId>) {
        self.held.retain(|held| !ids.contains(&held.id()));
        self.held_bytes = self.held.iter().map(HeldUpdate::bytes).sum();
    }

    /// Bytes of the updates that wait, with a KiB for each.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes in a state that another replica made of what had passed its door. Judging it again as one update
    /// could refuse what came in by many: a state has all their dependencies at once.
    ///
    /// # Errors
    /// [`Refused::Undecodable`] or [`Refused::Broken`]: it is no such state.
    pub fn restore(&mut self, state: &Scanned) -> Result<(), Refused> {
        self.apply(state.bytes())?;
        self.ledger.admit(state);
        Ok(())
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

    /// Makes the server's own edits in one transaction; what they come to, nothing if they change nothing.
    ///
    /// # Errors
    /// [`Refused::Broken`]: what was written is in the document and breaks a rule of the door.
    pub fn write(
        &mut self,
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
        self.ledger.admit(&written);
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
    fn learn_deletions(&mut self) {
        let all = self.encode_diff(&self.ledger.state_vector()).ok();
        if let Some(Ok(deletions)) = all.map(|bytes| scan(bytes, usize::MAX)) {
            self.ledger.admit(&deletions);
        }
    }

    fn take_in(&mut self, update: Scanned) -> Result<Outcome, Refused> {
        let only_deletes = self.ledger.only_deletes_are_new(&update);
        let changed = self.apply(update.bytes())?;
        self.ledger.admit(&update);
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

    fn hold(
        &mut self,
        update: Scanned,
        source: u64,
        missing: Vec<ClientId>,
    ) -> Result<Outcome, Refused> {
        let ready = scan(self.ledger.ready_part(&update)?, usize::MAX)?;
        if self.waits_already(&update, &ready) {
            return self.take_in_ready(ready).map(|went_in| {
                let mut went_in = went_in.into_iter();
                match went_in.next() {
                    Some(brought) => Outcome::Applied {
                        brought,
                        released: went_in.collect(),
                    },
                    None => Outcome::Nothing,
                }
            });
        }
        let bytes = held_bytes_of(&update);
        let of_source = self.held.iter().filter(|h| h.source == source);
        for (held, limit) in [
            (self.held.len(), self.limits.map_updates_max),
            (of_source.clone().count(), self.limits.source_updates_max),
        ] {
            if held >= limit {
                return Err(Refused::TooManyHeld { held, limit });
            }
        }
        let of_source: usize = of_source.map(HeldUpdate::bytes).sum();
        for (held_bytes, limit_bytes) in [
            (self.held_bytes, self.limits.map_bytes_max),
            (of_source, self.limits.source_bytes_max),
        ] {
            if held_bytes.saturating_add(bytes) > limit_bytes {
                return Err(Refused::HeldFull {
                    held_bytes,
                    limit_bytes,
                });
            }
        }
        let mut went_in = self.take_in_ready(ready)?;
        self.held_bytes += bytes;
        self.held.push(HeldUpdate {
            source,
            number: None,
            since_ms: None,
            update,
            missing: missing.clone(),
        });
        // What its ready part released may be what the rest of it waits for.
        let grown = clients_of(&went_in);
        went_in.extend(self.release_held(grown)?);
        Ok(Outcome::Held { missing, went_in })
    }

    /// Whether all of `update` but its `ready` part is in updates that wait. Clients send what waits in their
    /// own documents again with every sync, each time cut otherwise.
    fn waits_already(&self, update: &Scanned, ready: &Scanned) -> bool {
        let held = || self.held.iter().map(|held| &held.update);
        let ends: HashMap<ClientId, u64> = ready.clients().map(|(c, _, end)| (c, end)).collect();
        let reached = |client| {
            let ready = ends.get(&client).copied().unwrap_or(0);
            ready.max(self.ledger.clock(client))
        };
        held().any(|held| held.bytes() == update.bytes())
            || coverage::covers(held(), update, reached)
    }

    /// Applies the part of an update with a gap that has all it builds on.
    fn take_in_ready(&mut self, ready: Scanned) -> Result<Vec<Scanned>, Refused> {
        match self.ledger.judge(&ready)? {
            Verdict::Fresh | Verdict::Overlap => match self.take_in(ready)? {
                Outcome::Applied { brought, released } => {
                    Ok(std::iter::once(brought).chain(released).collect())
                }
                Outcome::Nothing | Outcome::Held { .. } => Ok(Vec::new()),
            },
            Verdict::Nothing | Verdict::Gap { .. } => Ok(Vec::new()),
        }
    }

    /// Applies what is ready now of the updates that wait, until nothing more is. Those wholly in wait no longer.
    /// Looks only at those that wait for a client that has `grown`, or grows with what goes in.
    fn release_held(&mut self, mut grown: HashSet<ClientId>) -> Result<Vec<Scanned>, Refused> {
        let mut went_in = Vec::new();
        let mut index = 0;
        while let Some(held) = self.held.get_mut(index) {
            if !held.missing.iter().any(|client| grown.contains(client)) {
                index += 1;
                continue;
            }
            let (ready, waits) = match self.ledger.judge(&held.update) {
                Ok(Verdict::Gap { missing }) => {
                    held.missing = missing.into_iter().map(|(client, _)| client).collect();
                    (self.ledger.ready_part(&held.update).ok(), true)
                }
                Ok(Verdict::Fresh) => (Some(held.update.bytes().clone()), false),
                Ok(Verdict::Overlap) => (Some(self.ledger.fresh_part(&held.update)), false),
                // What breaks a rule once its base is known is dropped here and stays in the log.
                Ok(Verdict::Nothing) | Err(_) => (None, false),
            };
            if waits {
                index += 1;
            } else {
                self.held_bytes -= self.held.remove(index).bytes();
            }
            let Some(Ok(ready)) = ready.map(|bytes| scan(bytes, usize::MAX)) else {
                continue;
            };
            if matches!(
                self.ledger.judge(&ready),
                Ok(Verdict::Fresh | Verdict::Overlap)
            ) {
                self.apply(ready.bytes())?;
                self.ledger.admit(&ready);
                grown.extend(clients_of(std::slice::from_ref(&ready)));
                went_in.push(ready);
                index = 0;
            }
        }
        Ok(went_in)
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

/// Encoded state of a map for those who join, made once and shared: a state and the updates since.
#[derive(Default)]
pub struct StateCache {
    base: Option<Outline>,
    tail: Vec<Outline>,
    tail_bytes: usize,
    joined: Option<Bytes>,
}

impl StateCache {
    /// A cache that begins with `state`.
    ///
    /// # Errors
    /// Where `state` is no update.
    pub fn new(state: Scanned) -> Self {
        Self {
            base: Some(state.outline()),
            ..Self::default()
        }
    }

    /// Notes what the document newly took in.
    pub fn push(&mut self, brought: &Scanned) {
        let Some(base) = &self.base else { return };
        self.joined = None;
        self.tail_bytes += brought.bytes().len();
        if self.tail_bytes > base.bytes().len().max(TAIL_BYTES_MIN) {
            self.clear();
        } else {
            self.tail.push(brought.clone().outline());
        }
    }

    /// Gives the memory back; the next one who joins pays for encoding.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        let part = |b: Option<&Bytes>| b.map_or(0, Bytes::len);
        part(self.base.as_ref().map(Outline::bytes)) + part(self.joined.as_ref()) + self.tail_bytes
    }

    /// The whole state of `replica` as one update.
    ///
    /// # Errors
    /// As [`Replica::encode_state`].
    pub fn state(&mut self, replica: &Replica) -> Result<Bytes, Refused> {
        if let Some(state) = self.ready() {
            return Ok(state);
        }
        let state = replica.encode_state()?;
        self.clear();
        self.base = scan(state.clone(), usize::MAX).ok().map(Scanned::outline);
        Ok(state)
    }

    /// The state if it can be told without the document.
    fn ready(&mut self) -> Option<Bytes> {
        let base = self.base.as_ref()?;
        if self.tail.is_empty() {
            return Some(base.bytes().clone());
        }
        if self.joined.is_none() {
            self.joined = extend(base, &self.tail).ok();
        }
        self.joined.clone()
    }
}

/// Below this many bytes of updates a cached state is joined with them rather than encoded anew.
const TAIL_BYTES_MIN: usize = 64 << 10;

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
