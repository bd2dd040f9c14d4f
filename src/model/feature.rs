//! A feature as people see it.

use serde_json::{Map, Value};

use super::id::SourceId;
use crate::geometry::Geometry;

/// A feature of a map, read from the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its key in the document.
    pub fid: String,
    /// The id that it came with, where that differs from `fid`.
    pub id: Option<SourceId>,
    /// Its geometry, if it has one that can be shown.
    pub geometry: Option<Geometry>,
    /// Its properties, canonical and sorted by name.
    pub properties: Map<String, Value>,
    /// Foreign members of the GeoJSON feature that it was made from, sorted by name.
    pub members: Map<String, Value>,
    /// Id of its layer, or `""`.
    pub layer: String,
    /// Live or contested.
    pub state: State,
    /// When and in which session it was made.
    pub created: Edited,
    /// When and in which session it was last edited.
    pub changed: Edited,
}

impl Feature {
    /// The id for the world outside: as it came in, else the document's.
    #[must_use]
    pub fn id_value(&self) -> Value {
        self.id
            .as_ref()
            .map_or_else(|| Value::String(self.fid.clone()), SourceId::to_value)
    }
}

/// Whether a feature shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody deleted it.
    Live,
    /// Deleted, and nobody edited it without knowing.
    Deleted,
    /// One deleted what another edited: it shows, for somebody to decide.
    Contested,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Deleted => "deleted",
            Self::Contested => "contested",
        }
    }
}

/// When somebody wrote something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Seconds since 1970-01-01 UTC by the writer's clock.
    pub t: u64,
    /// The writer's session.
    pub sid: String,
}
