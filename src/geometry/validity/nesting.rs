//! Which ring lies inside which, and whether polygons stay in one piece: holes inside exteriors and beside each
//! other, polygons beside each other.
//!
//! One vertex of each ring stands for it. The rays of all of them to the east are counted in one walk over the
//! edges. Where that vertex lies on the other ring, another vertex decides, or the directions at a touching point.

use std::collections::{BTreeMap, BTreeSet};

use geo::kernels::Orientation;

use super::contacts::{Contacts, arms, kind_of, place};
use super::fault::{Code, Fault};
use crate::geometry::outline::{Outline, edges};
use crate::geometry::plane::{Edge, Point, Ray, in_sector, is_on, ray, turn};

/// Pairs of rings kept of which one lies inside the other: a geometry of hundreds of rings one inside the other is
/// not looked at to the end.
const INSIDE_MAX: usize = 200_000;

/// What is inside what.
#[derive(Default)]
pub(super) struct Nesting {
    /// (inner, outer) by number of the ring.
    inside: BTreeSet<(u32, u32)>,
    /// Rings whose first vertex lies on the other.
    on_border: BTreeSet<(u32, u32)>,
    budget: u64,
    cut_short: bool,
}

impl Nesting {
    /// Looks at `steps_max` pairs of a ring and an edge at most.
    pub(super) fn find(outlines: &[Outline], steps_max: u64) -> Self {
        let mut found = Self {
            budget: steps_max,
            ..Self::default()
        };
        if outlines.len() < 2 {
            return found;
        }
        let mut stand_ins: Vec<(Point, u32)> = (0..)
            .zip(outlines)
            .filter(|(_, outline)| outline.edge_count() > 0)
            .filter_map(|(ring, outline)| Some((*outline.points().first()?, ring)))
            .collect();
        stand_ins.sort_by(|a, b| a.0.y.total_cmp(&b.0.y).then(a.1.cmp(&b.1)));
        let mut odd: BTreeSet<u32> = BTreeSet::new();
        let mut outer = None;
        for edge in edges(outlines) {
            if outer != Some(edge.ring) {
                found.close(outer, &mut odd);
                outer = Some(edge.ring);
            }
            let (low, high) = (edge.start.y.min(edge.end.y), edge.start.y.max(edge.end.y));
            let (east, from) = (
                edge.start.x.max(edge.end.x),
                stand_ins.partition_point(|(point, _)| point.y < low),
            );
            let level = stand_ins
                .iter()
                .skip(from)
                .take_while(|(point, _)| point.y <= high);
            for (point, ring) in level.filter(|(_, ring)| *ring != edge.ring) {
                if !found.spend(1) {
                    return found;
                }
                if point.x > east {
                    continue;
                }
                match ray(&edge, *point) {
                    Ray::Misses => {}
                    Ray::Hits => toggle(&mut odd, *ring),
                    Ray::On => {
                        found.on_border.insert((*ring, edge.ring));
                    }
                }
            }
        }
        found.close(outer, &mut odd);
        found
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// Whether the touching points of all rings are needed to tell what is inside what.
    pub(super) fn needs_touches(&self) -> bool {
        !self.on_border.is_empty()
    }

    /// Faults among rings that neither clash nor are broken; those have been named.
    pub(super) fn faults(&mut self, outlines: &[Outline], contacts: &Contacts) -> Vec<Fault> {
        if outlines.len() < 2 {
            return Vec::new();
        }
        self.resolve_borders(outlines, contacts);
        let mut broken = contacts.broken();
        broken.extend(
            (0..)
                .zip(outlines)
                .filter(|(_, o)| o.edge_count() == 0)
                .map(|(ring, _)| ring),
        );
        let sound =
            |a: u32, b: u32| !broken.contains(&a) && !broken.contains(&b) && !contacts.clash(a, b);
        let rings = Rings {
            outlines,
            exteriors: exteriors(outlines),
        };
        let mut faults = Vec::new();
        if !self.cut_short {
            faults.extend(self.holes_outside(&rings, sound));
        }
        for (inner, outer) in &self.inside {
            if sound(*inner, *outer) {
                faults.extend(self.overlap(&rings, *inner, *outer));
            }
        }
        if faults.is_empty() && contacts.ring_faults(outlines).is_empty() {
            faults.extend(falls_apart(&rings, contacts));
        }
        faults
    }

    fn holes_outside(&self, rings: &Rings<'_>, sound: impl Fn(u32, u32) -> bool) -> Vec<Fault> {
        let holes = (0..)
            .zip(rings.outlines)
            .filter(|(_, outline)| outline.segment > 0);
        holes
            .filter_map(|(hole, outline)| Some((hole, *rings.exteriors.get(&outline.part)?)))
            .filter(|(hole, exterior)| {
                sound(*hole, *exterior) && !self.inside.contains(&(*hole, *exterior))
            })
            .map(|(hole, exterior)| rings.fault(Code::HoleOutside, exterior, hole, hole))
            .collect()
    }

    /// The fault, if there is one, that `inner` lies inside `outer`.
    fn overlap(&self, rings: &Rings<'_>, inner: u32, outer: u32) -> Option<Fault> {
        let (a, b) = (
            rings.outlines.get(inner as usize)?,
            rings.outlines.get(outer as usize)?,
        );
        if a.part == b.part {
            let nested = a.segment > 0 && b.segment > 0;
            return nested.then(|| rings.fault(Code::NestedHoles, inner, outer, inner));
        }
        if a.segment > 0 || b.segment > 0 {
            return None;
        }
        let in_hole = self
            .inside
            .range((inner, 0)..=(inner, u32::MAX))
            .filter_map(|(_, ring)| rings.outlines.get(*ring as usize))
            .any(|ring| ring.part == b.part && ring.segment > 0);
        (!in_hole).then(|| rings.fault(Code::PartsOverlap, inner, outer, inner))
    }

    fn resolve_borders(&mut self, outlines: &[Outline], contacts: &Contacts) {
        for (inner, outer) in std::mem::take(&mut self.on_border) {
            let (Some(a), Some(b)) = (outlines.get(inner as usize), outlines.get(outer as usize))
            else {
                continue;
            };
            if contacts.clash(inner, outer) || !self.spend(a.edge_count().into()) {
                continue;
            }
            let touches = contacts.touches(inner, outer);
            let touches: BTreeSet<(u64, u64)> = touches.iter().copied().map(bits).collect();
            let free = a
                .points()
                .iter()
                .find(|point| !touches.contains(&bits(**point)));
            if !self.spend(b.edge_count().into()) {
                continue;
            }
            let is_inside = match free {
                Some(point) => ring_contains(outer, b, *point),
                None => leads_inside(a, outer, b),
            };
            if is_inside {
                self.inside.insert((inner, outer));
            } else {
                self.inside.remove(&(inner, outer));
            }
        }
    }

    fn spend(&mut self, steps: u64) -> bool {
        match self.budget.checked_sub(steps) {
            Some(left) => self.budget = left,
            None => self.cut_short = true,
        }
        !self.cut_short
    }

    fn close(&mut self, outer: Option<u32>, odd: &mut BTreeSet<u32>) {
        let inner = std::mem::take(odd);
        self.inside.extend(
            outer
                .into_iter()
                .flat_map(|outer| inner.iter().map(move |inner| (*inner, outer))),
        );
        self.cut_short |= self.inside.len() > INSIDE_MAX;
    }
}

struct Rings<'a> {
    outlines: &'a [Outline],
    /// Number of the exterior of each part.
    exteriors: BTreeMap<usize, u32>,
}

