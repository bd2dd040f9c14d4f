//! Reproducible randomness (SplitMix64).

/// A seeded generator. Its seed is printed by whoever makes it, so that a failure replays.
pub struct Random(u64);

impl Random {
    /// Seeded by the variable `CRASH_SEED`, else by the clock; prints the seed.
    pub fn printed(what: &str) -> Self {
        let seed = match std::env::var("CRASH_SEED") {
            Ok(text) => text.parse().expect("CRASH_SEED is a number"),
            Err(_) => std::time::UNIX_EPOCH
                .elapsed()
                .map_or(1, |since| since.as_nanos() as u64),
        };
        eprintln!("{what}: seed {seed} (CRASH_SEED={seed} repeats its choices)");
        Self(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
