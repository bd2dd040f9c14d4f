//! One operation on its way to edits: what it is about, and which function plans it.

use super::edit::Edit;
use super::edit_error::EditError;
use super::editor::Yielded;
use super::moving::Keyed;
use super::operation::Operation;
use super::view::MapView;
use super::writer::Writer;

/// Planning one operation against a view.
pub(super) struct Planning<'v, 'w> {
    pub(super) view: &'v MapView,
    pub(super) writer: &'w mut Writer,
    pub(super) edits: Vec<Edit>,
    pub(super) yielded: Yielded,
    /// Records that the map will have.
    pub(super) features: usize,
    /// Base vertices that the map will have.
    pub(super) vertices: u64,
}

impl<'v, 'w> Planning<'v, 'w> {
    pub(super) fn new(view: &'v MapView, writer: &'w mut Writer) -> Self {
        Self {
            view,
            writer,
            edits: Vec::new(),
            yielded: Yielded::default(),
            features: view.feats.len(),
            vertices: view.vertices,
        }
    }

    /// Plans an operation upon what is planned already.
    pub(super) fn operation(&mut self, operation: &Operation) -> Result<(), EditError> {
        use Operation as O;
        match operation {
            O::Create {
                fid,
                geometry,
                properties,
                layer,
            } => self.create(fid, geometry, properties, layer),
            O::MoveVertices { fid, moves } => self.move_vertices(fid, moves),
            O::InsertVertex {
                fid,
                segment,
                after,
                before,
                position,
            } => self.insert_vertex(fid, segment, after.as_deref(), before.as_deref(), position),
            O::RemoveVertices { fid, vertices } => self.remove_vertices(fid, vertices),
            O::AddSegment {
                fid,
                part,
                coordinates,
            } => self.add_segment(fid, part.as_deref(), coordinates),
            O::RecordTrack { fid, coordinates } => self.record_track(fid, coordinates),
            O::RemoveSegment { fid, segment } => self.remove_segment(fid, segment),
            O::ReplaceGeometry { fid, geometry } => self.replace_geometry(fid, geometry),
            O::ChangeGeometry { fid, geometry } => self.change_geometry(fid, geometry),
            O::SetProperties { fid, values } => self.set_properties(fid, values),
            O::SetAttributes { fid, values } => self.set_attributes(fid, values),
            O::Delete { fids } => fids.iter().try_for_each(|fid| self.delete(fid)),
            O::Restore { fids } => fids.iter().try_for_each(|fid| self.restore(fid)),
            O::Split {
                fid,
                geometries,
                fids,
            } => self.split(fid, geometries, fids),
            O::Merge {
                fid,
                others,
                geometry,
            } => self.merge(fid, others, geometry),
            O::EditText { .. } => self.edit_text(operation),
            O::AddNote { .. } => self.add_note(operation),
            O::RemoveNote { nid } => self.remove_note(nid),
            O::AddFile { .. } => self.add_file(operation),
            O::RemoveFile { aid } => self.remove_file(aid),
            O::SetLayer { lid, values } => self.set_layer(lid, values),
            O::Settle {
                fid,
                root,
                target,
                sid,
            } => self.settle(fid, root, target, sid),
            O::DismissOrphans { fid } => {
                self.dismiss_orphans(fid);
                Ok(())
            }
            O::SetTitle { title } => self.set_title(title),
        }
    }
}

impl Operation {
    /// Ids of the features that it reads or writes, in no order, perhaps more than once.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        let (one, many): (Option<&String>, [&[String]; 1]) = match self {
            Self::Create { fid, .. }
            | Self::MoveVertices { fid, .. }
            | Self::InsertVertex { fid, .. }
            | Self::RemoveVertices { fid, .. }
            | Self::AddSegment { fid, .. }
            | Self::RecordTrack { fid, .. }
            | Self::RemoveSegment { fid, .. }
            | Self::ReplaceGeometry { fid, .. }
            | Self::ChangeGeometry { fid, .. }
            | Self::SetProperties { fid, .. }
            | Self::SetAttributes { fid, .. }
            | Self::EditText { fid, .. }
            | Self::AddFile { fid, .. }
            | Self::Settle { fid, .. }
            | Self::DismissOrphans { fid } => (Some(fid), [&[]]),
            Self::AddNote { fid, .. } => (fid.as_ref(), [&[]]),
            Self::Delete { fids } | Self::Restore { fids } => (None, [fids]),
            Self::Split { fid, fids, .. } => (Some(fid), [fids]),
            Self::Merge { fid, others, .. } => (Some(fid), [others]),
            Self::RemoveNote { .. }
            | Self::RemoveFile { .. }
            | Self::SetLayer { .. }
            | Self::SetTitle { .. } => (None, [&[]]),
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(String::as_str)
    }

    /// Entries beside features that it reads.
    pub(super) fn entries(&self) -> Vec<(Keyed, &str)> {
        match self {
            Self::AddNote { nid, answers, .. } => {
                let answers = answers
                    .iter()
                    .map(|answers| (Keyed::Note, answers.as_str()));
                answers.chain([(Keyed::Note, nid.as_str())]).collect()
            }
            Self::RemoveNote { nid } => vec![(Keyed::Note, nid)],
            Self::AddFile { aid, .. } | Self::RemoveFile { aid } => vec![(Keyed::File, aid)],
            _ => Vec::new(),
        }
    }
}