impl Rings<'_> {
    /// A fault between two rings at the first vertex of `shown`.
    fn fault(&self, code: Code, a: u32, b: u32, shown: u32) -> Fault {
        let point = self
            .outlines
            .get(shown as usize)
            .and_then(|outline| outline.point(0));
        let (at, with) = (place(self.outlines, a, 0), place(self.outlines, b, 0));
        Fault::between(
            code,
            kind_of(self.outlines),
            at,
            with,
            point.unwrap_or_default(),
        )
    }
}

fn exteriors(outlines: &[Outline]) -> BTreeMap<usize, u32> {
    let exteriors = (0..)
        .zip(outlines)
        .filter(|(_, outline)| outline.segment == 0);
    exteriors
        .map(|(ring, outline)| (outline.part, ring))
        .collect()
}

fn toggle(odd: &mut BTreeSet<u32>, ring: u32) {
    if !odd.insert(ring) {
        odd.remove(&ring);
    }
}

fn bits(point: Point) -> (u64, u64) {
    (point.x.to_bits(), point.y.to_bits())
}

fn edges_of(ring: u32, outline: &Outline) -> impl Iterator<Item = Edge> {
    (0..outline.edge_count()).filter_map(move |at| outline.edge(ring, at))
}

fn ring_contains(ring: u32, outline: &Outline, point: Point) -> bool {
    let hits = edges_of(ring, outline).filter(|edge| ray(edge, point) == Ray::Hits);
    hits.count() % 2 == 1
}

