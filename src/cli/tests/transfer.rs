//! `import` and `export`.

use std::path::Path;

use serde_json::Value;
use yrs::{Any, Doc, Map, ReadTxn, Transact};

use super::{Served, folder_with, mapweave, mapweave_reading};
use crate::Exit;

/// A collection of points along a meridian, with ids, names and heights of its members.
fn points(count: usize) -> String {
    let feature = |i: usize| {
        format!(
            r#"{{"type":"Feature","id":{i},"geometry":{{"type":"Point","coordinates":[7.25,{}]}},"properties":{{"name":"P{i}","n":{i}}}}}"#,
            f64::from(u32::try_from(i % 80).unwrap()) + 0.125
        )
    };
    let features: Vec<String> = (1..=count).map(feature).collect();
    format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[\n{}\n]}}\n",
        features.join(",\n")
    )
}

fn write(folder: &Path, file: &str, text: &str) {
    std::fs::write(folder.join(file), text).unwrap();
}

/// Features by id, whatever the order of members and features.
fn features_of(text: &str) -> Vec<(String, Value)> {
    let collection: Value = serde_json::from_str(text).unwrap();
    let features = collection["features"].as_array().unwrap();
    let mut by_id: Vec<(String, Value)> = features
        .iter()
        .map(|f| (f["id"].to_string(), f.clone()))
        .collect();
    by_id.sort_by(|a, b| a.0.cmp(&b.0));
    by_id
}

fn updates_of(folder: &Path, map: &str) -> u64 {
    let maps = mapweave(folder, &["maps", "--json"]).done().json();
    let found = maps
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["name"] == map)
        .cloned();
    found.map_or(0, |m| m["updates"].as_u64().unwrap())
}

