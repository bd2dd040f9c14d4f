//! A damaged record is named by map and place: by check, by recovery, by reads, with sled and without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapweave_proto::{DocId, Seq};
use tempfile::TempDir;

use super::{copy_folder, on, open};
use crate::contract::{block_on, created, read, read_all, update};
use crate::journal::{Files, Mark, Place, Walk, Walked};
use crate::{Damage, FaultyDisk, Random, StoreError, StoreOptions, UpdateLog};

const DOCS: [DocId; 3] = [
    DocId::from_bytes([1; 16]),
    DocId::from_bytes([2; 16]),
    DocId::from_bytes([3; 16]),
];

/// Offsets in a frame; see `docs/storage.md`.
const LENGTH_AT: usize = 4;
const MAP_AT: usize = 84;
const SEQ_AT: usize = 100;
const PAYLOAD_AT: usize = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    doc: DocId,
    seq: Seq,
    place: Place,
}

struct Ground {
    dir: TempDir,
    disk: FaultyDisk,
    written: Vec<Written>,
}

impl Ground {
    /// Three maps that take turns, all in one journal file.
    fn new(seed: u64) -> Self {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        let mut random = Random(seed);
        let (store, _) = open(dir.path(), options(&disk));
        for (at, doc) in DOCS.into_iter().enumerate() {
            block_on(store.append(doc, vec![created(&format!("map {at}"))])).unwrap();
        }
        for round in 0..24u8 {
            let doc = DOCS[random.below(3) as usize];
            let news = (0..=random.below(2)).map(|_| update(vec![round | 1; 70]));
            block_on(store.append(doc, news.collect())).unwrap();
        }
        // What is hit is never in the last batch, which could be an unfinished write.
        block_on(store.append(DOCS[0], vec![update(b"end")])).unwrap();
        store.close().unwrap();
        let written = written(dir.path(), &disk);
        Self { dir, disk, written }
    }

    fn file(&self, place: Place) -> PathBuf {
        self.dir
            .path()
            .join(format!("journal/{:08}.log", place.file))
    }

    fn flip(&self, hit: Written, byte: usize, bit: u64) {
        let at = hit.place.offset as usize + byte;
        self.disk
            .tamper(&self.file(hit.place), |bytes| bytes[at] ^= 1 << bit);
    }

    fn lose_sled(&self) {
        fs::remove_dir_all(self.dir.path().join("sled")).unwrap();
    }
}

fn options(disk: &FaultyDisk) -> StoreOptions {
    StoreOptions {
        journal_file_bytes: 1 << 20,
        ..on(disk)
    }
}

fn written(root: &Path, disk: &FaultyDisk) -> Vec<Written> {
    let files = Files::new(Arc::new(disk.clone()), root);
    let walk = Walk {
        from: Mark::START,
        durable: Mark::START,
        until: None,
    };
    let mut out = Vec::new();
    files
        .walk(&walk, &mut |walked| {
            if let Walked::Record { placed, .. } = walked {
                let (doc, seq) = (placed.record.doc, placed.record.seq);
                let place = placed.place;
                out.push(Written { doc, seq, place });
            }
            Ok(())
        })
        .unwrap();
    out
}

/// `problems` is about `hit` and nothing else.
fn check(problems: &[Damage], hit: Written, context: &str) {
    let [damage] = problems else {
        panic!("{context}: {problems:#?}")
    };
    let offset = hit.place.offset;
    let (file, archived) = ("journal/00000001.log", "archive/00000001.mwj");
    let named = damage.file == Path::new(file) || damage.file == Path::new(archived);
    assert!(named, "{context}: {damage}");
    assert_eq!(
        (damage.offset, damage.doc, damage.seq),
        (offset, Some(hit.doc), Some(hit.seq)),
        "{context}: {damage}"
    );
}

