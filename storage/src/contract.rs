//! What every store must do, as tests that run against each of them: call [`all`] with a [`Venue`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;
use futures_util::StreamExt;
use mapweave_proto::{DocId, MapName, Seq};

use crate::{
    APPEND_RECORDS_MAX, CHAIN_START, Health, Kind, LogId, NewRecord, Origin, PAYLOAD_BYTES_MAX,
    Protocol, Record, Relayed, STORE_LOG, StoreError, TEXT_BYTES_MAX, UpdateLog,
};

/// Where a store lives.
pub trait Venue {
    /// Opens the store that lives here; the handle opened before is gone by then.
    fn open(&self) -> Box<dyn UpdateLog>;
}

/// Runs the whole contract; `fresh` makes an empty venue for each part.
pub fn all<V: Venue>(fresh: impl Fn() -> V) {
    records_read_back_as_they_were_written(&fresh());
    places_are_in_the_order_of_calls(&fresh());
    many_threads_write_side_by_side(&fresh());
    ranges_end_where_they_say(&fresh());
    bounds_are_kept(&fresh());
    maps_are_created_renamed_deleted_and_restored(&fresh());
    snapshots_are_found_by_place(&fresh());
    the_store_keeps_a_log_of_its_own(&fresh());
    time_never_goes_back(&fresh());
    a_record_of_another_log_is_stored_once(&fresh());
}

pub fn name(text: &str) -> MapName {
    MapName::parse(text).unwrap()
}

pub fn created(text: &str) -> NewRecord {
    record(Kind::Created { name: name(text) }, b"")
}

pub fn update(payload: impl AsRef<[u8]>) -> NewRecord {
    record(Kind::Update, payload.as_ref())
}

pub fn record(kind: Kind, payload: &[u8]) -> NewRecord {
    let origin = Origin {
        user: "ada".into(),
        protocol: Protocol::Rest,
        ..Origin::default()
    };
    NewRecord {
        kind,
        origin: Arc::new(origin),
        payload: Bytes::copy_from_slice(payload),
    }
}

/// The whole log of a map, or the first error in it.
pub fn read_all(log: &dyn UpdateLog, doc: DocId) -> Result<Vec<Record>, StoreError> {
    read(log, doc, Seq::ZERO, Seq(u64::MAX))
}

pub fn read(
    log: &dyn UpdateLog,
    doc: DocId,
    from: Seq,
    to: Seq,
) -> Result<Vec<Record>, StoreError> {
    let items: Vec<_> = block_on(log.read_log(doc, from, to).collect());
    items.into_iter().collect()
}

fn records_read_back_as_they_were_written(venue: &dyn Venue) {
    let log = venue.open();
    let doc = DocId::fresh();
    let origin = |seq| {
        Arc::new(Origin {
            user: "ü".repeat(TEXT_BYTES_MAX / 2),
            session: "phone".into(),
            client: Some((1 << 53) - 1),
            protocol: Protocol::Hocuspocus,
            made_at_ms: Some(0),
            relayed: Some(Relayed {
                log: LogId {
                    store: [7; 16],
                    epoch: 1 << 40,
                    doc: DocId::from_bytes([8; 16]),
                },
                seq: Seq(seq),
                at_ms: 5,
                via: "ö".repeat(TEXT_BYTES_MAX / 2),
            }),
        })
    };
    let mut news = vec![created("a/b")];
    for size in [0, 1, 100, 3_800, 3_900, 4_000, 4_100, 70_000, 3 << 20] {
        let payload = Bytes::from(vec![size as u8; size]);
        news.push(NewRecord {
            kind: Kind::Update,
            // Ends at the last place that there can be.
            origin: origin(u64::MAX - (3 << 20) + size as u64),
            payload,
        });
    }
    news.push(record(Kind::Gapped, b"gap"));
    news.push(record(Kind::Quarantined, b"an edit"));
    news.push(record(Kind::Admitted { of: Seq(12) }, b""));
    news.push(record(Kind::Rejected { of: Seq(u64::MAX) }, b""));
    news.push(record(
        Kind::Revoked {
            what: "token 7".into(),
        },
        b"",
    ));
    news.push(record(
        Kind::Other {
            code: 200,
            detail: Bytes::from_static(b"later"),
        },
        b"x",
    ));
    let appended = block_on(log.append(doc, news.clone())).unwrap();
    assert_eq!(
        (appended.first, appended.last),
        (Seq(1), Seq(news.len() as u64))
    );
    let check = |log: &dyn UpdateLog| {
        let records = read_all(log, doc).unwrap();
        assert_eq!(records.len(), news.len());
        let mut chain = CHAIN_START;
        for (index, (record, new)) in records.iter().zip(&news).enumerate() {
            assert_eq!((record.doc, record.seq), (doc, Seq(index as u64 + 1)));
            assert_eq!(
                (&record.kind, &record.origin, &record.payload),
                (&new.kind, &new.origin, &new.payload)
            );
            assert_eq!(record.chain_after(&chain), record.chain);
            chain = record.chain;
        }
        let head = log.head(doc).unwrap().unwrap();
        assert_eq!(
            (head.first, head.last, head.count),
            (Seq(1), appended.last, news.len() as u64)
        );
        assert_eq!((head.chain, appended.chain), (chain, chain));
        assert_eq!(
            head.payload_bytes,
            news.iter().map(|new| new.payload.len() as u64).sum::<u64>()
        );
        let report = block_on(log.verify(None)).unwrap();
        assert!(report.ok && report.maps.len() == 1, "{report:?}");
        assert_eq!(block_on(log.verify(Some(doc))).unwrap().maps, report.maps);
    };
    check(&*log);
    drop(log);
    check(&*venue.open());
}

