//! Takes in what other stores hand on: through the room like any update, deletions and restorations beside it.
//!
//! A map that is deleted here goes on taking in what others wrote in it, without becoming visible: whoever restores it
//! finds everything. Of a deletion and a restoration that happened apart, the later one counts everywhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapweave_proto::{Access, DocId, Seq, scan};
use mapweave_storage::{
    Exchange, Health, Kind, NewRecord, Origin, Protocol, StoreError, UpdateLog,
};

use super::link::Into;
use super::message::Outcome;
use crate::room::{
    self, Core, CoreOptions, Effects, EnterError, Foreign, IfUnknown, Input, LoadError, Refused,
    RequestError, Rooms, Start, Ticket,
};

/// How often a map that is being reloaded is tried again …
const ATTEMPTS_MAX: u32 = 50;

/// … and after which pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes in records for all connections of a process.
pub struct Intake {
    rooms: Arc<Rooms>,
    /// One at a time turns a map, or writes in one that is deleted.
    turns: tokio::sync::Mutex<()>,
}

/// Nothing can be taken in now: connect anew later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be taken in now: {why}")]
pub struct Interrupted {
    /// What is wrong here.
    pub why: String,
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self {
            why: error.to_string(),
        }
    }
}

impl From<LoadError> for Interrupted {
    fn from(error: LoadError) -> Self {
        Self {
            why: error.to_string(),
        }
    }
}

impl Intake {
    /// Takes into the maps of `rooms`.
    pub fn new(rooms: Arc<Rooms>) -> Self {
        Self {
            rooms,
            turns: tokio::sync::Mutex::default(),
        }
    }

    fn store(&self) -> &Arc<dyn UpdateLog> {
        self.rooms.store()
    }

    /// Takes `records` into a map, in their order; resolves once they are durable.
    ///
    /// # Errors
    /// [`Interrupted`]; some of the first may be in.
    pub async fn take(&self, into: &Into, records: Vec<Foreign>) -> Result<Outcome, Interrupted> {
        if let Some(why) = self.claims_this_life(&records) {
            return Ok(Outcome::Refused(why));
        }
        let mut edits = Vec::new();
        for record in records {
            if !matches!(record.kind, Kind::Deleted | Kind::Restored) {
                edits.push(record);
                continue;
            }
            for step in [
                self.edits(into, std::mem::take(&mut edits)).await?,
                self.turn(into, record).await?,
            ] {
                if step != Outcome::Taken {
                    return Ok(step);
                }
            }
        }
        self.edits(into, edits).await
    }

    /// Only this store gives places in its present logs.
    fn claims_this_life(&self, records: &[Foreign]) -> Option<String> {
        let me = self.store().identity();
        let relayed = records.iter().filter_map(|r| r.origin.relayed.as_ref());
        let mut own = relayed.filter(|r| (r.log.store, r.log.epoch) == (me.store, me.epoch));
        let known = |r: &&mapweave_storage::Relayed| {
            let exchange = self.store().exchange(r.log.doc);
            exchange.is_some_and(|exchange| exchange.known.holds(&r.log, r.seq))
        };
        let unknown = own.find(|r| !known(r))?;
        Some(format!(
            "record {} is said to be of this store's present life, and is not in its log",
            unknown.seq
        ))
    }

