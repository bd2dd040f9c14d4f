//! What a document shows, beyond the vectors: texts, people, layers, and content that means harm.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use yrs::{Any, Doc, Map, Out, ReadTxn, Text, TextPrelim, Transact, WriteTxn};

use super::{doc, features, put, put_any, record, report, view};
use crate::model::{Feature, State, Who};

fn text(doc: &Doc, key: &str, content: &str) {
    let mut txn = doc.transact_mut();
    txn.get_or_insert_map("text")
        .insert(&mut txn, key, TextPrelim::new(content));
}

fn point() -> Doc {
    let doc = doc(1);
    put(
        &doc,
        &[(
            "feat",
            "f",
            record(1, json!([8.5, 47.0]), r#"{"note":"old"}"#),
        )],
    );
    doc
}

fn only(doc: &Doc) -> Feature {
    let mut features: Vec<Feature> = view(doc).features().collect();
    assert_eq!(features.len(), 1);
    features.remove(0)
}

#[test]
fn texts_of_a_name_show_joined_in_order_of_session_and_empty_ones_do_not() {
    let doc = point();
    text(&doc, "f/s2/note", "second");
    text(&doc, "f/s1/note", "first");
    text(&doc, "f/s3/note", "");
    text(&doc, "f/s1/empty", "");
    put(&doc, &[("prop", "f/s9/note", json!([5, "value"]))]);
    assert_eq!(only(&doc).properties["note"], "first\n\nsecond");
    assert!(!only(&doc).properties.contains_key("empty"));
    assert_eq!(report(&doc), Vec::<String>::new());
}

#[test]
fn a_text_of_an_unknown_feature_is_an_orphan_and_a_value_in_its_place_malformed() {
    let doc = point();
    text(&doc, "x/s1/note", "lost");
    put(&doc, &[("text", "f/s1/note", json!("no text"))]);
    assert_eq!(
        report(&doc),
        [
            r#"["malformed entry","text","f","note"]"#,
            r#"["orphan","text","x","note"]"#
        ]
    );
}

#[test]
fn a_feature_says_who_made_and_who_changed_it_last() {
    let doc = point();
    put(
        &doc,
        &[
            ("prop", "f/aaaaa/a", json!([2000, 1])),
            ("vert", "f/bbbbb/0/0.0.U000", json!([2000, 8, 47])),
            ("attr", "f/ccccc/order", json!([1500, "U000"])),
            ("who", "bbbbb", json!([1, "u1", "Bea"])),
            ("who", "ccccc", json!([1, 5, "x"])),
        ],
    );
    let feature = only(&doc);
    assert_eq!(
        (feature.created.t, feature.created.sid.as_str()),
        (1000, "maker")
    );
    assert_eq!(
        (feature.changed.t, feature.changed.sid.as_str()),
        (2000, "bbbbb")
    );
    let view = view(&doc);
    assert_eq!(
        view.who("bbbbb"),
        Some(Who {
            user: "u1".into(),
            name: "Bea".into()
        })
    );
    assert_eq!((view.who("ccccc"), view.who("nobody")), (None, None));
}

#[test]
fn a_removed_layer_is_none_and_its_features_belong_nowhere() {
    let doc = doc(1);
    put(
        &doc,
        &[
            ("feat", "f", json!([1, "maker", 0, null, "{}", "a"])),
            ("feat", "g", json!([1, "maker", 0, null, "{}", "b"])),
            ("layer", "a/s1/name", json!([1, "Roads"])),
            ("layer", "a/s1/gone", json!([2, true])),
            ("layer", "b/s1/name", json!([1, "Lakes"])),
            ("layer", "b/s1/gone", json!([2, true])),
            ("layer", "b/s2/gone", json!([3, false])),
            ("layer", "b/s2/name", json!([2, "Waters"])),
            ("layer", "b/s2/future", json!([2, "kept"])),
            ("layer", "b", json!([2, "kept"])),
        ],
    );
    let view = view(&doc);
    let layers: Vec<&str> = view
        .features()
        .map(|feature| feature.layer)
        .map(|lid| if lid.is_empty() { "none" } else { "b" })
        .collect();
    assert_eq!(layers, ["none", "b"]);
    assert_eq!(
        view.layers().map(|layer| layer.title()).collect::<Vec<_>>(),
        ["Waters"]
    );
    assert_eq!(view.layer("a"), None);
    assert_eq!(
        report(&doc),
        [
            r#"["concurrent values","layer","b","gone",2]"#,
            r#"["concurrent values","layer","b","name",2]"#,
            r#"["malformed key","layer:b"]"#,
        ]
    );
}

#[test]
fn notes_and_attachments_show_until_they_are_removed() {
    let doc = doc(1);
    put(
        &doc,
        &[
            (
                "note",
                "n1",
                json!([5, "alice", "Leaks", "f", null, [8.5, 47]]),
            ),
            ("note", "n2", json!([6, "bobby", "Fixed", null, "n1", null])),
            ("note", "n3", json!([7, "bobby"])),
            ("note", "n4", json!([7, "bobby", 5, null, null, null])),
            (
                "file",
                "a1",
                json!([5, "alice", "f", "leak.jpg", "image/jpeg", 123_456, "00ff"]),
            ),
            ("file", "a2", json!([9, "alice"])),
        ],
    );
    let view = view(&doc);
    let notes: Vec<_> = view
        .notes()
        .map(|note| (note.body, note.fid, note.answers, note.place))
        .collect();
    assert_eq!(
        notes,
        [
            ("Leaks".into(), Some("f".into()), None, Some([8.5, 47.0])),
            ("Fixed".into(), None, Some("n1".into()), None),
        ]
    );
    let files: Vec<_> = view
        .attachments()
        .map(|file| (file.aid, file.name, file.bytes))
        .collect();
    assert_eq!(files, [("a1".into(), "leak.jpg".into(), 123_456.0)]);
}

#[test]
fn the_original_id_comes_back_as_it_was() {
    let doc = doc(1);
    put(
        &doc,
        &[
            ("feat", "5", json!([1, "maker", 0, null, "{}", "", "0", 5])),
            (
                "feat",
                "x1",
                json!([1, "maker", 0, null, "{}", "", "0", "way/17"]),
            ),
            (
                "feat",
                "y",
                json!([1, "maker", 0, null, "{}", "", "0", [1]]),
            ),
        ],
    );
    assert_eq!(
        features(&doc),
        [
            r#"{"type":"Feature","id":5,"properties":{},"geometry":null}"#,
            r#"{"type":"Feature","id":"way/17","properties":{},"geometry":null}"#,
            r#"{"type":"Feature","id":"y","properties":{},"geometry":null}"#,
        ]
    );
}

#[test]
fn one_feature_is_found_by_its_id_and_deleted_ones_are_not() {
    let doc = point();
    put(
        &doc,
        &[
            ("feat", "g", record(0, json!(null), "{}")),
            ("gone", "g/s1", json!([1, 0])),
            ("feat", "h", json!(1)),
        ],
    );
    let view = view(&doc);
    assert!(
        view.feature("f").is_some() && view.feature("g").is_none() && view.feature("h").is_none()
    );
    assert_eq!(
        (view.state("g"), view.state("h"), view.state("f")),
        (Some(State::Deleted), None, Some(State::Live))
    );
    assert_eq!(view.feature_count(), 1);
}

#[test]
fn features_whose_ids_start_alike_keep_their_edits_apart() {
    let doc = doc(1);
    for fid in ["f", "f-", "f0", "f_", "e"] {
        put(
            &doc,
            &[
                ("feat", fid, record(0, json!(null), "{}")),
                ("prop", &format!("{fid}/s1/id"), json!([1, fid])),
            ],
        );
    }
    for feature in view(&doc).features() {
        assert_eq!(feature.properties["id"], feature.fid);
        assert_eq!(feature.properties.len(), 1);
    }
}

#[test]
fn an_empty_document_and_roots_of_other_types_are_no_map_content() {
    let doc = doc(1);
    assert_eq!(features(&doc), Vec::<String>::new());
    assert_eq!(report(&doc), Vec::<String>::new());
    let mut txn = doc.transact_mut();
    txn.get_or_insert_text("feat").push(&mut txn, "text");
    txn.get_or_insert_array("geom");
    drop(txn);
    assert_eq!(features(&doc), Vec::<String>::new());
    assert!(view(&doc).is_writable());
}

#[test]
fn a_document_of_another_format_or_a_later_version_is_not_writable() {
    for (format, version, writable) in [
        (json!("map"), json!(1), true),
        (json!("text"), json!(1), false),
        (json!("map"), json!(2), false),
        (json!("map"), json!("x"), true),
    ] {
        let doc = doc(1);
        put_any(&doc, "meta", "format", super::to_any(&format));
        put_any(&doc, "meta", "version", super::to_any(&version));
        assert_eq!(view(&doc).is_writable(), writable, "{format} {version}");
    }
}

/// Values that a careless or hostile client may store.
pub(super) fn any_value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::Null),
        Just(Any::Undefined),
        any::<bool>().prop_map(Any::Bool),
        any::<f64>().prop_map(Any::from),
        (-3_i64..3000).prop_map(|number| Any::from(number as f64)),
        any::<i64>().prop_map(|number| Any::Number(yrs::any::Number::Int(number))),
        "[a-z\\{\\}\":0-9]{0,8}".prop_map(|text: String| Any::from(text)),
        Just(Any::from(r#"{"a":1}"#)),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Any::Buffer(Arc::from(bytes))),
        Just(Any::Buffer(Arc::from([
            1, 1, 1, 3, 0xaa, 1, 0xb2, 7, 2, 0, 0, 2
        ]))),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(Any::from),
            prop::collection::hash_map("[a-z]{0,2}", inner, 0..3)
                .prop_map(|members| Any::Map(Arc::new(members))),
        ]
    })
}

