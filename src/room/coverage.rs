//! Whether what is still to come of an update is in updates that wait already.

use std::collections::{BTreeSet, HashMap};

use mapweave_proto::{ClientId, Scanned};

/// A client and some of its clocks, from the first to the one after the last.
type Range = (ClientId, u64, u64);

/// Whether `known` updates hold every struct and every deletion of `update` from `clock` of its client on.
///
/// Structs count as held only where their bytes are equal: an update of somebody else that claims the same
/// clocks may prove bad later, and must not stand for this one meanwhile. Linear in all of them together, but
/// for a sort of what concerns the same clients.
pub(super) fn covers<'a>(
    known: impl Iterator<Item = &'a Scanned> + Clone,
    update: &Scanned,
    clock: impl Fn(ClientId) -> u64,
) -> bool {
    holds_structs(known.clone(), update, &clock) && holds_deletions(known, update, &clock)
}

fn holds_structs<'a>(
    known: impl Iterator<Item = &'a Scanned>,
    update: &Scanned,
    clock: &impl Fn(ClientId) -> u64,
) -> bool {
    // Keyed by their clocks: hashing the bytes of all that is known would cost more than everything else.
    let mut wanted: HashMap<Range, &[u8]> = update
        .structs()
        .filter(|(client, _, end, _)| *end > clock(*client))
        .map(|(client, start, end, bytes)| ((client, start, end), bytes))
        .collect();
    for (client, start, end, bytes) in known.flat_map(Scanned::structs) {
        if wanted.is_empty() {
            break;
        }
        if wanted.get(&(client, start, end)) == Some(&bytes) {
            wanted.remove(&(client, start, end));
        }
    }
    wanted.is_empty()
}

fn holds_deletions<'a>(
    known: impl Iterator<Item = &'a Scanned>,
    update: &Scanned,
    clock: &impl Fn(ClientId) -> u64,
) -> bool {
    let beyond = |(client, start, end): Range| (client, start.max(clock(client)), end);
    let wanted: Vec<Range> = deletions(update)
        .map(beyond)
        .filter(|(_, start, end)| start < end)
        .collect();
    let clients: BTreeSet<ClientId> = wanted.iter().map(|(client, ..)| *client).collect();
    let known = known.flat_map(deletions);
    let known = joined(
        known
            .filter(|(client, ..)| clients.contains(client))
            .collect(),
    );
    wanted.into_iter().all(|range| is_in(&known, range))
}

fn deletions(update: &Scanned) -> impl Iterator<Item = Range> + '_ {
    update
        .deletes()
        .map(|range| (range.client, range.start, range.end))
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
