//! Sets of clocks of one client.

/// Disjoint, ascending, non-adjacent ranges `start..end`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// The set of these ranges, in any order, overlapping or not.
    pub(super) fn from_unsorted(mut ranges: Vec<(u32, u32)>) -> Self {
        if !ranges.is_sorted() {
            ranges.sort_unstable();
        }
        ranges.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
        Self(ranges)
    }

    pub(super) fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// How much of `start..end` is in the set.
    pub(super) fn cover(&self, start: u32, end: u32) -> Cover {
        let first = self.0.partition_point(|range| range.1 <= start);
        match self.0.get(first) {
            Some(range) if range.0 <= start && end <= range.1 => Cover::Whole,
            Some(range) if range.0 < end => Cover::Part,
            _ => Cover::None,
        }
    }

    /// What of `start..end` is in the set, ascending.
    pub(super) fn within(&self, start: u32, end: u32) -> Vec<(u32, u32)> {
        let first = self.0.partition_point(|range| range.1 <= start);
        let inside = self.0.iter().skip(first).take_while(|range| range.0 < end);
        inside
            .map(|range| (range.0.max(start), range.1.min(end)))
            .collect()
    }

    /// Adds `start..end`.
    pub(super) fn insert(&mut self, start: u32, end: u32) {
        if let Some(last) = self.0.last_mut()
            && start >= last.0
            && start <= last.1
        {
            last.1 = last.1.max(end);
            return;
        }
        let first = self.0.partition_point(|range| range.1 < start);
        let past = self.0.partition_point(|range| range.0 <= end);
        let joined = self
            .0
            .get(first..past)
            .and_then(|ranges| Some((ranges.first()?.0, ranges.last()?.1)));
        let (low, high) =
            joined.map_or((start, end), |(low, high)| (low.min(start), high.max(end)));
        self.0.splice(first..past.max(first), [(low, high)]);
    }

    /// Adds all of `other`: for few ranges one by one, for many in one pass.
    pub(super) fn union(&mut self, other: &[(u32, u32)]) {
        if other.len() * 8 < self.0.len() {
            for (start, end) in other {
                self.insert(*start, *end);
            }
            return;
        }
        let mut all = Vec::with_capacity(self.0.len() + other.len());
        all.extend_from_slice(&self.0);
        all.extend_from_slice(other);
        *self = Self::from_unsorted(all);
    }

    /// Calls `each` with every part of `start..end` that is not in the set, ascending.
    pub(super) fn for_each_missing(&self, start: u32, end: u32, mut each: impl FnMut(u32, u32)) {
        let first = self.0.partition_point(|range| range.1 <= start);
        let mut from = start;
        for range in self.0.iter().skip(first).take_while(|range| range.0 < end) {
            if from < range.0 {
                each(from, range.0);
            }
            from = range.1;
        }
        if from < end {
            each(from, end);
        }
    }
}

/// How much of a range is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    None,
    Part,
    Whole,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn clocks(ranges: &[(u32, u32)]) -> BTreeSet<u32> {
        ranges
            .iter()
            .flat_map(|(start, end)| *start..*end)
            .collect()
    }

    fn is_normal(ranges: &Ranges) -> bool {
        ranges
            .as_slice()
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.1 < b.0))
            && ranges.as_slice().iter().all(|(start, end)| start < end)
    }

    fn some_ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
        prop::collection::vec(
            (0u32..60, 1u32..9).prop_map(|(start, len)| (start, start + len)),
            0..20,
        )
    }

    proptest! {
        #[test]
        fn ranges_behave_as_sets_of_clocks(first in some_ranges(), second in some_ranges(), probe in (0u32..60, 1u32..9)) {
            let mut set = Ranges::from_unsorted(first.clone());
            prop_assert!(is_normal(&set));
            prop_assert_eq!(clocks(set.as_slice()), clocks(&first));
            let mut one_by_one = set.clone();
            second.iter().for_each(|(start, end)| one_by_one.insert(*start, *end));
            set.union(&second);
            prop_assert!(is_normal(&one_by_one));
            prop_assert_eq!(&set, &one_by_one);
            let all: BTreeSet<u32> = clocks(&first).union(&clocks(&second)).copied().collect();
            prop_assert_eq!(clocks(set.as_slice()), all.clone());

            let (start, end) = (probe.0, probe.0 + probe.1);
            let inside = (start..end).filter(|clock| all.contains(clock)).count();
            let expected = match inside { 0 => Cover::None, n if n == probe.1 as usize => Cover::Whole, _ => Cover::Part };
            prop_assert_eq!(set.cover(start, end), expected);
            let mut missing = Vec::new();
            set.for_each_missing(start, end, |from, to| missing.push((from, to)));
            let expected: BTreeSet<u32> = (start..end).filter(|clock| !all.contains(clock)).collect();
            prop_assert_eq!(clocks(&missing), expected);
            let expected: BTreeSet<u32> = (start..end).filter(|clock| all.contains(clock)).collect();
            prop_assert_eq!(clocks(&set.within(start, end)), expected);
        }
    }
}
