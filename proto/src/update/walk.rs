//! The order in which a document would take an update's structs, and where they come to lie.
//!
//! Follows yrs (and Yjs): clients are taken from the highest to the lowest, a client's structs are taken in their order; one that depends on a later struct of
//! another client in the same update waits until that client has come so far. An explicit list of waiting
//! clients stands for the recursion.

use super::content;
use super::error::DoorError;
use super::ledger::{Ledger, Spot, What};
use super::scan::{Id, Links, Piece, Scanned, Section};
use crate::id::ClientId;
use crate::limits::{CLIENTS_CHAINED_MAX, NESTING_MAX};

/// An update walked against a ledger.
pub(super) struct Walk<'a> {
    ledger: &'a Ledger,
    update: &'a Scanned,
    states: Vec<State>,
    /// Beside the update's pieces; of those that were not taken, [`Spot::GONE`].
    spots: Vec<Spot>,
    missing: Vec<(ClientId, u64)>,
    /// The most clients that waited for each other, or that were used up in a row before their turn.
    chained: usize,
}

/// How far the walk has come in one section.
#[derive(Debug, Clone, Copy)]
struct State {
    /// The piece to take next.
    piece: u32,
    /// The document's clock after what was taken.
    next: u32,
    /// Something before `piece` is missing.
    blocked: bool,
    waiting: bool,
}

/// A section on the list of the waiting, and the clock that the one before it waits for.
struct Waiting {
    section: usize,
    wanted: u32,
}

