//! Operations on documents that hold anything at all.

use proptest::prelude::*;
use serde_json::{Value, json};
use yrs::Transact;

use super::people::shown;
use super::reading::any_entry;
use super::{doc, doc_of, put_any, update_of, view};
use crate::model::{Editor, Operation, Random, Sid, Watch};

fn any_operation() -> impl Strategy<Value = Value> {
    let one = |items: &'static [&'static str]| prop::sample::select(items);
    (
        (one(&["f0", "f1", "f0/s0", "\u{e9}"]), one(&["f0", "f1", "new"])),
        one(&["0.0", "0.1", "U000.U001", "1.0", "", "0"]),
        (one(&["U000", "U001", "U0015", "T000", ""]), one(&["U001", "U002", "zzzz"])),
        one(&["a", "layer", "order", "text", "g", ""]),
        (-400.0..400.0_f64, -100.0..100.0_f64),
        (0_usize..24, 0_usize..9),
        prop::option::of(one(&["0", "U000"])),
    )
        .prop_map(|((fid, other), segment, (vertex, next), name, (x, y), (kind, index), part)| {
            let at = json!([x, y]);
            let line = json!([[x, y], [0, 1], [2, 3], [4, 9]]);
            let ring = json!({"type": "Polygon", "coordinates": [[[0, 0], [x.abs() / 4.0, 1], [2, 3], [0, 0]]]});
            match kind {
                0 => json!({"op": "create", "fid": fid, "geometry": ring, "properties": {name: x}, "layer": name}),
                1 => json!({"op": "move_vertices", "fid": fid, "moves": [{"segment": segment, "vertex": vertex, "position": at}]}),
                2 => json!({"op": "insert_vertex", "fid": fid, "segment": segment, "after": vertex, "before": next, "position": at}),
                3 => json!({"op": "insert_vertex", "fid": fid, "segment": segment, "position": at}),
                4 => json!({"op": "remove_vertices", "fid": fid, "vertices": [{"segment": segment, "vertex": vertex}]}),
                5 => json!({"op": "add_segment", "fid": fid, "part": part, "coordinates": line}),
                6 => json!({"op": "record_track", "fid": fid, "coordinates": line}),
                7 => json!({"op": "remove_segment", "fid": fid, "segment": segment}),
                8 => json!({"op": "replace_geometry", "fid": fid, "geometry": ring}),
                9 => json!({"op": "change_geometry", "fid": fid, "geometry": ring}),
                10 => json!({"op": "set_properties", "fid": fid, "values": {name: x, "b": null}}),
                11 => json!({"op": "set_attributes", "fid": fid, "values": {"layer": name}}),
                12 => json!({"op": "delete", "fids": [fid, other]}),
                13 => json!({"op": "restore", "fids": [fid]}),
                14 => json!({"op": "split", "fid": fid, "geometries": [ring, null], "fids": [other]}),
                15 => json!({"op": "merge", "fid": fid, "others": [other], "geometry": ring}),
                16 => json!({"op": "edit_text", "fid": fid, "name": name, "index": index, "delete": index / 3, "insert": "x"}),
                17 => json!({"op": "add_note", "nid": other, "body": name, "fid": fid}),
                18 => json!({"op": "remove_note", "nid": fid}),
                19 => json!({"op": "set_layer", "lid": fid, "values": {"name": name}}),
                20 => json!({"op": "settle", "fid": fid, "root": "prop", "target": name, "sid": "s0"}),
                21 => json!({"op": "settle", "fid": fid, "root": "geom", "target": "g", "sid": "s1"}),
                22 => json!({"op": "dismiss_orphans", "fid": fid}),
                _ => json!({"op": "set_title", "title": name}),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn operations_on_any_content_do_what_they_plan_and_can_be_undone(
        entries in prop::collection::vec(any_entry(), 0..30),
        operations in prop::collection::vec(any_operation(), 1..12),
    ) {
        let doc = doc(1);
        for (root, key, value) in &entries {
            // A document of another kind is not edited.
            if *root != "meta" {
                put_any(&doc, root, key, value.clone());
            }
        }
        let watch = Watch::attach(&doc);
        let mut moved = view(&doc);
        let mut editor = Editor::new(Sid::parse("alice").unwrap(), None, Random::new(5));
        for operation in operations {
            let Ok(parsed) = Operation::from_value(operation.clone()) else { continue };
            let Ok(plan) = editor.plan(&moved, 60, &parsed) else { continue };
            let undo = plan.undo(&moved, editor.sid());
            let touched: Vec<String> = plan.features().into_iter().map(str::to_owned).collect();
            let mut staged = moved.clone();
            staged.stage(&plan.edits);
            plan.write(&mut doc.transact_mut());
            if let Some(delta) = watch.take(&doc.transact()) {
                let changes = moved.apply(delta);
                for fid in changes.features.keys() {
                    prop_assert!(touched.iter().any(|touched| **touched == **fid), "{} {}", operation, fid);
                }
            }
            let fresh = shown(&view(&doc));
            prop_assert_eq!(&shown(&moved), &fresh, "moved, {}", operation);
            prop_assert_eq!(&shown(&staged), &fresh, "staged, {}", operation);
            prop_assert_eq!(&shown(&view(&doc_of(&update_of(&doc)))), &fresh, "loaded, {}", operation);
            let back = editor.plan_undo(&moved, 70, &undo).unwrap();
            let mut undone = moved.clone();
            undone.stage(&back.edits);
            let _ = shown(&undone);
            for fid in undone.fids() {
                let _ = (undone.keyed_geometry(fid), undone.property_blame(fid));
            }
            let _ = undone.plan_purge(u64::MAX, 10);
        }
    }
}
