//! What a document holds, as far as the door must know. Start from [`Ledger`].

use std::collections::HashMap;

use bytes::Bytes;

use super::comment::Zone;
use super::content;
use super::cut;
use super::error::DoorError;
use super::ranges::{Cover, Ranges};
use super::scan::{Id, Scanned};
use super::walk::Walk;
use crate::id::ClientId;
use crate::limits::CLIENTS_MAX;
use crate::state_vector::StateVector;

/// What a document holds: the next clock of every client, where every struct lies and how deep, which ids are
/// shared types, and the deletions it has heard of. No content.
///
/// The default is the empty document. A ledger is true to its document if every update that the document
/// applied was judged [`Verdict::Fresh`] or [`Verdict::Overlap`] and then admitted, in the same order. After a
/// restart it is built by admitting the stored state and what follows it.
///
/// Sixteen bytes for every run of structs that lie in one place: one for a map's entry, one for a whole text.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    clients: HashMap<u64, Held>,
    deleted: HashMap<u64, Ranges>,
    /// Which clients wrote at each keyed place where comments lie.
    comments: HashMap<u64, Vec<u64>>,
}

/// What the document holds of one client.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub(super) next: u32,
    pub(super) runs: Vec<Run>,
}

/// Clocks from `start` to the start of the next run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) start: u32,
    /// The halves of the place, so that a run takes sixteen bytes.
    place: [u32; 2],
    depth: u8,
    what: What,
    zone: Zone,
}

/// Where something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Hash of its parent and, in a map, its key; the lowest bit says whether there is a key.
    pub(super) place: u64,
    /// 1 in a root type, one more in each shared type below.
    pub(super) depth: u8,
    pub(super) what: What,
    /// The kind of root that it lies below.
    pub(super) zone: Zone,
}

/// What lies there, as far as others may refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A shared type.
    Type,
    /// Any other content.
    Plain,
    /// Arrived as deleted content: in a known place, and no error as a parent.
    Deleted,
    /// Arrived as GC, or below something gone: nothing is known of its place.
    Gone,
}

impl Spot {
    /// Whether it lies under a key rather than in a list.
    pub(super) fn is_keyed(self) -> bool {
        self.place & 1 == 1
    }

    pub(super) const GONE: Self = Self {
        place: 0,
        depth: 0,
        what: What::Gone,
        zone: Zone::Elsewhere,
    };
}

/// What an update would bring to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the document has heard of all of it.
    Nothing,
    /// It continues what is there and everything it depends on is there: its own bytes are exactly what it
    /// brings.
    Fresh,
    /// As [`Verdict::Fresh`], but parts of it are known: [`Ledger::fresh_part`] is what it brings.
    Overlap,
    /// Something before it is missing. It must not be applied yet.
    Gap {
        /// What to ask for: clients whose structs are missing and the clock from which we miss them.
        /// Clients descending, each once.
        missing: Vec<(ClientId, u64)>,
    },
}

impl Ledger {
    /// Says what `update` would bring. Pure; linear in the update, logarithmic in the document.
    ///
    /// *Missing* is a run of structs above our clock (a Skip counts as a hole, unless our clock is past it), an
    /// origin or parent neither below our clocks nor earlier in this same update, and a deletion of something
    /// in neither.
    ///
    /// # Errors
    /// What must never be applied, now or later; see [`DoorError`].
    pub fn judge(&self, update: &Scanned) -> Result<Verdict, DoorError> {
        let walk = Walk::new(self, update)?;
        if walk.is_too_tangled() {
            return Err(DoorError::TooTangled);
        }
        let missing = self.missing(update, &walk);
        if !missing.is_empty() || walk.is_blocked() {
            return Ok(Verdict::Gap { missing });
        }
        let more_clients = update
            .sections
            .iter()
            .filter(|section| !self.clients.contains_key(&section.client));
        if self.clients.len() + more_clients.count() > CLIENTS_MAX {
            return Err(DoorError::TooManyClients);
        }
        let structs = self.structs(update);
        let deletes = self.deletes(update);
        Ok(
            match (structs.new || deletes.new, structs.known || deletes.known) {
                (false, _) => Verdict::Nothing,
                (true, false) => Verdict::Fresh,
                (true, true) => Verdict::Overlap,
            },
        )
    }

