//! A map, or a part of it, as a file.

use std::io::{self, Write};

use super::Format;
use super::geojson::write_collection;
use super::geojsonseq::write_sequence;
use crate::geometry::BBox;
use crate::model::{Feature, MapView};

/// Which features to write; all of them by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportFilter {
    /// Only features of the layer with this name or id.
    pub layer: Option<String>,
    /// Only features whose geometry has a point in this area.
    pub bbox: Option<BBox>,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// Features written.
    pub features: u64,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output took no more.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
    /// There is no such layer.
    #[error("there is no layer {wanted:?}; {}", layers(.known))]
    UnknownLayer {
        /// What was asked for.
        wanted: String,
        /// Names of the layers that there are.
        known: Vec<String>,
    },
}

/// Writes the features that show, in order of their ids in the document. The bytes depend on the content alone.
/// `out` should be buffered.
///
/// # Errors
/// When the layer is unknown, before anything is written, or when `out` fails.
pub fn export(
    view: &MapView,
    format: Format,
    filter: &ExportFilter,
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
    let features = view.features().filter(wanted);
    let features = match format {
        Format::GeoJson => write_collection(features, out)?,
        Format::GeoJsonSeq => write_sequence(features, out)?,
    };
    Ok(ExportReport { features })
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
