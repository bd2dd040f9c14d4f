//! Which features are asked for, and how little has to be read to tell.

use serde_json::Value;

use crate::geometry::{Area, BBox, Geometry};
use crate::model::{Feature, MapView};

/// Conditions on features; all that are set have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The geometry has a point in this area, which may cross the antimeridian; borders count.
    pub bbox: Option<BBox>,
    /// The geometry has a point in common with this one.
    pub intersects: Option<Geometry>,
    /// Whether features without geometry match places too, as OGC API - Features Part 1 §7.15.3 wants.
    pub placeless_too: bool,
    /// In the layer with this name, or if there is none, with this id.
    pub layer: Option<String>,
    /// With this id in the source or in the document.
    pub id: Option<String>,
    /// With these properties.
    pub properties: Vec<PropertyFilter>,
}

/// A property and the value that it has to have.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyFilter {
    /// The property.
    pub name: String,
    /// The text that it has to be …
    pub text: String,
    /// … or what that text stands for in JSON: a number, a truth value, or null for none.
    pub value: Option<Value>,
}

/// A filter that cannot be applied to this map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// There is no such layer.
    #[error("there is no layer {wanted:?}; {}", if .known.is_empty() { "the map has no layers".to_owned() } else { format!("the layers are: {}", .known.join(", ")) })]
    UnknownLayer {
        /// What was asked for.
        wanted: String,
        /// Names of the layers that there are.
        known: Vec<String>,
    },
}

/// A filter with its names resolved.
pub(super) struct Wanted<'a> {
    filter: &'a Filter,
    /// Ids of the layers asked for.
    layers: Option<Vec<String>>,
    /// Around what `intersects` asks for.
    around: Option<BBox>,
    /// What `intersects` asks for, prepared once for all that is compared with it.
    meeting: Option<Area>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(filter: &'a Filter, view: &MapView) -> Result<Self, FilterError> {
        let layers = match &filter.layer {
            None => None,
            Some(wanted) => match view.layers_called(wanted) {
                found if found.is_empty() => {
                    let known = view
                        .layers()
                        .map(|layer| layer.title().to_owned())
                        .collect();
                    let wanted = wanted.clone();
                    return Err(FilterError::UnknownLayer { wanted, known });
                }
                found => Some(found),
            },
        };
        Ok(Self {
            filter,
            layers,
            around: filter.intersects.as_ref().and_then(Geometry::bbox),
            meeting: filter.intersects.as_ref().map(Area::new),
        })
    }

    pub(super) fn is_everything(&self) -> bool {
        *self.filter == Filter::default()
    }

    /// An area outside of which nothing matches.
    pub(super) fn area(&self) -> Option<BBox> {
        self.filter.bbox.or(self.around)
    }

    pub(super) fn layer(&self, layer: &str) -> bool {
        self.layers
            .as_ref()
            .is_none_or(|layers| layers.iter().any(|lid| lid == layer))
    }

    /// Whether the place matches, by its box: `None` it does not, `Some(true)` it does, `Some(false)` the geometry
    /// has to be looked at.
    pub(super) fn place(&self, bbox: Option<&BBox>, is_point: bool) -> Option<bool> {
        let Filter {
            bbox: area,
            intersects,
            placeless_too,
            ..
        } = self.filter;
        if area.is_none() && intersects.is_none() {
            return Some(true);
        }
        let Some(bbox) = bbox else {
            return placeless_too.then_some(true);
        };
        let mut decided = true;
        if let Some(area) = area {
            if !area.intersects(bbox) {
                return None;
            }
            decided &= is_point || area.covers(bbox);
        }
        if intersects.is_some() {
            if !self.around.is_some_and(|around| around.intersects(bbox)) {
                return None;
            }
            decided = false;
        }
        Some(decided)
    }

    /// Whether more than box and layer decides.
    pub(super) fn reads_content(&self) -> bool {
        self.filter.id.is_some() || !self.filter.properties.is_empty()
    }

    /// Whether what has to be read matches; the place too unless that is decided.
    pub(super) fn content(&self, feature: &Feature, place_decided: bool) -> bool {
        let Filter {
            bbox,
            id,
            properties,
            ..
        } = self.filter;
        let place = || {
            place_decided
                || feature.geometry.as_ref().is_some_and(|geometry| {
                    bbox.is_none_or(|area| geometry.intersects(&area))
                        && self
                            .meeting
                            .as_ref()
                            .is_none_or(|area| area.meets(geometry))
                })
        };
        let id = id.as_ref().is_none_or(|id| {
            feature.fid == *id
                || feature
                    .id
                    .as_ref()
                    .is_some_and(|source| source.to_string() == *id)
        });
        id && properties.iter().all(|property| property.holds(feature)) && place()
    }
}

impl PropertyFilter {
    /// Whether the feature has it. A number is the same however it is written; a property that is absent is null.
    fn holds(&self, feature: &Feature) -> bool {
        match feature.properties.get(&self.name) {
            Some(Value::String(text)) => *text == self.text,
            present => {
                let present = present.unwrap_or(&Value::Null);
                self.value.as_ref().is_some_and(|wanted| {
                    wanted == present
                        || wanted
                            .as_f64()
                            .zip(present.as_f64())
                            .is_some_and(|(a, b)| a == b)
                })
            }
        }
    }
}
