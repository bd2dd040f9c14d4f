//! A GeoJSON object as it was written: members by name, of whatever kind, and coordinates without allocation per
//! position. Of members given twice the last counts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::geometry::{Coords, Found};

/// An object, or what stands in its place.
pub(in crate::formats) enum Node {
    Object(Box<Object>),
    Odd(Found),
}

/// The members that GeoJSON knows, and the others.
#[derive(Default)]
pub(in crate::formats) struct Object {
    pub(super) r#type: Option<Value>,
    pub(super) id: Option<Value>,
    pub(super) geometry: Option<Node>,
    pub(super) properties: Option<Value>,
    pub(super) coordinates: Option<Coords>,
    pub(super) geometries: Option<Nodes>,
    pub(super) crs: Option<Value>,
    pub(super) others: Map<String, Value>,
}

/// An array of objects, or what stands in its place.
pub(super) enum Nodes {
    List(Vec<Node>),
    Odd(Found),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodesVisitor)
    }
}

struct NodeVisitor;
struct NodesVisitor;

/// The kinds of values that are no object and no array, told by the same methods in both visitors.
macro_rules! odd_scalars {
    ($odd:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($odd(Found::Null))
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($odd(Found::Bool))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($odd(Found::Number))
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($odd(Found::Number))
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($odd(Found::Number))
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($odd(Found::Text))
        }
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    odd_scalars!(Node::Odd);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Odd(Found::Array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut object = Object::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "type" => object.r#type = Some(map.next_value()?),
                "id" => object.id = Some(map.next_value()?),
                "geometry" => object.geometry = Some(map.next_value()?),
                "properties" => object.properties = Some(map.next_value()?),
                "coordinates" => object.coordinates = Some(map.next_value()?),
                "geometries" => object.geometries = Some(map.next_value()?),
                "crs" => object.crs = Some(map.next_value()?),
                _ => drop(object.others.insert(name, map.next_value()?)),
            }
        }
        Ok(Node::Object(Box::new(object)))
    }
}

impl<'de> Visitor<'de> for NodesVisitor {
    type Value = Nodes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    odd_scalars!(Nodes::Odd);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nodes, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Nodes::Odd(Found::Object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nodes, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Nodes::List(nodes))
    }
}
