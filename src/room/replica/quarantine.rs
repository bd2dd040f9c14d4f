//! Edits of people whose right to edit was taken back, kept beside the map until an owner decides about each.
//!
//! Nothing here is part of the document. A record of the log stands behind every one of them, and behind every
//! decision, so that replaying the log leads to the same. Pure. Start at [`Quarantine`].

use std::collections::VecDeque;
use std::sync::Arc;

use mapweave_proto::{Scanned, Seq};
use mapweave_storage::Origin;

use super::held::HeldId;
use crate::room::coverage;

/// How much is kept for owners to decide about. Nobody's right is taken back often: this holds the days in the field
/// of a crew, and no flood.
#[derive(Clone, Copy, Debug)]
pub struct QuarantineLimits {
    /// Of a map, in bytes.
    pub map_bytes_max: usize,
    /// Of one person in a map, in bytes.
    pub person_bytes_max: usize,
    /// Of a map, in updates.
    pub map_updates_max: usize,
    /// Of one person in a map, in updates.
    pub person_updates_max: usize,
}

impl Default for QuarantineLimits {
    fn default() -> Self {
        Self {
            map_bytes_max: 16 << 20,
            person_bytes_max: 4 << 20,
            map_updates_max: 1_024,
            person_updates_max: 256,
        }
    }
}

/// Rejected updates that are remembered, so that a client that comes back with one again and again is told so.
pub const REJECTED_MAX: usize = 4_096;

/// An update that waits for a decision.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The place of its record in the log, which is what it is called.
    pub seq: Seq,
    /// Who sent it.
    pub origin: Arc<Origin>,
    /// When it came, in milliseconds since 1970.
    pub since_ms: u64,
    /// What of it the map did not have when it came (v1).
    pub update: Scanned,
}

/// What is to become of a kept update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is applied, as its author's edit.
    Admit,
    /// It is not, and comes no more.
    Reject,
}

/// What an update is to the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantined {
    /// To be kept.
    New,
    /// All of it is kept already.
    Known,
    /// An owner has rejected it.
    Rejected,
    /// There is no room for it: which limit, in bytes or updates, and whether it is the person's or the map's.
    Full {
        /// The limit.
        limit: usize,
        /// What is limited.
        of: &'static str,
    },
}

/// Updates that wait for a decision, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Quarantine {
    kept: Vec<Kept>,
    rejected: VecDeque<HeldId>,
}

impl Quarantine {
    /// Says what `update` of `user` is; changes nothing.
    pub fn judge(&self, update: &Scanned, user: &str, limits: QuarantineLimits) -> Quarantined {
        let of_user = || self.kept.iter().filter(|kept| kept.origin.user == user);
        let is_same = |kept: &Kept| kept.update.bytes() == update.bytes();
        if of_user().any(is_same) || covered(of_user(), update) {
            return Quarantined::Known;
        }
        if self.rejected.contains(&id_of(update)) {
            return Quarantined::Rejected;
        }
        // What it makes superfluous gives its place back.
        let stays = |kept: &&Kept| kept.origin.user != user || !covers(update, &kept.update);
        let sums = |kept: &mut dyn Iterator<Item = &Kept>| {
            kept.fold((1, update.bytes().len()), |(updates, bytes), kept| {
                (updates + 1, bytes.saturating_add(kept.update.bytes().len()))
            })
        };
        let (map_updates, map_bytes) = sums(&mut self.kept.iter().filter(stays));
        let (updates, bytes) = sums(&mut of_user().filter(stays));
        let bounds = [
            (
                bytes,
                limits.person_bytes_max,
                "bytes of one person's edits",
            ),
            (updates, limits.person_updates_max, "edits of one person"),
            (map_bytes, limits.map_bytes_max, "bytes of edits in a map"),
            (map_updates, limits.map_updates_max, "edits in a map"),
        ];
        let full = bounds.into_iter().find(|(size, limit, _)| size > limit);
        full.map_or(Quarantined::New, |(_, limit, of)| Quarantined::Full {
            limit,
            of,
        })
    }

    /// Keeps an update. Older ones of the same person that say nothing beside it go.
    pub fn keep(&mut self, kept: Kept) {
        let user = &kept.origin.user;
        self.kept
            .retain(|older| older.origin.user != *user || !covers(&kept.update, &older.update));
        self.kept.push(kept);
    }

    /// The update at `seq`, if one waits there.
    pub fn get(&self, seq: Seq) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.seq == seq)
    }

    /// Takes the update at `seq` out, as decided.
    pub fn decide(&mut self, seq: Seq, decision: Decision) -> Option<Kept> {
        let place = self.kept.iter().position(|kept| kept.seq == seq)?;
        let kept = self.kept.remove(place);
        if decision == Decision::Reject {
            self.remember_rejected(id_of(&kept.update));
        }
        Some(kept)
    }

    /// Those that wait, oldest first.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Names of rejected updates, oldest first.
    pub fn rejected(&self) -> impl ExactSizeIterator<Item = &HeldId> {
        self.rejected.iter()
    }

    /// Notes a rejected update.
    pub fn remember_rejected(&mut self, id: HeldId) {
        if self.rejected.len() >= REJECTED_MAX {
            self.rejected.pop_front();
        }
        self.rejected.push_back(id);
    }

    /// Bytes of what waits.
    pub fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.update.bytes().len()).sum()
    }
}

