//! What owners and operators decide about others: share links of a map, and revocations.

use std::sync::Arc;

use mapweave_proto::MapName;
use mapweave_storage::Protocol;
use serde::Deserialize;
use serde_json::{Value, json};
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::{Filter, Reply};

use super::entrance::Caller;
use super::methods;
use super::problem::Problem;
use super::routes::{answer, asked, first_of};
use super::state::{App, map_name};
use super::upload::{Sent, sent};
use crate::auth::{Link, LinkWish, MintError, NAME_BYTES_MAX, Revocation, Role};
use crate::time::rfc3339_ms;

/// Most bytes of a body here.
const BODY_BYTES_MAX: usize = 16 << 10;

/// How long a share link is good where nothing is said, in seconds: a month.
const LINK_S: u64 = 30 * DAY_S;

/// How long at most: a year and a day.
const LINK_S_MAX: u64 = 366 * DAY_S;

const DAY_S: u64 = 24 * 60 * 60;

/// What an owner sends to make a link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    role: Role,
    #[serde(default)]
    name: String,
    #[serde(default)]
    expires_in_s: Option<u64>,
}

/// What an operator sends to revoke a token or a person's tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    user: Option<String>,
    /// Seconds since 1970; everything so far where it is not said.
    #[serde(default)]
    before: Option<u64>,
}

/// Routes below `v1`, and below `map`, which yields the map's path segment.
pub fn routes(
    app: &Arc<App>,
    v1: BoxedFilter<()>,
    map: BoxedFilter<(String,)>,
) -> BoxedFilter<(warp::reply::Response,)> {
    let end = warp::path::end;
    let links = || map.clone().and(warp::path("share"));
    let revocations = || v1.clone().and(warp::path("revocations")).and(end());
    let make = links()
        .and(end())
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|map, sent, caller, app| answer(make(app, caller, map, sent)));
    let list = links()
        .and(end())
        .and(methods::get())
        .and(asked(app))
        .then(|map, caller, app| answer(list(app, caller, map)));
    let end_one = links()
        .and(warp::path::param::<String>())
        .and(end())
        .and(methods::delete())
        .and(asked(app))
        .then(|map, id, caller, app| answer(end_link(app, caller, map, id)));
    let revoke = revocations()
        .and(methods::post())
        .and(sent())
        .and(asked(app))
        .then(|sent, caller, app| answer(revoke(app, caller, sent)));
    let revoked = revocations()
        .and(methods::get())
        .and(asked(app))
        .then(|caller, app| answer(revoked(app, caller)));
    first_of([
        make.boxed(),
        list.boxed(),
        end_one.boxed(),
        revoke.boxed(),
        revoked.boxed(),
    ])
}

/// POST `/api/v1/maps/{map}/share`: a link for one map. Its token is in the answer and nowhere else; in the address it
/// stands behind `#`, which browsers send to nobody.
async fn make(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    sent: Sent,
) -> Result<impl Reply, Problem> {
    let map = map_name(&segment)?;
    let permit = app.permit(&caller, &map, Role::Owner).await?;
    let headers = sent.headers.clone();
    let wish: Wish = sent.json(&app, BODY_BYTES_MAX).await?;
    if matches!(wish.role, Role::Owner | Role::Relay) {
        return Err(Problem::bad_request(
            "a link gives the role viewer, commenter or editor; others are given by tokens of the operator",
        ));
    }
    if wish.name.len() > NAME_BYTES_MAX / 2 || wish.name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "`name` has at most {} bytes and no control characters",
            NAME_BYTES_MAX / 2
        )));
    }
    let expires_in_s = wish.expires_in_s.unwrap_or(LINK_S);
    if !(1..=LINK_S_MAX).contains(&expires_in_s) {
        return Err(Problem::bad_request(format!(
            "`expires_in_s` is from 1 to {LINK_S_MAX}"
        )));
    }
    app.check_writable()?;
    let wish = LinkWish {
        map: map.clone(),
        name: wish.name,
        role: wish.role,
        expires_in_s,
        by: permit.who.id.clone(),
    };
    let origin = caller.origin(&permit.who, Protocol::Rest);
    let (link, token) = app.gate.share(wish, origin).await?;
    let mut told = told(&link);
    if let Value::Object(told) = &mut told {
        told.insert(
            "url".to_owned(),
            url(&caller, &headers, &map, &token).into(),
        );
        told.insert("token".to_owned(), token.into());
    }
    Ok(warp::reply::with_header(
        warp::reply::with_status(warp::reply::json(&told), StatusCode::CREATED),
        header::CACHE_CONTROL,
        "no-store",
    ))
}

