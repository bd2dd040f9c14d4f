//! Random hostile updates: whatever the door lets through, yrs applies without error, panic or anything
//! pending, and encodes afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use yrs::updates::decoder::Decode;
use yrs::{ReadTxn, Transact, Update};

use super::build::{At, gc, item, skip, text, update};
use super::replicas::{Replica, Server, apply, doc, scanned, state, vector};
use crate::limits::UPDATE_BYTES_MAX;
use crate::update::{Ledger, Verdict, scan};

/// A small generator of numbers that a seed repeats (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
    }
}

const CLIENTS: [u64; 4] = [1, 2, 3, 900];

fn wild_content(dice: &mut Dice) -> (u8, Vec<u8>, u64) {
    match dice.roll(14) {
        0 => (8, vec![1, 126], 1),
        1 => (8, vec![3, 126, 125, 5, 117, 1, 120], 3),
        2 => (4, text("ab"), 2),
        3 => (4, text("x😀"), 3),
        4 => {
            let length = 1 + dice.roll(3);
            (1, vec![length as u8], length)
        }
        5 => (3, vec![1, 7], 1),
        6 => (5, text("{\"a\":1}"), 1),
        7 => (6, [text("bold"), text("true")].concat(), 1),
        8 => (6, [text("bold"), text("null")].concat(), 1),
        9 => (7, [vec![3], text("p")].concat(), 1),
        _ => (7, vec![dice.pick(&[0, 1, 2, 4, 6])], 1),
    }
}

/// Mostly the id of something that exists.
fn wild_id(dice: &mut Dice, ends: &[u64; 4]) -> (u64, u64) {
    let written: Vec<usize> = (0..4).filter(|which| ends[*which] > 0).collect();
    if written.is_empty() || dice.roll(40) == 0 {
        return (dice.pick(&CLIENTS), dice.roll(6));
    }
    let which = dice.pick(&written);
    (CLIENTS[which], dice.roll(ends[which]))
}

fn wild_update(dice: &mut Dice, ledger: &Ledger) -> Bytes {
    let known = CLIENTS.map(|client| ledger.clock(crate::ClientId(client)));
    let mut ends = known;
    let mut sections = Vec::new();
    for which in 0..CLIENTS.len() {
        if dice.roll(2) > 0 {
            continue;
        }
        let back = if dice.roll(4) == 0 { dice.roll(4) } else { 0 };
        let start = known[which].saturating_sub(back) + u64::from(dice.roll(25) == 0);
        let mut clock = start;
        let mut structs = Vec::new();
        for _ in 0..1 + dice.roll(4) {
            if dice.roll(12) == 0 {
                let length = 1 + dice.roll(3);
                structs.push(if dice.roll(4) == 0 {
                    skip(length)
                } else {
                    gc(length)
                });
                clock += length;
                continue;
            }
            let (kind, bytes, length) = wild_content(dice);
            let at = match dice.roll(14) {
                0..=3 => At::Root(dice.pick(&["a", "b"])),
                4 | 5 => {
                    let (client, clock) = wild_id(dice, &ends);
                    At::Parent(client, clock)
                }
                6..=9 => {
                    let (client, clock) = wild_id(dice, &ends);
                    At::After(client, clock)
                }
                10..=12 => {
                    let (client, clock) = wild_id(dice, &ends);
                    At::Before(client, clock)
                }
                _ => At::Between(wild_id(dice, &ends), wild_id(dice, &ends)),
            };
            let key = dice.pick(&[None, None, Some("k"), Some("l")]);
            structs.push(item(at, key, (kind, &bytes)));
            clock += length;
            ends[which] = ends[which].max(clock);
        }
        sections.push((CLIENTS[which], start, structs));
    }
    let mut deletes = Vec::new();
    for which in 0..CLIENTS.len() {
        if dice.roll(5) == 0 && ends[which] > 0 {
            let start = dice.roll(ends[which]);
            deletes.push((CLIENTS[which], vec![(start, 1 + dice.roll(3))]));
        }
    }
    update(&sections, &deletes)
}

