//! Whether what is stored is whole, and whether replaying it leads to the state that people see.

use std::sync::Arc;

use futures_util::StreamExt;
use mapweave_proto::{MapName, StateVector, scan};
use mapweave_storage::{MapEntry, StoreError, UpdateLog};
use serde::{Deserialize, Serialize};
use yrs::{Map, ReadTxn, Transact};

use super::container::Beside;
use super::load::{self, LoadError, replay};
use super::replica::{HeldLimits, Refused, Replica};

/// Root maps whose content is compared beside clocks and deletions (`docs/map-document.md`).
const ROOTS: [&str; 11] = [
    "meta", "feat", "geom", "part", "vert", "prop", "attr", "gone", "layer", "note", "file",
];

/// The result of a check, in the words of `mapweave verify --json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verified {
    /// Nothing at all is wrong.
    pub ok: bool,
    /// Every map that was checked, by name.
    pub maps: Vec<VerifiedMap>,
    /// What is wrong and belongs to no map, or to one that cannot be told.
    pub problems: Vec<Found>,
}

/// What was found of one map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifiedMap {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Nothing is wrong with it.
    pub ok: bool,
    /// Records read and found right.
    pub records: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Last record.
    pub seq: u64,
    /// The hash chain at the last record, in hexadecimal.
    pub chain: String,
    /// Snapshots read and found right.
    pub snapshots: u64,
    /// Updates that wait for others that never came.
    pub held: u64,
    /// What is wrong.
    pub problems: Vec<Found>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// The file, within the data folder, where one is at fault.
    pub file: Option<String>,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// The record, where it can be told.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Checks one map or all: checksums, chains, gaps, snapshots, and that the whole log replayed equals what is
/// loaded from the newest snapshot. Reads everything; changes nothing.
///
/// # Errors
/// Where the store cannot be read at all.
pub async fn verify(
    store: &Arc<dyn UpdateLog>,
    only: Option<&MapName>,
) -> Result<Verified, StoreError> {
    let doc = only.and_then(|name| store.map(name)).map(|entry| entry.id);
    let report = store.verify(doc).await?;
    let mut out = Verified {
        ok: report.ok,
        ..Verified::default()
    };
    for map in &report.maps {
        let mut verified = VerifiedMap {
            name: map.name.as_str().to_owned(),
            id: map.id.to_string(),
            ok: map.ok,
            records: map.records,
            bytes: map.payload_bytes,
            seq: map.last.0,
            chain: map.chain.iter().map(|b| format!("{b:02x}")).collect(),
            snapshots: map.snapshots,
            held: 0,
            problems: Vec::new(),
        };
        let entry = store.maps().into_iter().find(|entry| entry.id == map.id);
        match compare(store, entry.as_ref()).await {
            Ok(held) => verified.held = held,
            Err(what) => {
                (verified.ok, out.ok) = (false, false);
                verified.problems.push(Found {
                    file: None,
                    offset: None,
                    seq: None,
                    what,
                });
            }
        }
        out.maps.push(verified);
    }
    for damage in report.problems {
        let found = Found {
            file: Some(damage.file.display().to_string()),
            offset: Some(damage.offset),
            seq: damage.seq.map(|seq| seq.0),
            what: damage.what,
        };
        let id = damage.doc.map(|doc| doc.to_string());
        match out.maps.iter_mut().find(|map| Some(&map.id) == id.as_ref()) {
            Some(map) => map.problems.push(found),
            None => out.problems.push(found),
        }
    }
    Ok(out)
}

/// Replays the whole log and loads from the snapshot; tells how many updates wait, or where the two differ.
async fn compare(store: &Arc<dyn UpdateLog>, entry: Option<&MapEntry>) -> Result<u64, String> {
    let Some(entry) = entry else { return Ok(0) };
    let replayed = replay_all(store, entry)
        .await
        .map_err(|error| error.to_string())?;
    // Of a live map both must end at the same record.
    let loaded = load_upto(store, entry)
        .await
        .map_err(|error| error.to_string())?;
    let (a, b) = (content(&replayed), content(&loaded));
    let (a, b) = (a.map_err(|e| e.to_string())?, b.map_err(|e| e.to_string())?);
    if a.clocks != b.clocks {
        return Err("the replayed log and the snapshot have different state vectors".to_owned());
    }
    if a.deleted != b.deleted {
        return Err("the replayed log and the snapshot have different deletions".to_owned());
    }
    if a.shown != b.shown {
        return Err("the replayed log and the snapshot show different content".to_owned());
    }
    if Beside::of(&replayed) != Beside::of(&loaded) {
        return Err(
            "the replayed log and the snapshot differ in who wrote what, or in what is quarantined"
                .to_owned(),
        );
    }
    Ok(replayed.held().len() as u64)
}

