//! From an object as it was written to a feature's content, or to what is wrong with it.

use serde_json::{Map, Value, json};

use super::raw::{Node, Nodes, Object};
use crate::formats::error::Fault;
use crate::formats::source::Cut;
use crate::geometry::{Coords, Found, Geometry, INTEGER_MAX, Kind, Shape, ShapeFault};
use crate::model::{Content, NESTING_MAX, SourceId, canonical, nests_within};

/// Longest piece of a file that an error quotes.
const QUOTE_CHARS: usize = 80;

/// A feature's content, or its id as far as known and what is wrong.
type Outcome = Result<Content, (Option<String>, Fault)>;

/// The content of one record: a feature, or a bare geometry as a feature without properties.
pub(in crate::formats) fn from_cut(cut: &Cut) -> Outcome {
    let fault = |fault| Err((None, fault));
    if cut.too_long {
        return fault(Fault::TooLong);
    }
    if cut.too_deep {
        return fault(Fault::TooDeep);
    }
    match serde_json::from_slice(&cut.bytes) {
        Ok(node) => from_node(node),
        Err(error) => fault(number_or_syntax(&error, cut)),
    }
}

/// As [`from_cut`], after parsing.
pub(in crate::formats) fn from_node(node: Node) -> Outcome {
    let object = match node {
        Node::Object(object) => object,
        Node::Odd(found) => {
            let found = format!("the record is {found}");
            return Err((
                None,
                Fault::NotGeoJson {
                    found,
                    hint: "a record is a GeoJSON feature, an object",
                },
            ));
        }
    };
    let r#type = match &object.r#type {
        Some(Value::String(r#type)) => r#type.clone(),
        Some(other) => {
            return Err((
                None,
                wrong("the record", "type", Found::of(other), "a string"),
            ));
        }
        None => return Err((None, untyped(&object))),
    };
    match r#type.as_str() {
        "Feature" => feature(*object),
        "FeatureCollection" => Err((
            None,
            Fault::UnknownType {
                object: "a record",
                found: r#type,
                expected: "\"Feature\"; a collection is one file of its own, read it as geojson",
            },
        )),
        "Topology" => Err((None, topology())),
        name if name == COLLECTION || Kind::from_name(name).is_some() => {
            let geometry = geometry(*object).map_err(|fault| (None, fault))?;
            Ok(Content {
                geometry: Some(geometry),
                ..Content::default()
            })
        }
        _ => Err((
            None,
            Fault::UnknownType {
                object: "the record",
                found: quote(&r#type),
                expected: "\"FeatureCollection\", \"Feature\" or a type of geometry",
            },
        )),
    }
}

/// What an object without type may be.
fn untyped(object: &Object) -> Fault {
    if object.others.keys().any(|name| is_esri(name)) {
        return esri();
    }
    if ["arcs", "objects"]
        .iter()
        .any(|name| object.others.contains_key(*name))
    {
        return topology();
    }
    Fault::NotGeoJson {
        found: "the object has no member \"type\"".to_owned(),
        hint: "a GeoJSON object says what it is: {\"type\":\"FeatureCollection\",…}",
    }
}

/// Whether a member of this name tells Esri JSON, which has features too but no type.
pub(super) fn is_esri(name: &str) -> bool {
    [
        "displayFieldName",
        "fieldAliases",
        "geometryType",
        "spatialReference",
    ]
    .contains(&name)
}

/// An Esri JSON file.
pub(super) fn esri() -> Fault {
    Fault::NotGeoJson {
        found: "it looks like Esri JSON".to_owned(),
        hint: "ask the service for `f=geojson`, or convert it with ogr2ogr",
    }
}

/// A `TopoJSON` file.
pub(super) fn topology() -> Fault {
    Fault::NotGeoJson {
        found: "it looks like TopoJSON".to_owned(),
        hint: "convert it: `npx topo2geo NAME=out.geojson < IN`",
    }
}

const COLLECTION: &str = "GeometryCollection";
const FEATURE: &str = "the feature";
const GEOMETRY: &str = "the geometry";

fn feature(object: Object) -> Outcome {
    let Object {
        id,
        geometry: shape,
        properties,
        crs,
        mut others,
        ..
    } = object;
    let id = id_of(id).map_err(|fault| (None, fault))?;
    let known = id.as_ref().map(ToString::to_string);
    let fault = |fault| (known.clone(), fault);
    check_crs(crs.as_ref()).map_err(fault)?;
    let shape = match shape {
        None | Some(Node::Odd(Found::Null)) => None,
        Some(Node::Object(object)) => Some(geometry(*object).map_err(fault)?),
        Some(Node::Odd(found)) => {
            return Err(fault(wrong(
                FEATURE,
                "geometry",
                found,
                "an object or null",
            )));
        }
    };
    let properties = match properties {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(properties)) => properties,
        Some(other) => {
            return Err(fault(wrong(
                FEATURE,
                "properties",
                Found::of(&other),
                "an object or null",
            )));
        }
    };
    // A box is derived from the coordinates and would be wrong after the first edit.
    others.remove("bbox");
    Ok(Content {
        id,
        geometry: shape,
        properties,
        members: others,
    })
}

