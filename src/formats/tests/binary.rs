//! GeoPackage, FlatGeobuf and shapefiles: ids, layers, reference systems, and bytes that are damaged.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value, json};
use yrs::Doc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{ExportFilter, Format, export, import, read, view};
use crate::formats::{InputFeature, ReadOptions, read_file, read_with};
use crate::model::Fid;

fn written(doc: &Doc, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    export(&view(doc), format, &ExportFilter::default(), &mut out).unwrap();
    out
}

fn read_all(bytes: &[u8], format: Format) -> Vec<InputFeature> {
    read(bytes, format)
        .map(|record| record.unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

fn points(count: usize) -> Vec<InputFeature> {
    let lines: Vec<String> = (0..count)
        .map(|i| format!("{{\"type\":\"Feature\",\"id\":\"p{i}\",\"properties\":{{\"n\":{i},\"name\":\"P{i}\"}},\"geometry\":{{\"type\":\"Point\",\"coordinates\":[{},{}]}}}}", i % 170, i % 80))
        .collect();
    read_all(lines.join("\n").as_bytes(), Format::GeoJsonSeq)
}

/// A GeoPackage as another program would write it, changed by some SQL.
pub(super) fn package(sql: &str) -> tempfile::NamedTempFile {
    let doc = Doc::with_client_id(1);
    let features = points(3)
        .into_iter()
        .map(|feature| feature.in_layer(Some("roads".into())));
    import(&doc, features, None);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&written(&doc, Format::GeoPackage)).unwrap();
    file.flush().unwrap();
    let connection = Connection::open(file.path()).unwrap();
    for trigger in [
        "insert", "update1", "update2", "update3", "update4", "delete",
    ] {
        connection
            .execute(&format!("DROP TRIGGER rtree_roads_geom_{trigger}"), [])
            .unwrap();
    }
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
    file
}

#[test]
fn rows_without_our_id_are_known_by_layer_and_number_and_keep_it() {
    let file = package("UPDATE roads SET mapweave_id = NULL, fid = n + 7");
    let read = || -> Vec<InputFeature> {
        let records = read_file(file.path(), Format::GeoPackage, &ReadOptions::default()).unwrap();
        records.map(Result::unwrap).collect()
    };
    let features = read();
    assert_eq!(features[0].fid(), &Fid::of_row("roads", 7));
    let doc = Doc::with_client_id(2);
    import(&doc, features.into_iter(), None);
    let out = written(&doc, Format::GeoPackage);
    let mut copy = tempfile::NamedTempFile::new().unwrap();
    copy.write_all(&out).unwrap();
    let connection = Connection::open(copy.path()).unwrap();
    let rows: Vec<(i64, Option<String>)> = connection
        .prepare("SELECT fid, mapweave_id FROM roads ORDER BY fid")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows, [(7, None), (8, None), (9, None)]);
    assert_eq!(import(&doc, read().into_iter(), None).transactions, 0);
    assert_eq!(
        import(&doc, read_all(&out, Format::GeoPackage).into_iter(), None).transactions,
        0
    );
}

