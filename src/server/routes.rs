//! All addresses of the server, in one table.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::Arc;

use mapweave_storage::Protocol;
use warp::filters::BoxedFilter;
use warp::path::{Peek, Tail};
use warp::{Filter, Rejection, Reply};

use super::document::{self, StateQuery};
use super::entrance::{Caller, caller, raw_query};
use super::events::events;
use super::import::{self, ImportQuery};
use super::methods::{self, WrongMethod};
use super::problem::Problem;
use super::state::App;
use super::upload::sent;
use super::{hocuspocus, maps, page, relay, share, socket, status, ysweet};

/// The server's routes. Every request gets an answer; errors are `application/problem+json`.
pub fn routes(
    app: &Arc<App>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible> + Clone + use<> {
    first_of([sockets(app), ysweet::routes(app), api(app), plain(app)]).recover(unanswered)
}

fn sockets(app: &Arc<App>) -> BoxedFilter<(warp::reply::Response,)> {
    let many = warp::path("hocuspocus")
        .and(warp::path::end())
        .and(socket::request())
        .and(asked(app))
        .map(|request, caller, app: Arc<App>| reply(hocuspocus::upgrade(&app, caller, request)));
    let one = warp::path("ws")
        .and(warp::path::tail())
        .and(socket::request())
        .and(asked(app))
        .then(|tail: Tail, request, caller, app| async move {
            let at = (tail.as_str(), Protocol::YWebsocket);
            reply(socket::upgrade(app, caller, at, request).await)
        });
    let relays = warp::path("sync")
        .and(warp::path::end())
        .and(socket::request())
        .and(asked(app))
        .then(|request, caller, app| answer(relay::upgrade(app, caller, request)));
    first_of([one.boxed(), many.boxed(), relays.boxed()])
}

fn api(app: &Arc<App>) -> BoxedFilter<(warp::reply::Response,)> {
    let v1 = || warp::path("api").and(warp::path("v1"));
    let maps = || v1().and(warp::path("maps"));
    let map = || maps().and(warp::path::param::<String>());
    let end = warp::path::end;
    let list = maps()
        .and(end())
        .and(methods::get())
        .and(asked(app))
        .then(|caller, app| answer(maps::list(app, caller)));
    let create = maps()
        .and(end())
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|sent, caller, app| answer(maps::create(app, caller, sent)));
    let describe = map()
        .and(end())
        .and(methods::get())
        .and(asked(app))
        .then(|map, caller, app| answer(maps::describe(app, caller, map)));
    let delete = map()
        .and(end())
        .and(methods::delete())
        .and(asked(app))
        .then(|map, caller, app| answer(maps::delete(app, caller, map)));
    let undelete = map()
        .and(warp::path("undelete"))
        .and(end())
        .and(methods::post())
        .and(asked(app))
        .then(|map, caller, app| answer(maps::undelete(app, caller, map)));
    let compact = map()
        .and(warp::path("compact"))
        .and(end())
        .and(methods::post())
        .and(asked(app))
        .then(|map, caller, app| answer(maps::compact(app, caller, map)));
    let verify = v1()
        .and(warp::path("verify"))
        .and(end())
        .and(methods::get())
        .and(warp::query())
        .and(asked(app))
        .then(|query, caller, app| answer(super::verify::verify(app, caller, query)));
    let read = map()
        .and(warp::path("state"))
        .and(end())
        .and(methods::get_or_head())
        .and(warp::query::<StateQuery>())
        .and(warp::header::headers_cloned())
        .and(asked(app))
        .then(|map, query, headers, caller, app| {
            answer(document::read(app, caller, map, query, headers))
        });
    let write = map()
        .and(warp::path("state"))
        .and(end())
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|map, sent, caller, app| answer(document::write(app, caller, map, sent)));
    let import = map()
        .and(warp::path("import"))
        .and(end())
        .and(methods::post())
        .and(warp::query::<ImportQuery>())
        .and(sent())
        .and(asked(app))
        .then(|map, query, sent, caller, app| {
            answer(import::import(app, caller, map, query, sent))
        });
    let listen = map()
        .and(warp::path("events"))
        .and(end())
        .and(methods::get())
        .and(raw_query())
        .and(warp::header::optional("accept"))
        .and(warp::header::optional("last-event-id"))
        .and(asked(app))
        .then(|map, query, accept, id, caller, app| {
            answer(events(app, caller, map, query, (accept, id)))
        });
    let upstream = v1()
        .and(warp::path("upstream"))
        .and(end())
        .and(methods::get())
        .and(asked(app))
        .then(|caller, app| answer(relay::status(app, caller)));
    let rights = share::routes(app, v1().boxed(), map().boxed());
    first_of([
        list.boxed(),
        create.boxed(),
        verify.boxed(),
        upstream.boxed(),
        describe.boxed(),
        delete.boxed(),
        undelete.boxed(),
        compact.boxed(),
        read.boxed(),
        write.boxed(),
        listen.boxed(),
        import.boxed(),
        super::people::routes(app, map()),
        super::quarantine::routes(app, map()),
        super::features::routes(app, map()),
        rights,
    ])
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
        .and(asked(app))
        .then(|caller, app| answer(status::metrics(app, caller)));
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
    let all = first_of([
        healthz.boxed(),
        readyz.boxed(),
        metrics.boxed(),
        authority.boxed(),
        root.boxed(),
        map.boxed(),
        file.boxed(),
    ]);
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

/// Who asks, and the server that is asked.
pub(super) fn asked(
    app: &Arc<App>,
) -> impl Filter<Extract = (Caller, Arc<App>), Error = Rejection> + Clone + use<> {
    caller().and(with(app))
}

/// The first of `routes` that takes a request. What each has against it, the rejection tells.
pub(super) fn first_of<const N: usize>(
    routes: [BoxedFilter<(warp::reply::Response,)>; N],
) -> BoxedFilter<(warp::reply::Response,)> {
    let none = || {
        warp::any()
            .and_then(|| ready(Err(warp::reject::not_found())))
            .boxed()
    };
    let first = routes
        .into_iter()
        .reduce(|one, other| one.or(other).unify().boxed());
    first.unwrap_or_else(none)
}

fn reply<R: Reply>(result: Result<R, Problem>) -> warp::reply::Response {
    result.map_or_else(Reply::into_response, Reply::into_response)
}

pub(super) async fn answer<R: Reply>(
    result: impl Future<Output = Result<R, Problem>>,
) -> warp::reply::Response {
    reply(result.await)
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
