//! CSV as the world writes it.

use serde_json::{Value, json};

use super::{Drip, ExportFilter, Fault, Format, exported, import};
use crate::formats::{InputFeature, ReadOptions, RecordError, read_with};
use yrs::Doc;

fn records(text: &str, options: &ReadOptions) -> Vec<Result<InputFeature, RecordError>> {
    let whole: Vec<_> = read_with(text.as_bytes(), Format::Csv, options).collect();
    let dripped: Vec<_> = read_with(Drip(text.as_bytes()), Format::Csv, options).collect();
    assert_eq!(whole.len(), dripped.len());
    whole
}

fn features(text: &str) -> Vec<Value> {
    let records = records(text, &ReadOptions::default());
    let features = records.into_iter().map(|record| {
        let feature = record.unwrap();
        json!([
            feature.id().map(crate::model::SourceId::to_value),
            feature.geometry().map(crate::geometry::Geometry::to_value),
            feature.properties()
        ])
    });
    features.collect()
}

fn point(x: f64, y: f64) -> Value {
    crate::model::canonical(json!({"type": "Point", "coordinates": [x, y]}))
}

#[test]
fn coordinates_are_found_by_the_usual_names() {
    for header in [
        "lon,lat,a",
        "Longitude,LATITUDE,a",
        "x,y,a",
        "\"lng\",\"lat\",a",
        " lon , lat ,a",
    ] {
        let text = format!("{header}\n8.5,47.25,x\r\n");
        assert_eq!(
            features(&text),
            [json!([null, point(8.5, 47.25), {"a": "x"}])],
            "{header}"
        );
    }
    assert_eq!(
        features("id,WKT\n7,\"LINESTRING (1 2,3 4)\"\n"),
        [json!([7, {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, {}])]
    );
}

#[test]
fn separators_are_found_and_a_comma_may_be_the_decimal_point() {
    assert_eq!(
        features("lon;lat;name\n8,5;47,25;\"a;b\"\n"),
        [json!([null, point(8.5, 47.25), {"name": "a;b"}])]
    );
    assert_eq!(
        features("lat\tlon\n47\t8\n"),
        [json!([null, point(8.0, 47.0), {}])]
    );
}

#[test]
fn quotes_lines_and_empty_cells_are_read_as_rfc_4180_says() {
    assert_eq!(
        features(
            "\u{FEFF}lon,lat,a,b,c\r\n1,2,\"say \"\"hi\"\"\r\nagain\",,\"\"\r\n\r\n,,no place,1,2"
        ),
        [
            json!([null, point(1.0, 2.0), {"a": "say \"hi\"\r\nagain", "c": ""}]),
            json!([null, null, {"a": "no place", "b": 1, "c": 2}]),
        ]
    );
}

#[test]
fn numbers_stay_texts_where_they_would_change_or_stand_in_quotes() {
    assert_eq!(
        features("lon,lat,zip,n,q,b\n1,2,01234,1.50,\"5\",true\n"),
        [json!([null, point(1.0, 2.0), {"zip": "01234", "n": "1.50", "q": "5", "b": true}])]
    );
}

#[test]
fn named_columns_and_reference_systems_count() {
    let options = ReadOptions {
        crs: Some("EPSG:32631".parse().unwrap()),
        x: Some("E".to_owned()),
        y: Some("N".to_owned()),
        ..ReadOptions::default()
    };
    let records = records("E,N,lon\n500000,0,kept\n", &options);
    let feature = records[0].as_ref().unwrap();
    assert!(feature.properties().contains_key("lon"));
    let found = feature.geometry().unwrap().to_value();
    assert!((found["coordinates"][0].as_f64().unwrap() - 3.0).abs() < 1e-9);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let errors = |text: &str| -> Vec<String> {
        records(text, &ReadOptions::default())
            .into_iter()
            .filter_map(|record| record.err().map(|error| error.to_string()))
            .collect()
    };
    assert_eq!(
        errors("id,lon,lat\na,1,2\nb,x,2\nc,1,95\nd,1,2,3\ne,1,\na,1,2\n"),
        [
            "record 2 (line 3, id \"b\"): the column \"lon\" holds \"x\", which is no number",
            "record 3 (line 4, id \"c\"): coordinates: the latitude 95 is outside -90 to 90",
            "record 4 (line 5): the line has 4 cells, but there are 3 columns",
            "record 5 (line 6, id \"e\"): the column \"lat\" holds \"\", which is no number",
            "record 6 (line 7, id \"a\"): the id was already used by record 1",
        ]
    );
    assert!(errors("a,b\n1,2\n")[0].contains("no column looks like coordinates"));
    assert!(errors("lon,lat,lon\n")[0].contains("two columns have the name \"lon\""));
    assert!(errors("WKT\nPOINT (1\n")[0].contains("expected"));
    assert!(errors("lon,lat,a\n1,2,\"open\n")[0].contains("truncated"));
    assert_eq!(errors(""), ["the file is empty"]);
    assert!(errors("<html><body>")[0].contains("this is no CSV, it looks like a web page"));
    let latin: Vec<_> = read_with(
        &b"lon,lat,a\n1,2,Z\xFCrich\n3,4,b\n"[..],
        Format::Csv,
        &ReadOptions::default(),
    )
    .collect();
    assert_eq!(latin[0].as_ref().unwrap_err().fault, Fault::Encoding);
    assert!(latin[1].is_ok());
}

#[test]
fn points_are_written_as_two_columns_and_other_shapes_as_text() {
    let text = |csv: &str| {
        let doc = Doc::with_client_id(1);
        let read = records(csv, &ReadOptions::default());
        import(&doc, read.into_iter().map(Result::unwrap), None);
        exported(&doc, Format::Csv, &ExportFilter::default())
    };
    let points = "id,lon,lat,a\r\n1,8.5,47.25,x\r\n2,,,\"5\"\r\n";
    assert_eq!(text(points), points);
    let heights = "id,lon,lat,z\r\n1,8.5,47.25,408.5\r\n2,1,2,\r\n";
    assert_eq!(text(heights), heights);
    let lines =
        "mapweave_id,WKT,ID\r\n1,\"LINESTRING Z (1 2 3,4 5 6)\",q\r\n2,\"POINT (1 2)\",\r\n";
    assert_eq!(text(lines), lines);
}
