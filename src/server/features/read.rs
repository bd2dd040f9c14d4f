//! GET of features: pages, single ones, and what is nearest.

use std::sync::Arc;

use warp::http::{HeaderMap, Response, StatusCode, header};

use super::super::entrance::{Caller, Entered, without_token};
use super::super::problem::Problem;
use super::super::state::App;
use super::answer::{self, Represented, represent};
use super::etag::Conditions;
use super::query::ListQuery;
use super::{deleted, unknown};
use crate::auth::Role;
use crate::index::{FeatureIndex, FilterError};
use crate::model::{Feature, State};
use crate::room::IfUnknown;

/// GET `/api/v1/maps/{map}/features[?…]`.
pub async fn list(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    query: String,
) -> Result<warp::reply::Response, Problem> {
    let asked = Arc::new(ListQuery::parse(&query)?);
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Viewer);
    let Entered { room, .. } = entered.await?;
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
    let mut links = vec![answer::link("self", with(&without_token(&query)))];
    if let Some(last) = next {
        links.push(answer::link("next", with(&ListQuery::next(&query, &last))));
    }
    answer::response(
        StatusCode::OK,
        answer::collection(&features, matched, &links),
        None,
    )
}

/// A page ends early where its features come to so many bytes together.
const PAGE_BYTES_MAX: usize = 32 << 20;

type Page = (Vec<Represented>, u64, Option<String>);

fn page(index: &FeatureIndex, asked: &ListQuery) -> Result<Page, FilterError> {
    if let Some((lon, lat)) = asked.near {
        let found = index.nearest(&asked.filter, lon, lat, asked.limit)?;
        let found = found.into_iter().map(|near| near.feature);
        let (features, _) = represented(index, found, PAGE_BYTES_MAX);
        let matched = features.len() as u64;
        return Ok((features, matched, None));
    }
    let page = index.page(&asked.filter, asked.after.as_deref(), asked.limit)?;
    let (features, last) = represented(index, page.features.into_iter(), PAGE_BYTES_MAX);
    Ok((features, page.matched, last.or(page.next)))
}

/// The first features, at least one, that come to `bytes_max` together, and the last of them if others follow.
fn represented(
    index: &FeatureIndex,
    features: impl Iterator<Item = Feature>,
    bytes_max: usize,
) -> (Vec<Represented>, Option<String>) {
    let mut features = features.peekable();
    let (mut page, mut bytes) = (Vec::new(), 0_usize);
    while let Some(feature) = features.next() {
        let fid = feature.fid.clone();
        let represented = represent(index, feature);
        bytes = bytes.saturating_add(represented.json.len());
        page.push(represented);
        if bytes >= bytes_max {
            return (page, features.peek().map(|_| fid));
        }
    }
    (page, None)
}

/// GET `/api/v1/maps/{map}/features/{fid}`.
pub async fn get(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    fid: String,
    headers: HeaderMap,
) -> Result<warp::reply::Response, Problem> {
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Viewer);
    let Entered { room, .. } = entered.await?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave_proto::Seq;
    use yrs::{Any, Doc, Map, Transact, WriteTxn};

    use super::*;
    use crate::model::MapView;

    #[test]
    fn a_page_of_large_features_ends_early_and_says_where_it_goes_on() {
        let doc = Doc::with_client_id(1);
        let mut txn = doc.transact_mut();
        let feats = txn.get_or_insert_map("feat");
        for fid in ["a", "b", "c"] {
            let props = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
            let record = vec![
                Any::from(1.0),
                "annAnn".into(),
                Any::from(0.0),
                Any::Null,
                props.as_str().into(),
                "".into(),
            ];
            feats.insert(&mut txn, fid, Any::from(record));
        }
        drop(txn);
        let index = FeatureIndex::new(MapView::new(&doc.transact()), Seq(1));
        let page = |bytes_max| {
            let (page, last) = represented(&index, index.view().features(), bytes_max);
            (page.len(), last)
        };
        assert_eq!(page(1), (1, Some("a".to_owned())));
        assert_eq!(page(2_000), (2, Some("b".to_owned())));
        assert_eq!(page(3_000), (3, None));
        assert_eq!(page(1 << 20), (3, None));
    }
}
