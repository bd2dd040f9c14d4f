//! Reading a log: portions from sled, each record checked against the one before it. Where sled turns out
//! to be wrong, the same records come from the journal, slowly, and the next open rebuilds sled.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use mapweave_proto::{DocId, Seq};

use super::workers::Workers;
use super::{Core, open};
use crate::record::CHAIN_START;
use crate::row::LogRow;
use crate::sled_log::More;
use crate::{Damage, Head, Record, StoreError};

/// Most records that are read ahead of a slow reader.
const PORTION_RECORDS_MAX: usize = 512;

/// Payload bytes after which a portion ends; one record may be larger.
const PORTION_BYTES_MAX: usize = 1 << 20;

/// The records of `doc` with `from <= seq <= to` that are durable when the reader gets there.
pub(crate) fn stream(
    core: Arc<Core>,
    workers: Arc<Workers>,
    doc: DocId,
    from: Seq,
    to: Seq,
) -> BoxStream<'static, Result<Record, StoreError>> {
    let cursor = Cursor {
        next: from.max(Seq(1)),
        to,
        chain: None,
    };
    let start = (core, workers, Some(cursor), VecDeque::new());
    stream::unfold(
        start,
        move |(core, workers, mut cursor, mut ready)| async move {
            if ready.is_empty() {
                let here = cursor.take()?;
                let shared = Arc::clone(&core);
                let portion = workers
                    .run(move || Ok(read_portion(&shared, doc, here)))
                    .await;
                let portion = portion.unwrap_or_else(|error| Portion {
                    failed: Some(error),
                    ..Portion::default()
                });
                cursor = portion.next;
                ready = portion
                    .records
                    .into_iter()
                    .map(Ok)
                    .chain(portion.failed.map(Err))
                    .collect();
            }
            let item = ready.pop_front()?;
            Some((item, (core, workers, cursor, ready)))
        },
    )
    .boxed()
}

/// Where a reader is.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    next: Seq,
    to: Seq,
    /// Chain before `next`, where it is known.
    chain: Option<[u8; 32]>,
}

/// Records in order, perhaps an error behind them, and where to go on if there is more.
#[derive(Debug, Default)]
struct Portion {
    records: Vec<Record>,
    bytes: usize,
    failed: Option<StoreError>,
    next: Option<Cursor>,
}

fn read_portion(core: &Core, doc: DocId, cursor: Cursor) -> Portion {
    let mut portion = Portion::default();
    if let Err(error) = fill(core, doc, cursor, &mut portion) {
        portion.failed = Some(error);
        portion.next = None;
    }
    portion
}

fn fill(core: &Core, doc: DocId, cursor: Cursor, portion: &mut Portion) -> Result<(), StoreError> {
    let (head, lsn) = {
        let durable = core.durable();
        let state = durable
            .catalog
            .state(doc)
            .ok_or(StoreError::UnknownMap { doc })?;
        (state.head.clone(), durable.end.lsn)
    };
    let to = cursor.to.min(head.last);
    if cursor.next > to {
        return Ok(());
    }
    core.backlog.wait_applied(lsn)?;
    let mut reader = Reader {
        cursor: Cursor { to, ..cursor },
        head: &head,
        doc,
        portion,
    };
    let found = reader.read_sled(core);
    let seq = reader.cursor.next;
    match found {
        Ok(()) => {}
        // What is known to be lost is in the journal neither.
        Err(error) if head.damaged.is_some() || core.is_closing() => return Err(error),
        Err(StoreError::Damaged(damage)) if damage.file != Path::new(SLED) => {
            // Of a long record sled has only the place. The record may yet stand elsewhere in the journal.
            if reader.read_journal(core).is_err() {
                tracing::error!(%damage, "a record cannot be read; its map is marked");
                mark(core, &damage);
                return Err(StoreError::Damaged(damage));
            }
            open::ask_for_rebuild(core);
        }
        Err(error) => {
            tracing::error!(%doc, %seq, %error, "sled is damaged; reading from the journal instead");
            open::ask_for_rebuild(core);
            reader.read_journal(core)?;
        }
    }
    let reached = reader.cursor;
    portion.next = (reached.next <= to).then_some(Cursor {
        to: cursor.to,
        ..reached
    });
    Ok(())
}

