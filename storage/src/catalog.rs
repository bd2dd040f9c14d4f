//! Which maps there are and how far their logs reach: pure, shared by every store.
//!
//! A [`Catalog`] holds what is durable. A [`Draft`] places the records of a batch on top of it and
//! becomes part of it only when the batch is durable; dropping the draft forgets the batch.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mapweave_proto::{DocId, MapName, Seq};

use crate::record::{APPEND_BYTES_MAX, APPEND_RECORDS_MAX, CHAIN_START, STORE_LOG};
use crate::{
    Damage, Exchange, FIRST_EPOCH, Identity, Kind, Known, LogId, NewRecord, Origin, Record,
    Relayed, StoreError,
};

/// How far a map's log reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Place of the first record that is kept; the one after [`Head::last`] where there is none.
    pub first: Seq,
    /// Place of the last record; [`Seq::ZERO`] where there is none.
    pub last: Seq,
    /// How many records are kept.
    pub count: u64,
    /// Sum of their payloads, in bytes.
    pub payload_bytes: u64,
    /// Hash chain at [`Head::last`].
    pub chain: [u8; 32],
    /// What the newest snapshot contains up to, if there is one.
    pub newest_snapshot: Option<Seq>,
    /// When the last record was stored, in milliseconds since 1970 (UTC).
    pub last_time_ms: u64,
    /// The first damage found in this map's log, if any. Everything readable is kept and served.
    pub damaged: Option<Damage>,
}

impl Head {
    /// Before the first record.
    pub const EMPTY: Self = Self {
        first: Seq(1),
        last: Seq::ZERO,
        count: 0,
        payload_bytes: 0,
        chain: CHAIN_START,
        newest_snapshot: None,
        last_time_ms: 0,
        damaged: None,
    };
}

/// A map in the list of maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapEntry {
    /// Its id, which it keeps for ever.
    pub id: DocId,
    /// The name it bears now.
    pub name: MapName,
    /// Deleted, and restorable.
    pub deleted: bool,
    /// When its first record was stored, in milliseconds since 1970 (UTC).
    pub created_ms: u64,
    /// How far its log reaches.
    pub head: Head,
}

/// A map as the catalog knows it; the store's own log has no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapState {
    pub(crate) name: Option<MapName>,
    pub(crate) deleted: bool,
    pub(crate) created_ms: u64,
    pub(crate) head: Head,
    /// The last record that was made here in the first life of this store.
    pub(crate) native: Seq,
    /// What the log holds of other logs.
    pub(crate) known: Known,
    /// See [`Exchange::turned_at_ms`].
    pub(crate) turned_at_ms: u64,
}

impl MapState {
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            deleted: false,
            created_ms: 0,
            head: Head::EMPTY,
            native: Seq::ZERO,
            known: Known::default(),
            turned_at_ms: 0,
        }
    }

    /// Moves the state over `record`, whatever it finds: the record is stored, so it counts.
    pub(crate) fn advance(&mut self, record: &Record) {
        if self.head.count == 0 {
            self.created_ms = record.time_ms;
            self.head.first = record.seq;
        }
        self.head.last = record.seq;
        self.head.count = self.head.count.saturating_add(1);
        self.head.payload_bytes = self
            .head
            .payload_bytes
            .saturating_add(record.payload.len() as u64);
        self.head.chain = record.chain;
        self.head.last_time_ms = record.time_ms;
        match &record.origin.relayed {
            None => self.native = record.seq,
            Some(relayed) => {
                self.known.raise(relayed.log, relayed.seq);
            }
        }
        if is_turn(&record.kind) {
            self.turned_at_ms = self.turned_at_ms.max(record.born_at_ms());
        }
        match &record.kind {
            Kind::Created { name } | Kind::Renamed { name } => self.name = Some(name.clone()),
            Kind::Deleted => self.deleted = true,
            Kind::Restored => self.deleted = false,
            Kind::Update
            | Kind::Gapped
            | Kind::Revoked { .. }
            | Kind::Issued { .. }
            | Kind::Expired
            | Kind::Known
            | Kind::Quarantined
            | Kind::Admitted { .. }
            | Kind::Rejected { .. }
            | Kind::Other { .. } => {}
        }
    }

    /// Whether record `seq` of `log` is in this log, the one of map `doc` of store `store`.
    fn holds(&self, store: [u8; 16], doc: DocId, log: &LogId, seq: Seq) -> bool {
        self.known.holds(log, seq) || *log == first_life(store, doc) && seq <= self.native
    }

    /// What relays have to know of the map `doc` of store `store`.
    pub(crate) fn exchange(&self, store: [u8; 16], doc: DocId) -> Exchange {
        let mut known = self.known.clone();
        if self.native > Seq::ZERO {
            known.raise(first_life(store, doc), self.native);
        }
        Exchange {
            name: self.name.clone(),
            deleted: self.deleted,
            last: self.head.last,
            known,
            turned_at_ms: self.turned_at_ms,
        }
    }

    fn entry(&self, id: DocId) -> Option<MapEntry> {
        let name = self.name.clone()?;
        Some(MapEntry {
            id,
            name,
            deleted: self.deleted,
            created_ms: self.created_ms,
            head: self.head.clone(),
        })
    }
}

