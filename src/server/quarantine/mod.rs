//! `/api/v1/maps/{map}/quarantine`: what people sent who may not edit any more, for an owner to look at and decide
//! about.

mod preview;

use std::sync::Arc;

use mapweave_proto::{Seq, StateVector};
use mapweave_storage::Protocol;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use warp::filters::BoxedFilter;
use warp::{Filter, Rejection, Reply};

use self::preview::{Detail, Preview, previews};
use super::entrance::{Caller, Entered};
use super::methods;
use super::problem::Problem;
use super::routes::{answer, asked, first_of};
use super::state::App;
use crate::auth::Role;
use crate::room::{Decision, IfUnknown, Kept, Refused, RoomHandle};
use crate::time::rfc3339_ms;

/// Copies of maps in memory at once, to try edits on; further requests wait.
const COPIES_MAX: usize = 1;
static COPIES: Semaphore = Semaphore::const_new(COPIES_MAX);

/// Routes below `map`, which yields the map's path segment.
pub fn routes(
    app: &Arc<App>,
    map: impl Filter<Extract = (String,), Error = Rejection> + Clone + Send + Sync + 'static,
) -> BoxedFilter<(warp::reply::Response,)> {
    let all = map.and(warp::path("quarantine"));
    let one = all.clone().and(warp::path::param::<u64>());
    let end = warp::path::end;
    let list = all
        .and(end())
        .and(methods::get())
        .and(asked(app))
        .then(|map, caller, app| answer(list(app, caller, map)));
    let look = one
        .clone()
        .and(end())
        .and(methods::get())
        .and(asked(app))
        .then(|map, id, caller, app| answer(look(app, caller, map, Seq(id))));
    let decided = |word: &'static str, decision: Decision| {
        one.clone()
            .and(warp::path(word))
            .and(end())
            .and(methods::post())
            .and(asked(app))
            .then(move |map, id, caller, app| answer(decide(app, caller, map, (Seq(id), decision))))
    };
    first_of([
        list.boxed(),
        look.boxed(),
        decided("admit", Decision::Admit).boxed(),
        decided("reject", Decision::Reject).boxed(),
    ])
}

/// An edit in quarantine, as the API tells it.
#[derive(Serialize)]
struct Told {
    id: u64,
    user: String,
    session: String,
    client: Option<u64>,
    protocol: &'static str,
    arrived: String,
    bytes: usize,
    #[serde(flatten)]
    preview: Preview,
}

impl Told {
    fn new(kept: &Kept, preview: Preview) -> Self {
        Self {
            id: kept.seq.0,
            user: kept.origin.user.clone(),
            session: kept.origin.session.clone(),
            client: kept.origin.client,
            protocol: kept.origin.protocol.name(),
            arrived: rfc3339_ms(kept.since_ms),
            bytes: kept.update.bytes().len(),
            preview,
        }
    }
}

/// GET `/api/v1/maps/{map}/quarantine`: all that waits, oldest first; each as if those before it were admitted.
async fn list(app: Arc<App>, caller: Caller, segment: String) -> Result<impl Reply, Problem> {
    let Entered { room, .. } = entered(&app, &caller, &segment).await?;
    let kept = room.quarantine().await?;
    let previews = tried(&room, kept.clone(), Detail::Words).await?;
    let told = kept
        .iter()
        .zip(previews)
        .map(|(kept, preview)| Told::new(kept, preview));
    let told: Vec<Told> = told.collect();
    Ok(warp::reply::json(&json!({ "quarantine": told })))
}

/// GET `/api/v1/maps/{map}/quarantine/{id}`: one edit with the features that it touches, as if what its author sent
/// before it were admitted.
async fn look(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    id: Seq,
) -> Result<impl Reply, Problem> {
    let Entered { room, .. } = entered(&app, &caller, &segment).await?;
    let mut kept = room.quarantine().await?;
    let place = kept.iter().position(|kept| kept.seq == id);
    let place = place.ok_or(Refused::NotQuarantined { seq: id })?;
    let wanted = kept.swap_remove(place);
    kept.truncate(place);
    kept.retain(|kept| kept.origin.user == wanted.origin.user);
    kept.push(wanted.clone());
    let preview = tried(&room, kept, Detail::Features).await?.pop();
    Ok(warp::reply::json(&Told::new(
        &wanted,
        preview.unwrap_or_default(),
    )))
}

/// POST `/api/v1/maps/{map}/quarantine/{id}/admit` and `/reject`.
async fn decide(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    (id, decision): (Seq, Decision),
) -> Result<impl Reply, Problem> {
    app.check_writable()?;
    let Entered { room, permit } = entered(&app, &caller, &segment).await?;
    let by = caller.origin(&permit.who, Protocol::Rest);
    let seq = room.decide(id, decision, by).await?;
    let decision = match decision {
        Decision::Admit => "admitted",
        Decision::Reject => "rejected",
    };
    let told = json!({ "id": id.0, "decision": decision, "seq": seq.0, "durable": true });
    Ok(warp::reply::json(&told))
}

/// A way into a map for one of its owners.
async fn entered(app: &Arc<App>, caller: &Caller, segment: &str) -> Result<Entered, Problem> {
    let entered = app.enter(caller, segment, IfUnknown::Refuse, Role::Owner);
    entered.await
}

/// What `kept` would change, tried on a copy of the map.
async fn tried(
    room: &RoomHandle,
    kept: Vec<Kept>,
    detail: Detail,
) -> Result<Vec<Preview>, Problem> {
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let unavailable = |why: String| Problem::unavailable(why);
    let place = COPIES.acquire().await;
    let place = place.map_err(|error| unavailable(error.to_string()))?;
    let state = room.state(StateVector::default()).await?;
    // The copy's place is held by the work, which goes on when nobody waits for it any more.
    let tried = tokio::task::spawn_blocking(move || {
        let tried = previews(state.update, &kept, detail);
        drop(place);
        tried
    });
    match tried.await {
        Ok(Ok(previews)) => Ok(previews),
        Ok(Err(refused)) => Err(unavailable(refused.to_string())),
        Err(error) => Err(unavailable(format!(
            "the edits could not be tried: {error}"
        ))),
    }
}
