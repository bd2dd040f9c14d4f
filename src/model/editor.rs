//! Planning operations against a view, without a document, and writing the plan where the document is.

use std::collections::BTreeSet;

use serde::Serialize;
use yrs::{Any, TransactionMut};

use super::edit::{Edit, apply};
use super::edit_error::EditError;
use super::geometry_edit::Precision;
use super::id::{Lid, Sid};
use super::input::InputFeature;
use super::json::{number_any, text};
use super::moving::Keyed;
use super::operation::Operation;
use super::random::Random;
use super::schema::{FORMAT, META, VERSION, WHO, Who};
use super::staging::feature_of;
use super::upsert::Upserted;
use super::view::MapView;
use super::writer::Writer;

/// One session's way to edit a map.
///
/// It remembers which runs at the ends of lines it began, so that it continues them; everything else comes from the
/// view. Two editors that may edit without seeing each other must not share a session id. Plan and write in turn: a
/// plan replaces what the view shows under the own session, so a second plan from the same view overwrites the
/// first where both set one thing.
#[derive(Clone, Debug)]
pub struct Editor {
    writer: Writer,
    who: Option<Who>,
}

impl Editor {
    /// An editor for a session. `who` is written before the session's first edit; `random` decides digits of keys.
    #[must_use]
    pub fn new(sid: Sid, who: Option<Who>, random: Random) -> Self {
        Self {
            writer: Writer::new(sid, 0, random),
            who,
        }
    }

    /// The session.
    #[must_use]
    pub fn sid(&self) -> &Sid {
        &self.writer.sid
    }

    /// What an operation writes. `now_s` is the time in seconds since 1970-01-01 UTC. An operation that changes
    /// nothing yields an empty plan.
    ///
    /// # Errors
    /// When the operation does not fit the map as the view shows it.
    pub fn plan(
        &mut self,
        view: &MapView,
        now_s: u64,
        operation: &Operation,
    ) -> Result<Plan, EditError> {
        check_writable(view)?;
        self.writer.now_s = now_s;
        let mut planning = Planning::new(view, &mut self.writer);
        planning.operation(operation)?;
        let Planning { edits, yielded, .. } = planning;
        Ok(self.finish(view, edits, yielded))
    }

    /// What several operations write together, each planned upon the ones before: one action of a person. Yields
    /// what the last of them yields.
    ///
    /// # Errors
    /// When one of them does not fit; nothing is planned then.
    pub fn plan_all(
        &mut self,
        view: &MapView,
        now_s: u64,
        operations: &[Operation],
    ) -> Result<Plan, EditError> {
        check_writable(view)?;
        if let [only] = operations {
            return self.plan(view, now_s, only);
        }
        self.writer.now_s = now_s;
        let mut staged = view.excerpt(operations.iter().flat_map(Operation::features));
        for operation in operations {
            for (keyed, key) in operation.entries() {
                staged.add_entry(keyed, key, view);
            }
        }
        let (mut edits, mut yielded) = (Vec::new(), Yielded::default());
        let (mut features, mut vertices) = (view.feats.len(), view.vertices);
        for operation in operations {
            let mut planning = Planning::new(&staged, &mut self.writer);
            (planning.features, planning.vertices) = (features, vertices);
            planning.operation(operation)?;
            (features, vertices) = (planning.features, planning.vertices);
            yielded = planning.yielded;
            let step = planning.edits;
            staged.stage(&step);
            edits.extend(step);
        }
        Ok(self.finish(view, edits, yielded))
    }

    /// What it takes that the map shows this feature: it is created under its id, or edited as little as possible,
    /// vertex by vertex and property by property; positions that are equal when rounded to six decimals count as unmoved.
    /// A deleted feature comes back only with `restore`.
    ///
    /// # Errors
    /// When the feature is deleted or unreadable, or the map would exceed its limits.
    pub fn plan_upsert(
        &mut self,
        view: &MapView,
        now_s: u64,
        feature: &InputFeature,
        layer: Option<&Lid>,
        restore: bool,
    ) -> Result<Plan, EditError> {
        check_writable(view)?;
        self.writer.now_s = now_s;
        let fid = feature.fid().as_str();
        let overlays = view.overlays(fid);
        let upserted = self.writer.upsert(
            view.raw(fid),
            &overlays,
            feature,
            layer,
            restore,
            Precision::Rounded,
        );
        let edits = match upserted {
            Upserted::Deleted => {
                return Err(EditError::DeletedFeature {
                    fid: fid.to_owned(),
                });
            }
            Upserted::Unreadable => return Err(EditError::Exists { id: fid.to_owned() }),
            Upserted::Created(edits) => {
                let mut planning = Planning::new(view, &mut self.writer);
                planning.count(feature.geometry())?;
                edits
            }
            Upserted::Updated { edits, .. } => edits,
        };
        Ok(self.finish(view, edits, Yielded::default()))
    }

