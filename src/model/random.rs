//! Random bits for ids and keys, injected so that every run can be repeated from its seed.

use super::key::DIGITS;

/// Doubles from 0 to 1 are so many steps apart.
const UNIT: f64 = (1_u64 << 53) as f64;

/// A source of random numbers; not for secrets.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    /// `SplitMix64` (Steele et al. 2014).
    Seeded(u64),
    /// Given numbers, over and over, and the index of the next.
    Given(Vec<f64>, usize),
}

impl Random {
    /// A generator that yields the same sequence for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Source::Seeded(seed))
    }

    /// The given numbers from 0 up to but not including 1, one per random number and over again; zeros if there are
    /// none. For tests that several implementations share.
    #[must_use]
    pub fn given(numbers: Vec<f64>) -> Self {
        Self(Source::Given(numbers, 0))
    }

    /// The next 64 bits; of given numbers 53.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 2^53"
    )]
    pub fn bits(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seeded(state) => mix(state),
            Source::Given(..) => (self.unit() * UNIT) as u64,
        }
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        match &mut self.0 {
            Source::Seeded(state) => (mix(state) >> 11) as f64 / UNIT,
            Source::Given(numbers, at) => {
                let number = numbers.get(*at % numbers.len().max(1));
                *at = at.wrapping_add(1);
                number.map_or(0.0, |number| number.clamp(0.0, 1.0 - f64::EPSILON))
            }
        }
    }

    /// A base-62 digit.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 61"
    )]
    pub fn digit(&mut self) -> char {
        let index = (self.unit() * DIGITS.len() as f64).floor() as usize;
        char::from(DIGITS.get(index).copied().unwrap_or(b'0'))
    }

    /// A text of so many base-62 digits.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| self.digit()).collect()
    }
}

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
