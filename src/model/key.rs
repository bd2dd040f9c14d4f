//! Order keys: base-62 fractions as text, whose byte order is the order of vertices (`map-document` §5).

use std::cmp::Ordering;

use super::random::Random;

/// The digits 0–61 in byte order.
pub(super) const DIGITS: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of a key, at most.
pub(super) const KEY_DIGITS_MAX: usize = 256;
/// The number of the first implicit key, `U000`.
const ORIGIN: u64 = 30 * 62 * 62 * 62;
/// Four digits count to here.
const FOUR_DIGITS: u64 = 62 * 62 * 62 * 62;
/// Vertices that can have an implicit key: those from `U000` to `zzzy`.
pub(super) const IMPLICIT_KEYS_MAX: u64 = FOUR_DIGITS - 1 - ORIGIN;
/// More candidates than this lie between two neighbours before a place is chosen.
const ROOM: i128 = 62_i128.pow(6);

/// Whether the text is an order key: 4–256 digits, longer ones not ending in `0`, not starting with `0000` or `zzzz`.
#[must_use]
pub(super) fn is_key(text: &str) -> bool {
    (4..=KEY_DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (text.len() == 4 || !text.ends_with('0'))
        && !text.starts_with("0000")
        && !text.starts_with("zzzz")
}

/// The implicit key of a base vertex; `None` beyond the key space.
#[must_use]
pub(super) fn implicit(index: usize) -> Option<String> {
    let index = u64::try_from(index)
        .ok()
        .filter(|index| *index < IMPLICIT_KEYS_MAX)?;
    Some(four_digits(ORIGIN + index))
}

/// How the implicit key of a base vertex compares with another key, in byte order.
#[must_use]
pub(super) fn compare_implicit(index: usize, key: &str) -> Ordering {
    let slot = u64::try_from(index).map_or(u64::MAX, |index| ORIGIN.saturating_add(index));
    // Digits ascend as their bytes do; of keys with the same first four digits the longer comes later.
    slot.cmp(&number_of(key)).then(4.cmp(&key.len()))
}

/// The index of the base vertex that has this implicit key.
#[must_use]
pub(super) fn index_of_implicit(key: &str) -> Option<usize> {
    let index = number_of(key).checked_sub(ORIGIN)?;
    let index = usize::try_from(index).ok()?;
    (implicit(index).as_deref() == Some(key)).then_some(index)
}

/// A key between neighbours `a` and `b`, at `fraction` of the way (0 = at a, 1 = at b).
///
/// `None` when there is no room left within [`KEY_DIGITS_MAX`] digits, or `a` is not before `b`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "both are below 62^8, far within 53 bits"
)]
pub(super) fn between(a: &str, b: &str, fraction: f64, random: &mut Random) -> Option<String> {
    let digit_at = |key: &str, at: usize| key.as_bytes().get(at).map_or(0, |byte| digit(*byte));
    let (mut gap, mut width) = (0_i128, 0_usize);
    while gap <= ROOM {
        gap =
            gap.checked_mul(62)? + i128::from(digit_at(b, width)) - i128::from(digit_at(a, width));
        width += 1;
        if gap < 0 || width > KEY_DIGITS_MAX {
            return None;
        }
    }
    // NaN, from an edge without length, counts as the start.
    let fraction = if fraction >= 1.0 / 64.0 {
        fraction.min(63.0 / 64.0)
    } else {
        1.0 / 64.0
    };
    let gap_f = gap as f64;
    let place = (fraction * gap_f).floor() as i128
        + ((random.unit() - 0.5) * gap_f / 1024.0).floor() as i128;
    let mut carry = place.clamp(1, gap - 1);
    let mut digits = vec![b'0'; width];
    for (at, out) in digits.iter_mut().enumerate().rev() {
        let sum = i128::from(digit_at(a, at)) + carry;
        *out = usize::try_from(sum % 62)
            .ok()
            .and_then(|digit| DIGITS.get(digit).copied())?;
        carry = sum / 62;
    }
    let key = String::from_utf8(digits).ok()?;
    Some(key.trim_end_matches('0').to_owned()).filter(|key| is_key(key))
}

