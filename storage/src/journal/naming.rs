//! Which records a damaged place has cost. Pure.
//!
//! Three things tell it. The place itself still bears ids and numbers ([`Claim`]): they count where they fit
//! the records around them. Its hash proves which map it was of where only the map's id was hit. And what is
//! missing between readable neighbours can only have stood where something is damaged: frames are numbered
//! without gaps across all maps, records within each, so one missing record and one damaged place belong
//! together. What fits nowhere is reported without a name rather than with a wrong one.

use std::collections::HashMap;
use std::path::PathBuf;

use mapweave_proto::{DocId, Seq};

use super::{Claim, Place, Placed};
use crate::Damage;
use crate::record::CHAIN_START;

/// Takes what a walk meets in order, and says at its end what was lost.
#[derive(Debug)]
pub(crate) struct Namer {
    /// The walk began at the very first record, so that every map must be seen from its first one on.
    whole: bool,
    /// Number of the last frame that was read.
    lsn: u64,
    start: u64,
    docs: HashMap<DocId, Reached>,
    spots: Vec<Spot>,
    gaps: Vec<Gap>,
    losses: usize,
}

/// A damage, with the map and record concerned where they could be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) damage: Damage,
    /// Last of the records concerned, where [`Damage::seq`] is the first of several.
    pub(crate) last: Option<Seq>,
    /// No readable record has its place. One may, where the map's last record was lost and the map went on.
    pub(crate) is_vacant: bool,
}

/// First and last place of a map, as far as its head says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) doc: DocId,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

/// How far the readable records of a map have come.
#[derive(Clone, Copy, Debug)]
struct Reached {
    seq: Seq,
    lsn: u64,
    /// The walk came by one of its records; else this is what was known before.
    is_read: bool,
    /// The same with damaged records that follow directly, and the chain there.
    claimed: Seq,
    chain: [u8; 32],
}

/// Damaged places between two readable frames.
#[derive(Debug)]
struct Spot {
    after: u64,
    before: Option<u64>,
    losses: Vec<Loss>,
}

#[derive(Debug)]
struct Loss {
    damage: Damage,
    /// What it says to be: frame, map, place.
    claim: Option<(u64, DocId, Seq)>,
    /// It directly follows the map's records before it, or its hash proves that it does.
    follows: bool,
}

/// Records of a map that no readable frame holds, between the frames `after` and `before`.
#[derive(Clone, Copy, Debug)]
struct Gap {
    doc: DocId,
    first: Seq,
    last: Seq,
    after: u64,
    before: u64,
    /// Where the next record of the map stands.
    next: Option<Place>,
}

impl Gap {
    const fn len(&self) -> u64 {
        (self.last.0 - self.first.0).saturating_add(1)
    }
}

impl Namer {
    /// For a walk over everything.
    pub(crate) fn new() -> Self {
        Self::behind(0, std::iter::empty())
    }

    /// For a walk that begins behind frame `start`, and maps whose logs reach this far at least: to a place,
    /// with the chain there.
    pub(crate) fn behind(start: u64, maps: impl Iterator<Item = (DocId, Seq, [u8; 32])>) -> Self {
        let reached = |seq, chain| Reached {
            seq,
            lsn: start,
            is_read: false,
            claimed: seq,
            chain,
        };
        Self {
            whole: start == 0,
            lsn: start,
            start,
            docs: maps
                .map(|(doc, seq, chain)| (doc, reached(seq, chain)))
                .collect(),
            spots: Vec::new(),
            gaps: Vec::new(),
            losses: 0,
        }
    }

