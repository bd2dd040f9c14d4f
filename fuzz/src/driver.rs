//! Attacks a law with changed seeds for a bounded number of runs, from a seed. Start at [`Driver::run`].

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use mapweave_sim::Rng;

use crate::mutate::mutate;
use crate::{Law, corpus, seen};

/// Most inputs that are kept for further changes.
const POOL_MAX: usize = 4_000;

/// Attempts at making an input that breaks a law smaller.
const SHRINK_ATTEMPTS: usize = 2_000;

/// An attack on one law.
#[derive(Debug)]
pub struct Driver {
    law: Law,
    rng: Rng,
    pool: Vec<Vec<u8>>,
    seen: BTreeSet<u64>,
}

/// An input that breaks a law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// The input, made as small as was easily possible.
    pub input: Vec<u8>,
    /// What the law said to it.
    pub what: String,
}

impl Driver {
    /// An attack that begins with the law's corpus.
    pub fn new(law: Law, seed: u64) -> Self {
        let mut pool: Vec<Vec<u8>> = corpus(law.name)
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        pool.push(Vec::new());
        Self {
            law,
            rng: Rng::new(seed),
            pool,
            seen: BTreeSet::new(),
        }
    }

    /// Tries the seeds, then `iterations` changed inputs; the first that breaks the law, if one does.
    ///
    /// # Errors
    /// What was caught.
    pub fn run(&mut self, iterations: u64) -> Result<(), Caught> {
        for input in self.pool.clone() {
            self.attempt(&input)?;
        }
        for _ in 0..iterations {
            let input = self.next_input();
            if self.attempt(&input)? && self.pool.len() < POOL_MAX {
                self.pool.push(input);
            }
        }
        Ok(())
    }

    /// How many different things the law was seen to come to.
    pub fn seen(&self) -> usize {
        self.seen.len()
    }

    fn next_input(&mut self) -> Vec<u8> {
        let mut rng = self.rng.fork();
        let [input, other] = [(); 2].map(|()| rng.pick(&self.pool).cloned().unwrap_or_default());
        mutate(&input, &other, &mut rng)
    }

    /// Tries one input; whether it met something new.
    fn attempt(&mut self, input: &[u8]) -> Result<bool, Caught> {
        seen::take();
        let broken = check(self.law, input);
        let before = self.seen.len();
        self.seen.extend(seen::take());
        match broken {
            Some(what) => Err(self.shrunk(input.to_vec(), what)),
            None => Ok(self.seen.len() > before),
        }
    }

    /// Cuts pieces out as long as the law stays broken.
    fn shrunk(&self, input: Vec<u8>, what: String) -> Caught {
        let mut smallest = Caught { input, what };
        let mut piece = smallest.input.len() / 2;
        let mut attempts = 0;
        while piece > 0 && attempts < SHRINK_ATTEMPTS {
            let mut at = 0;
            while at < smallest.input.len() && attempts < SHRINK_ATTEMPTS {
                attempts += 1;
                let mut input = smallest.input.clone();
                input.drain(at..(at + piece).min(input.len()));
                match check(self.law, &input) {
                    Some(what) => smallest = Caught { input, what },
                    None => at += piece,
                }
            }
            piece /= 2;
        }
        smallest
    }
}

/// What the law says to an input that breaks it.
fn check(law: Law, input: &[u8]) -> Option<String> {
    silence_expected_panics();
    EXPECTED.set(true);
    let checked = catch_unwind(AssertUnwindSafe(|| (law.check)(input)));
    EXPECTED.set(false);
    let panic = checked.err()?;
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(text.unwrap_or_else(|| "without a text".to_owned()))
}

thread_local! {
    /// Whether a panic of this thread is caught and told later.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Shrinking breaks a law hundreds of times: only the last of them is worth a message.
fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                usual(info);
            }
        }));
    });
}

impl std::fmt::Display for Caught {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\ninput of {} bytes:", self.what, self.input.len())?;
        for byte in &self.input {
            write!(f, " {byte:02x}")?;
        }
        Ok(())
    }
}
