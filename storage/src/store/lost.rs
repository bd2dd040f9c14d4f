//! Damaged records and sled: what the journal lost, sled may still have.

use crate::Damage;
use crate::catalog::Catalog;
use crate::journal::{Named, Reach};
use crate::row::LogRow;
use crate::sled_log::Index;

/// Most records of one gap that are looked up.
const LOOKED_UP_MAX: u64 = 1_000;

/// How far each map reaches.
pub(crate) fn reaches(catalog: &Catalog) -> Vec<Reach> {
    let reach = |(doc, state): (_, &crate::catalog::MapState)| Reach {
        doc,
        first: state.head.first,
        last: state.head.last,
    };
    catalog.states().map(reach).collect()
}

/// What to say of records that the journal lost, and whether they are lost altogether: of a short record
/// sled has all of it, of a long one only its place.
pub(crate) fn tell(index: &Index, named: Named) -> (Damage, bool) {
    let Named {
        mut damage,
        last,
        is_vacant,
    } = named;
    let (Some(doc), Some(first)) = (damage.doc, damage.seq) else {
        return (damage, false);
    };
    let last = last.unwrap_or(first);
    let seqs = (first.0..=last.0).map(mapweave_proto::Seq);
    let has = |seq| matches!(index.row(doc, seq), Ok(Some(LogRow::Inline(_))));
    let is_short = last.0 - first.0 < LOOKED_UP_MAX;
    let is_kept = is_vacant && is_short && seqs.into_iter().all(has);
    if is_kept {
        damage.what.push_str("; sled still has it");
    }
    (damage, !is_kept)
}
