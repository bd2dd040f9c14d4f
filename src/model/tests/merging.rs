//! What comes out when two people edit at once: the table of `map-document` §11, a test for each row.

use serde_json::{Value, json};

use super::people::{Merge, Person, create, insert, line, move_vertex, remove_vertex, set, square};
use crate::model::{MapView, State};

const ONE: u64 = 2000;
const OTHER: u64 = 3000;

fn one(operation: Value) -> impl Fn(&mut Person) {
    move |person| drop(person.act(ONE, operation.clone()))
}

fn other(operation: Value) -> impl Fn(&mut Person) {
    move |person| drop(person.act(OTHER, operation.clone()))
}

fn coordinates(view: &MapView) -> Value {
    let feature = view.feature("f").unwrap();
    feature.geometry.unwrap().to_value()["coordinates"].clone()
}

fn property(view: &MapView, name: &str) -> Value {
    let properties = view.feature("f").unwrap().properties;
    properties.get(name).cloned().unwrap_or_default()
}

fn report(view: &MapView) -> Vec<Value> {
    view.report()
        .iter()
        .map(|problem| problem.to_value())
        .collect()
}

fn ring(view: &MapView, index: usize) -> Value {
    coordinates(view)[index].clone()
}

#[test]
fn edits_of_different_vertices_and_properties_both_show() {
    let view = Merge::of([square()]).with(
        |person| {
            person.act(ONE, move_vertex("0.0", "U000", json!([-1, -1])));
            person.act(ONE, set("crop", json!("oats")));
        },
        |person| {
            person.act(OTHER, move_vertex("0.0", "U002", json!([11, 11])));
            person.act(OTHER, set("owner", json!("Bob")));
        },
    );
    assert_eq!(
        ring(&view, 0),
        json!([[-1, -1], [10, 0], [11, 11], [0, 10], [-1, -1]])
    );
    assert_eq!(
        (property(&view, "crop"), property(&view, "owner")),
        (json!("oats"), json!("Bob"))
    );
    assert_eq!(report(&view), Vec::<Value>::new());
}

#[test]
fn of_two_moves_of_one_vertex_the_later_shows_and_the_other_is_kept() {
    let view = Merge::of([square()]).with(
        one(move_vertex("0.0", "U002", json!([12, 12]))),
        other(move_vertex("0.0", "U002", json!([13, 13]))),
    );
    assert_eq!(ring(&view, 0)[2], json!([13, 13]));
    assert_eq!(
        report(&view),
        [json!(["concurrent values", "vert", "f", "0/0.0.U002", 2])]
    );
    let versions = view.versions("vert", "f", "0/0.0.U002");
    let said: Vec<_> = versions
        .iter()
        .map(|v| (v.set.sid.as_str(), v.set.t, v.value.clone().unwrap()))
        .collect();
    assert_eq!(
        said,
        [
            ("bobby", OTHER, json!([13, 13])),
            ("alice", ONE, json!([12, 12]))
        ]
    );
}

#[test]
fn two_insertions_on_one_edge_both_show_in_order_along_it() {
    for (first, second) in [(3.0, 7.0), (7.0, 3.0)] {
        let at = |x: f64| insert("0.0", json!("U000"), json!("U001"), json!([x, -0.5]));
        let view = Merge::of([square()]).with(one(at(first)), other(at(second)));
        let expected = json!([
            [0, 0],
            [3, -0.5],
            [7, -0.5],
            [10, 0],
            [10, 10],
            [0, 10],
            [0, 0]
        ]);
        assert_eq!((ring(&view, 0), report(&view)), (expected, vec![]));
    }
    // On the closing edge, which runs from the last vertex to the first.
    for (first, second) in [(3.0, 7.0), (7.0, 3.0)] {
        let at = |y: f64| insert("0.0", json!("U003"), json!("U000"), json!([-0.5, y]));
        let view = Merge::of([square()]).with(one(at(first)), other(at(second)));
        let expected = json!([
            [0, 0],
            [10, 0],
            [10, 10],
            [0, 10],
            [-0.5, 7],
            [-0.5, 3],
            [0, 0]
        ]);
        assert_eq!((ring(&view, 0), report(&view)), (expected, vec![]));
    }
}

#[test]
fn an_insertion_beside_a_vertex_that_another_removes_shows() {
    let view = Merge::of([square()]).with(
        one(insert("0.0", json!("U000"), json!("U001"), json!([5, -1]))),
        other(remove_vertex("0.0", "U001")),
    );
    let expected = json!([[0, 0], [5, -1], [10, 10], [0, 10], [0, 0]]);
    assert_eq!((ring(&view, 0), report(&view)), (expected, vec![]));
}