fn id_of(id: Option<Value>) -> Result<Option<SourceId>, Fault> {
    match id {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => Ok(Some(SourceId::Text(id))),
        Some(Value::Number(number)) => {
            let exact =
                number.is_f64() || number.as_i64().is_some_and(|id| id.abs() <= INTEGER_MAX);
            match number.as_f64().filter(|_| exact) {
                Some(id) => Ok(Some(SourceId::Number(id))),
                None => Err(Fault::RoundedId(number.to_string())),
            }
        }
        Some(other) => Err(wrong(
            FEATURE,
            "id",
            Found::of(&other),
            "a string or a number",
        )),
    }
}

/// The geometry of an object. Collections inside collections are as deep as the parser allows at most.
fn geometry(object: Object) -> Result<Geometry, Fault> {
    let Object {
        r#type,
        coordinates,
        geometries,
        crs,
        ..
    } = object;
    check_crs(crs.as_ref())?;
    let name = match r#type {
        Some(Value::String(name)) => name,
        Some(other) => return Err(wrong(GEOMETRY, "type", Found::of(&other), "a string")),
        None => {
            return Err(Fault::MissingMember {
                object: GEOMETRY,
                member: "type",
            });
        }
    };
    if name == COLLECTION {
        return collection(geometries);
    }
    let Some(kind) = Kind::from_name(&name) else {
        let expected = "Point, MultiPoint, LineString, MultiLineString, Polygon, MultiPolygon or GeometryCollection";
        return Err(Fault::UnknownType {
            object: GEOMETRY,
            found: quote(&name),
            expected,
        });
    };
    let coords = match coordinates {
        None => {
            return Err(Fault::MissingMember {
                object: GEOMETRY,
                member: "coordinates",
            });
        }
        Some(Coords::Odd(found)) if found != Found::MixedPosition => {
            return Err(wrong(GEOMETRY, "coordinates", found, "an array"));
        }
        Some(coords) => coords,
    };
    // An empty geometry is legal (RFC 7946 §3.1) and comes back as it was.
    if coords == Coords::List(Vec::new()) {
        return Ok(Geometry::Other(json!({"type": name, "coordinates": []})));
    }
    match Shape::from_geojson(kind, &coords) {
        Ok(shape) => Ok(Geometry::Shape(shape)),
        Err(ShapeFault::MixedDims) => Ok(Geometry::Other(
            json!({"type": name, "coordinates": coords.to_value()}),
        )),
        Err(fault) => Err(Fault::Geometry(fault)),
    }
}