    /// A readable record.
    pub(crate) fn record(&mut self, placed: &Placed) {
        let (record, lsn) = (&placed.record, placed.end.lsn);
        if let Some(open) = self.spots.last_mut() {
            open.before.get_or_insert(lsn);
        }
        self.lsn = self.lsn.max(lsn);
        let reached = self.docs.get(&record.doc);
        let is_behind = reached.is_some_and(|reached| reached.seq >= record.seq);
        if is_behind && reached.is_some_and(|reached| reached.is_read) {
            return;
        }
        let expected = match reached {
            _ if is_behind => record.seq,
            Some(reached) => reached.seq.next(),
            None => Seq(1),
        };
        if expected < record.seq && self.gaps.len() < GAPS_MAX {
            self.gaps.push(Gap {
                doc: record.doc,
                first: expected,
                last: Seq(record.seq.0 - 1),
                after: reached.map_or(self.start, |reached| reached.lsn),
                before: lsn,
                next: Some(placed.place),
            });
        }
        let reached = Reached {
            seq: record.seq,
            lsn,
            is_read: true,
            claimed: record.seq,
            chain: record.chain,
        };
        self.docs.insert(record.doc, reached);
    }

    /// A place where a record, or several, cannot be read.
    pub(crate) fn lost(&mut self, damage: Damage, claim: Option<&Claim>) {
        self.losses += 1;
        if self.losses > LOSSES_MAX {
            return;
        }
        let follower = claim.and_then(|claim| self.follower(claim));
        if let (Some((doc, seq)), Some(claim)) = (follower, claim)
            && let Some(reached) = self.docs.get_mut(&doc)
        {
            (reached.claimed, reached.chain) = (seq, *claim.chain());
        }
        let claim = claim.map(|claim| {
            let (doc, seq) = follower.unwrap_or((claim.doc, claim.seq));
            (claim.lsn, doc, seq)
        });
        let loss = Loss {
            damage,
            claim,
            follows: follower.is_some(),
        };
        match self.spots.last_mut().filter(|spot| spot.before.is_none()) {
            Some(open) => open.losses.push(loss),
            None => self.spots.push(Spot {
                after: self.lsn,
                before: None,
                losses: vec![loss],
            }),
        }
    }

    /// The map whose next record `claim` is, and the record's place.
    fn follower(&self, claim: &Claim) -> Option<(DocId, Seq)> {
        let (doc, seq) = (claim.doc, claim.seq);
        let whole = |doc: DocId, reached: &Reached| {
            let next = reached.claimed.next();
            let is_it = claim.is_whole_as(doc, next, &reached.chain);
            is_it.then_some((doc, next))
        };
        match self.docs.get(&doc) {
            Some(reached) if reached.claimed.next() == seq => return Some((doc, seq)),
            Some(_) | None if self.losses > PROOFS_MAX => return None,
            Some(reached) => {
                if let Some(found) = whole(doc, reached) {
                    return Some(found);
                }
            }
            None if claim.is_whole_as(doc, Seq(1), &CHAIN_START) => {
                return Some((doc, Seq(1)));
            }
            None => {}
        }
        let next = self
            .docs
            .iter()
            .filter(|(_, reached)| reached.claimed.next() == seq);
        next.filter_map(|(doc, reached)| whole(*doc, reached))
            .next()
    }

    /// What is known so far of the records before the next one of `doc`: the first damaged place since its
    /// last readable record that says to be of it, else the last damaged place.
    pub(crate) fn so_far(&self, doc: DocId) -> Option<Damage> {
        let since = self
            .docs
            .get(&doc)
            .map_or(self.start, |reached| reached.lsn);
        let spots = self
            .spots
            .iter()
            .filter(|spot| spot.before.is_none_or(|before| before > since));
        let mut losses = spots.flat_map(|spot| &spot.losses);
        let own = losses
            .clone()
            .find(|loss| loss.claim.is_some_and(|(_, claimed, _)| claimed == doc));
        own.or_else(|| losses.next_back())
            .map(|loss| loss.damage.clone())
    }

