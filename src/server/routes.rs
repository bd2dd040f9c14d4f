//! All addresses of the server, in one table.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use mapweave_storage::Protocol;
use warp::filters::BoxedFilter;
use warp::hyper::upgrade::OnUpgrade;
use warp::path::{Peek, Tail};
use warp::{Filter, Rejection, Reply};

use super::document::{self, StateQuery};
use super::entrance::caller;
use super::events::events;
use super::import::{self, ImportQuery};
use super::methods::{self, WrongMethod};
use super::problem::Problem;
use super::state::App;
use super::{hocuspocus, maps, page, relay, share, socket, status, ysweet};

pub(super) type Answer = Result<warp::reply::Response, Infallible>;

/// The server's routes. Every request gets an answer; errors are `application/problem+json`.
pub fn routes(
    app: &Arc<App>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible> + Clone + use<> {
    sockets(app)
        .or(ysweet::routes(app))
        .unify()
        .or(api(app))
        .unify()
        .or(plain(app))
        .unify()
        .recover(unanswered)
}

fn sockets(app: &Arc<App>) -> BoxedFilter<(warp::reply::Response,)> {
    let many = warp::path("hocuspocus")
        .and(warp::path::end())
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(caller())
        .and(with(app))
        .map(|method, headers, on_upgrade, caller, app: Arc<App>| {
            reply(hocuspocus::upgrade(
                &app, caller, &method, &headers, on_upgrade,
            ))
        });
    let one = warp::path("ws")
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(caller())
        .and(with(app))
        .then(
            |tail: Tail, method, headers, on_upgrade, caller, app| async move {
                let at = (tail.as_str(), Protocol::YWebsocket);
                let upgraded = socket::upgrade(app, caller, at, &method, &headers, on_upgrade);
                reply(upgraded.await)
            },
        );
    let relays = warp::path("sync")
        .and(warp::path::end())
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(caller())
        .and(with(app))
        .then(|method, headers, on_upgrade, caller, app| async move {
            reply(relay::upgrade(app, caller, &method, &headers, on_upgrade).await)
        });
    one.boxed()
        .or(many.boxed())
        .unify()
        .boxed()
        .or(relays.boxed())
        .unify()
        .boxed()
}

fn api(app: &Arc<App>) -> BoxedFilter<(warp::reply::Response,)> {
    let v1 = || warp::path("api").and(warp::path("v1"));
    let maps = || v1().and(warp::path("maps"));
    let map = || maps().and(warp::path::param::<String>());
    let end = warp::path::end;
    let list = maps()
        .and(end())
        .and(methods::get())
        .and(caller())
        .and(with(app))
        .then(|caller, app| answer(maps::list(app, caller)));
    let create = maps()
        .and(end())
        .and(methods::post())
        .and(with(app))
        .and(warp::header::optional("content-type"))
        .and(warp::body::stream())
        .and(caller())
        .then(|app, media_type, body, caller| answer(maps::create(app, caller, media_type, body)));
    let describe = map()
        .and(end())
        .and(methods::get())
        .and(caller())
        .and(with(app))
        .then(|map, caller, app| answer(maps::describe(app, caller, map)));
    let delete = map()
        .and(end())
        .and(methods::delete())
        .and(caller())
        .and(with(app))
        .then(|map, caller, app| answer(maps::delete(app, caller, map)));
    let undelete = map()
        .and(warp::path("undelete"))
        .and(end())
        .and(methods::post())
        .and(caller())
        .and(with(app))
        .then(|map, caller, app| answer(maps::undelete(app, caller, map)));
    let compact = map()
        .and(warp::path("compact"))
        .and(end())
        .and(methods::post())
        .and(caller())
        .and(with(app))
        .then(|map, caller, app| answer(maps::compact(app, caller, map)));
    let verify = v1()
        .and(warp::path("verify"))
        .and(end())
        .and(methods::get())
        .and(warp::query())
        .and(caller())
        .and(with(app))
        .then(|query, caller, app| answer(super::verify::verify(app, caller, query)));
    let read = map()
        .and(warp::path("state"))
        .and(end())
        .and(methods::get_or_head())
        .and(warp::query::<StateQuery>())
        .and(warp::header::headers_cloned())
        .and(caller())
        .and(with(app))
        .then(|map, query, headers, caller, app| {
            answer(document::read(app, caller, map, query, headers))
        });
    let write = map()
        .and(warp::path("state"))
        .and(end())
        .and(methods::post())
        .and(warp::header::optional("content-type"))
        .and(warp::header::optional("content-length"))
        .and(warp::body::stream())
        .and(caller())
        .and(with(app))
        .then(|map, media_type, length, body, caller, app| {
            answer(document::write(
                app,
                caller,
                map,
                (media_type, length),
                body,
            ))
        });
    let import = map()
        .and(warp::path("import"))
        .and(end())
        .and(methods::post())
        .and(warp::query::<ImportQuery>())
        .and(warp::header::optional("content-type"))
        .and(warp::body::stream())
        .and(caller())
        .and(with(app))
        .then(|map, query, media_type, body, caller, app| {
            answer(import::import(app, caller, map, query, media_type, body))
        });
    let listen = map()
        .and(warp::path("events"))
        .and(end())
        .and(methods::get())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::optional("accept"))
        .and(warp::header::optional("last-event-id"))
        .and(caller())
        .and(with(app))
        .then(|map, query, accept, id, caller, app| {
            answer(events(app, caller, map, query, (accept, id)))
        });
    let upstream = v1()
        .and(warp::path("upstream"))
        .and(end())
        .and(methods::get())
        .and(caller())
        .and(with(app))
        .then(|caller, app| answer(relay::status(app, caller)));
    let of_all = list
        .boxed()
        .or(create.boxed())
        .unify()
        .boxed()
        .or(verify.boxed())
        .unify()
        .boxed()
        .or(upstream.boxed())
        .unify()
        .boxed();
    let of_one = describe.boxed().or(delete.boxed()).unify().boxed();
    let of_one = of_one
        .or(undelete.boxed())
        .unify()
        .boxed()
        .or(compact.boxed())
        .unify()
        .boxed();
    let state = read.boxed().or(write.boxed()).unify().boxed();
    let state = state.or(listen.boxed()).unify().boxed();
    let people = super::people::routes(app, map());
    let state = state.or(import.boxed()).unify().boxed();
    let features = super::features::routes(app, map());
    let features = super::quarantine::routes(app, map())
        .or(features)
        .unify()
        .boxed();
    let rights = share::routes(app, v1().boxed(), map().boxed());
    of_all
        .or(of_one)
        .unify()
        .boxed()
        .or(state)
        .unify()
        .map(settled)
        .boxed()
        .or(people)
        .unify()
        .boxed()
        .or(features)
        .unify()
        .boxed()
        .or(rights)
        .unify()
        .boxed()
}