fn a_record_of_another_log_is_stored_once(venue: &dyn Venue) {
    let log = venue.open();
    let (doc, other) = (DocId::fresh(), DocId::fresh());
    let identity = log.identity();
    let log_of = |store, doc| LogId {
        store,
        epoch: identity.epoch,
        doc,
    };
    let (elsewhere, own) = (log_of([7; 16], doc), log_of(identity.store, doc));
    let named = |log, seq| {
        let relayed = Relayed {
            log,
            seq: Seq(seq),
            at_ms: 5,
            via: "truck".into(),
        };
        NewRecord {
            kind: Kind::Update,
            origin: Arc::new(Origin {
                relayed: Some(relayed),
                ..Origin::default()
            }),
            payload: Bytes::from_static(b"an edit"),
        }
    };
    let append = |doc, records| block_on(log.append(doc, records));
    append(doc, vec![created("once"), update("own")]).unwrap();
    append(other, vec![created("once too")]).unwrap();
    // By two connections at once: neither waits for the other's answer.
    let first = log.append(doc, vec![named(elsewhere, 3)]);
    let second = log.append(doc, vec![update("beside it"), named(elsewhere, 3)]);
    assert_eq!(block_on(first).unwrap().last, Seq(3));
    let held = |log, seq| StoreError::Held {
        doc,
        log,
        seq: Seq(seq),
    };
    let refused = |answer: Result<_, StoreError>, error: StoreError| {
        assert_eq!(answer.unwrap_err().to_string(), error.to_string());
    };
    refused(block_on(second), held(elsewhere, 3));
    // What lies before it was held with it, and what this log was the first to store has its place.
    refused(append(doc, vec![named(elsewhere, 2)]), held(elsewhere, 2));
    refused(append(doc, vec![named(own, 2)]), held(own, 2));
    let twice = vec![named(elsewhere, 9), named(elsewhere, 9)];
    refused(append(doc, twice), held(elsewhere, 9));
    append(doc, vec![named(elsewhere, 4)]).unwrap();
    append(other, vec![named(elsewhere, 3), named(own, 2)]).unwrap();
    let kept = read_all(&*log, doc).unwrap();
    assert_eq!(kept.len(), 4, "{kept:?}");
}

fn places_are_in_the_order_of_calls(venue: &dyn Venue) {
    let log = venue.open();
    let doc = DocId::fresh();
    let calls: Vec<_> = (0..500u32)
        .map(|n| {
            log.append(
                doc,
                vec![if n == 0 {
                    created("m")
                } else {
                    update(n.to_le_bytes())
                }],
            )
        })
        .collect();
    // The last first: nothing depends on who waits for what.
    for (index, call) in calls.into_iter().enumerate().rev() {
        assert_eq!(block_on(call).unwrap().first, Seq(index as u64 + 1));
    }
    let records = read_all(&*log, doc).unwrap();
    assert!(
        records
            .iter()
            .skip(1)
            .enumerate()
            .all(|(n, r)| r.payload[..] == (n as u32 + 1).to_le_bytes())
    );
}