    /// Takes note of an update that the document has applied, after [`Ledger::judge`] called it fresh or
    /// overlapping. Parts that the verdict would have called missing are left out, so that a spare call with
    /// another update does no harm.
    ///
    /// A stored state of one's own is admitted to an empty ledger without judgement: many small updates can
    /// lead to one that is too tangled to come in through the door at once. yrs takes it on a thread with a
    /// stack of 100 bytes for each client.
    pub fn admit(&mut self, update: &Scanned) {
        let Ok(walk) = Walk::new(self, update) else {
            return;
        };
        let (reached, spots) = walk.into_outcome();
        for (section, reached) in update.sections.iter().zip(reached) {
            if reached <= self.next(section.client) {
                continue;
            }
            let held = self.clients.entry(section.client).or_default();
            let spots = spots
                .get(section.first as usize..section.past as usize)
                .unwrap_or_default();
            for (piece, spot) in update.pieces_of(section).iter().zip(spots) {
                if piece.end <= held.next || piece.end > reached {
                    continue;
                }
                held.push(piece.start.max(held.next), piece.end, *spot);
                if spot.zone == Zone::Comments && spot.is_keyed() {
                    note_writer(self.comments.entry(spot.place).or_default(), section.client);
                }
                if piece.kind == content::GC || piece.kind == content::DELETED {
                    self.deleted
                        .entry(section.client)
                        .or_default()
                        .insert(piece.start, piece.end);
                }
            }
        }
        for (client, ranges) in &update.deletes {
            let next = self.clients.get(client).map_or(0, |held| held.next);
            let ours: Vec<_> = ranges
                .as_slice()
                .iter()
                .copied()
                .filter(|(_, end)| *end <= next)
                .collect();
            if !ours.is_empty() {
                self.deleted.entry(*client).or_default().union(&ours);
            }
        }
    }

    /// The part of an overlapping update that is new here, as an update of its own: without the structs and
    /// parts of structs below our clocks and without the deletions that we have heard of. Ask before
    /// [`Ledger::admit`].
    pub fn fresh_part(&self, update: &Scanned) -> Bytes {
        cut::fresh_part(self, update)
    }

    /// The part of an update that can be applied at once although other parts must wait: what is new up to the
    /// first gap of each client, as an update of its own, possibly empty. Hold the whole update and judge it
    /// again later; without this, two updates with holes could wait for each other for ever.
    ///
    /// # Errors
    /// As [`Ledger::judge`].
    pub fn ready_part(&self, update: &Scanned) -> Result<Bytes, DoorError> {
        cut::ready_part(self, update)
    }

    /// Whether nothing but deletions in `update` is news. A document may already have deleted those by
    /// itself (an overwritten map entry, the content of a deleted type), which only the document knows.
    pub fn only_deletes_are_new(&self, update: &Scanned) -> bool {
        !self.structs(update).new && self.deletes(update).new
    }

    /// The clock that `client` goes on with.
    pub fn clock(&self, client: ClientId) -> u64 {
        u64::from(self.next(client.0))
    }

    /// The clocks of all clients.
    pub fn state_vector(&self) -> StateVector {
        self.clients
            .iter()
            .map(|(client, held)| (ClientId(*client), u64::from(held.next)))
            .collect()
    }

    /// Whether the document has all structs that a replica with this state vector has.
    pub fn covers(&self, vector: &StateVector) -> bool {
        vector
            .iter()
            .all(|(client, clock)| self.clock(client) >= clock)
    }

    /// Whether `client` has written anything that is no comment (see [`Ledger::comments`]). Looks through its runs until
    /// it finds something.
    pub fn has_edited(&self, client: ClientId) -> bool {
        let held = self.clients.get(&client.0);
        held.is_some_and(|held| held.runs.iter().any(|run| run.zone == Zone::Elsewhere))
    }

