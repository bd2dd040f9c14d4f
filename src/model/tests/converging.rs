//! Several people edit at random, and what they send each other arrives late, out of order and repeatedly: in the end
//! all show the same, and nothing that nobody overwrote is missing.
//!
//! `MODEL_ROUNDS` and `MODEL_SEED` make longer runs and repeat one; a failure names its seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, Map, Out, ReadTxn, Transact, Update};

use super::people::shown;
use super::{doc, doc_of, update_of, view};
use crate::model::edit::Edit;
use crate::model::{Editor, MapView, Operation, Random, Sid, Undo, Watch};

const PEOPLE: usize = 3;
const STEPS: usize = 60;
const ROUNDS: u64 = 60;

/// Entries that somebody wrote and nobody who had seen them removed: by root and key, what their session last wrote.
type Alive = BTreeMap<(&'static str, String), Any>;

struct Replica {
    doc: Doc,
    watch: Watch,
    view: MapView,
    editor: Editor,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    undo: Vec<Undo>,
}

impl Replica {
    fn new(index: usize, seed: u64) -> Self {
        Self::around(doc(index as u64 + 1), index, seed)
    }

    fn around(doc: Doc, index: usize, seed: u64) -> Self {
        let watch = Watch::attach(&doc);
        let view = view(&doc);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let outbox = sent.clone();
        doc.observe_update_v1("outbox", move |txn, event| {
            // What arrived is not sent on.
            if txn.origin().is_none() {
                outbox.lock().unwrap().push(event.update.clone());
            }
        })
        .unwrap();
        let sid = Sid::parse(&format!("person{index}")).unwrap();
        let editor = Editor::new(sid, None, Random::new(seed + index as u64));
        Self {
            doc,
            watch,
            view,
            editor,
            sent,
            undo: Vec::new(),
        }
    }

    fn follow(&mut self) {
        if let Some(delta) = self.watch.take(&self.doc.transact()) {
            self.view.apply(delta);
        }
    }

    fn receive(&mut self, update: &[u8]) {
        let update = Update::decode_v1(update).unwrap();
        self.doc
            .transact_mut_with("network")
            .apply_update(update)
            .unwrap();
        self.follow();
    }
}

/// The world of one round.
struct World {
    random: Random,
    replicas: Vec<Replica>,
    /// For each replica, what is under way to it.
    network: Vec<Vec<Vec<u8>>>,
    alive: Alive,
    now_s: u64,
    ids: u32,
    done: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            replicas: (0..PEOPLE).map(|index| Replica::new(index, seed)).collect(),
            network: vec![Vec::new(); PEOPLE],
            alive: Alive::new(),
            now_s: 1000,
            ids: 0,
            done: 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.unit() * end as f64) as usize
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let at = self.below(items.len());
        items.get(at).cloned()
    }

    fn position(&mut self) -> Value {
        let mut number = || (self.random.unit() * 1000.0).round() / 10.0 - 50.0;
        json!([number(), number()])
    }

    fn positions(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.position()).collect()
    }

    fn geometry(&mut self) -> Value {
        let count = 3 + self.below(4);
        let mut ring = self.positions(count);
        match self.below(5) {
            0 => json!({"type": "Point", "coordinates": ring[0]}),
            1 => json!({"type": "LineString", "coordinates": ring}),
            2 => json!({"type": "MultiLineString", "coordinates": [ring, self.positions(2)]}),
            3 => Value::Null,
            _ => {
                ring.push(ring[0].clone());
                json!({"type": "Polygon", "coordinates": [ring]})
            }
        }
    }

    fn id(&mut self) -> String {
        self.ids += 1;
        format!("id{}", self.ids)
    }

    /// An operation that may make sense in a replica's view.
    fn operation(&mut self, at: usize) -> Value {
        let fids: Vec<String> = self.replicas[at]
            .view
            .feats
            .keys()
            .map(ToString::to_string)
            .collect();
        let (Some(fid), 1..) = (self.pick(&fids), self.below(8)) else {
            let fid = self.id();
            return json!({"op": "create", "fid": fid, "geometry": self.geometry(), "properties": {"a": 1}});
        };
        let keyed = self.replicas[at].view.keyed_geometry(&fid);
        let segments = keyed.map(|keyed| keyed.segments).unwrap_or_default();
        let segment = self.pick(&segments);
        let name = segment
            .as_ref()
            .map(|segment| segment.name())
            .unwrap_or_default();
        let keys: Vec<String> = segment
            .iter()
            .flat_map(|s| s.vertices.iter().map(|v| v.key.clone()))
            .collect();
        let key = self.pick(&keys).unwrap_or_default();
        let next = keys
            .iter()
            .skip_while(|other| **other != key)
            .nth(1)
            .cloned();
        let property = self.pick(&["a", "b", "note"]).unwrap();
        let value = self.below(100);
        match self.below(20) {
            0..=3 => {
                json!({"op": "move_vertices", "fid": fid, "moves": [{"segment": name, "vertex": key, "position": self.position()}]})
            }
            4..=5 => {
                json!({"op": "insert_vertex", "fid": fid, "segment": name, "after": key, "before": next, "position": self.position()})
            }
            6 => {
                json!({"op": "insert_vertex", "fid": fid, "segment": name, "position": self.position()})
            }
            7 => {
                json!({"op": "remove_vertices", "fid": fid, "vertices": [{"segment": name, "vertex": key}]})
            }
            8 => {
                json!({"op": "add_segment", "fid": fid, "part": "0", "coordinates": self.positions(4)})
            }
            9 => {
                json!({"op": "add_segment", "fid": fid, "part": null, "coordinates": self.positions(4)})
            }
            10 => json!({"op": "record_track", "fid": fid, "coordinates": self.positions(3)}),
            11 => json!({"op": "remove_segment", "fid": fid, "segment": name}),
            12 => json!({"op": "change_geometry", "fid": fid, "geometry": self.geometry()}),
            13 => json!({"op": "set_properties", "fid": fid, "values": {property: value}}),
            14 => json!({"op": "set_properties", "fid": fid, "values": {property: null}}),
            15 => {
                json!({"op": "edit_text", "fid": fid, "name": "note", "index": 0, "delete": 0, "insert": format!("w{value} ")})
            }
            16 => json!({"op": "delete", "fids": [fid]}),
            17 => json!({"op": "restore", "fids": [fid]}),
            18 => self.rare(at, &fid, &fids),
            _ => {
                json!({"op": "set_layer", "lid": "roads", "values": {"name": format!("Roads {value}"), "visible": value > 50}})
            }
        }
    }

    fn rare(&mut self, at: usize, fid: &str, fids: &[String]) -> Value {
        let problems = self.replicas[at].view.problems_of(fid);
        let conflict = problems
            .iter()
            .map(|problem| problem.to_value())
            .find(|p| p[0] == "concurrent values");
        match (self.below(6), conflict) {
            (0, _) => {
                json!({"op": "split", "fid": fid, "geometries": [self.geometry(), self.geometry()], "fids": [self.id()]})
            }
            (1, _) => {
                json!({"op": "merge", "fid": fid, "others": [self.pick(fids)], "geometry": self.geometry()})
            }
            (2, _) => json!({"op": "dismiss_orphans", "fid": fid}),
            (3, _) => json!({"op": "add_note", "nid": self.id(), "body": "look", "fid": fid}),
            (4, _) => json!({"op": "set_title", "title": format!("Map {}", self.below(9))}),
            (_, Some(conflict)) => {
                let text = |index: usize| conflict[index].as_str().unwrap().to_owned();
                let versions = self.replicas[at].view.versions(&text(1), fid, &text(3));
                let chosen = self.pick(&versions).unwrap().set.sid;
                json!({"op": "settle", "fid": fid, "root": text(1), "target": text(3), "sid": chosen})
            }
            _ => json!({"op": "replace_geometry", "fid": fid, "geometry": self.geometry()}),
        }
    }

    /// One person acts.
    fn act(&mut self, at: usize) {
        // Clocks differ and may run backwards.
        self.now_s += 1;
        let now_s = self.now_s + self.below(20) as u64;
        let undone = if self.below(12) == 0 {
            self.replicas[at].undo.pop()
        } else {
            None
        };
        let operation = self.operation(at);
        let replica = &mut self.replicas[at];
        let plan = match &undone {
            Some(undo) => replica.editor.plan_undo(&replica.view, now_s, undo),
            None => Operation::from_value(operation.clone())
                .and_then(|operation| replica.editor.plan(&replica.view, now_s, &operation)),
        };
        let Ok(plan) = plan else { return };
        replica
            .undo
            .push(plan.undo(&replica.view, replica.editor.sid()));
        self.done += 1;
        for edit in &plan.edits {
            let name = (edit.root(), edit.key().to_owned());
            match edit {
                Edit::Put { value, .. } => drop(self.alive.insert(name, value.clone())),
                // Only what was seen is removed; a session that wrote anew meanwhile keeps that.
                Edit::Remove { root, key } => {
                    let seen = replica
                        .view
                        .raw_under(root, key)
                        .and_then(|raw| raw.array())
                        .cloned();
                    if self.alive.get(&name) == seen.map(Any::Array).as_ref() {
                        self.alive.remove(&name);
                    }
                }
                _ => {}
            }
        }
        let mut staged = replica.view.clone();
        staged.stage(&plan.edits);
        plan.write(&mut replica.doc.transact_mut());
        replica.follow();
        assert_eq!(shown(&staged), shown(&replica.view), "{operation}");
        for update in replica.sent.lock().unwrap().drain(..) {
            for (to, queue) in self.network.iter_mut().enumerate() {
                if to != at {
                    queue.push(update.clone());
                }
            }
        }
    }

    /// Something that is under way arrives, perhaps again later.
    fn deliver(&mut self, to: usize) {
        if self.network[to].is_empty() {
            return;
        }
        let index = self.below(self.network[to].len());
        let again = self.below(5) == 0;
        let update = if again {
            self.network[to][index].clone()
        } else {
            self.network[to].swap_remove(index)
        };
        self.replicas[to].receive(&update);
    }

    /// A person starts anew from what was saved, and from a new session.
    fn restart(&mut self, at: usize) {
        let saved = update_of(&self.replicas[at].doc);
        let index = PEOPLE + self.ids as usize * PEOPLE + at;
        self.ids += 1;
        let doc = Doc::with_client_id(index as u64 + 1);
        let decoded = Update::decode_v1(&saved).unwrap();
        doc.transact_mut().apply_update(decoded).unwrap();
        self.replicas[at] = Replica::around(doc, index, self.ids.into());
    }

    fn settle_network(&mut self) {
        for to in 0..PEOPLE {
            while let Some(update) = self.network[to].pop() {
                self.replicas[to].receive(&update);
            }
        }
    }

    fn check(&mut self, seed: u64) {
        self.settle_network();
        let first = shown(&self.replicas[0].view);
        for replica in &self.replicas {
            assert_eq!(shown(&replica.view), first, "seed {seed}");
            assert_eq!(shown(&view(&replica.doc)), first, "seed {seed}: moved view");
        }
        let loaded = doc_of(&update_of(&self.replicas[1].doc));
        assert_eq!(shown(&view(&loaded)), first, "seed {seed}: loaded");
        let txn = loaded.transact();
        for ((root, key), value) in &self.alive {
            // One key of these is everybody's.
            if matches!(*root, "meta" | "note" | "file" | "feat") {
                continue;
            }
            let there = txn.get_map(*root).and_then(|map| map.get(&txn, key));
            let Some(Out::Any(there)) = there else {
                panic!("seed {seed}: {root} {key} is lost: {value}")
            };
            assert_eq!(there, *value, "seed {seed}: {root} {key}");
        }
    }
}

#[test]
fn replicas_agree_after_any_delivery_and_lose_nothing() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (start, rounds) = match number("MODEL_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("MODEL_ROUNDS").unwrap_or(ROUNDS)),
    };
    let mut done = 0;
    for seed in start..start + rounds {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            let at = world.below(PEOPLE);
            match world.below(10) {
                0..5 => world.act(at),
                5..9 => world.deliver(at),
                _ if world.below(6) == 0 => world.restart(at),
                _ => {}
            }
        }
        world.check(seed);
        done += world.done;
    }
    assert!(
        done as u64 >= 10 * rounds,
        "only {done} operations were carried out"
    );
}