fn many_threads_write_side_by_side(venue: &dyn Venue) {
    let log = venue.open();
    let docs: Vec<_> = (0..8).map(|_| DocId::fresh()).collect();
    for (n, doc) in docs.iter().enumerate() {
        block_on(log.append(*doc, vec![created(&format!("map {n}"))])).unwrap();
    }
    thread::scope(|scope| {
        for writer in 0..8u8 {
            let (log, docs) = (&log, &docs);
            scope.spawn(move || {
                for n in 0..100u8 {
                    let doc = docs[usize::from(n ^ writer) % docs.len()];
                    block_on(log.append(doc, vec![update([writer, n]), update([writer, n])]))
                        .unwrap();
                }
            });
        }
    });
    let check = |log: &dyn UpdateLog| {
        let mut all = Vec::new();
        for doc in &docs {
            let records = read_all(log, *doc).unwrap();
            let payloads: Vec<_> = records.iter().skip(1).map(|r| r.payload.to_vec()).collect();
            assert!(
                payloads.chunks(2).all(|pair| pair[0] == pair[1]),
                "an append was torn apart"
            );
            let of = |writer: u8| {
                payloads
                    .iter()
                    .filter(move |p| p[0] == writer)
                    .map(|p| p[1])
            };
            assert!(
                (0..8).all(|writer| of(writer).is_sorted()),
                "a writer's order was lost"
            );
            all.extend(payloads);
        }
        assert_eq!(all.len(), 8 * 100 * 2);
        assert!(block_on(log.verify(None)).unwrap().ok);
    };
    check(&*log);
    drop(log);
    check(&*venue.open());
}

fn ranges_end_where_they_say(venue: &dyn Venue) {
    let log = venue.open();
    let doc = DocId::fresh();
    let mut news = vec![created("m")];
    news.extend((1..2000u32).map(|n| update(n.to_le_bytes())));
    block_on(log.append(doc, news)).unwrap();
    for (from, to, expected) in [
        (0, 0, 0..0),
        (0, 1, 1..2),
        (1, 1, 1..2),
        (5, 4, 0..0),
        (700, 1999, 700..2000),
        (1990, u64::MAX, 1990..2001),
        (2001, 3000, 0..0),
    ] {
        let records = read(&*log, doc, Seq(from), Seq(to)).unwrap();
        assert!(
            records.iter().map(|r| r.seq.0).eq(expected),
            "{from} to {to}"
        );
    }
    let unknown = read_all(&*log, DocId::fresh());
    assert!(matches!(unknown, Err(StoreError::UnknownMap { .. })));
    assert_eq!(log.head(DocId::fresh()).unwrap(), None);
}

fn bounds_are_kept(venue: &dyn Venue) {
    let log = venue.open();
    let doc = DocId::fresh();
    block_on(log.append(doc, vec![created("m")])).unwrap();
    let too_large = |news: Vec<NewRecord>| {
        let error = block_on(log.append(doc, news)).unwrap_err();
        assert!(
            matches!(error, StoreError::TooLarge { .. }) && error.concerns_this_call_only(),
            "{error}"
        );
    };
    too_large(vec![update(vec![0; PAYLOAD_BYTES_MAX + 1])]);
    too_large(vec![record(
        Kind::Revoked {
            what: "x".repeat(TEXT_BYTES_MAX + 1),
        },
        b"",
    )]);
    too_large(vec![update(b""); APPEND_RECORDS_MAX + 1]);
    let origin = Arc::new(Origin {
        user: "x".repeat(TEXT_BYTES_MAX + 1),
        ..Origin::default()
    });
    too_large(vec![NewRecord {
        origin,
        ..update(b"")
    }]);
    assert!(matches!(
        block_on(log.append(doc, vec![])),
        Err(StoreError::Empty)
    ));
    assert_eq!(log.head(doc).unwrap().unwrap().last, Seq(1));
    assert_eq!(log.health(), Health::Ok);
}

