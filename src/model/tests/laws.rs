//! What holds after any sequence of imports.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    doc, doc_of, features, import, import_with, options, put, report, update_of, updates, value,
    view,
};

fn position() -> impl Strategy<Value = Vec<f64>> {
    let number = |max: f64| {
        prop_oneof![
            (-max..max),
            (-max..max).prop_map(|n: f64| (n * 1e5).round() / 1e5),
            Just(0.0)
        ]
    };
    (number(180.0), number(90.0)).prop_map(|(lon, lat)| vec![lon, lat])
}

fn line(least: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(position(), least..12)
}

fn closed() -> impl Strategy<Value = Vec<Vec<f64>>> {
    line(3).prop_map(|mut ring| {
        ring.push(ring[0].clone());
        ring
    })
}

fn any_geometry() -> impl Strategy<Value = Value> {
    let rings = || prop::collection::vec(closed(), 1..3);
    prop_oneof![
        Just(Value::Null),
        position().prop_map(|p| json!({"type": "Point", "coordinates": p})),
        (position(), -100.0..9000.0).prop_map(|(mut p, z)| {
            p.push(z);
            json!({"type": "Point", "coordinates": p})
        }),
        line(1).prop_map(|c| json!({"type": "MultiPoint", "coordinates": c})),
        line(2).prop_map(|c| json!({"type": "LineString", "coordinates": c})),
        prop::collection::vec(line(2), 1..3).prop_map(|c| json!({"type": "MultiLineString", "coordinates": c})),
        rings().prop_map(|c| json!({"type": "Polygon", "coordinates": c})),
        prop::collection::vec(rings(), 1..3).prop_map(|c| json!({"type": "MultiPolygon", "coordinates": c})),
        position().prop_map(|c| json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": c}]})),
    ]
}

fn any_properties() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|n: f64| json!(n)),
        "[a-zé\"\\\\\n]{0,6}".prop_map(Value::from),
    ];
    let value = scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,2}", inner, 0..3)
                .prop_map(|members| json!(members)),
        ]
    });
    prop::collection::btree_map("[a-d/]{1,2}", value, 0..4).prop_map(|members| json!(members))
}

/// Versions of three features, each version a step from the one before.
fn versions() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let one = |id: &'static str| {
        (any_geometry(), any_properties())
            .prop_map(move |(geometry, properties)| json!({"type": "Feature", "id": id, "geometry": geometry, "properties": properties}))
    };
    let step = prop_oneof![
        4 => (any::<prop::sample::Index>(), position()).prop_map(Some),
        1 => Just(None),
    ];
    (
        one("a"),
        one("b"),
        one("c"),
        prop::collection::vec((one("a"), prop::collection::vec(step, 1..4)), 1..5),
    )
        .prop_map(|(a, b, c, steps)| {
            let mut versions = vec![vec![a, b, c]];
            for (fresh, edits) in steps {
                let mut next = versions[versions.len() - 1].clone();
                for edit in edits {
                    match edit {
                        None => next[0] = fresh.clone(),
                        Some((at, position)) => next
                            .iter_mut()
                            .for_each(|feature| touch(feature, &at, &position)),
                    }
                }
                versions.push(next);
            }
            versions
        })
}

/// Moves, inserts or removes a vertex of a line, as the index says.
fn touch(feature: &mut Value, at: &prop::sample::Index, position: &[f64]) {
    if feature["geometry"]["type"] == "Point"
        && feature["geometry"]["coordinates"].as_array().unwrap().len() == 2
    {
        feature["geometry"]["coordinates"] = json!(position);
    }
    if feature["geometry"]["type"] != "LineString" {
        return;
    }
    let line = feature["geometry"]["coordinates"].as_array_mut().unwrap();
    let index = at.index(line.len());
    match at.index(3) {
        0 => line[index] = json!(position),
        1 => line.insert(index + at.index(2), json!(position)),
        _ if line.len() > 2 => drop(line.remove(index)),
        _ => {}
    }
}

/// The feature with its rings in one of their two directions, since files are wound as RFC 7946 says when they are read.
fn either_way(feature: &Value) -> Value {
    fn turn(coordinates: &mut Value, levels: usize) {
        let items = coordinates.as_array_mut().unwrap();
        if levels > 0 {
            items.iter_mut().for_each(|item| turn(item, levels - 1));
            return;
        }
        let turned: Vec<Value> = items.iter().rev().cloned().collect();
        let text = |items: &Vec<Value>| -> String { items.iter().map(Value::to_string).collect() };
        if text(&turned) < text(items) {
            *items = turned;
        }
    }
    let mut feature = crate::model::canonical(feature.clone());
    let levels = match feature["geometry"]["type"].as_str() {
        Some("Polygon") => 1,
        Some("MultiPolygon") => 2,
        _ => return feature,
    };
    turn(&mut feature["geometry"]["coordinates"], levels);
    feature
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn after_any_imports_the_map_shows_the_last_and_repeating_it_writes_nothing(versions in versions()) {
        let doc = doc(1);
        for (index, version) in versions.iter().enumerate() {
            import_with(&doc, version, &options(&format!("step{index}"), 100 * index as u64)).unwrap();
            let fresh = super::doc(2);
            import(&fresh, version);
            prop_assert_eq!(features(&doc), features(&fresh));
            prop_assert_eq!(updates(&doc, || drop(import(&doc, version))), Vec::<usize>::new());
        }
        prop_assert_eq!(report(&doc), Vec::<String>::new());
        prop_assert_eq!(features(&doc_of(&update_of(&doc))), features(&doc));
    }

    #[test]
    fn every_property_and_coordinate_comes_back_as_it_was(versions in versions()) {
        let doc = doc(1);
        import(&doc, &versions[0]);
        let shown: Vec<Value> = features(&doc).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        for (shown, given) in shown.iter().zip(&versions[0]) {
            prop_assert_eq!(either_way(shown), either_way(given));
        }
    }

    #[test]
    fn an_import_into_an_edited_map_shows_the_import(versions in versions(), t in 0_u32..300) {
        let doc = doc(1);
        import_with(&doc, &versions[0], &options("step0", 0)).unwrap();
        // Somebody edits vertices and properties meanwhile, with a clock of his own.
        let view = view(&doc);
        let fids: Vec<String> = view.features().map(|feature| feature.fid).collect();
        for fid in &fids {
            let generation = value(&doc, "feat", fid).rsplit(", ").next().unwrap().trim_end_matches(']').to_owned();
            put(&doc, &[
                ("vert", &format!("{fid}/alice/{generation}/0.0.U001"), json!([t])),
                ("vert", &format!("{fid}/alice/{generation}/0.0.U000Uab"), json!([t, 1, 2])),
                ("prop", &format!("{fid}/alice/a"), json!([t, "edited"])),
                ("prop", &format!("{fid}/bobby/a"), json!([t + 1, "too"])),
            ]);
        }
        let last = &versions[versions.len() - 1];
        import_with(&doc, last, &options("step1", 100)).unwrap();
        let fresh = super::doc(2);
        import(&fresh, last);
        prop_assert_eq!(features(&doc), features(&fresh));
        prop_assert_eq!(updates(&doc, || drop(import(&doc, last))), Vec::<usize>::new());
    }
}
