//! The shortest way from one sequence of vertices to another, if it is short.

/// Insertions and removals, at most, that are looked for; more than that is another geometry.
const DISTANCE_MAX: usize = 512;

/// What happens to the vertices of the old sequence, in the order of the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The old vertex stays where it is.
    Keep {
        /// Index in the old sequence.
        old: usize,
    },
    /// The old vertex takes the place of the new one.
    Move {
        /// Index in the old sequence.
        old: usize,
        /// Index in the new sequence.
        new: usize,
    },
    /// The old vertex goes.
    Remove {
        /// Index in the old sequence.
        old: usize,
    },
    /// A vertex comes.
    Insert {
        /// Index in the new sequence.
        new: usize,
    },
}

/// Steps from `old` to `new`: as few insertions and removals as possible (Myers 1986), of which those at one place
/// are paired into moves. `None` if they are more than [`DISTANCE_MAX`] and the lengths differ.
///
/// Takes time and memory in proportion to the lengths plus the square of the distance.
pub(super) fn diff<T: PartialEq>(old: &[T], new: &[T]) -> Option<Vec<Step>> {
    let start = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let (old_rest, new_rest) = (old.get(start..)?, new.get(start..)?);
    let end = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let old_middle = old_rest.get(..old_rest.len() - end)?;
    let new_middle = new_rest.get(..new_rest.len() - end)?;
    let middle = match matches(old_middle, new_middle) {
        Some(kept) => steps(&kept, old_middle.len(), new_middle.len()),
        None if old_middle.len() == new_middle.len() => in_place(old_middle, new_middle),
        None => return None,
    };
    let shifted = middle.into_iter().map(|step| match step {
        Step::Keep { old } => Step::Keep { old: old + start },
        Step::Move { old, new } => Step::Move {
            old: old + start,
            new: new + start,
        },
        Step::Remove { old } => Step::Remove { old: old + start },
        Step::Insert { new } => Step::Insert { new: new + start },
    });
    let head = (0..start).map(|old| Step::Keep { old });
    let tail = (old.len() - end..old.len()).map(|old| Step::Keep { old });
    Some(head.chain(shifted).chain(tail).collect())
}

/// Position by position, for sequences of equal length that have little else in common.
fn in_place<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Step> {
    let pairs = old.iter().zip(new).enumerate();
    pairs
        .map(|(at, (a, b))| {
            if a == b {
                Step::Keep { old: at }
            } else {
                Step::Move { old: at, new: at }
            }
        })
        .collect()
}

/// Pairs of equal elements, ascending in both sequences, as many as possible; `None` beyond [`DISTANCE_MAX`].
fn matches<T: PartialEq>(old: &[T], new: &[T]) -> Option<Vec<(usize, usize)>> {
    let trace = trace(old, new)?;
    let (mut x, mut y) = (
        isize::try_from(old.len()).ok()?,
        isize::try_from(new.len()).ok()?,
    );
    let mut kept = Vec::new();
    for (distance, front) in trace.iter().enumerate().rev() {
        let k = front.before(distance, x - y);
        let (from_x, from_y) = (front.get(k), front.get(k) - k);
        while x > from_x && y > from_y {
            (x, y) = (x - 1, y - 1);
            kept.push((usize::try_from(x).ok()?, usize::try_from(y).ok()?));
        }
        (x, y) = (from_x, from_y);
    }
    kept.reverse();
    Some(kept)
}

/// The fronts before each step, until the end of both sequences is reached.
fn trace<T: PartialEq>(old: &[T], new: &[T]) -> Option<Vec<Front>> {
    let same = |x: isize, y: isize| {
        let (x, y) = (usize::try_from(x).ok(), usize::try_from(y).ok());
        let pair = x.and_then(|x| old.get(x)).zip(y.and_then(|y| new.get(y)));
        pair.is_some_and(|(old, new)| old == new)
    };
    let (end_x, end_y) = (
        isize::try_from(old.len()).ok()?,
        isize::try_from(new.len()).ok()?,
    );
    let distance_max = DISTANCE_MAX.min(old.len() + new.len());
    let mut front = Front::new(distance_max);
    let mut trace = Vec::new();
    for distance in 0..=distance_max {
        trace.push(front.clone());
        let reach = isize::try_from(distance).ok()?;
        for k in (-reach..=reach).step_by(2) {
            let from = front.before(distance, k);
            let mut x = front.get(from) + isize::from(from < k);
            while same(x, x - k) {
                x += 1;
            }
            front.set(k, x);
            if x >= end_x && x - k >= end_y {
                return Some(trace);
            }
        }
    }
    None
}

