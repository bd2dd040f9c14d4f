//! KML and KMZ as programs write them.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use yrs::Doc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Format, import, read, view};
use crate::formats::RecordError;

const TOUR: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"><Document>
<name>Tour</name>
<Style id="s"><IconStyle><Icon><href>x.png</href></Icon></IconStyle></Style>
<Schema name="t" id="t"><SimpleField type="int" name="n"/><SimpleField type="string" name="s"/></Schema>
<Placemark id="top"><name>Top</name><styleUrl>#s</styleUrl><Point><coordinates> 8.5,47.25,0 </coordinates></Point></Placemark>
<Folder><name>Days</name>
  <Placemark><description><![CDATA[<b>one</b>]]></description>
    <ExtendedData><Data name="k"><displayName>K</displayName><value>2.5</value></Data>
      <SchemaData schemaUrl="#t"><SimpleData name="n">7</SimpleData><SimpleData name="s">7</SimpleData></SchemaData></ExtendedData>
    <MultiGeometry><LineString><coordinates>1,2 3,4</coordinates></LineString><LineString><coordinates>5,6 7,8</coordinates></LineString></MultiGeometry></Placemark>
  <Folder><name>Second</name>
    <Placemark><gx:Track><when>2026-05-01T06:00:00Z</when><when>2026-05-01T06:00:05Z</when><gx:coord>1 2 3</gx:coord><gx:coord>1.5 2 4</gx:coord></gx:Track></Placemark>
    <Placemark><MultiGeometry><Point><coordinates>1,2</coordinates></Point><Polygon><outerBoundaryIs><LinearRing><coordinates>0,0 4,0 4,4 0,0</coordinates></LinearRing></outerBoundaryIs>
      <innerBoundaryIs><LinearRing><coordinates>1,0.5 2,1 2,0.5 1,0.5</coordinates></LinearRing></innerBoundaryIs></Polygon></MultiGeometry></Placemark>
  </Folder>
  <Placemark><name>bare</name></Placemark>
</Folder>
</Document></kml>"##;

fn features(
    records: impl Iterator<Item = Result<crate::formats::InputFeature, RecordError>>,
) -> Vec<Value> {
    records
        .map(|record| {
            let feature = record.unwrap();
            let geometry = feature.geometry().map(crate::geometry::Geometry::to_value);
            json!([feature.layer(), geometry, feature.properties()])
        })
        .collect()
}

#[test]
fn placemarks_become_features_in_the_layers_of_their_folders() {
    assert_eq!(
        features(read(TOUR.as_bytes(), Format::Kml)),
        [
            json!([null, {"type": "Point", "coordinates": [8.5, 47.25, 0]}, {"name": "Top", "styleUrl": "#s"}]),
            json!(["Days", {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]},
                {"description": "<b>one</b>", "k": 2.5, "n": 7, "s": "7"}]),
            json!(["Days/Second", {"type": "LineString", "coordinates": [[1, 2, 3], [1.5, 2, 4]]},
                {"times": ["2026-05-01T06:00:00Z", "2026-05-01T06:00:05Z"]}]),
            json!(["Days/Second", {"type": "GeometryCollection", "geometries": [
                {"type": "Point", "coordinates": [1, 2]},
                {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]], [[1, 0.5], [2, 1], [2, 0.5], [1, 0.5]]]}]}, {}]),
            json!(["Days", null, {"name": "bare"}]),
        ]
    );
    let ids: Vec<_> = read(TOUR.as_bytes(), Format::Kml)
        .map(|record| record.unwrap().id().map(ToString::to_string))
        .collect();
    assert_eq!(ids[0].as_deref(), Some("top"));
}

fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn the_main_file_of_an_archive_is_read() {
    let kmz = packed(&[
        ("files/x.png", b"png"),
        ("doc.kml", TOUR.as_bytes()),
        ("other.kml", b"<kml/>"),
    ]);
    assert_eq!(
        features(read(&kmz[..], Format::Kmz)),
        features(read(TOUR.as_bytes(), Format::Kml))
    );
    let kmz = packed(&[("a/Tour.KML", TOUR.as_bytes())]);
    assert_eq!(read(&kmz[..], Format::Kmz).count(), 5);
}

#[test]
fn archives_that_are_none_or_are_bombs_are_refused() {
    let error = |bytes: &[u8]| {
        read(bytes, Format::Kmz)
            .next()
            .unwrap()
            .unwrap_err()
            .to_string()
    };
    assert!(error(b"").contains("zip archive cannot be read"));
    assert!(error(b"PK\x03\x04 and so on").contains("zip archive cannot be read"));
    assert!(error(&packed(&[("a.txt", b"a")])).contains("no file that ends in .kml"));
    let spaces = vec![b' '; 140 << 20];
    assert!(error(&packed(&[("doc.kml", &spaces)])).contains("unpacks to more than"));
}

#[test]
fn wrong_placemarks_cost_themselves_and_wrong_xml_the_rest() {
    let results = |inside: &str| -> Vec<Result<(), String>> {
        let text = format!("<kml><Document>\n{inside}</Document></kml>");
        read(text.as_bytes(), Format::Kml)
            .map(|record| record.map(|_| ()).map_err(|error| error.to_string()))
            .collect()
    };
    let point =
        |c: &str| format!("<Placemark><Point><coordinates>{c}</coordinates></Point></Placemark>\n");
    assert_eq!(
        results(&format!(
            "{}<Folder><name>F</name>{}{}</Folder>{}",
            point("1,2"),
            point("1,x"),
            point("1,95"),
            point("3,4")
        )),
        [
            Ok(()),
            Err(
                "layer \"F\", record 2 (line 3): coordinates hold \"x\", which is no number"
                    .to_owned()
            ),
            Err(
                "layer \"F\", record 3 (line 4): coordinates: the latitude 95 is outside -90 to 90"
                    .to_owned()
            ),
            Ok(()),
        ]
    );
    let deep = format!("<Placemark>{}", "<MultiGeometry>".repeat(20))
        + &"</MultiGeometry>".repeat(20)
        + "</Placemark>";
    assert!(
        results(&(deep + &point("1,2")))[0]
            .as_ref()
            .unwrap_err()
            .contains("nests too deeply")
    );
    let folders = "<Folder><name>x</name>".repeat(200);
    assert!(
        results(&folders)[0]
            .as_ref()
            .unwrap_err()
            .contains("nests too deeply")
    );
    assert!(
        results("<Placemark></Folder>")[0]
            .as_ref()
            .unwrap_err()
            .contains("not well-formed")
    );
    let error = read(&b"<gpx/>"[..], Format::Kml)
        .next()
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("this is no KML"));
}

#[test]
fn folders_become_layers_of_the_map() {
    let doc = Doc::with_client_id(1);
    import(
        &doc,
        read(TOUR.as_bytes(), Format::Kml).map(Result::unwrap),
        None,
    );
    let mut layers: Vec<String> = view(&doc)
        .layers()
        .map(|layer| layer.title().to_owned())
        .collect();
    layers.sort();
    assert_eq!(layers, ["Days", "Days/Second"]);
}
