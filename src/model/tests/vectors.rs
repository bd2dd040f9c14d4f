//! Documents written by Yjs, with the features and the report that every reader must find in them.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{doc_of, json, view};
use crate::geometry::Geometry;
use crate::model::canonical;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/map-document")
}

/// Checks one vector: `{"about", "update", "features", "report"}`.
fn check(name: &str, vector: &Value) {
    let about = format!("{name}: {}", vector["about"]);
    let update = STANDARD
        .decode(vector["update"].as_str().expect("base64"))
        .expect("base64");
    let view = view(&doc_of(&update));
    let features: Vec<Value> = view
        .features()
        .map(|feature| {
            json!({
                "fid": feature.fid, "layer": feature.layer, "state": feature.state.name(),
                "geometry": feature.geometry.as_ref().map_or(Value::Null, Geometry::to_value),
                "properties": feature.properties,
            })
        })
        .collect();
    assert_eq!(
        canonical(Value::Array(features)),
        canonical(vector["features"].clone()),
        "{about}"
    );
    let report: Vec<Value> = view
        .report()
        .iter()
        .map(super::super::Problem::to_value)
        .collect();
    assert_eq!(
        canonical(Value::Array(report)),
        canonical(vector["report"].clone()),
        "{about}"
    );
}

#[test]
fn every_reader_finds_the_same_features_and_the_same_report() {
    let mut checked = 0;
    for entry in std::fs::read_dir(folder()).expect("fixtures") {
        let path = entry.expect("entry").path();
        // Edits have vectors of another form.
        if path.extension().is_none_or(|ending| ending != "json") || path.ends_with("edits.json") {
            continue;
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).expect("text");
        let vectors: Vec<Value> = serde_json::from_str(&text).expect("an array of vectors");
        vectors.iter().for_each(|vector| check(&name, vector));
        checked += vectors.len();
    }
    assert!(checked >= 40, "only {checked} vectors found");
}