#[test]
fn two_runs_at_one_end_of_a_line_follow_each_other() {
    let run = |t: u64, y: f64| {
        move |person: &mut Person| {
            let mut last = "U002".to_owned();
            for x in [3.0, 4.0, 5.0] {
                let (yielded, _) =
                    person.act(t, insert("0.0", json!(last), Value::Null, json!([x, y])));
                last = yielded.key.unwrap();
            }
        }
    };
    let view = Merge::of([line()]).with(run(ONE, 1.0), run(OTHER, 2.0));
    let shown = coordinates(&view);
    let heights: Vec<f64> = shown
        .as_array()
        .unwrap()
        .iter()
        .skip(3)
        .map(|at| at[1].as_f64().unwrap())
        .collect();
    assert!(
        heights == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0] || heights == [2.0, 2.0, 2.0, 1.0, 1.0, 1.0],
        "{shown}"
    );
    assert_eq!(report(&view), Vec::<Value>::new());
}

#[test]
fn two_recorded_tracks_of_one_line_follow_each_other() {
    let record = |t: u64, y: f64| {
        move |person: &mut Person| {
            for x in [3.0, 5.0] {
                person.act(t, json!({"op": "record_track", "fid": "f", "coordinates": [[x, y], [x + 1.0, y]]}));
            }
        }
    };
    let view = Merge::of([line()]).with(record(ONE, 1.0), record(OTHER, 2.0));
    let shown = coordinates(&view);
    let heights: Vec<f64> = shown
        .as_array()
        .unwrap()
        .iter()
        .skip(3)
        .map(|at| at[1].as_f64().unwrap())
        .collect();
    assert!(
        heights.chunk_by(|a, b| a == b).map(<[f64]>::len).eq([4, 4]),
        "{shown}"
    );
    assert_eq!(report(&view), Vec::<Value>::new());
}

#[test]
fn a_moved_vertex_stays_though_another_removes_it() {
    // The removal is the later one in the second case.
    for (removes, moves) in [(ONE, OTHER), (OTHER, ONE)] {
        let view = Merge::of([square()]).with(
            |person| drop(person.act(removes, remove_vertex("0.0", "U002"))),
            |person| drop(person.act(moves, move_vertex("0.0", "U002", json!([12, 12])))),
        );
        assert_eq!(ring(&view, 0)[2], json!([12, 12]));
        assert_eq!(
            report(&view),
            [json!(["concurrent values", "vert", "f", "0/0.0.U002", 2])]
        );
    }
}

#[test]
fn a_replacement_shows_and_edits_of_what_it_replaced_are_kept_as_orphans() {
    let geometry =
        json!({"type": "Polygon", "coordinates": [[[20, 0], [30, 0], [30, 10], [20, 0]]]});
    let replace = json!({"op": "replace_geometry", "fid": "f", "geometry": geometry});
    let merge = Merge::of([square()]);
    let view = merge.with(
        one(replace.clone()),
        other(move_vertex("0.0", "U002", json!([12, 12]))),
    );
    assert_eq!(coordinates(&view), geometry["coordinates"]);
    assert_eq!(
        report(&view),
        [json!(["orphan", "vert", "f", "0/0.0.U002"])]
    );
    let hole = json!({"op": "add_segment", "fid": "f", "part": "0", "coordinates": [[6, 6], [6, 8], [8, 8]]});
    let view = merge.with(one(replace), other(hole));
    assert_eq!(coordinates(&view), geometry["coordinates"]);
    assert!(
        report(&view).len() == 1 && report(&view)[0][0] == "orphan",
        "{:?}",
        report(&view)
    );
}

#[test]
fn of_two_replacements_the_later_shows_and_the_other_is_kept() {
    let replace = |x: i32| json!({"op": "replace_geometry", "fid": "f", "geometry": {"type": "Point", "coordinates": [x, 1]}});
    let view = Merge::of([square()]).with(one(replace(1)), other(replace(2)));
    assert_eq!(coordinates(&view), json!([2, 1]));
    assert_eq!(report(&view), [json!(["concurrent geometries", "f", 2])]);
}

#[test]
fn a_removed_ring_is_gone_and_edits_in_it_are_kept_as_orphans() {
    let view = Merge::of([square()]).with(
        one(json!({"op": "remove_segment", "fid": "f", "segment": "0.1"})),
        other(move_vertex("0.1", "U000", json!([3, 3]))),
    );
    assert_eq!(coordinates(&view).as_array().unwrap().len(), 1);
    assert_eq!(
        report(&view),
        [json!(["orphan", "vert", "f", "0/0.1.U000"])]
    );
}

#[test]
fn of_two_values_of_a_property_the_later_shows_and_the_other_is_kept() {
    let view = Merge::of([square()]).with(
        one(set("crop", json!("oats"))),
        other(set("crop", json!("rye"))),
    );
    assert_eq!(property(&view, "crop"), "rye");
    assert_eq!(
        report(&view),
        [json!(["concurrent values", "prop", "f", "crop", 2])]
    );
}

#[test]
fn a_set_property_shows_though_another_removes_it() {
    for (sets, removes) in [(ONE, OTHER), (OTHER, ONE)] {
        let view = Merge::of([square()]).with(
            |person| drop(person.act(sets, set("crop", json!("oats")))),
            |person| drop(person.act(removes, set("crop", Value::Null))),
        );
        assert_eq!(property(&view, "crop"), "oats");
        assert_eq!(
            report(&view),
            [json!(["concurrent values", "prop", "f", "crop", 2])]
        );
    }
}

