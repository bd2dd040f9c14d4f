//! A map, or a part of it, as a file.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use serde_json::Value;

use super::Format;
use super::antimeridian;
use super::geojson::write_collection;
use super::geojsonseq::write_sequence;
use super::table::{one_table, tables};
use super::{csv, fgb, gpkg, gpx, kml};
use crate::geometry::{BBox, Geometry, Shape, json_number};
use crate::model::{Feature, MapView};

/// Which features to write; all of them by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportFilter {
    /// Only features of the layer with this name or id.
    pub layer: Option<String>,
    /// Only features whose geometry has a point in this area.
    pub bbox: Option<BBox>,
}

/// How to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Decimals of coordinates, heights included; all of them if not given. At most [`PRECISION_MAX`].
    pub precision: Option<u8>,
    /// Whether GeoJSON says the box around each feature and around the collection (RFC 7946 §5).
    pub with_bbox: bool,
}

/// Decimals that can be asked for, at most: a double in degrees has no more.
pub const PRECISION_MAX: u8 = 15;

/// What an export wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// Features written.
    pub features: u64,
    /// Features left out because the format cannot hold their geometry.
    pub left_out: u64,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output took no more.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
    /// The format is for reading only.
    #[error("{} files are read, not written: write gpkg instead", .format.name())]
    ReadOnly {
        /// What was asked for.
        format: Format,
    },
    /// There is no such layer.
    #[error("there is no layer {wanted:?}; {}", layers(.known))]
    UnknownLayer {
        /// What was asked for.
        wanted: String,
        /// Names of the layers that there are.
        known: Vec<String>,
    },
}

/// As [`export_with`], with nothing but what the format asks for.
///
/// # Errors
/// As [`export_with`].
pub fn export(
    view: &MapView,
    format: Format,
    filter: &ExportFilter,
    out: &mut dyn Write,
) -> Result<ExportReport, ExportError> {
    export_with(view, format, filter, ExportOptions::default(), out)
}

/// Writes the features that show, in order of their ids in the document. The bytes depend on the content alone.
/// Rings are turned as RFC 7946 §3.1.6 says. `out` should be buffered.
///
/// # Errors
/// When the layer is unknown, before anything is written, or when `out` fails.
pub fn export_with(
    view: &MapView,
    format: Format,
    filter: &ExportFilter,
    options: ExportOptions,
    out: &mut dyn Write,
) -> Result<ExportReport, ExportError> {
    let lids = match &filter.layer {
        None => None,
        Some(wanted) => Some(resolve(view, wanted)?),
    };
    let wanted = |feature: &Feature| {
        let in_layer = lids
            .as_ref()
            .is_none_or(|lids| lids.contains(&feature.layer));
        let in_area = || {
            filter.bbox.is_none_or(|area| {
                feature
                    .geometry
                    .as_ref()
                    .is_some_and(|shape| shape.intersects(&area))
            })
        };
        in_layer && in_area()
    };
    let features = || {
        let mut ids = HashSet::new();
        let features = view.features().filter(wanted);
        features.map(move |feature| distinct(prepared(feature, format, options), &mut ids))
    };
    let mut left_out = 0;
    let written = match format {
        Format::GeoJson => write_collection(&features, options, out)?,
        Format::GeoJsonSeq => write_sequence(features(), options, out)?,
        Format::Csv | Format::Kml | Format::Kmz => {
            let mut ids = HashSet::new();
            let mut feature = |fid: &str| {
                let feature = prepared(view.feature(fid)?, format, options);
                Some(distinct(feature, &mut ids))
            };
            let write = match format {
                Format::Csv => csv::write,
                Format::Kml => kml::write,
                _ => kml::write_packed,
            };
            write(&tables(view, features()), &mut feature, out)?
        }
        Format::GeoPackage => {
            let mut feature = |fid: &str| Some(prepared(view.feature(fid)?, format, options));
            gpkg::write(
                &tables(view, view.features().filter(wanted)),
                &mut feature,
                out,
            )?
        }
        Format::FlatGeobuf => {
            let mut feature = |fid: &str| Some(prepared(view.feature(fid)?, format, options));
            let table = one_table(view, view.features().filter(wanted));
            fgb::write(&table, &mut feature, out)?
        }
        Format::Shapefile => return Err(ExportError::ReadOnly { format }),
        Format::Gpx => {
            let written = gpx::write(&features, out)?;
            left_out = written.left_out;
            written.features
        }
    };
    Ok(ExportReport {
        features: written,
        left_out,
    })
}

/// The feature under its document's id, where another one in the file has its original id already, as rows of two
/// layers may.
fn distinct(mut feature: Feature, ids: &mut HashSet<u64>) -> Feature {
    let mut hasher = DefaultHasher::new();
    feature.id_value().to_string().hash(&mut hasher);
    if !ids.insert(hasher.finish()) {
        feature.id = None;
    }
    feature
}

/// The feature with its geometry as the format and the options want it.
fn prepared(mut feature: Feature, format: Format, options: ExportOptions) -> Feature {
    if let Some(Geometry::Shape(shape)) = &mut feature.geometry {
        let across = match format {
            Format::GeoJson | Format::GeoJsonSeq => antimeridian::cut(shape),
            _ => None,
        };
        if let Some(cut) = across {
            *shape = cut;
        }
        if let Some(wound) = shape.wound() {
            *shape = wound;
        }
    }
    if let Some(decimals) = options.precision {
        feature.geometry = feature.geometry.map(|geometry| rounded(geometry, decimals));
    }
    feature
}

/// The geometry with every number rounded to so many decimals.
fn rounded(geometry: Geometry, decimals: u8) -> Geometry {
    let power = 10_f64.powi(i32::from(decimals.min(PRECISION_MAX)));
    let round = |number: f64| {
        let scaled = number * power;
        if scaled.is_finite() {
            scaled.round() / power
        } else {
            number
        }
    };
    match geometry {
        Geometry::Shape(shape) => {
            let mut parts = shape.parts().to_vec();
            parts
                .iter_mut()
                .flatten()
                .flatten()
                .for_each(|number| *number = round(*number));
            let rounded = Shape::new(shape.kind(), shape.dims(), parts);
            Geometry::Shape(rounded.unwrap_or(shape))
        }
        Geometry::Other(mut value) => {
            let mut waiting = vec![&mut value];
            while let Some(value) = waiting.pop() {
                match value {
                    Value::Number(number) => {
                        *number = json_number(round(number.as_f64().unwrap_or_default()));
                    }
                    Value::Array(items) => waiting.extend(items),
                    Value::Object(members) => waiting.extend(members.values_mut()),
                    _ => {}
                }
            }
            Geometry::Other(value)
        }
    }
}

/// The layers with this name; if there is none, the one with this id.
fn resolve(view: &MapView, wanted: &str) -> Result<Vec<String>, ExportError> {
    match view.layers_called(wanted) {
        found if found.is_empty() => {
            let known = view.layers().map(|layer| layer.title().to_owned());
            Err(ExportError::UnknownLayer {
                wanted: wanted.to_owned(),
                known: known.collect(),
            })
        }
        found => Ok(found),
    }
}

fn layers(known: &[String]) -> String {
    if known.is_empty() {
        "the map has no layers".to_owned()
    } else {
        format!("the layers are: {}", known.join(", "))
    }
}