/// Whether a ring all of whose vertices lie on another one goes on to its inside.
fn leads_inside(inner: &Outline, outer: u32, ring: &Outline) -> bool {
    let (Some(point), Some(next)) = (inner.point(0), inner.point(1)) else {
        return false;
    };
    let there = edges_of(outer, ring).find(|edge| point != edge.end && is_on(edge, point));
    let Some((from, to)) = there.and_then(|edge| arms(ring, &edge, point)) else {
        return false;
    };
    if is_counter_clockwise(ring) {
        in_sector(point, to, from, next)
    } else {
        in_sector(point, from, to, next)
    }
}

/// The turn at the lowest, leftmost vertex is that of the ring.
fn is_counter_clockwise(ring: &Outline) -> bool {
    let lowest = (0_i64..)
        .zip(ring.points())
        .min_by(|(_, a), (_, b)| a.y.total_cmp(&b.y).then(a.x.total_cmp(&b.x)));
    let corner = |at| Some((ring.point(at - 1)?, ring.point(at)?, ring.point(at + 1)?));
    lowest
        .and_then(|(at, _)| corner(at))
        .is_some_and(|(a, b, c)| turn(a, b, c) == Orientation::CounterClockwise)
}

/// Rings and touching points are joined in a graph; a circle in it encloses a piece of the interior.
fn falls_apart(rings: &Rings<'_>, contacts: &Contacts) -> Vec<Fault> {
    let mut joined: BTreeSet<(usize, (u64, u64), u32)> = BTreeSet::new();
    for ((a, b), points) in contacts.all_touches() {
        let part = |ring: u32| {
            rings
                .outlines
                .get(ring as usize)
                .map(|outline| outline.part)
        };
        if let Some(part) = part(a).filter(|one| part(b) == Some(*one)) {
            joined.extend(
                points
                    .iter()
                    .flat_map(|point| [a, b].map(|ring| (part, bits(*point), ring))),
            );
        }
    }
    let mut groups = Groups::default();
    let mut numbers: BTreeMap<(usize, (u64, u64)), u32> = BTreeMap::new();
    let mut faults = Vec::new();
    for (part, point, ring) in joined {
        let fresh = u32::try_from(rings.outlines.len() + numbers.len()).unwrap_or(u32::MAX);
        let number = *numbers.entry((part, point)).or_insert(fresh);
        if !groups.join(ring, number) {
            let position = Point {
                x: f64::from_bits(point.0),
                y: f64::from_bits(point.1),
            };
            let at = place(rings.outlines, ring, 0);
            faults.push(Fault::new(
                Code::InteriorDisconnected,
                kind_of(rings.outlines),
                at,
                position,
            ));
        }
    }
    faults
}

/// Disjoint sets of numbers.
#[derive(Default)]
struct Groups(BTreeMap<u32, u32>);

impl Groups {
    /// Joins the groups of two numbers; whether they were apart.
    fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.0.insert(a, b);
        a != b
    }

    fn root(&mut self, mut number: u32) -> u32 {
        while let Some(next) = self.0.get(&number).copied().filter(|next| *next != number) {
            let after = self.0.get(&next).copied().unwrap_or(next);
            self.0.insert(number, after);
            number = next;
        }
        number
    }
}