    /// The writer at a time.
    pub(super) fn at(&mut self, now_s: u64) -> &mut Writer {
        self.writer.now_s = now_s;
        &mut self.writer
    }

    /// The introductions, if there is anything to write, and the edits.
    pub(super) fn finish(&self, view: &MapView, edits: Vec<Edit>, yielded: Yielded) -> Plan {
        let mut all = Vec::new();
        if !edits.is_empty() {
            all = introduction(view, &self.writer, self.who.as_ref());
            all.extend(edits);
        }
        Plan {
            edits: all,
            yielded,
        }
    }
}

/// Edits that are ready to be written in one transaction. Needs neither view nor document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub(super) edits: Vec<Edit>,
    pub(super) yielded: Yielded,
}

/// Names that an operation made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Yielded {
    /// The key of an inserted vertex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `P.S` of an added segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
}

impl Plan {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Adds what another plan against the same view writes, in the same transaction. Who and what the map is need
    /// be said only once.
    pub fn extend(&mut self, other: Self) {
        if self.edits.is_empty() {
            *self = other;
            return;
        }
        let edits = other.edits.into_iter();
        self.edits
            .extend(edits.filter(|edit| !matches!(edit.root(), META | WHO)));
        self.yielded = other.yielded;
    }

    /// Ids of the features that it touches.
    #[must_use]
    pub fn features(&self) -> BTreeSet<&str> {
        let of = |edit: &'_ Edit| edit.root();
        self.edits
            .iter()
            .filter_map(|edit| feature_of(of(edit), edit.key()))
            .collect()
    }

    /// Names that the operation made.
    #[must_use]
    pub fn yielded(&self) -> &Yielded {
        &self.yielded
    }

    /// About how many bytes the update will have.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.edits.iter().map(Edit::size).sum()
    }

    /// Makes a plan against an older view fit the present, as if its author had been offline since: what the author
    /// did not see is neither overwritten nor deleted but stands beside the edit, and the report names the conflict.
    ///
    /// `base` is what the plan was made against (an [excerpt](MapView::excerpt) will do). The author's session must
    /// not have written since then; a session of its own for each such edit sees to that.
    #[must_use]
    pub fn onto(mut self, base: &MapView, present: &MapView) -> Self {
        self.edits.retain(|edit| match edit {
            Edit::Put {
                root: META, key, ..
            } => key == "title" || !present.meta.has(key),
            Edit::Put { root: WHO, key, .. } => !present.who.contains_key(key.as_str()),
            Edit::Remove { root, key } => {
                let seen = base.raw_under(root, key);
                let there = present.raw_under(root, key);
                seen.zip(there)
                    .is_some_and(|(seen, there)| seen.is_same(there))
            }
            _ => true,
        });
        self
    }

    /// Carries the plan out.
    pub fn write(self, txn: &mut TransactionMut<'_>) {
        apply(txn, self.edits);
    }
}

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
    fn new(view: &'v MapView, writer: &'w mut Writer) -> Self {
        Self {
            view,
            writer,
            edits: Vec::new(),
            yielded: Yielded::default(),
            features: view.feats.len(),
            vertices: view.vertices,
        }
    }

    fn operation(&mut self, operation: &Operation) -> Result<(), EditError> {
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
    fn entries(&self) -> Vec<(Keyed, &str)> {
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

/// Whether operations may be planned at all.
pub(super) fn check_writable(view: &MapView) -> Result<(), EditError> {
    match &view.meta.format {
        Some(format) if text(format).is_none_or(|format| &**format != FORMAT) => {
            return Err(EditError::NotAMap {
                found: format.to_string(),
            });
        }
        _ => {}
    }
    let found = view.version();
    if found > VERSION as f64 {
        return Err(EditError::NewerVersion { found });
    }
    Ok(())
}

/// What a document without it gets before its first edit: what it is, and who this session is.
pub(super) fn introduction(view: &MapView, writer: &Writer, who: Option<&Who>) -> Vec<Edit> {
    let put = |root, key: &str, value| Edit::Put {
        root,
        key: key.to_owned(),
        value,
    };
    let mut edits = Vec::new();
    for (key, value) in [
        ("format", Any::from(FORMAT)),
        ("version", number_any(VERSION as f64)),
    ] {
        if !view.meta.has(key) {
            edits.push(put(META, key, value));
        }
    }
    let sid = writer.sid.as_str();
    if let Some(who) = who.filter(|_| !view.who.contains_key(sid)) {
        let items = vec![
            number_any(writer.now() as f64),
            Any::from(who.user.as_str()),
            Any::from(who.name.as_str()),
        ];
        edits.push(put(WHO, sid, Any::from(items)));
    }
    edits
}
