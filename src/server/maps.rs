//! `/api/v1/maps`: list, create, describe, delete, restore, compact, verify.

use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{DocId, MapName};
use mapweave_storage::{Kind, MapEntry, NewRecord, Origin, Protocol};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::Reply;
use warp::http::{StatusCode, header};

use super::entrance::{Caller, Entered};
use super::problem::Problem;
use super::state::{App, map_name};
use super::upload::Sent;
use crate::auth::{Permit, Role};
use crate::room::{IfUnknown, Summary};
use crate::time::rfc3339_ms;

/// Most bytes of a JSON body.
pub(super) const JSON_BYTES_MAX: usize = 64 << 10;

/// A map in the list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    name: String,
    title: Option<String>,
    features: u64,
    updates: u64,
    bytes: u64,
    last_edit: Option<String>,
    /// Why the map cannot be loaded, which leaves title and features untold.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Listed {
    /// What `summary` and the log tell of a map.
    pub fn new(entry: &MapEntry, summary: Summary) -> Self {
        let last = (entry.head.count > 0).then(|| rfc3339_ms(entry.head.last_time_ms));
        Self {
            name: entry.name.as_str().to_owned(),
            title: Some(summary.title).filter(|title| !title.is_empty()),
            features: summary.features,
            updates: entry.head.count,
            bytes: entry.head.payload_bytes,
            last_edit: last,
            problem: None,
        }
    }

    /// A map that cannot be loaded: what the log alone tells, and `problem`.
    pub fn damaged(entry: &MapEntry, problem: &Problem) -> Self {
        Self {
            problem: Some(problem.detail().to_owned()),
            ..Self::new(entry, Summary::default())
        }
    }
}

/// What a client sends to create a map.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMap {
    name: String,
}

/// GET `/api/v1/maps`: those that the caller may read. One that cannot be loaded is listed with a `problem` and hides
/// no other.
pub async fn list(app: Arc<App>, caller: Caller) -> Result<impl Reply, Problem> {
    let passport = app.passport(&caller).await?;
    let may_read = |entry: &MapEntry| passport.role(&entry.name).is_some();
    let mut listed = Vec::new();
    for entry in app
        .rooms
        .store()
        .maps()
        .into_iter()
        .filter(|entry| !entry.deleted && may_read(entry))
    {
        listed.push(match app.summary(&entry).await {
            Ok(summary) => Listed::new(&entry, summary),
            Err(problem) => Listed::damaged(&entry, &problem),
        });
    }
    Ok(warp::reply::json(&listed))
}

/// POST `/api/v1/maps`. A deleted map of the name stays deleted; the new one is another document.
pub async fn create(app: Arc<App>, caller: Caller, sent: Sent) -> Result<impl Reply, Problem> {
    app.greet(&caller)?;
    let new: NewMap = sent.json(&app, JSON_BYTES_MAX).await?;
    let name = MapName::parse(&new.name).map_err(|error| Problem::bad_name(&error))?;
    let permit = app.permit(&caller, &name, Role::Editor).await?;
    app.check_writable()?;
    let existing = app.rooms.store().map(&name);
    if existing.as_ref().is_some_and(|entry| !entry.deleted) {
        return Err(Problem::name_taken(format!(
            "there is a map {name:?} already"
        )));
    }
    let by = caller.origin(&permit.who, Protocol::Rest);
    if existing.is_some() {
        append_one(
            &app,
            DocId::fresh(),
            Kind::Created { name: name.clone() },
            by,
        )
        .await?;
    } else {
        app.rooms.enter(&name, IfUnknown::Open)?.create(by).await?;
    }
    let location = format!("/api/v1/maps/{}", name.to_path_segment());
    let body = warp::reply::json(&json!({ "name": name.as_str() }));
    Ok(warp::reply::with_header(
        warp::reply::with_status(body, StatusCode::CREATED),
        header::LOCATION,
        location,
    ))
}

/// GET `/api/v1/maps/{map}`.
pub async fn describe(
    app: Arc<App>,
    caller: Caller,
    segment: String,
) -> Result<impl Reply, Problem> {
    let (entry, _) = existing(&app, &caller, &segment, Role::Viewer).await?;
    let summary = app.summary(&entry).await?;
    Ok(warp::reply::json(&Listed::new(&entry, summary)))
}

/// DELETE `/api/v1/maps/{map}`: the map is closed to all until it is restored; its log is kept.
pub async fn delete(app: Arc<App>, caller: Caller, segment: String) -> Result<impl Reply, Problem> {
    app.check_writable()?;
    let (entry, permit) = existing(&app, &caller, &segment, Role::Owner).await?;
    append_one(
        &app,
        entry.id,
        Kind::Deleted,
        caller.origin(&permit.who, Protocol::Rest),
    )
    .await?;
    app.rooms.dismiss(entry.id);
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/api/v1/maps/{map}/undelete`.
pub async fn undelete(
    app: Arc<App>,
    caller: Caller,
    segment: String,
) -> Result<impl Reply, Problem> {
    app.check_writable()?;
    let name = map_name(&segment)?;
    let permit = app.permit(&caller, &name, Role::Owner).await?;
    let entry = app.rooms.store().map(&name).ok_or_else(|| unknown(&name))?;
    if entry.deleted {
        append_one(
            &app,
            entry.id,
            Kind::Restored,
            caller.origin(&permit.who, Protocol::Rest),
        )
        .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/api/v1/maps/{map}/compact`: stores a snapshot; answers what it contains up to.
pub async fn compact(
    app: Arc<App>,
    caller: Caller,
    segment: String,
) -> Result<impl Reply, Problem> {
    app.check_writable()?;
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Owner);
    let Entered { room, .. } = entered.await?;
    let seq = room.snapshot().await?;
    Ok(warp::reply::json(&json!({ "seq": seq.0 })))
}