/// Whether something that a piece depends on is there.
enum Found {
    Here,
    /// In this section, not taken yet.
    Later(usize),
    Missing,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ledger: &'a Ledger, update: &'a Scanned) -> Result<Self, DoorError> {
        let start = |section: &Section| State {
            piece: section.first,
            next: ledger.next(section.client),
            blocked: false,
            waiting: false,
        };
        let mut walk = Walk {
            ledger,
            update,
            states: update.sections.iter().map(start).collect(),
            spots: vec![Spot::GONE; update.pieces.len()],
            missing: Vec::new(),
            chained: 0,
        };
        let mut waiting = Vec::new();
        let mut used_up = 0;
        for (index, section) in update.sections.iter().enumerate() {
            let taken = walk
                .states
                .get(index)
                .is_some_and(|state| state.piece == section.past);
            used_up = if taken { used_up + 1 } else { 0 };
            walk.chained = walk.chained.max(used_up);
            walk.take_all(index, &mut waiting)?;
        }
        Ok(walk)
    }

    /// Whether yrs could not take the update although nothing is wrong with it.
    pub(super) fn is_too_tangled(&self) -> bool {
        self.chained > CLIENTS_CHAINED_MAX
    }

    /// What the update needs first and does not bring, in no order, perhaps repeated.
    pub(super) fn missing(&self) -> &[(ClientId, u64)] {
        &self.missing
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.states.iter().any(|state| state.blocked)
    }

    fn next_of(&self, section: usize) -> u32 {
        self.states.get(section).map_or(0, |state| state.next)
    }

    /// The document's clock for a client after what could be taken.
    pub(super) fn reached(&self, client: u64) -> u32 {
        self.section(client)
            .map_or_else(|| self.ledger.next(client), |section| self.next_of(section))
    }

    /// Beside the update's sections how far they were taken, and beside its pieces where they lie.
    pub(super) fn into_outcome(self) -> (Vec<u32>, Vec<Spot>) {
        (
            self.states.iter().map(|state| state.next).collect(),
            self.spots,
        )
    }

    pub(super) fn spots_of(&self, section: &Section) -> &[Spot] {
        self.spots
            .get(section.first as usize..section.past as usize)
            .unwrap_or_default()
    }

    /// Takes every struct of a section that can be taken, and those of others that they depend on.
    fn take_all(&mut self, section: usize, waiting: &mut Vec<Waiting>) -> Result<(), DoorError> {
        waiting.push(Waiting {
            section,
            wanted: u32::MAX,
        });
        while let Some(Waiting { section, wanted }) = waiting.last() {
            let section = *section;
            let (Some(state), Some(of)) = (
                self.states.get(section).copied(),
                self.update.sections.get(section),
            ) else {
                break;
            };
            let piece = self
                .update
                .pieces
                .get(state.piece as usize)
                .filter(|_| state.piece < of.past);
            let (Some(piece), false) = (piece, state.blocked || state.next > *wanted) else {
                self.set(section, |state| state.waiting = false);
                waiting.pop();
                continue;
            };
            if let Some(other) = self.take(section, of.client, state.next, piece)? {
                let circular = self
                    .states
                    .get(other.section)
                    .is_none_or(|state| state.waiting);
                if circular {
                    let (client, clock) = (ClientId(of.client), u64::from(piece.start));
                    return Err(DoorError::Circular { client, clock });
                }
                self.set(section, |state| state.waiting = true);
                self.chained = self.chained.max(waiting.len());
                waiting.push(other);
            }
        }
        Ok(())
    }

    /// Takes one piece, or blocks its section, or says for whom it must wait.
    fn take(
        &mut self,
        section: usize,
        client: u64,
        next: u32,
        piece: &Piece,
    ) -> Result<Option<Waiting>, DoorError> {
        if piece.end <= next {
            self.set(section, |state| state.piece += 1);
            return Ok(None);
        }
        if piece.kind == content::SKIP || piece.start > next {
            self.block(section, Some(client));
            return Ok(None);
        }
        for dependency in dependencies(piece) {
            match self.find(dependency) {
                Found::Here => {}
                Found::Later(other)
                    if self.states.get(other).is_some_and(|state| state.blocked) =>
                {
                    self.block(section, None);
                    return Ok(None);
                }
                Found::Later(other) => {
                    return Ok(Some(Waiting {
                        section: other,
                        wanted: dependency.clock,
                    }));
                }
                Found::Missing => {
                    self.block(section, Some(dependency.client));
                    return Ok(None);
                }
            }
        }
        let id = Id {
            client,
            clock: piece.start,
        };
        let spot = self.settle(id, piece, next)?;
        if let Some(state) = self.states.get_mut(section) {
            if let Some(slot) = self.spots.get_mut(state.piece as usize) {
                *slot = spot;
            }
            state.next = piece.end;
            state.piece += 1;
        }
        Ok(None)
    }

    fn find(&self, id: Id) -> Found {
        if id.clock < self.ledger.next(id.client) {
            return Found::Here;
        }
        let Some(section) = self.section(id.client) else {
            return Found::Missing;
        };
        match (self.states.get(section), self.update.sections.get(section)) {
            (Some(state), _) if id.clock < state.next => Found::Here,
            (Some(_), Some(of)) if id.clock < of.end => Found::Later(section),
            _ => Found::Missing,
        }
    }

    /// Where a piece comes to lie, all of its dependencies being there.
    fn settle(&self, id: Id, piece: &Piece, next: u32) -> Result<Spot, DoorError> {
        let (client, clock) = (ClientId(id.client), u64::from(id.clock));
        let torn = DoorError::TornApart { client, clock };
        let mut spot = match piece.links {
            Links::None => return Ok(Spot::GONE),
            Links::Root => Spot {
                place: piece.place,
                depth: 1,
                what: What::Plain,
                zone: piece.zone,
            },
            Links::Parent => {
                let parent = self.spot(piece.left());
                match parent.what {
                    What::Type => Spot {
                        place: piece.place,
                        depth: parent.depth.saturating_add(1),
                        what: What::Plain,
                        zone: parent.zone,
                    },
                    What::Deleted | What::Gone => Spot::GONE,
                    What::Plain => {
                        let (parent_client, parent_clock) =
                            (ClientId(piece.left().client), u64::from(piece.left().clock));
                        return Err(DoorError::ParentNotAType {
                            client,
                            clock,
                            parent_client,
                            parent_clock,
                        });
                    }
                }
            }
            Links::Left => self.spot(piece.left()),
            Links::Right => self.spot(piece.right()),
            Links::Both => {
                beside(self.spot(piece.left()), self.spot(piece.right())).ok_or(torn.clone())?
            }
        };
        if piece.start < next {
            // The rest of a struct of which we hold the beginning goes on right behind that.
            let before = self.ledger.spot(Id {
                client: id.client,
                clock: next - 1,
            });
            spot = beside(before, spot).ok_or(torn)?;
        }
        if usize::from(spot.depth) > NESTING_MAX {
            return Err(DoorError::TooDeep { client, clock });
        }
        if spot.what == What::Gone {
            return Ok(Spot::GONE);
        }
        let new_from = piece.start.max(next);
        if spot.is_keyed()
            && piece.end - new_from > 1
            && piece.kind != content::DELETED
            && !self.update.deletes_whole(id.client, new_from, piece.end)
        {
            return Err(DoorError::LongEntry { client, clock });
        }
        if spot.is_keyed() && piece.kind == content::FORMAT {
            return Err(DoorError::EntryWithoutValue { client, clock });
        }
        spot.what = match piece.kind {
            content::TYPE => What::Type,
            content::DELETED => What::Deleted,
            _ => What::Plain,
        };
        Ok(spot)
    }

    /// Where something that is there lies.
    pub(super) fn spot(&self, id: Id) -> Spot {
        if id.clock < self.ledger.next(id.client) {
            return self.ledger.spot(id);
        }
        let section = self
            .section(id.client)
            .and_then(|section| self.update.sections.get(section));
        let Some(section) = section else {
            return Spot::GONE;
        };
        let past = self
            .update
            .pieces_of(section)
            .partition_point(|piece| piece.start <= id.clock);
        let spot = past
            .checked_sub(1)
            .and_then(|index| self.spots_of(section).get(index));
        spot.copied().unwrap_or(Spot::GONE)
    }

    fn section(&self, client: u64) -> Option<usize> {
        self.update.section(client)
    }

    fn block(&mut self, section: usize, missing: Option<u64>) {
        self.set(section, |state| state.blocked = true);
        if let Some(client) = missing {
            self.missing
                .push((ClientId(client), u64::from(self.ledger.next(client))));
        }
    }

    fn set(&mut self, section: usize, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.states.get_mut(section) {
            change(state);
        }
    }
}

/// The place of something between two neighbours: theirs, of which one may be gone.
fn beside(left: Spot, right: Spot) -> Option<Spot> {
    match (left.what, right.what) {
        (What::Gone, _) => Some(right),
        (_, What::Gone) => Some(left),
        _ if (left.place, left.depth, left.zone) == (right.place, right.depth, right.zone) => {
            Some(left)
        }
        _ => None,
    }
}

/// What a piece says that it lies beside or in.
pub(super) fn dependencies(piece: &Piece) -> impl Iterator<Item = Id> {
    let (left, right) = match piece.links {
        Links::None | Links::Root => (None, None),
        Links::Parent | Links::Left => (Some(piece.left()), None),
        Links::Right => (None, Some(piece.right())),
        Links::Both => (Some(piece.left()), Some(piece.right())),
    };
    left.into_iter().chain(right)
}
