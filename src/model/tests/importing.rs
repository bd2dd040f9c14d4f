//! Imports: what they create, change, skip and refuse.

use serde_json::{Value, json};
use yrs::{GetString, Map, Out, ReadTxn, Text, TextPrelim, Transact, WriteTxn};

use super::vertex_edits::edit;
use super::{
    doc, feature, features, import, import_with, inputs, keys, options, polygon, put, report, ring,
    update_of, updates, value, view,
};
use crate::model::{
    FEATURES_PER_TRANSACTION, ImportError, ImportOptions, ImportReport, Who, upsert,
};

#[test]
fn features_are_created_compactly_with_their_ids_and_a_generation() {
    let doc = doc(1);
    let report = import(
        &doc,
        &[
            feature(
                json!("p4RkT0aa0001"),
                "Point",
                json!([8.5, 47.3]),
                json!({"b": 1.0, "a": "x"}),
            ),
            feature(json!(7), "Point", json!([8.5, 47.3]), json!({})),
            feature(json!("way/17"), "Point", json!([1, 2]), json!({})),
            json!({"type": "Feature", "id": "none", "properties": null, "geometry": null}),
        ],
    );
    assert_eq!((report.created, report.transactions), (4, 1));
    assert_eq!(
        keys(&doc, "feat"),
        ["7", "none", "p4RkT0aa0001", "xrxKc9hwrhZwYiOl8"]
    );
    let record = value(&doc, "feat", "p4RkT0aa0001");
    assert!(
        record.starts_with(r#"[5000, importer, 1, 0x01010101aa01b207, {"a":"x","b":1}, , "#),
        "{record}"
    );
    assert_eq!(
        record
            .rsplit(", ")
            .next()
            .map(|generation| generation.len()),
        Some(9),
        "{record}"
    );
    assert!(value(&doc, "feat", "7").ends_with(", 7]"));
    assert!(value(&doc, "feat", "xrxKc9hwrhZwYiOl8").ends_with(", way/17]"));
    assert_eq!(
        value(&doc, "feat", "none"),
        "[5000, importer, 0, null, {}, ]"
    );
    assert_eq!(value(&doc, "meta", "format"), "map");
    assert_eq!(value(&doc, "meta", "version"), "1");
}

#[test]
fn importing_the_same_again_writes_nothing_at_all() {
    let data = [
        polygon(&ring(20)),
        json!({"type": "Feature", "properties": {"a": {"b": [1, 2.5, null]}}, "geometry": null}),
        json!({"type": "Feature", "properties": {"a": {"b": [1, 2.5, null]}}, "geometry": null}),
        json!({"type": "Feature", "properties": {}, "geometry": {"type": "GeometryCollection", "geometries": [
            {"type": "Point", "coordinates": [1.0, 2.0]}]}, "title": "kept"}),
        feature(
            json!("m"),
            "LineString",
            json!([[0, 0], [1, 1, 5]]),
            json!({}),
        ),
    ];
    let doc = doc(1);
    assert_eq!(import(&doc, &data).created, 5);
    let before = update_of(&doc);
    let mut options = options("another", 9000);
    options.seed = 99;
    options.restore = true;
    options.who = Some(Who {
        user: "u".into(),
        name: "U".into(),
    });
    let sizes = updates(&doc, || {
        let report = import_with(&doc, &data, &options).unwrap();
        assert_eq!(
            report,
            ImportReport {
                unchanged: 5,
                ..ImportReport::default()
            }
        );
    });
    assert_eq!(sizes, Vec::<usize>::new());
    assert_eq!(update_of(&doc), before);
}

#[test]
fn equal_input_sessions_times_and_seeds_write_equal_bytes() {
    let make = || {
        let doc = doc(1);
        import(
            &doc,
            &[
                polygon(&ring(30)),
                feature(json!(2), "Point", json!([1, 2]), json!({"a": 1})),
            ],
        );
        let mut moved = ring(30);
        moved.insert(5, [9.0, 9.0]);
        moved.remove(20);
        import_with(&doc, &[polygon(&moved)], &options("second", 6000)).unwrap();
        update_of(&doc)
    };
    assert_eq!(make(), make());
}

#[test]
fn only_changed_properties_are_written() {
    let with = |properties| feature(json!("f"), "Point", json!([1, 2]), properties);
    let (doc, written) = edit(
        with(json!({"same": [1, {"x": 1}], "other": 1, "gone": true})),
        with(json!({"same": [1.0, {"x": 1}], "other": "1", "new/name": null})),
    );
    assert_eq!(
        written,
        [
            "prop f/second/gone",
            "prop f/second/new/name",
            "prop f/second/other"
        ]
    );
    assert_eq!(value(&doc, "prop", "f/second/gone"), "[6000]");
    assert_eq!(value(&doc, "prop", "f/second/new/name"), "[6000, null]");
}

#[test]
fn an_import_settles_what_it_sets_and_its_time_is_later_than_what_it_replaces() {
    let doc = doc(1);
    import(
        &doc,
        &[feature(
            json!("f"),
            "Point",
            json!([1, 2]),
            json!({"a": 1, "b": 1}),
        )],
    );
    put(
        &doc,
        &[
            ("prop", "f/alice/a", json!([9000, 2])),
            ("prop", "f/bobby/a", json!([8000, 3])),
            ("prop", "f/carol/a", json!("junk")),
            ("prop", "f/alice/b", json!([9000, 1])),
        ],
    );
    assert_eq!(report(&doc).len(), 2);
    import_with(
        &doc,
        &[feature(
            json!("f"),
            "Point",
            json!([1, 2]),
            json!({"a": 4, "b": 1}),
        )],
        &options("second", 6000),
    )
    .unwrap();
    assert_eq!(keys(&doc, "prop"), ["f/alice/b", "f/second/a"]);
    assert_eq!(value(&doc, "prop", "f/second/a"), "[9001, 4]");
    assert_eq!(report(&doc), Vec::<String>::new());
}

#[test]
fn a_time_at_the_end_of_time_does_not_overflow() {
    let doc = doc(1);
    let point = |a| feature(json!("f"), "Point", json!([1, 2]), json!({"a": a}));
    import(&doc, &[point(1)]);
    put(
        &doc,
        &[("prop", "f/alice/a", json!([9_007_199_254_740_991_u64, 2]))],
    );
    import_with(&doc, &[point(3)], &options("second", 6000)).unwrap();
    assert_eq!(view(&doc).feature("f").unwrap().properties["a"], 3);
    assert_eq!(report(&doc), Vec::<String>::new());
}

#[test]
fn a_deleted_feature_stays_deleted_unless_asked_for() {
    let doc = doc(1);
    let point = feature(json!("f"), "Point", json!([1, 2]), json!({"a": 1}));
    import(&doc, std::slice::from_ref(&point));
    put(
        &doc,
        &[
            ("gone", "f/alice", json!([6000, 0])),
            ("gone", "f/bobby", json!([6001, 0])),
        ],
    );
    let sizes = updates(&doc, || {
        let report = import(&doc, std::slice::from_ref(&point));
        assert_eq!((report.skipped_deleted, report.unchanged), (1, 0));
        assert_eq!(
            (report.skipped[0].id.as_str(), report.skipped[0].deleted),
            ("f", true)
        );
    });
    assert!(sizes.is_empty() && features(&doc).is_empty());
    let mut options = options("second", 7000);
    options.restore = true;
    let report = import_with(&doc, &[point], &options).unwrap();
    assert_eq!(
        (report.restored, report.changed, keys(&doc, "gone").len()),
        (1, 0, 0)
    );
    assert_eq!(features(&doc).len(), 1);
}

#[test]
fn an_unreadable_record_is_left_alone_and_named() {
    let doc = doc(1);
    put(&doc, &[("feat", "f", json!([1, "maker"]))]);
    let report = import(
        &doc,
        &[feature(json!("f"), "Point", json!([1, 2]), json!({}))],
    );
    assert_eq!(
        (
            report.skipped_malformed,
            report.created,
            report.skipped[0].record
        ),
        (1, 0, 1)
    );
    assert_eq!(value(&doc, "feat", "f"), "[1, maker]");
}

#[test]
fn layers_are_made_found_by_name_and_brought_back() {
    let doc = doc(1);
    let point = |id: &str| feature(json!(id), "Point", json!([1, 2]), json!({}));
    let mut options = options("importer", 5000);
    let mut import_to = |layer: &str, id: &str| {
        options.layer = Some(layer.to_owned());
        import_with(&doc, &[point(id)], &options).unwrap()
    };
    let lid = |fid: &str| view(&doc).feature(fid).unwrap().layer;
    import_to("roads", "a");
    import_to("Straßen & Wege", "b");
    assert_eq!(lid("a"), "roads");
    assert!(lid("b").starts_with('l') && lid("b").len() == 17);
    assert_eq!(
        keys(&doc, "layer"),
        [
            format!("{}/importer/name", lid("b")),
            "roads/importer/name".into()
        ]
    );

    // A feature moves between layers by one attribute; the same again is nothing.
    assert_eq!(import_to("roads", "b").changed, 1);
    assert_eq!(
        updates(&doc, || assert_eq!(import_to("roads", "b").unchanged, 1)),
        Vec::<usize>::new()
    );
    assert_eq!((lid("b"), keys(&doc, "attr").len()), ("roads".into(), 1));

    // A layer made by hand is found by its name, a renamed one by its id, a removed one comes back.
    put(&doc, &[("layer", "Zq1/alice/name", json!([6000, "Lakes"]))]);
    import_to("Lakes", "c");
    assert_eq!(lid("c"), "Zq1");
    put(
        &doc,
        &[("layer", "roads/importer/name", json!([6000, "Trails"]))],
    );
    assert_eq!(
        updates(&doc, || assert_eq!(import_to("roads", "a").unchanged, 1)),
        Vec::<usize>::new()
    );
    put(&doc, &[("layer", "roads/alice/gone", json!([7000, true]))]);
    assert_eq!(lid("a"), "");
    import_to("roads", "a");
    assert_eq!((lid("a"), report(&doc)), ("roads".into(), vec![]));

    // Without a layer, features stay where they are.
    assert_eq!(import(&doc, &[point("a")]).unchanged, 1);
}

#[test]
fn a_session_says_who_it_is_before_its_first_edit() {
    let doc = doc(1);
    let mut options = options("importer", 5000);
    options.who = Some(Who {
        user: "u1".into(),
        name: "Uma".into(),
    });
    let point = |a| feature(json!("f"), "Point", json!([1, 2]), json!({"a": a}));
    import_with(&doc, &[point(1)], &options).unwrap();
    import_with(
        &doc,
        &[point(2)],
        &ImportOptions {
            now_s: 6000,
            ..options
        },
    )
    .unwrap();
    assert_eq!(value(&doc, "who", "importer"), "[5000, u1, Uma]");
    assert_eq!(view(&doc).who("importer").unwrap().name, "Uma");
}

#[test]
fn a_text_that_differs_is_emptied_and_the_property_set() {
    let doc = doc(1);
    let with = |note: &str| feature(json!("f"), "Point", json!([1, 2]), json!({"note": note}));
    import(&doc, &[with("old")]);
    {
        let mut txn = doc.transact_mut();
        let text = txn.get_or_insert_map("text").insert(
            &mut txn,
            "f/alice/note",
            TextPrelim::new("typed"),
        );
        text.push(&mut txn, " together");
    }
    assert_eq!(import(&doc, &[with("typed together")]).unchanged, 1);
    assert_eq!(
        import_with(&doc, &[with("new")], &options("second", 6000))
            .unwrap()
            .changed,
        1
    );
    assert_eq!(view(&doc).feature("f").unwrap().properties["note"], "new");
    let txn = doc.transact();
    let Some(Out::YText(text)) = txn.get_map("text").unwrap().get(&txn, "f/alice/note") else {
        panic!("kept")
    };
    assert_eq!(text.get_string(&txn), "");
    drop(txn);
    assert_eq!(keys(&doc, "attr"), ["f/second/text"]);
    assert_eq!(import(&doc, &[with("new")]).unchanged, 1);
}

#[test]
fn foreign_members_come_back_and_can_change() {
    let with = |members: Value| {
        let mut feature = feature(json!("f"), "Point", json!([1, 2]), json!({}));
        feature
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        feature
    };
    let doc = doc(1);
    import(
        &doc,
        &[with(
            json!({"title": "T", "bbox": [1, 2, 1, 2], "assets": {"b": 1, "a": 2}}),
        )],
    );
    assert!(
        features(&doc)[0].ends_with(r#","assets":{"a":2,"b":1},"title":"T"}"#),
        "{:?}",
        features(&doc)
    );
    assert_eq!(import(&doc, &[with(json!({"title": "U"}))]).changed, 1);
    assert!(features(&doc)[0].ends_with(r#","title":"U"}"#));
    assert_eq!(import(&doc, &[with(json!({}))]).changed, 1);
    assert!(features(&doc)[0].ends_with(r#""coordinates":[1,2]}}"#));
    assert_eq!(import(&doc, &[with(json!({}))]).unchanged, 1);
}

#[test]
fn features_without_id_are_told_apart_by_content_and_occurrence() {
    let point = |x: f64| json!({"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [x, 0]}});
    let doc = doc(1);
    assert_eq!(
        import(&doc, &[point(1.0), point(1.0), point(2.0)]).created,
        3
    );
    assert_eq!(
        import(&doc, &[point(2.0), point(1.0), point(3.0)]),
        ImportReport {
            created: 1,
            unchanged: 2,
            transactions: 1,
            ..ImportReport::default()
        }
    );
    // The id that an export gives leads back to the same feature.
    let exported: Vec<Value> = features(&doc)
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(import(&doc, &exported).unchanged, 4);
}

#[test]
fn a_long_import_comes_in_updates_of_bounded_size() {
    let doc = doc(1);
    let count = FEATURES_PER_TRANSACTION * 2 + 10;
    let many: Vec<Value> = (0..count)
        .map(|id| feature(json!(id), "Point", json!([1, 2]), json!({})))
        .collect();
    let mut places = Vec::new();
    let sizes = updates(&doc, || {
        let report = upsert(
            &doc,
            inputs(&many).into_iter(),
            &options("importer", 5000),
            &mut |at| places.push((at.features, at.place.record)),
        );
        assert_eq!(
            (
                report.clone().unwrap().created,
                report.unwrap().transactions
            ),
            (count as u64, 3)
        );
    });
    assert_eq!(sizes.len(), 3);
    assert_eq!(places, [(1000, 1000), (2000, 2000), (2010, 2010)]);

    let large: Vec<Value> = (0..20)
        .map(|id| {
            feature(
                json!(format!("l{id}")),
                "Point",
                json!([1, 2]),
                json!({"a": "x".repeat(200_000)}),
            )
        })
        .collect();
    let sizes = updates(&doc, || drop(import(&doc, &large)));
    assert!(
        sizes.len() >= 3 && sizes.iter().all(|size| *size < 1_500_000),
        "{sizes:?}"
    );
}

#[test]
fn an_import_of_nothing_writes_nothing() {
    let doc = doc(1);
    let mut options = options("importer", 5000);
    options.layer = Some("roads".into());
    assert_eq!(
        updates(&doc, || drop(import_with(&doc, &[], &options).unwrap())),
        Vec::<usize>::new()
    );
}

#[test]
fn other_documents_and_later_versions_are_not_written_to() {
    let point = feature(json!("f"), "Point", json!([1, 2]), json!({}));
    let other = doc(1);
    put(&other, &[("meta", "format", json!("board"))]);
    let error = import_with(
        &other,
        std::slice::from_ref(&point),
        &options("importer", 1),
    )
    .unwrap_err();
    assert_eq!(
        error,
        ImportError::NotAMap {
            found: "board".into()
        }
    );
    let later = doc(1);
    put(&later, &[("meta", "version", json!(2))]);
    let error = import_with(&later, &[point], &options("importer", 1)).unwrap_err();
    assert_eq!(error, ImportError::NewerVersion { found: 2.0 });
    assert_eq!(keys(&other, "feat").len() + keys(&later, "feat").len(), 0);
}

#[test]
fn a_map_takes_no_more_vertices_than_its_limit() {
    let doc = doc(1);
    // Ten packed lines of a million vertices, all at 0, 0.
    let mut packed = vec![0, 1, 1, 0xC0, 0x84, 0x3D];
    packed.resize(packed.len() + 2_000_000, 0);
    for index in 0..10 {
        let items = [json!(1), json!("maker"), json!(2)]
            .iter()
            .map(super::to_any)
            .collect::<Vec<_>>();
        let rest = [
            yrs::Any::Buffer(packed.clone().into()),
            yrs::Any::from("{}"),
            yrs::Any::from(""),
        ];
        super::put_any(
            &doc,
            "feat",
            &format!("f{index}"),
            yrs::Any::from([items, rest.to_vec()].concat()),
        );
    }
    let error = import_with(
        &doc,
        &[feature(json!("g"), "Point", json!([1, 2]), json!({}))],
        &options("importer", 1),
    );
    assert!(
        matches!(error, Err(ImportError::TooManyVertices { place }) if place.record == 1),
        "{error:?}"
    );
}

#[test]
fn a_map_takes_no_more_features_than_its_limit() {
    let doc = doc(1);
    {
        let mut txn = doc.transact_mut();
        let feats = txn.get_or_insert_map("feat");
        (0..crate::model::FEATURES_MAX).for_each(|index| {
            feats.insert(&mut txn, index.to_string(), 1);
        });
    }
    let error = import_with(
        &doc,
        &[feature(json!("g"), "Point", json!([1, 2]), json!({}))],
        &options("importer", 1),
    );
    assert!(
        matches!(error, Err(ImportError::TooManyFeatures { place }) if place.line == 1),
        "{error:?}"
    );
}

#[test]
fn features_go_into_the_layers_that_they_name_unless_the_options_name_one() {
    let named = |layer: Option<&str>| {
        let features = inputs(&[
            feature(json!("a"), "Point", json!([1, 2]), json!({})),
            feature(json!("b"), "Point", json!([1, 2]), json!({})),
            feature(json!("c"), "Point", json!([1, 2]), json!({})),
        ]);
        let own = [Some("Wege & Pfade"), None, Some("roads")];
        let features: Vec<_> = features
            .into_iter()
            .zip(own)
            .map(|(feature, own)| feature.in_layer(own.map(Into::into)))
            .collect();
        let doc = doc(1);
        let mut wanted = options("importer", 5000);
        wanted.layer = layer.map(str::to_owned);
        upsert(&doc, features.clone().into_iter(), &wanted, &mut |_| ()).unwrap();
        let again = upsert(&doc, features.into_iter(), &wanted, &mut |_| ()).unwrap();
        assert_eq!((again.unchanged, again.transactions), (3, 0));
        let view = view(&doc);
        let layer_of = |fid: &str| {
            let lid = view.feature(fid).unwrap().layer;
            view.layer(&lid).map(|layer| layer.title().to_owned())
        };
        ["a", "b", "c"].map(layer_of)
    };
    let own = [Some("Wege & Pfade"), None, Some("roads")];
    assert_eq!(named(None), own.map(|name| name.map(str::to_owned)));
    assert_eq!(
        named(Some("all")),
        ["all", "all", "all"].map(|name| Some(name.to_owned()))
    );
}
