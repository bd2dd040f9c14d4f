//! The edits that overlay one feature, by target, and the rule for which of several shows (`map-document` §6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use yrs::Any;

use super::schema::{Key, Raw, Root, entry};

/// `seen` is a sum modulo this.
const SEEN_MODULUS: u64 = 1 << 31;

/// A well-formed entry: what one session wrote for one target.
#[derive(Clone, Debug)]
pub(super) struct Entry<'k> {
    pub(super) sid: &'k str,
    pub(super) t: u64,
    items: Arc<[Any]>,
}

impl Entry<'_> {
    /// What follows the time; empty where the entry says "removed".
    pub(super) fn payload(&self) -> &[Any] {
        self.items.get(1..).unwrap_or_default()
    }
}

/// All entries of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot<'k> {
    pub(super) entries: Vec<Entry<'k>>,
    /// Sessions whose entries are ignored.
    pub(super) malformed: Vec<&'k str>,
}

impl<'k> Slot<'k> {
    /// An entry with payload before an empty one, then the greatest time, then the greatest session id.
    pub(super) fn winner(&self) -> Option<&Entry<'k>> {
        self.entries
            .iter()
            .max_by_key(|entry| (!entry.payload().is_empty(), entry.t, entry.sid))
    }

    /// The value of the winner: `None` without entries, `Some(None)` where it says "removed".
    pub(super) fn value(&self) -> Option<Option<&Any>> {
        self.winner().map(|winner| winner.payload().first())
    }

    /// The greatest time among the entries.
    pub(super) fn latest(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.t).max()
    }

    /// Everyone who has an entry here, malformed ones too.
    pub(super) fn sids(&self) -> impl Iterator<Item = &'k str> {
        self.entries
            .iter()
            .map(|entry| entry.sid)
            .chain(self.malformed.iter().copied())
    }
}

/// Slots by target, in byte order.
pub(super) type Targets<'k> = BTreeMap<&'k str, Slot<'k>>;

/// Everything that overlays one feature.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlays<'k> {
    targets: [Targets<'k>; 6],
    texts: BTreeMap<&'k str, Vec<(&'k str, Arc<str>)>>,
    malformed_texts: BTreeSet<&'k str>,
}

impl<'k> Overlays<'k> {
    /// Adds what lies under one key, whose fields are given.
    pub(super) fn add(&mut self, root: Root, key: Key<'k>, raw: &Raw) {
        let Some(targets) = self.targets.get_mut(root as usize) else {
            match raw {
                Raw::Text(text) => self
                    .texts
                    .entry(key.target)
                    .or_default()
                    .push((key.sid, text.clone())),
                _ => self.malformed_texts.extend([key.target]),
            }
            return;
        };
        let slot = targets.entry(key.target).or_default();
        match entry(root, key.target, raw) {
            Some((t, items)) => slot.entries.push(Entry {
                sid: key.sid,
                t,
                items,
            }),
            None => slot.malformed.push(key.sid),
        }
    }

    /// The slots of one root; none for [`Root::Text`].
    pub(super) fn targets(&self, root: Root) -> impl Iterator<Item = (&'k str, &Slot<'k>)> {
        self.targets
            .get(root as usize)
            .into_iter()
            .flatten()
            .map(|(target, slot)| (*target, slot))
    }

    /// The slots whose target starts with `prefix`, in byte order.
    pub(super) fn targets_from(
        &self,
        root: Root,
        prefix: &str,
    ) -> impl Iterator<Item = (&'k str, &Slot<'k>)> {
        let slots = self.targets.get(root as usize);
        let range = slots.map(|slots| {
            slots.range::<str, _>((
                std::ops::Bound::Included(prefix),
                std::ops::Bound::Unbounded,
            ))
        });
        let matching = range
            .into_iter()
            .flatten()
            .take_while(move |(target, _)| target.starts_with(prefix));
        // `take_while` holds on to the prefix; the items do not.
        matching
            .map(|(target, slot)| (*target, slot))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The slot of one target.
    pub(super) fn slot(&self, root: Root, target: &str) -> Option<&Slot<'k>> {
        self.targets.get(root as usize)?.get(target)
    }