fn check_everywhere(ground: &Ground, hit: Written, context: &str) {
    // sled is whole: nothing is lost, the check names what the journal lost.
    let (store, report) = open(ground.dir.path(), options(&ground.disk));
    assert!(report.problems.is_empty(), "{context}: {report:?}");
    let verified = block_on(store.verify(None)).unwrap();
    check(
        &verified.problems,
        hit,
        &format!("verify with sled, {context}"),
    );
    assert!(verified.problems[0].what.contains("sled still has it"));
    let bad: Vec<_> = verified.maps.iter().filter(|map| !map.ok).collect();
    assert_eq!((bad.len(), bad[0].id), (1, hit.doc), "{context}");
    let other = DOCS.into_iter().find(|doc| *doc != hit.doc).unwrap();
    assert!(block_on(store.verify(Some(other))).unwrap().ok, "{context}");
    assert!(read_all(&store, hit.doc).is_ok(), "{context}");
    store.close().unwrap();

    ground.lose_sled();
    let (store, report) = open(ground.dir.path(), options(&ground.disk));
    check(&report.problems, hit, &format!("recovery, {context}"));
    let head = store.head(hit.doc).unwrap().unwrap();
    assert_eq!(head.damaged.as_ref(), report.problems.first(), "{context}");
    let verified = block_on(store.verify(None)).unwrap();
    check(
        &verified.problems,
        hit,
        &format!("verify without sled, {context}"),
    );
    if hit.seq < head.last {
        let Err(StoreError::Damaged(damage)) = read(&store, hit.doc, hit.seq, hit.seq) else {
            panic!("{context}: the lost record was read");
        };
        check(&[*damage], hit, &format!("read, {context}"));
    }
    store.close().unwrap();
    let (store, report) = open(ground.dir.path(), options(&ground.disk));
    check(&report.problems, hit, &format!("next open, {context}"));
    store.close().unwrap();
}

#[test]
fn a_flipped_bit_in_payload_map_length_or_place_of_a_middle_record_is_named_by_map_and_place() {
    for byte in [PAYLOAD_AT, MAP_AT, LENGTH_AT, LENGTH_AT + 3, SEQ_AT] {
        let ground = Ground::new(7);
        let hit = ground.written[ground.written.len() / 2];
        ground.flip(hit, byte, 1);
        check_everywhere(&ground, hit, &format!("byte {byte}"));
    }
}

#[test]
fn any_flipped_bit_of_any_record_but_the_last_is_named_by_map_and_place() {
    let mut random = Random(0x6e61_6d65);
    for seed in 0..40 {
        let ground = Ground::new(seed);
        let hit = ground.written[random.below(ground.written.len() as u64 - 1) as usize];
        let (byte, bit) = (random.below(hit.place.len.into()) as usize, random.below(8));
        ground.flip(hit, byte, bit);
        check_everywhere(
            &ground,
            hit,
            &format!("seed {seed}, byte {byte}, bit {bit}, {hit:?}"),
        );
    }
}

#[test]
fn the_lost_last_record_of_a_map_is_still_named_when_the_map_has_gone_on() {
    let ground = Ground::new(5);
    let last = |doc| ground.written.iter().rfind(|w| w.doc == doc).copied();
    let hit = last(DOCS[1]).unwrap();
    ground.flip(hit, MAP_AT + 2, 5);
    ground.lose_sled();
    let (store, _) = open(ground.dir.path(), options(&ground.disk));
    let again = block_on(store.append(hit.doc, vec![update(b"on")])).unwrap();
    assert_eq!(again.last, hit.seq);
    let verified = block_on(store.verify(None)).unwrap();
    check(&verified.problems, hit, "gone on");
    assert!(!verified.problems[0].what.contains("sled"));
    let records = read(&store, hit.doc, hit.seq, hit.seq).unwrap();
    assert_eq!(records[0].payload, &b"on"[..]);
}

#[test]
fn two_damaged_records_next_to_each_other_are_named_each() {
    for seed in 0..10 {
        let ground = Ground::new(seed);
        let middle = ground.written.len() / 2;
        let hits = &ground.written[middle..middle + 2];
        for hit in hits {
            ground.flip(*hit, PAYLOAD_AT, 3);
        }
        ground.lose_sled();
        let (store, report) = open(ground.dir.path(), options(&ground.disk));
        let verified = block_on(store.verify(None)).unwrap();
        for problems in [report.problems, verified.problems] {
            assert_eq!(problems.len(), 2, "seed {seed}: {problems:#?}");
            for (problem, hit) in problems.into_iter().zip(hits) {
                check(&[problem], *hit, &format!("seed {seed}"));
            }
        }
        store.close().unwrap();
    }
}

