//! Whatever a format can hold comes back from it: random features, out and in again.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use yrs::Doc;

use super::{ExportFilter, Format, canonical, export, import, read, view};
use crate::model::InputFeature;

/// What a format cannot hold, as `docs/formats.md` says.
#[derive(Clone, Copy, Debug)]
struct Limits {
    format: Format,
    /// Types of geometry that it holds.
    kinds: &'static [&'static str],
    /// Whether features without geometry are kept.
    bare: bool,
    layers: bool,
}

const ALL_KINDS: &[&str] = &[
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "GeometryCollection",
];

const SIMPLE_KINDS: &[&str] = &[
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
];

const LIMITS: [Limits; 8] = [
    Limits {
        format: Format::GeoJson,
        kinds: ALL_KINDS,
        bare: true,
        layers: false,
    },
    Limits {
        format: Format::GeoJsonSeq,
        kinds: ALL_KINDS,
        bare: true,
        layers: false,
    },
    Limits {
        format: Format::Csv,
        kinds: ALL_KINDS,
        bare: true,
        layers: false,
    },
    Limits {
        format: Format::Gpx,
        kinds: &["Point", "LineString", "MultiLineString"],
        bare: false,
        layers: false,
    },
    Limits {
        format: Format::Kml,
        kinds: SIMPLE_KINDS,
        bare: true,
        layers: true,
    },
    Limits {
        format: Format::Kmz,
        kinds: SIMPLE_KINDS,
        bare: true,
        layers: true,
    },
    Limits {
        format: Format::GeoPackage,
        kinds: ALL_KINDS,
        bare: true,
        layers: true,
    },
    Limits {
        format: Format::FlatGeobuf,
        kinds: ALL_KINDS,
        bare: true,
        layers: false,
    },
];

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-8_500_000..8_500_000).prop_map(|n| f64::from(n) / 1e5),
        -85.0..85.0,
        Just(0.0),
        Just(1e-7),
    ]
}

fn position(heights: bool) -> impl Strategy<Value = Value> {
    (number(), number(), -500.0..9000.0).prop_map(move |(x, y, z)| {
        if heights {
            json!([x, y, z])
        } else {
            json!([x, y])
        }
    })
}

/// A ring that is simple, not flat, and runs counter-clockwise for exteriors, clockwise for holes.
fn ring(hole: bool, heights: bool) -> impl Strategy<Value = Value> {
    (number(), number(), 3..8_usize, 0.1..1.0).prop_map(move |(x, y, count, radius)| {
        let corner = |i: usize| {
            let turn = i as f64 / count as f64 * std::f64::consts::TAU;
            let turn = if hole { -turn } else { turn };
            let (x, y) = (x + turn.cos() * radius, y + turn.sin() * radius);
            if heights {
                json!([x, y, turn * 10.0])
            } else {
                json!([x, y])
            }
        };
        Value::Array((0..count).chain([0]).map(corner).collect())
    })
}

fn polygon(heights: bool) -> impl Strategy<Value = Value> {
    (ring(false, heights), prop::option::of(ring(true, heights))).prop_map(|(exterior, hole)| {
        Value::Array([Some(exterior), hole].into_iter().flatten().collect())
    })
}

fn list(item: impl Strategy<Value = Value>, least: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(item, least..5).prop_map(Value::Array)
}

fn shape(kind: &'static str) -> BoxedStrategy<Value> {
    any::<bool>()
        .prop_flat_map(move |z| {
            let coordinates = match kind {
                "Point" => position(z).boxed(),
                "LineString" => list(position(z), 2).boxed(),
                "MultiPoint" => list(position(z), 1).boxed(),
                "MultiLineString" => list(list(position(z), 2), 1).boxed(),
                "Polygon" => polygon(z).boxed(),
                _ => list(polygon(z), 1).boxed(),
            };
            coordinates
                .prop_map(move |coordinates| json!({"type": kind, "coordinates": coordinates}))
        })
        .boxed()
}

fn geometry(kind: &'static str) -> BoxedStrategy<Value> {
    if kind == "GeometryCollection" {
        let members = prop::collection::vec(prop_oneof![shape("Point"), shape("LineString")], 0..3);
        let same_dims = members.prop_map(move |members| {
            let dims = |member: &Value| member.pointer("/coordinates/0/0").is_none();
            let first = members.first().map(dims);
            let members: Vec<Value> = members
                .into_iter()
                .filter(|member| Some(dims(member)) == first)
                .collect();
            json!({"type": kind, "geometries": members})
        });
        return same_dims.boxed();
    }
    shape(kind)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 äöü€,;\"'<>&.\n\t-]{0,12}",
        Just("5".to_owned()),
        Just("true".to_owned()),
        Just("007".to_owned()),
        Just(" spaces ".to_owned()),
        Just("line\r\nline".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::from),
        number().prop_map(Value::from),
        Just(json!([1, "a", {"b": true}])),
        Just(json!({"a": [1.5]})),
        Just(json!(9_007_199_254_740_991_i64)),
    ]
}

