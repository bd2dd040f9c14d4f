//! Several operations at once, and edits of older versions.

use serde_json::{Value, json};
use yrs::Transact;

use super::people::{Person, create, insert, line, move_vertex, set, shown, square};
use super::{feature, inputs, update_of};
use crate::geometry::Geometry;
use crate::model::{Editor, Operation, Plan, Random, Sid, State};

fn operations(values: &[Value]) -> Vec<Operation> {
    let parsed = values
        .iter()
        .map(|value| Operation::from_value(value.clone()));
    parsed.collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_operation_is_the_same_after_the_way_through_json() {
    for value in [
        square(),
        insert("0.0", json!("U000"), Value::Null, json!([1, 2])),
        json!({"op": "split", "fid": "f", "geometries": [{"type": "Point", "coordinates": [1, 2]}, null], "fids": ["g"]}),
        json!({"op": "set_layer", "lid": "roads", "values": {"name": "Roads", "gone": null}}),
        json!({"op": "set_title", "title": "Fields"}),
    ] {
        let operation = Operation::from_value(value.clone()).unwrap();
        let again = serde_json::to_value(&operation).unwrap();
        assert_eq!(Operation::from_value(again).unwrap(), operation, "{value}");
    }
    for (value, code) in [
        (json!({"op": "explode"}), "bad_operation"),
        (
            json!({"op": "set_title", "title": "x", "more": 1}),
            "bad_operation",
        ),
        (
            json!({"op": "replace_geometry", "fid": "f", "geometry": {"type": "Blob"}}),
            "bad_geometry",
        ),
        (
            json!({"op": "insert_vertex", "fid": "f", "segment": "0.0", "position": "here"}),
            "bad_position",
        ),
    ] {
        assert_eq!(Operation::from_value(value).unwrap_err().code(), code);
    }
}

#[test]
fn several_operations_are_one_transaction_planned_upon_each_other() {
    let mut alice = Person::new("alice", 1);
    let steps = operations(&[
        line(),
        json!({"op": "record_track", "fid": "f", "coordinates": [[3, 0]]}),
        json!({"op": "change_geometry", "fid": "f", "geometry": {"type": "LineString", "coordinates": [[0, 0], [0.5, 0], [2, 0], [3, 0]]}}),
        set("a", json!(1)),
        json!({"op": "add_note", "nid": "n", "body": "look", "fid": "f"}),
        json!({"op": "remove_note", "nid": "n"}),
        json!({"op": "delete", "fids": ["f"]}),
        json!({"op": "restore", "fids": ["f"]}),
    ]);
    let plan = alice.editor.plan_all(&alice.view(), 1000, &steps).unwrap();
    assert!(plan.features().into_iter().eq(["f"]) && plan.size_bytes() > 100);
    let sizes = super::updates(&alice.doc, || plan.write(&mut alice.doc.transact_mut()));
    assert_eq!(sizes.len(), 1);
    let feature = alice.view().feature("f").unwrap();
    let coordinates = &feature.geometry.as_ref().map(Geometry::to_value).unwrap()["coordinates"];
    assert_eq!(coordinates, &json!([[0, 0], [0.5, 0], [2, 0], [3, 0]]));
    assert_eq!(
        (feature.properties["a"].clone(), feature.state),
        (json!(1), State::Live)
    );
    assert_eq!(alice.view().notes().count(), 0);

    // If one does not fit, nothing is planned.
    let steps = operations(&[
        set("a", json!(2)),
        move_vertex("0.0", "none", json!([1, 1])),
    ]);
    let error = alice
        .editor
        .plan_all(&alice.view(), 1000, &steps)
        .unwrap_err();
    assert_eq!(error.code(), "unknown_vertex");
}

#[test]
fn an_edit_of_an_older_version_is_merged_onto_the_present() {
    let mut alice = Person::new("alice", 1);
    alice.act(1000, square());
    let base = alice.view().excerpt(["f"]);
    alice.act(2000, move_vertex("0.0", "U002", json!([12, 12])));
    alice.act(2000, set("crop", json!("oats")));
    alice.act(2000, set("owner", json!("Bob")));

    // Somebody who saw the base moves another vertex, sets one property alike and another differently.
    let rings = json!([
        [[-1, 0], [10, 0], [10, 10], [0, 10], [-1, 0]],
        [[2, 2], [2, 4], [4, 4], [2, 2]]
    ]);
    let wanted = feature(
        json!("f"),
        "Polygon",
        rings,
        json!({"crop": "rye", "owner": "Ann"}),
    );
    let steps = base.operations_between("f", &inputs(&[wanted]).remove(0));
    assert_eq!(steps.len(), 2);
    let mut guest = Editor::new(Sid::parse("guest").unwrap(), None, Random::new(9));
    let plan = guest
        .plan_all(&base, 3000, &steps)
        .unwrap()
        .onto(&base, &alice.view());
    plan.write(&mut alice.doc.transact_mut());
    let shown = alice.view().feature("f").unwrap();
    let outer = shown.geometry.unwrap().to_value()["coordinates"][0].clone();
    assert_eq!(outer, json!([[-1, 0], [10, 0], [12, 12], [0, 10], [-1, 0]]));
    assert_eq!(
        (&shown.properties["crop"], &shown.properties["owner"]),
        (&json!("rye"), &json!("Bob"))
    );
    let problems: Vec<Value> = alice
        .view()
        .report()
        .iter()
        .map(|problem| problem.to_value())
        .collect();
    assert_eq!(
        problems,
        [json!(["concurrent values", "prop", "f", "crop", 2])]
    );

    // Deleting what one saw, while others edited it, is contested.
    let delete = operations(&[json!({"op": "delete", "fids": ["f"]})]);
    let plan = guest
        .plan_all(&base, 3000, &delete)
        .unwrap()
        .onto(&base, &alice.view());
    plan.write(&mut alice.doc.transact_mut());
    assert_eq!(alice.view().state("f"), Some(State::Contested));
}

#[test]
fn what_was_not_seen_is_not_deleted() {
    let mut alice = Person::new("alice", 1);
    let mut bobby = Person::new("bobby", 2);
    alice.act(1000, square());
    alice.act(1000, set("crop", json!("oats")));
    bobby.receive(&update_of(&alice.doc));
    let base = bobby.view();
    // Alice's slot is rewritten after Bobby looked at it.
    alice.act(2000, set("crop", json!("barley")));
    bobby.receive(&update_of(&alice.doc));
    let step = operations(&[set("crop", json!("rye"))]);
    let plan = bobby
        .editor
        .plan_all(&base, 3000, &step)
        .unwrap()
        .onto(&base, &bobby.view());
    plan.write(&mut bobby.doc.transact_mut());
    let versions = bobby.view().versions("prop", "f", "crop");
    let values: Vec<_> = versions
        .into_iter()
        .map(|version| version.value.unwrap())
        .collect();
    assert_eq!(values, [json!("rye"), json!("barley")]);
}

#[test]
fn a_geometry_is_changed_by_as_few_edits_as_possible() {
    let change =
        |geometry: Value| json!({"op": "change_geometry", "fid": "f", "geometry": geometry});
    let polygon = |rings: Value| json!({"type": "Polygon", "coordinates": rings});
    let outer = json!([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]);
    let hole = json!([[2, 2], [2, 4], [4, 4], [2, 2]]);
    let new = json!([[6, 6], [6, 8], [8, 8], [6, 6]]);
    let second = json!([
        [[20, 0], [30, 0], [30, 10], [20, 0]],
        [[25, 1], [28, 1], [28, 3], [25, 1]]
    ]);
    let cases = [
        // Rounding by an editor changes nothing.
        (
            polygon(json!([
                [[0.0000001, 0], [10, 0], [10, 10], [0, 10], [0.0000001, 0]],
                hole
            ])),
            0,
            0,
            0,
        ),
        (polygon(json!([outer, hole, new])), 0, 1, 0),
        (polygon(json!([outer])), 0, 1, 0),
        // A ring in the place of another is the same ring, moved.
        (polygon(json!([outer, new])), 3, 0, 0),
        (
            json!({"type": "MultiPolygon", "coordinates": [[outer, hole], second]}),
            0,
            2,
            0,
        ),
        (
            polygon(json!([
                [[0, 0], [10, 0], [11, 11], [5, 11], [0, 10], [0, 0]],
                hole,
                new
            ])),
            2,
            1,
            0,
        ),
        // A new hole before an old one is another order, which names cannot express.
        (polygon(json!([outer, new, hole])), 0, 0, 1),
        (
            json!({"type": "MultiPolygon", "coordinates": [[outer, hole]]}),
            0,
            0,
            1,
        ),
        (json!({"type": "Point", "coordinates": [1, 1]}), 0, 0, 1),
        (Value::Null, 0, 0, 1),
    ];
    for (wanted, vertices, parts, geometries) in cases {
        let mut alice = Person::new("alice", 1);
        alice.act(1000, square());
        alice.act(2000, change(wanted.clone()));
        let count = |root| super::keys(&alice.doc, root).len();
        let written = (count("vert"), count("part"), count("geom"));
        assert_eq!(written, (vertices, parts, geometries), "{wanted}");
        if written != (0, 0, 0) {
            let shown = alice.view().feature("f").unwrap().geometry;
            let shown = shown
                .map(|geometry| geometry.to_value())
                .unwrap_or_default();
            assert_eq!(shown, wanted);
            // And back again.
            let rings = json!([outer, hole]);
            alice.act(3000, change(polygon(rings.clone())));
            let back = alice
                .view()
                .feature("f")
                .unwrap()
                .geometry
                .unwrap()
                .to_value();
            assert_eq!(back["coordinates"], rings);
        }
        assert_eq!(shown(&alice.view()).1, Vec::<String>::new(), "{wanted}");
    }
}

#[test]
fn a_session_continues_its_run_and_never_gives_a_key_twice() {
    let mut alice = Person::new("alice", 1);
    alice.act(
        1000,
        create("LineString", json!([[0, 0], [1, 0]]), json!({})),
    );
    let append = insert("0.0", Value::Null, Value::Null, json!([5, 5]));
    let first = alice.act(1000, append.clone()).0.key.unwrap();
    let second = alice.act(1000, append.clone()).0.key.unwrap();
    assert_eq!(second, format!("{}U002", &first[..9]));
    // Two plans from one view have different keys.
    let step = Operation::from_value(append).unwrap();
    let view = alice.view();
    let keys = [(); 2].map(|()| {
        alice
            .editor
            .plan(&view, 1000, &step)
            .unwrap()
            .yielded()
            .key
            .clone()
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn plans_of_different_things_are_written_together() {
    let mut alice = Person::new("alice", 1);
    let create = |fid: &str| json!({"op": "create", "fid": fid, "geometry": null});
    let title = json!({"op": "set_title", "title": "Fields"});
    let mut all = Plan::default();
    for operation in [create("f"), create("g"), title, create("h")] {
        all.extend(alice.plan(1000, &operation).unwrap());
    }
    assert_eq!(all.features().len(), 3);
    let sizes = super::updates(&alice.doc, || all.write(&mut alice.doc.transact_mut()));
    assert_eq!((sizes.len(), alice.view().feature_count()), (1, 3));
    assert_eq!(super::keys(&alice.doc, "who"), ["alice"]);
    assert_eq!(alice.view().title(), Some("Fields"));
}
