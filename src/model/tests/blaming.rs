//! Who set what, and how indices of a shape lead to keys.

use serde_json::json;

use super::people::{Person, move_vertex, set, square};
use super::{doc, put, record, update_of};
use crate::geometry::Geometry;

#[test]
fn every_vertex_and_property_says_who_set_it_and_shapes_lead_to_keys() {
    let mut alice = Person::new("alice", 1);
    let mut bobby = Person::new("bobby", 2);
    alice.act(1000, square());
    bobby.receive(&update_of(&alice.doc));
    bobby.act(2000, move_vertex("0.0", "U002", json!([12, 12])));
    let hole = json!({"op": "add_segment", "fid": "f", "part": "0", "coordinates": [[6, 6], [6, 8], [8, 8]]});
    let segment = bobby.act(2500, hole).0.segment.unwrap();
    bobby.act(2600, set("crop", json!("rye")));
    bobby.act(2700, json!({"op": "edit_text", "fid": "f", "name": "note", "index": 0, "delete": 0, "insert": "wet"}));
    let view = bobby.view();
    let keyed = view.keyed_geometry("f").unwrap();
    let by = |vertex: (usize, usize, usize)| {
        let (segment, vertex) = keyed.locate(vertex.0, vertex.1, vertex.2).unwrap();
        (
            segment.name(),
            vertex.key.clone(),
            vertex.set.sid.clone(),
            vertex.set.t,
        )
    };
    assert_eq!(
        by((0, 0, 0)),
        ("0.0".into(), "U000".into(), "alice".into(), 1000)
    );
    assert_eq!(
        by((0, 0, 2)),
        ("0.0".into(), "U002".into(), "bobby".into(), 2000)
    );
    assert_eq!(
        by((0, 2, 1)),
        (segment, "U001".into(), "bobby".into(), 2500)
    );
    assert!(
        keyed.locate(0, 3, 0).is_none()
            && keyed.locate(1, 0, 0).is_none()
            && keyed.locate(0, 0, 4).is_none()
    );
    let blame = view.property_blame("f");
    let who: Vec<_> = blame
        .iter()
        .map(|p| {
            (
                p.name.as_str(),
                p.set.sid.as_str(),
                p.set.t,
                p.versions.len(),
            )
        })
        .collect();
    assert_eq!(
        who,
        [
            ("crop", "bobby", 2600, 1),
            ("note", "bobby", 2700, 0),
            ("owner", "alice", 1000, 0)
        ]
    );
    assert_eq!(view.who("bobby").unwrap().name, "bobby");
}

#[test]
fn shapes_lead_to_keys_past_what_does_not_show() {
    let doc = doc(1);
    // The first line has one vertex, so that the second shows as the first; the third has two pieces.
    let lines = json!([[[0, 0]], [[1, 0], [1, 1]], [[2, 0]]]);
    put(&doc, &[("feat", "f", record(5, lines, "{}"))]);
    let mut alice = Person::new("alice", 2);
    alice.receive(&update_of(&doc));
    alice.act(
        2000,
        json!({"op": "add_segment", "fid": "f", "part": "2", "coordinates": [[2, 5], [2, 6]]}),
    );
    let view = alice.view();
    let keyed = view.keyed_geometry("f").unwrap();
    let shape = view.feature("f").unwrap().geometry.unwrap();
    let Geometry::Shape(shape) = shape else {
        panic!("a shape")
    };
    for (p, part) in shape.parts().iter().enumerate() {
        for (s, segment) in part.iter().enumerate() {
            for (v, position) in segment.chunks_exact(2).enumerate() {
                assert_eq!(keyed.locate(p, s, v).unwrap().1.position, position);
            }
        }
    }
    assert_eq!((shape.parts().len(), keyed.segments.len()), (2, 4));
}