/// Remembers what cannot be read, so that later reads know it at once; sled has it with the map's next record.
fn mark(core: &Core, damage: &Damage) {
    if let Some(doc) = damage.doc {
        core.durable_mut().catalog.change_head(doc, |head| {
            head.damaged.get_or_insert_with(|| damage.clone());
        });
    }
}

/// A record's place on disk is known, so are its map and its own place.
fn name(error: StoreError, doc: DocId, seq: Seq) -> StoreError {
    match error {
        StoreError::Damaged(damage) => Damage {
            doc: Some(doc),
            seq: Some(seq),
            ..*damage
        }
        .into(),
        error => error,
    }
}

/// Where a damage is whose place in a file is not known.
const SLED: &str = "sled";

struct Reader<'a> {
    cursor: Cursor,
    head: &'a Head,
    doc: DocId,
    portion: &'a mut Portion,
}

impl Reader<'_> {
    fn read_sled(&mut self, core: &Core) -> Result<(), StoreError> {
        let index = core.index()?;
        if self.cursor.chain.is_none() {
            self.cursor.chain = match self.cursor.next.0.checked_sub(1) {
                None | Some(0) => Some(CHAIN_START),
                Some(before) => index.row(self.doc, Seq(before))?.map(|row| *row.chain()),
            };
        }
        let (doc, from, to) = (self.doc, self.cursor.next, self.cursor.to);
        index.rows(doc, from, to, &mut |seq, row| {
            let record = match row {
                LogRow::Inline(record) => record,
                LogRow::ByPlace { place, .. } => {
                    let read = core.files.record_at(place);
                    read.map_err(|error| name(error, doc, seq))?
                }
            };
            if record.seq != seq {
                return Err(self.damaged(seq, "another record stands in its place"));
            }
            self.take(record)?;
            Ok(if self.is_full() { More::No } else { More::Yes })
        })?;
        if self.is_full() || self.cursor.next > to {
            return Ok(());
        }
        Err(self.damaged(self.cursor.next, "the record is missing"))
    }

    /// Goes over all files from the start, so it fills a portion with as much as it may.
    fn read_journal(&mut self, core: &Core) -> Result<(), StoreError> {
        let end = core.durable().end;
        let from = self.cursor.next;
        core.files.records_of(self.doc, end, &mut |placed| {
            let record = placed.record;
            let wanted = from <= record.seq && record.seq <= self.cursor.to && !self.is_full();
            if wanted { self.take(record) } else { Ok(()) }
        })?;
        if self.is_full() || self.cursor.next > self.cursor.to {
            return Ok(());
        }
        Err(self.damaged(
            self.cursor.next,
            "the record is missing from sled and from the journal",
        ))
    }

    fn take(&mut self, record: Record) -> Result<(), StoreError> {
        if record.doc != self.doc || record.seq != self.cursor.next {
            return Err(self.damaged(self.cursor.next, "the record is missing"));
        }
        // Behind a gap nothing is known of the chain before.
        if let Some(before) = self.cursor.chain
            && record.chain_after(&before) != record.chain
        {
            return Err(self.damaged(
                record.seq,
                "its hash does not follow from the records before it",
            ));
        }
        self.cursor = Cursor {
            next: record.seq.next(),
            chain: Some(record.chain),
            ..self.cursor
        };
        self.portion.bytes += record.payload.len();
        self.portion.records.push(record);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.portion.records.len() >= PORTION_RECORDS_MAX || self.portion.bytes >= PORTION_BYTES_MAX
    }

    /// What recovery found of this record, else that it was found now.
    fn damaged(&self, seq: Seq, what: &str) -> StoreError {
        let known = self
            .head
            .damaged
            .clone()
            .filter(|damage| damage.seq.is_none_or(|known| known == seq));
        let here = || Damage {
            file: SLED.into(),
            offset: 0,
            doc: Some(self.doc),
            seq: Some(seq),
            what: what.to_owned(),
        };
        known.unwrap_or_else(here).into()
    }
}
