//! The vertices of one line, ring or group of points: moved, inserted and removed one by one.

use yrs::Any;

use super::diff::{Step, diff};
use super::edit::Edit;
use super::entry::Overlays;
use super::geometry_edit::Precision;
use super::json::number_any;
use super::key::{End, after_ring, between};
use super::schema::Root;
use super::structure::Named;
use super::writer::Writer;
use crate::geometry::Segment;

/// Decimals to which generic editors round.
const ROUNDED: f64 = 1e6;

/// One line, ring or group of points: the segments that make it up, and what it should be.
pub(super) struct Line<'a, 'r> {
    pub(super) segments: Vec<&'a Named<'r>>,
    pub(super) wanted: &'a Segment,
}

/// What happens to a line's vertices.
pub(super) struct LinePlan<'a, 'r> {
    old: Vec<Vertex<'a, 'r>>,
    new: Vec<&'a [f64]>,
    steps: Vec<Step>,
}

impl<'a, 'r> LinePlan<'a, 'r> {
    /// The steps for a line of `dims` numbers per vertex; `None` if they are too many to look for.
    pub(super) fn new(line: &Line<'a, 'r>, dims: usize, precision: Precision) -> Option<Self> {
        let old = vertices(line, dims);
        let new: Vec<&[f64]> = line.wanted.chunks_exact(dims).collect();
        let place = |at| Place { at, precision };
        let from: Vec<Place<'_>> = old.iter().map(|vertex| place(vertex.at)).collect();
        let to: Vec<Place<'_>> = new.iter().map(|at| place(at)).collect();
        let steps = diff(&from, &to)?;
        Some(Self { old, new, steps })
    }

    /// How many vertices are edited.
    pub(super) fn cost(&self) -> usize {
        let kept = |step: &&Step| !matches!(step, Step::Keep { .. });
        self.steps.iter().filter(kept).count()
    }
}

/// A position as the comparison sees it.
struct Place<'a> {
    at: &'a [f64],
    precision: Precision,
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
            || self.precision == Precision::Rounded && rounded(self.at).eq(rounded(other.at))
    }
}

/// A position's numbers in millionths, saturating.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
pub(super) fn rounded(at: &[f64]) -> impl Iterator<Item = i64> {
    at.iter().map(|number| (number * ROUNDED).round() as i64)
}

/// A vertex of the line being edited: its segment, key and position.
#[derive(Clone)]
pub(super) struct Vertex<'a, 'r> {
    pub(super) segment: &'a Named<'r>,
    pub(super) key: String,
    pub(super) at: &'a [f64],
}

/// Writes vertices of a feature's current geometry.
pub(super) struct VertexEdits<'w, 'r, 'k> {
    pub(super) writer: &'w mut Writer,
    pub(super) fid: &'r str,
    pub(super) generation: &'r str,
    pub(super) overlays: &'r Overlays<'k>,
    pub(super) edits: Vec<Edit>,
}