/// Which end of a line grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After the last key.
    Back,
    /// Before the first key.
    Front,
}

/// A key beyond the open end of a line whose outermost key is `outermost` (none: the segment is empty).
///
/// `own` says that this session made the outermost key here; its run is then continued. `None` at the end of the
/// key space.
#[must_use]
pub(super) fn beyond(
    outermost: Option<&str>,
    end: End,
    own: bool,
    random: &mut Random,
) -> Option<String> {
    let step = |number: u64| match end {
        End::Back => number.checked_add(1),
        End::Front => number.checked_sub(1),
    };
    if let Some(run) = outermost.filter(|key| own && key.len() >= 13) {
        let (head, counter) = run.split_at_checked(run.len() - 4)?;
        // Every 62nd number ends in 0, which no long key may, so it is passed over.
        let next = step(number_of(counter))
            .filter(|next| next % 62 != 0)
            .or_else(|| step(step(number_of(counter))?));
        if let Some(next) = next.filter(|next| (1..FOUR_DIGITS).contains(next)) {
            return Some(format!("{head}{}", four_digits(next))).filter(|key| is_key(key));
        }
    }
    let slot = outermost.map_or(Some(ORIGIN), |key| step(number_of(key)))?;
    let run: String = (0..5).map(|_| random.digit()).collect();
    Some(format!("{}{run}U001", four_digits(slot))).filter(|key| slot < FOUR_DIGITS && is_key(key))
}

/// The key just after the slot of a ring's last key, between which and that key the closing edge lies.
#[must_use]
pub(super) fn after_ring(last: &str) -> String {
    four_digits(number_of(last).saturating_add(1).min(FOUR_DIGITS - 1))
}

/// The number that the first four digits of a key are; missing digits count as 0.
fn number_of(key: &str) -> u64 {
    (0..4).fold(0, |number, at| {
        number * 62 + key.as_bytes().get(at).map_or(0, |byte| digit(*byte))
    })
}

fn four_digits(number: u64) -> String {
    [62 * 62 * 62, 62 * 62, 62, 1]
        .into_iter()
        .filter_map(|place| usize::try_from(number / place % 62).ok())
        .filter_map(|digit| DIGITS.get(digit).copied())
        .map(char::from)
        .collect()
}

