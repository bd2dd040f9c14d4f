//! Cutting: a walk over all structs in an order in which a document could take them, ended whenever enough
//! for one piece was taken.
//!
//! The order is that of [`Walk`](super::super::walk): clients from the highest to the lowest, and first what a
//! struct builds on. In it a client's structs keep their order, so that each piece has one run of bytes a client.

use bytes::Bytes;

use super::outline::struct_at;
use super::window::{Taken, Windows};
use super::{LargeError, LargeSection, LargeUpdate, ReadAt};
use crate::id::ClientId;
use crate::limits::CLIENTS_CHAINED_MAX;
use crate::update::cut::write_delete_set;
use crate::update::error::DoorError;
use crate::update::ranges::Ranges;
use crate::update::scan::{Id, Piece};
use crate::update::walk::dependencies;
use crate::varint::Writer;

/// Most bytes that a client takes in a piece besides its structs: how many, who, and from where.
const SECTION_HEAD_BYTES: usize = 24;

/// Most bytes of the counts of a piece.
const COUNTS_BYTES: usize = 16;

/// Most bytes of a deleted range, or of a client that has some.
const RANGE_BYTES: usize = 16;

/// A client and ranges of its clocks.
type Deletes = (u64, Vec<(u32, u32)>);

/// The pieces of a large update, one after the other.
pub struct Pieces<'a, R> {
    update: &'a LargeUpdate,
    source: &'a R,
    windows: Windows<'a, R>,
    states: Vec<State>,
    /// The section whose turn it is next.
    turn: usize,
    waiting: Vec<Waiting>,
    /// What the piece being made has taken.
    runs: Vec<Run>,
    bytes: usize,
    /// Deletions that no piece has carried with its structs; made when the structs have come to their end.
    rest: Option<std::vec::IntoIter<Deletes>>,
}

/// How far the structs of a section were taken.
#[derive(Debug, Clone, Copy)]
struct State {
    at: u64,
    clock: u32,
    left: u64,
    waiting: bool,
    /// Its place among the runs of the piece being made.
    run: Option<u32>,
    /// Some deletions of its own structs did not fit beside them.
    deletes_left: bool,
}

/// A section on the list of the waiting, and the clock that the one before it waits for.
struct Waiting {
    section: usize,
    wanted: u32,
}

/// What a piece has of one section.
#[derive(Debug, Clone, Copy)]
struct Run {
    section: usize,
    at: u64,
    clock: u32,
    structs: u64,
}

