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
use super::operation::Operation;
use super::planning::Planning;
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

    /// Adds what another plan of the same session against the same view writes, in the same transaction. Who and what
    /// the map is need be said only once. The two touch different things.
    pub fn extend(&mut self, other: Self) {
        for edit in other.edits {
            let said = matches!(edit.root(), META | WHO) && self.edits.contains(&edit);
            if !said {
                self.edits.push(edit);
            }
        }
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
