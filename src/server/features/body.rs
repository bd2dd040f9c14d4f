//! Features in request bodies: read by the same reader as files, so that the same faults get the same words.

use serde_json::{Map, Value};
use warp::http::{HeaderMap, StatusCode, header};

use super::super::problem::Problem;
use super::super::upload;
use crate::formats::{Fault, Format, ReadOptions, RecordError, Rings, read_with};
use crate::geometry::Geometry;
use crate::model::InputFeature;

/// Media types of a feature or a collection.
pub const GEOJSON_MEDIA_TYPE: &str = "application/geo+json";
/// Media type of a patch (RFC 7396).
pub const PATCH_MEDIA_TYPE: &str = "application/merge-patch+json";
/// The foreign member of a feature that holds what GeoJSON has no place for.
pub const OWN_MEMBER: &str = "mapweave";
/// Features in one body at most; imports take more.
pub const FEATURES_MAX: usize = 10_000;

/// What some programs write before UTF-8; the reader passes over it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One feature of a body.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Id, geometry, properties and foreign members, without [`OWN_MEMBER`].
    pub feature: InputFeature,
    /// The layer that the body names: `mapweave.layer`.
    pub layer: Option<String>,
}

/// What a body holds.
#[derive(Debug)]
pub enum Body {
    /// One feature.
    One(Box<Sent>),
    /// A collection, feature by feature, each read or with what is wrong with it.
    Collection(Vec<Result<Sent, RecordError>>),
}

/// As [`upload::require`], of the headers.
///
/// # Errors
/// Where the body is of another media type or says none.
pub fn require(headers: &HeaderMap, expected: &'static str) -> Result<(), Problem> {
    let said = headers.get(header::CONTENT_TYPE);
    upload::require(said.and_then(|value| value.to_str().ok()), expected)
}

/// Reads a feature or a collection.
///
/// # Errors
/// Where the body as a whole is neither, or is one feature that cannot be read.
pub fn features(bytes: &[u8]) -> Result<Body, Problem> {
    let is_collection = is_collection(bytes);
    let mut records = Vec::new();
    for record in read_with(bytes, Format::GeoJson, &as_given()) {
        if records.len() == FEATURES_MAX {
            let detail = format!(
                "a request takes up to {FEATURES_MAX} features: send several, or `mapweave import` the file"
            );
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-many-features",
                "Too many features at once",
                detail,
            ));
        }
        match record {
            Err(error) if error.fatal || !is_collection => return Err(unreadable(&error)),
            Err(error) => records.push(Err(error)),
            Ok(feature) => records.push(Ok(own_member(feature)?)),
        }
    }
    // What the reader took for a collection is one, whatever else its outermost object says.
    if is_collection || records.len() > 1 {
        return Ok(Body::Collection(records));
    }
    match records.into_iter().next() {
        Some(Ok(sent)) => Ok(Body::One(Box::new(sent))),
        Some(Err(error)) => Err(unreadable(&error)),
        None => Err(Problem::bad_request(
            "the body is empty: send a GeoJSON feature",
        )),
    }
}

/// Reads one feature.
///
/// # Errors
/// Where it is none.
pub fn feature(bytes: &[u8]) -> Result<Sent, Problem> {
    match features(bytes)? {
        Body::One(sent) => Ok(*sent),
        Body::Collection(_) => Err(Problem::bad_request(
            "send one GeoJSON feature here, not a collection",
        )),
    }
}

/// Reads a bare geometry.
///
/// # Errors
/// What is wrong with it.
pub fn geometry(bytes: &[u8]) -> Result<Geometry, String> {
    let first = read_with(bytes, Format::GeoJson, &as_given()).next();
    let feature = first
        .ok_or("it is empty")?
        .map_err(|error| error.to_string())?;
    feature
        .geometry()
        .cloned()
        .ok_or_else(|| "it has no positions".to_owned())
}

/// A merge patch of a feature: an object.
///
/// # Errors
/// Where it is no JSON object.
pub fn patch(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(patch)) => Ok(patch),
        Ok(_) => Err(Problem::bad_request(
            "a merge patch of a feature is an object (RFC 7396)",
        )),
        Err(error) => Err(Problem::bad_request(format!(
            "the body is no JSON: {error}"
        ))),
    }
}

