//! Replicas of map documents as a process, for tests that drive several implementations at once: one JSON object
//! per line in, one per line out. Each replica is a yrs document with a view that moves with it and an editor.
//!
//! | `c` | fields | answer |
//! |---|---|---|
//! | `new` | `r`, `client`, `sid`, `seed`, perhaps `u` | `{}`; a replica, from an encoded state where `u` is given |
//! | `drop` | `r` | `{}` |
//! | `apply` | `r`, `u` | `{}` or `{"error"}`, where the update cannot be decoded or applied |
//! | `op` | `r`, `now`, `operation` | `{"result", "u", "writes"}` or `{"error": code}` |
//! | `undo` | `r`, `now` | as `op`; takes back the last operation that was not yet taken back |
//! | `vector` | `r` | `{"sv"}`, the state vector |
//! | `diff` | `r`, `sv` | `{"u"}`, what a replica with this state vector lacks |
//! | `snapshot` | `r` | `{"s"}`, state vector and deletions as an encoded Yjs snapshot |
//! | `read` | `r` | `{"features", "report"}`, checked to be equal in the moved view and a new one |
//!
//! Binary content is base64 of the v1 encoding. Malformed requests end the process with a message.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Write, stdin, stdout};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mapweave::model::{Editor, MapView, Operation, Plan, Random, Root, Sid, Undo, Watch, Who};
use serde_json::{Value, json};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    Any, Doc, GetString, Map, OffsetKind, Options, Out, ReadTxn, StateVector, Transact, Update,
};

fn main() {
    if let Err(reason) = serve() {
        let _ = writeln!(std::io::stderr(), "replica: {reason}");
        std::process::exit(1);
    }
}

fn serve() -> Result<(), String> {
    let mut replicas = HashMap::new();
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| format!("cannot read: {error}"))?;
        let request: Value =
            serde_json::from_str(&line).map_err(|error| format!("not JSON: {error}"))?;
        let answer = answer(&mut replicas, &request)?;
        writeln!(out, "{answer}").map_err(|error| format!("cannot write: {error}"))?;
        out.flush()
            .map_err(|error| format!("cannot write: {error}"))?;
    }
    Ok(())
}

fn answer(replicas: &mut HashMap<u64, Replica>, request: &Value) -> Result<Value, String> {
    let r = number(request, "r")?;
    match text(request, "c")? {
        "new" => {
            let replica = Replica::new(request)?;
            replicas.insert(r, replica);
            return Ok(json!({}));
        }
        "drop" => {
            replicas.remove(&r);
            return Ok(json!({}));
        }
        _ => {}
    }
    let replica = replicas
        .get_mut(&r)
        .ok_or_else(|| format!("there is no replica {r}"))?;
    match text(request, "c")? {
        "apply" => Ok(match replica.apply(&bytes(request, "u")?) {
            Ok(()) => json!({}),
            Err(error) => json!({ "error": error }),
        }),
        "op" => replica.operate(request),
        "undo" => replica.undo(number(request, "now")?),
        "diff" => {
            let vector = StateVector::decode_v1(&bytes(request, "sv")?)
                .map_err(|error| format!("no state vector: {error}"))?;
            let update = replica.doc.transact().encode_diff_v1(&vector);
            Ok(json!({ "u": STANDARD.encode(update) }))
        }
        "vector" => {
            let vector = replica.doc.transact().state_vector().encode_v1();
            Ok(json!({ "sv": STANDARD.encode(vector) }))
        }
        "snapshot" => {
            let snapshot = replica.doc.transact().snapshot().encode_v1();
            Ok(json!({ "s": STANDARD.encode(snapshot) }))
        }
        "read" => replica.read(),
        other => Err(format!("unknown request {other:?}")),
    }
}

/// A document, and what reads and edits it.
struct Replica {
    doc: Doc,
    watch: Watch,
    view: MapView,
    editor: Editor,
    done: Vec<Undo>,
}

impl Replica {
    fn new(request: &Value) -> Result<Self, String> {
        let doc = Doc::with_options(Options {
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(yrs::ClientID::new(number(request, "client")?))
        });
        let sid = text(request, "sid")?;
        let who = Who {
            user: sid.to_owned(),
            name: sid.to_owned(),
        };
        let sid = Sid::parse(sid).ok_or_else(|| format!("{sid:?} is no session id"))?;
        let editor = Editor::new(sid, Some(who), Random::new(number(request, "seed")?));
        let watch = Watch::attach(&doc);
        let view = MapView::new(&doc.transact());
        let mut replica = Self {
            doc,
            watch,
            view,
            editor,
            done: Vec::new(),
        };
        if request.get("u").is_some() {
            replica.apply(&bytes(request, "u")?)?;
        }
        Ok(replica)
    }

    fn apply(&mut self, update: &[u8]) -> Result<(), String> {
        let update = Update::decode_v1(update).map_err(|error| error.to_string())?;
        self.doc
            .transact_mut()
            .apply_update(update)
            .map_err(|error| error.to_string())?;
        self.follow();
        Ok(())
    }

    fn follow(&mut self) {
        if let Some(delta) = self.watch.take(&self.doc.transact()) {
            self.view.apply(delta);
        }
    }