#[test]
fn a_package_has_the_marks_and_the_index_of_one() {
    let doc = Doc::with_client_id(1);
    import(&doc, points(50).into_iter(), Some("roads"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&written(&doc, Format::GeoPackage)).unwrap();
    let connection = Connection::open(file.path()).unwrap();
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(number("PRAGMA application_id"), 0x4750_4B47);
    assert_eq!(
        number(
            "SELECT count(*) FROM rtree_roads_geom WHERE maxx >= 10 AND minx <= 19 AND maxy >= 10 AND miny <= 19"
        ),
        10
    );
    assert_eq!(
        number("SELECT count(*) FROM gpkg_contents WHERE data_type = 'features' AND srs_id = 4326"),
        1
    );
    assert_eq!(
        number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0
    );
    assert_eq!(
        connection
            .query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
            .unwrap(),
        "delete"
    );
}

#[test]
fn more_rows_than_are_held_at_once_are_all_read() {
    let doc = Doc::with_client_id(1);
    import(&doc, points(1300).into_iter(), None);
    for format in [Format::GeoPackage, Format::FlatGeobuf] {
        let back = read_all(&written(&doc, format), format);
        assert_eq!(back.len(), 1300);
        assert_eq!(import(&doc, back.into_iter(), None).transactions, 0);
    }
}

#[test]
fn other_reference_systems_types_and_views_are_read() {
    let file = package(
        "INSERT INTO gpkg_spatial_ref_sys VALUES ('UTM', 32631, 'EPSG', 32631, 'undefined', NULL);
         UPDATE gpkg_geometry_columns SET srs_id = 32631;
         ALTER TABLE roads ADD COLUMN flag BOOLEAN; ALTER TABLE roads ADD COLUMN big INTEGER; ALTER TABLE roads ADD COLUMN raw BLOB;
         UPDATE roads SET flag = 1, big = 9007199254740993, raw = x'00ff', mapweave_id = NULL;
         DELETE FROM roads WHERE n > 0;
         CREATE VIEW some AS SELECT name, geom FROM roads;
         INSERT INTO gpkg_contents(table_name, data_type, identifier, srs_id) VALUES ('some', 'features', 'some', 4326);
         INSERT INTO gpkg_geometry_columns VALUES ('some', 'geom', 'POINT', 4326, 0, 0);
         CREATE TABLE plain (a TEXT); INSERT INTO plain VALUES ('x');
         INSERT INTO gpkg_contents(table_name, data_type, identifier) VALUES ('plain', 'attributes', 'plain');",
    );
    let records: Vec<_> = read_file(file.path(), Format::GeoPackage, &ReadOptions::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let layers: Vec<_> = records.iter().map(|feature| feature.layer()).collect();
    assert_eq!(layers, [Some("roads"), Some("some"), Some("plain")]);
    let properties = json!(records[0].properties());
    assert_eq!(
        properties,
        json!({"n": 0, "name": "P0", "flag": true, "big": "9007199254740993", "raw": "AP8="})
    );
    let lon = records[0].geometry().unwrap().to_value()["coordinates"][0]
        .as_f64()
        .unwrap();
    assert!(lon < 0.0 && lon > -2.0, "{lon}");
    assert_eq!(records[2].geometry(), None);
}

#[test]
fn what_is_wrong_with_a_package_is_named_with_layer_and_row() {
    let errors = |sql: &str| -> Vec<String> {
        let file = package(sql);
        let records = read_file(file.path(), Format::GeoPackage, &ReadOptions::default()).unwrap();
        records
            .filter_map(|record| record.err().map(|error| error.to_string()))
            .collect()
    };
    assert_eq!(
        errors("UPDATE roads SET fid = n + 1; UPDATE roads SET geom = x'4750' WHERE fid = 2"),
        ["layer \"roads\", record 2 (id \"2\"): the geometry's bytes are cut short"]
    );
    let unknown = errors(
        "INSERT INTO gpkg_spatial_ref_sys VALUES ('x', 99, 'NONE', 99, 'undefined', NULL); UPDATE gpkg_geometry_columns SET srs_id = 99",
    );
    assert!(
        unknown[0].starts_with("layer \"roads\", the reference system"),
        "{unknown:?}"
    );
    let first = |bytes: &[u8], format| read(bytes, format).next().unwrap().unwrap_err().to_string();
    assert!(first(b"text", Format::GeoPackage).contains("no SQLite file"));
    assert!(first(b"text", Format::FlatGeobuf).contains("no FlatGeobuf"));
    assert!(first(b"text", Format::Shapefile).contains("zip archive"));
    let sqlite = tempfile::NamedTempFile::new().unwrap();
    Connection::open(sqlite.path())
        .unwrap()
        .execute("CREATE TABLE a (b)", [])
        .unwrap();
    assert!(
        first(&std::fs::read(sqlite.path()).unwrap(), Format::GeoPackage).contains("no GeoPackage")
    );
}

#[test]
fn a_layer_alone_gives_a_flatgeobuf_its_name() {
    let doc = Doc::with_client_id(1);
    import(&doc, points(2).into_iter(), Some("roads"));
    let back = read_all(&written(&doc, Format::FlatGeobuf), Format::FlatGeobuf);
    assert!(back.iter().all(|feature| feature.layer() == Some("roads")));
}

/// A shapefile of polygons: its geometry and its table.
fn shapefile(records: &[Vec<Vec<[f64; 2]>>], driver: u8, names: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
    let mut shp = vec![0; 100];
    shp[..4].copy_from_slice(&9994_u32.to_be_bytes());
    for (number, rings) in records.iter().enumerate() {
        let mut content = 5_u32.to_le_bytes().to_vec();
        content.extend([0; 32]);
        let points: usize = rings.iter().map(Vec::len).sum();
        content.extend(u32::try_from(rings.len()).unwrap().to_le_bytes());
        content.extend(u32::try_from(points).unwrap().to_le_bytes());
        let mut start = 0;
        for ring in rings {
            content.extend(u32::try_from(start).unwrap().to_le_bytes());
            start += ring.len();
        }
        rings
            .iter()
            .flatten()
            .flatten()
            .for_each(|n| content.extend(n.to_le_bytes()));
        shp.extend(u32::try_from(number + 1).unwrap().to_be_bytes());
        shp.extend(u32::try_from(content.len() / 2).unwrap().to_be_bytes());
        shp.extend(content);
    }
    let mut dbf = vec![3, 126, 1, 1];
    dbf.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
    dbf.extend(97_u16.to_le_bytes());
    dbf.extend(16_u16.to_le_bytes());
    dbf.extend([0; 20]);
    dbf[29] = driver;
    for (name, kind, length) in [("NAME", b'C', 10_u8), ("AREA", b'N', 5)] {
        let mut field = [0; 32];
        field[..4].copy_from_slice(name.as_bytes());
        (field[11], field[16]) = (kind, length);
        dbf.extend(field);
    }
    dbf.push(0x0D);
    for name in names {
        let mut row = vec![b' '; 16];
        row[1..=name.len()].copy_from_slice(name);
        row[11..14].copy_from_slice(b"1.5");
        dbf.extend(row);
    }
    (shp, dbf)
}

fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const UTM: &str = r#"PROJCS["WGS_1984_UTM_Zone_31N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",3.0],PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]"#;

fn square(x: f64, y: f64, size: f64, clockwise: bool) -> Vec<[f64; 2]> {
    let mut ring = vec![
        [x, y],
        [x, y + size],
        [x + size, y + size],
        [x + size, y],
        [x, y],
    ];
    if !clockwise {
        ring.reverse();
    }
    ring
}

#[test]
fn shapefiles_are_read_with_holes_code_pages_and_projections() {
    let islands = vec![
        square(0.0, 0.0, 10.0, true),
        square(20.0, 0.0, 10.0, true),
        square(22.0, 2.0, 2.0, false),
    ];
    let (shp, dbf) = shapefile(
        &[islands, vec![square(0.0, 0.0, 1.0, true)]],
        0x57,
        &[b"Z\xFCrich", b""],
    );
    let zip = packed(&[
        ("a/Parcels.shp", &shp),
        ("a/Parcels.dbf", &dbf),
        ("readme.txt", b"x"),
    ]);
    let features = read_all(&zip, Format::Shapefile);
    assert_eq!(features.len(), 2);
    assert_eq!(features[0].layer(), Some("Parcels"));
    assert_eq!(features[0].fid(), &Fid::of_row("Parcels", 0));
    assert_eq!(
        json!(features[0].properties()),
        json!({"NAME": "Zürich", "AREA": 1.5})
    );
    assert_eq!(json!(features[1].properties()), json!({"AREA": 1.5}));
    let geometry = features[0].geometry().unwrap().to_value();
    assert_eq!(geometry["type"], "MultiPolygon");
    assert_eq!(geometry["coordinates"].as_array().unwrap().len(), 2);
    assert_eq!(geometry["coordinates"][1].as_array().unwrap().len(), 2);
    assert_eq!(
        features[1].geometry().unwrap().to_value()["type"],
        "Polygon"
    );
    let (shp, dbf) = shapefile(&[vec![square(500_000.0, 0.0, 100.0, true)]], 0, &[b"M\xE9"]);
    let zip = packed(&[
        ("P.SHP", &shp),
        ("P.DBF", &dbf),
        ("P.PRJ", UTM.as_bytes()),
        ("P.CPG", b"1252"),
    ]);
    let mut reading = read(&zip[..], Format::Shapefile);
    let feature = reading.next().unwrap().unwrap();
    assert_eq!(feature.properties()["NAME"], "Mé");
    let first = feature.geometry().unwrap().to_value()["coordinates"][0][0][0]
        .as_f64()
        .unwrap();
    assert!((first - 3.0).abs() < 1e-9);
    let notes: Vec<&str> = reading
        .notes()
        .iter()
        .map(|(note, _)| note.code())
        .collect();
    assert_eq!(notes, ["ring-turned", "reprojected"]);
}

#[test]
fn shapefiles_that_cannot_be_read_say_why() {
    let error = |files: &[(&str, &[u8])]| {
        let zip = packed(files);
        read(&zip[..], Format::Shapefile)
            .find_map(Result::err)
            .unwrap()
            .to_string()
    };
    let (shp, dbf) = shapefile(
        &[vec![square(2_600_000.0, 1_200_000.0, 1.0, true)]],
        0,
        &[b"a"],
    );
    assert!(error(&[("a.dbf", &dbf)]).contains("no file that ends in .shp"));
    assert!(error(&[("a.shp", b"short")]).contains("is no shapefile"));
    assert!(
        error(&[("a.shp", &shp), ("a.prj", b"PROJCS[\"site\"]")])
            .contains("the reference system site")
    );
    assert!(error(&[("a.shp", &shp)]).contains("the longitude 2600000"));
    assert!(error(&[("a.shp", &shp[..150])]).contains("truncated"));
    let mut other = shp.clone();
    other[108] = 31;
    assert!(error(&[("a.shp", &other)]).contains("multipatch"));
    let options = ReadOptions {
        crs: Some("EPSG:2056".parse().unwrap()),
        ..ReadOptions::default()
    };
    let zip = packed(&[("a.shp", &shp)]);
    assert!(read_with(&zip[..], Format::Shapefile, &options).all(|record| record.is_ok()));
}

fn samples() -> Vec<(Format, Vec<u8>)> {
    let text = r#"{"type":"Feature","id":1,"properties":{"a":"x","b":1.5,"c":true,"d":[1]},"geometry":{"type":"MultiPolygon","coordinates":[[[[0,0,1],[4,0,1],[4,4,1],[0,0,1]]]]}}
{"type":"Feature","id":2,"properties":{},"geometry":{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}}
{"type":"Feature","id":3,"properties":{"a":"y"},"geometry":{"type":"LineString","coordinates":[[1,2],[3,4]]}}"#;
    let doc = Doc::with_client_id(1);
    import(
        &doc,
        read_all(text.as_bytes(), Format::GeoJsonSeq).into_iter(),
        Some("l"),
    );
    let (shp, dbf) = shapefile(&[vec![square(0.0, 0.0, 10.0, true)]], 0, &[b"a"]);
    let mut samples: Vec<(Format, Vec<u8>)> = Format::ALL
        .into_iter()
        .filter(|format| format.is_writable())
        .map(|format| (format, written(&doc, format)))
        .collect();
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("a.shp", &shp), ("a.dbf", &dbf)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    samples.push((Format::Shapefile, zip.finish().unwrap().into_inner()));
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_bytes_of_any_format_give_errors_and_never_a_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        for (_, mut bytes) in samples() .into_iter().map(|(format, bytes)| (format, (format, bytes))) {
            for (place, byte) in &damage {
                let at = place.index(bytes.1.len());
                bytes.1[at] = *byte;
            }
            if let Some(cut) = &cut {
                let at = cut.index(bytes.1.len());
                bytes.1.truncate(at);
            }
            prop_assert!(read(&bytes.1[..], bytes.0).take(1000).count() <= 1000);
        }
    }
}

#[test]
fn values_that_tables_type_come_back_as_they_are() {
    let doc = Doc::with_client_id(1);
    let text = r#"{"type":"Feature","id":"a","properties":{"mixed":"5","n":1},"geometry":null}
{"type":"Feature","id":"b","properties":{"mixed":5,"n":0.5},"geometry":null}
{"type":"Feature","id":7,"properties":{"mixed":null,"N":{"k":[]}},"geometry":null}"#;
    import(
        &doc,
        read_all(text.as_bytes(), Format::GeoJsonSeq).into_iter(),
        None,
    );
    for format in [Format::GeoPackage, Format::FlatGeobuf] {
        let back = read_all(&written(&doc, format), format);
        let mut values: Vec<Value> = back
            .iter()
            .map(|feature| json!([feature.fid().as_str(), feature.properties()]))
            .collect();
        values.sort_by_key(Value::to_string);
        assert_eq!(
            values,
            [
                json!(["7", {"N": {"k": []}}]),
                json!(["a", {"mixed": "5", "n": 1}]),
                json!(["b", {"mixed": 5, "n": 0.5}]),
            ]
        );
    }
}
