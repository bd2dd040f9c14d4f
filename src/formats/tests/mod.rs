//! Files in and out, over the fixtures and generated ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binary;
mod csv;
mod gpx;
mod kml;
mod round_trip;

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use yrs::{Doc, Transact};

use super::{
    ExportError, ExportFilter, ExportOptions, Fault, Format, RECORD_BYTES_MAX, ReadOptions,
    RecordError, export, export_with, read, read_with,
};
use crate::model::{
    ImportOptions, InputFault, InputFeature, MapView, Sid, VALUE_BYTES_MAX, canonical, upsert,
};

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/geojson")
        .join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending != "json"));
    files.sort();
    assert!(files.len() > 10);
    files
}

/// Gives a few bytes at a time, so that nothing depends on how a file arrives.
struct Drip<'b>(&'b [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(7);
        self.0.read(&mut buffer[..count])
    }
}

fn records(text: impl AsRef<[u8]>, format: Format) -> Vec<Result<InputFeature, RecordError>> {
    let whole: Vec<_> = read(text.as_ref(), format).collect();
    let dripped: Vec<_> = read(Drip(text.as_ref()), format).collect();
    assert_eq!(whole, dripped);
    whole
}

fn import(
    doc: &Doc,
    features: impl Iterator<Item = InputFeature>,
    layer: Option<&str>,
) -> crate::model::ImportReport {
    let options = ImportOptions {
        layer: layer.map(str::to_owned),
        sid: Sid::parse("importer").unwrap(),
        who: None,
        now_s: 1000,
        seed: 1,
        restore: false,
    };
    upsert(doc, features, &options, &mut |_| ()).unwrap()
}

fn view(doc: &Doc) -> MapView {
    MapView::new(&doc.transact())
}

fn exported(doc: &Doc, format: Format, filter: &ExportFilter) -> String {
    let mut out = Vec::new();
    export(&view(doc), format, filter, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What a file says, feature by feature, with the differences that do not matter taken out.
fn meaning(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.trim_start_matches('\u{FEFF}');
    let values: Vec<Value> = if Format::from_path(path) == Some(Format::GeoJsonSeq) {
        let separator = if text.starts_with('\u{1E}') {
            '\u{1E}'
        } else {
            '\n'
        };
        let parts = text.split(separator).filter(|part| !part.trim().is_empty());
        parts
            .map(|part| serde_json::from_str(part).unwrap())
            .collect()
    } else {
        let whole: Value = serde_json::from_str(text).unwrap();
        whole
            .get("features")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_else(|| vec![whole])
    };
    values.into_iter().map(|value| plain(value, true)).collect()
}

fn plain(value: Value, drop_derived_ids: bool) -> Value {
    let mut feature = if value["type"] == "Feature" {
        value
    } else {
        json!({"type": "Feature", "geometry": value})
    };
    let members = feature.as_object_mut().unwrap();
    members.remove("bbox");
    if members.get("properties").is_none_or(Value::is_null) {
        members.insert("properties".into(), json!({}));
    }
    members.entry("geometry").or_insert(Value::Null);
    let derived = members.get("id").is_none_or(Value::is_null);
    if derived && drop_derived_ids {
        members.remove("id");
    }
    canonical(feature)
}

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
            let mut shown: Value = serde_json::from_str(&super::feature_json(&shown)).unwrap();
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

fn collection(features: &str) -> String {
    format!("{{\"type\":\"FeatureCollection\",\"features\":[{features}]}}")
}

#[test]
fn bounds_on_size_and_nesting_hold() {
    let with = |value: &str| {
        collection(&format!(
            "{{\"type\":\"Feature\",\"id\":\"a\",\"properties\":{{\"a\":{value}}}}}"
        ))
    };
    let fault = |text: String| records(text, Format::GeoJson).remove(0).unwrap_err().fault;
    let long = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX - 1));
    assert!(
        matches!(fault(with(&long)), Fault::Content(InputFault::LongValue { bytes, .. }) if bytes == VALUE_BYTES_MAX + 1)
    );
    for levels in [17, 90, 150, 1_000_000] {
        let nested = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let fault = fault(with(&nested));
        assert!(
            matches!(
                fault,
                Fault::TooDeep | Fault::Content(InputFault::Nesting { .. })
            ),
            "{levels}: {fault}"
        );
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(fault(with(&objects)), Fault::TooDeep);
    let unclosed = with(&"[".repeat(1_000_000));
    assert!(matches!(fault(unclosed), Fault::Truncated { .. }));
    let deep = format!(
        "{}{}",
        "{\"type\":\"GeometryCollection\",\"geometries\":[".repeat(20),
        "]}".repeat(20)
    );
    assert_eq!(
        fault(collection(&format!(
            "{{\"type\":\"Feature\",\"geometry\":{deep}}}"
        ))),
        Fault::TooDeep
    );
    let id = "x".repeat(5000);
    let text = collection(&format!("{{\"type\":\"Feature\",\"id\":\"{id}\"}}"));
    assert!(matches!(
        fault(text),
        Fault::Content(InputFault::LongId { bytes: 5000 })
    ));
}

#[test]
fn a_record_beyond_the_limit_is_refused_without_being_held_and_the_next_is_read() {
    struct Spaces(usize);
    impl Read for Spaces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0);
            buffer[..count].fill(b' ');
            self.0 -= count;
            Ok(count)
        }
    }
    let (start, end) = (
        "{\"type\":\"FeatureCollection\",\"features\":[{\"a\":",
        "1},{\"type\":\"Feature\",\"id\":\"b\"}]}",
    );
    let reader = start
        .as_bytes()
        .chain(Spaces(RECORD_BYTES_MAX))
        .chain(end.as_bytes());
    let records: Vec<_> = read(reader, Format::GeoJson).collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].as_ref().unwrap_err().fault, Fault::TooLong);
    assert!(records[1].is_ok());
}