pub(super) async fn existing(
    app: &Arc<App>,
    caller: &Caller,
    segment: &str,
    needed: Role,
) -> Result<(MapEntry, Permit), Problem> {
    let name = map_name(segment)?;
    let permit = app.permit(caller, &name, needed).await?;
    match app.rooms.store().map(&name) {
        Some(entry) if entry.deleted => Err(crate::room::EnterError::Deleted { name }.into()),
        Some(entry) => Ok((entry, permit)),
        None => Err(unknown(&name)),
    }
}

fn unknown(name: &MapName) -> Problem {
    crate::room::EnterError::Unknown { name: name.clone() }.into()
}

async fn append_one(
    app: &Arc<App>,
    doc: DocId,
    kind: Kind,
    by: Arc<Origin>,
) -> Result<(), Problem> {
    let record = NewRecord {
        kind,
        origin: by,
        payload: Bytes::new(),
    };
    app.rooms.store().append(doc, vec![record]).await?;
    app.rooms.changed(doc);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use mapweave_storage::{MemoryLog, UpdateLog};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;
    use warp::http::{HeaderMap, HeaderValue};

    use crate::config::Config;
    use crate::room::Rooms;
    use crate::server::upload::JSON_MEDIA_TYPE;

    async fn add(store: &MemoryLog, name: &str, update: &'static [u8]) {
        let origin = Arc::new(Origin::default());
        let name = MapName::parse(name).unwrap();
        let record = |kind, payload| NewRecord {
            kind,
            origin: origin.clone(),
            payload: Bytes::from_static(payload),
        };
        let records = vec![
            record(Kind::Created { name }, &[]),
            record(Kind::Update, update),
        ];
        store.append(DocId::fresh(), records).await.unwrap();
    }

    fn app(store: MemoryLog) -> Arc<App> {
        let config = Arc::new(Config::default());
        let tasks = TaskTracker::new();
        let store = Arc::new(store);
        let gate = crate::auth::Gate::wide_open(store.clone());
        let rooms = Rooms::new(
            store,
            crate::server::room_options(&config),
            1 << 30,
            tasks.clone(),
        );
        let stop = CancellationToken::new();
        App::new(
            rooms,
            gate,
            config,
            None,
            Arc::new(String::new),
            tasks,
            stop,
        )
    }

    fn nobody() -> Caller {
        let address = crate::server::accept::PeerAddress(([127, 0, 0, 1], 1).into());
        Caller::new(address, &HeaderMap::new(), "")
    }

    async fn made(app: &Arc<App>) -> bool {
        let body = Ok::<_, std::convert::Infallible>(Bytes::from_static(br#"{"name":"m"}"#));
        let body = futures_util::stream::iter([body]);
        let media_type = (
            header::CONTENT_TYPE,
            HeaderValue::from_static(JSON_MEDIA_TYPE),
        );
        let sent = Sent::new(HeaderMap::from_iter([media_type]), body);
        match create(app.clone(), nobody(), sent).await {
            Ok(_) => true,
            Err(problem) => {
                assert_eq!(problem.into_response().status(), StatusCode::CONFLICT);
                false
            }
        }
    }

    #[tokio::test]
    async fn of_many_who_make_a_map_of_one_name_exactly_one_does() {
        let app = app(MemoryLog::new());
        let name = MapName::parse("m").unwrap();
        // At first there is none of the name, then one that was deleted.
        for _ in 0..2 {
            let all = (0..8).map(|_| made(&app));
            let made = futures_util::future::join_all(all).await;
            assert_eq!(made.iter().filter(|made| **made).count(), 1);
            let doc = app.rooms.store().map(&name).unwrap().id;
            let by = Arc::new(Origin::default());
            append_one(&app, doc, Kind::Deleted, by).await.unwrap();
            app.rooms.dismiss(doc);
        }
    }

    #[tokio::test]
    async fn a_map_that_cannot_be_loaded_is_listed_with_its_problem_and_hides_no_other() {
        let store = MemoryLog::new();
        add(&store, "bad", &[0xff]).await;
        add(&store, "good", &[0, 0]).await;
        let answer = list(app(store), nobody())
            .await
            .map_err(|p| p.detail().to_owned())
            .unwrap();
        let body = answer.into_response().into_body().collect().await.unwrap();
        let maps: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        assert_eq!(
            (&maps[0]["name"], &maps[0]["updates"], &maps[1]["name"]),
            (&json!("bad"), &json!(2), &json!("good"))
        );
        let problem = maps[0]["problem"].as_str().unwrap();
        assert!(problem.contains("record 2"), "{problem}");
        assert!(maps[1].get("problem").is_none());
    }
}
