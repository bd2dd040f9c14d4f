//! The addresses of features, in one table.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::super::entrance::{Caller, raw_query};
use super::super::methods;
use super::super::problem::Problem;
use super::super::routes::{answer, asked, first_of, with};
use super::super::state::App;
use super::super::upload::{self, Body};
use super::edit::OfFeature;
use super::{delete, get, list, patch, post, problems, problems_of, put, undelete};

/// What can be done with the list of features.
const LIST_METHODS: &str = "GET, HEAD, POST, OPTIONS";
/// What can be done with one feature, whether it exists or not.
const ITEM_METHODS: &str = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS";

/// Routes below `map`, which yields the map's path segment.
pub fn routes(
    app: &Arc<App>,
    map: impl Filter<Extract = (String,), Error = Rejection> + Clone + Send + Sync + 'static,
) -> BoxedFilter<(warp::reply::Response,)> {
    let list_of = map
        .clone()
        .and(warp::path("features"))
        .and(warp::path::end());
    let item_of = map
        .clone()
        .and(warp::path("features"))
        .and(warp::path::param::<Segment>());
    let item = item_of.clone().and(warp::path::end());
    let problems_at = map.and(warp::path("problems"));
    let lists = list_of
        .clone()
        .and(reading())
        .and(raw_query())
        .and(asked(app))
        .then(|map, query, caller, app| answer(list(app, caller, map, query)))
        .or(list_of.clone().and(methods::post()).and(sent(app)).then(
            |map, sent: Sent, app| async move {
                answer(async move {
                    // It counts until the edit is written, here and below.
                    let body = sent.body?;
                    post(app, sent.caller, map, sent.headers, body.bytes.clone()).await
                })
                .await
            },
        ))
        .unify()
        .or(list_of.and(warp::options()).then(|_| allow(LIST_METHODS)))
        .unify();
    let single = item
        .clone()
        .and(reading())
        .and(warp::header::headers_cloned())
        .and(asked(app))
        .then(|map, fid: Segment, headers, caller, app| {
            answer(get(app, caller, map, fid.0, headers))
        })
        .or(item.clone().and(methods::put()).and(sent(app)).then(
            |map, fid: Segment, sent: Sent, app| async move {
                answer(async move {
                    let body = sent.body?;
                    let of = of(app, map, fid, sent.headers, sent.caller, body.bytes.len());
                    put(of, body.bytes.clone()).await
                })
                .await
            },
        ))
        .unify()
        .or(item.clone().and(methods::patch()).and(sent(app)).then(
            |map, fid: Segment, sent: Sent, app| async move {
                answer(async move {
                    let body = sent.body?;
                    let of = of(app, map, fid, sent.headers, sent.caller, body.bytes.len());
                    patch(of, body.bytes.clone()).await
                })
                .await
            },
        ))
        .unify()
        .or(item
            .clone()
            .and(methods::delete())
            .and(warp::header::headers_cloned())
            .and(asked(app))
            .then(|map, fid: Segment, headers, caller, app| {
                answer(delete(of(app, map, fid, headers, caller, 0)))
            }))
        .unify()
        .or(item
            .and(warp::options())
            .then(|_, _: Segment| allow(ITEM_METHODS)))
        .unify();
    let undeleted = item_of
        .and(warp::path("undelete"))
        .and(warp::path::end())
        .and(methods::post())
        .and(asked(app))
        .then(|map, fid: Segment, caller, app| answer(undelete(app, caller, map, fid.0)));
    let found = problems_at
        .clone()
        .and(warp::path::end())
        .and(reading())
        .and(raw_query())
        .and(asked(app))
        .then(|map, query, caller, app| answer(problems(app, caller, map, query)))
        .or(problems_at
            .and(warp::path::param::<Segment>())
            .and(warp::path::end())
            .and(reading())
            .and(asked(app))
            .then(|map, fid: Segment, caller, app| answer(problems_of(app, caller, map, fid.0))))
        .unify();
    first_of([
        lists.boxed(),
        single.boxed(),
        undeleted.boxed(),
        found.boxed(),
    ])
}

/// A path segment, percent-decoded once.
struct Segment(String);

impl std::str::FromStr for Segment {
    type Err = std::str::Utf8Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8()?;
        Ok(Self(decoded.into_owned()))
    }
}

/// A request with a body, as far as it could be read.
struct Sent {
    headers: HeaderMap,
    body: Result<Body, Problem>,
    caller: Caller,
}

fn sent(
    app: &Arc<App>,
) -> impl Filter<Extract = (Sent, Arc<App>), Error = Rejection> + Clone + use<> {
    upload::sent()
        .and(asked(app))
        .then(|sent: upload::Sent, caller, app: Arc<App>| async move {
            let headers = sent.headers.clone();
            let limit_bytes = app.config.limits.update_bytes_max;
            // Nothing is taken in from those who will be turned away.
            let body = match app.greet(&caller) {
                Ok(()) => sent.collect(&app, limit_bytes).await,
                Err(problem) => Err(problem),
            };
            Sent {
                headers,
                body,
                caller,
            }
        })
        .and(with(app))
}

fn reading() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    methods::get_or_head()
}

fn of(
    app: Arc<App>,
    segment: String,
    fid: Segment,
    headers: HeaderMap,
    caller: Caller,
    bytes: usize,
) -> OfFeature {
    let fid = fid.0;
    OfFeature {
        app,
        segment,
        fid,
        headers,
        caller,
        bytes: bytes as u64,
    }
}

async fn allow(methods: &'static str) -> Response {
    let mut response = StatusCode::OK.into_response();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}
