//! What people do to a map. One operation is one action of a person, one transaction and one update.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::edit_error::EditError;
use crate::geometry::{Coords, Geometry, Kind, Shape, ShapeFault};

/// An operation, as JSON an object whose `op` is its name in snake case; members that it does not have are refused.
///
/// Positions are longitude, latitude (degrees, WGS 84) and perhaps height (metres). Segments are called `P.S` and
/// vertices by their order keys, as [`KeyedGeometry`](super::KeyedGeometry) and the map document name them. A feature
/// must show (live or contested) to be edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are named as the variants' texts call them"
)]
pub enum Operation {
    /// Makes a feature under a new, random `fid`, in the layer with id `layer`, or in none where that is empty.
    Create {
        fid: String,
        geometry: GeoJson,
        #[serde(default)]
        properties: Map<String, Value>,
        #[serde(default)]
        layer: String,
    },
    /// Moves vertices, or a point. A vertex keeps its height where the new position has none.
    MoveVertices { fid: String, moves: Vec<VertexMove> },
    /// Inserts a vertex between two that follow each other. Only `after`: before the one that follows it, or at the
    /// open end; only `before` likewise; neither: at the end. Yields the new key.
    InsertVertex {
        fid: String,
        segment: String,
        #[serde(default)]
        after: Option<String>,
        #[serde(default)]
        before: Option<String>,
        position: Vec<f64>,
    },
    /// Removes vertices.
    RemoveVertices {
        fid: String,
        vertices: Vec<VertexName>,
    },
    /// Adds a hole or a further piece to a part, or with no `part` a new part. A ring may be given closed or open.
    /// Yields the new segment's name.
    AddSegment {
        fid: String,
        #[serde(default)]
        part: Option<String>,
        coordinates: Vec<Vec<f64>>,
    },
    /// Adds the next points of a track to a line. Yields the new segment's name.
    RecordTrack {
        fid: String,
        coordinates: Vec<Vec<f64>>,
    },
    /// Removes a ring, or a piece of a line.
    RemoveSegment { fid: String, segment: String },
    /// Replaces the whole geometry. Edits of the old one that are still under way will be orphans.
    ReplaceGeometry { fid: String, geometry: GeoJson },
    /// Makes the geometry this one by the fewest edits: vertices that are equal, or equal when rounded to six
    /// decimals, keep their keys. Replaces it where kind or dimensions change, or more than half of it.
    ChangeGeometry { fid: String, geometry: GeoJson },
    /// Sets properties, or with `null` removes them. From Rust, `Some(Value::Null)` stores a null.
    SetProperties {
        fid: String,
        values: BTreeMap<String, Option<Value>>,
    },
    /// Sets `layer` (an id, or empty), `order` (an order key) or `style`, or with `null` removes them.
    SetAttributes {
        fid: String,
        values: BTreeMap<String, Option<Value>>,
    },
    /// Deletes features; those that are deleted stay as they are.
    Delete { fids: Vec<String> },
    /// Restores deleted features, and settles contested deletions that way.
    Restore { fids: Vec<String> },
    /// Gives the first geometry to the feature and the others to new features, with its properties and layer.
    Split {
        fid: String,
        geometries: Vec<GeoJson>,
        fids: Vec<String>,
    },
    /// Gives the geometry to the feature and deletes the others.
    Merge {
        fid: String,
        others: Vec<String>,
        geometry: GeoJson,
    },
    /// Deletes and inserts characters of a property that is edited together; `index` and `delete` count UTF-16 code
    /// units of the text that is typed into: the first by session that is not empty, else the first, else a new one.
    EditText {
        fid: String,
        name: String,
        index: usize,
        delete: usize,
        insert: String,
    },
    /// Writes a note about the map, a feature or a place, perhaps as an answer to another.
    AddNote {
        nid: String,
        body: String,
        #[serde(default)]
        fid: Option<String>,
        #[serde(default)]
        answers: Option<String>,
        #[serde(default)]
        at: Option<Vec<f64>>,
    },
    /// Removes a note.
    RemoveNote { nid: String },
    /// Attaches a file, whose content lies elsewhere.
    AddFile {
        aid: String,
        fid: String,
        name: String,
        media_type: String,
        bytes: u64,
        sha256: String,
    },
    /// Removes an attachment.
    RemoveFile { aid: String },
    /// Sets `name`, `order`, `visible`, `style`, `columns` or `gone` of a layer, or with `null` removes them.
    SetLayer {
        lid: String,
        values: BTreeMap<String, Option<Value>>,
    },
    /// Settles a conflict: sets the target again, with what `sid` wrote. `fid` is a layer's id where `root` is `layer`;
    /// `target` is the generation where it is `geom`.
    Settle {
        fid: String,
        root: String,
        target: String,
        sid: String,
    },
    /// Deletes the entries of a feature that the report calls orphans.
    DismissOrphans { fid: String },
    /// Names the map.
    SetTitle { title: String },
}

