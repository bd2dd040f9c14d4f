//! From a feature's present geometry to another by the smallest set of edits.
//!
//! Vertices are moved, inserted and removed, and rings and lines added and removed, where the new geometry differs
//! little; otherwise the whole geometry is replaced.

use std::collections::BTreeSet;

use super::diff::{Step, diff};
use super::edit::Edit;
use super::entry::Overlays;
use super::line_edit::{Line, LinePlan, VertexEdits, rounded};
use super::naming::Names;
use super::read::{geometry, shown};
use super::record::Record;
use super::structure::{Current, Named, Structure, structure};
use super::writer::Writer;
use crate::geometry::{Dims, Geometry, Kind, Part, Segment, Shape};

/// So many vertices and segments may always be edited one by one; beyond, at most half as many as there are vertices.
const EDITS_ALWAYS: usize = 8;

/// Which positions count as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// Equal numbers: for imports, which lose nothing.
    Exact,
    /// Also those that are equal when rounded to six decimals, as generic editors do.
    Rounded,
}

/// The edits after which the feature shows `wanted`; none if it does already.
pub(super) fn edits(
    writer: &mut Writer,
    fid: &str,
    record: &Record,
    overlays: &Overlays<'_>,
    wanted: Option<&Geometry>,
    precision: Precision,
) -> Vec<Edit> {
    let present = geometry(record, overlays).0;
    if present.as_ref() == wanted || same_but_turned(present.as_ref(), wanted) {
        return Vec::new();
    }
    let current = Current::of(record, overlays);
    if let (Some(shape), Some(Geometry::Shape(wanted))) = (current.shape(), wanted) {
        let structure = structure(&current, &shape, overlays);
        let change = comparable(&shape, &structure, wanted)
            .then(|| Change::find(&structure, wanted))
            .flatten();
        let mut vertex_edits = VertexEdits {
            writer: &mut *writer,
            fid,
            generation: current.generation,
            overlays,
            edits: Vec::new(),
        };
        if let Some(change) = change
            && change
                .plan(&mut vertex_edits, &structure, wanted, precision)
                .is_some()
        {
            return vertex_edits.edits;
        }
    }
    writer.replace(fid, &current, overlays, wanted)
}

/// Whether only the directions of rings differ. They say nothing, and exports turn them (RFC 7946 §3.1.6), so that what
/// comes back from one is no edit.
fn same_but_turned(present: Option<&Geometry>, wanted: Option<&Geometry>) -> bool {
    let (Some(Geometry::Shape(present)), Some(Geometry::Shape(wanted))) = (present, wanted) else {
        return false;
    };
    match (present.wound(), wanted.wound()) {
        (Some(present), None) => present == *wanted,
        _ => false,
    }
}

/// Whether every segment shows, and edits of segments can lead to a shape of the wanted kind.
fn comparable(base: &Shape, structure: &Structure<'_>, wanted: &Shape) -> bool {
    let mut left_out = Vec::new();
    let present = shown(base.kind(), base.dims(), structure.clone(), &mut left_out);
    // A polygon of several parts shows as a multipolygon.
    let kind = match base.kind() {
        Kind::Polygon if wanted.parts().len() > 1 => Kind::MultiPolygon,
        kind => kind,
    };
    let all_of_a_point = || {
        let vertices = structure.iter().flatten().map(|named| named.numbers.len());
        vertices.sum::<usize>() == base.dims().numbers()
    };
    present.is_some()
        && left_out.is_empty()
        && kind == wanted.kind()
        && base.dims() == wanted.dims()
        && (kind != Kind::Point || all_of_a_point())
}

/// What happens to the segments of a geometry.
#[derive(Default)]
struct Change<'a, 'r> {
    lines: Vec<Line<'a, 'r>>,
    removed: Vec<&'a Named<'r>>,
    /// New rings of parts that stay, by the part's name.
    rings: Vec<(&'a str, &'a Segment)>,
    parts: Vec<&'a Part>,
}

impl<'a, 'r> Change<'a, 'r> {
    /// Pairs what is there with what is wanted; `None` if something new would have to come before something old.
    fn find(structure: &'a Structure<'r>, wanted: &'a Shape) -> Option<Self> {
        let mut change = Self::default();
        let dims = wanted.dims();
        let rings = wanted.kind().has_rings();
        if !rings && wanted.kind() != Kind::MultiLineString {
            // All segments together are one line or group of points.
            let segments = structure.iter().flatten().collect();
            let wanted = wanted.parts().first()?.first()?;
            change.lines.push(Line { segments, wanted });
            return Some(change);
        }
        // A part is known by its exterior or by its line.
        let old_parts: Vec<Outline> = structure
            .iter()
            .map(|part| {
                Outline::of(
                    if rings {
                        part.get(..1)
                    } else {
                        Some(&part[..])
                    },
                    dims,
                )
            })
            .collect();
        let new_parts: Vec<Outline> = wanted
            .parts()
            .iter()
            .map(|part| Outline::one(part.first(), dims))
            .collect();
        for pair in pairs(&old_parts, &new_parts)? {
            match pair {
                Pair::Both(old, new) => {
                    change.part(structure.get(old)?, wanted.parts().get(new)?, rings, dims)?;
                }
                Pair::Old(old) => change.removed.extend(structure.get(old)?),
                Pair::New(new) => change.parts.push(wanted.parts().get(new)?),
            }
        }
        Some(change)
    }

