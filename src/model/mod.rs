//! Features inside the CRDT: how a map lies in a Yjs document, how it is read and how it is edited.
//!
//! The format is `docs/map-document.md` ("map document format, version 1"). Everything shown is a function of the document
//! alone: two replicas with the same content show the same features and the same report. Nothing here reads a
//! clock, draws random bits by itself or performs IO; times and seeds come in as arguments.
//!
//! Start with [`MapView`] to read, [`Watch`] to follow a document, [`Editor`] to edit it by [`Operation`]s and
//! [`upsert`] to import many features at once.

mod blame;
mod changes;
mod diff;
mod edit;
mod edit_error;
mod editor;
mod entry;
mod feature;
mod geometry_edit;
mod id;
mod import;
mod input;
mod json;
mod key;
mod keys;
mod late;
mod layer;
mod line_edit;
mod moving;
mod naming;
mod note;
mod opening;
mod operate;
mod operation;
mod pack;
mod planning;
mod random;
mod read;
mod record;
mod report;
mod schema;
mod staging;
mod structure;
#[cfg(test)]
mod tests;
mod text;
mod undo;
mod upkeep;
mod upsert;
mod view;
mod writer;

pub use blame::{KeyedGeometry, KeyedSegment, KeyedVertex, PropertyBlame, Version};
pub use changes::{ChangeKind, Changes, FeatureChange};
pub use edit_error::EditError;
pub use editor::{Editor, Plan, Yielded};
pub use feature::{Edited, Feature, State};
pub use id::{Fid, Lid, SOURCE_ID_BYTES_MAX, Sid, SourceId};
pub use import::{
    FEATURES_PER_TRANSACTION, ImportError, ImportOptions, ImportReport, Progress,
    SKIPPED_NAMED_MAX, Skipped, upsert,
};
pub(crate) use input::Content;
pub use input::{InputFault, InputFeature, Place};
pub use json::{NESTING_MAX, canonical, nests_within, sorted};
pub use late::LatePlan;
pub use layer::Layer;
pub use moving::{Delta, Watch};
pub use note::{Attachment, Note};
pub use operation::{GeoJson, Operation, VertexMove, VertexName};
pub use pack::{pack, unpack};
pub use random::Random;
pub use report::{Problem, Target};
pub use schema::{
    FEATURES_MAX, FORMAT, NAME_BYTES_MAX, Root, VALUE_BYTES_MAX, VERSION, VERTICES_MAX, Who,
};
pub use undo::Undo;
pub use upkeep::PURGE_AFTER_S;
pub use view::MapView;
