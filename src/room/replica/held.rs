//! Updates that came too early: kept whole, bounded, until what they build on comes or they have waited too long.

mod list;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use mapweave_proto::{ClientId, Scanned, Verdict, scan};

pub(super) use self::list::HeldList;
use self::list::concerned;
use super::{Outcome, Refused, Replica, clients_of};
use crate::room::coverage;

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

pub(super) struct HeldUpdate {
    pub(super) source: u64,
    /// Its number among the updates of its source, where that counts them.
    pub(super) number: Option<u64>,
    /// When it came, in milliseconds since 1970, once somebody has looked.
    pub(super) since_ms: Option<u64>,
    pub(super) update: Scanned,
    /// Clients whose structs it brings or deletes.
    concerns: Box<[ClientId]>,
    /// Clients whose growth may let a part of it in.
    pub(super) missing: Vec<ClientId>,
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
pub(super) fn held_bytes_of(update: &Scanned) -> usize {
    update.bytes().len() + HELD_OVERHEAD_BYTES
}

/// Bytes that every held update counts for beside its own, so that a session's four MiB are at most some
/// thousands of updates.
pub(super) const HELD_OVERHEAD_BYTES: usize = 1 << 10;

impl Replica {
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
        self.held.note(|held| {
            held.since_ms.get_or_insert(now_ms);
        });
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
        let expired = self.held.take_out(is_old);
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
        self.held.take_out(|held| ids.contains(&held.id()));
    }

    /// Bytes of the updates that wait, with a KiB for each.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    pub(super) fn hold(
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
            (self.held.bytes(), self.limits.map_bytes_max),
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
        self.held.push(HeldUpdate {
            source,
            number: None,
            since_ms: None,
            concerns: concerned(&update),
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
    pub(super) fn waits_already(&self, update: &Scanned, ready: &Scanned) -> bool {
        let related = self.held.related(update);
        let ends: HashMap<ClientId, u64> = ready.clients().map(|(c, _, end)| (c, end)).collect();
        let reached = |client| {
            let ready = ends.get(&client).copied().unwrap_or(0);
            ready.max(self.ledger.clock(client))
        };
        related.clone().any(|held| held.bytes() == update.bytes())
            || coverage::covers(related, update, reached)
    }

    /// Applies the part of an update with a gap that has all it builds on.
    pub(super) fn take_in_ready(&mut self, ready: Scanned) -> Result<Vec<Scanned>, Refused> {
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
    pub(super) fn release_held(
        &mut self,
        mut grown: HashSet<ClientId>,
    ) -> Result<Vec<Scanned>, Refused> {
        let mut went_in = Vec::new();
        if !self.held.awaits(&grown) {
            return Ok(went_in);
        }
        let mut index = 0;
        while let Some(held) = self.held.get(index) {
            if !held.missing.iter().any(|client| grown.contains(client)) {
                index += 1;
                continue;
            }
            let (ready, waits) = match self.ledger.judge(&held.update) {
                Ok(Verdict::Gap { missing }) => {
                    let ready = self.ledger.ready_part(&held.update).ok();
                    let missing = missing.into_iter().map(|(client, _)| client);
                    self.held.waits_for(index, missing.collect());
                    (ready, true)
                }
                Ok(Verdict::Fresh) => (Some(held.update.bytes().clone()), false),
                Ok(Verdict::Overlap) => (Some(self.ledger.fresh_part(&held.update)), false),
                // What breaks a rule once its base is known is dropped here and stays in the log.
                Ok(Verdict::Nothing) | Err(_) => (None, false),
            };
            if waits {
                index += 1;
            } else {
                self.held.remove(index);
            }
            let Some(Ok(ready)) = ready.map(|bytes| scan(bytes, usize::MAX)) else {
                continue;
            };
            if matches!(
                self.ledger.judge(&ready),
                Ok(Verdict::Fresh | Verdict::Overlap)
            ) {
                self.apply(ready.bytes())?;
                self.admit(&ready);
                grown.extend(clients_of(std::slice::from_ref(&ready)));
                went_in.push(ready);
                index = 0;
            }
        }
        Ok(went_in)
    }
}