/// Names that mean something in one format or another, or are hard to write.
const NAMES: [&str; 22] = [
    "name",
    "Name",
    "NAME",
    "id",
    "ID",
    "fid",
    "geom",
    "lon",
    "lat",
    "z",
    "WKT",
    "geometry",
    "time",
    "type",
    "desc",
    "ele",
    "link1_href",
    "a b",
    "ä",
    "1st",
    "number",
    "description",
];

fn feature(id: usize, kinds: &'static [&'static str], bare: bool) -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(kinds);
    let geometry = kind.prop_flat_map(geometry);
    let geometry = if bare {
        prop::option::weighted(0.9, geometry).boxed()
    } else {
        geometry.prop_map(Some).boxed()
    };
    let properties = prop::collection::btree_map(prop::sample::select(&NAMES[..]), value(), 0..6);
    let id = prop_oneof![
        Just(json!(id)),
        Just(json!(format!("f{id}"))),
        Just(json!(format!("way/{id} ä"))),
        Just(json!(f64::from(u32::try_from(id).unwrap()) + 0.5)),
    ];
    (id, geometry, properties).prop_map(|(id, geometry, properties)| {
        json!({"type": "Feature", "id": id, "geometry": geometry, "properties": properties})
    })
}

fn features(limits: Limits) -> impl Strategy<Value = Vec<Value>> {
    let one = move |id| feature(id, limits.kinds, limits.bare).boxed();
    prop::collection::vec((0..1_usize).prop_map(|_| ()), 0..6)
        .prop_flat_map(move |rows| (0..rows.len()).map(one).collect::<Vec<_>>())
}

fn inputs(features: &[Value], layered: bool) -> Vec<InputFeature> {
    let lines: Vec<String> = features.iter().map(Value::to_string).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let read: Vec<_> = read(lines.join("\n").as_bytes(), Format::GeoJsonSeq)
        .map(Result::unwrap)
        .collect();
    let layers = [None, Some("roads"), Some("Wege & Pfade")];
    read.into_iter()
        .zip(layers.into_iter().cycle())
        .map(|(feature, layer)| feature.in_layer(layer.filter(|_| layered).map(Into::into)))
        .collect()
}

/// Every feature with its layer's title, without nulls in properties.
fn shown(doc: &Doc) -> Vec<Value> {
    let view = view(doc);
    view.features()
        .map(|feature| {
            let properties: Map<String, Value> = feature
                .properties
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            canonical(json!({
                "fid": feature.fid,
                "id": feature.id_value(),
                "layer": view.layer(&feature.layer).map(|layer| layer.title().to_owned()),
                "properties": properties,
                "geometry": feature.geometry.as_ref().map(crate::geometry::Geometry::to_value),
            }))
        })
        .collect()
}

fn written(doc: &Doc, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let report = export(&view(doc), format, &ExportFilter::default(), &mut out).unwrap();
    assert_eq!(
        (report.left_out, report.features),
        (0, view(doc).feature_count() as u64)
    );
    out
}

fn comes_back(limits: Limits, features: &[Value]) {
    let doc = Doc::with_client_id(1);
    import(&doc, inputs(features, limits.layers).into_iter(), None);
    let out = written(&doc, limits.format);
    assert_eq!(out, written(&doc, limits.format), "stable bytes");
    let again = Doc::with_client_id(2);
    let back: Vec<InputFeature> = if features.is_empty() {
        read(&out[..], limits.format)
            .filter_map(Result::ok)
            .collect()
    } else {
        read(&out[..], limits.format)
            .map(|result| {
                result.unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&out)))
            })
            .collect()
    };
    import(&again, back.iter().cloned(), None);
    assert_eq!(
        shown(&again),
        shown(&doc),
        "{}",
        String::from_utf8_lossy(&out)
    );
    // Into the map that it came from it brings nothing new.
    let report = import(&doc, back.into_iter(), None);
    assert_eq!(report.transactions, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_format_can_hold_comes_back_from_it(
        (limits, features) in prop::sample::select(&LIMITS[..])
            .prop_flat_map(|limits| features(limits).prop_map(move |features| (limits, features)))
    ) {
        comes_back(limits, &features);
    }
}

#[test]
fn nothing_at_all_can_be_written_in_every_format() {
    for limits in LIMITS {
        comes_back(limits, &[]);
    }
}