impl VertexEdits<'_, '_, '_> {
    /// Plans a line; `None` if replacing the geometry is better or there is no room for a key.
    pub(super) fn line(&mut self, plan: &LinePlan<'_, '_>, ring: bool) -> Option<()> {
        let LinePlan { old, new, steps } = plan;
        // Insertions before the first vertex that stays go outwards from it, so they wait.
        let mut front: Vec<&[f64]> = Vec::new();
        let mut last: Option<Vertex<'_, '_>> = None;
        for (at, step) in steps.iter().enumerate() {
            match *step {
                Step::Keep { old: index } => last = old.get(index).cloned(),
                Step::Move {
                    old: index,
                    new: index_new,
                } => {
                    let (vertex, to) = (old.get(index)?, *new.get(index_new)?);
                    self.set(vertex.segment, &vertex.key, to);
                    last = Some(Vertex {
                        at: to,
                        ..vertex.clone()
                    });
                }
                Step::Remove { old: index } => {
                    let vertex = old.get(index)?;
                    self.set(vertex.segment, &vertex.key, &[]);
                }
                Step::Insert { new: index } => {
                    let to = *new.get(index)?;
                    match &last {
                        None => front.push(to),
                        Some(before) => {
                            let after = staying(steps.get(at + 1..)?, old, new);
                            let key = self.key_after(
                                before,
                                after.as_ref(),
                                staying(steps, old, new).filter(|_| ring).as_ref(),
                                to,
                            )?;
                            let segment = before.segment;
                            self.set(segment, &key, to);
                            last = Some(Vertex {
                                segment,
                                key,
                                at: to,
                            });
                        }
                    }
                }
            }
        }
        self.front(&front, staying(steps, old, new))
    }

    /// The key of a vertex that comes after `before` and ahead of `after`; `closing` is the first vertex of a ring.
    pub(super) fn key_after(
        &mut self,
        before: &Vertex<'_, '_>,
        after: Option<&Vertex<'_, '_>>,
        closing: Option<&Vertex<'_, '_>>,
        to: &[f64],
    ) -> Option<String> {
        let random = &mut self.writer.random;
        match (after.filter(|after| same_segment(before, after)), closing) {
            (Some(after), _) => {
                let place = project(to, before.at, after.at);
                between(&before.key, &after.key, place, random)
            }
            (None, Some(closing)) => {
                let place = project(to, before.at, closing.at);
                between(&before.key, &after_ring(&before.key), place, random)
            }
            (None, None) => self.open_end(before, End::Back),
        }
    }

    /// Inserts before the first vertex that stays, from the inside out.
    fn front(&mut self, front: &[&[f64]], first: Option<Vertex<'_, '_>>) -> Option<()> {
        let Some(mut inner) = first else {
            // Nothing stays: replacing says so more shortly.
            return front.is_empty().then_some(());
        };
        for to in front.iter().rev() {
            let key = self.open_end(&inner, End::Front)?;
            self.set(inner.segment, &key, to);
            inner = Vertex {
                key,
                at: to,
                ..inner
            };
        }
        Some(())
    }

    /// A key beyond the end of a line.
    pub(super) fn open_end(&mut self, outermost: &Vertex<'_, '_>, end: End) -> Option<String> {
        self.beyond(outermost.segment, Some(&outermost.key), end)
    }

    /// A key beyond the outermost of a segment; none if the segment is empty.
    pub(super) fn beyond(
        &mut self,
        segment: &Named<'_>,
        outermost: Option<&str>,
        end: End,
    ) -> Option<String> {
        let prefix = format!("{}/{}.", self.fid, segment.target(self.generation));
        self.writer.beyond_end(&prefix, outermost, end)
    }

    /// Sets a vertex to a position, or with no numbers removes it.
    pub(super) fn set(&mut self, segment: &Named<'_>, key: &str, to: &[f64]) {
        let target = format!("{}.{key}", segment.target(self.generation));
        let payload: Vec<Any> = to.iter().map(|number| number_any(*number)).collect();
        self.edits.extend(self.writer.set_target(
            Root::Vert,
            self.fid,
            &target,
            self.overlays,
            payload,
        ));
    }
}

pub(super) fn vertices<'a, 'r>(line: &Line<'a, 'r>, dims: usize) -> Vec<Vertex<'a, 'r>> {
    let of = |segment: &'a Named<'r>| {
        let positions = segment.numbers.chunks_exact(dims).enumerate();
        positions.map(move |(index, at)| Vertex {
            segment,
            key: segment.key(index).text().into_owned(),
            at,
        })
    };
    line.segments
        .iter()
        .flat_map(|segment| of(segment))
        .collect()
}

/// The first vertex that stays in these steps, where it will be.
fn staying<'a, 'r>(
    steps: &[Step],
    old: &[Vertex<'a, 'r>],
    new: &[&'a [f64]],
) -> Option<Vertex<'a, 'r>> {
    steps.iter().find_map(|step| match *step {
        Step::Keep { old: index } => old.get(index).cloned(),
        Step::Move {
            old: index,
            new: to,
        } => Some(Vertex {
            at: new.get(to)?,
            ..old.get(index)?.clone()
        }),
        _ => None,
    })
}

fn same_segment(a: &Vertex<'_, '_>, b: &Vertex<'_, '_>) -> bool {
    a.segment.part == b.segment.part && a.segment.segment == b.segment.segment
}

/// Where `p` projects on the edge a–b: 0 at a, 1 at b, 1/2 if they coincide.
fn project(p: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let ([px, py, ..], [ax, ay, ..], [bx, by, ..]) = (p, a, b) else {
        return 0.5;
    };
    let (dx, dy) = (bx - ax, by - ay);
    let square = dx * dx + dy * dy;
    if square > 0.0 {
        ((px - ax) * dx + (py - ay) * dy) / square
    } else {
        0.5
    }
}