/// What is wrong with a feature, as an answer.
#[must_use]
pub fn unreadable(error: &RecordError) -> Problem {
    let status = match error.fault {
        Fault::Syntax { .. }
        | Fault::Truncated { .. }
        | Fault::Encoding
        | Fault::Empty
        | Fault::Trailing => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let detail = format!("{error}; {}", error.hint());
    Problem::new(
        status,
        "bad-feature",
        "The feature cannot be read; nothing was changed",
        detail,
    )
}

/// Takes [`OWN_MEMBER`] out of the foreign members and reads what may be set through it.
fn own_member(feature: InputFeature) -> Result<Sent, Problem> {
    let (feature, own) = feature.without_member(OWN_MEMBER);
    let layer = match own.as_ref().and_then(|own| own.get("layer")) {
        None => None,
        Some(Value::String(layer)) => Some(layer.clone()),
        Some(Value::Null) => Some(String::new()),
        Some(_) => {
            return Err(Problem::bad_request(format!(
                "`{OWN_MEMBER}.layer` is the id of a layer, a string"
            )));
        }
    };
    Ok(Sent { feature, layer })
}

/// Whether the outermost object says that it is a collection.
fn is_collection(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    #[derive(serde::Deserialize)]
    struct Outermost {
        r#type: Option<String>,
    }
    serde_json::from_slice::<Outermost>(bytes)
        .is_ok_and(|outermost| outermost.r#type.as_deref() == Some("FeatureCollection"))
}

/// Rings stay as they are sent, so that sending back what was read changes nothing.
fn as_given() -> ReadOptions {
    ReadOptions {
        rings: Rings::AsGiven,
        ..ReadOptions::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_feature_a_bare_geometry_and_a_collection_are_told_apart() {
        let one =
            features(br#"{"type":"Feature","id":7,"geometry":null,"properties":null}"#).unwrap();
        assert!(matches!(one, Body::One(sent) if sent.feature.fid().as_str() == "7"));
        let bare = features(br#"{"type":"Point","coordinates":[1,2]}"#).unwrap();
        assert!(matches!(bare, Body::One(sent) if sent.feature.id().is_none()));
        let many = features(br#"{"type":"FeatureCollection","features":[]}"#).unwrap();
        assert!(matches!(many, Body::Collection(records) if records.is_empty()));
    }

    #[test]
    fn no_feature_of_a_collection_is_passed_over_whatever_stands_before_it() {
        let collection = r#"{"type":"FeatureCollection","features":[{"type":"Point","coordinates":[1,2]},{"type":"Point","coordinates":[3,4]}]}"#;
        let twice = collection.replacen('{', r#"{"type":"FeatureCollection","#, 1);
        let deep = format!(r#"{{"x":{}{},"#, "[".repeat(200), "]".repeat(200));
        let deep = collection.replacen('{', &deep, 1);
        for body in [format!("\u{FEFF}{collection}"), twice, deep] {
            match features(body.as_bytes()) {
                Ok(Body::Collection(records)) => assert_eq!(records.len(), 2),
                Ok(Body::One(_)) => panic!("one of two: {body}"),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn a_bad_feature_of_a_collection_leaves_the_others_readable() {
        let body = br#"{"type":"FeatureCollection","features":[{"type":"Point","coordinates":[1,2]},{"type":"Point","coordinates":["a"]}]}"#;
        let Body::Collection(records) = features(body).unwrap() else {
            panic!("a collection")
        };
        assert!(records[0].is_ok() && records[1].is_err());
        assert!(features(br#"{"type":"Point","coordinates":["a"]}"#).is_err());
        assert!(features(b"").is_err() && features(b"[1").is_err());
    }

    #[test]
    fn the_layer_comes_in_the_servers_own_member_which_is_not_stored() {
        let body = br#"{"type":"Feature","geometry":null,"properties":{},"mapweave":{"layer":"roads","state":"live"},"note":"kept"}"#;
        let sent = feature(body).unwrap();
        assert_eq!(sent.layer.as_deref(), Some("roads"));
        assert_eq!(sent.feature.members().keys().collect::<Vec<_>>(), ["note"]);
        assert!(
            feature(
                br#"{"type":"Feature","geometry":null,"properties":{},"mapweave":{"layer":7}}"#
            )
            .is_err()
        );
    }
}
