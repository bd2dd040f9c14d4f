//! Storing, finding and pruning snapshots.

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};

use super::Core;
use crate::log::Snapshot;
use crate::snapshot::{self, SNAPSHOT_BYTES_MAX, Title};
use crate::{Health, StoreError};

pub(crate) fn put(core: &Core, doc: DocId, upto: Seq, bytes: &Bytes) -> Result<(), StoreError> {
    if let Some(refusal) = core.refusal() {
        return Err(refusal);
    }
    if bytes.len() > SNAPSHOT_BYTES_MAX {
        let (size, max) = (bytes.len(), SNAPSHOT_BYTES_MAX);
        return Err(StoreError::TooLarge {
            what: "a snapshot",
            size,
            max,
        });
    }
    let title = title(core, doc, upto)?;
    let index = core.index()?;
    let row =
        snapshot::write(&*core.options.disk, &core.root, &title, bytes).inspect_err(|error| {
            // A disk too full for a snapshot is found out by the next append; the records are not touched.
            tracing::warn!(%doc, %upto, %error, "a snapshot could not be stored");
        })?;
    index
        .put_snapshot(doc, upto, &row)
        .inspect_err(|error| core.health.set(Health::Poisoned(error.to_string())))?;
    core.durable_mut().catalog.change_head(doc, |head| {
        head.newest_snapshot = head.newest_snapshot.max(Some(upto))
    });
    if let Err(error) = prune(core, doc) {
        tracing::warn!(%doc, %error, "old snapshots could not be removed");
    }
    Ok(())
}

fn title(core: &Core, doc: DocId, upto: Seq) -> Result<Title, StoreError> {
    let (last, lsn, time_ms) = {
        let durable = core.durable();
        let head = &durable
            .catalog
            .state(doc)
            .ok_or(StoreError::UnknownMap { doc })?
            .head;
        (
            head.last,
            durable.end.lsn,
            core.options
                .clock
                .now_ms()
                .max(durable.catalog.last_time_ms()),
        )
    };
    if upto > last {
        return Err(StoreError::SnapshotAhead { doc, upto, last });
    }
    core.backlog.wait_applied(lsn)?;
    let chain = match core.index()?.row(doc, upto)? {
        Some(row) => *row.chain(),
        None if upto == Seq::ZERO => crate::CHAIN_START,
        None => {
            return Err(StoreError::Index {
                what: format!("record {upto} of map {doc} is missing"),
            });
        }
    };
    Ok(Title {
        doc,
        upto,
        chain,
        time_ms,
    })
}

fn prune(core: &Core, doc: DocId) -> Result<(), StoreError> {
    let index = core.index()?;
    let known: Vec<_> = index
        .snapshots(doc)?
        .into_iter()
        .filter_map(|(seq, row)| Some((seq, row?.time_ms)))
        .collect();
    for upto in snapshot::superfluous(&known, core.options.clock.now_ms()) {
        let path = snapshot::path_of(&core.root, doc, upto);
        match core.options.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &path, error));
            }
            _ => index.remove_snapshot(doc, upto)?,
        }
    }
    Ok(())
}

pub(crate) fn newest(
    core: &Core,
    doc: DocId,
    at: Option<Seq>,
) -> Result<Option<Snapshot>, StoreError> {
    let at = at.unwrap_or(Seq(u64::MAX));
    let index = core.index()?;
    let lsn = core.durable().end.lsn;
    let known = index.snapshots(doc)?;
    if known.iter().any(|(upto, _)| *upto <= at) {
        core.backlog.wait_applied(lsn)?;
    }
    for (upto, _) in known.into_iter().rev().filter(|(upto, _)| *upto <= at) {
        match snapshot::read(&*core.options.disk, &core.root, doc, upto) {
            Ok(stored) if is_of_this_history(core, &stored.title)? => {
                return Ok(Some(Snapshot {
                    upto,
                    bytes: stored.bytes,
                }));
            }
            Ok(_) => tracing::error!(%doc, %upto, "a snapshot is of another history; passed over"),
            Err(error) => {
                tracing::error!(%doc, %upto, %error, "a snapshot cannot be read; passed over")
            }
        }
    }
    Ok(None)
}

/// A record that is lost cannot speak against a snapshot that contains it.
fn is_of_this_history(core: &Core, title: &Title) -> Result<bool, StoreError> {
    let row = core.index()?.row(title.doc, title.upto)?;
    Ok(row.is_none_or(|row| row.chain() == &title.chain))
}