#[test]
fn records_of_which_not_a_byte_is_left_are_named_by_what_is_missing() {
    let ground = Ground::new(3);
    let middle = ground.written.len() / 2;
    let hits = &ground.written[middle..middle + 4];
    let from = hits[0].place.offset as usize;
    let to = ground.written[middle + 4].place.offset as usize;
    let file = ground.file(hits[0].place);
    ground.disk.tamper(&file, |bytes| bytes[from..to].fill(0));
    ground.lose_sled();
    let (store, report) = open(ground.dir.path(), options(&ground.disk));
    let verified = block_on(store.verify(None)).unwrap();
    for problems in [report.problems, verified.problems] {
        for hit in hits {
            let named = problems.iter().filter(|p| p.doc == Some(hit.doc));
            let first = named.filter(|p| p.seq <= Some(hit.seq)).count();
            assert!(first > 0, "{hit:?} is not named: {problems:#?}");
        }
        for problem in problems {
            assert_eq!(problem.offset, from as u64, "{problem}");
            assert!(problem.doc.is_some() && problem.seq.is_some(), "{problem}");
        }
    }
}

#[test]
fn a_long_record_that_cannot_be_read_is_named_its_map_marked_and_the_others_served() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let (store, _) = open(dir.path(), options(&disk));
    let doc = DOCS[0];
    block_on(store.append(doc, vec![created("a"), update([1; 9]), update([2; 9_000])])).unwrap();
    block_on(store.append(doc, vec![update([3; 9])])).unwrap();
    store.close().unwrap();
    let hit = written(dir.path(), &disk)[2];
    let at = hit.place.offset as usize + 5_000;
    disk.tamper(&dir.path().join("journal/00000001.log"), |bytes| {
        bytes[at] ^= 4
    });
    // sled knows where the record was and cannot know that it is not there any more.
    assert!(open(dir.path(), options(&disk)).1.clean);
    let (store, _) = open(dir.path(), options(&disk));
    for _ in 0..2 {
        let Err(StoreError::Damaged(damage)) = read_all(&store, doc) else {
            panic!("the damaged record was read");
        };
        assert_eq!(
            (damage.doc, damage.seq),
            (Some(doc), Some(Seq(3))),
            "{damage}"
        );
        assert_ne!(damage.file, Path::new("sled"));
        assert_eq!(read(&store, doc, Seq(1), Seq(2)).unwrap().len(), 2);
        assert_eq!(read(&store, doc, Seq(4), Seq(4)).unwrap().len(), 1);
    }
    assert!(store.head(doc).unwrap().unwrap().damaged.is_some());
    store.close().unwrap();
    // sled is not to blame, so it is not rebuilt.
    assert_eq!(open(dir.path(), options(&disk)).1.rebuilt, None);
}

#[test]
fn a_record_that_sled_has_not_got_yet_is_named_when_the_store_opens_after_a_crash() {
    for byte in [PAYLOAD_AT, MAP_AT, SEQ_AT] {
        for at in 0..6 {
            let ground = Ground::new(1);
            let old = TempDir::new().unwrap();
            copy_folder(&ground.dir.path().join("sled"), old.path());
            let (store, _) = open(ground.dir.path(), options(&ground.disk));
            for n in 0..4u8 {
                block_on(store.append(DOCS[usize::from(n % 2)], vec![update([n; 80])])).unwrap();
            }
            for n in 0..2u8 {
                block_on(store.append(DOCS[2], vec![update([n; 80])])).unwrap();
            }
            block_on(store.append(DOCS[2], vec![update(b"end")])).unwrap();
            store.close().unwrap();
            ground.lose_sled();
            copy_folder(old.path(), &ground.dir.path().join("sled"));
            let all = written(ground.dir.path(), &ground.disk);
            let hit = all[ground.written.len() + at];
            ground.flip(hit, byte, 2);
            let (store, report) = open(ground.dir.path(), options(&ground.disk));
            let context = format!("byte {byte}, record {at}");
            assert_eq!(report.rebuilt, None, "{context}");
            let [damage] = &report.problems[..] else {
                panic!("{context}: {report:#?}")
            };
            assert_eq!(
                (damage.offset, damage.doc, damage.seq),
                (hit.place.offset, Some(hit.doc), Some(hit.seq)),
                "{context}: {damage}"
            );
            let head = store.head(hit.doc).unwrap().unwrap();
            assert_eq!(head.damaged.as_ref(), Some(damage), "{context}");
        }
    }
}

