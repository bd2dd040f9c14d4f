//! Where edges meet: an R-tree over the edges in question, all edges put to it one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use rstar::{Envelope, RTree, RTreeObject};

use super::fault::{Code, Fault, Place};
use crate::geometry::Kind;
use crate::geometry::outline::{Outline, edges};
use crate::geometry::plane::{Edge, Meeting, Point, in_sector, meeting, same_direction};

/// Contacts kept of each sort. A geometry with more is not searched to its end.
const CONTACTS_MAX: usize = 100_000;

/// The edges that may be at fault.
pub(super) enum Subjects {
    /// All of them.
    All,
    /// Edges by number.
    Near(BTreeSet<u32>),
}

impl Subjects {
    /// The two edges at each vertex, and one more on either side: how rings pass each other at a vertex depends
    /// on both edges that end there.
    pub(super) fn near(outlines: &[Outline], changed: &[Place]) -> Self {
        let mut ids = BTreeSet::new();
        for place in changed {
            let key = (place.part, place.segment);
            let at = outlines.partition_point(|outline| (outline.part, outline.segment) < key);
            let Some(outline) = outlines.get(at).filter(|o| (o.part, o.segment) == key) else {
                continue;
            };
            let (here, count) = (
                i64::from(outline.place_of(place.vertex)),
                i64::from(outline.edge_count()),
            );
            for edge in here - 2..=here + 1 {
                let edge = if outline.is_closed() {
                    edge.checked_rem_euclid(count)
                } else {
                    Some(edge)
                };
                let edge = edge.filter(|edge| (0..count).contains(edge));
                ids.extend(
                    edge.and_then(|edge| u32::try_from(edge).ok())
                        .map(|edge| outline.first + edge),
                );
            }
        }
        Self::Near(ids)
    }

    pub(super) fn are_all(&self) -> bool {
        matches!(self, Self::All)
    }

    fn contain(&self, edge: &Edge) -> bool {
        match self {
            Self::All => true,
            Self::Near(ids) => ids.contains(&edge.id),
        }
    }
}

/// How the edges of a shape meet, as far as it matters.
#[derive(Default)]
pub(super) struct Contacts {
    within: Vec<Within>,
    pairs: BTreeMap<(u32, u32), Pair>,
    touches: BTreeMap<(u32, u32), Vec<Point>>,
    touch_count: usize,
    cut_short: bool,
}

/// Two edges of one ring that meet where they should not.
struct Within {
    code: Code,
    ring: u32,
    /// Numbers of the edges in the ring.
    edges: (u32, u32),
    point: Point,
}

/// Two rings that have more in common than points: the first edges that cross, and that share a stretch.
#[derive(Default)]
struct Pair {
    cross: Option<Hit>,
    share: Option<Hit>,
}

#[derive(Clone, Copy)]
struct Hit {
    edges: (u32, u32),
    point: Point,
}

