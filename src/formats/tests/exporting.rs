//! What an export holds, and how it is written.

use serde_json::{Value, json};
use yrs::Doc;

use super::{
    ExportError, ExportFilter, ExportOptions, Format, collection, export, export_with, exported,
    import, records, view,
};

#[test]
fn exports_round_and_say_boxes_on_demand_only() {
    let doc = Doc::with_client_id(1);
    let line = r#"{"type":"Feature","id":"a","geometry":{"type":"LineString","coordinates":[[170,0.123456789],[179,0.123456789]]},"properties":{}}"#;
    import(
        &doc,
        records(line, Format::GeoJsonSeq)
            .into_iter()
            .map(Result::unwrap),
        None,
    );
    let options = ExportOptions {
        precision: Some(3),
        with_bbox: true,
    };
    let mut out = Vec::new();
    export_with(
        &view(&doc),
        Format::GeoJson,
        &ExportFilter::default(),
        options,
        &mut out,
    )
    .unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out["bbox"], json!([170, 0.123, 179, 0.123]));
    assert_eq!(out["features"][0]["bbox"], out["bbox"]);
    assert_eq!(
        out["features"][0]["geometry"]["coordinates"],
        json!([[170, 0.123], [179, 0.123]])
    );
}

#[test]
fn an_export_can_be_limited_to_a_layer_and_an_area() {
    let doc = Doc::with_client_id(1);
    let point = |id: &str, lon: f64| {
        format!(
            "{{\"type\":\"Feature\",\"id\":\"{id}\",\"geometry\":{{\"type\":\"Point\",\"coordinates\":[{lon},0]}}}}"
        )
    };
    let add = |features: &str, layer| {
        import(
            &doc,
            records(collection(features), Format::GeoJson)
                .into_iter()
                .map(Result::unwrap),
            layer,
        );
    };
    add(
        &[point("a", 1.0), point("b", 179.0)].join(","),
        Some("Wege & Straßen"),
    );
    add(
        &[
            point("c", -179.0),
            "{\"type\":\"Feature\",\"id\":\"d\"}".into(),
        ]
        .join(","),
        None,
    );
    let ids = |layer: Option<&str>, bbox: Option<&str>| {
        let filter = ExportFilter {
            layer: layer.map(str::to_owned),
            bbox: bbox.map(|bbox| bbox.parse().unwrap()),
        };
        let whole: Value = serde_json::from_str(&exported(&doc, Format::GeoJson, &filter)).unwrap();
        let ids = whole["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|feature| feature["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>().join("")
    };
    let lid = view(&doc).layers().next().unwrap().lid.clone();
    assert_eq!(ids(None, None), "abcd");
    assert_eq!(
        (ids(Some("Wege & Straßen"), None), ids(Some(&lid), None)),
        ("ab".into(), "ab".into())
    );
    assert_eq!(ids(None, Some("170,-1,-170,1")), "bc");
    assert_eq!(ids(Some(&lid), Some("170,-1,-170,1")), "b");
    let filter = ExportFilter {
        layer: Some("Roads".into()),
        bbox: None,
    };
    let mut out = Vec::new();
    let error = export(&view(&doc), Format::GeoJson, &filter, &mut out).unwrap_err();
    assert!(
        matches!(&error, ExportError::UnknownLayer { known, .. } if known == &["Wege & Straßen"])
            && out.is_empty()
    );
    assert_eq!(
        error.to_string(),
        "there is no layer \"Roads\"; the layers are: Wege & Straßen"
    );
}

#[test]
fn an_export_is_one_feature_a_line() {
    let doc = Doc::with_client_id(1);
    assert_eq!(
        exported(&doc, Format::GeoJson, &ExportFilter::default()),
        "{\"type\":\"FeatureCollection\",\"features\":[]}\n"
    );
    assert_eq!(
        exported(&doc, Format::GeoJsonSeq, &ExportFilter::default()),
        ""
    );
    let text = collection("{\"type\":\"Feature\",\"id\":\"b\"},{\"type\":\"Feature\",\"id\":1}");
    import(
        &doc,
        records(text, Format::GeoJson)
            .into_iter()
            .map(Result::unwrap),
        None,
    );
    let feature = |id: &str| {
        format!("{{\"type\":\"Feature\",\"id\":{id},\"properties\":{{}},\"geometry\":null}}")
    };
    assert_eq!(
        exported(&doc, Format::GeoJson, &ExportFilter::default()),
        format!(
            "{{\"type\":\"FeatureCollection\",\"features\":[\n{},\n{}\n]}}\n",
            feature("1"),
            feature("\"b\"")
        )
    );
    assert_eq!(
        exported(&doc, Format::GeoJsonSeq, &ExportFilter::default()),
        format!("\u{1E}{}\n\u{1E}{}\n", feature("1"), feature("\"b\""))
    );
}
