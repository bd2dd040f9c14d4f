//! GET of features: pages, single ones, and what is nearest.

use std::sync::Arc;

use warp::http::{HeaderMap, Response, StatusCode, header};

use super::super::problem::Problem;
use super::super::state::App;
use super::answer::{self, Represented, represent};
use super::etag::Conditions;
use super::query::ListQuery;
use super::{deleted, unknown};
use crate::index::{FeatureIndex, FilterError};
use crate::model::{Feature, State};
use crate::room::IfUnknown;

/// GET `/api/v1/maps/{map}/features[?…]`.
pub async fn list(
    app: Arc<App>,
    segment: String,
    query: String,
) -> Result<warp::reply::Response, Problem> {
    let asked = Arc::new(ListQuery::parse(&query)?);
    let room = app.enter(&segment, IfUnknown::Refuse)?;
    let page = room.features(move |index| page(index, &asked)).await?;
    let (features, matched, next) =
        page.map_err(|error| Problem::bad_request(error.to_string()))?;
    let path = format!("/api/v1/maps/{}/features", room.name().to_path_segment());
    let with = |query: &str| {
        if query.is_empty() {
            path.clone()
        } else {
            format!("{path}?{query}")
        }
    };
    let mut links = vec![answer::link("self", with(&query))];
    if let Some(last) = next {
        links.push(answer::link("next", with(&ListQuery::next(&query, &last))));
    }
    answer::response(
        StatusCode::OK,
        answer::collection(&features, matched, &links),
        None,
    )
}

type Page = (Vec<Represented>, u64, Option<String>);

fn page(index: &FeatureIndex, asked: &ListQuery) -> Result<Page, FilterError> {
    if let Some((lon, lat)) = asked.near {
        let found = index.nearest(&asked.filter, lon, lat, asked.limit)?;
        let features: Vec<Represented> = found
            .into_iter()
            .map(|near| represent(index, near.feature))
            .collect();
        let matched = features.len() as u64;
        return Ok((features, matched, None));
    }
    let page = index.page(&asked.filter, asked.after.as_deref(), asked.limit)?;
    let features = page
        .features
        .into_iter()
        .map(|feature| represent(index, feature))
        .collect();
    Ok((features, page.matched, page.next))
}

/// GET `/api/v1/maps/{map}/features/{fid}`.
pub async fn get(
    app: Arc<App>,
    segment: String,
    fid: String,
    headers: HeaderMap,
) -> Result<warp::reply::Response, Problem> {
    let room = app.enter(&segment, IfUnknown::Refuse)?;
    let present = room.features(move |index| present(index, &fid)).await??;
    let known = Conditions::read(&headers)
        .if_none_match
        .is_some_and(|tags| tags.has(&present.tag));
    if known {
        return Response::builder()
            .status(StatusCode::NOT_MODIFIED)
            .header(header::ETAG, present.tag.to_header())
            .body(Vec::new().into())
            .map_err(|error| Problem::unavailable(error.to_string()));
    }
    answer::one(StatusCode::OK, &present)
}

/// The feature as it is now.
///
/// # Errors
/// Where there is none, or it was deleted.
pub fn present(index: &FeatureIndex, fid: &str) -> Result<Represented, Problem> {
    showing(index, fid).map(|feature| represent(index, feature))
}

/// The same, unwritten.
pub fn showing(index: &FeatureIndex, fid: &str) -> Result<Feature, Problem> {
    match index.view().feature(fid) {
        Some(feature) => Ok(feature),
        None if index.view().state(fid) == Some(State::Deleted) => Err(deleted(fid)),
        None => Err(unknown(fid)),
    }
}
