//! GeoJSON and GeoJSONSeq over the fixtures: what is valid comes back, what is not is named.

use serde_json::{Value, json};
use yrs::Doc;

use super::{
    ExportFilter, Fault, Format, InputFeature, ReadOptions, RecordError, canonical, collection,
    exported, fixtures, import, meaning, read, read_with, records, view,
};

#[test]
fn every_valid_file_comes_back_equal_and_in_stable_bytes() {
    for path in fixtures("valid") {
        let format = Format::from_path(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let features: Vec<InputFeature> = records(&bytes, format)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let doc = Doc::with_client_id(1);
        import(&doc, features.iter().cloned(), None);
        let given = meaning(&path);
        assert_eq!(given.len(), features.len(), "{}", path.display());
        for (feature, given) in features.iter().zip(given) {
            let shown = view(&doc).feature(feature.fid().as_str()).unwrap();
            let mut shown: Value =
                serde_json::from_str(&super::super::feature_json(&shown)).unwrap();
            if feature.id().is_none() {
                shown.as_object_mut().unwrap().remove("id");
            }
            assert_eq!(canonical(shown), given, "{}", path.display());
        }
        for out in [Format::GeoJson, Format::GeoJsonSeq] {
            let first = exported(&doc, out, &ExportFilter::default());
            assert_eq!(exported(&doc, out, &ExportFilter::default()), first);
            // What was exported is the same map, in bytes and in ids.
            let again = Doc::with_client_id(2);
            import(
                &again,
                records(&first, out).into_iter().filter_map(Result::ok),
                None,
            );
            if !features.is_empty() {
                assert_eq!(
                    exported(&again, out, &ExportFilter::default()),
                    first,
                    "{}",
                    path.display()
                );
                let report = import(
                    &doc,
                    records(&first, out).into_iter().map(Result::unwrap),
                    None,
                );
                assert_eq!(
                    (report.unchanged, report.transactions),
                    (features.len() as u64, 0),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn another_library_reads_what_is_written() {
    // RFC 7946 §3.1 allows empty coordinates; the library does not.
    let others = fixtures("valid")
        .into_iter()
        .filter(|path| !path.ends_with("empty-geometries.geojson"));
    for path in others {
        let format = Format::from_path(&path).unwrap();
        let doc = Doc::new();
        let features = records(std::fs::read(&path).unwrap(), format);
        import(&doc, features.into_iter().map(Result::unwrap), None);
        let text = exported(&doc, Format::GeoJson, &ExportFilter::default());
        let collection: geojson::FeatureCollection = text
            .parse::<geojson::GeoJson>()
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(
            collection.features.len(),
            view(&doc).feature_count(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_invalid_file_gets_its_own_clear_error_and_its_other_records_are_read() {
    let manifest = fixtures("invalid")[0].with_file_name("expected.json");
    let expected: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let mut texts = Vec::new();
    for path in fixtures("invalid") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let wanted = &expected[name];
        let records = records(
            std::fs::read(&path).unwrap(),
            Format::from_path(&path).unwrap(),
        );
        let errors: Vec<&RecordError> = records
            .iter()
            .filter_map(|record| record.as_ref().err())
            .collect();
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        let error = errors[0];
        let text = error.to_string();
        assert!(
            text.contains(wanted["what"].as_str().expect(name)),
            "{name}: {text}"
        );
        assert_eq!(
            json!(error.place.record),
            wanted["record"],
            "{name}: {text}"
        );
        assert_eq!(json!(error.place.line), wanted["line"], "{name}: {text}");
        assert_eq!(json!(error.id), wanted["id"], "{name}: {text}");
        assert_eq!(json!(error.fatal), wanted["fatal"], "{name}: {text}");
        assert!(error.hint().len() > 10, "{name}");
        if error.place.record == 2 {
            assert!(records[0].is_ok(), "{name}");
        }
        texts.push((text, name.to_owned()));
    }
    assert_eq!(
        expected.as_object().unwrap().len(),
        texts.len(),
        "a file for each expectation"
    );
}

/// Whether coordinates are the same but for rounding.
fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b))
        }
        _ => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9,
    }
}

#[test]
fn every_odd_kind_of_geojson_has_its_stated_result() {
    let manifest = fixtures("kinds")[0].with_file_name("expected.json");
    let expected: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let files = fixtures("kinds");
    assert_eq!(files.len(), expected.as_object().unwrap().len());
    assert!(files.len() >= 60);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let wanted = &expected[name];
        let bytes = std::fs::read(&path).unwrap();
        let mut reading = read(&bytes[..], Format::GeoJson);
        let results: Vec<_> = reading.by_ref().collect();
        let errors: Vec<String> = results
            .iter()
            .filter_map(|result| Some(result.as_ref().err()?.to_string()))
            .collect();
        if let Some(refused) = wanted.get("refused") {
            let refused = refused.as_str().unwrap();
            assert!(
                errors.len() == 1 && errors[0].contains(refused),
                "{name}: {errors:?}"
            );
            continue;
        }
        let features: Vec<&InputFeature> = results
            .iter()
            .map(|result| result.as_ref().unwrap())
            .collect();
        assert_eq!(features.len(), 1, "{name}");
        let notes: Vec<&str> = reading
            .notes()
            .iter()
            .map(|(note, _)| note.code())
            .collect();
        assert_eq!(json!(notes), wanted["notes"], "{name}");
        if let Some(coordinates) = wanted.get("coordinates") {
            let found = features[0].geometry().unwrap().to_value();
            assert!(near(&found["coordinates"], coordinates), "{name}: {found}");
        }
    }
}

#[test]
fn what_somebody_says_about_the_reference_system_counts_more_than_the_file() {
    let text = r#"{"type":"Feature","crs":{"type":"name","properties":{"name":"EPSG:99999"}},"geometry":{"type":"Point","coordinates":[500000,0]},"properties":{}}"#;
    let options = ReadOptions {
        crs: Some("EPSG:32631".parse().unwrap()),
        ..ReadOptions::default()
    };
    for format in [Format::GeoJson, Format::GeoJsonSeq] {
        let feature = read_with(text.as_bytes(), format, &options)
            .next()
            .unwrap()
            .unwrap();
        let found = feature.geometry().unwrap().to_value();
        assert!(near(&found["coordinates"], &json!([3, 0])), "{found}");
    }
}

fn hint(name: &str) -> &'static str {
    let path = fixtures("invalid")[0].with_file_name(name);
    let records = records(std::fs::read(path).unwrap(), Format::GeoJson);
    records.into_iter().find_map(Result::err).unwrap().hint()
}

#[test]
fn hints_say_what_the_mistake_comes_from() {
    assert!(hint("nan.geojson").contains("no NaN"));
    assert!(hint("infinity.geojson").contains("no NaN or infinity"));
    assert!(hint("single-quotes.geojson").contains("double quotes"));
    assert!(hint("comment.geojson").contains("no comments"));
    assert!(hint("comma-in-a-feature.geojson").contains("comma"));
    assert!(hint("latitude-out-of-range.geojson").contains("swapped"));
    assert!(hint("projected-metres.geojson").contains("--crs"));
    assert!(hint("longitude-out-of-range.geojson").contains("antimeridian"));
    assert!(hint("topojson.geojson").contains("topo2geo"));
    assert!(hint("esri.geojson").contains("f=geojson"));
}

#[test]
fn an_error_names_record_line_and_id() {
    let text = "{\"type\":\"FeatureCollection\",\n\"features\":[\n\n{\"type\":\"Feature\",\"id\":7,\"geometry\":5}]}";
    let error = records(text, Format::GeoJson).remove(0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "record 1 (line 4, id \"7\"): the member \"geometry\" of the feature is a number, expected an object or null"
    );
    assert_eq!(error.place.byte, 43);
}

#[test]
fn the_same_id_as_number_and_text_is_one_id() {
    let text = collection(
        "{\"type\":\"Feature\",\"id\":5},{\"type\":\"Feature\",\"id\":\"5\"},{\"type\":\"Feature\",\"id\":\"05\"}",
    );
    let records = records(text, Format::GeoJson);
    assert_eq!(
        records[1].as_ref().unwrap_err().fault,
        Fault::DuplicateId { first: 1 }
    );
    assert!(records[0].is_ok() && records[2].is_ok());
}

#[test]
fn wgs_84_is_accepted_under_all_its_names() {
    for name in [
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "urn:ogc:def:crs:OGC::CRS84",
        "EPSG:4326",
        "urn:ogc:def:crs:EPSG::4326",
        "urn:ogc:def:crs:EPSG:9.9:4979",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        "WGS84",
        "OGC:CRS84",
    ] {
        let text = format!(
            "{{\"type\":\"FeatureCollection\",\"crs\":{{\"type\":\"name\",\"properties\":{{\"name\":\"{name}\"}}}},\"features\":[]}}"
        );
        assert_eq!(records(text, Format::GeoJson), [], "{name}");
    }
    for crs in [
        "{\"type\":\"link\",\"properties\":{\"href\":\"x\"}}",
        "\"EPSG:14326\"",
        "{\"properties\":{\"name\":\"EPSG:14326\"}}",
    ] {
        let text = format!("{{\"type\":\"FeatureCollection\",\"crs\":{crs},\"features\":[]}}");
        assert!(
            matches!(
                records(text, Format::GeoJson)[0]
                    .as_ref()
                    .unwrap_err()
                    .fault,
                Fault::Crs { .. }
            ),
            "{crs}"
        );
    }
    assert_eq!(
        records(
            "{\"type\":\"FeatureCollection\",\"crs\":null,\"features\":[]}",
            Format::GeoJson
        ),
        []
    );
}
