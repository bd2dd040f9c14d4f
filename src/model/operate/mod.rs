//! What each operation writes (`map-document` §7 to §9), planned against a view.

mod features;
mod notes;
mod segments;
mod settle;
mod values;
mod vertices;

use super::edit_error::EditError;
use super::entry::Overlays;
use super::feature::State;
use super::line_edit::VertexEdits;
use super::planning::Planning;
use super::read;
use super::record::Record;
use super::schema::VERTICES_MAX;
use super::structure::{Current, Named, Structure, structure};
use crate::geometry::{Dims, Kind, Position, SEGMENT_VERTICES_MAX, Shape};

/// A feature that shows.
pub(super) struct Known<'v> {
    pub(super) record: Record,
    pub(super) overlays: Overlays<'v>,
}

impl<'v> Planning<'v, '_> {
    /// A feature that may be edited.
    fn known(&self, fid: &str) -> Result<Known<'v>, EditError> {
        let known = self.any(fid)?;
        if read::state(&known.overlays) == State::Deleted {
            return Err(EditError::DeletedFeature {
                fid: fid.to_owned(),
            });
        }
        Ok(known)
    }

    /// A feature, deleted or not.
    fn any(&self, fid: &str) -> Result<Known<'v>, EditError> {
        let record = self.view.record(fid);
        let record = record.ok_or_else(|| EditError::UnknownFeature {
            fid: fid.to_owned(),
        })?;
        Ok(Known {
            record,
            overlays: self.view.overlays(fid),
        })
    }

    /// Edits segments and vertices of a feature; `missing` where it has none that can be edited.
    fn edit_shape<T>(
        &mut self,
        fid: &str,
        missing: impl FnOnce() -> EditError,
        act: impl FnOnce(&mut VertexEdits<'_, '_, '_>, &Shape, &Structure<'_>) -> Result<T, EditError>,
    ) -> Result<T, EditError> {
        let Known { record, overlays } = self.known(fid)?;
        let current = Current::of(&record, &overlays);
        let shape = current.shape().ok_or_else(missing)?;
        let structure = structure(&current, &shape, &overlays);
        let mut edits = VertexEdits {
            writer: &mut *self.writer,
            fid,
            generation: current.generation,
            overlays: &overlays,
            edits: Vec::new(),
        };
        let done = act(&mut edits, &shape, &structure)?;
        let edits = edits.edits;
        self.edits.extend(edits);
        Ok(done)
    }

    /// Checks that the map may have so many vertices more.
    fn room_for(&self, vertices: usize) -> Result<(), EditError> {
        if vertices > SEGMENT_VERTICES_MAX {
            return Err(EditError::TooLarge {
                what: "the line or ring",
                max: SEGMENT_VERTICES_MAX as u64,
                hint: "simplify it, or split it",
            });
        }
        if self.vertices.saturating_add(vertices as u64) > VERTICES_MAX {
            return Err(EditError::TooLarge {
                what: "the map's vertices",
                max: VERTICES_MAX,
                hint: "simplify, or use several maps",
            });
        }
        Ok(())
    }
}

/// The segment that is called `P.S`.
fn segment<'a, 'r>(
    fid: &str,
    name: &str,
    structure: &'a Structure<'r>,
) -> Result<&'a Named<'r>, EditError> {
    let names = name.split_once('.');
    let is = |named: &&Named<'_>| names == Some((&*named.part, &*named.segment));
    let found = structure.iter().flatten().find(is);
    found.ok_or_else(|| unknown_segment(fid, name))
}

fn unknown_segment(fid: &str, segment: &str) -> EditError {
    EditError::UnknownSegment {
        fid: fid.to_owned(),
        segment: segment.to_owned(),
    }
}

/// Checks a position: two or three finite numbers in range.
fn check_position(numbers: &[f64]) -> Result<(), EditError> {
    let (lon, lat, height) = match numbers {
        [lon, lat] => (lon, lat, None),
        [lon, lat, height] => (lon, lat, Some(*height)),
        _ => {
            let count = numbers.len();
            return Err(EditError::position(format!(
                "a position has {count} numbers"
            )));
        }
    };
    match Position::new(*lon, *lat, height) {
        Ok(_) => Ok(()),
        Err(error) => Err(EditError::position(error.to_string())),
    }
}

/// Checked positions as the numbers of a segment: missing heights 0, surplus ones dropped; of a ring that is given
/// closed the last position is left out.
fn numbers(positions: &[Vec<f64>], dims: Dims, ring: bool) -> Result<Vec<f64>, EditError> {
    let mut numbers = Vec::with_capacity(positions.len() * dims.numbers());
    for position in positions {
        check_position(position)?;
        let with_height = position.iter().copied().chain(std::iter::repeat(0.0));
        numbers.extend(with_height.take(dims.numbers()));
    }
    let last = numbers.len().saturating_sub(dims.numbers());
    if ring && last > 0 && numbers.get(..dims.numbers()) == numbers.get(last..) {
        numbers.truncate(last);
    }
    Ok(numbers)
}

/// A point has one vertex, neither more nor less.
fn check_not_a_point(kind: Kind) -> Result<(), EditError> {
    if kind == Kind::Point {
        return Err(EditError::geometry(
            "a point has exactly one vertex: move it, or replace the geometry",
        ));
    }
    Ok(())
}