/// The log of map `doc` in the first life of store `store`, whose records bear no name of their own.
const fn first_life(store: [u8; 16], doc: DocId) -> LogId {
    let epoch = FIRST_EPOCH;
    LogId { store, epoch, doc }
}

/// Whether a record says that its map is there or is not.
const fn is_turn(kind: &Kind) -> bool {
    matches!(kind, Kind::Created { .. } | Kind::Deleted | Kind::Restored)
}

/// Every map whose records are durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    maps: HashMap<DocId, MapState>,
    names: BTreeMap<MapName, Vec<DocId>>,
    last_time_ms: u64,
}

impl Catalog {
    pub(crate) fn state(&self, doc: DocId) -> Option<&MapState> {
        self.maps.get(&doc)
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = (DocId, &MapState)> {
        self.maps.iter().map(|(doc, state)| (*doc, state))
    }

    /// Time of the newest record, in milliseconds since 1970.
    pub(crate) const fn last_time_ms(&self) -> u64 {
        self.last_time_ms
    }

    /// The map that bears `name`: the one that is not deleted, else the newest.
    pub(crate) fn by_name(&self, name: &MapName) -> Option<MapEntry> {
        let bearers = self
            .names
            .get(name)?
            .iter()
            .filter_map(|doc| self.maps.get(doc)?.entry(*doc));
        bearers.max_by_key(|entry| (!entry.deleted, entry.created_ms, entry.id))
    }

    pub(crate) fn entries(&self) -> Vec<MapEntry> {
        let docs = self.names.values().flatten();
        docs.filter_map(|doc| self.maps.get(doc)?.entry(*doc))
            .collect()
    }

    /// Puts `state` in place of what is known of `doc`.
    pub(crate) fn put(&mut self, doc: DocId, state: MapState) {
        self.last_time_ms = self.last_time_ms.max(state.head.last_time_ms);
        let before = self.maps.get(&doc).and_then(|state| state.name.clone());
        if before != state.name {
            self.move_name(doc, before, state.name.clone());
        }
        self.maps.insert(doc, state);
    }

    /// Changes the head of `doc` in place, where it is known.
    pub(crate) fn change_head(&mut self, doc: DocId, change: impl FnOnce(&mut Head)) {
        if let Some(state) = self.maps.get_mut(&doc) {
            change(&mut state.head);
        }
    }

    fn move_name(&mut self, doc: DocId, before: Option<MapName>, after: Option<MapName>) {
        if let Some(name) = before
            && let Some(bearers) = self.names.get_mut(&name)
        {
            bearers.retain(|bearer| *bearer != doc);
            if bearers.is_empty() {
                self.names.remove(&name);
            }
        }
        if let Some(name) = after {
            self.names.entry(name).or_default().push(doc);
        }
    }
}

/// Records placed but not yet durable.
#[derive(Debug)]
pub(crate) struct Draft {
    changed: HashMap<DocId, MapState>,
    time_ms: u64,
    identity: Identity,
}

impl Draft {
    /// A draft whose records bear `now_ms`, or the time of the newest durable record where that is later.
    pub(crate) fn new(base: &Catalog, identity: Identity, now_ms: u64) -> Self {
        Self {
            changed: HashMap::new(),
            time_ms: now_ms.max(base.last_time_ms),
            identity,
        }
    }

