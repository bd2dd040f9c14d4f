//! The y-sweet protocol: documents and tokens for `@y-sweet/sdk`, and the sockets of `@y-sweet/client`.
//!
//! A document is a map and its id the map's name. On the socket travels what travels on `/ws/`, with the durable
//! acknowledgement that y-sweet's client asks for by itself. Start at [`routes`].

use std::future::ready;
use std::sync::Arc;

use mapweave_proto::{DocId, MapName, NameError, StateVector};
use mapweave_storage::{Health, Protocol};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::http::{StatusCode, header};
use warp::path::Tail;
use warp::{Filter, Rejection, Reply};

use super::document::{self, StateQuery};
use super::entrance::Caller;
use super::maps::JSON_BYTES_MAX;
use super::methods;
use super::problem::Problem;
use super::routes::{answer, asked, first_of, with};
use super::socket;
use super::state::{App, map_name};
use super::upload::{Sent, sent};
use crate::auth::{Claims, Grant, ID_BYTES_MAX, MapPattern, NumericDate, Role};
use crate::room::{EnterError, IfUnknown, Refused, RequestError};

/// The addresses of this protocol. Queries are passed over, but for the token: the SDK adds one against caches.
pub fn routes(app: &Arc<App>) -> BoxedFilter<(warp::reply::Response,)> {
    let end = warp::path::end;
    let doc = || warp::path("doc");
    let of_doc = || warp::path("d");
    let state = warp::path("ready")
        .and(end())
        .and(methods::get())
        .and(with(app))
        .map(|app: Arc<App>| store_state(&app, StatusCode::SERVICE_UNAVAILABLE));
    let checked = warp::path("check_store")
        .and(end())
        .and(methods::get().or(methods::post()).unify())
        .and(with(app))
        .map(|app: Arc<App>| store_state(&app, StatusCode::OK));
    let new = doc()
        .and(warp::path("new"))
        .and(end())
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|sent, caller, app| answer(new_doc(app, caller, sent)));
    let token = doc()
        .and(map_before("/auth"))
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|map, sent, caller, app| answer(client_token(app, caller, map, sent)));
    let read = of_doc()
        .and(map_before("/as-update"))
        .and(methods::get_or_head())
        .and(warp::header::headers_cloned())
        .and(asked(app))
        .then(|map, headers, caller, app| {
            let query = StateQuery::default();
            answer(document::read(app, caller, map, query, headers))
        });
    let write = of_doc()
        .and(map_before("/update"))
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|map, sent, caller, app| answer(document::write(app, caller, map, sent)));
    let socket = of_doc()
        .and(warp::path::tail())
        .and_then(|tail: Tail| {
            ready(named_twice(tail.as_str()).ok_or_else(warp::reject::not_found))
        })
        .and(socket::request())
        .and(asked(app))
        .then(|named: Named, request, caller, app| {
            answer(async {
                let map = named?;
                let at = (map.as_str(), Protocol::YSweet);
                socket::upgrade(app, caller, at, request).await
            })
        });
    first_of([
        state.boxed(),
        checked.boxed(),
        new.boxed(),
        token.boxed(),
        read.boxed(),
        write.boxed(),
        socket.boxed(),
    ])
}

/// What a client asks a new document to be called.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewDoc {
    /// Something that nobody can guess where it is left out.
    doc_id: Option<String>,
}

/// What an app's server asks a token to allow. Members that are not known here are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TokenRequest {
    authorization: Authorization,
    /// Who it is for, as the log keeps it beside their edits.
    user_id: Option<String>,
    valid_for_seconds: Option<u64>,
}

/// What y-sweet knows of roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Authorization {
    /// Read and write.
    #[default]
    Full,
    /// Read, and show presence.
    ReadOnly,
}

/// What a client needs to open a document, as `@y-sweet/client` wants it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientToken {
    /// Where its socket is; the client appends the document's id.
    url: String,
    /// Where its `as-update` and `update` are.
    base_url: String,
    /// The document's id, letter by letter as it was asked for: the client compares.
    doc_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    authorization: Authorization,
}

