//! The bytes in `tests/fixtures/wire`, which the web client's tests read too.
//!
//! `frame-*` is a frame of one message; `refused-*` an update that the scanner refuses; `door-*` packed update
//! messages of which the door takes all but the last.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use super::build::{At, gc, item, text, update};
use super::replicas::{Server, scanned};
use crate::limits::{NESTING_MAX, UPDATE_BYTES_MAX};
use crate::update::{Verdict, scan};
use crate::{AwarenessEntry, AwarenessUpdate, ClientId, Message, StateVector, yws};

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/wire"
    ))
}

fn honest() -> Bytes {
    update(
        &[(
            7,
            0,
            vec![item(At::Root("map"), Some("k"), (8, &[1, 119, 1, b'v']))],
        )],
        &[],
    )
}

fn frames() -> Vec<(&'static str, Message)> {
    let vector: StateVector = [(ClientId(7), 3), (ClientId(1 << 52), 1)]
        .into_iter()
        .collect();
    let state = Bytes::from_static(br#"{"user":{"name":"Ada"}}"#);
    let entries = vec![
        AwarenessEntry {
            client: ClientId(7),
            clock: 2,
            state,
        },
        AwarenessEntry {
            client: ClientId(8),
            clock: 5,
            state: Bytes::from_static(b"null"),
        },
    ];
    vec![
        ("frame-sync-step-1", Message::SyncStep1(vector.encode())),
        ("frame-sync-step-2", Message::SyncStep2(update(&[], &[]))),
        ("frame-update", Message::Update(honest())),
        (
            "frame-awareness",
            Message::Awareness(AwarenessUpdate { entries }.encode()),
        ),
        (
            "frame-keepalive",
            Message::Awareness(Bytes::from_static(&[0])),
        ),
        (
            "frame-auth-denied",
            Message::AuthDenied("this connection may only read".into()),
        ),
        ("frame-query-awareness", Message::QueryAwareness),
        (
            "frame-durable-ack",
            Message::DurableAck(Bytes::from_static(&[0xac, 0x02])),
        ),
    ]
}

fn refused() -> Vec<(&'static str, Bytes)> {
    let root = |kind: u8, bytes: &[u8]| {
        update(
            &[(1, 0, vec![item(At::Root("a"), None, (kind, bytes))])],
            &[],
        )
    };
    vec![
        (
            "refused-264-mb",
            Bytes::from_static(&[0xcc, 0xf5, 0xa7, 0x42]),
        ),
        (
            "refused-breaks-a-room",
            Bytes::from_static(&[1, 1, 7, 9, 2, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "refused-trailing-byte",
            [&honest()[..], &[0]].concat().into(),
        ),
        (
            "refused-format-v2",
            Bytes::from_static(&[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "refused-deep-value",
            root(
                8,
                &[vec![1], [117, 1].repeat(NESTING_MAX + 1), vec![126]].concat(),
            ),
        ),
        (
            "refused-deep-json",
            root(5, &text(&"[".repeat(NESTING_MAX + 1))),
        ),
        ("refused-json-content", root(2, &[1, 1, b'1'])),
        (
            "refused-subdocument",
            root(9, &[text("guid"), vec![118, 0]].concat()),
        ),
        ("refused-weak-link", root(7, &[7, 0, 1, 0])),
        ("refused-move", root(11, &[0, 1, 0])),
        ("refused-empty-gc", update(&[(1, 0, vec![gc(0)])], &[])),
        ("refused-empty-text", root(4, &text(""))),
        ("refused-empty-delete", update(&[], &[(1, vec![(0, 0)])])),
        (
            "refused-client-twice",
            update(&[(1, 0, vec![gc(1)]), (1, 1, vec![gc(1)])], &[]),
        ),
        (
            "refused-clock-wraps",
            update(&[(1, 1 << 32, vec![gc(1)])], &[]),
        ),
        (
            "refused-depends-on-itself",
            update(
                &[(1, 0, vec![item(At::After(1, 0), None, (8, &[1, 126]))])],
                &[],
            ),
        ),
        ("refused-not-utf-8", root(4, &[1, 0xff])),
    ]
}

fn door() -> Vec<(&'static str, Vec<Bytes>)> {
    let null = (8, &[1, 126][..]);
    let at_1 = |structs| update(&[(1, 0, structs)], &[]);
    let floor = |level: u64| {
        let at = if level == 0 {
            At::Root("a")
        } else {
            At::Parent(1, level - 1)
        };
        item(at, None, (7, &[0]))
    };
    let storey = |level: u64| update(&[(1, level, vec![floor(level), floor(level + 1)])], &[]);
    let chain = |client: u64, on: u64| (client, 0, vec![item(At::After(on, 0), None, null)]);
    vec![
        (
            "door-nests-step-by-step",
            (0..=NESTING_MAX as u64).step_by(2).map(storey).collect(),
        ),
        (
            "door-parent-is-no-type",
            vec![
                at_1(vec![item(At::Root("a"), None, null)]),
                update(&[(2, 0, vec![item(At::Parent(1, 0), None, null)])], &[]),
            ],
        ),
        (
            "door-long-map-entry",
            vec![
                at_1(vec![item(At::Root("a"), None, (7, &[1]))]),
                update(
                    &[(
                        2,
                        0,
                        vec![item(At::Parent(1, 0), Some("k"), (8, &[3, 126, 126, 126]))],
                    )],
                    &[],
                ),
            ],
        ),
        (
            "door-torn-apart",
            vec![
                at_1(vec![
                    item(At::Root("a"), None, null),
                    item(At::Root("b"), Some("k"), null),
                ]),
                update(
                    &[(2, 0, vec![item(At::Between((1, 0), (1, 1)), None, null)])],
                    &[],
                ),
            ],
        ),
        (
            "door-circle",
            vec![update(&[chain(2, 1), chain(1, 2)], &[])],
        ),
    ]
}

fn all() -> BTreeMap<String, Bytes> {
    let frames = frames()
        .into_iter()
        .map(|(name, message)| (name, yws::encode(&message)));
    let door = door().into_iter().map(|(name, updates)| {
        let packed: Vec<u8> = updates
            .into_iter()
            .map(Message::Update)
            .flat_map(|update| yws::encode(&update))
            .collect();
        (name, packed.into())
    });
    frames
        .chain(refused())
        .chain(door)
        .map(|(name, bytes)| (format!("{name}.bin"), bytes))
        .collect()
}

/// To be run by hand when a fixture is added; the bytes of an existing one never change.
#[test]
fn write_the_files() {
    // Only when asked to: it writes into the repository.
    if std::env::var_os("WRITE_FIXTURES").is_none() {
        return;
    }
    std::fs::create_dir_all(folder()).unwrap();
    for (name, bytes) in all() {
        std::fs::write(folder().join(name), bytes).unwrap();
    }
}

#[test]
fn the_files_are_these_bytes() {
    for (name, bytes) in all() {
        let stored =
            std::fs::read(folder().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(stored, bytes, "{name}");
    }
}

#[test]
fn every_file_is_taken_or_refused_as_its_name_says() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        if name.starts_with("frame-") {
            let messages: Vec<_> = yws::decode(bytes.clone()).collect();
            assert!(
                matches!(&messages[..], [Ok(message)] if yws::encode(message) == bytes),
                "{name}"
            );
        } else if name.starts_with("refused-") {
            assert!(scan(bytes, UPDATE_BYTES_MAX).is_err(), "{name}");
        } else if name.starts_with("door-") {
            replay(&name, bytes);
        } else {
            continue;
        }
        seen += 1;
    }
    assert!(seen >= all().len());
}

fn replay(name: &str, packed: Bytes) {
    let mut server = Server::new();
    let mut updates: Vec<_> = yws::decode(packed)
        .map(|message| match message.unwrap() {
            Message::Update(update) => scanned(update),
            other => panic!("{name}: {other:?}"),
        })
        .collect();
    let last = updates.pop().unwrap();
    for update in updates {
        let verdict = server.ledger.judge(&update).unwrap();
        assert!(
            matches!(verdict, Verdict::Fresh | Verdict::Overlap),
            "{name}: {verdict:?}"
        );
        server.apply(&verdict, &update);
    }
    assert!(server.ledger.judge(&last).is_err(), "{name}");
}
