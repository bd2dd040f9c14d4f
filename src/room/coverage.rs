//! Whether some updates together hold what another holds, by clocks alone.

use std::collections::BTreeSet;

use mapweave_proto::{ClientId, Scanned};

/// A client and some of its clocks, from the first to the one after the last.
type Range = (ClientId, u64, u64);

/// Whether `known` updates hold every struct and every deletion of `update` from `clock` of its client on.
/// Linear in all of them together, but for a sort of what concerns the same clients.
pub(super) fn covers<'a>(
    known: impl Iterator<Item = &'a Scanned> + Clone,
    update: &Scanned,
    clock: impl Fn(ClientId) -> u64,
) -> bool {
    let beyond = |(client, start, end): Range| (client, start.max(clock(client)), end);
    let wanted = |of: Vec<Range>| -> Vec<Range> {
        let beyond = of.into_iter().map(beyond);
        beyond.filter(|(_, start, end)| start < end).collect()
    };
    let has = |of: fn(&Scanned) -> Vec<Range>| {
        let wanted = wanted(of(update));
        let clients: BTreeSet<ClientId> = wanted.iter().map(|(client, ..)| *client).collect();
        let known = known.clone().flat_map(of);
        let known = joined(
            known
                .filter(|(client, ..)| clients.contains(client))
                .collect(),
        );
        wanted.into_iter().all(|range| is_in(&known, range))
    };
    has(structs) && has(deletions)
}

fn structs(update: &Scanned) -> Vec<Range> {
    update.clients().collect()
}

fn deletions(update: &Scanned) -> Vec<Range> {
    update
        .deletes()
        .map(|range| (range.client, range.start, range.end))
        .collect()
}

/// The same clocks in sorted ranges that do not touch.
fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let joins = next.0 == before.0 && next.1 <= before.2;
        if joins {
            before.2 = before.2.max(next.2);
        }
        joins
    });
    ranges
}

fn is_in(known: &[Range], (client, start, end): Range) -> bool {
    let past = known.partition_point(|range| (range.0, range.1) <= (client, start));
    let before = past.checked_sub(1).and_then(|index| known.get(index));
    before.is_some_and(|range| range.0 == client && end <= range.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_in_those_that_join_to_cover_it() {
        let of = |client, start, end| (ClientId(client), start, end);
        let known = joined(vec![of(2, 5, 7), of(1, 0, 3), of(1, 3, 6), of(1, 8, 9)]);
        assert_eq!(known, [of(1, 0, 6), of(1, 8, 9), of(2, 5, 7)]);
        for (range, expected) in [
            (of(1, 2, 5), true),
            (of(1, 0, 6), true),
            (of(1, 5, 7), false),
            (of(1, 8, 9), true),
            (of(2, 4, 6), false),
            (of(3, 0, 1), false),
        ] {
            assert_eq!(is_in(&known, range), expected, "{range:?}");
        }
    }
}
