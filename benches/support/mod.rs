//! What benchmarks of geometry and of the model share: seeded numbers, rings, memory, processor time.

#![allow(dead_code, reason = "no benchmark uses all of it")]

/// Numbers from a seed (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` up to, but not including, `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.bits() % count as u64) as usize
    }
}

/// A valid ring around a centre, open, flat, rough as a coast: its radius wanders between 80 and 100 % by
/// up to half an edge at a time.
pub fn ring(vertices: usize, radius: f64, centre: [f64; 2], random: &mut Random) -> Vec<f64> {
    let (mut share, step) = (0.9_f64, std::f64::consts::PI / vertices as f64);
    let corner = |at: usize| {
        share = (share + random.between(-step, step)).clamp(0.8, 1.0);
        let angle = at as f64 / vertices as f64 * std::f64::consts::TAU;
        [
            centre[0] + radius * share * angle.cos(),
            centre[1] + radius * share * angle.sin(),
        ]
    };
    (0..vertices).flat_map(corner).collect()
}

/// Memory of this process that is in use, in bytes, as Linux counts it; 0 elsewhere.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Milliseconds that this thread has had a processor, as Linux counts them; elsewhere those of the clock.
pub fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_cpu = text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    let clock = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0.0, |since| since.as_secs_f64() * 1e9)
    };
    on_cpu.unwrap_or_else(clock) / 1e6
}
