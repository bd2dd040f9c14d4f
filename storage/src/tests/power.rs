//! Power cuts by the hundred: in writes, at syncs, while the store recovers from one, sled lost or spoilt.
//!
//! `make crash` runs `POWER_CUTS` of them from a fresh seed and prints a summary.

use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::crash::{lost, ruin_sled, work};
use super::on;
use crate::{Cut, FaultyDisk, Random, SledStore};

/// Cuts where nobody asks for more.
const CUTS: usize = 20;

/// Appends that one life of a store tries.
const APPENDS: u32 = 45;

#[test]
fn hundreds_of_power_cuts_lose_nothing_that_was_acknowledged() {
    let asked = env::var("POWER_CUTS").ok();
    let cuts = asked
        .as_deref()
        .map_or(CUTS, |text| text.parse().expect("POWER_CUTS is a number"));
    let seed = seed(asked.is_some());
    eprintln!("power: seed {seed} (CRASH_SEED={seed} repeats its choices)");
    let panics = count_panics(asked.is_some());
    let (mut cut, mut acknowledged, mut lost, mut failed) = (0, 0, 0, Vec::new());
    let mut round = seed;
    // Now and then a cut comes too late and the store has closed: that is no round.
    while cut < cuts {
        match catch_unwind(AssertUnwindSafe(|| one(round))) {
            Ok(outcome) => {
                cut += usize::from(outcome.is_cut);
                acknowledged += outcome.acknowledged;
                lost += outcome.lost;
                if outcome.lost > 0 {
                    failed.push(round);
                }
            }
            Err(_) => {
                cut += 1;
                failed.push(round);
            }
        }
        round = round.wrapping_add(1);
    }
    let panics = panics.load(Ordering::Relaxed);
    eprintln!("power: rounds {cut}, acked {acknowledged}, lost {lost}, panics {panics}");
    assert!(
        failed.is_empty() && panics == 0,
        "these fail with POWER_CUTS=1: CRASH_SEED={failed:?}"
    );
    assert!(acknowledged > cuts, "hardly anything was acknowledged");
}

struct Outcome {
    is_cut: bool,
    acknowledged: usize,
    lost: usize,
}

/// A life that ends in a power cut, perhaps another one while the store opens again, then the check.
fn one(seed: u64) -> Outcome {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let mut random = Random(seed);
    let cut = if random.below(2) == 0 {
        Cut::AtSync(1 + random.below(90))
    } else {
        Cut::AtByte(random.below(90_000))
    };
    disk.cut_power(cut);
    let promised = work(dir.path(), &disk, random.number(), APPENDS);
    let is_cut = disk.is_without_power();
    disk.restore_power(random.number());
    let mut sled = ruin_sled(dir.path(), &mut random);
    let again = random.below(3) == 0;
    if again {
        let (syncs, _) = disk.work_done();
        disk.cut_power(Cut::AtSync(syncs + 1 + random.below(12)));
        drop(SledStore::open(dir.path(), on(&disk)));
        disk.restore_power(random.number());
        sled = ruin_sled(dir.path(), &mut random);
    }
    let context = format!("seed {seed}, {cut:?}, again: {again}, sled {sled}");
    Outcome {
        is_cut,
        acknowledged: promised.acknowledged.iter().sum(),
        lost: lost(dir.path(), &disk, &promised, &context),
    }
}

fn seed(is_fresh: bool) -> u64 {
    match env::var("CRASH_SEED") {
        Ok(text) => text.parse().expect("CRASH_SEED is a number"),
        Err(_) if is_fresh => UNIX_EPOCH
            .elapsed()
            .map_or(1, |since| since.as_nanos() as u64),
        Err(_) => 1,
    }
}

/// Counts panics on any thread from here on, but for those inside sled: the store takes them for what they
/// are. Only where this is the run's purpose, since other tests of the process may fail on purpose.
fn count_panics(is_asked: bool) -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    if is_asked {
        let (counter, before) = (Arc::clone(&panics), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            let is_sleds = info
                .location()
                .is_some_and(|place| place.file().contains("sled-0."));
            if !is_sleds {
                counter.fetch_add(1, Ordering::Relaxed);
                before(info);
            }
        }));
    }
    panics
}
