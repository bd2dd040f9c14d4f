//! From a feature's present geometry to another by the smallest set of edits.
//!
//! Vertices are moved, inserted and removed where the new geometry has the same parts and rings and differs little;
//! otherwise the whole geometry is replaced.

use yrs::Any;

use super::diff::{Step, diff};
use super::edit::{Edit, Writer};
use super::entry::Overlays;
use super::json::number_any;
use super::key::{End, after_ring, between, beyond};
use super::read::{geometry, shown};
use super::record::Record;
use super::schema::Root;
use super::structure::{Current, Named, Structure, structure};
use crate::geometry::{Geometry, Kind, Segment, Shape};

/// So many vertices may always be edited one by one; beyond, at most half of them.
const EDITS_ALWAYS: usize = 8;

/// The edits after which the feature shows `wanted`; none if it does already.
pub(super) fn edits(
    writer: &mut Writer,
    fid: &str,
    record: &Record,
    overlays: &Overlays<'_>,
    wanted: Option<&Geometry>,
) -> Vec<Edit> {
    if geometry(record, overlays).0.as_ref() == wanted {
        return Vec::new();
    }
    let current = Current::of(record, overlays);
    if let (Some(shape), Some(Geometry::Shape(wanted))) = (current.shape(), wanted) {
        let structure = structure(&current, &shape, overlays);
        let present = shown(
            shape.kind(),
            shape.dims(),
            structure.clone(),
            &mut Vec::new(),
        );
        let comparable = present.is_some_and(|present| alike(&present, &structure, wanted));
        let mut planned = Plan {
            writer: &mut *writer,
            fid,
            generation: current.generation,
            overlays,
            edits: Vec::new(),
        };
        if comparable && planned.lines(&structure, wanted).is_some() {
            return planned.edits;
        }
    }
    writer.replace(fid, &current, overlays, wanted)
}

/// Whether every segment of the structure shows, and the wanted shape has a line or ring for each.
fn alike(present: &Shape, structure: &Structure<'_>, wanted: &Shape) -> bool {
    let same_kind = present.kind() == wanted.kind() && present.dims() == wanted.dims();
    let counts = |parts: &[Vec<Segment>]| parts.iter().map(Vec::len).collect::<Vec<_>>();
    let all_shown = match present.kind() {
        Kind::Polygon | Kind::MultiPolygon => {
            counts(present.parts()) == structure.iter().map(Vec::len).collect::<Vec<_>>()
        }
        Kind::MultiLineString => present.parts().len() == structure.len(),
        Kind::Point => {
            structure
                .iter()
                .flatten()
                .map(|named| named.numbers.len())
                .sum::<usize>()
                == present.dims().numbers()
        }
        Kind::LineString | Kind::MultiPoint => true,
    };
    same_kind && all_shown && counts(present.parts()) == counts(wanted.parts())
}

/// One line, ring or group of points: the segments that make it up, and what it should be.
struct Line<'a, 'r> {
    segments: Vec<&'a Named<'r>>,
    wanted: &'a Segment,
}

fn pair<'a, 'r>(structure: &'a Structure<'r>, wanted: &'a Shape) -> Vec<Line<'a, 'r>> {
    let wanted_lines = wanted.parts().iter().flatten();
    let segments: Vec<Vec<&Named<'r>>> = match wanted.kind() {
        Kind::Point | Kind::LineString | Kind::MultiPoint => {
            vec![structure.iter().flatten().collect()]
        }
        Kind::MultiLineString => structure.iter().map(|part| part.iter().collect()).collect(),
        Kind::Polygon | Kind::MultiPolygon => structure
            .iter()
            .flatten()
            .map(|named| vec![named])
            .collect(),
    };
    segments
        .into_iter()
        .zip(wanted_lines)
        .map(|(segments, wanted)| Line { segments, wanted })
        .collect()
}

/// A vertex of the line being edited: its segment, key and position.
#[derive(Clone)]
struct Vertex<'a, 'r> {
    segment: &'a Named<'r>,
    key: String,
    at: &'a [f64],
}

struct Plan<'w, 'r, 'k> {
    writer: &'w mut Writer,
    fid: &'r str,
    generation: &'r str,
    overlays: &'r Overlays<'k>,
    edits: Vec<Edit>,
}

impl Plan<'_, '_, '_> {
    /// Plans all lines; `None` if replacing the geometry is better or there is no room for a key.
    fn lines(&mut self, structure: &Structure<'_>, wanted: &Shape) -> Option<()> {
        let dims = wanted.dims().numbers();
        let mut lines = Vec::new();
        let mut edited = 0_usize;
        for line in pair(structure, wanted) {
            let old: Vec<Vertex<'_, '_>> = vertices(&line, dims);
            let old_positions: Vec<&[f64]> = old.iter().map(|vertex| vertex.at).collect();
            let new: Vec<&[f64]> = line.wanted.chunks_exact(dims).collect();
            let steps = diff(&old_positions, &new)?;
            edited += steps
                .iter()
                .filter(|step| !matches!(step, Step::Keep { .. }))
                .count();
            lines.push((old, new, steps));
        }
        if edited > EDITS_ALWAYS && edited.saturating_mul(2) > wanted.vertex_count() {
            return None;
        }
        lines
            .iter()
            .try_for_each(|(old, new, steps)| self.line(old, new, steps, wanted.kind().has_rings()))
    }

    fn line(
        &mut self,
        old: &[Vertex<'_, '_>],
        new: &[&[f64]],
        steps: &[Step],
        ring: bool,
    ) -> Option<()> {
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
                                staying(steps, old, new).filter(|_| ring),
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
    fn key_after(
        &mut self,
        before: &Vertex<'_, '_>,
        after: Option<&Vertex<'_, '_>>,
        closing: Option<Vertex<'_, '_>>,
        to: &[f64],
    ) -> Option<String> {
        match after.filter(|after| same_segment(before, after)) {
            Some(after) => {
                let place = project(to, before.at, after.at);
                between(&before.key, &after.key, place, &mut self.writer.random)
            }
            None => match closing {
                Some(closing) => {
                    let place = project(to, before.at, closing.at);
                    between(
                        &before.key,
                        &after_ring(&before.key),
                        place,
                        &mut self.writer.random,
                    )
                }
                None => self.open_end(before, End::Back),
            },
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

    /// A key beyond the end of a line, remembered so that the session continues its run there.
    fn open_end(&mut self, outermost: &Vertex<'_, '_>, end: End) -> Option<String> {
        let target = |key: &str| {
            format!(
                "{}/{}.{key}",
                self.fid,
                outermost.segment.target(self.generation)
            )
        };
        let own = self.writer.own_ends.contains(&target(&outermost.key));
        let key = beyond(Some(&outermost.key), end, own, &mut self.writer.random)?;
        self.writer.own_ends.insert(target(&key));
        Some(key)
    }

    /// Sets a vertex to a position, or with no numbers removes it.
    fn set(&mut self, segment: &Named<'_>, key: &str, to: &[f64]) {
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

fn vertices<'a, 'r>(line: &Line<'a, 'r>, dims: usize) -> Vec<Vertex<'a, 'r>> {
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
