//! Edits that every writer must make alike: the shared cases of `tests/fixtures/map-document/edits.json`.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use yrs::{Any, Doc, GetString, Map as _, Out, ReadTxn, Transact};

use super::{doc_of, view};
use crate::geometry::json_number;
use crate::model::{Editor, MapView, Operation, Random, Sid, Watch, Who};

const ROOTS: [&str; 13] = [
    "meta", "feat", "geom", "part", "vert", "prop", "attr", "gone", "text", "layer", "note",
    "file", "who",
];

fn value_of(any: &Any) -> Value {
    match any {
        Any::Null | Any::Undefined => Value::Null,
        Any::Bool(value) => json!(value),
        Any::Number(yrs::any::Number::Int(integer)) => json!(integer),
        Any::Number(yrs::any::Number::Float(float)) => Value::Number(json_number(*float)),
        Any::String(text) => json!(&**text),
        Any::Buffer(bytes) => json!({"$bytes": STANDARD.encode(bytes)}),
        Any::Array(items) => Value::Array(items.iter().map(value_of).collect()),
        Any::Map(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value_of(value)))
            .collect(),
    }
}

/// All entries of all roots.
fn entries(doc: &Doc) -> Value {
    let txn = doc.transact();
    let mut roots = Map::new();
    for root in ROOTS {
        let Some(map) = txn.get_map(root) else {
            continue;
        };
        let entry = |key: &str| match map.get(&txn, key) {
            Some(Out::Any(any)) => value_of(&any),
            Some(Out::YText(text)) => json!({"$text": text.get_string(&txn)}),
            other => json!(format!("{other:?}")),
        };
        let found: Map<String, Value> = map
            .keys(&txn)
            .map(|key| (key.to_owned(), entry(key)))
            .collect();
        if !found.is_empty() {
            roots.insert(root.to_owned(), Value::Object(found));
        }
    }
    Value::Object(roots)
}

/// What the case yields or is refused with, and the entries afterwards.
fn run(case: &Value) -> (Value, Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let doc = doc_of(&STANDARD.decode(text(&case["doc"])).unwrap());
    let session = &case["session"];
    let who = Who {
        user: text(&session["user"]),
        name: text(&session["name"]),
    };
    let random = case["random"].as_array().unwrap();
    let random = random
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect();
    let sid = Sid::parse(session["sid"].as_str().unwrap()).unwrap();
    let mut editor = Editor::new(sid, Some(who), Random::given(random));
    let now_s = case["now"].as_u64().unwrap();
    let watch = Watch::attach(&doc);
    let mut moved = view(&doc);
    let planned = Operation::from_value(case["operation"].clone())
        .and_then(|operation| editor.plan(&moved, now_s, &operation));
    let outcome = match planned {
        Ok(plan) => {
            let result = serde_json::to_value(plan.yielded()).unwrap();
            let mut staged = moved.clone();
            staged.stage(&plan.edits);
            plan.write(&mut doc.transact_mut());
            if let Some(delta) = watch.take(&doc.transact()) {
                moved.apply(delta);
            }
            let fresh = MapView::new(&doc.transact());
            let shown = |view: &MapView| (view.features().collect::<Vec<_>>(), view.report());
            assert_eq!(shown(&staged), shown(&fresh), "staged, {}", case["name"]);
            assert_eq!(shown(&moved), shown(&fresh), "moved, {}", case["name"]);
            json!({ "result": result })
        }
        Err(error) => json!({"error": error.code()}),
    };
    (outcome, entries(&doc))
}

#[test]
fn every_shared_edit_writes_the_entries_that_the_format_demands() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/map-document/edits.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() >= 150, "only {} cases found", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = match case.get("error") {
            Some(code) => json!({ "error": code }),
            None => json!({ "result": case["result"] }),
        };
        let (outcome, entries) = run(case);
        // Numbers compare as doubles, members without order.
        let same = |a: &Value, b: &Value| {
            crate::model::canonical(a.clone()) == crate::model::canonical(b.clone())
        };
        if !same(&outcome, &expected) || !same(&entries, &case["entries"]) {
            wrong.push(format!(
                "{}\n  operation {}\n  expected {expected} {}\n  found    {outcome} {entries}",
                case["name"], case["operation"], case["entries"]
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