/// Changes, cuts, doubles or mixes some bytes.
fn mutate(dice: &mut Dice, bytes: &[u8], other: &[u8]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + dice.roll(3) {
        let at = dice.roll(bytes.len() as u64 + 1) as usize;
        let past = (at + dice.roll(6) as usize).min(bytes.len());
        match dice.roll(6) {
            0 | 1 if at < bytes.len() => {
                bytes[at] = bytes[at].wrapping_add(1 + dice.roll(255) as u8)
            }
            2 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            3 => _ = bytes.drain(at..past),
            4 => {
                let from = dice.roll(other.len() as u64 + 1) as usize;
                let to = (from + dice.roll(8) as usize).min(other.len());
                bytes.splice(at..past, other[from..to].iter().copied());
            }
            _ => bytes.insert(
                at,
                dice.pick(&[0, 1, 2, 7, 8, 10, 0x27, 0x28, 0x7f, 0x80, 0x84, 0xff]),
            ),
        }
    }
    bytes.into()
}

/// Lets an update in if the door does, and looks at the documents afterwards.
fn offer(server: &mut Server, bytes: Bytes) -> bool {
    let Ok(update) = scan(bytes, UPDATE_BYTES_MAX) else {
        return false;
    };
    Update::decode_v1(update.bytes()).unwrap();
    match server.ledger.judge(&update) {
        Err(_) | Ok(Verdict::Nothing) => false,
        Ok(Verdict::Gap { .. }) => {
            let ready = scanned(server.ledger.ready_part(&update).unwrap());
            let judged = server.ledger.judge(&ready).unwrap();
            assert!(
                matches!(judged, Verdict::Fresh | Verdict::Nothing),
                "{judged:?}"
            );
            false
        }
        Ok(verdict) => {
            server.apply(&verdict, &update);
            look(server);
            true
        }
    }
}

fn look(server: &Server) {
    for stored in [state(&server.doc), state(&server.whole), server.joined()] {
        let again = doc();
        apply(&again, &stored);
        assert!(!again.transact().has_missing_updates());
        assert_eq!(vector(&again), server.ledger.state_vector());
        let stored = scanned(state(&again));
        let mut ledger = Ledger::default();
        assert!(matches!(
            ledger.judge(&stored),
            Ok(Verdict::Fresh | Verdict::Nothing)
        ));
        ledger.admit(&stored);
        assert_eq!(ledger.state_vector(), server.ledger.state_vector());
    }
}

/// Deletes everything there is.
fn sweep(server: &mut Server) {
    let all: Vec<_> = server
        .ledger
        .state_vector()
        .iter()
        .map(|(client, clock)| (client.0, vec![(0, clock)]))
        .collect();
    offer(server, update(&[], &all));
}

fn structured(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let mut server = Server::new();
    let mut applied = 0;
    for _ in 0..4 + dice.roll(12) {
        let update = wild_update(&mut dice, &server.ledger);
        applied += u64::from(offer(&mut server, update));
    }
    sweep(&mut server);
    applied
}

fn mutated(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let replica = Replica::new(2);
    let other = Replica::new(300);
    let mut server = Server::new();
    let mut applied = 0;
    for _ in 0..3 + dice.roll(6) {
        let who = if dice.roll(3) == 0 { &other } else { &replica };
        who.edit(dice.roll(256) as u8, dice.roll(1 << 32) as u32);
        if dice.roll(4) == 0 {
            apply(&other.doc, &replica.step2(&vector(&other.doc)));
        }
    }
    let honest: Vec<_> = replica.sent().into_iter().chain(other.sent()).collect();
    let Some(last) = honest.last() else { return 0 };
    for update in &honest {
        for _ in 0..3 {
            let update = mutate(&mut dice, update, last);
            applied += u64::from(offer(&mut server, update));
        }
        offer(&mut server, update.clone());
    }
    sweep(&mut server);
    applied
}

/// Runs scenarios and reports the seeds of those that fail.
fn run(seeds: std::ops::Range<u64>, scenario: fn(u64) -> u64) -> u64 {
    let mut applied = 0;
    let mut failed = Vec::new();
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            Ok(count) => applied += count,
            Err(_) => failed.push(seed),
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed, seeds {:?}",
        failed.len(),
        failed.get(..failed.len().min(20))
    );
    applied
}

#[test]
fn what_passes_of_hostile_structs_never_breaks_a_document() {
    assert!(
        run(0..400, structured) > 400,
        "hardly anything passed: the test tests nothing"
    );
}

#[test]
fn what_passes_of_mutated_bytes_never_breaks_a_document() {
    assert!(
        run(0..400, mutated) > 100,
        "hardly anything passed: the test tests nothing"
    );
}

/// The same for as many seeds as `HUNT_FROM` and `HUNT_TO` say; a few where they say nothing.
#[test]
fn hunt() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = number("HUNT_FROM").unwrap_or(0)..number("HUNT_TO").unwrap_or(10);
    run(seeds.clone(), structured);
    run(seeds, mutated);
}