    fn part(&mut self, old: &'a [Named<'r>], new: &'a Part, rings: bool, dims: Dims) -> Option<()> {
        let (wanted, new_holes) = new.split_first()?;
        if !rings {
            let segments = old.iter().collect();
            self.lines.push(Line { segments, wanted });
            return Some(());
        }
        let (exterior, old_holes) = old.split_first()?;
        self.ring(exterior, wanted);
        let from: Vec<Outline> = old_holes
            .iter()
            .map(|hole| Outline::one(Some(&hole.numbers), dims))
            .collect();
        let to: Vec<Outline> = new_holes
            .iter()
            .map(|hole| Outline::one(Some(hole), dims))
            .collect();
        for pair in pairs(&from, &to)? {
            match pair {
                Pair::Both(old, new) => self.ring(old_holes.get(old)?, new_holes.get(new)?),
                Pair::Old(old) => self.removed.push(old_holes.get(old)?),
                Pair::New(new) => self.rings.push((&exterior.part, new_holes.get(new)?)),
            }
        }
        Some(())
    }

    fn ring(&mut self, ring: &'a Named<'r>, wanted: &'a Segment) {
        let segments = vec![ring];
        self.lines.push(Line { segments, wanted });
    }

    /// Plans the change; `None` if replacing the geometry is better or there is no room for a key.
    fn plan(
        &self,
        edits: &mut VertexEdits<'_, '_, '_>,
        structure: &Structure<'_>,
        wanted: &Shape,
        precision: Precision,
    ) -> Option<()> {
        let dims = wanted.dims();
        let plans: Vec<LinePlan<'_, '_>> = self
            .lines
            .iter()
            .map(|line| LinePlan::new(line, dims.numbers(), precision))
            .collect::<Option<_>>()?;
        let segments = self.removed.len() + self.rings.len() + self.parts.len();
        let edited = plans.iter().map(LinePlan::cost).sum::<usize>() + segments;
        if edited > EDITS_ALWAYS && edited.saturating_mul(2) > wanted.vertex_count() {
            return None;
        }
        plans
            .iter()
            .try_for_each(|plan| edits.line(plan, wanted.kind().has_rings()))?;
        for segment in &self.removed {
            edits.remove_segment(segment);
        }
        let mut names = Names::new(edits.fid, edits.generation, structure);
        for (part, ring) in &self.rings {
            let name = names.segment(edits.writer, part)?;
            edits.add_segment(part, &name, ring, dims);
        }
        for part in &self.parts {
            let name = names.part(edits.writer)?;
            let (first, holes) = part.split_first()?;
            edits.add_segment(&name, "0", first, dims);
            for hole in holes {
                let hole_name = names.segment(edits.writer, &name)?;
                edits.add_segment(&name, &hole_name, hole, dims);
            }
        }
        Some(())
    }
}

/// A segment, line or ring as the set of its positions: alike is what shares many of them.
struct Outline(BTreeSet<Vec<i64>>);

impl Outline {
    fn one(segment: Option<&Segment>, dims: Dims) -> Self {
        let positions = segment
            .into_iter()
            .flat_map(|s| s.chunks_exact(dims.numbers()));
        Self(positions.map(|at| rounded(at).collect()).collect())
    }

    fn of(segments: Option<&[Named<'_>]>, dims: Dims) -> Self {
        let segments = segments.into_iter().flatten();
        let positions = segments.flat_map(|named| named.numbers.chunks_exact(dims.numbers()));
        Self(positions.map(|at| rounded(at).collect()).collect())
    }
}

impl PartialEq for Outline {
    /// Whether they share at least a third of the positions of the smaller.
    fn eq(&self, other: &Self) -> bool {
        let least = self.0.len().min(other.0.len());
        let shared = self.0.intersection(&other.0).count();
        shared.saturating_mul(3) >= least && (shared > 0 || least == 0)
    }
}

enum Pair {
    Both(usize, usize),
    Old(usize),
    New(usize),
}

/// Pairs what is alike, in order, and what stands in the same place; what is new comes last, else there is no way.
fn pairs(old: &[Outline], new: &[Outline]) -> Option<Vec<Pair>> {
    let steps = diff(old, new)?;
    let last = steps
        .iter()
        .rposition(|step| matches!(step, Step::Keep { .. }));
    let mut pairs = Vec::with_capacity(steps.len());
    let mut paired = 0_usize;
    let mut added = 0_usize;
    for (at, step) in steps.iter().enumerate() {
        let behind = last.is_none_or(|last| at > last);
        match *step {
            Step::Keep { old } => {
                pairs.push(Pair::Both(old, paired));
                paired += 1;
            }
            // Nothing like it is left: it goes, and another comes, unless that is all there is.
            Step::Move { old: from, new: to } if behind && (old.len() > 1 || new.len() > 1) => {
                pairs.extend([Pair::Old(from), Pair::New(to)]);
                added += 1;
            }
            Step::Move { old, new } => {
                pairs.push(Pair::Both(old, new));
                paired += 1;
            }
            Step::Remove { old } => pairs.push(Pair::Old(old)),
            Step::Insert { new } if behind => {
                pairs.push(Pair::New(new));
                added += 1;
            }
            Step::Insert { .. } => return None,
        }
    }
    (paired + added == new.len()).then_some(pairs)
}
