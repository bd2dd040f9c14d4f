//! What is wrong with a geometry, and where: simple-features validity (OGC 06-103r4 §6.1.11), the rules of
//! RFC 7946 and what people should look at.
//!
//! Merging never refuses anything, so an invalid geometry is shown as it is, with its faults beside it; nothing
//! here changes a geometry, and [`repair`] only suggests. Edges are straight in the plane of longitude and
//! latitude. Start with [`faults`]; after an edit of a large geometry, [`faults_near`].
//!
//! | work | time | memory |
//! |---|---|---|
//! | [`faults`] of n vertices | n log n, and what lies close together; up to [`Limits::geo_vertices`] also n² by `geo` | about 120 bytes a vertex |
//! | [`faults_near`] with c changed vertices | n log c | about 30 bytes a vertex |

mod contacts;
mod fault;
mod nesting;
mod numbers;
mod repair;
mod second;
#[cfg(test)]
mod tests;

use super::outline::{Outline, outlines};
use super::{Geometry, Kind, Shape};
use contacts::{Contacts, Subjects};
pub use fault::{Code, Fault, Place, Severity};
pub use repair::{REPAIR_VERTICES_MAX, Suggestion, repair};

/// Rings of a geometry that `geo` is asked about, at most: it relates each with each.
const GEO_RINGS_MAX: usize = 32;

/// How much work a check may be, and what it looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Faults listed of one code; [`Fault::more`] tells how many there are beyond.
    pub faults_per_code: usize,
    /// Pairs of edges looked at because their boxes meet; beyond, [`Code::NotFullyChecked`].
    pub edge_pairs: u64,
    /// Geometries of at most this many vertices, and of few rings, are also put before `geo`'s own check, whose work
    /// is quadratic.
    pub geo_vertices: usize,
    /// Whether a line that crosses itself is a fault.
    pub lines: SelfCrossing,
}

impl Default for Limits {
    /// 20 faults a code, 8 million pairs (under a second), 2 000 vertices before `geo`, lines may cross themselves.
    fn default() -> Self {
        Self {
            faults_per_code: 20,
            edge_pairs: 8_000_000,
            geo_vertices: 2_000,
            lines: SelfCrossing::Allowed,
        }
    }
}

/// Whether lines may cross themselves. They are valid either way (OGC 06-103r4 §6.1.6), but a pipe or a boundary
/// that does is usually a mistake, and a recorded track that does is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfCrossing {
    /// Nothing is reported.
    Allowed,
    /// [`Code::LineCrossesItself`].
    Reported,
}

/// Everything that is wrong with a geometry, errors and warnings, ordered by place. The result is the same for
/// equal geometries on every machine.
///
/// Members of a collection are checked one by one. Never changes or refuses anything; the work is bounded by
/// `limits`.
#[must_use]
pub fn faults(geometry: &Geometry, limits: Limits) -> Vec<Fault> {
    match geometry {
        Geometry::Shape(shape) => shape_faults(shape, limits),
        Geometry::Other(_) => {
            let mut list = fault::List::new(limits.faults_per_code);
            for (member, reading) in (0..).zip(geometry.members()) {
                let unread = reading
                    .fault
                    .iter()
                    .map(|fault| Fault::from_reading(reading.kind, fault));
                // The rest of what reading may find is found again below, at every place.
                list.extend(member, unread.filter(|fault| fault.code.is_about_reading()));
                if let Some(shape) = &reading.shape {
                    list.extend(member, shape_faults(shape, limits));
                }
            }
            list.finish()
        }
    }
}

/// [`faults`] of a shape.
#[must_use]
pub fn shape_faults(shape: &Shape, limits: Limits) -> Vec<Fault> {
    let outlines = outlines(shape);
    let mut list = fault::List::new(limits.faults_per_code);
    numbers::check(shape, &mut list);
    topology(shape, &outlines, &Subjects::All, limits, &mut list);
    if list.is_valid()
        && shape.vertex_count() <= limits.geo_vertices
        && outlines.len() <= GEO_RINGS_MAX
    {
        list.extend(0, second::opinion(shape));
    }
    list.finish()
}

/// The faults of a shape in which only the edges at `changed` vertices may be at fault: what [`faults`] finds,
/// provided that the shape had no error before these vertices changed. For a removed vertex, name the one that
/// now precedes the gap; for a new ring or part, all its vertices.
///
/// Its work grows with the length of the rings, but hardly with their complexity; `geo` is not asked.
#[must_use]
pub fn faults_near(shape: &Shape, changed: &[Place], limits: Limits) -> Vec<Fault> {
    let outlines = outlines(shape);
    let mut list = fault::List::new(limits.faults_per_code);
    numbers::check(shape, &mut list);
    let near = Subjects::near(&outlines, changed);
    topology(shape, &outlines, &near, limits, &mut list);
    list.finish()
}

fn topology(
    shape: &Shape,
    outlines: &[Outline],
    subjects: &Subjects,
    limits: Limits,
    list: &mut fault::List,
) {
    if shape.kind() == Kind::LineString || shape.kind() == Kind::MultiLineString {
        if limits.lines == SelfCrossing::Reported {
            let found = Contacts::find(outlines, subjects, limits.edge_pairs);
            list.extend(0, found.line_faults(outlines));
        }
        return;
    }
    if !shape.kind().has_rings() {
        return;
    }
    let mut found = Contacts::find(outlines, subjects, limits.edge_pairs);
    let mut nested = nesting::Nesting::find(outlines, limits.edge_pairs);
    if !subjects.are_all() && (found.has_touches() || nested.needs_touches()) {
        // How rings touch elsewhere decides what is inside what and whether the interior is in one piece.
        found = Contacts::find(outlines, &Subjects::All, limits.edge_pairs);
        nested = nesting::Nesting::find(outlines, limits.edge_pairs);
    }
    list.extend(0, found.ring_faults(outlines));
    list.extend(0, nested.faults(outlines, &found));
    if found.is_cut_short() || nested.is_cut_short() {
        list.extend(0, [Fault::not_fully_checked(shape)]);
    }
}