/// A vertex and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VertexMove {
    /// `P.S`
    pub segment: String,
    /// The vertex's key.
    pub vertex: String,
    /// Where it goes.
    pub position: Vec<f64>,
}

/// A vertex by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VertexName {
    /// `P.S`
    pub segment: String,
    /// The vertex's key.
    pub vertex: String,
}

/// A geometry that is GeoJSON on the wire, strictly (RFC 7946 §3.1); `null` is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeoJson(pub Option<Geometry>);

impl Operation {
    /// The operation that a JSON value is.
    ///
    /// # Errors
    /// When it is none: with a geometry or position at fault, the error says so.
    pub fn from_value(value: Value) -> Result<Self, EditError> {
        check_places(&value)?;
        serde_json::from_value(value).map_err(|error| EditError::Malformed {
            why: error.to_string(),
        })
    }
}

/// What serde would refuse as well, but without saying which kind of thing is wrong.
fn check_places(value: &Value) -> Result<(), EditError> {
    if let Some(geometry) = value.get("geometry") {
        parse(geometry)?;
    }
    let members = |name: &str| value.get(name).and_then(Value::as_array);
    for geometry in members("geometries").into_iter().flatten() {
        parse(geometry)?;
    }
    let moves = members("moves").into_iter().flatten();
    let moved = moves.filter_map(|step| step.get("position"));
    let listed = members("coordinates").into_iter().flatten();
    let single = ["position", "at"]
        .iter()
        .filter_map(|name| value.get(*name));
    for position in moved.chain(listed).chain(single.filter(|at| !at.is_null())) {
        let numbers = position.as_array();
        if !numbers.is_some_and(|numbers| numbers.iter().all(Value::is_number)) {
            return Err(EditError::position("a position is no array of numbers"));
        }
    }
    Ok(())
}

/// The geometry that GeoJSON describes.
fn parse(value: &Value) -> Result<GeoJson, EditError> {
    match value {
        Value::Null => Ok(GeoJson(None)),
        _ => geometry(value).map(|geometry| GeoJson(Some(geometry))),
    }
}

fn geometry(value: &Value) -> Result<Geometry, EditError> {
    let name = value.get("type").and_then(Value::as_str);
    let name = name.ok_or_else(|| EditError::geometry("it has no type"))?;
    let member = |name: &str| value.get(name);
    if name == "GeometryCollection" {
        let members = member("geometries").and_then(Value::as_array);
        let members = members.ok_or_else(|| EditError::geometry("it has no geometries"))?;
        // Values nest at most as deep as the JSON reader allows.
        let members: Vec<Value> = members
            .iter()
            .map(|value| Ok(geometry(value)?.to_value()))
            .collect::<Result<_, EditError>>()?;
        let value = serde_json::json!({"type": name, "geometries": members});
        return other(value);
    }
    let kind = Kind::from_name(name)
        .ok_or_else(|| EditError::geometry(format!("{name:?} is no type of geometry")))?;
    let coords = member("coordinates").and_then(|coords| Coords::deserialize(coords).ok());
    let coords = coords.ok_or_else(|| EditError::geometry("it has no coordinates"))?;
    if coords == Coords::List(Vec::new()) {
        return other(serde_json::json!({"type": name, "coordinates": []}));
    }
    match Shape::from_geojson(kind, &coords) {
        Ok(shape) => Ok(Geometry::Shape(shape)),
        Err(ShapeFault::MixedDims) => {
            other(serde_json::json!({"type": name, "coordinates": coords.to_value()}))
        }
        Err(fault) => Err(EditError::geometry(fault.to_string())),
    }
}

/// A geometry that no shape can hold, canonical, if it does not nest too deeply.
fn other(value: Value) -> Result<Geometry, EditError> {
    let value = super::json::canonical(value);
    if super::json::nests_within(&value, super::json::NESTING_MAX) {
        Ok(Geometry::Other(value))
    } else {
        Err(EditError::geometry("it nests too deeply"))
    }
}

impl Serialize for GeoJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0
            .as_ref()
            .map(Geometry::to_value)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GeoJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl From<Geometry> for GeoJson {
    fn from(geometry: Geometry) -> Self {
        Self(Some(geometry))
    }
}
