//! Large updates that are small enough for tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::update::tests::laws::{run, steps};
use crate::update::tests::replicas::{apply, content, doc, scanned, state};
use crate::update::{Ledger, Verdict, scan};

fn outline(bytes: &Bytes, limits: PieceLimits, window: usize) -> Result<LargeUpdate, LargeError> {
    outline::walk(bytes, limits, window)
}

fn cut(bytes: &Bytes, limits: PieceLimits, window: usize) -> Vec<Bytes> {
    let large = outline(bytes, limits, window).unwrap();
    let mut pieces = large.pieces(bytes);
    std::iter::from_fn(|| pieces.next_piece().unwrap()).collect()
}

fn limits(bytes_wanted: usize) -> PieceLimits {
    PieceLimits {
        bytes_max: bytes_wanted + 1_000,
        bytes_wanted,
    }
}

proptest! {
    #[test]
    fn the_pieces_in_their_order_are_the_whole(
        steps in steps(),
        at in any::<prop::sample::Index>(),
        bytes_wanted in 0usize..400,
        window in 1usize..80,
    ) {
        let (server, _) = run(&steps);
        // What a replica lacks that has some of the log, and the same for one that has nothing.
        let known = at.index(server.log.len() + 1);
        for known in [0, known] {
            let (document, mut ledger) = (doc(), Ledger::default());
            for update in &server.log[..known] {
                apply(&document, update.bytes());
                ledger.admit(update);
            }
            let vector = yrs::ReadTxn::state_vector(&yrs::Transact::transact(&document));
            let diff = yrs::ReadTxn::encode_diff_v1(&yrs::Transact::transact(&server.doc), &vector);
            let diff = Bytes::from(diff);
            let limits = limits(bytes_wanted);
            for piece in cut(&diff, limits, window) {
                prop_assert!(piece.len() <= limits.bytes_max, "{} bytes", piece.len());
                let piece = scanned(piece);
                let verdict = ledger.judge(&piece).unwrap();
                prop_assert!(!matches!(verdict, Verdict::Gap { .. }), "{:?}", verdict);
                apply(&document, piece.bytes());
                ledger.admit(&piece);
            }
            prop_assert_eq!(content(&document), content(&server.doc));
            prop_assert_eq!(ledger.judge(&scanned(diff)).unwrap(), Verdict::Nothing);
        }
    }

    #[test]
    fn what_the_scanner_refuses_is_refused_where_it_lies_as_well(
        steps in steps(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        window in 1usize..80,
    ) {
        let (server, _) = run(&steps);
        let mut bytes = state(&server.doc).to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = Bytes::from(bytes);
        let there = outline(&bytes, limits(100_000), window).map(|large| large.sections.len());
        match (scan(bytes, usize::MAX), there) {
            (Ok(scanned), Ok(sections)) => prop_assert_eq!(scanned.sections.len(), sections),
            (Err(expected), Err(LargeError::Scan(error))) => prop_assert_eq!(error, expected),
            (scanned, there) => prop_assert!(false, "{:?} {:?}", scanned, there),
        }
    }
}

/// Client `client` sets `keys` in the root type "map" to a text of `bytes` bytes each.
fn entries(client: u8, keys: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![keys, client, 0];
    for key in 0..keys {
        out.extend([0x28, 1, 3, b'm', b'a', b'p', 1, key + b'a', 1, 119]);
        let mut length = crate::Writer::new();
        length.string(&"x".repeat(bytes));
        out.extend(length.finish());
    }
    out
}

fn update(sections: &[Vec<u8>], deletes: &[u8]) -> Bytes {
    let mut out = vec![sections.len() as u8];
    sections.iter().for_each(|section| out.extend(section));
    out.extend(deletes);
    out.into()
}

#[test]
fn a_struct_that_no_piece_can_hold_is_refused_by_its_name() {
    let bytes = update(&[entries(7, 2, 10), entries(5, 1, 5_000)], &[0]);
    let limits = limits(100);
    match outline(&bytes, limits, 64) {
        Err(LargeError::StructTooLarge {
            client: ClientId(5),
            clock: 0,
            bytes_max,
            ..
        }) => assert_eq!(bytes_max, limits.bytes_max),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_struct_larger_than_wanted_is_a_piece_of_its_own() {
    let bytes = update(&[entries(7, 3, 900)], &[0]);
    let pieces = cut(&bytes, limits(100), 64);
    assert_eq!(pieces.len(), 3);
}

#[test]
fn deletions_come_with_their_structs_and_the_others_last() {
    // Client 7's second entry is deleted, and something of client 9 that the document has.
    let deletes = [2, 9, 1, 3, 4, 7, 1, 1, 1];
    let bytes = update(&[entries(7, 2, 10)], &deletes);
    let pieces = cut(&bytes, limits(1), 64);
    let deletes: Vec<_> = pieces
        .iter()
        .map(|piece| {
            let piece = scanned(piece.clone());
            piece
                .deletes()
                .map(|d| (d.client.0, d.start, d.end))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(deletes, [vec![], vec![(7, 1, 2)], vec![(9, 3, 7)]]);
}

#[test]
fn many_deletions_are_cut_as_well() {
    let ranges: Vec<u8> = (0..100).flat_map(|at| [at, 1]).step_by(1).collect();
    let ranges: Vec<u8> = ranges.chunks(2).step_by(2).flatten().copied().collect();
    let bytes = update(
        &[],
        &[vec![2, 9, 50], ranges.clone(), vec![4, 50], ranges].concat(),
    );
    let pieces = cut(&bytes, limits(200), 3);
    assert!(pieces.len() > 5, "{}", pieces.len());
    assert!(pieces.iter().all(|piece| piece.len() <= 200));
    let deleted: usize = pieces
        .iter()
        .map(|p| scanned(p.clone()).deletes().count())
        .sum();
    assert_eq!(deleted, 100);
}

#[test]
fn structs_that_wait_for_each_other_in_a_circle_are_no_pieces() {
    // 7:0 stands after 5:0, which stands after 7:0.
    let seven = vec![1, 7, 0, 0x88, 5, 0, 1, 126];
    let five = vec![1, 5, 0, 0x88, 7, 0, 1, 126];
    let bytes = update(&[seven, five], &[0]);
    let large = outline(&bytes, limits(100), 64).unwrap();
    let circular = large.pieces(&bytes).next_piece();
    assert!(matches!(
        circular,
        Err(LargeError::Door(DoorError::Circular { .. }))
    ));
}

#[test]
fn a_piece_has_no_more_clients_than_may_depend_on_each_other() {
    let clients = crate::limits::CLIENTS_CHAINED_MAX as u64 + 10;
    let mut out = crate::Writer::new();
    out.var_uint(clients);
    for client in 0..clients {
        out.var_uint(1);
        out.var_uint(client);
        out.raw(&[0, 0x08, 1, 4, b'l', b'i', b's', b't', 1, 126]);
    }
    out.byte(0);
    let pieces = cut(&out.finish(), limits(1 << 20), 64);
    assert_eq!(pieces.len(), 2);
}

/// Bytes that end earlier than they say.
struct Broken(Bytes);

impl ReadAt for Broken {
    fn bytes(&self) -> u64 {
        self.0.len() as u64 + 1
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
        ReadAt::read_exact_at(&self.0, buffer, at)
    }
}

#[test]
fn bytes_that_cannot_be_read_back_are_no_malformed_update() {
    let broken = Broken(update(&[entries(7, 2, 10)], &[0]));
    let read = LargeUpdate::scan(&broken, limits(100));
    assert!(matches!(read, Err(LargeError::Read(_))));
}

/// A beginning, and zeros behind it without end.
struct Endless(Vec<u8>);

impl ReadAt for Endless {
    fn bytes(&self) -> u64 {
        1 << 40
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
        for (byte, at) in buffer.iter_mut().zip(at..) {
            *byte = self.0.get(at as usize).copied().unwrap_or(0);
        }
        Ok(())
    }
}

#[test]
fn no_more_ranges_are_deleted_than_memory_is_meant_for() {
    let claims = |ranges: u64| {
        let mut out = crate::Writer::new();
        out.raw(&[0, 1, 7]);
        out.var_uint(ranges);
        LargeUpdate::scan(&Endless(out.finish().to_vec()), limits(100))
    };
    let most = LARGE_DELETE_RANGES_MAX as u64;
    assert!(matches!(
        claims(most + 1),
        Err(LargeError::Scan(ScanError::TooMany { count_max, .. })) if count_max == most
    ));
    // As many as that are believed, and the first of them is empty.
    assert!(matches!(
        claims(most),
        Err(LargeError::Scan(ScanError::Empty { .. }))
    ));
}