#[test]
fn a_device_that_fails_is_an_error_of_the_file() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    for format in Format::ALL {
        let start = if format == Format::GeoJson {
            "{\"type\":\"FeatureCollection\",\"features\":[{"
        } else {
            ""
        };
        let records: Vec<_> = read(start.as_bytes().chain(Broken), format).collect();
        assert_eq!(records.len(), 1);
        let error = records[0].as_ref().unwrap_err();
        assert!(
            error.fatal && error.to_string().contains("unplugged"),
            "{error}"
        );
    }
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

#[test]
fn any_damage_to_a_file_is_read_or_named() {
    let path = fixtures("valid")
        .into_iter()
        .find(|path| path.ends_with("all-types.geojson"))
        .unwrap();
    let bytes = std::fs::read(path).unwrap();
    let check = |bytes: &[u8]| {
        for format in Format::ALL {
            for record in read(bytes, format) {
                if let Err(error) = record {
                    let mut text = String::new();
                    write!(text, "{error}; {}", error.hint()).unwrap();
                    assert!(text.len() > 20);
                }
            }
        }
    };
    for at in 0..bytes.len() {
        check(&bytes[..at]);
        for byte in [b"\"{],"[at % 4], b"\\-\xFF\x1E9"[at % 5]] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            check(&damaged);
        }
    }
}

#[test]
fn formats_are_known_by_name_by_ending_and_by_content() {
    assert_eq!(Format::from_name("geojsonseq"), Some(Format::GeoJsonSeq));
    assert_eq!(Format::from_name("docx"), None);
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
        for ending in format.endings() {
            assert_eq!(
                Format::from_path(Path::new(&format!("a.{ending}"))),
                Some(format)
            );
        }
        assert!(format.media_type().contains('/'));
    }
    assert_eq!(
        Format::from_path(Path::new("a/B.GeoJSON")),
        Some(Format::GeoJson)
    );
    assert_eq!(
        Format::from_path(Path::new("a.geojsonl")),
        Some(Format::GeoJsonSeq)
    );
    assert_eq!(Format::from_path(Path::new("geojson")), None);
    assert_eq!(
        Format::sniff(b"\xEF\xBB\xBF {\n\"type\""),
        Some(Format::GeoJson)
    );
    assert_eq!(Format::sniff(b"\x1E{\"type\""), Some(Format::GeoJsonSeq));
    assert_eq!(
        Format::sniff(b"{\"type\":\"Feature\"}\n{\"ty"),
        Some(Format::GeoJsonSeq)
    );
    assert_eq!(
        Format::sniff(b"{\"type\":\"Feature\"}\n"),
        Some(Format::GeoJson)
    );
    assert_eq!(Format::sniff(b"PK\x03\x04...doc.kml"), Some(Format::Kmz));
    assert_eq!(
        Format::sniff(b"PK\x03\x04...a.shp"),
        Some(Format::Shapefile)
    );
    assert_eq!(
        Format::sniff(b"SQLite format 3\0..."),
        Some(Format::GeoPackage)
    );
    assert_eq!(Format::sniff(b"fgb\x03fgb\0"), Some(Format::FlatGeobuf));
    assert_eq!(
        Format::sniff(b"<?xml version=\"1.0\"?>\n<gpx "),
        Some(Format::Gpx)
    );
    assert_eq!(
        Format::sniff(b"<?xml version=\"1.0\"?>\n<kml "),
        Some(Format::Kml)
    );
    assert_eq!(Format::sniff(b"name;lat;lon\na;1;2\n"), Some(Format::Csv));
    assert_eq!(Format::sniff(b"name;size\na;1\n"), None);
}