    /// The slots of one root, taken out.
    pub(super) fn into_targets(self, root: Root) -> Targets<'k> {
        self.targets
            .into_iter()
            .nth(root as usize)
            .unwrap_or_default()
    }

    /// Texts by property name, each with its session.
    pub(super) fn texts(&self) -> &BTreeMap<&'k str, Vec<(&'k str, Arc<str>)>> {
        &self.texts
    }

    /// Everyone who has a text under a name, in order.
    pub(super) fn sids_of_text(&self, name: &str) -> Vec<&'k str> {
        let texts = self.texts.get(name).into_iter().flatten();
        texts.map(|(sid, _)| *sid).collect()
    }

    /// Names under which something other than a text lies in `text`.
    pub(super) fn malformed_texts(&self) -> &BTreeSet<&'k str> {
        &self.malformed_texts
    }

    /// Whether nothing overlays the feature.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.iter().all(BTreeMap::is_empty)
            && self.texts.is_empty()
            && self.malformed_texts.is_empty()
    }

    /// Sum of the times of all well-formed edits modulo 2^31 (`map-document` §8).
    pub(super) fn seen(&self) -> u64 {
        let edits = Root::ALL
            .into_iter()
            .filter(|root| root.is_edit())
            .flat_map(|root| self.targets(root));
        let times = edits
            .flat_map(|(_, slot)| &slot.entries)
            .map(|entry| entry.t % SEEN_MODULUS);
        times.fold(0, |sum, t| (sum + t) % SEEN_MODULUS)
    }

    /// The latest well-formed entry of all: its time and session.
    pub(super) fn latest(&self) -> Option<(u64, &'k str)> {
        let slots = self.targets.iter().flat_map(BTreeMap::values);
        slots
            .flat_map(|slot| &slot.entries)
            .map(|entry| (entry.t, entry.sid))
            .max()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::json::to_any;
    use super::*;

    fn slot(entries: &[(&'static str, serde_json::Value)]) -> Overlays<'static> {
        let mut overlays = Overlays::default();
        for (sid, value) in entries {
            let Any::Array(items) = to_any(value) else {
                panic!("an array")
            };
            overlays.add(
                Root::Prop,
                Key {
                    fid: "f",
                    sid,
                    target: "a",
                },
                &Raw::Array(items),
            );
        }
        overlays
    }

    fn check(entries: &[(&'static str, serde_json::Value)], winner: &str) {
        for turned in [entries.to_vec(), entries.iter().rev().cloned().collect()] {
            let overlays = slot(&turned);
            assert_eq!(
                overlays
                    .slot(Root::Prop, "a")
                    .unwrap()
                    .winner()
                    .unwrap()
                    .sid,
                winner
            );
        }
    }

    #[test]
    fn a_value_wins_over_a_removal_then_the_later_then_the_greater_session() {
        use serde_json::json;
        check(&[("a", json!([1, "x"])), ("b", json!([9]))], "a");
        check(&[("a", json!([2, "x"])), ("b", json!([1, "y"]))], "a");
        check(&[("a", json!([1, "x"])), ("b", json!([1, "y"]))], "b");
        check(&[("a", json!([1])), ("b", json!([2]))], "b");
        check(
            &[
                ("a", json!([1, "x"])),
                ("b", json!([-1, "y"])),
                ("c", json!([5, 1, 2])),
            ],
            "a",
        );
    }

    #[test]
    fn seen_is_a_sum_over_well_formed_edits_modulo_two_to_the_31() {
        use serde_json::json;
        assert_eq!(slot(&[]).seen(), 0);
        assert_eq!(
            slot(&[
                ("a", json!([2_147_483_647_u32, 1])),
                ("b", json!([3])),
                ("c", json!([7.5, 1]))
            ])
            .seen(),
            2
        );
        assert_eq!(
            slot(&[("a", json!([9_007_199_254_740_991_u64, 1]))]).seen(),
            2_147_483_647
        );
    }
}
