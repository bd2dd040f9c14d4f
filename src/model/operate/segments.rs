//! Adding and removing rings, lines and parts, and recording tracks.

use std::sync::Arc;

use yrs::Any;

use super::super::edit_error::EditError;
use super::super::line_edit::VertexEdits;
use super::super::naming::Names;
use super::super::pack::pack;
use super::super::planning::Planning;
use super::super::schema::Root;
use super::super::structure::{Named, Structure};
use super::super::writer::remove_all;
use super::{check_not_a_point, numbers, segment, unknown_segment};
use crate::geometry::{Dims, Kind, Segment};

impl Planning<'_, '_> {
    pub(in crate::model) fn add_segment(
        &mut self,
        fid: &str,
        part: Option<&str>,
        coordinates: &[Vec<f64>],
    ) -> Result<(), EditError> {
        self.add(fid, part, coordinates, |kind| {
            check_not_a_point(kind)?;
            Ok(match kind {
                Kind::Polygon | Kind::MultiPolygon => 3,
                // A further piece of a line is not alone.
                Kind::LineString | Kind::MultiLineString if part.is_none() => 2,
                _ => 1,
            })
        })
    }

    pub(in crate::model) fn record_track(
        &mut self,
        fid: &str,
        coordinates: &[Vec<f64>],
    ) -> Result<(), EditError> {
        self.add(fid, Some("0"), coordinates, |kind| match kind {
            Kind::LineString | Kind::MultiLineString => Ok(1),
            other => Err(EditError::geometry(format!(
                "a track is recorded into a line, not into a {}",
                other.name()
            ))),
        })
    }

    /// Adds a segment; `least` says how many vertices it must have in a geometry of a kind.
    fn add(
        &mut self,
        fid: &str,
        part: Option<&str>,
        coordinates: &[Vec<f64>],
        least: impl FnOnce(Kind) -> Result<usize, EditError>,
    ) -> Result<(), EditError> {
        let room = self.room_for(coordinates.len());
        let none = || EditError::geometry("the feature has no shape to add to: give it a geometry");
        let name = self.edit_shape(fid, none, |edits, shape, structure| {
            let least = least(shape.kind())?;
            let (ring, dims) = (shape.kind().has_rings(), shape.dims());
            let numbers = numbers(coordinates, dims, ring)?;
            let count = numbers.len() / dims.numbers();
            if count < least {
                return Err(EditError::geometry(format!(
                    "{count} positions are given, at least {least} are needed"
                )));
            }
            room?;
            let names = names(edits, structure, part)?;
            let (part, name) = names.ok_or(EditError::TooLarge {
                what: "the number of the segment's key",
                max: super::super::key::IMPLICIT_KEYS_MAX,
                hint: "replace the geometry",
            })?;
            edits.add_segment(&part, &name, &numbers, dims);
            Ok(format!("{part}.{name}"))
        })?;
        self.yielded.segment = Some(name);
        Ok(())
    }

    pub(in crate::model) fn remove_segment(
        &mut self,
        fid: &str,
        name: &str,
    ) -> Result<(), EditError> {
        self.edit_shape(
            fid,
            || unknown_segment(fid, name),
            |edits, shape, structure| {
                let segment = segment(fid, name, structure)?;
                check_not_a_point(shape.kind())?;
                edits.remove_segment(segment);
                Ok(())
            },
        )
    }
}

/// The part and the name of a segment to add; `None` if there is no room for a key.
fn names(
    edits: &mut VertexEdits<'_, '_, '_>,
    structure: &Structure<'_>,
    part: Option<&str>,
) -> Result<Option<(String, String)>, EditError> {
    let mut names = Names::new(edits.fid, edits.generation, structure);
    let Some(part) = part else {
        let part = names.part(edits.writer);
        return Ok(part.map(|part| (part, "0".to_owned())));
    };
    if !structure.iter().flatten().any(|named| named.part == part) {
        return Err(unknown_segment(edits.fid, part));
    }
    let name = names.segment(edits.writer, part);
    Ok(name.map(|name| (part.to_owned(), name)))
}

impl VertexEdits<'_, '_, '_> {
    /// Adds a segment under names that nothing has.
    pub(in crate::model) fn add_segment(
        &mut self,
        part: &str,
        name: &str,
        numbers: &Segment,
        dims: Dims,
    ) {
        let packed: Arc<[u8]> = pack(dims, &[vec![numbers.clone()]]).into();
        let target = format!("{}/{part}.{name}", self.generation);
        self.edits.extend(self.writer.set_target(
            Root::Part,
            self.fid,
            &target,
            self.overlays,
            vec![Any::Buffer(packed)],
        ));
    }

    /// Removes a segment and what was edited in it.
    pub(in crate::model) fn remove_segment(&mut self, segment: &Named<'_>) {
        let target = segment.target(self.generation);
        let prefix = format!("{target}.");
        for (target, slot) in self.overlays.targets_from(Root::Vert, &prefix) {
            self.edits
                .extend(remove_all(Root::Vert, self.fid, target, slot));
        }
        // A base segment shows only while nothing well-formed stands in its place.
        let slot = self.overlays.slot(Root::Part, &target);
        let edits = match slot.filter(|slot| !slot.entries.is_empty()) {
            Some(slot) => remove_all(Root::Part, self.fid, &target, slot),
            None => {
                self.writer
                    .set_target(Root::Part, self.fid, &target, self.overlays, Vec::new())
            }
        };
        self.edits.extend(edits);
    }
}
