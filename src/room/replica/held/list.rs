//! The updates that wait, and counts of whom they wait for, so that what concerns none of them costs nothing.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;

use mapweave_proto::{ClientId, Scanned};

use super::HeldUpdate;

/// Updates that wait, oldest first.
#[derive(Default)]
pub(in crate::room::replica) struct HeldList {
    updates: Vec<HeldUpdate>,
    bytes: usize,
    /// How many of them wait for each client.
    awaited: HashMap<ClientId, usize>,
}

impl Deref for HeldList {
    type Target = [HeldUpdate];

    fn deref(&self) -> &[HeldUpdate] {
        &self.updates
    }
}

impl HeldList {
    /// What they count for together, see [`held_bytes_of`](super::held_bytes_of).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether any of them waits for one of `clients`.
    pub fn awaits(&self, clients: &HashSet<ClientId>) -> bool {
        !self.updates.is_empty() && clients.iter().any(|c| self.awaited.contains_key(c))
    }

    pub fn push(&mut self, held: HeldUpdate) {
        self.bytes += held.bytes();
        self.count(&held.missing);
        self.updates.push(held);
    }

    pub fn remove(&mut self, index: usize) -> HeldUpdate {
        let held = self.updates.remove(index);
        self.bytes -= held.bytes();
        self.discount(&held.missing);
        held
    }

    /// Takes out those that `is_out` picks; it may note something on each.
    pub fn take_out(&mut self, is_out: impl FnMut(&mut HeldUpdate) -> bool) -> Vec<HeldUpdate> {
        let out: Vec<_> = self.updates.extract_if(.., is_out).collect();
        for held in &out {
            self.bytes -= held.bytes();
            self.discount(&held.missing);
        }
        out
    }

    /// The one at `index` waits for these now.
    pub fn waits_for(&mut self, index: usize, missing: Vec<ClientId>) {
        self.count(&missing);
        if let Some(held) = self.updates.get_mut(index) {
            let before = std::mem::replace(&mut held.missing, missing);
            self.discount(&before);
        }
    }

    /// Each of them, to note something that is not what it waits for.
    pub fn note(&mut self, note: impl FnMut(&mut HeldUpdate)) {
        self.updates.iter_mut().for_each(note);
    }

    /// The newest one, likewise.
    pub fn last_mut(&mut self) -> Option<&mut HeldUpdate> {
        self.updates.last_mut()
    }

    /// What waits and concerns a client that `update` concerns.
    pub fn related<'a>(
        &'a self,
        update: &Scanned,
    ) -> impl Iterator<Item = &'a Scanned> + Clone + use<'a> {
        let clients: HashSet<ClientId> = concerned(update).into_iter().collect();
        let related = |held: &&HeldUpdate| held.concerns.iter().any(|c| clients.contains(c));
        let related: Vec<_> = self.updates.iter().filter(related).collect();
        related.into_iter().map(|held| &held.update)
    }

    fn count(&mut self, missing: &[ClientId]) {
        for client in missing {
            *self.awaited.entry(*client).or_default() += 1;
        }
    }

    fn discount(&mut self, missing: &[ClientId]) {
        for client in missing {
            if let Some(count) = self.awaited.get_mut(client) {
                *count -= 1;
                if *count == 0 {
                    self.awaited.remove(client);
                }
            }
        }
    }
}

/// The clients whose structs `update` brings or deletes.
pub(super) fn concerned(update: &Scanned) -> Box<[ClientId]> {
    let written = update.clients().map(|(client, ..)| client);
    let deleted = update.deletes().map(|range| range.client);
    let mut clients: Vec<_> = written.chain(deleted).collect();
    clients.sort_unstable();
    clients.dedup();
    clients.into_boxed_slice()
}
