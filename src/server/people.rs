//! `/api/v1/maps/{map}/me`, `…/people`, `…/presence` and `…/messages`: who the caller is in a map and who else is
//! there, what a client shows of itself whose WebSockets are blocked, and a word to one person.

use std::sync::Arc;

use mapweave_proto::{AwarenessUpdate, MapName, SessionId, ToRoom};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::{Filter, Rejection, Reply};

use super::document::UPDATE_MEDIA_TYPE;
use super::entrance::Caller;
use super::events::Key;
use super::maps::existing;
use super::methods;
use super::problem::Problem;
use super::routes::{answer, asked, first_of};
use super::state::{App, map_name};
use super::upload::{JSON_MEDIA_TYPE, Sent, sent};
use crate::auth::Role;
use crate::room::{Gathering, IfUnknown, MESSAGE_BYTES_MAX, MessageFrom, Recipient};

/// What a message adds to its text in a body at most, in bytes: escapes, and the other members.
const BODY_BYTES_MAX: usize = 6 * MESSAGE_BYTES_MAX + 4096;

/// Names the event stream of the client that sends a request.
#[derive(Debug, Default, Deserialize)]
pub struct SessionQuery {
    session: Option<String>,
}

/// What a caller is in a map.
#[derive(Debug, Serialize)]
struct Me {
    role: Role,
    /// Edits that wait for an owner to decide about them; told to owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<usize>,
}

/// What a client sends to tell one person something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    to: Recipient,
    text: String,
}

/// Routes below `map`, which yields the map's path segment.
pub fn routes(
    app: &Arc<App>,
    map: impl Filter<Extract = (String,), Error = Rejection> + Clone + Send + Sync + 'static,
) -> BoxedFilter<(warp::reply::Response,)> {
    let at = |name: &'static str| map.clone().and(warp::path(name)).and(warp::path::end());
    let me = at("me")
        .and(methods::get())
        .and(asked(app))
        .then(|map, caller, app| answer(me(app, caller, map)));
    let who = at("people")
        .and(methods::get())
        .and(asked(app))
        .then(|map, caller, app| answer(who(app, caller, map)));
    let posted = |name| {
        at(name)
            .and(methods::post())
            .and(warp::query::<SessionQuery>())
            .and(sent())
            .and(asked(app))
    };
    let show = posted("presence")
        .then(|map, query, sent, caller, app| answer(show(app, caller, (map, query), sent)));
    let tell = posted("messages")
        .then(|map, query, sent, caller, app| answer(tell(app, caller, (map, query), sent)));
    first_of([me.boxed(), who.boxed(), show.boxed(), tell.boxed()])
}

/// GET `/api/v1/maps/{map}/me`: what the caller may do in the map, which need not be there yet. An owner is also told
/// how many edits wait in quarantine.
async fn me(app: Arc<App>, caller: Caller, segment: String) -> Result<impl Reply, Problem> {
    let name = map_name(&segment)?;
    let permit = app.permit(&caller, &name, Role::Viewer).await?;
    let there = app.rooms.store().map(&name).filter(|map| !map.deleted);
    let quarantined = match there {
        Some(_) if permit.role == Role::Owner => {
            let room = app.rooms.enter(&name, IfUnknown::Refuse)?;
            Some(room.quarantine().await?.len())
        }
        _ => None,
    };
    let told = Me {
        role: permit.role,
        quarantined,
    };
    Ok(warp::reply::json(&told))
}

/// GET `/api/v1/maps/{map}/people`. A map that is not live has nobody in it, and is not loaded for the question.
async fn who(app: Arc<App>, caller: Caller, segment: String) -> Result<impl Reply, Problem> {
    let (entry, _) = existing(&app, &caller, &segment, Role::Viewer).await?;
    let gathering = match app.rooms.is_live(&entry.name) {
        true => {
            let room = app.rooms.enter(&entry.name, IfUnknown::Refuse)?;
            room.gathering().await?
        }
        false => Gathering::default(),
    };
    Ok(warp::reply::json(&gathering))
}

/// POST `/api/v1/maps/{map}/presence?session=KEY`: an awareness update of the client's own.
async fn show(
    app: Arc<App>,
    caller: Caller,
    (segment, query): (String, SessionQuery),
    sent: Sent,
) -> Result<impl Reply, Problem> {
    sent.require(UPDATE_MEDIA_TYPE)?;
    let name = map_name(&segment)?;
    let permit = app.permit(&caller, &name, Role::Viewer).await?;
    let sent = sent.of_person(&app, &permit.who)?;
    let key = query.session.ok_or_else(no_session)?;
    let limit_bytes = app.config.limits.awareness_bytes_max;
    let body = sent.collect(&app, limit_bytes).await?;
    let bytes = body.bytes.clone();
    let update = AwarenessUpdate::decode(bytes)
        .map_err(|error| Problem::bad_request(format!("the body is no presence: {error}")))?;
    // Looked for now: a body may take a while to arrive.
    let (room, session) = stream(&app, &key, &name)?;
    let shown = room.heard(session, ToRoom::Awareness(update)).await;
    shown.map_err(|_| unknown_session())?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/api/v1/maps/{map}/messages[?session=KEY]`: tells one person something.
async fn tell(
    app: Arc<App>,
    caller: Caller,
    (segment, query): (String, SessionQuery),
    sent: Sent,
) -> Result<impl Reply, Problem> {
    sent.require(JSON_MEDIA_TYPE)?;
    let (entry, permit) = existing(&app, &caller, &segment, Role::Viewer).await?;
    let sent = sent.of_person(&app, &permit.who)?;
    let body = sent.collect(&app, BODY_BYTES_MAX).await?;
    let NewMessage { to, text } = serde_json::from_slice(&body.bytes).map_err(|error| {
        Problem::bad_request(format!(
            "send {{\"to\": client id or user, \"text\": \"…\"}}: {error}"
        ))
    })?;
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(Problem::too_large(
            MESSAGE_BYTES_MAX as u64,
            "of a message's text",
        ));
    }
    let session = match query.session {
        Some(key) => Some(stream(&app, &key, &entry.name)?.1),
        None => None,
    };
    let reached = match app.rooms.is_live(&entry.name) {
        true => {
            let from = MessageFrom {
                user: permit.who.id.clone(),
                name: permit.who.name.clone(),
                session,
            };
            let room = app.rooms.enter(&entry.name, IfUnknown::Refuse)?;
            room.message(to, from, text).await?
        }
        false => 0,
    };
    match reached {
        0 => Err(nobody()),
        reached => Ok(warp::reply::json(&json!({ "reached": reached }))),
    }
}

/// The event stream that a request names.
fn stream(
    app: &App,
    key: &str,
    name: &MapName,
) -> Result<(crate::room::RoomHandle, SessionId), Problem> {
    let key: Key = key.parse().map_err(|_| unknown_session())?;
    let stream = app.listeners.find(key);
    let stream = stream.filter(|stream| stream.room.name() == name);
    let stream = stream.ok_or_else(unknown_session)?;
    Ok((stream.room, stream.session))
}

fn no_session() -> Problem {
    Problem::bad_request(
        "name the event stream that shows this: ?session= with what its event `session` says",
    )
}

fn unknown_session() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-session",
        "There is no such event stream",
        "open the event stream of this map (anew), and name the session that it tells",
    )
}

fn nobody() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "nobody-there",
        "Nobody could be told",
        "nobody of this id or user is in the map now with a client that messages reach (see …/people)",
    )
}