fn collection(geometries: Option<Nodes>) -> Result<Geometry, Fault> {
    let nodes = match geometries {
        None => {
            return Err(Fault::MissingMember {
                object: GEOMETRY,
                member: "geometries",
            });
        }
        Some(Nodes::Odd(found)) => {
            return Err(wrong(
                GEOMETRY,
                "geometries",
                found,
                "an array of geometries",
            ));
        }
        Some(Nodes::List(nodes)) => nodes,
    };
    let mut members = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node {
            Node::Object(object) => members.push(geometry(*object)?.to_value()),
            Node::Odd(found) => {
                return Err(wrong(
                    GEOMETRY,
                    "geometries",
                    found,
                    "an array of geometries",
                ));
            }
        }
    }
    let value = canonical(json!({"type": COLLECTION, "geometries": members}));
    if nests_within(&value, NESTING_MAX) {
        Ok(Geometry::Other(value))
    } else {
        Err(Fault::TooDeep)
    }
}

/// Accepts the names under which GeoJSON of 2008 and its writers call WGS 84 longitude and latitude.
pub(super) fn check_crs(crs: Option<&Value>) -> Result<(), Fault> {
    let Some(crs) = crs.filter(|crs| !crs.is_null()) else {
        return Ok(());
    };
    let name = crs.pointer("/properties/name").and_then(Value::as_str);
    let simple: String = name.unwrap_or_default().to_ascii_uppercase();
    let last = simple.rsplit([':', '/']).next().unwrap_or_default();
    let authority = simple.contains("EPSG") && matches!(last, "4326" | "4979");
    let ogc = matches!(last, "CRS84" | "CRS84H");
    let word = matches!(simple.as_str(), "WGS84" | "WGS 84");
    if authority || ogc || word {
        return Ok(());
    }
    Err(Fault::Crs {
        found: name.map_or_else(|| quote(&crs.to_string()), quote),
    })
}

/// A parser's error with its place in the file.
pub(in crate::formats) fn number_or_syntax(error: &serde_json::Error, cut: &Cut) -> Fault {
    let line = cut.line + (error.line() as u64).saturating_sub(1);
    let column = error.column() as u64
        + if error.line() <= 1 {
            cut.column.saturating_sub(1)
        } else {
            0
        };
    let text = error.to_string();
    let message = text
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned();
    if message.starts_with("number out of range") {
        return Fault::NumberRange { line, column };
    }
    if message.starts_with("recursion limit") {
        return Fault::TooDeep;
    }
    if message.contains("unicode code point") && std::str::from_utf8(&cut.bytes).is_err() {
        return Fault::Encoding;
    }
    let at = offset(&cut.bytes, error.line(), error.column());
    Fault::Syntax {
        message,
        line,
        column,
        hint: syntax_hint(&cut.bytes, at),
    }
}

/// The offset of a line and column, both from 1.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let starts = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1);
    let start = std::iter::once(0)
        .chain(starts)
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    start.saturating_add(column.saturating_sub(1))
}

/// What the text around a mistake looks like.
fn syntax_hint(bytes: &[u8], at: usize) -> Option<&'static str> {
    let here = bytes.get(at.min(bytes.len())..).unwrap_or_default();
    let before = bytes
        .get(..at.min(bytes.len()))
        .unwrap_or_default()
        .trim_ascii_end();
    // The parser may have taken the first letter of a word that it does not know.
    let word =
        |word: &[u8]| here.starts_with(word) || here.starts_with(word.get(1..).unwrap_or(word));
    if word(b"NaN") || word(b"Infinity") || word(b"-Infinity") {
        Some("JSON has no NaN or infinity; write null, or leave the feature out")
    } else if here.starts_with(b"'") {
        Some("JSON strings take double quotes")
    } else if here.starts_with(b"/") {
        Some("JSON has no comments")
    } else if before.ends_with(b",") && (here.starts_with(b"]") || here.starts_with(b"}")) {
        Some("remove the comma before the closing bracket")
    } else {
        None
    }
}

fn wrong(
    object: &'static str,
    member: &'static str,
    found: Found,
    expected: &'static str,
) -> Fault {
    Fault::WrongMember {
        object,
        member,
        found,
        expected,
    }
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS).collect()
}
