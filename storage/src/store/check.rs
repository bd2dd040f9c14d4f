//! The check of everything: every byte of journal and archive, every chain, sled against the journal, every
//! snapshot. Changes nothing and runs beside the store's work.

use std::collections::HashMap;
use std::path::Path;

use mapweave_proto::{DocId, Seq};

use super::Core;
use super::lost::{reaches, tell};
use crate::catalog::Catalog;
use crate::journal::{Mark, Namer, Placed, Walk, Walked};
use crate::sled_log::Index;
use crate::snapshot;
use crate::verify::{MapCheck, report_of};
use crate::{Damage, Report, StoreError};

pub(crate) fn verify(core: &Core, doc: Option<DocId>) -> Result<Report, StoreError> {
    let (catalog, end) = {
        let durable = core.durable();
        (durable.catalog.clone(), durable.end)
    };
    if let Some(doc) = doc
        && catalog.state(doc).is_none()
    {
        return Err(StoreError::UnknownMap { doc });
    }
    core.backlog.wait_applied(end.lsn)?;
    let wanted = catalog
        .states()
        .map(|(id, _)| id)
        .filter(|id| doc.is_none_or(|doc| doc == *id));
    let checks = wanted
        .map(|id| (id, MapCheck::new(id, Path::new("journal"))))
        .collect();
    let mut check = Check {
        core,
        checks,
        chains: HashMap::new(),
        namer: Namer::new(),
        problems: Vec::new(),
    };
    check.snapshots();
    check.journal(end)?;
    check.tell_losses(&catalog, end)?;
    Ok(check.finish(&catalog))
}

struct Check<'a> {
    core: &'a Core,
    checks: HashMap<DocId, MapCheck>,
    /// The chains that snapshots say to stand at.
    chains: HashMap<(DocId, Seq), [u8; 32]>,
    namer: Namer,
    problems: Vec<Damage>,
}

impl Check<'_> {
    fn snapshots(&mut self) {
        let (disk, root) = (&*self.core.options.disk, &self.core.root);
        for (doc, check) in &mut self.checks {
            let dir = snapshot::dir_of(root, *doc);
            let names = match disk.list(&dir) {
                Ok(names) => names,
                Err(error) => {
                    let what = format!("the snapshots cannot be listed: {error}");
                    check.push(snapshot::damage(root, &dir, *doc, Seq::ZERO, what));
                    continue;
                }
            };
            for upto in names
                .iter()
                .filter_map(|name| snapshot::parse_file_name(name))
            {
                match snapshot::read(disk, root, *doc, upto) {
                    Ok(stored) => {
                        self.chains.insert((*doc, upto), stored.title.chain);
                        check.snapshots += 1;
                    }
                    Err(StoreError::Damaged(damage)) => check.push(*damage),
                    // Pruned in the meantime, or the disk fails: then the file says so.
                    Err(error) => {
                        let path = snapshot::path_of(root, *doc, upto);
                        check.push(snapshot::damage(root, &path, *doc, upto, error.to_string()));
                    }
                }
            }
        }
    }

    fn journal(&mut self, end: Mark) -> Result<(), StoreError> {
        let core = self.core;
        let index = core.index()?;
        let walk = Walk {
            from: Mark::START,
            durable: end,
            until: Some(end),
        };
        core.files.walk(&walk, &mut |walked| {
            if core.is_closing() {
                return Err(StoreError::Closed);
            }
            match walked {
                Walked::Record { placed, .. } => self.record(&index, &placed),
                Walked::File { store } if store != core.identity().store => {
                    self.problem("a journal file belongs to another store".into());
                }
                Walked::Damage(damage) => self.problems.push(damage),
                Walked::Lost { damage, claim } => self.namer.lost(damage, claim.as_ref()),
                Walked::Torn { file, from, to } => {
                    let what = format!("{} bytes are no records", to.saturating_sub(from));
                    self.problems.push(Damage {
                        file: core.files.shown(file),
                        offset: from,
                        doc: None,
                        seq: None,
                        what,
                    });
                }
                Walked::File { .. } => {}
            }
            Ok(())
        })
    }

    fn record(&mut self, index: &Index, placed: &Placed) {
        let record = &placed.record;
        self.namer.record(placed);
        let Some(check) = self.checks.get_mut(&record.doc) else {
            return;
        };
        check.at(
            self.core.files.shown(placed.place.file),
            placed.place.offset,
        );
        check.record(record);
        if self
            .chains
            .get(&(record.doc, record.seq))
            .is_some_and(|chain| chain != &record.chain)
        {
            check.problem(
                Some(record.seq),
                "the snapshot at this record is of another history".into(),
            );
        }
        let problem = match index.row(record.doc, record.seq) {
            Ok(Some(row)) if row.chain() == &record.chain => return,
            Ok(Some(_)) => "sled has another record than the journal".into(),
            Ok(None) => "sled does not have the record".into(),
            Err(error) => error.to_string(),
        };
        check.problem(Some(record.seq), problem);
    }

    /// Gives what cannot be read to the maps that it was of.
    fn tell_losses(&mut self, catalog: &Catalog, end: Mark) -> Result<(), StoreError> {
        let index = self.core.index()?;
        let namer = std::mem::replace(&mut self.namer, Namer::new());
        let shown = |file| self.core.files.shown(file);
        for named in namer.finish(&reaches(catalog), end.lsn, &shown) {
            let (damage, _) = tell(&index, named);
            match damage.doc {
                Some(doc) if catalog.state(doc).is_some() => {
                    // Or it is of another map than the one that was asked for.
                    if let Some(check) = self.checks.get_mut(&doc) {
                        check.lost(damage);
                    }
                }
                _ => self.problems.push(damage),
            }
        }
        Ok(())
    }

    fn problem(&mut self, what: String) {
        self.problems.push(Damage {
            file: "journal".into(),
            offset: 0,
            doc: None,
            seq: None,
            what,
        });
    }

    fn finish(self, catalog: &Catalog) -> Report {
        let checks = self.checks.into_iter().map(|(doc, mut check)| {
            let state = catalog.state(doc);
            if let Some(state) = state {
                check.finish(&state.head);
            }
            (state.and_then(|state| state.name.clone()), check)
        });
        report_of(checks.collect(), self.problems)
    }
}
