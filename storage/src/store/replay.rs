//! Puts into sled what the journal has and sled has not, and finds out how far every map reaches.

use std::collections::{BTreeMap, HashSet};

use mapweave_proto::{DocId, MapName};

use super::lost::{reaches, tell};
use crate::catalog::{Catalog, MapState};
use crate::journal::{Claim, Files, Mark, Namer, Placed, Walk, Walked};
use crate::record::STORE_LOG;
use crate::sled_log::Index;
use crate::{Damage, StoreError};

/// Journal bytes that are put into sled at once.
const PORTION_BYTES: usize = 4 << 20;

/// Most maps in which a damaged record is looked for by its hash.
const HASH_LOOKUPS_MAX: usize = 10_000;

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
    files: &'a Files,
    store: [u8; 16],
    from: Mark,
    catalog: Catalog,
    end: Mark,
    torn: Option<Torn>,
    count: u64,
    problems: Vec<Damage>,
    namer: Namer,
    /// Maps marked for a gap before it was known for sure what stood in it.
    marked: HashSet<DocId>,
    /// Records of an append whose end has not come yet.
    append: Vec<Placed>,
    portion: Vec<Placed>,
    states: BTreeMap<DocId, MapState>,
    portion_bytes: usize,
    seen: u64,
}

/// What sled has of a record.
enum Taken {
    /// All of it.
    Known,
    /// Nothing yet.
    New,
}

impl<'a> Replay<'a> {
    /// A replay onto what sled has: `catalog`, and everything before `from`.
    pub(crate) fn new(
        index: &'a Index,
        files: &'a Files,
        catalog: Catalog,
        from: Mark,
        store: [u8; 16],
    ) -> Self {
        let namer = namer_of(&catalog, from);
        Self {
            index,
            files,
            store,
            from,
            catalog,
            end: from,
            torn: None,
            count: 0,
            problems: Vec::new(),
            namer,
            marked: HashSet::new(),
            append: Vec::new(),
            portion: Vec::new(),
            states: BTreeMap::new(),
            portion_bytes: 0,
            seen: 0,
        }
    }

    pub(crate) fn run(mut self) -> Result<Replayed, StoreError> {
        let walk = Walk {
            from: self.from,
            durable: self.from,
            until: None,
        };
        self.files.walk(&walk, &mut |walked| self.meet(walked))?;
        self.end_of_append();
        self.put()?;
        self.name_losses()?;
        Ok(Replayed {
            catalog: self.catalog,
            end: self.end,
            torn: self.torn,
            count: self.count,
            unsound: self.seen > 0 || !self.problems.is_empty(),
            problems: self.problems,
        })
    }

