//! What an index is asked about: one box or several.

use crate::geometry::{Area, BBox};

/// A few boxes, none of which crosses the antimeridian. They may overlap.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    boxes: Vec<BBox>,
}

impl From<BBox> for Region {
    /// A box across the antimeridian becomes its two halves.
    fn from(bbox: BBox) -> Self {
        Self {
            boxes: bbox.halves().into_iter().flatten().collect(),
        }
    }
}

impl From<&Area> for Region {
    /// The boxes that hold the area; ask [`Area::meets`] about each feature that is found there.
    fn from(area: &Area) -> Self {
        Self {
            boxes: area.boxes(),
        }
    }
}

impl Region {
    /// Whether a feature's box meets the region, borders included.
    #[must_use]
    pub fn meets(&self, bbox: &BBox) -> bool {
        self.first_met(bbox).is_some()
    }

    pub(super) fn boxes(&self) -> &[BBox] {
        &self.boxes
    }

    /// The number of the first box that meets `bbox`.
    pub(super) fn first_met(&self, bbox: &BBox) -> Option<usize> {
        self.boxes.iter().position(|mine| mine.intersects(bbox))
    }
}
