//! Changed geometries become the smallest sets of edits.

use serde_json::{Value, json};
use yrs::Doc;

use super::{
    doc, feature, features, import, import_with, keys, options, polygon, put, record, report, ring,
    value,
};

/// Imports one after the other into one document; the keys written by the second.
pub(super) fn edit(first: Value, second: Value) -> (Doc, Vec<String>) {
    let doc = doc(1);
    import(&doc, &[first]);
    let report = import_with(
        &doc,
        std::slice::from_ref(&second),
        &options("second", 6000),
    )
    .unwrap();
    assert_eq!(report.changed, 1);
    let fresh = super::doc(2);
    import(&fresh, &[second]);
    assert_eq!(features(&doc), features(&fresh));
    assert_eq!(super::report(&doc), Vec::<String>::new());
    let roots = ["geom", "part", "vert", "prop", "attr", "gone"];
    let written = roots.iter().flat_map(|root| {
        keys(&doc, root)
            .into_iter()
            .map(move |key| format!("{root} {key}"))
    });
    (doc.clone(), written.collect())
}

#[test]
fn a_moved_vertex_is_one_entry() {
    let mut moved = ring(100);
    moved[40] = [1.0, 2.0];
    let (doc, written) = edit(polygon(&ring(100)), polygon(&moved));
    assert_eq!(written.len(), 1);
    let generation = value(&doc, "feat", "f")
        .rsplit(", ")
        .next()
        .unwrap()
        .trim_end_matches(']')
        .to_owned();
    assert_eq!(written, [format!("vert f/second/{generation}/0.0.U00e")]);
}

#[test]
fn a_moved_point_is_one_entry() {
    let point = |at| feature(json!("f"), "Point", at, json!({}));
    let (_, written) = edit(point(json!([1, 2])), point(json!([1, 2.5])));
    assert!(
        written.len() == 1 && written[0].ends_with("/0.0.U000"),
        "{written:?}"
    );
}

#[test]
fn inserted_and_removed_vertices_are_one_entry_each() {
    let mut inserted = ring(50);
    inserted.insert(10, [9.0, 9.0]);
    inserted.insert(50, [9.9, -0.6]);
    let (doc, written) = edit(polygon(&ring(50)), polygon(&inserted));
    assert_eq!(written.len(), 2, "{written:?}");
    // Removing an inserted vertex keeps its key, as an entry without position.
    let report = import_with(&doc, &[polygon(&ring(50))], &options("third", 7000)).unwrap();
    assert_eq!((report.changed, keys(&doc, "vert").len()), (1, 2));

    let mut removed = ring(50);
    removed.drain(10..12);
    assert_eq!(edit(polygon(&ring(50)), polygon(&removed)).1.len(), 2);
}

#[test]
fn a_line_grows_at_both_ends_and_continues_its_own_run() {
    let line = |from: i32, to: i32| {
        let positions: Vec<Value> = (from..to).map(|x| json!([x, 0.5])).collect();
        feature(json!("f"), "LineString", json!(positions), json!({}))
    };
    let (_, written) = edit(line(0, 30), line(-3, 34));
    assert_eq!(written.len(), 7);
    let slots: Vec<&str> = written
        .iter()
        .map(|key| &key[key.len() - 13..][..4])
        .collect();
    assert_eq!(
        slots,
        ["Tzzz", "Tzzz", "Tzzz", "U00U", "U00U", "U00U", "U00U"]
    );
}

#[test]
fn a_ring_whose_first_vertex_changed_is_still_edited() {
    let mut turned = ring(40);
    turned.pop();
    turned.remove(0);
    turned.insert(0, [5.5, 5.5]);
    turned.insert(0, [6.5, 6.5]);
    turned.push([6.5, 6.5]);
    let (_, written) = edit(polygon(&ring(40)), polygon(&turned));
    assert_eq!(written.len(), 2);
}

#[test]
fn a_different_geometry_replaces_the_old_one_whole() {
    let far: Vec<[f64; 2]> = ring(60).iter().map(|[x, y]| [x + 0.123, *y]).collect();
    let (doc, written) = edit(polygon(&ring(60)), polygon(&far));
    assert!(
        written.len() == 1 && written[0].starts_with("geom f/second/"),
        "{written:?}"
    );
    // Once more: the replaced generation goes.
    import_with(&doc, &[polygon(&ring(61))], &options("third", 7000)).unwrap();
    assert!(keys(&doc, "geom").len() == 1 && keys(&doc, "geom")[0].starts_with("f/third/"));
    for other in [
        feature(json!("f"), "Point", json!([1, 2]), json!({"a": 1})),
        feature(
            json!("f"),
            "Polygon",
            json!([ring(60), ring(3)]),
            json!({"a": 1}),
        ),
        feature(
            json!("f"),
            "MultiPolygon",
            json!([[ring(60)]]),
            json!({"a": 1}),
        ),
        feature(json!("f"), "Polygon", json!([]), json!({"a": 1})),
        json!({"type": "Feature", "id": "f", "properties": {"a": 1}, "geometry": null}),
    ] {
        assert_eq!(
            edit(polygon(&ring(60)), other.clone()).1.len(),
            1,
            "{other}"
        );
        assert_eq!(
            edit(other.clone(), polygon(&ring(60))).1.len(),
            1,
            "{other}"
        );
    }
}

#[test]
fn replacing_takes_the_edits_of_the_old_geometry_along() {
    let doc = doc(1);
    import(&doc, &[polygon(&ring(60))]);
    let mut moved = ring(60);
    moved[3] = [0.5, 0.5];
    moved.remove(30);
    import_with(&doc, &[polygon(&moved)], &options("second", 6000)).unwrap();
    assert_eq!(keys(&doc, "vert").len(), 2);
    import_with(&doc, &[polygon(&ring(3))], &options("third", 7000)).unwrap();
    assert_eq!((keys(&doc, "vert").len(), keys(&doc, "geom").len()), (0, 1));
    assert_eq!(report(&doc), Vec::<String>::new());
}

#[test]
fn a_line_of_several_segments_is_edited_in_place() {
    let doc = doc(1);
    put(
        &doc,
        &[(
            "feat",
            "f",
            record(2, json!([[0, 0], [1, 0], [2, 0]]), "{}"),
        )],
    );
    let added = crate::model::pack(
        crate::geometry::Dims::Two,
        &[vec![vec![3.0, 0.0, 4.0, 0.0, 5.0, 0.0]]],
    );
    super::put_any(
        &doc,
        "part",
        "f/track/0/0.U000abcdeU001",
        yrs::Any::from(vec![yrs::Any::from(2000.0), yrs::Any::Buffer(added.into())]),
    );
    let line = |xs: &[f64]| {
        let positions: Vec<Value> = xs.iter().map(|x| json!([x, 0])).collect();
        feature(json!("f"), "LineString", json!(positions), json!({}))
    };
    let report = import(&doc, &[line(&[0.0, 1.0, 2.0, 2.5, 3.0, 4.5, 5.0, 6.0])]);
    assert_eq!(
        (
            report.changed,
            keys(&doc, "vert").len(),
            keys(&doc, "geom").len()
        ),
        (1, 3, 0)
    );
    let shown = features(&doc);
    assert!(
        shown[0].contains("[[0,0],[1,0],[2,0],[2.5,0],[3,0],[4.5,0],[5,0],[6,0]]"),
        "{shown:?}"
    );
}