/// GET `/api/v1/maps/{map}/share`: the links that are good.
async fn list(app: Arc<App>, caller: Caller, segment: String) -> Result<impl Reply, Problem> {
    let map = map_name(&segment)?;
    app.permit(&caller, &map, Role::Owner).await?;
    let links: Vec<Value> = app.gate.links(&map).iter().map(told).collect();
    Ok(warp::reply::json(&json!({ "links": links })))
}

/// DELETE `/api/v1/maps/{map}/share/{id}`: whoever came by the link is let in no more, and those who are in are sent
/// away.
async fn end_link(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    id: String,
) -> Result<impl Reply, Problem> {
    let map = map_name(&segment)?;
    let permit = app.permit(&caller, &map, Role::Owner).await?;
    if !app.gate.links(&map).iter().any(|link| link.id == id) {
        return Err(Problem::not_found());
    }
    app.check_writable()?;
    let origin = caller.origin(&permit.who, Protocol::Rest);
    app.gate.revoke(Revocation::Token { id }, origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/api/v1/revocations`.
async fn revoke(app: Arc<App>, caller: Caller, sent: Sent) -> Result<impl Reply, Problem> {
    let passport = app.operator(&caller).await?;
    let wanted: Wanted = sent.json(&app, BODY_BYTES_MAX).await?;
    // A second more, so that what was issued in this one is among it.
    let so_far = app.gate.now_s().saturating_add(1);
    let revocation = match (wanted.token, wanted.user, wanted.before) {
        (Some(id), None, None) => Revocation::Token { id },
        (None, Some(id), before) => Revocation::Person {
            id,
            before_s: before.unwrap_or(so_far),
        },
        _ => {
            return Err(Problem::bad_request(
                "name either a `token` by its id (jti), or a `user` and perhaps a time `before` which their tokens were issued",
            ));
        }
    };
    app.check_writable()?;
    let origin = caller.origin(passport.who(), Protocol::Rest);
    app.gate.revoke(revocation.clone(), origin).await?;
    Ok(warp::reply::with_status(
        warp::reply::json(&shown(&revocation)),
        StatusCode::CREATED,
    ))
}

/// GET `/api/v1/revocations`.
async fn revoked(app: Arc<App>, caller: Caller) -> Result<impl Reply, Problem> {
    app.operator(&caller).await?;
    let revoked: Vec<Value> = app.gate.revocations().iter().map(shown).collect();
    Ok(warp::reply::json(&json!({ "revocations": revoked })))
}

fn told(link: &Link) -> Value {
    json!({
        "id": link.id,
        "map": link.map,
        "name": link.name,
        "role": link.role,
        "made": rfc3339_ms(link.made_s.saturating_mul(1_000)),
        "expires": rfc3339_ms(link.expires_s.saturating_mul(1_000)),
        "by": link.by,
    })
}

fn shown(revocation: &Revocation) -> Value {
    match revocation {
        Revocation::Token { id } => json!({ "token": id }),
        Revocation::Person { id, before_s } => json!({ "user": id, "before": before_s }),
    }
}

/// The page of the map as the caller reaches it. What is said of the host was checked before.
fn url(caller: &Caller, headers: &HeaderMap, map: &MapName, token: &str) -> String {
    let host = caller.base_url(headers, "http").unwrap_or_default();
    format!("{host}/m/{}#token={token}", map.to_path_segment())
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        match error {
            MintError::NoKey => Self::new(
                StatusCode::CONFLICT,
                "no-key",
                "This server makes no tokens",
                error.to_string(),
            ),
            MintError::Nobody => Self::bad_request(error.to_string()),
            MintError::Full | MintError::Key(_) | MintError::Store(_) => {
                Self::unavailable(error.to_string())
            }
        }
    }
}