    fn meet(&mut self, walked: Walked) -> Result<(), StoreError> {
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
                        self.files.journal_dir(),
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
                self.problem(damage);
                // What was durable once is kept, also without the rest of its append.
                self.take_append()
            }
            Walked::Lost { damage, claim } => {
                self.take_append()?;
                let claim = claim.map(|claim| self.known_by_hash(claim));
                self.namer.lost(damage, claim.as_ref());
                Ok(())
            }
            Walked::Torn { file, from, to } => {
                self.torn = Some(Torn { file, from, to });
                Ok(())
            }
        }
    }

    /// The journal ends: an append of which only a part was written was never acknowledged.
    fn end_of_append(&mut self) {
        let Some(first) = self.append.first() else {
            return;
        };
        let (file, from) = (first.place.file, first.place.offset);
        let to = self
            .torn
            .map(|torn| torn.to)
            .or_else(|| self.append.last().map(|last| last.end.offset));
        tracing::info!(file = %self.files.shown(file).display(), from, "an append that was not finished is cut off");
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

    /// Where a record says to be of a map that there is not, sled may know it by its hash.
    fn known_by_hash(&self, mut claim: Claim) -> Claim {
        if self.known(claim.doc).is_some() {
            return claim;
        }
        let is_this = |doc: &DocId| matches!(self.index.row(*doc, claim.seq), Ok(Some(row)) if row.chain() == claim.chain());
        let docs = self.catalog.states().map(|(doc, _)| doc);
        let doc = docs.take(HASH_LOOKUPS_MAX).find(is_this);
        claim.doc = doc.unwrap_or(claim.doc);
        claim
    }

    fn known(&self, doc: DocId) -> Option<&MapState> {
        self.states.get(&doc).or_else(|| self.catalog.state(doc))
    }

    fn take(&mut self, placed: Placed) -> Result<(), StoreError> {
        let taken = self.place(&placed);
        self.namer.record(&placed);
        self.end = placed.end;
        self.seen += 1;
        match taken? {
            Taken::Known => {}
            Taken::New => {
                self.count += 1;
                self.portion_bytes += placed.place.len as usize;
                self.portion.push(placed);
            }
        }
        Ok(())
    }

    fn place(&mut self, placed: &Placed) -> Result<Taken, StoreError> {
        let record = &placed.record;
        let mut state = self
            .known(record.doc)
            .cloned()
            .unwrap_or_else(MapState::new);
        if record.seq <= state.head.last {
            return self.compare(placed, state);
        }
        if record.seq != state.head.last.next() {
            self.mark_gap(&mut state, placed);
        } else if record.chain_after(&state.head.chain) != record.chain {
            self.mark(
                &mut state,
                placed,
                "its hash does not follow from the records before it",
            );
        }
        state.advance(record);
        if state.name.is_none() && record.doc != STORE_LOG {
            // Its creation is lost: it must be found all the same.
            state.name = MapName::parse(&format!("lost/{}", record.doc)).ok();
        }
        self.states.insert(record.doc, state);
        Ok(Taken::New)
    }

    /// sled was ahead of its checkpoint: it must have the very same record.
    fn compare(&mut self, placed: &Placed, mut state: MapState) -> Result<Taken, StoreError> {
        let record = &placed.record;
        if self
            .portion
            .iter()
            .any(|p| (p.record.doc, p.record.seq) == (record.doc, record.seq))
        {
            self.put()?;
        }
        match self.index.row(record.doc, record.seq)? {
            Some(row) if row.chain() == &record.chain => Ok(Taken::Known),
            Some(_) => {
                self.mark(
                    &mut state,
                    placed,
                    "two records have the same place; the first is kept",
                );
                self.states.insert(record.doc, state);
                Ok(Taken::Known)
            }
            None => Ok(Taken::New),
        }
    }

    /// Marks the map as damaged, unless it is already.
    fn mark(&mut self, state: &mut MapState, placed: &Placed, what: &str) {
        let damage = Damage {
            file: self.files.shown(placed.place.file),
            offset: placed.place.offset,
            doc: Some(placed.record.doc),
            seq: Some(placed.record.seq),
            what: what.to_owned(),
        };
        self.problem(damage.clone());
        state.head.damaged.get_or_insert(damage);
    }

    /// Records before this one are lost. What is known of the place now goes into sled with the record; the
    /// end of the journal may tell more.
    fn mark_gap(&mut self, state: &mut MapState, placed: &Placed) {
        if state.head.damaged.is_some() {
            return;
        }
        let doc = placed.record.doc;
        let here = || Damage {
            file: self.files.shown(placed.place.file),
            offset: placed.place.offset,
            doc: None,
            seq: None,
            what: "records before this one are missing".into(),
        };
        state.head.damaged = Some(Damage {
            doc: Some(doc),
            seq: Some(state.head.last.next()),
            ..self.namer.so_far(doc).unwrap_or_else(here)
        });
        self.marked.insert(doc);
    }

    /// Everything was read: says which records the damaged places cost, and marks the maps for which
    /// nothing has them any more.
    fn name_losses(&mut self) -> Result<(), StoreError> {
        let namer = std::mem::replace(&mut self.namer, Namer::new());
        let shown = |file| self.files.shown(file);
        let mut first: BTreeMap<DocId, Damage> = BTreeMap::new();
        for named in namer.finish(&reaches(&self.catalog), self.end.lsn, &shown) {
            let (damage, is_lost) = tell(self.index, named);
            self.problem(damage.clone());
            if let Some(doc) = damage.doc.filter(|_| is_lost) {
                let known = first.entry(doc).or_insert_with(|| damage.clone());
                if damage.seq < known.seq {
                    *known = damage;
                }
            }
        }
        let mut states = BTreeMap::new();
        for (doc, damage) in first {
            let Some(state) = self.catalog.state(doc) else {
                continue;
            };
            let mut state = state.clone();
            if self.marked.contains(&doc) {
                state.head.damaged = Some(damage);
            } else {
                state.head.damaged.get_or_insert(damage);
            }
            states.insert(doc, state);
        }
        self.index.put(&[], &states)?;
        for (doc, state) in states {
            self.catalog.put(doc, state);
        }
        Ok(())
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

/// Behind a checkpoint it is known how far each map has come at least.
fn namer_of(catalog: &Catalog, from: Mark) -> Namer {
    let maps = catalog.states();
    let maps = maps.map(|(doc, state)| (doc, state.head.last, state.head.chain));
    if from == Mark::START {
        Namer::new()
    } else {
        Namer::behind(from.lsn, maps)
    }
}