pub(super) fn any_entry() -> impl Strategy<Value = (&'static str, String, Any)> {
    let root = prop::sample::select(vec![
        "feat", "geom", "part", "vert", "prop", "attr", "gone", "text", "layer", "who", "meta",
    ]);
    let key = prop_oneof![
        "f[01](/s[01])?(/0)?(/[0-9]\\.[0-9])?(\\.U00[0-3])?",
        "f[01]/s[01]/(0|g)/(0|1|U000)\\.(0|1|U001)\\.(U000|U001|U0015|T000|0000)",
        "f[01]/s[01]/(0|g)/(0|1|U000)\\.(0|1|U001)",
        "f[01]/s[01]/(layer|order|text|g|members)",
        "f[01]/s[01]",
        "f[01]",
        "[/.a-z0-9é]{0,12}",
    ];
    let array = prop::collection::vec(any_value(), 0..6).prop_map(Any::from);
    let timed = (0_u32..50, prop::collection::vec(any_value(), 0..3))
        .prop_map(|(t, items)| Any::from([vec![Any::from(f64::from(t))], items].concat()));
    let feature = (0_u32..9, any_value()).prop_map(|(kind, coords)| {
        let items = vec![
            Any::from(1.0),
            Any::from("maker"),
            Any::from(f64::from(kind)),
            coords,
            Any::from("{}"),
            Any::from(""),
        ];
        Any::from(items)
    });
    (root, key, prop_oneof![any_value(), array, timed, feature])
}

proptest! {
    #[test]
    fn any_content_is_read_without_panic_and_alike_in_any_order(entries in prop::collection::vec(any_entry(), 0..40)) {
        let doc = doc(1);
        for (root, key, value) in &entries {
            put_any(&doc, root, key, value.clone());
        }
        let (shown, problems) = (features(&doc), report(&doc));
        for feature in &shown {
            prop_assert!(serde_json::from_str::<serde_json::Value>(feature).is_ok(), "{}", feature);
        }
        // The same content, arrived in another order and from another client.
        let other = super::doc(2);
        let txn = doc.transact();
        for root in ["who", "gone", "vert", "text", "prop", "part", "meta", "layer", "geom", "feat", "attr"] {
            let Some(map) = txn.get_map(root) else { continue };
            let mut keys: Vec<String> = map.keys(&txn).map(str::to_owned).collect();
            keys.sort();
            for key in keys {
                if let Some(Out::Any(value)) = map.get(&txn, &key) {
                    put_any(&other, root, &key, value);
                }
            }
        }
        drop(txn);
        prop_assert_eq!(features(&other), shown);
        prop_assert_eq!(report(&other), problems);
    }
}
