//! Puts into sled what the journal has and sled has not, and finds out how far every map reaches.

use std::collections::BTreeMap;

use mapweave_proto::{DocId, MapName};

use crate::catalog::{Catalog, MapState};
use crate::journal::{Files, Mark, Placed, Walk, Walked};
use crate::record::STORE_LOG;
use crate::sled_log::Index;
use crate::{Damage, StoreError};

/// Journal bytes that are put into sled at once.
const PORTION_BYTES: usize = 4 << 20;

/// Most damaged places that are reported one by one.
const PROBLEMS_MAX: usize = 10_000;

/// An unfinished write at the end of a journal file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Torn {
    pub(crate) file: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What a replay found.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) catalog: Catalog,
    pub(crate) end: Mark,
    pub(crate) torn: Option<Torn>,
    /// How many records sled did not have.
    pub(crate) count: u64,
    pub(crate) problems: Vec<Damage>,
    /// Whether the journal held anything behind the checkpoint.
    pub(crate) unsound: bool,
}

#[derive(Debug)]
pub(crate) struct Replay<'a> {
    index: &'a Index,
    store: [u8; 16],
    from: Mark,
    catalog: Catalog,
    end: Mark,
    torn: Option<Torn>,
    count: u64,
    problems: Vec<Damage>,
    /// The last place that was damaged: what a gap behind it is put down to.
    last_damage: Option<Damage>,
    /// Records of an append whose end has not come yet.
    append: Vec<Placed>,
    portion: Vec<Placed>,
    states: BTreeMap<DocId, MapState>,
    portion_bytes: usize,
    seen: u64,
}

impl<'a> Replay<'a> {
    /// A replay onto what sled has: `catalog`, and everything before `from`.
    pub(crate) fn new(index: &'a Index, catalog: Catalog, from: Mark, store: [u8; 16]) -> Self {
        Self {
            index,
            store,
            from,
            catalog,
            end: from,
            torn: None,
            count: 0,
            problems: Vec::new(),
            last_damage: None,
            append: Vec::new(),
            portion: Vec::new(),
            states: BTreeMap::new(),
            portion_bytes: 0,
            seen: 0,
        }
    }

    pub(crate) fn run(mut self, files: &Files) -> Result<Replayed, StoreError> {
        let walk = Walk {
            from: self.from,
            durable: self.from,
            until: None,
        };
        files.walk(&walk, &mut |walked| self.meet(walked, files))?;
        self.end_of_append(files);
        self.put()?;
        Ok(Replayed {
            catalog: self.catalog,
            end: self.end,
            torn: self.torn,
            count: self.count,
            unsound: self.seen > 0 || !self.problems.is_empty(),
            problems: self.problems,
        })
    }

    fn meet(&mut self, walked: Walked, files: &Files) -> Result<(), StoreError> {
        match walked {
            Walked::Record { placed, continues } => {
                self.append.push(placed);
                if continues {
                    Ok(())
                } else {
                    self.take_append()
                }
            }
            Walked::File { store } => {
                if store != self.store {
                    let (file, what) = (
                        files.journal_dir(),
                        "a journal file belongs to another store".into(),
                    );
                    self.problem(Damage {
                        file,
                        offset: 0,
                        doc: None,
                        seq: None,
                        what,
                    });
                }
                Ok(())
            }
            Walked::Damage(damage) => {
                self.last_damage = Some(damage.clone());
                self.problem(damage);
                // What was durable once is kept, also without the rest of its append.
                self.take_append()
            }
            Walked::Torn { file, from, to } => {
                self.torn = Some(Torn { file, from, to });
                Ok(())
            }
        }
    }