    /// Gives every record of one append its place, time and chain; all of them or none.
    pub(crate) fn place(
        &mut self,
        base: &Catalog,
        doc: DocId,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Record>, StoreError> {
        let known = self.changed.get(&doc).or_else(|| base.state(doc));
        let mut state = known.cloned().unwrap_or_else(MapState::new);
        let mut placed = Vec::with_capacity(records.len());
        for new in records {
            self.check(base, doc, &state, &new.kind)?;
            self.check_news(doc, &state, &new.origin)?;
            let NewRecord {
                kind,
                origin,
                payload,
            } = new;
            let seq = state.head.last.next();
            let origin = self.born(&state, doc, seq, &kind, origin);
            let mut record = Record {
                doc,
                seq,
                time_ms: self.time_ms,
                origin,
                kind,
                payload,
                chain: CHAIN_START,
            };
            record.chain = record.chain_after(&state.head.chain);
            state.advance(&record);
            placed.push(record);
        }
        self.changed.insert(doc, state);
        Ok(placed)
    }

    /// What is stored in a later life of the store says so: its place may have been given before. And a map is turned
    /// later than it was before, also where another store whose clock is ahead turned it last. (Of a deletion and a
    /// restoration at one time the deletion counts.)
    fn born(
        &self,
        state: &MapState,
        doc: DocId,
        seq: Seq,
        kind: &Kind,
        origin: Arc<Origin>,
    ) -> Arc<Origin> {
        let Identity { store, epoch } = self.identity;
        let overtaken = is_turn(kind)
            && (state.turned_at_ms > self.time_ms
                || state.turned_at_ms == self.time_ms && *kind == Kind::Restored);
        if doc == STORE_LOG || origin.relayed.is_some() || epoch == FIRST_EPOCH && !overtaken {
            return origin;
        }
        let at_ms = if overtaken {
            state.turned_at_ms.saturating_add(1)
        } else {
            self.time_ms
        };
        let relayed = Relayed {
            log: LogId { store, epoch, doc },
            seq,
            at_ms,
            via: String::new(),
        };
        Arc::new(Origin {
            relayed: Some(relayed),
            ..Origin::clone(&origin)
        })
    }

    /// The states to [`Catalog::put`] once the records are durable.
    pub(crate) fn into_changed(self) -> HashMap<DocId, MapState> {
        self.changed
    }

    fn check(
        &self,
        base: &Catalog,
        doc: DocId,
        state: &MapState,
        kind: &Kind,
    ) -> Result<(), StoreError> {
        let is_new = state.head.last == Seq::ZERO;
        match kind {
            Kind::Created { .. } if !is_new || doc == STORE_LOG => {
                Err(StoreError::MapExists { doc })
            }
            Kind::Created { name } | Kind::Renamed { name }
                if is_new == matches!(kind, Kind::Created { .. }) =>
            {
                self.check_free(base, doc, name)
            }
            _ if doc == STORE_LOG => Ok(()),
            _ if is_new => Err(StoreError::UnknownMap { doc }),
            // A map restored while another one took its name would make the name mean two maps.
            Kind::Restored => state
                .name
                .as_ref()
                .map_or(Ok(()), |name| self.check_free(base, doc, name)),
            // An update of a deleted map is kept: a session may have been told of it before the deletion.
            _ => Ok(()),
        }
    }

    /// A log holds each name once, however many connections hand the record on at the same time.
    fn check_news(&self, doc: DocId, state: &MapState, origin: &Origin) -> Result<(), StoreError> {
        let Some(Relayed { log, seq, .. }) = &origin.relayed else {
            return Ok(());
        };
        if state.holds(self.identity.store, doc, log, *seq) {
            let (log, seq) = (*log, *seq);
            return Err(StoreError::Held { doc, log, seq });
        }
        Ok(())
    }

    fn check_free(&self, base: &Catalog, doc: DocId, name: &MapName) -> Result<(), StoreError> {
        let bears = |state: &MapState| !state.deleted && state.name.as_ref() == Some(name);
        let here = self
            .changed
            .iter()
            .find(|(id, state)| **id != doc && bears(state))
            .map(|(id, _)| *id);
        let there = || {
            let bearers = base.names.get(name)?.iter().copied();
            bearers
                .filter(|id| *id != doc && !self.changed.contains_key(id))
                .find(|id| base.state(*id).is_some_and(bears))
        };
        match here.or_else(there) {
            Some(by) => Err(StoreError::NameTaken {
                name: name.clone(),
                by,
            }),
            None => Ok(()),
        }
    }
}

/// Checks one append before it takes a place in a queue.
///
/// # Errors
/// [`StoreError::Empty`] and [`StoreError::TooLarge`].
pub(crate) fn check_append(records: &[NewRecord]) -> Result<usize, StoreError> {
    if records.is_empty() {
        return Err(StoreError::Empty);
    }
    if records.len() > APPEND_RECORDS_MAX {
        let (what, size, max) = ("one append's records", records.len(), APPEND_RECORDS_MAX);
        return Err(StoreError::TooLarge { what, size, max });
    }
    records.iter().try_for_each(NewRecord::check)?;
    let size: usize = records.iter().map(|record| record.payload.len()).sum();
    if size > APPEND_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "one append's payloads",
            size,
            max: APPEND_BYTES_MAX,
        });
    }
    Ok(size)
}
