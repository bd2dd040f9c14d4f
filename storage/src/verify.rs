//! The check of one map's records, one after the other: places, times, kinds, chain. Pure.

use std::path::{Path, PathBuf};

use mapweave_proto::{DocId, MapName, Seq};

use crate::record::{CHAIN_START, STORE_LOG};
use crate::report::MapReport;
use crate::{Damage, Head, Kind, Record, Report};

/// Most problems that one map contributes to a report; a broken log breaks every record after it.
pub(crate) const PROBLEMS_PER_MAP_MAX: usize = 100;

/// Takes a map's records in order and remembers what is wrong.
#[derive(Debug)]
pub(crate) struct MapCheck {
    pub(crate) doc: DocId,
    file: PathBuf,
    offset: u64,
    first: Option<Seq>,
    last: Seq,
    last_time_ms: u64,
    chain: [u8; 32],
    pub(crate) records: u64,
    payload_bytes: u64,
    pub(crate) snapshots: u64,
    /// Records are known to be lost, so that the sums of the head cannot be met.
    has_losses: bool,
    pub(crate) problems: Vec<Damage>,
}

impl MapCheck {
    /// A check of the records of `doc`, whose problems name `file` where no better place is known.
    pub(crate) fn new(doc: DocId, file: &Path) -> Self {
        Self {
            doc,
            file: file.to_owned(),
            offset: 0,
            first: None,
            last: Seq::ZERO,
            last_time_ms: 0,
            chain: CHAIN_START,
            records: 0,
            payload_bytes: 0,
            snapshots: 0,
            has_losses: false,
            problems: Vec::new(),
        }
    }

    /// Where the next record was read, for problems with it.
    pub(crate) fn at(&mut self, file: PathBuf, offset: u64) {
        self.file = file;
        self.offset = offset;
    }

    /// Some of its records cannot be read. Whoever reads the records says so for every gap between them.
    pub(crate) fn lost(&mut self, damage: Damage) {
        self.has_losses = true;
        self.push(damage);
    }

    /// The next record that was read.
    pub(crate) fn record(&mut self, record: &Record) {
        if record.seq <= self.last {
            let what = format!("it stands behind record {}", self.last);
            self.problem(Some(record.seq), what);
        } else if record.seq > self.last.next() {
            // Nothing is known of the chain before it.
            self.has_losses = true;
        } else if record.chain_after(&self.chain) != record.chain {
            self.problem(
                Some(record.seq),
                "its hash does not follow from the records before it".into(),
            );
        }
        if record.time_ms < self.last_time_ms {
            self.problem(
                Some(record.seq),
                "its time is before that of the record before it".into(),
            );
        }
        let is_creation = matches!(record.kind, Kind::Created { .. });
        if self.doc != STORE_LOG && is_creation != (record.seq == Seq(1)) {
            self.problem(
                Some(record.seq),
                "a map's creation must be its first record and no other".into(),
            );
        }
        self.first.get_or_insert(record.seq);
        self.last = record.seq;
        self.last_time_ms = record.time_ms;
        self.chain = record.chain;
        self.records += 1;
        self.payload_bytes = self
            .payload_bytes
            .saturating_add(record.payload.len() as u64);
    }

    /// After the last record: they must reach as far as `head` says.
    pub(crate) fn finish(&mut self, head: &Head) {
        if let Some(damage) = &head.damaged {
            let is_told = self.problems.iter().any(|told| told.seq == damage.seq);
            if !is_told {
                self.push(damage.clone());
            }
        }
        let sums_differ = (self.records, self.payload_bytes) != (head.count, head.payload_bytes);
        let ends_differ = (self.last, self.chain) != (head.last, head.chain);
        let short = self.has_losses && self.last < head.last;
        if (sums_differ && !self.has_losses) || (ends_differ && !short) {
            let what = format!(
                "the head says {} records up to {}, the log has {} up to {}",
                head.count, head.last, self.records, self.last
            );
            self.problem(None, what);
        }
    }

    pub(crate) fn problem(&mut self, seq: Option<Seq>, what: String) {
        self.push(Damage {
            file: self.file.clone(),
            offset: self.offset,
            doc: Some(self.doc),
            seq,
            what,
        });
    }

    pub(crate) fn push(&mut self, damage: Damage) {
        if self.problems.len() < PROBLEMS_PER_MAP_MAX && !self.problems.contains(&damage) {
            self.problems.push(damage);
        }
    }
}

/// Folds the checks of all maps, and problems that belong to none, into one report.
pub(crate) fn report_of(
    checks: Vec<(Option<MapName>, MapCheck)>,
    mut problems: Vec<Damage>,
) -> Report {
    let mut maps = Vec::with_capacity(checks.len());
    for (name, check) in checks {
        if let Some(name) = name {
            maps.push(MapReport {
                id: check.doc,
                name,
                ok: check.problems.is_empty(),
                first: check.first.unwrap_or(Seq(1)),
                last: check.last,
                records: check.records,
                payload_bytes: check.payload_bytes,
                snapshots: check.snapshots,
                chain: check.chain,
            });
        }
        for problem in check.problems {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    maps.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    problems.sort_by(|a, b| (&a.file, a.offset, a.seq).cmp(&(&b.file, b.offset, b.seq)));
    Report {
        ok: problems.is_empty(),
        maps,
        problems,
    }
}