#[test]
fn a_feature_that_another_edited_stays_though_it_was_deleted() {
    let edits = [
        set("crop", json!("oats")),
        move_vertex("0.0", "U002", json!([12, 12])),
        json!({"op": "set_attributes", "fid": "f", "values": {"style": {"color": "red"}}}),
        json!({"op": "add_segment", "fid": "f", "part": null, "coordinates": [[20, 0], [30, 0], [30, 10]]}),
        json!({"op": "edit_text", "fid": "f", "name": "note", "index": 0, "delete": 0, "insert": "hi"}),
        json!({"op": "replace_geometry", "fid": "f", "geometry": {"type": "Point", "coordinates": [1, 1]}}),
    ];
    for edit in edits {
        for (deletes, at) in [(ONE, OTHER), (OTHER, ONE)] {
            let view = Merge::of([square()]).with(
                |person| drop(person.act(deletes, json!({"op": "delete", "fids": ["f"]}))),
                |person| drop(person.act(at, edit.clone())),
            );
            assert_eq!(view.feature("f").unwrap().state, State::Contested, "{edit}");
            assert_eq!(
                report(&view),
                [json!(["contested deletion", "f"])],
                "{edit}"
            );
        }
    }
}

#[test]
fn a_feature_that_one_deletes_and_another_deletes_or_restores_is_deleted() {
    let delete = || json!({"op": "delete", "fids": ["f"]});
    let view = Merge::of([square()]).with(one(delete()), other(delete()));
    assert_eq!(
        (view.state("f"), report(&view)),
        (Some(State::Deleted), vec![])
    );
    // Restoring takes only the deletions away that it saw.
    let view = Merge::of([square(), delete()]).with(
        one(json!({"op": "restore", "fids": ["f"]})),
        |person| {
            person.act(OTHER, json!({"op": "restore", "fids": ["f"]}));
            person.act(OTHER, delete());
        },
    );
    assert_eq!(
        (view.state("f"), report(&view)),
        (Some(State::Deleted), vec![])
    );
}

#[test]
fn of_two_records_under_one_id_one_stays_with_the_edits_of_both() {
    let create = |x: i32| create("LineString", json!([[x, 0], [x, 1]]), json!({}));
    let views = Merge::of([]).with_each(
        |person| {
            person.act(ONE, create(1));
            person.act(ONE, move_vertex("0.0", "U000", json!([5, 5])));
        },
        |person| {
            person.act(OTHER, create(2));
            person.act(OTHER, set("crop", json!("rye")));
        },
    );
    for view in views {
        let second = coordinates(&view)[1].clone();
        assert!(second == json!([1, 1]) || second == json!([2, 1]));
        assert_eq!(coordinates(&view)[0], json!([5, 5]));
        assert_eq!(
            (property(&view, "crop"), report(&view)),
            (json!("rye"), vec![])
        );
    }
}

#[test]
fn an_edit_of_a_record_of_another_generation_is_an_orphan() {
    // Two imports of different data under one id, each edited by its importer.
    let import = |x: f64| {
        move |person: &mut Person| {
            let line = super::feature(json!("f"), "LineString", json!([[x, 0], [x, 1]]), json!({}));
            let input = super::inputs(&[line]).remove(0);
            let plan = person
                .editor
                .plan_upsert(&person.view(), ONE, &input, None, false)
                .unwrap();
            plan.write(&mut yrs::Transact::transact_mut(&person.doc));
            person.act(ONE, move_vertex("0.0", "U000", json!([5, 5])));
        }
    };
    let views = Merge::of([]).with_each(import(1.0), import(2.0));
    for view in views {
        assert_eq!(coordinates(&view)[0], json!([5, 5]));
        let problems = report(&view);
        assert!(
            problems.len() == 1 && problems[0][0] == "orphan",
            "{problems:?}"
        );
    }
}

#[test]
fn undoing_an_own_edit_leaves_a_newer_remote_edit_of_the_target() {
    let mut alice = Person::new("alice", 10);
    let mut bobby = Person::new("bobby", 20);
    alice.act(1000, square());
    let (_, undo) = alice.act(ONE, set("crop", json!("oats")));
    bobby.receive(&super::update_of(&alice.doc));
    bobby.act(OTHER, set("crop", json!("rye")));
    alice.receive(&super::update_of(&bobby.doc));
    alice.undo(OTHER + 1, &undo);
    assert_eq!(property(&alice.view(), "crop"), "rye");
    assert_eq!(report(&alice.view()), Vec::<Value>::new());
}

#[test]
fn undoing_an_own_edit_beside_a_concurrent_one_leaves_the_other() {
    let view = Merge::of([square()]).with(
        |person| {
            let (_, undo) = person.act(ONE, set("crop", json!("oats")));
            person.undo(ONE + 1, &undo);
        },
        other(set("crop", json!("rye"))),
    );
    assert_eq!(
        (property(&view, "crop"), report(&view)),
        (json!("rye"), vec![])
    );
}
