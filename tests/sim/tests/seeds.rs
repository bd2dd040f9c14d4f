use std::collections::BTreeSet;

use mapweave_sim::{Report, Scenario};

/// Seeds that an ordinary run goes through.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn scenario(seed: u64) -> Scenario {
    let mut scenario = Scenario::of_seed(seed);
    if let Some(steps) = number("SIM_STEPS") {
        scenario.steps = steps as usize;
    }
    if let Some(clients) = number("SIM_CLIENTS") {
        scenario.clients = clients as usize;
    }
    scenario
}

/// Runs all seeds. Failures are told with their seeds, the first also in the smallest form that was found.
fn run_all(seeds: impl Iterator<Item = u64>) -> Vec<Report> {
    let mut failures = Vec::new();
    let mut reports = Vec::new();
    for seed in seeds {
        match scenario(seed).run() {
            Ok(report) => reports.push(report),
            Err(failure) => {
                println!("{failure}");
                failures.push(failure);
            }
        }
    }
    let count = failures.len();
    if let Some(first) = failures.into_iter().next() {
        let seed = first.scenario.seed;
        let smaller = first.shrunk();
        panic!("{count} seeds fail\nthe first, smaller: {smaller}\nagain: SIM_SEED={seed}");
    }
    reports
}

#[test]
fn every_promise_holds_whatever_clients_networks_and_disks_do() {
    let seeds: Vec<u64> = match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => {
            let from = number("SIM_FROM").unwrap_or(0);
            (from..from + number("SIM_SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let reports = run_all(seeds.into_iter());
    let total = |of: fn(&Report) -> u64| -> u64 { reports.iter().map(of).sum() };
    println!(
        "{} seeds: {} events, {} edits, {} acknowledged, {} crashes, {} connections, {} overflows, {} gaps, {} snapshots, {} records",
        reports.len(),
        total(|r| r.events),
        total(|r| r.edits),
        total(|r| r.acknowledged),
        total(|r| r.crashes),
        total(|r| r.connections),
        total(|r| r.overflows),
        total(|r| r.gaps),
        total(|r| r.snapshots),
        total(|r| r.records),
    );
    // What never happens is not tested.
    if reports.len() >= SEEDS as usize {
        for (what, happened) in [
            ("edits", total(|r| r.edits)),
            ("acknowledgements", total(|r| r.acknowledged)),
            ("crashes", total(|r| r.crashes)),
            ("overflows", total(|r| r.overflows)),
            ("gaps", total(|r| r.gaps)),
            ("snapshots", total(|r| r.snapshots)),
        ] {
            assert!(happened > 50, "only {happened} {what}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let once = run_all(0..5);
    assert_eq!(once, run_all(0..5));
    let traces: BTreeSet<u64> = once.iter().map(|report| report.trace).collect();
    assert_eq!(traces.len(), 5, "other seeds give other runs");
}