/// Whether edits can be stored, told with `failing` where they cannot.
fn store_state(app: &App, failing: StatusCode) -> warp::reply::Response {
    let (status, body) = match app.rooms.store().health() {
        Health::Ok => (StatusCode::OK, json!({ "ok": true })),
        Health::ReadOnly(why) | Health::Poisoned(why) => {
            (failing, json!({ "ok": false, "error": why }))
        }
    };
    warp::reply::with_status(warp::reply::json(&body), status).into_response()
}

/// POST `/doc/new`. Nothing changes where there is a map of the name; one that was deleted stays deleted, since apps ask
/// for a document whenever somebody opens it.
async fn new_doc(app: Arc<App>, caller: Caller, sent: Sent) -> Result<impl Reply, Problem> {
    app.greet(&caller)?;
    let NewDoc { doc_id } = sent.json(&app, JSON_BYTES_MAX).await?;
    let doc_id = doc_id.unwrap_or_else(|| DocId::fresh().to_string());
    let name = MapName::parse(&doc_id).map_err(|error| Problem::bad_name(&error))?;
    let permit = app.permit(&caller, &name, Role::Editor).await?;
    if app.rooms.store().map(&name).is_none_or(|map| map.deleted) {
        app.check_writable()?;
        let room = app.rooms.enter(&name, IfUnknown::Open)?;
        match room
            .create(caller.origin(&permit.who, Protocol::YSweet))
            .await
        {
            Ok(_) => {}
            // Somebody else is making it now: it can be read once that is durable.
            Err(RequestError::Refused(Refused::Exists)) => {
                drop(room.state(StateVector::default()).await?)
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(warp::reply::json(&json!({ "docId": doc_id })))
}

/// POST `/doc/{map}/auth`, for owners. Where everybody is an owner there are no tokens.
async fn client_token(
    app: Arc<App>,
    caller: Caller,
    map: String,
    sent: Sent,
) -> Result<impl Reply, Problem> {
    app.greet(&caller)?;
    let headers = sent.headers.clone();
    let wanted: TokenRequest = sent.json(&app, JSON_BYTES_MAX).await?;
    let name = map_name(&map)?;
    app.permit(&caller, &name, Role::Owner).await?;
    match app.rooms.store().map(&name) {
        Some(map) if !map.deleted => {}
        Some(_) => return Err(EnterError::Deleted { name }.into()),
        None => return Err(EnterError::Unknown { name }.into()),
    }
    let doc_id = percent_decode_str(&map).decode_utf8();
    let doc_id = doc_id.map_err(|_| Problem::bad_name(&NameError::Encoding))?;
    let below = |plain| {
        let base = caller.base_url(&headers, plain);
        let base = base.ok_or_else(|| Problem::bad_request("the request names no host"))?;
        Ok::<_, Problem>(format!("{base}/d/{}", name.to_path_segment()))
    };
    let told = ClientToken {
        url: format!("{}/ws", below("ws")?),
        base_url: below("http")?,
        doc_id: doc_id.into_owned(),
        authorization: wanted.authorization,
        token: match app.gate.is_wide_open() {
            true => None,
            false => Some(app.gate.mint(wanted.claims(&name, app.gate.now_s())?)?),
        },
    };
    Ok(warp::reply::with_header(
        warp::reply::json(&told),
        header::CACHE_CONTROL,
        "no-store",
    ))
}

impl TokenRequest {
    fn claims(self, map: &MapName, now_s: u64) -> Result<Claims, Problem> {
        let user = self.user_id.unwrap_or_default();
        if user.len() > ID_BYTES_MAX || user.chars().any(char::is_control) {
            return Err(Problem::bad_request(format!(
                "`userId` has at most {ID_BYTES_MAX} bytes and no control characters"
            )));
        }
        let seconds = self.valid_for_seconds.unwrap_or(TOKEN_S).min(TOKEN_S_MAX);
        Ok(Claims {
            sub: user,
            exp: Some(NumericDate(now_s.saturating_add(seconds))),
            maps: vec![Grant {
                pattern: MapPattern::exactly(map),
                role: match self.authorization {
                    Authorization::Full => Role::Editor,
                    Authorization::ReadOnly => Role::Viewer,
                },
            }],
            ..Claims::default()
        })
    }
}

/// A map's name in the path, which may span segments: the SDK puts it there as it is.
fn map_before(
    last: &'static str,
) -> impl Filter<Extract = (String,), Error = Rejection> + Clone + use<> {
    warp::path::tail().and_then(move |tail: Tail| {
        let map = tail.as_str().strip_suffix(last);
        let map = map.filter(|map| !map.is_empty()).map(str::to_owned);
        ready(map.ok_or_else(warp::reject::not_found))
    })
}

/// A map's name as in an address.
type Named = Result<String, Problem>;

/// The name in `{map}/ws/{map}`: once as we gave it to the client, in one segment, and once as the client appends it.
/// None where the address is another one.
fn named_twice(path: &str) -> Option<Named> {
    let halves = || {
        let half = path.len().checked_sub(BETWEEN.len())? / 2;
        let (first, rest) = path.split_at_checked(half)?;
        Some((first, rest.strip_prefix(BETWEEN)?))
    };
    let encoded = path.split_once(BETWEEN);
    let same = |(first, second): &(&str, &str)| match (map_name(first), map_name(second)) {
        (Ok(first), Ok(second)) => first == second,
        _ => false,
    };
    if let Some((map, _)) = encoded.filter(same).or_else(|| halves().filter(same)) {
        return Some(Ok(map.to_owned()));
    }
    // Whoever comes with a name that is none is told by its rule.
    let (first, second) = encoded?;
    let refused = map_name(first).and_then(|_| map_name(second)).err();
    Some(Err(refused.unwrap_or_else(|| {
        Problem::bad_request(
            "the map's name stands twice in this address, and must be the same in both places",
        )
    })))
}

/// How long a client token is good where nobody says, in seconds: as long as y-sweet's own.
const TOKEN_S: u64 = 60 * 60;

/// How long it is good at most, in seconds.
const TOKEN_S_MAX: u64 = 366 * 24 * 60 * 60;

/// What stands between the two names.
const BETWEEN: &str = "/ws/";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, map: &str) {
        let named = named_twice(path)
            .unwrap()
            .map_err(|p| p.detail().to_owned());
        assert_eq!(map_name(&named.unwrap()).unwrap().as_str(), map, "{path}");
    }

    #[test]
    fn a_name_stands_twice_in_the_address_of_a_socket() {
        check("plain/ws/plain", "plain");
        check("a%2Fb/ws/a/b", "a/b");
        check("a/b/ws/a/b", "a/b");
        check("with%20space/ws/with%20space", "with space");
        check("ws/ws/ws", "ws");
        check("a%2Fws%2Fb/ws/a/ws/b", "a/ws/b");
        check("a/ws/b/ws/a/ws/b", "a/ws/b");
        check("ws%2Fws/ws/ws/ws", "ws/ws");
        // Both forms of an accented letter are one name.
        check("e%CC%81/ws/%C3%A9", "é");
    }

    #[test]
    fn other_addresses_are_none_or_refused() {
        for path in ["", "ws", "plain", "plain/ws", "/ws", "a/as-update"] {
            assert!(named_twice(path).is_none(), "{path}");
        }
        for path in [
            "a/ws/b", "/ws/", "a/ws/", "/ws/a", "a/ws/a/", "%/ws/%", "../ws/..",
        ] {
            assert!(named_twice(path).unwrap().is_err(), "{path}");
        }
    }

    #[test]
    fn a_client_token_has_the_members_that_clients_read() {
        let token = ClientToken {
            url: "ws://h/d/m/ws".to_owned(),
            base_url: "http://h/d/m".to_owned(),
            doc_id: "m".to_owned(),
            token: Some("t".to_owned()),
            authorization: Authorization::ReadOnly,
        };
        assert_eq!(
            serde_json::to_value(token).unwrap(),
            json!({ "url": "ws://h/d/m/ws", "baseUrl": "http://h/d/m", "docId": "m", "token": "t",
                "authorization": "read-only" })
        );
    }
}
