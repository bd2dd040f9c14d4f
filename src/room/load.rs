//! A map from its store: the newest snapshot and the records after it.

use std::sync::Arc;

use futures_util::StreamExt;
use mapweave_proto::{DocId, Scanned, Seq, scan};
use mapweave_storage::{Kind, Record, StoreError, UpdateLog};

use super::container::{Beside, Held, StoredState};
use super::replica::{
    Decision, HELD_ID_BYTES, HeldLimits, Kept, Outcome, Refused, Replica, StateCache,
};

/// A map as its store has it.
pub struct Loaded {
    /// The document.
    pub replica: Replica,
    /// Its encoded state, where that was at hand.
    pub cache: StateCache,
    /// Last record of its log.
    pub head: Seq,
    /// Records and bytes that follow the snapshot.
    pub tail: (u64, u64),
}

impl Loaded {
    /// A map that has no log yet.
    pub fn empty() -> Self {
        Self {
            replica: Replica::new(HeldLimits::NONE),
            cache: StateCache::default(),
            head: Seq::ZERO,
            tail: (0, 0),
        }
    }
}

/// Why a map cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that was taken once is refused now.
    #[error("record {seq} of map {doc} cannot be applied: {why}")]
    Record {
        /// The map.
        doc: DocId,
        /// Place of the record.
        seq: Seq,
        /// What is wrong with it.
        why: Refused,
    },
}

/// What lies on disk, before anything is decoded.
pub struct Fetched {
    doc: DocId,
    /// The newest snapshot, if there is one that can be read.
    pub stored: Option<StoredState>,
    upto: Seq,
    head: Seq,
}

impl Fetched {
    /// The whole state, if the snapshot alone is the whole truth.
    pub fn whole_state(&self) -> Option<&bytes::Bytes> {
        let stored = self.stored.as_ref()?;
        (self.upto == self.head && stored.held.is_empty()).then_some(&stored.state)
    }

    /// Last record of the log.
    pub fn head(&self) -> Seq {
        self.head
    }
}

/// Reads the newest snapshot of `doc`. A snapshot that cannot be read costs time, not data.
///
/// # Errors
/// The store's.
pub async fn fetch(store: &dyn UpdateLog, doc: DocId) -> Result<Fetched, LoadError> {
    let head = store.head(doc)?.map_or(Seq::ZERO, |head| head.last);
    fetch_upto(store, doc, head).await
}

/// The same as of record `head`, whatever came after it.
///
/// # Errors
/// The store's.
pub async fn fetch_upto(
    store: &dyn UpdateLog,
    doc: DocId,
    head: Seq,
) -> Result<Fetched, LoadError> {
    let mut fetched = Fetched {
        doc,
        stored: None,
        upto: Seq::ZERO,
        head,
    };
    if let Some(snapshot) = store.snapshot(doc, Some(head)).await? {
        match StoredState::decode(snapshot.bytes) {
            Ok(stored) => (fetched.stored, fetched.upto) = (Some(stored), snapshot.upto),
            Err(error) => {
                tracing::warn!(%doc, upto = %snapshot.upto, %error, "the whole log is replayed instead")
            }
        }
    }
    Ok(fetched)
}

/// Builds the document from what was fetched and the records after it. Takes CPU time in proportion to both.
///
/// # Errors
/// The store's, or the record that cannot be applied.
pub async fn build(store: &dyn UpdateLog, fetched: Fetched) -> Result<Loaded, LoadError> {
    let Fetched {
        doc,
        stored,
        upto,
        head,
    } = fetched;
    let mut replica = Replica::new(HeldLimits::NONE);
    let mut cache = StateCache::default();
    let refused = |seq| move |why| LoadError::Record { doc, seq, why };
    if let Some(stored) = stored {
        let state = scan(stored.state, usize::MAX)
            .map_err(Refused::from)
            .map_err(refused(upto))?;
        replica.restore(&state).map_err(refused(upto))?;
        cache = StateCache::new(state);
        for held in stored.held {
            let Held { update, since_ms } = held;
            let update = scan(update, usize::MAX)
                .map_err(Refused::from)
                .map_err(refused(upto))?;
            replica.receive(update, u64::MAX).map_err(refused(upto))?;
            if let Some(since_ms) = since_ms {
                replica.stamp_held(since_ms);
            }
        }
        beside(store, doc, stored.beside, &mut replica).await?;
    }
    let mut tail = (0, 0);
    if upto < head {
        let mut records = store.read_log(doc, upto.next(), head);
        while let Some(record) = records.next().await {
            let record = record?;
            tail = (tail.0 + 1, tail.1 + record.payload.len() as u64);
            for update in replay(&mut replica, &record).map_err(refused(record.seq))? {
                cache.push(&update);
            }
        }
    }
    Ok(Loaded {
        replica,
        cache,
        head,
        tail,
    })
}

/// Takes over what a snapshot says beside the document; the log has what waits in quarantine.
async fn beside(
    store: &dyn UpdateLog,
    doc: DocId,
    stored: Beside,
    replica: &mut Replica,
) -> Result<(), LoadError> {
    let Beside {
        owners,
        quarantined,
        rejected,
    } = stored;
    replica.set_owners(owners);
    let quarantine = replica.quarantine_mut();
    rejected
        .into_iter()
        .for_each(|id| quarantine.remember_rejected(id));
    for seq in quarantined {
        if let Some(record) = store.read_log(doc, seq, seq).next().await {
            replay(replica, &record?).map_err(|why| LoadError::Record { doc, seq, why })?;
        }
    }
    Ok(())
}

/// Applies one record of a log; tells what that brought to the document, in order.
///
/// # Errors
/// Where the replica refuses what it once took.
pub fn replay(replica: &mut Replica, record: &Record) -> Result<Vec<Scanned>, Refused> {
    match record.kind {
        Kind::Update | Kind::Gapped => {}
        Kind::Quarantined => {
            let update = scan(record.payload.clone(), usize::MAX)?;
            replica.quarantine_mut().keep(Kept {
                seq: record.seq,
                origin: record.origin.clone(),
                since_ms: record.time_ms,
                update,
            });
            return Ok(Vec::new());
        }
        Kind::Admitted { of } => {
            replica.quarantine_mut().decide(of, Decision::Admit);
            return Ok(Vec::new());
        }
        Kind::Rejected { of } => {
            replica.quarantine_mut().decide(of, Decision::Reject);
            return Ok(Vec::new());
        }
        Kind::Expired => {
            let (ids, _) = record.payload.as_chunks::<HELD_ID_BYTES>();
            replica.drop_held(&ids.iter().copied().collect());
            return Ok(Vec::new());
        }
        _ => return Ok(Vec::new()),
    }
    let update = scan(record.payload.clone(), usize::MAX)?;
    let outcome = replica.receive_of(update, u64::MAX, &record.origin.user)?;
    replica.stamp_held(record.time_ms);
    match outcome {
        Outcome::Applied { brought, released } => {
            Ok(std::iter::once(brought).chain(released).collect())
        }
        Outcome::Held { went_in, .. } => Ok(went_in),
        Outcome::Nothing => Ok(Vec::new()),
    }
}

/// Fetches and builds in one, for callers without a room.
///
/// # Errors
/// As [`fetch`] and [`build`].
pub async fn load(store: &Arc<dyn UpdateLog>, doc: DocId) -> Result<Loaded, LoadError> {
    let fetched = fetch(store.as_ref(), doc).await?;
    build(store.as_ref(), fetched).await
}
