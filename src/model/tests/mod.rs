//! Tests of reading and importing together, over whole documents.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod blaming;
mod concurrent_inserts;
mod converging;
mod edits;
mod hostile;
mod importing;
mod laws;
mod merging;
mod moving;
mod operating;
mod people;
mod reading;
mod undoing;
mod upkeep;
mod vectors;
mod vertex_edits;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, Map, Out, ReadTxn, StateVector, Transact, Update, WriteTxn};

use super::json::to_any;
use super::{ImportError, ImportOptions, ImportReport, InputFeature, MapView, Sid, upsert};
use crate::formats::{Format, feature_json, read};

/// A document with a fixed client id.
fn doc(client: u64) -> Doc {
    Doc::with_client_id(client)
}

/// A document that was sent an update.
fn doc_of(update: &[u8]) -> Doc {
    let doc = doc(99);
    doc.transact_mut()
        .apply_update(Update::decode_v1(update).unwrap())
        .unwrap();
    doc
}

fn update_of(doc: &Doc) -> Vec<u8> {
    doc.transact()
        .encode_state_as_update_v1(&StateVector::default())
}

/// Puts values under keys of roots: `(root, key, value)`.
fn put(doc: &Doc, entries: &[(&str, &str, Value)]) {
    let mut txn = doc.transact_mut();
    for (root, key, value) in entries {
        txn.get_or_insert_map(*root)
            .insert(&mut txn, *key, to_any(value));
    }
}

fn put_any(doc: &Doc, root: &str, key: &str, value: Any) {
    let mut txn = doc.transact_mut();
    txn.get_or_insert_map(root).insert(&mut txn, key, value);
}

fn view(doc: &Doc) -> MapView {
    MapView::new(&doc.transact())
}

/// All features as text, one a line.
fn features(doc: &Doc) -> Vec<String> {
    view(doc)
        .features()
        .map(|feature| feature_json(&feature))
        .collect()
}

fn report(doc: &Doc) -> Vec<String> {
    view(doc)
        .report()
        .iter()
        .map(|problem| problem.to_value().to_string())
        .collect()
}

fn options(sid: &str, now_s: u64) -> ImportOptions {
    ImportOptions {
        layer: None,
        sid: Sid::parse(sid).unwrap(),
        who: None,
        now_s,
        seed: 7,
        restore: false,
    }
}

/// The record of a feature with plain coordinates.
fn record(kind: u8, coordinates: Value, properties: &str) -> Value {
    json!([1000, "maker", kind, coordinates, properties, ""])
}

/// Features from GeoJSON values, one record each.
fn inputs(features: &[Value]) -> Vec<InputFeature> {
    if features.is_empty() {
        return Vec::new();
    }
    let lines: Vec<String> = features.iter().map(Value::to_string).collect();
    read(lines.join("\n").as_bytes(), Format::GeoJsonSeq)
        .collect::<Result<_, _>>()
        .unwrap()
}

fn import_with(
    doc: &Doc,
    features: &[Value],
    options: &ImportOptions,
) -> Result<ImportReport, ImportError> {
    upsert(doc, inputs(features).into_iter(), options, &mut |_| ())
}

fn import(doc: &Doc, features: &[Value]) -> ImportReport {
    import_with(doc, features, &options("importer", 5000)).unwrap()
}

/// Sizes of the updates that `act` causes.
fn updates(doc: &Doc, act: impl FnOnce()) -> Vec<usize> {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = sizes.clone();
    doc.observe_update_v1("sizes", move |_, event| {
        seen.lock().unwrap().push(event.update.len())
    })
    .unwrap();
    act();
    doc.unobserve_update_v1("sizes").unwrap();
    let sizes = sizes.lock().unwrap();
    sizes.clone()
}

/// Keys of a root, sorted.
fn keys(doc: &Doc, root: &str) -> Vec<String> {
    let txn = doc.transact();
    let mut keys: Vec<String> = txn
        .get_map(root)
        .map(|map| map.keys(&txn).map(str::to_owned).collect())
        .unwrap_or_default();
    keys.sort();
    keys
}

fn value(doc: &Doc, root: &str, key: &str) -> String {
    let txn = doc.transact();
    match txn.get_map(root).and_then(|map| map.get(&txn, key)) {
        Some(Out::Any(any)) => any.to_string(),
        other => format!("{other:?}"),
    }
}

fn feature(id: Value, kind: &str, coordinates: Value, properties: Value) -> Value {
    json!({"type": "Feature", "id": id, "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}})
}

/// A ring of `n` vertices around the origin, closed.
fn ring(n: usize) -> Vec<[f64; 2]> {
    let corner = |i: usize| {
        let angle = i as f64 / n as f64 * std::f64::consts::TAU;
        [
            (angle.cos() * 1e4).round() / 1e3,
            (angle.sin() * 1e4).round() / 1e3,
        ]
    };
    (0..n).chain([0]).map(corner).collect()
}

fn polygon(ring: &[[f64; 2]]) -> Value {
    feature(json!("f"), "Polygon", json!([ring]), json!({"a": 1}))
}
