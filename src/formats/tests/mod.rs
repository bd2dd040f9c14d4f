//! Files in and out, over the fixtures and generated ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binary;
mod bounds;
mod csv;
mod exporting;
mod geojson;
mod gpx;
mod kml;
mod round_trip;

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

fn collection(features: &str) -> String {
    format!("{{\"type\":\"FeatureCollection\",\"features\":[{features}]}}")
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
