//! People who edit copies of a map, for tests of what merging makes of it.

use serde_json::{Value, json};
use yrs::updates::decoder::Decode;
use yrs::{Doc, Transact, Update};

use super::{doc, update_of, view};
use crate::formats::feature_json;
use crate::model::{EditError, Editor, MapView, Operation, Plan, Random, Sid, Undo, Who, Yielded};

/// Somebody with a copy of the document.
pub(super) struct Person {
    pub(super) doc: Doc,
    pub(super) editor: Editor,
}

impl Person {
    /// A person with an empty document; the session is named `name`.
    pub(super) fn new(name: &str, client: u64) -> Self {
        let who = Who {
            user: format!("{name}@example.org"),
            name: name.to_owned(),
        };
        let sid = Sid::parse(name).unwrap();
        let seed = name.bytes().map(u64::from).sum();
        Self {
            doc: doc(client),
            editor: Editor::new(sid, Some(who), Random::new(seed)),
        }
    }

    pub(super) fn receive(&self, update: &[u8]) {
        let update = Update::decode_v1(update).unwrap();
        self.doc.transact_mut().apply_update(update).unwrap();
    }

    pub(super) fn plan(&mut self, now_s: u64, operation: &Value) -> Result<Plan, EditError> {
        let operation = Operation::from_value(operation.clone())?;
        self.editor.plan(&view(&self.doc), now_s, &operation)
    }

    /// Carries an operation out; what it yields, and how to undo it.
    pub(super) fn act(&mut self, now_s: u64, operation: Value) -> (Yielded, Undo) {
        let before = view(&self.doc);
        let plan = self.plan(now_s, &operation);
        let plan = plan.unwrap_or_else(|error| panic!("{operation}: {error}"));
        let undo = plan.undo(&before, self.editor.sid());
        let yielded = plan.yielded().clone();
        plan.write(&mut self.doc.transact_mut());
        (yielded, undo)
    }

    pub(super) fn undo(&mut self, now_s: u64, undo: &Undo) {
        let plan = self
            .editor
            .plan_undo(&view(&self.doc), now_s, undo)
            .unwrap();
        plan.write(&mut self.doc.transact_mut());
    }

    pub(super) fn error(&mut self, operation: Value) -> &'static str {
        self.plan(5000, &operation).unwrap_err().code()
    }

    pub(super) fn view(&self) -> MapView {
        view(&self.doc)
    }
}

/// What a map shows and reports, as JSON text.
pub(super) fn shown(view: &MapView) -> (Vec<String>, Vec<String>) {
    let features = view.features().map(|feature| feature_json(&feature));
    let problems = view
        .report()
        .into_iter()
        .map(|problem| problem.to_value().to_string());
    (features.collect(), problems.collect())
}

/// What merging makes of two people's edits of one document.
pub(super) struct Merge {
    base: Vec<Value>,
}

impl Merge {
    /// Both start from what these operations made.
    pub(super) fn of(base: impl IntoIterator<Item = Value>) -> Self {
        Self {
            base: base.into_iter().collect(),
        }
    }

    /// The view after one edits at 2000 as `alice` and the other at 3000 as `bobby`. Both orders of client ids and both
    /// orders of arrival show the same, which is checked.
    pub(super) fn with(&self, one: impl Fn(&mut Person), other: impl Fn(&mut Person)) -> MapView {
        let [first, second] = self.with_each(one, other);
        assert_eq!(shown(&first), shown(&second));
        first
    }

    /// As [`Self::with`], where the client ids decide which of two things shows: a view for each of their orders.
    pub(super) fn with_each(
        &self,
        one: impl Fn(&mut Person),
        other: impl Fn(&mut Person),
    ) -> [MapView; 2] {
        [(10, 20), (20, 10)].map(|(first, second)| {
            let mut maker = Person::new("maker", 1);
            for operation in &self.base {
                maker.act(1000, operation.clone());
            }
            let base = update_of(&maker.doc);
            let edit = |name, client, act: &dyn Fn(&mut Person)| {
                let mut person = Person::new(name, client);
                person.receive(&base);
                act(&mut person);
                update_of(&person.doc)
            };
            let edits = [edit("alice", first, &one), edit("bobby", second, &other)];
            let [early, late] = [[0, 1], [1, 0]].map(|order| {
                let reader = Person::new("reader", 5);
                order.iter().for_each(|at| reader.receive(&edits[*at]));
                reader.view()
            });
            assert_eq!(shown(&early), shown(&late));
            early
        })
    }
}

/// Creates the feature `f`.
pub(super) fn create(kind: &str, coordinates: Value, properties: Value) -> Value {
    json!({"op": "create", "fid": "f", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties})
}

/// A square of 10 by 10 degrees with a hole.
pub(super) fn square() -> Value {
    let rings = json!([
        [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]],
        [[2, 2], [2, 4], [4, 4], [2, 2]]
    ]);
    create("Polygon", rings, json!({"crop": "hay", "owner": "Ann"}))
}

pub(super) fn line() -> Value {
    create("LineString", json!([[0, 0], [1, 0], [2, 0]]), json!({}))
}

pub(super) fn move_vertex(segment: &str, vertex: &str, position: Value) -> Value {
    json!({"op": "move_vertices", "fid": "f", "moves": [{"segment": segment, "vertex": vertex, "position": position}]})
}

pub(super) fn remove_vertex(segment: &str, vertex: &str) -> Value {
    json!({"op": "remove_vertices", "fid": "f", "vertices": [{"segment": segment, "vertex": vertex}]})
}

pub(super) fn insert(segment: &str, after: Value, before: Value, position: Value) -> Value {
    json!({"op": "insert_vertex", "fid": "f", "segment": segment, "after": after, "before": before, "position": position})
}

pub(super) fn set(name: &str, value: Value) -> Value {
    json!({"op": "set_properties", "fid": "f", "values": {name: value}})
}