async fn load_upto(store: &Arc<dyn UpdateLog>, entry: &MapEntry) -> Result<Replica, LoadError> {
    let fetched = load::fetch_upto(store.as_ref(), entry.id, entry.head.last).await?;
    Ok(load::build(store.as_ref(), fetched).await?.replica)
}

async fn replay_all(store: &Arc<dyn UpdateLog>, entry: &MapEntry) -> Result<Replica, LoadError> {
    let mut replica = Replica::new(HeldLimits::NONE);
    let mut records = store.read_log(entry.id, entry.head.first, entry.head.last);
    while let Some(record) = records.next().await {
        let record = record?;
        replay(&mut replica, &record).map_err(|why| LoadError::Record {
            doc: entry.id,
            seq: record.seq,
            why,
        })?;
    }
    Ok(replica)
}

/// What two copies of a map must have in common, however their bytes are cut.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// The next clock of every client.
    pub clocks: StateVector,
    /// Deleted ranges, joined and sorted.
    pub deleted: Vec<(u64, u64, u64)>,
    /// Hash of what the root maps hold.
    pub shown: [u8; 32],
}

/// The content of a document.
///
/// # Errors
/// Where yrs cannot encode it.
pub fn content(replica: &Replica) -> Result<Content, Refused> {
    let clocks = replica.ledger().state_vector();
    let state = scan(replica.encode_state()?, usize::MAX)?;
    let ranges = state
        .deletes()
        .map(|range| (range.client.0, range.start, range.end));
    Ok(Content {
        clocks,
        deleted: joined(ranges.collect()),
        shown: shown(replica),
    })
}

fn joined(mut ranges: Vec<(u64, u64, u64)>) -> Vec<(u64, u64, u64)> {
    ranges.sort_unstable();
    let mut out: Vec<(u64, u64, u64)> = Vec::new();
    for (client, start, end) in ranges {
        match out.last_mut() {
            Some(last) if last.0 == client && last.2 >= start => last.2 = last.2.max(end),
            _ => out.push((client, start, end)),
        }
    }
    out
}

fn shown(replica: &Replica) -> [u8; 32] {
    let txn = replica.doc().transact();
    let mut hasher = blake3::Hasher::new();
    for name in ROOTS {
        let Some(map) = txn.get_map(name) else {
            continue;
        };
        let mut entries: Vec<(String, String)> = map
            .iter(&txn)
            .map(|(key, value)| (key.to_owned(), format!("{:?}", value.to_string(&txn))))
            .collect();
        if entries.is_empty() {
            // Whoever watched for a root made it; nothing of it is in the document.
            continue;
        }
        entries.sort_unstable();
        hasher.update(name.as_bytes());
        for (key, value) in entries {
            for part in [key, value] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mapweave_storage::{Kind, MemoryLog, NewRecord, Origin};
    use yrs::Doc;

    #[tokio::test]
    async fn a_map_that_is_edited_while_it_is_checked_is_whole() {
        let doc = Doc::with_client_id(7);
        let edit = |key: &str| {
            let feat = doc.get_or_insert_map("feat");
            let mut txn = doc.transact_mut();
            feat.insert(&mut txn, key, 1);
            NewRecord {
                kind: Kind::Update,
                origin: Arc::new(Origin::default()),
                payload: txn.encode_update_v1().into(),
            }
        };
        let name = MapName::parse("north").unwrap();
        let created = NewRecord {
            kind: Kind::Created { name: name.clone() },
            origin: Arc::new(Origin::default()),
            payload: Default::default(),
        };
        let store: Arc<dyn UpdateLog> = Arc::new(MemoryLog::new());
        let id = mapweave_proto::DocId::fresh();
        let first = vec![created, edit("a")];
        store.append(id, first).await.unwrap();
        let entry = store.map(&name).unwrap();
        store.append(id, vec![edit("b")]).await.unwrap();
        assert_eq!(compare(&store, Some(&entry)).await, Ok(0));
    }
}