impl<'a, R: ReadAt> Pieces<'a, R> {
    pub(super) fn new(update: &'a LargeUpdate, source: &'a R) -> Self {
        let start = |section: &LargeSection| State {
            at: section.at,
            clock: section.start,
            left: section.structs,
            waiting: false,
            run: None,
            deletes_left: false,
        };
        let struct_bytes_max = update.limits.struct_bytes_max();
        Self {
            update,
            source,
            windows: Windows::new(source, update.window_bytes, struct_bytes_max),
            states: update.sections.iter().map(start).collect(),
            turn: 0,
            waiting: Vec::new(),
            runs: Vec::new(),
            bytes: 0,
            rest: None,
        }
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`LargeError::Door`] where structs depend on each other in a circle, [`LargeError::Read`]. No more
    /// pieces must be asked for after that.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, LargeError> {
        if self.rest.is_none() {
            self.take_structs()?;
            if !self.runs.is_empty() {
                return self.write_runs().map(Some);
            }
            self.rest = Some(self.deletes_left().into_iter());
        }
        Ok(self.next_deletes())
    }

    /// Takes structs until a piece is full, or there are no more.
    fn take_structs(&mut self) -> Result<(), LargeError> {
        loop {
            let Some(Waiting { section, wanted }) = self.waiting.last() else {
                if self.turn == self.states.len() {
                    return Ok(());
                }
                self.waiting.push(Waiting {
                    section: self.turn,
                    wanted: u32::MAX,
                });
                self.turn += 1;
                continue;
            };
            let (section, wanted) = (*section, *wanted);
            let (Some(state), Some(of)) = (
                self.states.get(section).copied(),
                self.update.sections.get(section),
            ) else {
                return Ok(());
            };
            if state.left == 0 || state.clock > wanted {
                self.set(section, |state| state.waiting = false);
                self.waiting.pop();
                continue;
            }
            let found = struct_at(
                &mut self.windows,
                state.at,
                of.client,
                state.clock,
                self.update.limits,
            )?;
            if let Some(other) = self.first_needed(&found.value) {
                if self.states.get(other.section).is_none_or(|s| s.waiting) {
                    let (client, clock) = (ClientId(of.client), u64::from(state.clock));
                    return Err(DoorError::Circular { client, clock }.into());
                }
                self.set(section, |state| state.waiting = true);
                self.waiting.push(other);
            } else if !self.take(section, state, &found) {
                return Ok(());
            }
        }
    }

    /// What a struct depends on and that is in the update but not taken yet.
    fn first_needed(&self, piece: &Piece) -> Option<Waiting> {
        dependencies(piece).find_map(|Id { client, clock }| {
            let section = self.update.section(client)?;
            let later = self.states.get(section)?.clock <= clock
                && clock < self.update.sections.get(section)?.end;
            later.then_some(Waiting {
                section,
                wanted: clock,
            })
        })
    }

    /// Takes one struct into the piece being made, if that has room for it.
    fn take(&mut self, section: usize, state: State, found: &Taken<Piece>) -> bool {
        let head = if state.run.is_some() {
            0
        } else {
            SECTION_HEAD_BYTES
        };
        // A struct fits into memory, since it was seen through a window.
        let bytes = self.bytes + head + found.bytes as usize;
        let full = bytes + COUNTS_BYTES > self.update.limits.bytes_wanted
            || (state.run.is_none() && self.runs.len() >= CLIENTS_CHAINED_MAX);
        if full && !self.runs.is_empty() {
            return false;
        }
        self.bytes = bytes;
        let run = state.run.unwrap_or(self.runs.len() as u32);
        match self.runs.get_mut(run as usize) {
            Some(run) => run.structs += 1,
            None => self.runs.push(Run {
                section,
                at: state.at,
                clock: state.clock,
                structs: 1,
            }),
        }
        self.set(section, |state| {
            state.run = Some(run);
            state.at += found.bytes;
            state.clock = found.value.end;
            state.left -= 1;
        });
        true
    }

    /// The piece that was made, with what is deleted of its structs.
    fn write_runs(&mut self) -> Result<Bytes, LargeError> {
        let mut runs = std::mem::take(&mut self.runs);
        runs.sort_unstable_by_key(|run| run.section);
        let mut writer = Writer::with_capacity(self.bytes + COUNTS_BYTES);
        let mut room = self
            .update
            .limits
            .bytes_max
            .saturating_sub(self.bytes + COUNTS_BYTES);
        self.bytes = 0;
        let mut deletes = Vec::new();
        writer.var_uint(runs.len() as u64);
        for run in runs {
            let (Some(state), Some(of)) = (
                self.states.get_mut(run.section),
                self.update.sections.get(run.section),
            ) else {
                continue;
            };
            state.run = None;
            writer.var_uint(run.structs);
            writer.var_uint(of.client);
            writer.var_uint(u64::from(run.clock));
            let length = usize::try_from(state.at.saturating_sub(run.at)).unwrap_or(usize::MAX);
            writer.fill(length, |buffer| self.source.read_exact_at(buffer, run.at))?;
            let deleted = deleted_of(self.update, of.client)
                .map(|ranges| ranges.within(run.clock, state.clock))
                .unwrap_or_default();
            let needed = (deleted.len() + 1) * RANGE_BYTES;
            if deleted.is_empty() {
                continue;
            }
            if needed <= room {
                room -= needed;
                deletes.push((of.client, deleted));
            } else {
                state.deletes_left = true;
            }
        }
        write_deletes(&mut writer, &deletes);
        Ok(writer.finish())
    }

    /// What is deleted of structs outside the update, or did not fit beside those inside.
    fn deletes_left(&self) -> Vec<Deletes> {
        let left = self.update.deletes.iter().map(|(client, ranges)| {
            let section = self.update.section(*client);
            let carried = section.and_then(|index| {
                let state = self.states.get(index)?;
                let of = self.update.sections.get(index)?;
                (!state.deletes_left).then_some((of.start, of.end))
            });
            let left = match carried {
                None => ranges.as_slice().to_vec(),
                Some((start, end)) => {
                    [ranges.within(0, start), ranges.within(end, u32::MAX)].concat()
                }
            };
            (*client, left)
        });
        left.filter(|(_, ranges)| !ranges.is_empty()).collect()
    }

    /// A piece of what is left to delete.
    fn next_deletes(&mut self) -> Option<Bytes> {
        let limits = self.update.limits;
        let bytes_max = limits.bytes_wanted.min(limits.bytes_max);
        let ranges_max = (bytes_max.saturating_sub(COUNTS_BYTES) / RANGE_BYTES).max(2);
        let mut room = ranges_max;
        let mut piece = Vec::new();
        let rest = self.rest.as_mut()?;
        // A client counts as one of its ranges.
        while room > 1
            && let Some((client, ranges)) = rest.as_mut_slice().first_mut()
        {
            let count = ranges.len().min(room - 1);
            let later = ranges.split_off(count);
            piece.push((*client, std::mem::replace(ranges, later)));
            room -= count + 1;
            if rest
                .as_slice()
                .first()
                .is_some_and(|(_, left)| left.is_empty())
            {
                rest.next();
            }
        }
        if piece.is_empty() {
            return None;
        }
        let mut writer = Writer::new();
        writer.var_uint(0);
        write_deletes(&mut writer, &piece);
        Some(writer.finish())
    }

    fn set(&mut self, section: usize, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.states.get_mut(section) {
            change(state);
        }
    }
}

fn deleted_of(update: &LargeUpdate, client: u64) -> Option<&Ranges> {
    let found = update.deletes.binary_search_by(|(c, _)| client.cmp(c)).ok();
    found
        .and_then(|index| update.deletes.get(index))
        .map(|(_, ranges)| ranges)
}

fn write_deletes(writer: &mut Writer, deletes: &[Deletes]) {
    write_delete_set(
        writer,
        deletes
            .iter()
            .map(|(client, ranges)| (*client, ranges.as_slice())),
    );
}