#[test]
fn what_goes_in_comes_out_and_the_same_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = points(2_500);
    write(folder.path(), "p.geojson", &text);
    let first = mapweave(folder.path(), &["import", "m", "p.geojson"]).done();
    assert!(
        first.out.contains("2500 created, 0 changed, 0 unchanged"),
        "{}",
        first.out
    );
    let updates = updates_of(folder.path(), "m");
    let out = mapweave(folder.path(), &["export", "m"]).done().out;
    assert_eq!(features_of(&out), features_of(&text));
    let again = mapweave(folder.path(), &["import", "m", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(
        (&again["files"][0]["unchanged"], &again["updates"]),
        (&Value::from(2_500), &Value::from(0))
    );
    assert_eq!(updates_of(folder.path(), "m"), updates);
    assert_eq!(mapweave(folder.path(), &["export", "m"]).done().out, out);
    write(
        folder.path(),
        "p.geojson",
        &text.replace("\"P7\"", "\"seven\""),
    );
    let changed = mapweave(folder.path(), &["import", "m", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(
        (&changed["files"][0]["changed"], &changed["updates"]),
        (&Value::from(1), &Value::from(1))
    );
    mapweave(folder.path(), &["verify"]).done();
}

#[test]
fn a_running_server_imports_and_exports_the_same_bytes() {
    let folder = folder_with(&["other"]);
    write(folder.path(), "p.geojson", &points(1_200));
    mapweave(folder.path(), &["import", "local", "p.geojson"]).done();
    let local = mapweave(folder.path(), &["export", "local"]).done().out;
    let served = Served::start(folder.path());
    let server = ["--server", served.url.as_str()];
    let run = |args: &[&str]| mapweave(folder.path(), &[args, &server].concat());
    let imported = run(&["import", "remote/a b", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(imported["files"][0]["created"], Value::from(1_200));
    assert!(imported["seq"].as_u64() >= Some(2), "{imported}");
    assert_eq!(run(&["export", "remote/a b"]).done().out, local);
    assert_eq!(run(&["export", "local"]).done().out, local);
    let again = run(&["import", "remote/a b", "p.geojson", "--json"])
        .done()
        .json();
    assert_eq!(again["updates"], Value::from(0));
    let unknown = run(&["export", "remote/a"]).ended(Exit::Failed);
    assert!(
        unknown.err.contains("did you mean \"remote/a b\"?"),
        "{}",
        unknown.err
    );
    run(&["verify"]).done();
}

#[test]
fn one_bad_record_is_named_and_keeps_everything_back_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let text = points(5).replace("[7.25,3.125]", "[7.25,\"north\"]");
    write(folder.path(), "bad.geojson", &text);
    let refused = mapweave(folder.path(), &["import", "m", "bad.geojson"]).ended(Exit::Failed);
    for word in [
        "bad.geojson: record 3, line 4: id \"3\":",
        "1 record is wrong; nothing was written",
        "--keep-going",
    ] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    assert!(refused.out.is_empty());
    assert_eq!(updates_of(folder.path(), "m"), 0);
    let json = mapweave(folder.path(), &["import", "m", "bad.geojson", "--json"])
        .ended(Exit::Failed)
        .json();
    assert_eq!(
        (&json["ok"], &json["written"], &json["wrong"]),
        (&Value::Bool(false), &Value::Bool(false), &Value::from(1))
    );
    assert_eq!(
        (&json["problems"][0]["record"], &json["problems"][0]["line"]),
        (&Value::from(3), &Value::from(4))
    );
    let going = mapweave(
        folder.path(),
        &["import", "m", "bad.geojson", "--keep-going"],
    )
    .ended(Exit::Failed);
    assert!(
        going.out.contains("4 created")
            && going.err.contains("record 3")
            && going
                .err
                .contains("1 record is wrong; everything else was imported"),
        "{} {}",
        going.out,
        going.err
    );
}

#[test]
fn a_wrong_record_in_the_last_file_keeps_the_first_back_too_and_all_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.geojson", &points(3));
    write(
        folder.path(),
        "bad.geojson",
        &points(30).replace("\"Point\"", "\"Pont\""),
    );
    let ran = mapweave(
        folder.path(),
        &["import", "m", "good.geojson", "bad.geojson"],
    )
    .ended(Exit::Failed);
    assert!(
        ran.err.contains("and 10 more like these") && ran.err.contains("30 records are wrong"),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.matches("bad.geojson: record").count(), 20);
    assert_eq!(updates_of(folder.path(), "m"), 0);
}

#[test]
fn files_that_are_no_features_are_told_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("zip.geojson"), b"PK\x03\x04rest").unwrap();
    write(path, "empty.geojson", "");
    write(path, "cut.geojson", points(3).get(..200).unwrap());
    for (file, word) in [
        ("zip.geojson", "zip archive"),
        ("empty.geojson", "empty"),
        ("cut.geojson", "truncated"),
    ] {
        let ran = mapweave(path, &["import", "m", file]).ended(Exit::Failed);
        assert!(
            ran.err.contains(file) && ran.err.contains(word),
            "{}",
            ran.err
        );
    }
    let nothing =
        mapweave(path, &["import", "m", "zip.geojson", "--keep-going"]).ended(Exit::Failed);
    assert!(
        nothing.err.contains("nothing else to import"),
        "{}",
        nothing.err
    );
    let missing =
        mapweave(path, &["import", "m", "cut.geojson", "gone.geojson"]).ended(Exit::Failed);
    assert!(
        missing.err.contains("cannot open") && missing.err.contains("gone.geojson"),
        "{}",
        missing.err
    );
    let folder_given = mapweave(path, &["import", "m", "."]).ended(Exit::Failed);
    assert!(
        folder_given.err.contains("it is a folder"),
        "{}",
        folder_given.err
    );
}

#[test]
fn standard_input_is_read_and_its_format_told_from_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let text = points(3);
    let lines = text
        .lines()
        .filter(|l| l.contains("\"id\""))
        .map(|l| l.trim_end_matches(',').to_owned() + "\n");
    let ran = mapweave_reading(
        folder.path(),
        &["import", "m", "-"],
        &lines.collect::<String>(),
    )
    .done();
    assert!(ran.out.contains("standard input: 3 created"), "{}", ran.out);
    mapweave_reading(folder.path(), &["import", "m", "-", "-"], "").ended(Exit::BadUsage);
    let sequence = mapweave(folder.path(), &["export", "m", "--format", "geojsonseq"])
        .done()
        .out;
    assert_eq!(sequence.lines().count(), 3);
}

