//! One way to write a number as JSON: whole numbers without a fraction, everything else as the shortest
//! text that reads back as the same double.

use serde_json::Number;

/// The greatest integer up to which every integer is a double of its own, 2^53 − 1.
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// Whole doubles below this are written digit by digit.
const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

/// The canonical JSON number of a finite double; −0 becomes 0, and so does what is not finite.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and below 2^63"
)]
pub fn json_number(value: f64) -> Number {
    if value.fract() == 0.0 && value.abs() < TWO_POW_63 {
        Number::from(value as i64)
    } else {
        Number::from_f64(value).unwrap_or_else(|| Number::from(0))
    }
}

/// The integer that a double is, if it is one of magnitude at most 2^53 − 1.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and within 53 bits"
)]
pub fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() <= INTEGER_MAX as f64).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_fraction_and_minus_zero_is_zero() {
        for (value, text) in [
            (5.0, "5"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (-2.5e-9, "-2.5e-9"),
            (9_007_199_254_740_992.0, "9007199254740992"),
        ] {
            assert_eq!(json_number(value).to_string(), text);
        }
        for value in [
            1e20,
            1e300,
            1.152_921_504_606_847e18,
            9.3e18,
            f64::MIN_POSITIVE,
            f64::MAX,
        ] {
            assert_eq!(json_number(value).to_string().parse(), Ok(value));
        }
    }
}