    /// The walk is over: its last frame is `end`, the maps reach as far as `reaches` says. `shown` gives a
    /// file's path by its number.
    pub(crate) fn finish(
        mut self,
        reaches: &[Reach],
        end: u64,
        shown: &dyn Fn(u64) -> PathBuf,
    ) -> Vec<Named> {
        let end = end.max(self.lsn).saturating_add(1);
        self.add_ends(reaches, end);
        let reaches: HashMap<_, _> = reaches.iter().map(|reach| (reach.doc, *reach)).collect();
        let mut gaps = Gaps::new(std::mem::take(&mut self.gaps));
        let mut out = Vec::new();
        let mut open = Vec::new();
        for spot in std::mem::take(&mut self.spots) {
            let (after, before) = (spot.after, spot.before.unwrap_or(end));
            let mut left = OpenSpot {
                after,
                before,
                spare: before.saturating_sub(after).saturating_sub(1),
                losses: Vec::new(),
                costs: Vec::new(),
            };
            for loss in spot.losses {
                match self.believed(&loss, &left, &gaps, &reaches) {
                    Some((doc, seq)) => {
                        let is_read = self.docs.get(&doc).is_some_and(|reached| reached.is_read);
                        let is_vacant = gaps.fill(doc, seq) || !is_read;
                        left.spare = left.spare.saturating_sub(1);
                        out.push(named(loss.damage, doc, seq, is_vacant));
                    }
                    None => left.losses.push(loss.damage),
                }
            }
            open.push(left);
        }
        gaps.put_down_to(&mut open);
        out.extend(open.into_iter().flat_map(OpenSpot::told));
        out.extend(gaps.left().map(|gap| missing(&gap, shown)));
        out
    }

    /// A map's head may reach further than its readable records do.
    fn add_ends(&mut self, reaches: &[Reach], end: u64) {
        for reach in reaches {
            let reached = self.docs.get(&reach.doc);
            let (first, after) = match reached {
                Some(reached) if reached.is_read => (reached.seq.next(), reached.lsn),
                None if self.whole => (Seq(1), self.start),
                _ => continue,
            };
            if first <= reach.last && self.gaps.len() < GAPS_MAX {
                self.gaps.push(Gap {
                    doc: reach.doc,
                    first,
                    last: reach.last,
                    after,
                    before: end,
                    next: None,
                });
            }
        }
    }

    fn believed(
        &self,
        loss: &Loss,
        spot: &OpenSpot,
        gaps: &Gaps,
        reaches: &HashMap<DocId, Reach>,
    ) -> Option<(DocId, Seq)> {
        let (lsn, doc, seq) = loss.claim?;
        let in_order = spot.after < lsn && lsn < spot.before;
        // Of a map that the walk did not come by, only its head is known.
        let is_read = self.docs.get(&doc).is_some_and(|reached| reached.is_read);
        let in_head = !self.whole
            && !is_read
            && reaches
                .get(&doc)
                .is_some_and(|reach| reach.first <= seq && seq <= reach.last.next());
        (loss.follows || gaps.has(doc, seq, spot) || (in_order && in_head)).then_some((doc, seq))
    }
}

fn named(damage: Damage, doc: DocId, seq: Seq, is_vacant: bool) -> Named {
    let damage = Damage {
        doc: Some(doc),
        seq: Some(seq),
        ..damage
    };
    Named {
        damage,
        last: None,
        is_vacant,
    }
}

fn missing(gap: &Gap, shown: &dyn Fn(u64) -> PathBuf) -> Named {
    let (file, offset) = gap.next.map_or(("journal".into(), 0), |next| {
        (shown(next.file), next.offset)
    });
    let records = match gap.len() {
        1 => format!("record {} is missing", gap.first),
        _ => format!("records {} to {} are missing", gap.first, gap.last),
    };
    let what = match gap.next {
        Some(_) => format!("{records}, {} stands here", gap.last.next()),
        None => format!("{records} at the end of the log"),
    };
    let damage = Damage {
        file,
        offset,
        doc: Some(gap.doc),
        seq: Some(gap.first),
        what,
    };
    Named {
        damage,
        last: Some(gap.last),
        is_vacant: true,
    }
}

