//! Features as answers: GeoJSON with what GeoJSON has no place for under one member of ours.

use serde_json::{Value, json};
use warp::http::{HeaderValue, Response, StatusCode, header};

use super::super::problem::Problem;
use super::body::{GEOJSON_MEDIA_TYPE, OWN_MEMBER};
use super::etag::Tag;
use crate::formats::feature_json;
use crate::index::FeatureIndex;
use crate::model::{Edited, Feature, MapView};
use crate::time::rfc3339_ms;

/// A feature as an answer, and the version that it is.
#[derive(Clone, Debug)]
pub struct Represented {
    /// GeoJSON text.
    pub json: String,
    /// The version.
    pub tag: Tag,
}

/// The feature as the index has it. A function of the document and the place of its last change.
#[must_use]
pub fn represent(index: &FeatureIndex, feature: Feature) -> Represented {
    let seq = index.changed_at(&feature);
    let json = feature_text(index.view(), feature);
    Represented {
        tag: Tag::new(seq, &json),
        json,
    }
}

/// A feature's GeoJSON with [`OWN_MEMBER`]: a function of the document alone.
#[must_use]
pub fn feature_text(view: &MapView, mut feature: Feature) -> String {
    let own = json!({
        "fid": feature.fid,
        "layer": Some(&feature.layer).filter(|layer| !layer.is_empty()),
        "state": feature.state.name(),
        "created": edited(view, &feature.created),
        "changed": edited(view, &feature.changed),
    });
    feature.members.insert(OWN_MEMBER.to_owned(), own);
    feature_json(&feature)
}

/// When and by whom something was written, as far as the document says.
#[must_use]
pub fn edited(view: &MapView, edited: &Edited) -> Value {
    let who = view.who(&edited.sid);
    json!({
        "time": rfc3339_ms(edited.t.saturating_mul(1_000)),
        "session": edited.sid,
        "name": who.map(|who| who.name),
    })
}

/// A page of features.
#[must_use]
pub fn collection(features: &[Represented], matched: u64, links: &[Value]) -> String {
    let mut out = String::from("{\"type\":\"FeatureCollection\",\"features\":[");
    for (place, feature) in features.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&feature.json);
    }
    let links = Value::from(links.to_vec());
    let returned = features.len();
    out.push_str(&format!(
        "],\"numberMatched\":{matched},\"numberReturned\":{returned},\"links\":{links}}}"
    ));
    out
}

/// A link of a page.
#[must_use]
pub fn link(rel: &str, href: String) -> Value {
    json!({ "rel": rel, "href": href, "type": GEOJSON_MEDIA_TYPE })
}

/// One feature as an answer.
///
/// # Errors
/// Never for headers that this module makes.
pub fn one(status: StatusCode, feature: &Represented) -> Result<warp::reply::Response, Problem> {
    response(status, feature.json.clone(), Some(&feature.tag))
}

/// A GeoJSON answer.
///
/// # Errors
/// As [`one`].
pub fn response(
    status: StatusCode,
    body: String,
    tag: Option<&Tag>,
) -> Result<warp::reply::Response, Problem> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, GEOJSON_MEDIA_TYPE)
        .header(header::CACHE_CONTROL, "no-cache");
    if let Some(tag) = tag {
        response = response.header(header::ETAG, tag.to_header());
    }
    response
        .body(body.into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}

/// Adds where a feature lies.
pub fn at(mut response: warp::reply::Response, path: &str) -> warp::reply::Response {
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

/// A JSON answer.
///
/// # Errors
/// As [`one`].
pub fn json(status: StatusCode, body: &Value) -> Result<warp::reply::Response, Problem> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}

/// An answer without a body.
///
/// # Errors
/// As [`one`].
pub fn empty(status: StatusCode) -> Result<warp::reply::Response, Problem> {
    Response::builder()
        .status(status)
        .body(Vec::new().into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}