/// How far into the old sequence each diagonal is reached; diagonal k is where x − y = k.
#[derive(Clone)]
struct Front {
    reached: Vec<isize>,
    middle: usize,
}

impl Front {
    fn new(distance_max: usize) -> Self {
        Self {
            reached: vec![0; 2 * distance_max + 3],
            middle: distance_max + 1,
        }
    }

    fn get(&self, k: isize) -> isize {
        self.middle
            .checked_add_signed(k)
            .and_then(|at| self.reached.get(at))
            .copied()
            .unwrap_or(0)
    }

    fn set(&mut self, k: isize, x: isize) {
        if let Some(slot) = self
            .middle
            .checked_add_signed(k)
            .and_then(|at| self.reached.get_mut(at))
        {
            *slot = x;
        }
    }

    /// The diagonal from which step number `distance` comes to diagonal `k`.
    fn before(&self, distance: usize, k: isize) -> isize {
        let reach = k.unsigned_abs() == distance;
        if (reach && k <= 0) || (!reach && self.get(k - 1) < self.get(k + 1)) {
            k + 1
        } else {
            k - 1
        }
    }
}

/// What lies between the matches, paired into moves as far as both sides have something.
fn steps(kept: &[(usize, usize)], old_len: usize, new_len: usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(old_len.max(new_len));
    let (mut x, mut y) = (0, 0);
    for (old, new) in kept.iter().copied().chain([(old_len, new_len)]) {
        let moved = (old - x).min(new - y);
        steps.extend((0..moved).map(|at| Step::Move {
            old: x + at,
            new: y + at,
        }));
        steps.extend((x + moved..old).map(|old| Step::Remove { old }));
        steps.extend((y + moved..new).map(|new| Step::Insert { new }));
        if old < old_len {
            steps.push(Step::Keep { old });
        }
        (x, y) = (old + 1, new + 1);
    }
    steps
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn cost(steps: &[Step]) -> usize {
        steps
            .iter()
            .filter(|step| !matches!(step, Step::Keep { .. }))
            .count()
    }

    fn check(old: &str, new: &str, expected: usize) {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        assert_eq!(cost(&diff(&old, &new).unwrap()), expected);
    }

    #[test]
    fn single_changes_are_single_steps() {
        check("abcdef", "abcdef", 0);
        check("abcdef", "abXdef", 1);
        check("abcdef", "abdef", 1);
        check("abcdef", "abcXdef", 1);
        check("abcdef", "Xabcdef", 1);
        check("", "ab", 2);
        check("ab", "", 2);
        check("abcdefgh", "aXcdYefgZ", 3);
        check("abcd", "wxyz", 4);
    }

    #[test]
    fn sequences_with_little_in_common_are_compared_in_place_or_not_at_all() {
        let old: Vec<usize> = (0..2000).collect();
        let moved: Vec<usize> = (0..2000).map(|n| n + 5000).collect();
        assert_eq!(cost(&diff(&old, &moved).unwrap()), 2000);
        assert_eq!(diff(&old, &moved[..1999]), None);
        let far: Vec<usize> = old
            .iter()
            .map(|n| if n % 1000 == 7 { 9999 } else { *n })
            .collect();
        assert_eq!(cost(&diff(&old, &far).unwrap()), 2);
    }

    proptest! {
        #[test]
        fn the_steps_lead_from_old_to_new(
            old in prop::collection::vec(0_u8..6, 0..30), new in prop::collection::vec(0_u8..6, 0..30),
        ) {
            let steps = diff(&old, &new).unwrap();
            let built: Vec<u8> = steps.iter().filter_map(|step| match step {
                Step::Keep { old: at } => Some(old[*at]),
                Step::Move { new: at, .. } | Step::Insert { new: at } => Some(new[*at]),
                Step::Remove { .. } => None,
            }).collect();
            prop_assert_eq!(built, new);
            let touched: Vec<usize> = steps.iter().filter_map(|step| match step {
                Step::Keep { old } | Step::Move { old, .. } | Step::Remove { old } => Some(*old),
                Step::Insert { .. } => None,
            }).collect();
            prop_assert_eq!(touched, (0..old.len()).collect::<Vec<_>>());
        }
    }
}
