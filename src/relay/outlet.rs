//! Reads what other stores lack.

use std::sync::Arc;

use futures_util::StreamExt;
use mapweave_proto::{DocId, Seq, StateVector};
use mapweave_storage::{Known, StoreError, UpdateLog};

use super::batch::{PACKED_BYTES_MAX, Packing, compress, travels};
use super::link::{LocalMap, ReadRecords};
use super::message::{MESSAGE_BYTES_MAX, MapState};
use crate::room::{IfUnknown, RoomHandle, Rooms};

/// Records that are looked through for one batch at most: then others have their turn.
const LOOKED_AT_MAX: u64 = 20_000;

/// A map of `store`, as it is durable now; `None` for what is no map.
pub fn local_map(store: &dyn UpdateLog, doc: DocId) -> Option<LocalMap> {
    let exchange = store.exchange(doc)?;
    Some(LocalMap {
        doc,
        name: exchange.name?,
        state: if exchange.deleted {
            MapState::Deleted
        } else {
            MapState::Live
        },
        last: exchange.last,
        known: exchange.known,
    })
}

/// The next batch of records `from ..= upto` of a map, without those in `skip`.
///
/// # Errors
/// The store's, for a damaged record among others.
pub async fn read(
    store: Arc<dyn UpdateLog>,
    doc: DocId,
    from: Seq,
    upto: Seq,
    skip: Known,
) -> Result<ReadRecords, StoreError> {
    let here = store.identity().store;
    let (mut packing, mut at) = (Packing::default(), Seq(from.0.saturating_sub(1)));
    let mut log = store.read_log(doc, from, upto);
    while let Some(record) = log.next().await {
        let record = record?;
        let (of, seq) = record.born(here);
        if travels(&record.kind) && !skip.holds(&of, seq) {
            if !packing.fits(record.payload.len()) {
                break;
            }
            packing.put(here, &record);
        }
        at = record.seq;
        if packing.is_full() || at.0.saturating_sub(from.0) >= LOOKED_AT_MAX {
            break;
        }
    }
    let packed = tokio::task::spawn_blocking(move || packing.finish());
    let packed = packed.await.map_err(std::io::Error::other).flatten();
    let packed = packed.map_err(|error| StoreError::ReadOnly {
        why: format!("a batch cannot be packed: {error}"),
    })?;
    Ok(ReadRecords { upto: at, packed })
}

/// The state vector of a map's document; `None` where that cannot be told or is too long.
pub async fn vector(rooms: &Arc<Rooms>, doc: DocId) -> Option<bytes::Bytes> {
    let ledger = enter(rooms, doc)?.ledger().await.ok()?;
    let vector = ledger.state_vector().encode();
    (vector.len() < MESSAGE_BYTES_MAX / 2).then_some(vector)
}

/// What a map's document holds beyond `vector`, packed, and the last record in it; `None` where that cannot be told.
pub async fn state(
    rooms: &Arc<Rooms>,
    doc: DocId,
    vector: bytes::Bytes,
) -> Option<(Seq, bytes::Bytes)> {
    let have = StateVector::decode(vector).ok()?;
    let state = enter(rooms, doc)?.state(have).await.ok()?;
    let packed = tokio::task::spawn_blocking(move || compress(&state.update));
    let packed = packed.await.ok()?.ok()?;
    (packed.len() <= PACKED_BYTES_MAX).then_some((state.seq, packed))
}

fn enter(rooms: &Arc<Rooms>, doc: DocId) -> Option<RoomHandle> {
    let exchange = rooms.store().exchange(doc)?;
    let room = rooms.enter(&exchange.name?, IfUnknown::Refuse).ok()?;
    (room.doc() == doc).then_some(room)
}