fn id_of(update: &Scanned) -> HeldId {
    let mut id = HeldId::default();
    blake3::Hasher::new()
        .update(update.bytes())
        .finalize_xof()
        .fill(&mut id);
    id
}

/// Whether everything that `older` says, `newer` says too.
fn covers(newer: &Scanned, older: &Scanned) -> bool {
    coverage::covers(std::iter::once(newer), older, |_| 0)
}

fn covered<'a>(kept: impl Iterator<Item = &'a Kept> + Clone, update: &Scanned) -> bool {
    coverage::covers(kept.map(|kept| &kept.update), update, |_| 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave_proto::scan;
    use yrs::{Doc, Map, ReadTxn, StateVector, Transact};

    use super::*;

    fn kept(seq: u64, user: &str, update: &Scanned) -> Kept {
        let origin = Origin {
            user: user.to_owned(),
            ..Origin::default()
        };
        Kept {
            seq: Seq(seq),
            origin: Arc::new(origin),
            since_ms: 0,
            update: update.clone(),
        }
    }

    fn edit(doc: &Doc, key: &str) -> Scanned {
        let map = doc.get_or_insert_map("feat");
        let mut txn = doc.transact_mut();
        map.insert(&mut txn, key, 1);
        scan(txn.encode_update_v1().into(), usize::MAX).unwrap()
    }

    fn whole(doc: &Doc) -> Scanned {
        let state = doc.transact().encode_diff_v1(&StateVector::default());
        scan(state.into(), usize::MAX).unwrap()
    }

    const LIMITS: QuarantineLimits = QuarantineLimits {
        map_bytes_max: 1_000,
        person_bytes_max: 500,
        map_updates_max: 3,
        person_updates_max: 2,
    };

    #[test]
    fn what_is_kept_already_is_known_however_it_is_cut() {
        let doc = Doc::with_client_id(7);
        let edits = [edit(&doc, "a"), edit(&doc, "b")];
        let mut quarantine = Quarantine::default();
        quarantine.keep(kept(1, "ana", &edits[0]));
        assert_eq!(
            quarantine.judge(&edits[0], "ana", LIMITS),
            Quarantined::Known
        );
        assert_eq!(quarantine.judge(&edits[0], "ben", LIMITS), Quarantined::New);
        quarantine.keep(kept(2, "ana", &edits[1]));
        assert_eq!(
            quarantine.judge(&whole(&doc), "ana", LIMITS),
            Quarantined::Known
        );
        edit(&doc, "c");
        assert_eq!(
            quarantine.judge(&whole(&doc), "ana", LIMITS),
            Quarantined::New
        );
        quarantine.keep(kept(3, "ana", &whole(&doc)));
        let seqs: Vec<Seq> = quarantine.kept().iter().map(|kept| kept.seq).collect();
        assert_eq!(seqs, [Seq(3)], "it says all that the older ones say");
    }

    #[test]
    fn what_was_rejected_is_not_kept_again() {
        let doc = Doc::with_client_id(7);
        let edits = [edit(&doc, "a"), edit(&doc, "b")];
        let mut quarantine = Quarantine::default();
        quarantine.keep(kept(1, "ana", &edits[0]));
        assert!(quarantine.decide(Seq(2), Decision::Reject).is_none());
        assert!(quarantine.decide(Seq(1), Decision::Reject).is_some());
        assert_eq!(
            quarantine.judge(&edits[0], "ana", LIMITS),
            Quarantined::Rejected
        );
        assert_eq!(quarantine.judge(&edits[1], "ana", LIMITS), Quarantined::New);
        for number in 0..=REJECTED_MAX as u128 {
            quarantine.remember_rejected(number.to_le_bytes());
        }
        assert_eq!(quarantine.rejected().len(), REJECTED_MAX);
        assert_eq!(quarantine.judge(&edits[0], "ana", LIMITS), Quarantined::New);
    }

    #[test]
    fn the_quarantine_is_bounded_for_a_person_and_for_a_map() {
        let mut quarantine = Quarantine::default();
        let docs: Vec<Doc> = (1..9).map(Doc::with_client_id).collect();
        let of = |index: usize| edit(&docs[index], "a");
        quarantine.keep(kept(1, "ana", &of(0)));
        quarantine.keep(kept(2, "ana", &of(1)));
        let full = |limit, of| Quarantined::Full { limit, of };
        let update = of(2);
        assert_eq!(
            quarantine.judge(&update, "ana", LIMITS),
            full(2, "edits of one person")
        );
        quarantine.keep(kept(3, "ben", &of(3)));
        assert_eq!(
            quarantine.judge(&update, "cleo", LIMITS),
            full(3, "edits in a map")
        );
        quarantine.decide(Seq(1), Decision::Admit);
        assert_eq!(quarantine.judge(&update, "cleo", LIMITS), Quarantined::New);
        let large = edit(&docs[5], &"k".repeat(600));
        let bytes = "bytes of one person's edits";
        assert_eq!(quarantine.judge(&large, "cleo", LIMITS), full(500, bytes));
    }
}
