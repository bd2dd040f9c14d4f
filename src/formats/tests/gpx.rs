//! GPX as receivers and programs write it.

use serde_json::{Value, json};
use yrs::Doc;

use super::{ExportFilter, Format, exported, import, read};

const TRACK: &str = r#"<?xml version="1.0"?>
<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1" xmlns:gpxx="http://www.garmin.com/x">
  <metadata><name>not a feature</name><time>2026-01-01T00:00:00Z</time></metadata>
  <wpt lat="47.25" lon="8.5"><ele>408.5</ele><time>2026-05-01T06:00:00Z</time><name>Hut &amp; spring</name>
    <link href="https://example.org/a?b=1&amp;c=2"><text>More</text></link><sym>Flag</sym><sat>7</sat>
    <extensions><gpxx:Waypoint><gpxx:Mode>big</gpxx:Mode></gpxx:Waypoint></extensions></wpt>
  <rte><name>There</name><number>3</number><rtept lat="1" lon="2"/><rtept lat="3" lon="4"><name>turn</name></rtept></rte>
  <trk><name>Back</name>
    <trkseg><trkpt lat="1" lon="2"><ele>1.5</ele><time>2026-05-01T06:00:00Z</time></trkpt>
      <trkpt lat="1.1" lon="2"><ele>2.5</ele></trkpt></trkseg>
    <trkseg><trkpt lat="5" lon="6"><ele>9</ele></trkpt></trkseg>
    <trkseg><trkpt lat="7" lon="8"><ele>3</ele><time>2026-05-01T06:10:00.5Z</time></trkpt>
      <trkpt lat="7.1" lon="8"><ele>4</ele><time>2026-05-01T06:10:01Z</time></trkpt></trkseg>
  </trk>
</gpx>"#;

fn features(text: &str) -> Vec<Value> {
    read(text.as_bytes(), Format::Gpx)
        .map(|record| {
            let feature = record.unwrap();
            let geometry = feature.geometry().map(crate::geometry::Geometry::to_value);
            json!([geometry, feature.properties()])
        })
        .collect()
}

#[test]
fn waypoints_routes_and_tracks_become_features() {
    assert_eq!(
        features(TRACK),
        [
            json!([{"type": "Point", "coordinates": [8.5, 47.25, 408.5]}, {
                "gpxx_Mode": "big", "link1_href": "https://example.org/a?b=1&c=2", "link1_text": "More",
                "name": "Hut & spring", "sat": 7, "sym": "Flag", "time": "2026-05-01T06:00:00Z"}]),
            json!([{"type": "LineString", "coordinates": [[2, 1], [4, 3]]}, {"name": "There", "number": 3}]),
            json!([{"type": "MultiLineString", "coordinates": [[[2, 1, 1.5], [2, 1.1, 2.5]], [[8, 7, 3], [8, 7.1, 4]]]}, {
                "name": "Back",
                "times": [["2026-05-01T06:00:00Z", null], ["2026-05-01T06:10:00.5Z", "2026-05-01T06:10:01Z"]]}]),
        ]
    );
}

#[test]
fn lines_of_one_point_are_left_out_and_noted() {
    let mut reading = read(TRACK.as_bytes(), Format::Gpx);
    assert_eq!(reading.by_ref().filter(Result::is_ok).count(), 3);
    let notes: Vec<_> = reading
        .notes()
        .iter()
        .map(|(note, count)| (note.code(), count))
        .collect();
    assert_eq!(notes, [("short-line", 1)]);
}

#[test]
fn what_was_read_is_written_the_same_and_read_again() {
    let doc = Doc::with_client_id(1);
    import(
        &doc,
        read(TRACK.as_bytes(), Format::Gpx).map(Result::unwrap),
        None,
    );
    let out = exported(&doc, Format::Gpx, &ExportFilter::default());
    let ordered = |mut features: Vec<Value>| {
        features.sort_by_key(Value::to_string);
        features
    };
    assert_eq!(ordered(features(&out)), ordered(features(TRACK)));
    assert!(
        out.contains(
            "<trkpt lat=\"7.1\" lon=\"8\"><ele>4</ele><time>2026-05-01T06:10:01Z</time></trkpt>"
        ),
        "{out}"
    );
}

#[test]
fn wrong_points_cost_their_record_and_wrong_xml_the_rest() {
    let wrap = |inside: &str| format!("<gpx>\n{inside}</gpx>");
    let results = |text: &str| -> Vec<Result<(), String>> {
        read(text.as_bytes(), Format::Gpx)
            .map(|record| record.map(|_| ()).map_err(|error| error.to_string()))
            .collect()
    };
    let wrong = results(&wrap(
        "<wpt lat=\"1\" lon=\"2\"/>\n<wpt lat=\"95\" lon=\"2\"/>\n<wpt lat=\"1\"/>\n<trk><trkseg><trkpt lat=\"a\" lon=\"1\"/></trkseg></trk>\n<wpt lat=\"1\" lon=\"3\"><ele>high</ele></wpt>\n<wpt lat=\"1\" lon=\"4\"/>\n",
    ));
    assert_eq!(
        wrong,
        [
            Ok(()),
            Err("record 2 (line 3): coordinates: the latitude 95 is outside -90 to 90".to_owned()),
            Err("record 3 (line 4): the element \"wpt\" has no attribute \"lon\"".to_owned()),
            Err("record 4 (line 5): \"lat\" is \"a\", which is no number".to_owned()),
            Err("record 5 (line 6): \"ele\" is \"high\", which is no number".to_owned()),
            Ok(()),
        ]
    );
    let cut = results("<gpx><wpt lat=\"1\" lon=\"2\"/><wpt lat=\"1\"");
    assert!(cut[0].is_ok() && cut.len() == 2, "{cut:?}");
    assert!(
        results("<kml/>")[0]
            .as_ref()
            .unwrap_err()
            .contains("this is no GPX")
    );
    assert_eq!(results(""), [Err("the file is empty".to_owned())]);
    assert_eq!(results("<gpx/>"), []);
}