fn plain(app: &Arc<App>) -> BoxedFilter<(warp::reply::Response,)> {
    let end = warp::path::end;
    let tag = || warp::header::optional::<String>("if-none-match");
    let healthz = warp::path("healthz")
        .and(end())
        .map(|| status::healthz().into_response());
    let readyz = warp::path("readyz")
        .and(end())
        .and(with(app))
        .map(|app| status::readyz(&app).into_response());
    let metrics = warp::path("metrics")
        .and(end())
        .and(caller())
        .and(with(app))
        .then(|caller, app| answer(status::metrics(app, caller)))
        .map(settled);
    let root = end()
        .and(tag())
        .map(|tag: Option<String>| reply(page::index(tag.as_deref())));
    let map = warp::path("m")
        .and(warp::path::tail())
        .and(tag())
        .map(|_: Tail, tag: Option<String>| reply(page::index(tag.as_deref())));
    let file = warp::path::tail()
        .and(tag())
        .map(|path: Tail, tag: Option<String>| reply(page::asset(path.as_str(), tag.as_deref())));
    let authority = warp::path(".well-known")
        .and(warp::path("mapweave-ca.crt"))
        .and(end())
        .and(with(app))
        .map(|app| reply(status::authority(&app)));
    let pages = root.or(map).unify().or(file).unify();
    let all = healthz
        .or(readyz)
        .unify()
        .or(metrics)
        .unify()
        .or(authority)
        .unify()
        .or(pages)
        .unify();
    not_of_the_api()
        .and(methods::get_or_head())
        .and(all)
        .boxed()
}

/// Lets through what is none of the API's addresses: what the API turns down is told by the API's reasons.
fn not_of_the_api() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    let check = |path: Peek| async move {
        if path.segments().next() == Some("api") {
            Err(warp::reject::not_found())
        } else {
            Ok(())
        }
    };
    warp::path::peek().and_then(check).untuple_one()
}

pub(super) fn with(
    app: &Arc<App>,
) -> impl Filter<Extract = (Arc<App>,), Error = Infallible> + Clone + use<> {
    let app = app.clone();
    warp::any().map(move || app.clone())
}

fn reply<R: Reply>(result: Result<R, Problem>) -> warp::reply::Response {
    result.map_or_else(Reply::into_response, Reply::into_response)
}

pub(super) async fn answer<R: Reply>(result: impl Future<Output = Result<R, Problem>>) -> Answer {
    Ok(reply(result.await))
}

pub(super) fn settled(answer: Answer) -> warp::reply::Response {
    answer.unwrap_or_else(|never| match never {})
}

/// What no route takes, and what a route's filters turn down. The other routes turn the same request down for its
/// method, so that what the right one says about it comes first.
async fn unanswered(rejection: Rejection) -> Result<warp::reply::Response, Infallible> {
    use warp::http::StatusCode;
    let problem = if rejection.is_not_found() {
        Problem::not_found()
    } else if rejection.find::<warp::reject::InvalidQuery>().is_some() {
        Problem::bad_request("the query cannot be read: give each parameter once, percent-encoded")
    } else if let Some(error) = rejection.find::<warp::reject::InvalidHeader>() {
        Problem::bad_request(error.to_string())
    } else if rejection.find::<WrongMethod>().is_some() {
        let detail = "this address exists, but does not take this method";
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "The method is not allowed here",
            detail,
        )
    } else {
        Problem::bad_request(format!("{rejection:?}"))
    };
    Ok(problem.into_response())
}