    async fn edits(&self, into: &Into, records: Vec<Foreign>) -> Result<Outcome, Interrupted> {
        if records.is_empty() {
            return Ok(Outcome::Taken);
        }
        let mut why = String::new();
        for _ in 0..ATTEMPTS_MAX {
            if let Health::ReadOnly(why) | Health::Poisoned(why) = self.store().health() {
                return Err(Interrupted { why });
            }
            let exchange = self.store().exchange(into.doc);
            if exchange.as_ref().is_some_and(|exchange| exchange.deleted) {
                return self.write_deleted(into.doc, records).await;
            }
            let name = exchange
                .as_ref()
                .and_then(|exchange| exchange.name.as_ref());
            let name = name.unwrap_or(&into.name);
            match self.rooms.enter(name, IfUnknown::OpenAs(into.doc)) {
                // Another map bears the name. One that nobody has written to yet becomes this one.
                Ok(room) if room.doc() != into.doc && self.is_another(into, room.doc()) => {
                    // The link will know of it in a moment.
                    tokio::time::sleep(PAUSE).await;
                    return Ok(Outcome::Passed);
                }
                Ok(room) => match room.relay(records.clone()).await {
                    Ok(_) => return Ok(Outcome::Taken),
                    Err(RequestError::Refused(Refused::Broken { why: broken })) => why = broken,
                    Err(RequestError::Refused(refused)) => {
                        return Ok(Outcome::Refused(refused.to_string()));
                    }
                    Err(RequestError::Unavailable { why: now }) => why = now,
                },
                Err(EnterError::Deleted { .. }) if exchange.is_none() => {
                    // The name was another map's: this one is made beside it.
                    if let Some(refused) = self.make(into, &records).await? {
                        return Ok(refused);
                    }
                }
                Err(EnterError::Stopping) => {
                    let why = EnterError::Stopping.to_string();
                    return Err(Interrupted { why });
                }
                Err(error) => why = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Interrupted { why })
    }

    /// Whether the map `doc` that is open under the name of `into` is there apart from it.
    fn is_another(&self, into: &Into, doc: DocId) -> bool {
        let exists = |doc| self.store().exchange(doc).is_some();
        exists(into.doc) || exists(doc)
    }

    /// Makes a map whose name a deleted one bears.
    async fn make(&self, into: &Into, records: &[Foreign]) -> Result<Option<Outcome>, Interrupted> {
        let created = |record: &&Foreign| matches!(record.kind, Kind::Created { .. });
        let origin = records.first().filter(created);
        let origin = origin.map_or_else(|| Arc::new(server()), |record| record.origin.clone());
        let name = into.name.clone();
        match self.append(into.doc, Kind::Created { name }, origin).await {
            Ok(()) | Err(StoreError::MapExists { .. }) => Ok(None),
            Err(StoreError::NameTaken { .. }) => Ok(Some(Outcome::Passed)),
            Err(error) => Err(error.into()),
        }
    }

    async fn append(&self, doc: DocId, kind: Kind, origin: Arc<Origin>) -> Result<(), StoreError> {
        let payload = Bytes::new();
        let record = NewRecord {
            kind,
            origin,
            payload,
        };
        self.store().append(doc, vec![record]).await?;
        self.rooms.changed(doc);
        Ok(())
    }

    /// A deletion or a restoration.
    async fn turn(&self, into: &Into, record: Foreign) -> Result<Outcome, Interrupted> {
        let turn = self.turns.lock().await;
        let (Some(relayed), Some(exchange)) =
            (&record.origin.relayed, self.store().exchange(into.doc))
        else {
            return Ok(Outcome::Passed);
        };
        if exchange.known.holds(&relayed.log, relayed.seq) {
            return Ok(Outcome::Taken);
        }
        let deletes = record.kind == Kind::Deleted;
        let counts = relayed.at_ms > exchange.turned_at_ms
            || relayed.at_ms == exchange.turned_at_ms && deletes;
        let appended = match record.kind {
            Kind::Deleted if counts => {
                let appended = self
                    .append(into.doc, Kind::Deleted, record.origin.clone())
                    .await;
                self.rooms.dismiss(into.doc);
                appended
            }
            Kind::Restored if counts && exchange.deleted => {
                self.append(into.doc, Kind::Restored, record.origin.clone())
                    .await
            }
            _ => {
                drop(turn);
                let kind = if counts { record.kind } else { Kind::Known };
                return Box::pin(self.edits(into, vec![Foreign { kind, ..record }])).await;
            }
        };
        match appended {
            Ok(()) => Ok(Outcome::Taken),
            Err(error @ StoreError::NameTaken { .. }) => Ok(Outcome::Refused(format!(
                "{error}: delete or rename that map, and connect again"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes in a map that is deleted and stays so.
    async fn write_deleted(
        &self,
        doc: DocId,
        records: Vec<Foreign>,
    ) -> Result<Outcome, Interrupted> {
        let _turn = self.turns.lock().await;
        let store = self.store().clone();
        let Some(exchange) = store.exchange(doc) else {
            return Ok(Outcome::Passed);
        };
        let judged = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            runtime.block_on(judge(&store, doc, exchange, records))
        });
        let (news, refused) = judged.await.map_err(|error| Interrupted {
            why: error.to_string(),
        })??;
        if !news.is_empty() {
            self.store().append(doc, news).await?;
            self.rooms.changed(doc);
        }
        Ok(refused.map_or(Outcome::Taken, |why| Outcome::Refused(why.to_string())))
    }

    /// Takes in what a document lacked although no record is missing, from `via`: who wrote it is not known, so that
    /// `access` says how.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub async fn repair(
        &self,
        into: &Into,
        update: Bytes,
        access: Access,
        via: &str,
    ) -> Result<(), Interrupted> {
        let unusable = |why: String| {
            tracing::warn!(
                map = into.name.as_str(),
                via,
                why,
                "what the map lacks cannot be taken"
            );
        };
        let Some(exchange) = self.store().exchange(into.doc) else {
            return Ok(());
        };
        let (Some(name), false) = (exchange.name, exchange.deleted) else {
            return Ok(());
        };
        let update = match scan(update, mapweave_storage::PAYLOAD_BYTES_MAX) {
            Ok(update) if update.is_empty() => return Ok(()),
            Ok(update) => update,
            Err(error) => {
                unusable(error.to_string());
                return Ok(());
            }
        };
        let origin = Origin {
            session: format!("missing until now, from {via}"),
            protocol: Protocol::Relay,
            ..Origin::default()
        };
        match self.rooms.enter(&name, IfUnknown::Refuse) {
            Ok(room) if room.doc() == into.doc => {
                let before = exchange.last;
                match room.submit_as(access, update, Arc::new(origin)).await {
                    Ok(at) if at > before => {
                        tracing::info!(map = name.as_str(), via, seq = %at, "looked for what the map lacked");
                    }
                    Ok(_) | Err(RequestError::Refused(Refused::Kept)) => {}
                    Err(error) => unusable(error.to_string()),
                }
            }
            Ok(_) | Err(_) => {}
        }
        Ok(())
    }
}

/// What a map's log gets of `records`, judged without a room: nobody is in the map.
async fn judge(
    store: &Arc<dyn UpdateLog>,
    doc: DocId,
    exchange: Exchange,
    records: Vec<Foreign>,
) -> Result<(Vec<NewRecord>, Option<Refused>), Interrupted> {
    let loaded = room::load(store, doc).await?;
    let Some(name) = exchange.name else {
        return Ok((Vec::new(), None));
    };
    let start = Start {
        name,
        replica: loaded.replica,
        cache: loaded.cache,
        head: loaded.head,
        exists: loaded.head > Seq::ZERO,
        tail: loaded.tail,
        update_bytes: 0,
    };
    let mut core = Core::new(start, CoreOptions::default());
    let mut fx = Effects::default();
    let ticket = Ticket(0);
    let relay = Input::Relay {
        ticket,
        records,
        durable: exchange.known,
    };
    core.handle(0, relay, &mut fx);
    let refused = fx.replies.into_iter().find_map(|(_, answer)| answer.err());
    Ok((fx.append, refused))
}

fn server() -> Origin {
    Origin {
        protocol: Protocol::Relay,
        ..Origin::default()
    }
}