    /// How many clients have written in the document.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn next(&self, client: u64) -> u32 {
        self.clients.get(&client).map_or(0, |held| held.next)
    }

    /// Where something below our clocks lies.
    pub(super) fn spot(&self, id: Id) -> Spot {
        self.clients
            .get(&id.client)
            .and_then(|held| held.spot(id.clock))
            .unwrap_or(Spot::GONE)
    }

    /// The clients that wrote at a keyed place where comments lie; among them [`NOBODY`] where they were too many to keep.
    pub(super) fn commenters_at(&self, place: u64) -> &[u64] {
        self.comments.get(&place).map_or(&[], Vec::as_slice)
    }

    /// What lies at the clocks `start..end` of a client, as far as they are here: runs with their first clocks, of
    /// which the first may begin before `start`.
    pub(super) fn runs_of(&self, client: u64, start: u32, end: u32) -> &[Run] {
        let Some(held) = self.clients.get(&client) else {
            return &[];
        };
        let first = held
            .runs
            .partition_point(|run| run.start <= start)
            .saturating_sub(1);
        let past = held
            .runs
            .partition_point(|run| run.start < end.min(held.next));
        held.runs.get(first..past).unwrap_or_default()
    }

    pub(super) fn deleted(&self, client: u64) -> Option<&Ranges> {
        self.deleted.get(&client)
    }

    fn missing(&self, update: &Scanned, walk: &Walk<'_>) -> Vec<(ClientId, u64)> {
        let mut missing = walk.missing().to_vec();
        for (client, ranges) in &update.deletes {
            let last = ranges.as_slice().last().map_or(0, |(_, end)| *end);
            if last > walk.reached(*client) {
                missing.push((ClientId(*client), self.clock(ClientId(*client))));
            }
        }
        missing.sort_unstable_by(|a, b| b.cmp(a));
        missing.dedup_by_key(|(client, _)| *client);
        missing
    }

    fn structs(&self, update: &Scanned) -> News {
        let mut news = News::default();
        for section in &update.sections {
            let next = self.next(section.client);
            news.new |= section.end > next;
            news.known |= section.start < next;
        }
        news
    }

    fn deletes(&self, update: &Scanned) -> News {
        let mut news = News::default();
        for (client, ranges) in &update.deletes {
            let Some(deleted) = self.deleted.get(client) else {
                news.new = true;
                continue;
            };
            for (start, end) in ranges.as_slice() {
                let cover = deleted.cover(*start, *end);
                news.new |= cover != Cover::Whole;
                news.known |= cover != Cover::None;
            }
        }
        news
    }
}

/// Clients kept of those that wrote at one place: a note is written by one person, on few devices.
const WRITERS_MAX: usize = 32;

/// Stands for a client that is nobody's own: no client id is that large.
pub(super) const NOBODY: u64 = u64::MAX;

fn note_writer(writers: &mut Vec<u64>, client: u64) {
    if writers.len() >= WRITERS_MAX {
        if writers.last() != Some(&NOBODY) && !writers.contains(&client) {
            writers.push(NOBODY);
        }
    } else if !writers.contains(&client) {
        writers.push(client);
    }
}

/// Whether some of an update is new, and whether some of it is known.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    new: bool,
    known: bool,
}

impl Run {
    fn new(start: u32, spot: Spot) -> Self {
        let place = [(spot.place >> 32) as u32, spot.place as u32];
        Self {
            start,
            place,
            depth: spot.depth,
            what: spot.what,
            zone: spot.zone,
        }
    }

    pub(super) fn spot(&self) -> Spot {
        let [high, low] = self.place;
        Spot {
            place: u64::from(high) << 32 | u64::from(low),
            depth: self.depth,
            what: self.what,
            zone: self.zone,
        }
    }
}

impl Held {
    fn push(&mut self, start: u32, end: u32, spot: Spot) {
        let goes_on = self
            .runs
            .last()
            .is_some_and(|run| run.spot() == spot && spot.what != What::Type);
        if !goes_on {
            self.runs.push(Run::new(start, spot));
        }
        self.next = end;
    }

    fn spot(&self, clock: u32) -> Option<Spot> {
        if clock >= self.next {
            return None;
        }
        let past = self.runs.partition_point(|run| run.start <= clock);
        past.checked_sub(1)
            .and_then(|index| self.runs.get(index))
            .map(Run::spot)
    }
}