#[test]
fn layers_and_boxes_choose_what_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "p.geojson", &points(10));
    write(
        path,
        "one.geojson",
        r#"{"type":"Feature","id":"x","geometry":null,"properties":{}}"#,
    );
    mapweave(path, &["import", "m", "p.geojson", "--layer", "Punkte"]).done();
    mapweave(path, &["import", "m", "one.geojson"]).done();
    let count = |args: &[&str]| {
        features_of(
            &mapweave(path, &[&["export", "m"][..], args].concat())
                .done()
                .out,
        )
        .len()
    };
    assert_eq!(count(&[]), 11);
    assert_eq!(count(&["--layer", "Punkte"]), 10);
    assert_eq!(count(&["--bbox", "7,2,8,4.5"]), 3);
    assert_eq!(count(&["--bbox", "-10,2,7,4"]), 0);
    let ran = mapweave(path, &["export", "m", "--layer", "Linien"]).ended(Exit::Failed);
    assert!(
        ran.err.contains("Linien") && ran.err.contains("Punkte") && ran.out.is_empty(),
        "{}",
        ran.err
    );
    mapweave(
        path,
        &["export", "m", "--format", "yjs", "--layer", "Punkte"],
    )
    .ended(Exit::BadUsage);
}

#[test]
fn an_exported_file_appears_whole_and_keeps_its_mode() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "p.geojson", &points(10));
    mapweave(path, &["import", "m", "p.geojson"]).done();
    let ran = mapweave(path, &["export", "m", "-o", "out.geojson"]).done();
    assert!(
        ran.out.is_empty() && ran.err.contains("10 features written to"),
        "{}",
        ran.err
    );
    let file = path.join("out.geojson");
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(features_of(&before).len(), 10);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    mapweave(
        path,
        &["export", "m", "-o", "out.geojson", "--layer", "none"],
    )
    .ended(Exit::Failed);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    mapweave(path, &["export", "m", "-o", "out.geojson"]).done();
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert!(
        mapweave(path, &["export", "m", "-o", "."])
            .ended(Exit::Failed)
            .err
            .contains("it is a folder")
    );
    let left: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn the_whole_document_moves_as_one_update() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "p.geojson", &points(10));
    mapweave(path, &["import", "a", "p.geojson"]).done();
    mapweave(path, &["export", "a", "-o", "a.yjs"]).done();
    let moved = mapweave(path, &["import", "b", "a.yjs"]).done();
    assert!(moved.out.contains("10 created"), "{}", moved.out);
    assert_eq!(
        mapweave(path, &["export", "b"]).done().out,
        mapweave(path, &["export", "a"]).done().out
    );
    let again = mapweave(path, &["import", "b", "a.yjs", "--json"])
        .done()
        .json();
    assert_eq!(again["updates"], Value::from(0));
    write(path, "rubbish.yjs", "rubbish");
    let refused = mapweave(path, &["import", "b", "rubbish.yjs"]).ended(Exit::Failed);
    assert!(
        refused.err.contains("rubbish.yjs") && refused.err.contains("no Yjs update"),
        "{}",
        refused.err
    );
    mapweave(path, &["import", "b", "a.yjs", "p.geojson"]).ended(Exit::BadUsage);
}

#[test]
fn an_update_that_builds_on_missing_ones_is_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let doc = Doc::new();
    let meta = doc.get_or_insert_map("meta");
    meta.insert(&mut doc.transact_mut(), "title", Any::from("one"));
    let known = doc.transact().state_vector();
    meta.insert(&mut doc.transact_mut(), "title", Any::from("two"));
    let late = doc.transact().encode_state_as_update_v1(&known);
    std::fs::write(folder.path().join("late.yjs"), late).unwrap();
    let ran = mapweave(folder.path(), &["import", "m", "late.yjs"]).ended(Exit::Failed);
    assert!(
        ran.err.contains(&doc.client_id().to_string()) && ran.err.contains("import those first"),
        "{}",
        ran.err
    );
    assert_eq!(updates_of(folder.path(), "m"), 0);
}
