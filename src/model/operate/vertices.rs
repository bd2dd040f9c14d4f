//! Moving, inserting and removing vertices.

use super::super::edit_error::EditError;
use super::super::key::End;
use super::super::line_edit::{Line, Vertex, VertexEdits, vertices};
use super::super::operation::{VertexMove, VertexName};
use super::super::planning::Planning;
use super::super::structure::Named;
use super::{check_not_a_point, check_position, segment, unknown_segment};
use crate::geometry::{Dims, Segment};

impl Planning<'_, '_> {
    pub(in crate::model) fn move_vertices(
        &mut self,
        fid: &str,
        moves: &[VertexMove],
    ) -> Result<(), EditError> {
        let first = moves.first().map_or("", |step| step.segment.as_str());
        self.edit_shape(
            fid,
            || unknown_segment(fid, first),
            |edits, shape, structure| {
                for VertexMove {
                    segment: name,
                    vertex,
                    position,
                } in moves
                {
                    let segment = segment(fid, name, structure)?;
                    let at = find(fid, segment, vertex, shape.dims())?.at;
                    check_position(position)?;
                    let kept = at.get(position.len()..).unwrap_or_default();
                    let to: Vec<f64> = position.iter().chain(kept).copied().collect();
                    let to = to.get(..shape.dims().numbers()).unwrap_or(&to);
                    edits.set(segment, vertex, to);
                }
                Ok(())
            },
        )
    }

    pub(in crate::model) fn remove_vertices(
        &mut self,
        fid: &str,
        names: &[VertexName],
    ) -> Result<(), EditError> {
        let first = names.first().map_or("", |name| name.segment.as_str());
        self.edit_shape(
            fid,
            || unknown_segment(fid, first),
            |edits, shape, structure| {
                for name in names {
                    let segment = segment(fid, &name.segment, structure)?;
                    find(fid, segment, &name.vertex, shape.dims())?;
                    check_not_a_point(shape.kind())?;
                    edits.set(segment, &name.vertex, &[]);
                }
                Ok(())
            },
        )
    }

    pub(in crate::model) fn insert_vertex(
        &mut self,
        fid: &str,
        name: &str,
        after: Option<&str>,
        before: Option<&str>,
        position: &[f64],
    ) -> Result<(), EditError> {
        let room = self.room_for(1);
        let key = self.edit_shape(
            fid,
            || unknown_segment(fid, name),
            |edits, shape, structure| {
                let segment = segment(fid, name, structure)?;
                check_not_a_point(shape.kind())?;
                check_position(position)?;
                room?;
                let inserting = Inserting {
                    fid,
                    segment,
                    all: all(segment, shape.dims()),
                    ring: shape.kind().has_rings(),
                };
                let key = inserting.key(edits, after, before, position)?;
                let key = key.ok_or(EditError::TooLarge {
                    what: "the digits of the vertex's key",
                    max: super::super::key::KEY_DIGITS_MAX as u64,
                    hint: "replace the geometry",
                })?;
                let to = position.get(..shape.dims().numbers()).unwrap_or(position);
                edits.set(segment, &key, to);
                Ok(key)
            },
        )?;
        self.yielded.key = Some(key);
        Ok(())
    }
}

/// A vertex on its way into a segment.
struct Inserting<'a, 'r> {
    fid: &'a str,
    segment: &'a Named<'r>,
    all: Vec<Vertex<'a, 'r>>,
    ring: bool,
}

impl Inserting<'_, '_> {
    /// The new key; `None` if there is no room for one.
    fn key(
        &self,
        edits: &mut VertexEdits<'_, '_, '_>,
        after: Option<&str>,
        before: Option<&str>,
        to: &[f64],
    ) -> Result<Option<String>, EditError> {
        let at = |key: Option<&str>| key.map(|key| self.index(key)).transpose();
        let (after, before) = (at(after)?, at(before)?);
        let last = self.all.len().checked_sub(1);
        let closing = |a: usize, b: usize| self.ring && Some(a) == last && b == 0;
        let (a, b) = match (after, before) {
            (Some(a), Some(b)) if a < b || closing(a, b) => (Some(a), Some(b)),
            (Some(_), Some(b)) => return Err(self.unknown(self.key_at(b))),
            (Some(a), None) if Some(a) == last => (Some(a), Some(0).filter(|_| self.ring)),
            (Some(a), None) => (Some(a), Some(a + 1)),
            (None, Some(0)) => (last.filter(|_| self.ring), Some(0)),
            (None, Some(b)) => (b.checked_sub(1), Some(b)),
            (None, None) => (last, Some(0).filter(|_| self.ring && last.is_some())),
        };
        let vertex = |index: Option<usize>| index.and_then(|index| self.all.get(index));
        Ok(match (vertex(a), vertex(b)) {
            // Both may be the one vertex of a ring.
            (Some(after), Some(before)) if a >= b => edits.key_after(after, None, Some(before), to),
            (Some(after), Some(before)) => edits.key_after(after, Some(before), None, to),
            (Some(after), None) => edits.open_end(after, End::Back),
            (None, Some(before)) => edits.open_end(before, End::Front),
            (None, None) => edits.beyond(self.segment, None, End::Back),
        })
    }

    fn index(&self, key: &str) -> Result<usize, EditError> {
        let found = self.all.iter().position(|vertex| vertex.key == key);
        found.ok_or_else(|| self.unknown(key))
    }

    fn key_at(&self, index: usize) -> &str {
        self.all.get(index).map_or("", |vertex| vertex.key.as_str())
    }

    fn unknown(&self, key: &str) -> EditError {
        unknown_vertex(self.fid, self.segment, key)
    }
}

fn unknown_vertex(fid: &str, segment: &Named<'_>, key: &str) -> EditError {
    EditError::UnknownVertex {
        fid: fid.to_owned(),
        segment: format!("{}.{}", segment.part, segment.segment),
        vertex: key.to_owned(),
    }
}

/// All vertices of a segment.
fn all<'a, 'r>(segment: &'a Named<'r>, dims: Dims) -> Vec<Vertex<'a, 'r>> {
    const NONE: &Segment = &Segment::new();
    let line = Line {
        segments: vec![segment],
        wanted: NONE,
    };
    vertices(&line, dims.numbers())
}

/// The vertex with this key.
fn find<'a, 'r>(
    fid: &str,
    segment: &'a Named<'r>,
    key: &str,
    dims: Dims,
) -> Result<Vertex<'a, 'r>, EditError> {
    let index = segment.index_of(key);
    let at = index.and_then(|index| segment.numbers.chunks_exact(dims.numbers()).nth(index));
    let vertex = at.map(|at| Vertex {
        segment,
        key: key.to_owned(),
        at,
    });
    vertex.ok_or_else(|| unknown_vertex(fid, segment, key))
}