fn maps_are_created_renamed_deleted_and_restored(venue: &dyn Venue) {
    let log = venue.open();
    let (one, two) = (DocId::fresh(), DocId::fresh());
    let append = |doc, kind| block_on(log.append(doc, vec![record(kind, b"")])).map(drop);
    let create = |text: &str| Kind::Created { name: name(text) };
    let rename = |text: &str| Kind::Renamed { name: name(text) };
    assert!(matches!(
        append(one, Kind::Update),
        Err(StoreError::UnknownMap { .. })
    ));
    append(one, create("a")).unwrap();
    assert!(matches!(
        append(one, create("b")),
        Err(StoreError::MapExists { .. })
    ));
    assert!(matches!(append(two, create("a")), Err(StoreError::NameTaken { by, .. }) if by == one));
    append(one, Kind::Deleted).unwrap();
    append(two, create("a")).unwrap();
    assert_eq!(log.map(&name("a")).unwrap().id, two);
    assert!(
        matches!(append(one, Kind::Restored), Err(StoreError::NameTaken { by, .. }) if by == two)
    );
    append(two, rename("b")).unwrap();
    append(one, Kind::Restored).unwrap();
    assert!(matches!(
        append(two, rename("a")),
        Err(StoreError::NameTaken { .. })
    ));
    append(two, Kind::Deleted).unwrap();
    append(two, Kind::Update).unwrap();
    let check = |log: &dyn UpdateLog| {
        let maps: Vec<_> = log
            .maps()
            .into_iter()
            .map(|m| (m.id, m.name, m.deleted))
            .collect();
        assert_eq!(maps, [(one, name("a"), false), (two, name("b"), true)]);
        let entry = log.map(&name("b")).unwrap();
        assert_eq!((entry.id, entry.head.last), (two, Seq(4)));
        assert!(log.map(&name("c")).is_none() && entry.created_ms > 0);
    };
    check(&*log);
    // One call that fails in its middle leaves nothing behind.
    let half = vec![update(b"x"), record(create("z"), b"")];
    assert!(matches!(
        block_on(log.append(one, half)),
        Err(StoreError::MapExists { .. })
    ));
    assert_eq!(log.head(one).unwrap().unwrap().last, Seq(3));
    drop(log);
    check(&*venue.open());
}

fn snapshots_are_found_by_place(venue: &dyn Venue) {
    let log = venue.open();
    let doc = DocId::fresh();
    assert!(matches!(
        block_on(log.put_snapshot(doc, Seq(1), Bytes::new())),
        Err(StoreError::UnknownMap { .. })
    ));
    let mut news = vec![created("m")];
    news.extend((1..20u8).map(|n| update([n])));
    block_on(log.append(doc, news)).unwrap();
    assert_eq!(block_on(log.snapshot(doc, None)).unwrap(), None);
    let ahead = block_on(log.put_snapshot(doc, Seq(21), Bytes::new()));
    assert!(matches!(
        ahead,
        Err(StoreError::SnapshotAhead { last: Seq(20), .. })
    ));
    let bytes = |n: u8| Bytes::from(vec![n; 5_000]);
    block_on(log.put_snapshot(doc, Seq(10), bytes(10))).unwrap();
    block_on(log.put_snapshot(doc, Seq(20), bytes(20))).unwrap();
    let check = |log: &dyn UpdateLog| {
        let at = |at: Option<u64>| {
            let found = block_on(log.snapshot(doc, at.map(Seq))).unwrap();
            found.map(|found| (found.upto.0, found.bytes))
        };
        assert_eq!(at(None), Some((20, bytes(20))));
        assert_eq!(at(Some(u64::MAX)), Some((20, bytes(20))));
        assert_eq!(at(Some(19)), Some((10, bytes(10))));
        assert_eq!(at(Some(10)), Some((10, bytes(10))));
        assert_eq!(at(Some(9)), None);
        assert_eq!(
            log.head(doc).unwrap().unwrap().newest_snapshot,
            Some(Seq(20))
        );
        let report = block_on(log.verify(None)).unwrap();
        assert!(report.ok && report.maps[0].snapshots == 2, "{report:?}");
    };
    check(&*log);
    drop(log);
    let log = venue.open();
    check(&*log);
    block_on(log.append(doc, vec![update(b"more")])).unwrap();
    check(&*log);
}

fn the_store_keeps_a_log_of_its_own(venue: &dyn Venue) {
    let log = venue.open();
    let revoked = record(
        Kind::Revoked {
            what: "jti 1".into(),
        },
        b"",
    );
    assert_eq!(
        block_on(log.append(STORE_LOG, vec![revoked]))
            .unwrap()
            .first,
        Seq(1)
    );
    let identity = log.identity();
    drop(log);
    let log = venue.open();
    assert_eq!(read_all(&*log, STORE_LOG).unwrap().len(), 1);
    assert!(log.maps().is_empty());
    assert_eq!(log.identity(), identity);
    assert!(block_on(log.verify(None)).unwrap().ok);
}

fn time_never_goes_back(venue: &dyn Venue) {
    let log = venue.open();
    let doc = DocId::fresh();
    block_on(log.append(doc, vec![created("m")])).unwrap();
    for n in 0..20u8 {
        block_on(log.append(doc, vec![update([n])])).unwrap();
    }
    let records = read_all(&*log, doc).unwrap();
    assert!(records.is_sorted_by_key(|r| r.time_ms));
    assert_eq!(
        log.head(doc).unwrap().unwrap().last_time_ms,
        records.last().unwrap().time_ms
    );
}

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