    /// The journal ends: an append of which only a part was written was never acknowledged.
    fn end_of_append(&mut self, files: &Files) {
        let Some(first) = self.append.first() else {
            return;
        };
        let (file, from) = (first.place.file, first.place.offset);
        let to = self
            .torn
            .map(|torn| torn.to)
            .or_else(|| self.append.last().map(|last| last.end.offset));
        tracing::info!(file = %files.shown(file).display(), from, "an append that was not finished is cut off");
        self.torn = Some(Torn {
            file,
            from,
            to: to.unwrap_or(from),
        });
        self.append.clear();
    }

    fn take_append(&mut self) -> Result<(), StoreError> {
        for placed in std::mem::take(&mut self.append) {
            self.take(placed)?;
        }
        if self.portion_bytes >= PORTION_BYTES {
            self.put()
        } else {
            Ok(())
        }
    }

    fn take(&mut self, placed: Placed) -> Result<(), StoreError> {
        self.end = placed.end;
        self.seen += 1;
        let record = &placed.record;
        let known = self
            .states
            .get(&record.doc)
            .or_else(|| self.catalog.state(record.doc));
        let mut state = known.cloned().unwrap_or(MapState::NEW);
        if record.seq <= state.head.last {
            return self.compare(&placed, state);
        }
        if record.seq != state.head.last.next() {
            let what = format!(
                "records {} to {} are lost",
                state.head.last.next(),
                record.seq.0 - 1
            );
            self.mark(&mut state, &placed, Some(what));
        } else if record.chain_after(&state.head.chain) != record.chain {
            self.mark(&mut state, &placed, None);
        }
        state.advance(record);
        if state.name.is_none() && record.doc != STORE_LOG {
            // Its creation is lost: it must be found all the same.
            state.name = MapName::parse(&format!("lost/{}", record.doc)).ok();
        }
        self.states.insert(record.doc, state);
        self.count += 1;
        self.portion_bytes += placed.place.len as usize;
        self.portion.push(placed);
        Ok(())
    }

    /// sled was ahead of its checkpoint: it must have the very same record.
    fn compare(&mut self, placed: &Placed, mut state: MapState) -> Result<(), StoreError> {
        let record = &placed.record;
        if self
            .portion
            .iter()
            .any(|p| (p.record.doc, p.record.seq) == (record.doc, record.seq))
        {
            self.put()?;
        }
        match self.index.row(record.doc, record.seq)? {
            Some(row) if row.chain() == &record.chain => Ok(()),
            Some(_) => {
                self.mark(
                    &mut state,
                    placed,
                    Some("two records have the same place; the first is kept".into()),
                );
                self.states.insert(record.doc, state);
                Ok(())
            }
            None => {
                self.count += 1;
                self.portion_bytes += placed.place.len as usize;
                self.portion.push(placed.clone());
                Ok(())
            }
        }
    }

    /// Marks the map as damaged, unless it is already.
    fn mark(&mut self, state: &mut MapState, placed: &Placed, what: Option<String>) {
        let record = &placed.record;
        let place = self.last_damage.clone();
        let here = || Damage {
            file: format!("journal file {:08}", placed.place.file).into(),
            offset: placed.place.offset,
            doc: None,
            seq: None,
            what: String::new(),
        };
        let mut damage = place.unwrap_or_else(here);
        damage.doc = Some(record.doc);
        damage.seq = Some(if what.is_some() {
            state.head.last.next()
        } else {
            record.seq
        });
        let what =
            what.unwrap_or_else(|| "its hash does not follow from the records before it".into());
        damage.what = if damage.what.is_empty() {
            what
        } else {
            format!("{what} ({})", damage.what)
        };
        self.problem(damage.clone());
        state.head.damaged.get_or_insert(damage);
    }

    fn problem(&mut self, damage: Damage) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(damage);
        }
    }

    fn put(&mut self) -> Result<(), StoreError> {
        self.index.put(&self.portion, &self.states)?;
        for (doc, state) in std::mem::take(&mut self.states) {
            self.catalog.put(doc, state);
        }
        self.portion.clear();
        self.portion_bytes = 0;
        Ok(())
    }
}
