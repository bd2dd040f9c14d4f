//! Undo where nobody else edited.

use serde_json::{Value, json};

use super::people::{Person, insert, move_vertex, remove_vertex, set, shown, square};
use crate::model::State;

const ONE: u64 = 2000;

#[test]
fn every_operation_can_be_undone_as_if_it_never_was() {
    let hole = json!([[6, 6], [6, 8], [8, 8]]);
    let operations = [
        move_vertex("0.0", "U002", json!([12, 12])),
        insert("0.0", json!("U000"), json!("U001"), json!([5, -1])),
        remove_vertex("0.0", "U001"),
        json!({"op": "add_segment", "fid": "f", "part": "0", "coordinates": hole}),
        json!({"op": "remove_segment", "fid": "f", "segment": "0.1"}),
        json!({"op": "replace_geometry", "fid": "f", "geometry": {"type": "Point", "coordinates": [1, 1]}}),
        set("crop", json!("rye")),
        set("crop", Value::Null),
        json!({"op": "set_attributes", "fid": "f", "values": {"order": "U000"}}),
        json!({"op": "delete", "fids": ["f"]}),
        json!({"op": "set_layer", "lid": "roads", "values": {"name": "Roads"}}),
    ];
    for operation in operations {
        let mut alice = Person::new("alice", 10);
        alice.act(1000, square());
        alice.act(1500, move_vertex("0.0", "U002", json!([11, 11])));
        alice.act(1500, set("crop", json!("oats")));
        let before = shown(&alice.view());
        let (_, undo) = alice.act(ONE, operation.clone());
        alice.undo(ONE + 1, &undo);
        assert_eq!(shown(&alice.view()), before, "{operation}");
    }
    let mut alice = Person::new("alice", 10);
    let (_, undo) = alice.act(1000, square());
    alice.undo(ONE, &undo);
    assert_eq!(alice.view().state("f"), Some(State::Deleted));
}