impl Contacts {
    /// All contacts in which an edge of `subjects` takes part; looks at `pairs_max` pairs of edges at most.
    pub(super) fn find(outlines: &[Outline], subjects: &Subjects, pairs_max: u64) -> Self {
        let mut found = Self::default();
        let tree = RTree::bulk_load(
            edges(outlines)
                .filter(|edge| subjects.contain(edge))
                .collect(),
        );
        let (reach, mut budget) = (tree.root().envelope(), pairs_max);
        for edge in edges(outlines) {
            let envelope = edge.envelope();
            if !reach.intersects(&envelope) {
                continue;
            }
            let is_subject = subjects.contain(&edge);
            let walked = tree.locate_in_envelope_intersecting_int(&envelope, |subject: &Edge| {
                let Some(left) = budget.checked_sub(1) else {
                    return ControlFlow::Break(());
                };
                budget = left;
                // Two subjects meet twice here, once from either side.
                if subject.id != edge.id && !(is_subject && edge.id < subject.id) {
                    let (a, b) = if edge.id < subject.id {
                        (&edge, subject)
                    } else {
                        (subject, &edge)
                    };
                    found.note(outlines, a, b);
                }
                if found.is_full() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            if walked.is_break() {
                found.cut_short = true;
                break;
            }
        }
        found
            .within
            .sort_by_key(|within| (within.ring, within.edges));
        found
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    pub(super) fn has_touches(&self) -> bool {
        !self.touches.is_empty()
    }

    /// Whether the two rings have more in common than points.
    pub(super) fn clash(&self, a: u32, b: u32) -> bool {
        self.pairs.contains_key(&(a.min(b), a.max(b)))
    }

    /// Where the two rings touch without crossing; a point may come twice.
    pub(super) fn touches(&self, a: u32, b: u32) -> &[Point] {
        self.touches
            .get(&(a.min(b), a.max(b)))
            .map_or(&[], Vec::as_slice)
    }

    /// All points at which two rings touch without crossing.
    pub(super) fn all_touches(&self) -> impl Iterator<Item = ((u32, u32), &[Point])> {
        self.touches
            .iter()
            .map(|(rings, points)| (*rings, points.as_slice()))
    }

    /// Rings that cross, touch or overlap themselves.
    pub(super) fn broken(&self) -> BTreeSet<u32> {
        self.within.iter().map(|within| within.ring).collect()
    }

    pub(super) fn ring_faults(&self, outlines: &[Outline]) -> Vec<Fault> {
        let kind = kind_of(outlines);
        let place = |ring: u32, edge: u32| place(outlines, ring, edge);
        let mut faults: Vec<Fault> = Vec::new();
        for Within {
            code,
            ring,
            edges: (a, b),
            point,
        } in &self.within
        {
            faults.push(match code {
                Code::Spike => Fault::new(*code, kind, place(*ring, *b), *point),
                _ => Fault::between(*code, kind, place(*ring, *a), place(*ring, *b), *point),
            });
        }
        let mut parts = BTreeSet::new();
        for ((a, b), pair) in &self.pairs {
            let (Some(one), Some(other)) = (outlines.get(*a as usize), outlines.get(*b as usize))
            else {
                continue;
            };
            let apart = one.part != other.part;
            let (cross, share) = match (apart, pair.share.is_some() && same_ring(one, other)) {
                (_, true) => (None, Some(Code::DuplicateRing)),
                (false, false) => (Some(Code::RingsCross), Some(Code::RingsShareEdge)),
                (true, false) => (Some(Code::PartsOverlap), Some(Code::PartsShareEdge)),
            };
            for (code, hit) in [(cross, pair.cross), (share, pair.share)] {
                let (Some(code), Some(hit)) = (code, hit) else {
                    continue;
                };
                // Two polygons may meet with many of their rings; that is one fault.
                if !apart || parts.insert((one.part, other.part, code)) {
                    let (at, with) = (place(*a, hit.edges.0), place(*b, hit.edges.1));
                    faults.push(Fault::between(code, kind, at, with, hit.point));
                }
            }
        }
        faults
    }

    pub(super) fn line_faults(&self, outlines: &[Outline]) -> Vec<Fault> {
        let kind = if outlines.len() > 1 {
            Kind::MultiLineString
        } else {
            Kind::LineString
        };
        let place = |ring: u32, edge: u32| place(outlines, ring, edge);
        let within = self.within.iter();
        within
            .map(
                |Within {
                     ring,
                     edges: (a, b),
                     point,
                     ..
                 }| {
                    let (at, with) = (place(*ring, *a), place(*ring, *b));
                    Fault::between(Code::LineCrossesItself, kind, at, with, *point)
                },
            )
            .collect()
    }

    fn is_full(&self) -> bool {
        self.within.len() >= CONTACTS_MAX
            || self.pairs.len() >= CONTACTS_MAX
            || self.touch_count >= CONTACTS_MAX
    }

    /// Looks at two edges of which `a` has the lower number.
    fn note(&mut self, outlines: &[Outline], a: &Edge, b: &Edge) {
        let there = meeting(a, b);
        if there == Meeting::Apart {
            return;
        }
        let (Some(one), Some(other)) =
            (outlines.get(a.ring as usize), outlines.get(b.ring as usize))
        else {
            return;
        };
        if a.ring == b.ring {
            self.note_within(one, a, b, there);
        } else if one.is_closed() {
            self.note_between(one, other, a, b, there);
        }
    }

    fn note_within(&mut self, ring: &Outline, a: &Edge, b: &Edge, there: Meeting) {
        let follows = b.at == a.at + 1;
        let wraps = ring.is_closed() && a.at == 0 && b.at + 1 == ring.edge_count();
        let (code, point, edges) = match there {
            // The edge that leaves the turning point comes second.
            Meeting::Overlap(..) if follows => (Code::Spike, b.start, (a.at, b.at)),
            Meeting::Overlap(..) if wraps => (Code::Spike, a.start, (b.at, a.at)),
            Meeting::Overlap(from, _) => (Code::SelfOverlap, from, (a.at, b.at)),
            Meeting::Cross(point) => (Code::SelfCrossing, point, (a.at, b.at)),
            Meeting::Touch(point) if !follows && !wraps && !touches_later(ring, a, b, point) => {
                (Code::SelfTouch, point, (a.at, b.at))
            }
            Meeting::Touch(_) | Meeting::Apart => return,
        };
        self.within.push(Within {
            code,
            ring: a.ring,
            edges,
            point,
        });
    }

    fn note_between(&mut self, one: &Outline, other: &Outline, a: &Edge, b: &Edge, there: Meeting) {
        let rings = (a.ring, b.ring);
        let hit = |point| Hit {
            edges: (a.at, b.at),
            point,
        };
        match there {
            Meeting::Cross(point) => {
                first(&mut self.pairs.entry(rings).or_default().cross, hit(point))
            }
            Meeting::Overlap(from, _) => {
                first(&mut self.pairs.entry(rings).or_default().share, hit(from))
            }
            Meeting::Touch(point) if point != a.end && point != b.end => {
                match pass(one, other, a, b, point) {
                    Some(Pass::Through) => {
                        first(&mut self.pairs.entry(rings).or_default().cross, hit(point))
                    }
                    Some(Pass::Beside) => {
                        self.touch_count += 1;
                        self.touches.entry(rings).or_default().push(point);
                    }
                    None => {}
                }
            }
            // What touches at an edge's end touches at the start of the next.
            Meeting::Touch(_) | Meeting::Apart => {}
        }
    }
}

/// Whether a touch of two edges of one ring or line is found again with the edge that follows one of them, or is
/// that of a closed line's ends.
fn touches_later(ring: &Outline, a: &Edge, b: &Edge, point: Point) -> bool {
    let has_next = |edge: &Edge| ring.is_closed() || edge.at + 1 < ring.edge_count();
    let ends_meet = a.at == 0 && point == a.start && point == b.end && !has_next(b);
    ends_meet || (point == a.end && has_next(a)) || (point == b.end && has_next(b))
}

/// How a ring goes on where it touches another.
enum Pass {
    Through,
    Beside,
}

/// `None` where the rings share a stretch beginning here, which is found by itself.
fn pass(one: &Outline, other: &Outline, a: &Edge, b: &Edge, point: Point) -> Option<Pass> {
    let ((a_in, a_out), (b_in, b_out)) = (arms(one, a, point)?, arms(other, b, point)?);
    let shares = [a_in, a_out]
        .into_iter()
        .any(|a| same_direction(point, a, b_in) || same_direction(point, a, b_out));
    if shares {
        return None;
    }
    let inside = |x| in_sector(point, a_in, a_out, x);
    Some(if inside(b_in) == inside(b_out) {
        Pass::Beside
    } else {
        Pass::Through
    })
}

/// Where a ring comes from and goes to at a point of an edge that is not the edge's end.
pub(super) fn arms(ring: &Outline, edge: &Edge, point: Point) -> Option<(Point, Point)> {
    if point == edge.start {
        Some((ring.point(i64::from(edge.at) - 1)?, edge.end))
    } else {
        Some((edge.start, edge.end))
    }
}

fn first(slot: &mut Option<Hit>, hit: Hit) {
    if slot.is_none_or(|present| hit.edges < present.edges) {
        *slot = Some(hit);
    }
}

/// The place of the vertex at which an edge starts.
pub(super) fn place(outlines: &[Outline], ring: u32, edge: u32) -> Place {
    outlines
        .get(ring as usize)
        .map_or_else(Place::default, |outline| Place {
            part: outline.part,
            segment: outline.segment,
            vertex: outline.vertex(edge),
        })
}

/// The kind that sentences speak of; parts are named where there are several.
pub(super) fn kind_of(outlines: &[Outline]) -> Kind {
    match outlines.last() {
        Some(outline) if outline.part > 0 => Kind::MultiPolygon,
        _ => Kind::Polygon,
    }
}

/// Whether two rings have the same vertices in the same cyclic order, forwards or backwards.
fn same_ring(a: &Outline, b: &Outline) -> bool {
    let (a, b) = (a.points(), b.points());
    let (Some(start), true) = (a.first(), a.len() == b.len()) else {
        return false;
    };
    let Some(at) = b.iter().position(|point| point == start) else {
        return false;
    };
    let forwards = b.iter().cycle().skip(at).take(b.len());
    let backwards = b.iter().rev().cycle().skip(b.len() - 1 - at).take(b.len());
    a.iter().eq(forwards) || a.iter().eq(backwards)
}
