//! What in a document needs a person's eye (`map-document` §10), computed from the document alone and equal on
//! every replica. Problems of the geometry itself, such as crossings, are found elsewhere.

use serde_json::{Value, json};

use super::entry::{Overlays, Slot};
use super::feature::State;
use super::read::{self, Note};
use super::record::Record;
use super::schema::{Address, LAYER, Root};
use super::structure::{Current, Structure, is_base, structure};
use super::view::MapView;

/// One thing to look at. Its canonical form is the JSON array of [`Problem::to_value`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A key that does not have its fields; its entry is ignored. `root:key`.
    MalformedKey(String),
    /// An entry of a target that is ignored, since its value is none that the root can have.
    MalformedEntry(Target),
    /// A record that is none: there is no such feature.
    MalformedFeature(String),
    /// Properties that are no JSON object; they count as none.
    MalformedProperties(String),
    /// Coordinates that cannot be read; the feature has no geometry.
    MalformedGeometry(String),
    /// Several sessions set the same thing; one shows, the others are kept.
    ConcurrentValues {
        /// What they set.
        target: Target,
        /// How many entries there are.
        entries: usize,
    },
    /// Several sessions replaced the whole geometry; one shows, the others are kept.
    ConcurrentGeometries {
        /// The feature.
        fid: String,
        /// How many replacements there are.
        entries: usize,
    },
    /// An edit of an unknown feature, of another generation of its geometry or of an absent segment; it is kept.
    Orphan(Target),
    /// A feature that one deleted and another edited; it shows.
    ContestedDeletion(String),
    /// A ring of fewer than 3 vertices or a line of fewer than 2; it is left out.
    Degenerate(String),
    /// The rings of a polygon without exterior; they are left out.
    NoExterior(String),
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The root's name.
    pub root: &'static str,
    /// The feature or layer.
    pub id: String,
    /// What follows the session in the key.
    pub target: String,
}

impl Problem {
    /// The problem as an array that starts with its name; the same in every implementation.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::MalformedKey(key) => json!(["malformed key", key]),
            Self::MalformedEntry(Target { root, id, target }) => {
                json!(["malformed entry", root, id, target])
            }
            Self::MalformedFeature(fid) => json!(["malformed feature", fid]),
            Self::MalformedProperties(fid) => json!(["malformed properties", fid]),
            Self::MalformedGeometry(fid) => json!(["malformed geometry", fid]),
            Self::ConcurrentValues {
                target: Target { root, id, target },
                entries,
            } => {
                json!(["concurrent values", root, id, target, entries])
            }
            Self::ConcurrentGeometries { fid, entries } => {
                json!(["concurrent geometries", fid, entries])
            }
            Self::Orphan(Target { root, id, target }) => json!(["orphan", root, id, target]),
            Self::ContestedDeletion(fid) => json!(["contested deletion", fid]),
            Self::Degenerate(fid) => json!(["degenerate", fid]),
            Self::NoExterior(fid) => json!(["rings without exterior", fid]),
        }
    }
}

impl MapView {
    /// Everything that needs a person's eye, sorted by the bytes of its JSON text. Reads every feature.
    #[must_use]
    pub fn report(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.inspect_map(&mut problems);
        for fid in self.fids() {
            self.inspect(fid, &mut problems);
        }
        sorted(problems)
    }

    /// What the report says of one feature, known or not; in the report's order. Reads only that feature.
    #[must_use]
    pub fn problems_of(&self, fid: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.inspect(fid, &mut problems);
        sorted(problems)
    }

    /// What the report says beside features: malformed keys, and the layers' entries.
    #[must_use]
    pub fn problems_of_map(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.inspect_map(&mut problems);
        sorted(problems)
    }

    fn inspect(&self, fid: &str, problems: &mut Vec<Problem>) {
        let raw = self.raw(fid);
        let record = raw.and_then(Record::read);
        if raw.is_some() && record.is_none() {
            problems.push(Problem::MalformedFeature(fid.to_owned()));
        }
        Inspection {
            fid,
            overlays: &self.overlays(fid),
            problems,
        }
        .feature(record.as_ref());
    }

    fn inspect_map(&self, problems: &mut Vec<Problem>) {
        let keys = self.malformed_keys.iter();
        problems.extend(keys.map(|key| Problem::MalformedKey(key.to_string())));
        for (lid, targets) in self.layer_targets() {
            for (target, slot) in &targets {
                let target = Target {
                    root: LAYER,
                    id: lid.to_owned(),
                    target: (*target).to_owned(),
                };
                several(slot, target, problems);
            }
        }
    }
}

/// The report's order: by the bytes of the problems' JSON text.
fn sorted(problems: Vec<Problem>) -> Vec<Problem> {
    let mut sorted: Vec<(String, Problem)> = problems
        .into_iter()
        .map(|problem| (problem.to_value().to_string(), problem))
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.into_iter().map(|(_, problem)| problem).collect()
}

