//! Files as version 1 wrote them, which every later version must read: `tests/fixtures/storage/v1`.
//!
//! sled's own files are not among them (they are large, and rebuilt from the rest); the rows that stand in
//! it are, in `rows.hex`. Written once by `write_the_fixture`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{open, small};
use crate::catalog::MapState;
use crate::contract::{block_on, created, name, read_all, record};
use crate::journal::{Mark, Place};
use crate::row;
use crate::{
    Clock, Damage, FIRST_EPOCH, Head, Kind, Known, LogId, NewRecord, Origin, Protocol, Record,
    Relayed, STORE_LOG, StoreOptions, UpdateLog,
};

const DOC: DocId = DocId::from_bytes(*b"fixture-map-0001");
const OTHER: DocId = DocId::from_bytes(*b"fixture-map-0002");
const TIME_MS: u64 = 1_750_000_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/storage/v1")
}

fn news() -> Vec<NewRecord> {
    let origin = Arc::new(Origin {
        user: "ada".into(),
        session: "ada's phone".into(),
        client: Some(1234),
        protocol: Protocol::Hocuspocus,
        made_at_ms: Some(TIME_MS - 5),
        relayed: Some(Relayed {
            log: LogId {
                store: *b"another-store-01",
                epoch: FIRST_EPOCH,
                doc: DOC,
            },
            seq: Seq(77),
            at_ms: 0,
            via: String::new(),
        }),
    });
    vec![
        created("north/field 7"),
        record(Kind::Update, b"an update"),
        NewRecord {
            kind: Kind::Gapped,
            origin,
            payload: Bytes::from_static(b"from elsewhere"),
        },
        record(Kind::Update, &[42; 5_000]),
        record(
            Kind::Renamed {
                name: name("north/field 8"),
            },
            b"",
        ),
        record(
            Kind::Other {
                code: 250,
                detail: Bytes::from_static(b"detail"),
            },
            b"later",
        ),
    ]
}

fn options() -> StoreOptions {
    StoreOptions {
        clock: Clock::new(|| TIME_MS),
        ..small()
    }
}

fn rows() -> String {
    let new = news().swap_remove(2);
    let NewRecord {
        kind,
        origin,
        payload,
    } = new;
    let record = Record {
        doc: DOC,
        seq: Seq(3),
        time_ms: TIME_MS,
        origin,
        kind,
        payload,
        chain: [5; 32],
    };
    let long = Record {
        payload: Bytes::from(vec![1; 5_000]),
        ..record.clone()
    };
    let place = Place {
        file: 1,
        offset: 64,
        len: 5_200,
    };
    let damage = Damage {
        file: "journal/1".into(),
        offset: 9,
        doc: Some(DOC),
        seq: Some(Seq(2)),
        what: "bad".into(),
    };
    let head = Head {
        last: Seq(3),
        count: 2,
        chain: [5; 32],
        damaged: Some(damage),
        ..Head::EMPTY
    };
    let state = MapState {
        name: Some(name("a/b")),
        deleted: true,
        created_ms: TIME_MS,
        head,
        native: Seq(3),
        known: Known::default(),
        turned_at_ms: TIME_MS,
    };
    let snap = row::SnapRow {
        time_ms: TIME_MS,
        len: 6,
        hash: [7; 32],
    };
    let mark = Mark {
        file: 1,
        offset: 2,
        lsn: 3,
        prev_crc: 4,
    };
    let rows = [
        row::log_key(DOC, Seq(3)).to_vec(),
        row::encode_log_row(&record, place),
        row::encode_log_row(&long, place),
        row::encode_state(&state),
        row::encode_snap(&snap),
        row::encode_mark(mark),
    ];
    let hex = |row: &Vec<u8>| {
        row.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            + "\n"
    };
    rows.iter().map(hex).collect()
}

/// Writes the fixture where `MAPWEAVE_WRITE_FIXTURE` is set, which is for a new format version only.
#[test]
fn write_the_fixture() {
    if std::env::var_os("MAPWEAVE_WRITE_FIXTURE").is_none() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), options());
    block_on(store.append(DOC, news())).unwrap();
    block_on(store.put_snapshot(DOC, Seq(4), Bytes::from(vec![9; 300]))).unwrap();
    store.close().unwrap();
    // The first file is archived in this life; what follows stays in the journal.
    let (store, _) = open(dir.path(), options());
    block_on(store.append(OTHER, vec![created("south"), record(Kind::Deleted, b"")])).unwrap();
    block_on(store.append(
        STORE_LOG,
        vec![record(
            Kind::Revoked {
                what: "token 1".into(),
            },
            b"",
        )],
    ))
    .unwrap();
    store.close().unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let _ = fs::remove_dir_all(folder());
    copy(dir.path(), &folder());
    fs::write(folder().join("rows.hex"), rows()).unwrap();
}

#[test]
fn a_store_of_version_1_opens_with_everything_in_it() {
    let dir = TempDir::new().unwrap();
    copy(&folder(), dir.path());
    let (store, report) = open(dir.path(), options());
    assert!(
        report.problems.is_empty() && report.torn_bytes == 0,
        "{report:?}"
    );
    let records = read_all(&store, DOC).unwrap();
    assert_eq!(records.len(), news().len());
    for (record, new) in records.iter().zip(news()) {
        assert_eq!(
            (&record.kind, &record.origin, &record.payload),
            (&new.kind, &new.origin, &new.payload)
        );
        assert_eq!(record.time_ms, TIME_MS);
    }
    assert_eq!(read_all(&store, OTHER).unwrap().len(), 2);
    assert_eq!(read_all(&store, STORE_LOG).unwrap().len(), 1);
    let maps: Vec<_> = store
        .maps()
        .into_iter()
        .map(|map| (map.name, map.deleted))
        .collect();
    assert_eq!(
        maps,
        [(name("north/field 8"), false), (name("south"), true)]
    );
    let found = block_on(store.snapshot(DOC, None)).unwrap().unwrap();
    assert_eq!(
        (found.upto, found.bytes),
        (Seq(4), Bytes::from(vec![9; 300]))
    );
    assert!(block_on(store.verify(None)).unwrap().ok);
}

#[test]
fn rows_in_sled_have_the_bytes_of_version_1() {
    assert_eq!(
        rows(),
        fs::read_to_string(folder().join("rows.hex")).unwrap()
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
