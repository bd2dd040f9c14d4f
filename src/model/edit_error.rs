//! Why an operation cannot be carried out.

use super::input::InputFault;
use super::schema::{FORMAT, VERSION};

/// What is wrong with an operation, or with the map that it is meant for. Nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is no such feature, or its record cannot be read.
    #[error("there is no feature {fid:?}: it may have another id, or not have arrived yet")]
    UnknownFeature {
        /// Its id.
        fid: String,
    },
    /// Somebody deleted the feature.
    #[error("the feature {fid:?} is deleted: restore it first")]
    DeletedFeature {
        /// Its id.
        fid: String,
    },
    /// Something has this id already.
    #[error("the id {id:?} is taken: choose another")]
    Exists {
        /// The id of a feature, note or attachment.
        id: String,
    },
    /// The feature's geometry has no such part or segment.
    #[error(
        "the feature {fid:?} has no part or segment {segment:?}: read its geometry again, it may have been replaced"
    )]
    UnknownSegment {
        /// The feature.
        fid: String,
        /// `P.S` or `P`.
        segment: String,
    },
    /// The segment has no such vertex, or vertices are not in the order that the operation says.
    #[error(
        "the segment {segment:?} of {fid:?} has no vertex {vertex:?} in this place: read its geometry again"
    )]
    UnknownVertex {
        /// The feature.
        fid: String,
        /// `P.S`
        segment: String,
        /// The vertex's key.
        vertex: String,
    },
    /// A position is not two or three finite numbers in range, or a place lies outside of a text.
    #[error("{what}: give longitude -180 to 180, latitude -90 to 90 and perhaps a height")]
    BadPosition {
        /// What is wrong with it.
        what: String,
    },
    /// A place in a text lies beyond its end.
    #[error("the text has {units} UTF-16 code units; {index} and {delete} more lie beyond its end")]
    BeyondText {
        /// The text's length.
        units: usize,
        /// Where the edit starts.
        index: usize,
        /// How many units it deletes.
        delete: usize,
    },
    /// A geometry is none, or the operation does not fit the feature's.
    #[error("bad geometry: {what}")]
    BadGeometry {
        /// What is wrong with it.
        what: String,
    },
    /// An id, name or value is not of the form that it must have.
    #[error("{name:?} cannot be {what}")]
    BadName {
        /// What was given.
        name: String,
        /// What it was given as, and what that must be.
        what: &'static str,
    },
    /// Something is larger than the format allows.
    #[error("{what} would exceed the limit of {max}: {hint}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        max: u64,
        /// What to do.
        hint: &'static str,
    },
    /// A value cannot be stored without loss.
    #[error("{fault}: {}", .fault.hint())]
    Value {
        /// What is wrong with it.
        fault: InputFault,
    },
    /// The document is of a later version of the format.
    #[error(
        "the map has format version {found}, this program writes up to {VERSION}: use a newer one"
    )]
    NewerVersion {
        /// What `meta.version` says.
        found: f64,
    },
    /// The document is something other than a map.
    #[error("the document's format is {found:?}, not {FORMAT:?}: open another map")]
    NotAMap {
        /// What `meta.format` says.
        found: String,
    },
    /// There is no such note, or it was removed.
    #[error("there is no note {nid:?}: it may have been removed")]
    UnknownNote {
        /// Its id.
        nid: String,
    },
    /// There is no such attachment or entry, or it was removed.
    #[error("there is no entry {entry:?}: read the conflict again, it may have been settled")]
    UnknownEntry {
        /// The attachment's id, or the key.
        entry: String,
    },
    /// What was given is no operation.
    #[error("this is no operation: {why}")]
    Malformed {
        /// What the reader said.
        why: String,
    },
}

impl EditError {
    /// The error's name, the same in every implementation.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownFeature { .. } | Self::DeletedFeature { .. } => "unknown_feature",
            Self::Exists { .. } => "feature_exists",
            Self::UnknownSegment { .. } => "unknown_segment",
            Self::UnknownVertex { .. } => "unknown_vertex",
            Self::BadPosition { .. } | Self::BeyondText { .. } => "bad_position",
            Self::BadGeometry { .. } => "bad_geometry",
            Self::BadName { .. } => "bad_name",
            Self::Value { fault } => match fault {
                InputFault::PropertyName { .. } | InputFault::LongId { .. } => "bad_name",
                _ => "too_large",
            },
            Self::TooLarge { .. } => "too_large",
            Self::NewerVersion { .. } => "newer_version",
            Self::NotAMap { .. } => "not_a_map",
            Self::UnknownNote { .. } => "unknown_note",
            Self::UnknownEntry { .. } => "unknown_entry",
            Self::Malformed { .. } => "bad_operation",
        }
    }

    pub(super) fn position(what: impl Into<String>) -> Self {
        Self::BadPosition { what: what.into() }
    }

    pub(super) fn geometry(what: impl Into<String>) -> Self {
        Self::BadGeometry { what: what.into() }
    }

    pub(super) fn name(name: impl Into<String>, what: &'static str) -> Self {
        Self::BadName {
            name: name.into(),
            what,
        }
    }
}

impl From<InputFault> for EditError {
    fn from(fault: InputFault) -> Self {
        Self::Value { fault }
    }
}
