//! Random bits for ids and keys, injected so that every run can be repeated from its seed.

use super::key::DIGITS;

/// A small deterministic generator (`SplitMix64`, Steele et al. 2014); not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that yields the same sequence for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A base-62 digit.
    pub fn digit(&mut self) -> char {
        let index = usize::try_from(self.bits() % 62).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'0'))
    }

    /// A text of so many base-62 digits.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| self.digit()).collect()
    }
}