    fn operate(&mut self, request: &Value) -> Result<Value, String> {
        let operation = request.get("operation").cloned().unwrap_or_default();
        let operation: Operation = match serde_json::from_value(operation) {
            Ok(operation) => operation,
            // A geometry that is none is refused where it is read.
            Err(error) => {
                return Ok(json!({ "error": "bad_geometry", "message": error.to_string() }));
            }
        };
        let plan = match self
            .editor
            .plan(&self.view, number(request, "now")?, &operation)
        {
            Ok(plan) => plan,
            Err(error) => return Ok(json!({ "error": error.code() })),
        };
        self.done.push(plan.undo(&self.view, self.editor.sid()));
        Ok(self.write(plan))
    }

    fn undo(&mut self, now_s: u64) -> Result<Value, String> {
        let Some(undo) = self.done.pop() else {
            return Ok(self.write(Plan::default()));
        };
        match self.editor.plan_undo(&self.view, now_s, &undo) {
            Ok(plan) => Ok(self.write(plan)),
            Err(error) => Ok(json!({ "error": error.code() })),
        }
    }

    /// Carries a plan out and says what came of it.
    fn write(&mut self, plan: Plan) -> Value {
        let result = json!(plan.yielded());
        let (vector, before) = {
            let txn = self.doc.transact();
            (txn.state_vector(), entries(&txn))
        };
        plan.write(&mut self.doc.transact_mut());
        self.follow();
        let txn = self.doc.transact();
        let update = txn.encode_diff_v1(&vector);
        let writes = writes(&before, &entries(&txn));
        json!({ "result": result, "u": STANDARD.encode(update), "writes": writes })
    }

    fn read(&self) -> Result<Value, String> {
        let (moved, fresh) = (
            reading(&self.view),
            reading(&MapView::new(&self.doc.transact())),
        );
        if moved == fresh {
            Ok(fresh)
        } else {
            Err(format!("the moved view shows {moved}, a new one {fresh}"))
        }
    }
}

fn reading(view: &MapView) -> Value {
    let features = view.features().map(|feature| {
        json!({
            "fid": feature.fid,
            "id": feature.id_value(),
            "layer": feature.layer,
            "state": feature.state.name(),
            "geometry": feature.geometry.as_ref().map(mapweave::geometry::Geometry::to_value),
            "properties": feature.properties,
            "created": [feature.created.t, feature.created.sid],
            "changed": [feature.changed.t, feature.changed.sid],
        })
    });
    let notes = view.notes().map(|note| {
        json!([
            note.nid,
            note.written.t,
            note.written.sid,
            note.body,
            note.fid,
            note.answers,
            note.place
        ])
    });
    let files = view.attachments().map(|file| {
        let attached = (file.attached.t, file.attached.sid);
        json!([
            file.aid,
            attached.0,
            attached.1,
            file.fid,
            file.name,
            file.media_type,
            file.bytes,
            file.sha256
        ])
    });
    let layers = view.layers().map(|layer| {
        json!([
            layer.lid,
            layer.name,
            layer.order,
            layer.visible,
            layer.style,
            layer.columns
        ])
    });
    json!({
        "features": features.collect::<Vec<_>>(),
        "report": view.report().iter().map(mapweave::model::Problem::to_value).collect::<Vec<_>>(),
        "layers": layers.collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "title": view.title().filter(|title| !title.is_empty()),
    })
}

type Entries = BTreeMap<(String, String), Value>;

/// Every entry of the roots that editing is about.
fn entries(txn: &impl ReadTxn) -> Entries {
    let roots = Root::ALL.into_iter().map(Root::name);
    let mut found = Entries::new();
    for root in roots.chain(["meta", "feat", "layer", "note", "file", "who"]) {
        let Some(map) = txn.get_map(root) else {
            continue;
        };
        for key in map.keys(txn) {
            let value = map.get(txn, key).map_or(Value::Null, |out| value(out, txn));
            found.insert((root.to_owned(), key.to_owned()), value);
        }
    }
    found
}

/// What one transaction did to the entries.
fn writes(before: &Entries, after: &Entries) -> Vec<Value> {
    let keys = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let (root, name) = key;
            let mut write = json!({ "root": root, "key": name });
            for (side, entries) in [("before", before), ("after", after)] {
                if let (Some(value), Some(fields)) = (entries.get(key), write.as_object_mut()) {
                    fields.insert(side.to_owned(), value.clone());
                }
            }
            write
        })
        .collect()
}

fn value(out: Out, txn: &impl ReadTxn) -> Value {
    match out {
        Out::Any(any) => plain(&any),
        Out::YText(text) => json!({ "$text": text.get_string(txn) }),
        other => json!({ "$other": other.to_string(txn) }),
    }
}

/// Call it on values of bounded nesting, as the tests write them.
fn plain(any: &Any) -> Value {
    match any {
        Any::Buffer(bytes) => json!({ "$bytes": STANDARD.encode(bytes) }),
        Any::Array(items) => items.iter().map(plain).collect(),
        Any::Map(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(members.collect())
        }
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

fn number(request: &Value, field: &str) -> Result<u64, String> {
    let number = request.get(field).and_then(Value::as_u64);
    number.ok_or_else(|| format!("{field:?} is missing or no whole number"))
}

fn text<'r>(request: &'r Value, field: &str) -> Result<&'r str, String> {
    let text = request.get(field).and_then(Value::as_str);
    text.ok_or_else(|| format!("{field:?} is missing or no text"))
}

fn bytes(request: &Value, field: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text(request, field)?)
        .map_err(|error| format!("{field:?} is no base64: {error}"))
}
