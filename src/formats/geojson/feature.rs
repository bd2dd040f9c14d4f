//! From an object as it was written to a feature's content, or to what is wrong with it.

use serde_json::{Map, Value};

use super::raw::{Node, Nodes, Object};
use crate::formats::crs::{Crs, FileCrs};
use crate::formats::error::Fault;
use crate::formats::notes::NoteSet;
use crate::formats::shape::{COLLECTION, Raw, settle_rings};
use crate::formats::source::Cut;
use crate::geometry::{Coords, Found, Geometry, INTEGER_MAX, Kind};
use crate::model::{Content, SourceId};

/// Longest piece of a file that an error quotes.
const QUOTE_CHARS: usize = 80;

/// A feature's content with notes, or its id as far as known and what is wrong.
type Outcome = Result<(Content, NoteSet), (Option<String>, Fault)>;

/// The content of one record: a feature, or a bare geometry as a feature without properties.
pub(in crate::formats) fn from_cut(cut: &Cut, crs: &FileCrs) -> Outcome {
    let fault = |fault| Err((None, fault));
    if cut.too_long {
        return fault(Fault::TooLong);
    }
    if cut.too_deep {
        return fault(Fault::TooDeep);
    }
    match serde_json::from_slice(&cut.bytes) {
        Ok(node) => from_node(node, crs),
        Err(error) => fault(number_or_syntax(&error, cut)),
    }
}

/// As [`from_cut`], after parsing.
fn from_node(node: Node, crs: &FileCrs) -> Outcome {
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
        "Feature" => feature(*object, crs),
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
            let mut notes = NoteSet::default();
            let geometry = geometry(*object, crs, &mut notes).map_err(|fault| (None, fault))?;
            let content = Content {
                geometry: Some(geometry),
                ..Content::default()
            };
            Ok((content, notes))
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

const FEATURE: &str = "the feature";
const GEOMETRY: &str = "the geometry";

fn feature(object: Object, crs: &FileCrs) -> Outcome {
    let Object {
        id,
        geometry: shape,
        properties,
        crs: own,
        mut others,
        ..
    } = object;
    let id = id_of(id).map_err(|fault| (None, fault))?;
    let known = id.as_ref().map(ToString::to_string);
    let fault = |fault| (known.clone(), fault);
    let own = own_crs(own.as_ref(), crs.fixed).map_err(fault)?;
    let own = own.map(|own| FileCrs {
        crs: own,
        fixed: false,
        rings: crs.rings,
    });
    let crs = own.as_ref().unwrap_or(crs);
    let mut notes = NoteSet::default();
    let shape = match shape {
        None | Some(Node::Odd(Found::Null)) => None,
        Some(Node::Object(object)) => Some(geometry(*object, crs, &mut notes).map_err(fault)?),
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
    let content = Content {
        id,
        geometry: shape,
        properties,
        members: others,
    };
    Ok((content, notes))
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
fn geometry(object: Object, crs: &FileCrs, notes: &mut NoteSet) -> Result<Geometry, Fault> {
    let own = own_crs(object.crs.as_ref(), crs.fixed)?;
    let raw = raw(object)?;
    settle_rings(raw, own.as_ref().unwrap_or(&crs.crs), crs.rings, notes)
}

fn raw(object: Object) -> Result<Raw, Fault> {
    let Object {
        r#type,
        coordinates,
        geometries,
        ..
    } = object;
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
    match coordinates {
        None => Err(Fault::MissingMember {
            object: GEOMETRY,
            member: "coordinates",
        }),
        Some(Coords::Odd(found)) if found != Found::MixedPosition => {
            Err(wrong(GEOMETRY, "coordinates", found, "an array"))
        }
        Some(coords) => Ok(Raw::Simple(kind, coords)),
    }
}

fn collection(geometries: Option<Nodes>) -> Result<Raw, Fault> {
    let odd = |found| wrong(GEOMETRY, "geometries", found, "an array of geometries");
    match geometries {
        None => Err(Fault::MissingMember {
            object: GEOMETRY,
            member: "geometries",
        }),
        Some(Nodes::Odd(found)) => Err(odd(found)),
        Some(Nodes::List(nodes)) => {
            let members = nodes.into_iter().map(|node| match node {
                Node::Object(object) => raw(*object),
                Node::Odd(found) => Err(odd(found)),
            });
            members.collect::<Result<_, _>>().map(Raw::Collection)
        }
    }
}

/// The reference system that a member `crs` of GeoJSON of 2008 names; none where it is absent or null, or does not
/// matter because somebody said another one.
pub(super) fn own_crs(crs: Option<&Value>, fixed: bool) -> Result<Option<Crs>, Fault> {
    let Some(crs) = crs.filter(|crs| !crs.is_null() && !fixed) else {
        return Ok(None);
    };
    // Before 2008 some writers gave the code as a number.
    let code = crs
        .pointer("/properties/code")
        .filter(|_| crs.get("type").and_then(Value::as_str) == Some("EPSG"))
        .map(|code| format!("EPSG:{code}"));
    let name = crs
        .pointer("/properties/name")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or(code)
        .unwrap_or_else(|| crs.to_string());
    Ok(Some(name.parse()?))
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
