use mapweave_fuzz::{CANARY, Driver, LAWS, corpus, folder, regressions};

/// Changed inputs for each law in an ordinary run: a second or so in all.
const ITERATIONS: u64 = 400;

/// Changed inputs within which the canary has to be found.
const CANARY_ITERATIONS: u64 = 50_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_law_holds_under_attack() {
    let only = std::env::var("FUZZ_LAW").ok();
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let iterations = number("FUZZ_ITERATIONS").unwrap_or(ITERATIONS);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    for law in LAWS.into_iter().filter(|law| wanted(law.name)) {
        let mut driver = Driver::new(law, seed);
        if let Err(caught) = driver.run(iterations) {
            let place = folder("regressions", law.name);
            panic!(
                "{} is broken (seed {seed}): {caught}\nmend it, and keep the input in {}",
                law.name,
                place.display()
            );
        }
        println!(
            "{}: {iterations} inputs, {} outcomes",
            law.name,
            driver.seen()
        );
    }
}

#[test]
fn what_once_broke_a_law_breaks_it_no_more() {
    for law in LAWS {
        for (name, input) in regressions(law.name) {
            println!("{} {name}", law.name);
            (law.check)(&input);
        }
    }
}

#[test]
fn an_attack_finds_the_canary() {
    for seed in 1..=3 {
        let caught = Driver::new(CANARY, seed).run(CANARY_ITERATIONS);
        let caught = caught.expect_err("a law that does not hold");
        assert_eq!(caught.input, b"Map\xff", "and cuts it down to what matters");
    }
}

#[test]
fn every_law_has_seeds_that_lead_somewhere() {
    for law in LAWS {
        assert!(!corpus(law.name).is_empty(), "{} has no seeds", law.name);
        let mut driver = Driver::new(law, 0);
        assert_eq!(driver.run(0), Ok(()), "{}", law.name);
        assert!(
            driver.seen() >= 3,
            "the seeds of {} meet too little",
            law.name
        );
    }
}