/// Reports ignored entries of a target, and competing ones.
fn several(slot: &Slot<'_>, target: Target, problems: &mut Vec<Problem>) {
    if !slot.malformed.is_empty() {
        problems.push(Problem::MalformedEntry(target.clone()));
    }
    if slot.entries.len() > 1 {
        problems.push(Problem::ConcurrentValues {
            target,
            entries: slot.entries.len(),
        });
    }
}

struct Inspection<'a, 'k> {
    fid: &'a str,
    overlays: &'a Overlays<'k>,
    problems: &'a mut Vec<Problem>,
}

impl Inspection<'_, '_> {
    fn feature(&mut self, record: Option<&Record>) {
        match record {
            Some(record) => self.known(record),
            None => self.unknown(),
        }
        for (root, target) in orphans(record, self.overlays) {
            self.problems
                .push(Problem::Orphan(self.target(root, target)));
        }
        for name in self.overlays.malformed_texts() {
            self.problems
                .push(Problem::MalformedEntry(self.target(Root::Text, name)));
        }
    }

    /// Without a record there is nothing that an entry could compete for.
    fn unknown(&mut self) {
        for root in Root::ALL {
            for (target, slot) in self.overlays.targets(root) {
                if !slot.malformed.is_empty() {
                    self.problems
                        .push(Problem::MalformedEntry(self.target(root, target)));
                }
            }
        }
    }

    fn known(&mut self, record: &Record) {
        let fid = || self.fid.to_owned();
        if record.properties().is_none() {
            self.problems.push(Problem::MalformedProperties(fid()));
        }
        if read::state(self.overlays) == State::Contested {
            self.problems.push(Problem::ContestedDeletion(fid()));
        }
        let current = Current::of(record, self.overlays);
        if current.replacements > 1 {
            self.problems.push(Problem::ConcurrentGeometries {
                fid: fid(),
                entries: current.replacements,
            });
        }
        for note in read::geometry(record, self.overlays).1 {
            self.problems.push(match note {
                Note::Malformed => Problem::MalformedGeometry(fid()),
                Note::Degenerate => Problem::Degenerate(fid()),
                Note::NoExterior => Problem::NoExterior(fid()),
            });
        }
        for (target, slot) in self.overlays.targets(Root::Gone) {
            if !slot.malformed.is_empty() {
                self.problems
                    .push(Problem::MalformedEntry(self.target(Root::Gone, target)));
            }
        }
        for root in Root::ALL.into_iter().filter(|root| root.is_edit()) {
            for (target, slot) in self.overlays.targets(root) {
                several(slot, self.target(root, target), self.problems);
            }
        }
    }

    fn target(&self, root: Root, target: &str) -> Target {
        Target {
            root: root.name(),
            id: self.fid.to_owned(),
            target: target.to_owned(),
        }
    }
}

/// Well-formed edits that have no place: of an unknown feature, of another generation of its geometry, or of a
/// segment that is absent.
pub(super) fn orphans<'k>(
    record: Option<&Record>,
    overlays: &Overlays<'k>,
) -> Vec<(Root, &'k str)> {
    let Some(record) = record else {
        let slots = Root::ALL.into_iter().flat_map(|root| {
            let filled = overlays
                .targets(root)
                .filter(|(_, slot)| !slot.entries.is_empty());
            filled.map(move |(target, _)| (root, target))
        });
        let texts = overlays.texts().keys().map(|name| (Root::Text, *name));
        return slots.chain(texts).collect();
    };
    let has_any = |root: &Root| overlays.targets(*root).next().is_some();
    if ![Root::Part, Root::Vert].iter().any(has_any) {
        return Vec::new();
    }
    let current = Current::of(record, overlays);
    let shape = current.shape();
    let structure = match &shape {
        Some(shape) => structure(&current, shape, overlays),
        None => Structure::new(),
    };
    let mut there: Vec<(&str, &str)> = structure
        .iter()
        .flatten()
        .map(|named| (&*named.part, &*named.segment))
        .collect();
    there.sort_unstable();
    let has_place = |root: Root, target: &str, slot: &Slot<'_>| {
        Address::split(root, target).is_some_and(|address| {
            let present = there
                .binary_search(&(address.part, address.segment))
                .is_ok();
            // A segment that is absent because it was removed is no surprise.
            let removed = || {
                slot.value() == Some(None)
                    || shape.as_ref().is_some_and(|shape| is_base(shape, &address))
            };
            address.generation == current.generation
                && (present || (root == Root::Part && removed()))
        })
    };
    let mut found = Vec::new();
    for root in [Root::Part, Root::Vert] {
        for (target, slot) in overlays.targets(root) {
            if !slot.entries.is_empty() && !has_place(root, target, slot) {
                found.push((root, target));
            }
        }
    }
    found
}