#[test]
fn a_damaged_archive_costs_few_records_where_most_of_it_can_be_unpacked() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let mut random = Random(4);
    let (store, _) = open(dir.path(), options(&disk));
    block_on(store.append(DOCS[0], vec![created("a")])).unwrap();
    for _ in 0..300 {
        let noise: Vec<u8> = (0..2_500).map(|_| random.below(256) as u8).collect();
        block_on(store.append(DOCS[0], vec![update(noise)])).unwrap();
    }
    store.close().unwrap();
    open(dir.path(), options(&disk)).0.close().unwrap();
    let archive = dir.path().join("archive/00000001.mwj");
    // Halfway between two heads of packed blocks (zstd begins one every 128 KiB), without which a whole block is lost.
    let at = 5 << 16;
    disk.tamper(&archive, |bytes| bytes[at] ^= 1);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open(dir.path(), options(&disk));
    let (block, record): (Vec<_>, Vec<_>) = report.problems.iter().partition(|p| p.doc.is_none());
    // A bit of packed data may lie where two records meet.
    assert_eq!(block.len(), 1, "{report:#?}");
    assert!((1..=2).contains(&record.len()), "{report:#?}");
    let lost: Vec<Seq> = record.iter().map(|damage| damage.seq.unwrap()).collect();
    for seq in (1..=301).map(Seq) {
        let is_readable = read(&store, DOCS[0], seq, seq).is_ok();
        assert_eq!(is_readable, !lost.contains(&seq), "{seq:?}: {report:#?}");
    }
}

#[test]
fn however_much_is_damaged_no_record_is_named_that_can_be_read_and_none_is_passed_over() {
    for seed in 0..60 {
        let ground = Ground::new(seed);
        let mut random = Random(seed);
        let total = ground.written.len() as u64;
        let mut hits = Vec::new();
        for _ in 0..=random.below(8) {
            let hit = ground.written[random.below(total - 1) as usize];
            if hits.contains(&hit) {
                continue;
            }
            let (at, len) = (hit.place.offset as usize, hit.place.len as usize);
            if random.below(3) == 0 {
                let file = ground.file(hit.place);
                ground
                    .disk
                    .tamper(&file, |bytes| bytes[at..at + len].fill(0));
            } else {
                for _ in 0..=random.below(3) {
                    ground.flip(hit, random.below(len as u64) as usize, random.below(8));
                }
            }
            hits.push(hit);
        }
        if seed % 2 == 0 {
            ground.lose_sled();
        }
        let (store, _) = open(ground.dir.path(), options(&ground.disk));
        let readable = written(ground.dir.path(), &ground.disk);
        let hits: Vec<_> = ground
            .written
            .iter()
            .filter(|w| !readable.contains(w))
            .collect();
        let problems = block_on(store.verify(None)).unwrap().problems;
        let context = format!("seed {seed}, {hits:#?}, {problems:#?}");
        for problem in &problems {
            let Some(doc) = problem.doc else { continue };
            let is_hit = |hit: &&Written| hit.doc == doc && Some(hit.seq) == problem.seq;
            assert!(
                hits.iter().copied().any(|hit| is_hit(&hit)),
                "{problem}: {context}"
            );
        }
        for hit in hits {
            let own = problems.iter().filter(|p| p.doc == Some(hit.doc));
            let told = own.filter(|p| p.seq <= Some(hit.seq)).count() > 0;
            let unnamed = problems
                .iter()
                .any(|p| p.doc.is_none() && p.offset <= hit.place.offset);
            assert!(told || unnamed, "{hit:?}: {context}");
        }
        store.close().unwrap();
    }
}