fn digit(byte: u8) -> u64 {
    match byte {
        b'0'..=b'9' => u64::from(byte - b'0'),
        b'A'..=b'Z' => u64::from(byte - b'A') + 10,
        b'a'..=b'z' => u64::from(byte - b'a') + 36,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn implicit_keys_count_from_u000_to_the_end_of_the_key_space() {
        assert_eq!(implicit(0).unwrap(), "U000");
        assert_eq!(implicit(61).unwrap(), "U00z");
        assert_eq!(implicit(62).unwrap(), "U010");
        let last = usize::try_from(IMPLICIT_KEYS_MAX).unwrap() - 1;
        assert_eq!(implicit(last).unwrap(), "zzzy");
        assert!(is_key("zzzy") && implicit(last + 1).is_none());
    }

    #[test]
    fn keys_that_would_leave_no_room_are_no_keys() {
        for bad in [
            "",
            "U00",
            "U0000",
            "U000a0",
            "0000a",
            "zzzz1",
            "U0 0",
            "U00é",
            &"a".repeat(257),
        ] {
            assert!(!is_key(bad), "{bad}");
        }
        assert!(is_key("U000") && is_key("0001") && is_key(&"a".repeat(256)));
    }

    #[test]
    fn the_closing_edge_of_a_ring_ends_at_the_next_slot() {
        assert_eq!(after_ring("U002"), "U003");
        assert_eq!(after_ring("U00z5k"), "U010");
        assert_eq!(after_ring("zzzy"), "zzzz");
    }

    #[test]
    fn an_own_run_is_continued_and_a_foreign_one_gets_a_new_slot() {
        let mut random = Random::new(7);
        let first = beyond(Some("U005"), End::Back, false, &mut random).unwrap();
        assert!(first.starts_with("U006") && first.ends_with("U001") && first.len() == 13);
        let second = beyond(Some(&first), End::Back, true, &mut random).unwrap();
        assert_eq!(second, format!("{}U002", &first[..9]));
        let foreign = beyond(Some(&first), End::Back, false, &mut random).unwrap();
        assert!(foreign.starts_with("U007"));
        assert!(
            beyond(None, End::Back, false, &mut random)
                .unwrap()
                .starts_with("U000")
        );
        assert!(
            beyond(Some("U005"), End::Front, false, &mut random)
                .unwrap()
                .starts_with("U004")
        );
        assert_eq!(beyond(Some("zzzy"), End::Back, false, &mut random), None);
        assert_eq!(beyond(Some("0001"), End::Front, false, &mut random), None);
    }

    #[test]
    fn a_run_passes_over_keys_that_would_end_in_zero() {
        for (end, in_order) in [(End::Back, true), (End::Front, false)] {
            let mut random = Random::new(3);
            let mut last = beyond(Some("U005"), end, false, &mut random).unwrap();
            for _ in 0..1000 {
                let next = beyond(Some(&last), end, true, &mut random).unwrap();
                assert!(
                    is_key(&next) && next.len() == 13 && (last < next) == in_order,
                    "{last} {next}"
                );
                last = next;
            }
        }
    }

    #[test]
    fn a_thousand_insertions_in_one_gap_stay_short() {
        let mut random = Random::new(1);
        let (mut a, b) = ("U000".to_owned(), "U001");
        for _ in 0..1000 {
            let key = between(&a, b, 0.01, &mut random).unwrap();
            assert!(
                a.as_str() < key.as_str() && key.as_str() < b,
                "{a} {key} {b}"
            );
            a = key;
        }
        assert!(a.len() <= 35, "{a}");
    }

    proptest! {
        #[test]
        fn a_key_lies_strictly_between_its_neighbours(
            a in "[0-9A-Za-z]{4}([0-9A-Za-z]{0,8}[1-9A-Za-z])?", b in "[0-9A-Za-z]{4}([0-9A-Za-z]{0,8}[1-9A-Za-z])?",
            fraction in -1.0..2.0_f64, seed in any::<u64>(),
        ) {
            prop_assume!(is_key(&a) && is_key(&b) && a != b);
            let (a, b) = if a < b { (a, b) } else { (b, a) };
            let key = between(&a, &b, fraction, &mut Random::new(seed)).unwrap();
            prop_assert!(a < key && key < b, "{a} {key} {b}");
        }

        #[test]
        fn implicit_keys_compare_as_their_texts_do(
            index in prop_oneof![0_usize..200, 0_usize..7_626_495], key in "[TUVz][0-9A-Za-z]{3}([0-9A-Za-z]{0,3}[1-9A-Za-z])?",
        ) {
            prop_assume!(is_key(&key));
            let text = implicit(index).unwrap();
            prop_assert_eq!(compare_implicit(index, &key), text.as_str().cmp(&key));
            prop_assert_eq!(compare_implicit(index, &text), Ordering::Equal);
        }

        #[test]
        fn fractions_keep_their_order(seed in any::<u64>(), one in 0.02..0.97_f64, gap in 0.01..0.5_f64) {
            let other = (one + gap).min(0.98);
            let mut random = Random::new(seed);
            let first = between("U000", "U001", one, &mut random).unwrap();
            prop_assert!(first < between("U000", "U001", other, &mut random).unwrap());
        }
    }
}
