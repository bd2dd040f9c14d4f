//! Creating, deleting, splitting and merging features, and giving them other geometries.

use serde_json::{Map, Value};
use yrs::Any;

use super::super::edit_error::EditError;
use super::super::feature::State;
use super::super::geometry_edit::{self, Precision};
use super::super::id::{Fid, Lid};
use super::super::input::Content;
use super::super::json::number_any;
use super::super::operation::GeoJson;
use super::super::planning::Planning;
use super::super::read;
use super::super::record::{GENERATION, Record};
use super::super::schema::{FEATURES_MAX, Root};
use super::super::structure::Current;
use super::super::writer::{Writer, create, stored};
use super::Known;
use crate::geometry::Geometry;

impl Planning<'_, '_> {
    pub(in crate::model) fn create(
        &mut self,
        fid: &str,
        geometry: &GeoJson,
        properties: &Map<String, Value>,
        layer: &str,
    ) -> Result<(), EditError> {
        let form = "a feature's id: 1 to 64 letters, digits, _ or -";
        Fid::parse(fid).ok_or_else(|| EditError::name(fid, form))?;
        check_layer(layer)?;
        let content = Content {
            properties: properties.clone(),
            ..Content::default()
        };
        self.create_record(
            fid,
            geometry.0.as_ref(),
            &content.checked()?.properties,
            layer,
        )
    }

    /// Creates a feature of checked parts.
    fn create_record(
        &mut self,
        fid: &str,
        geometry: Option<&Geometry>,
        properties: &Map<String, Value>,
        layer: &str,
    ) -> Result<(), EditError> {
        if self.view.feats.contains_key(fid) {
            return Err(EditError::Exists { id: fid.to_owned() });
        }
        self.count(geometry)?;
        let (kind, coords) = stored(geometry);
        let record = Record {
            t: self.writer.now(),
            sid: self.writer.sid.as_str().into(),
            kind,
            coords,
            props: serde_json::to_string(properties).unwrap_or_default().into(),
            lid: layer.into(),
            generation: GENERATION.into(),
            id: None,
        };
        self.edits.push(create(fid, &record));
        Ok(())
    }

    /// Counts a new feature against the limits of a map.
    pub(in crate::model) fn count(&mut self, geometry: Option<&Geometry>) -> Result<(), EditError> {
        self.room_for_geometry(geometry)?;
        self.features += 1;
        self.vertices += geometry.map_or(0, |geometry| geometry.vertex_count() as u64);
        if self.features as u64 > FEATURES_MAX {
            return Err(EditError::TooLarge {
                what: "the map's features",
                max: FEATURES_MAX,
                hint: "use several maps",
            });
        }
        Ok(())
    }

    /// Reading GeoJSON bounds each segment; this bounds the map.
    fn room_for_geometry(&self, geometry: Option<&Geometry>) -> Result<(), EditError> {
        let vertices = geometry.map_or(0, Geometry::vertex_count);
        self.room_for(vertices.min(crate::geometry::SEGMENT_VERTICES_MAX))
    }

    pub(in crate::model) fn replace_geometry(
        &mut self,
        fid: &str,
        geometry: &GeoJson,
    ) -> Result<(), EditError> {
        let Known { record, overlays } = self.known(fid)?;
        self.room_for_geometry(geometry.0.as_ref())?;
        let current = Current::of(&record, &overlays);
        let edits = self
            .writer
            .replace(fid, &current, &overlays, geometry.0.as_ref());
        self.edits.extend(edits);
        Ok(())
    }

    pub(in crate::model) fn change_geometry(
        &mut self,
        fid: &str,
        geometry: &GeoJson,
    ) -> Result<(), EditError> {
        let Known { record, overlays } = self.known(fid)?;
        let wanted = geometry.0.as_ref();
        self.room_for_geometry(wanted)?;
        let precision = Precision::Rounded;
        let edits = geometry_edit::edits(self.writer, fid, &record, &overlays, wanted, precision);
        self.edits.extend(edits);
        Ok(())
    }

    pub(in crate::model) fn delete(&mut self, fid: &str) -> Result<(), EditError> {
        let overlays = self.any(fid)?.overlays;
        if read::state(&overlays) != State::Deleted {
            let seen = vec![number_any(overlays.seen() as f64)];
            let edits = self.writer.set_target(Root::Gone, fid, "", &overlays, seen);
            self.edits.extend(edits);
        }
        Ok(())
    }

    pub(in crate::model) fn restore(&mut self, fid: &str) -> Result<(), EditError> {
        let overlays = self.any(fid)?.overlays;
        self.edits.extend(Writer::restore(fid, &overlays));
        Ok(())
    }

    pub(in crate::model) fn split(
        &mut self,
        fid: &str,
        geometries: &[GeoJson],
        fids: &[String],
    ) -> Result<(), EditError> {
        let Known { record, overlays } = self.known(fid)?;
        let Some((first, others)) = geometries
            .split_first()
            .filter(|(_, others)| others.len() == fids.len() && !others.is_empty())
        else {
            return Err(EditError::geometry(
                "a split needs one geometry for the feature and one for each new id",
            ));
        };
        let properties = read::properties(&record, &overlays);
        let layer = read::layer(&record, &overlays);
        self.replace_geometry(fid, first)?;
        for (at, (new, geometry)) in fids.iter().zip(others).enumerate() {
            let form = "a feature's id: 1 to 64 letters, digits, _ or -";
            Fid::parse(new).ok_or_else(|| EditError::name(new, form))?;
            if fids.iter().take(at).any(|before| before == new) {
                return Err(EditError::Exists { id: new.clone() });
            }
            self.create_record(new, geometry.0.as_ref(), &properties, &layer)?;
            let overlays = self.view.overlays(new);
            let from = vec![Any::from(fid)];
            let edits = self
                .writer
                .set_target(Root::Attr, new, "from", &overlays, from);
            self.edits.extend(edits);
        }
        Ok(())
    }

    pub(in crate::model) fn merge(
        &mut self,
        fid: &str,
        others: &[String],
        geometry: &GeoJson,
    ) -> Result<(), EditError> {
        self.replace_geometry(fid, geometry)?;
        for (at, other) in others.iter().enumerate() {
            if other == fid || others.iter().take(at).any(|before| before == other) {
                return Err(EditError::name(other, "merged into itself, or twice"));
            }
            let overlays = self.known(other)?.overlays;
            let into = vec![Any::from(fid)];
            let edits = self
                .writer
                .set_target(Root::Attr, other, "into", &overlays, into);
            // What the deletion has seen includes this.
            let mut after = self.view.excerpt([other.as_str()]);
            after.stage(&edits);
            let overlays = after.overlays(other);
            let seen = vec![number_any(overlays.seen() as f64)];
            let deletion = self
                .writer
                .set_target(Root::Gone, other, "", &overlays, seen);
            self.edits.extend(edits.into_iter().chain(deletion));
        }
        Ok(())
    }
}

/// Checks a layer's id, or the empty text that means none.
pub(super) fn check_layer(layer: &str) -> Result<(), EditError> {
    if layer.is_empty() || Lid::parse(layer).is_some() {
        return Ok(());
    }
    let form = "a layer's id: 1 to 64 letters, digits, _ or -";
    Err(EditError::name(layer, form))
}