/// A damaged spot, as far as it is not told yet what it cost.
#[derive(Debug)]
struct OpenSpot {
    after: u64,
    before: u64,
    /// How many frames it cost that have no name yet.
    spare: u64,
    losses: Vec<Damage>,
    costs: Vec<Gap>,
}

impl OpenSpot {
    const fn may_have_cost(&self, gap: &Gap) -> bool {
        self.after < gap.before && gap.after < self.before
    }

    fn told(self) -> Vec<Named> {
        let Some(first) = self.losses.first().cloned() else {
            return Vec::new();
        };
        let mut out: Vec<_> = self.costs.iter().map(|gap| cost(&first, gap)).collect();
        if out.is_empty() || self.spare > 0 {
            out.extend(self.losses.into_iter().map(|damage| Named {
                damage,
                last: None,
                is_vacant: false,
            }));
        }
        out
    }
}

fn cost(damage: &Damage, gap: &Gap) -> Named {
    let mut damage = damage.clone();
    if gap.len() > 1 {
        damage.what = format!(
            "records {} to {} cannot be read ({})",
            gap.first, gap.last, damage.what
        );
    }
    Named {
        last: Some(gap.last),
        ..named(damage, gap.doc, gap.first, true)
    }
}

/// The missing records of each map, in pieces.
#[derive(Debug)]
struct Gaps(HashMap<DocId, Vec<Gap>>);

impl Gaps {
    fn new(gaps: Vec<Gap>) -> Self {
        let mut by_doc: HashMap<_, Vec<_>> = HashMap::new();
        for gap in gaps {
            by_doc.entry(gap.doc).or_default().push(gap);
        }
        Self(by_doc)
    }

    fn has(&self, doc: DocId, seq: Seq, spot: &OpenSpot) -> bool {
        let gaps = self.0.get(&doc).into_iter().flatten();
        gaps.filter(|gap| spot.may_have_cost(gap))
            .any(|gap| gap.first <= seq && seq <= gap.last)
    }

    /// It is known where record `seq` was. Says whether it was missing.
    fn fill(&mut self, doc: DocId, seq: Seq) -> bool {
        let Some(gaps) = self.0.get_mut(&doc) else {
            return false;
        };
        let Some(at) = gaps
            .iter()
            .position(|gap| gap.first <= seq && seq <= gap.last)
        else {
            return false;
        };
        let gap = gaps.swap_remove(at);
        if gap.first < seq {
            gaps.push(Gap {
                last: Seq(seq.0 - 1),
                ..gap
            });
        }
        if seq < gap.last {
            gaps.push(Gap {
                first: seq.next(),
                ..gap
            });
        }
        true
    }

    /// Puts each gap down to the only spot that can have cost it; this may leave another only one as well.
    fn put_down_to(&mut self, spots: &mut [OpenSpot]) {
        for _ in 0..ROUNDS_MAX {
            let mut found = false;
            for gaps in self.0.values_mut() {
                gaps.retain(|gap| {
                    let able = |spot: &OpenSpot| {
                        !spot.losses.is_empty()
                            && spot.spare >= gap.len()
                            && spot.may_have_cost(gap)
                    };
                    let mut able = spots.iter_mut().filter(|spot| able(spot));
                    let (Some(only), None) = (able.next(), able.next()) else {
                        return true;
                    };
                    only.spare -= gap.len();
                    only.costs.push(*gap);
                    found = true;
                    false
                });
            }
            if !found {
                return;
            }
        }
    }

    fn left(self) -> impl Iterator<Item = Gap> {
        self.0.into_values().flatten()
    }
}

/// Most damaged places that are told one by one.
const LOSSES_MAX: usize = 10_000;

/// Most gaps that are told one by one.
const GAPS_MAX: usize = 10_000;

/// Most damaged records whose hash is tried on all maps.
const PROOFS_MAX: usize = 1_000;

/// Most passes over the gaps; each can only settle more.
const ROUNDS_MAX: usize = 4;
