//! POST, PUT, PATCH and DELETE of features.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mapweave_storage::{Origin, Protocol};
use serde_json::{Value, json};
use warp::http::{HeaderMap, StatusCode};

use super::super::entrance::{Caller, Entered};
use super::super::problem::Problem;
use super::super::state::App;
use super::answer::{self, Represented, represent};
use super::body::{self, Body, Sent};
use super::etag::{Conditions, Match, Tag};
use super::patch::merged;
use super::read::present;
use super::repeat::RepeatKey;
use super::version::{self, Base};
use super::{deleted, unknown};
use crate::auth::{self, Role};
use crate::formats::feature_json;
use crate::index::FeatureIndex;
use crate::model::{
    EditError, Editor, Feature, Fid, Lid, MapView, Operation, Plan, Random, Sid, State, Who,
};
use crate::room::{IfUnknown, RoomHandle};

/// Random digits in the id of a feature that comes without one.
const FID_DIGITS: usize = 12;
/// How often an edit of an older version is planned again because the feature changed meanwhile.
const ATTEMPTS_MAX: usize = 4;

/// POST `/api/v1/maps/{map}/features`: one feature or a collection.
pub async fn post(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<warp::reply::Response, Problem> {
    body::require(&headers, body::GEOJSON_MEDIA_TYPE)?;
    app.check_writable()?;
    let entered = app.enter(&caller, &segment, IfUnknown::Open, Role::Editor);
    let Entered { room, permit } = entered.await?;
    app.pay(&permit.who, bytes.len() as u64)?;
    let key = RepeatKey::read(&headers, &permit.who.id)?;
    let sent = parsed(bytes, body::features).await?;
    let posting = Posting {
        by: caller.origin(&permit.who, Protocol::Rest),
        who: permit.who,
        key,
        strict: Conditions::read(&headers).strict,
    };
    match sent {
        Body::One(sent) => post_one(&room, *sent, posting).await,
        Body::Collection(sent) => post_many(&room, sent, posting).await,
    }
}

/// Who posts features, and how.
struct Posting {
    by: Arc<Origin>,
    who: Arc<auth::Who>,
    key: Option<RepeatKey>,
    /// All of them or none.
    strict: bool,
}

async fn post_one(
    room: &RoomHandle,
    sent: Sent,
    posting: Posting,
) -> Result<warp::reply::Response, Problem> {
    let Posting { by, who, key, .. } = posting;
    let sent = Arc::new(sent);
    let planning = move |index: &mut FeatureIndex, sid: &Sid, bits| {
        let mut writer = Writing::new(sid.clone(), bits, &who);
        let wanted = key.as_ref().map(|key| key.fid(0));
        match writer.named(index.view(), &sent, wanted)? {
            Named::Made(fid) => Ok::<_, Problem>((Plan::default(), fid)),
            Named::New(fid) => Ok((writer.upsert(index.view(), &fid, &sent)?, fid)),
        }
    };
    let done = room.edit(by, planning).await??;
    let fid = done.told.as_str().to_owned();
    let path = feature_path(room, &fid);
    let made = room.features(move |index| present(index, &fid)).await??;
    Ok(answer::at(answer::one(StatusCode::CREATED, &made)?, &path))
}

/// What became of one feature of a collection.
type Planned = Result<Fid, Problem>;

async fn post_many(
    room: &RoomHandle,
    sent: Vec<Result<Sent, crate::formats::RecordError>>,
    posting: Posting,
) -> Result<warp::reply::Response, Problem> {
    let Posting {
        by,
        who,
        key,
        strict,
    } = posting;
    let sent = Arc::new(sent);
    let planning = move |index: &mut FeatureIndex, sid: &Sid, bits| {
        let mut writer = Writing::new(sid.clone(), bits, &who);
        let mut all = Plan::default();
        let mut taken = std::collections::HashSet::new();
        let mut results: Vec<Planned> = Vec::with_capacity(sent.len());
        for (place, record) in sent.iter().enumerate() {
            let planned = record.as_ref().map_err(body::unreadable).and_then(|sent| {
                let wanted = key.as_ref().map(|key| key.fid(place));
                let fid = match writer.named(index.view(), sent, wanted)? {
                    Named::Made(fid) => return Ok(fid),
                    Named::New(fid) => fid,
                };
                if !taken.insert(fid.clone()) {
                    return Err(in_use(&fid));
                }
                all.extend(writer.upsert(index.view(), &fid, sent)?);
                Ok(fid)
            });
            results.push(planned);
        }
        if strict && results.iter().any(Result::is_err) {
            all = Plan::default();
        }
        Ok::<_, Problem>((all, results))
    };
    let done = room.edit(by, planning).await??;
    let failed = done.told.iter().filter(|result| result.is_err()).count();
    let nothing = strict && failed > 0;
    let results: Vec<Value> = done
        .told
        .iter()
        .enumerate()
        .map(|(index, result)| match result {
            Ok(fid) if nothing => json!({ "index": index, "fid": fid.as_str(), "status": 424 }),
            Ok(fid) => json!({ "index": index, "fid": fid.as_str(), "status": 201, "location": feature_path(room, fid.as_str()) }),
            Err(problem) => json!({ "index": index, "status": problem.status().as_u16(), "problem": problem }),
        })
        .collect();
    let created = if nothing { 0 } else { results.len() - failed };
    let status = match (failed, created) {
        // An empty collection makes nothing, least of all a map.
        (0, 0) => StatusCode::OK,
        (0, _) => StatusCode::CREATED,
        (_, 0) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let body =
        json!({ "created": created, "failed": failed, "seq": done.seq.0, "results": results });
    answer::json(status, &body)
}

/// A request for one feature of a map.
pub struct OfFeature {
    /// The server.
    pub app: Arc<App>,
    /// The map, as a path segment.
    pub segment: String,
    /// The feature.
    pub fid: String,
    /// Conditions and preferences.
    pub headers: HeaderMap,
    /// Who asks.
    pub caller: Caller,
    /// What the body brought.
    pub bytes: u64,
}

/// PUT `/api/v1/maps/{map}/features/{fid}`: makes the feature as the body says, with as few edits as that takes.
pub async fn put(of: OfFeature, bytes: Bytes) -> Result<warp::reply::Response, Problem> {
    body::require(&of.headers, body::GEOJSON_MEDIA_TYPE)?;
    let sent = parsed(bytes, body::feature).await?;
    let wanted = move |base: Option<&Feature>| {
        check_id(base, &sent)?;
        Ok(sent.clone())
    };
    change(of, IfAbsent::Create, wanted).await
}

/// PATCH `/api/v1/maps/{map}/features/{fid}` with a JSON merge patch (RFC 7396).
pub async fn patch(of: OfFeature, bytes: Bytes) -> Result<warp::reply::Response, Problem> {
    body::require(&of.headers, body::PATCH_MEDIA_TYPE)?;
    let patch = body::patch(&bytes)?;
    if let Some(name) = ["type", "id"]
        .into_iter()
        .find(|name| patch.contains_key(*name))
    {
        return Err(Problem::bad_request(format!(
            "{name:?} of a feature cannot be changed"
        )));
    }
    let wanted = move |base: Option<&Feature>| {
        let present = base.map(feature_json).unwrap_or_default();
        let present: Value = serde_json::from_str(&present).unwrap_or_default();
        let wanted = merged(present, Value::Object(patch.clone()));
        body::feature(wanted.to_string().as_bytes())
    };
    change(of, IfAbsent::Refuse, wanted).await
}

/// DELETE `/api/v1/maps/{map}/features/{fid}`. Deleting a version that somebody has edited since leaves the feature,
/// marked as contested, for people to decide.
pub async fn delete(of: OfFeature) -> Result<warp::reply::Response, Problem> {
    let writing = |view: &MapView, writer: &mut Writing, fid: &str| {
        writer.run(
            view,
            &Operation::Delete {
                fids: vec![fid.to_owned()],
            },
        )
    };
    let (room, _) = edit(&of, IfAbsent::Refuse, writing).await?;
    match room.features(move |index| present(index, &of.fid)).await? {
        Ok(left) => answer::one(StatusCode::OK, &left),
        Err(_) => answer::empty(StatusCode::NO_CONTENT),
    }
}

/// POST `/api/v1/maps/{map}/features/{fid}/undelete`.
pub async fn undelete(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    fid: String,
) -> Result<warp::reply::Response, Problem> {
    app.check_writable()?;
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Editor);
    let Entered { room, permit } = entered.await?;
    let (name, who) = (fid.clone(), permit.who.clone());
    let planning = move |index: &mut FeatureIndex, sid: &Sid, bits| {
        if index.view().state(&name).is_none() {
            return Err(unknown(&name));
        }
        let restore = Operation::Restore {
            fids: vec![name.clone()],
        };
        Ok((
            Writing::new(sid.clone(), bits, &who).run(index.view(), &restore)?,
            (),
        ))
    };
    let by = caller.origin(&permit.who, Protocol::Rest);
    room.edit(by, planning).await??;
    let restored = room.features(move |index| present(index, &fid)).await??;
    answer::one(StatusCode::OK, &restored)
}

/// What to do where a feature to be changed does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfAbsent {
    Create,
    Refuse,
}

/// Makes a feature as `wanted` says of its base version.
async fn change(
    of: OfFeature,
    if_absent: IfAbsent,
    wanted: impl Fn(Option<&Feature>) -> Result<Sent, Problem> + Clone + Send + Sync + 'static,
) -> Result<warp::reply::Response, Problem> {
    let writing = move |view: &MapView, writer: &mut Writing, fid: &str| {
        let base = view.feature(fid);
        let sent = wanted(base.as_ref())?;
        let key = Fid::parse(fid).ok_or_else(|| bad_fid(fid))?;
        writer.upsert(view, &key, &sent)
    };
    let (room, existed) = edit(&of, if_absent, writing).await?;
    let path = feature_path(&room, &of.fid);
    let now = room
        .features(move |index| present(index, &of.fid))
        .await??;
    if existed {
        answer::one(StatusCode::OK, &now)
    } else {
        Ok(answer::at(answer::one(StatusCode::CREATED, &now)?, &path))
    }
}

/// Why an edit was not planned.
enum Failure {
    Problem(Problem),
    /// The edit is based on another version than the present one.
    Older(Vec<Tag>),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Edits one feature: against its present version, or where the request is based on an older one, against that.
/// Yields whether there was one.
async fn edit(
    of: &OfFeature,
    if_absent: IfAbsent,
    writing: impl Fn(&MapView, &mut Writing, &str) -> Result<Plan, Problem>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Result<(RoomHandle, bool), Problem> {
    let OfFeature {
        app,
        segment,
        fid,
        headers,
        caller,
        bytes,
    } = of;
    app.check_writable()?;
    let unknown_map = if if_absent == IfAbsent::Create {
        IfUnknown::Open
    } else {
        IfUnknown::Refuse
    };
    let entered = app.enter(caller, segment, unknown_map, Role::Editor);
    let Entered { room, permit } = entered.await?;
    app.pay(&permit.who, *bytes)?;
    let who = permit.who;
    let conditions = Arc::new(Conditions::read(headers));
    let by = caller.origin(&who, Protocol::Rest);
    let mut base: Option<Arc<Base>> = None;
    for _ in 0..ATTEMPTS_MAX {
        let (known, who, conditions, writing, name) = (
            base.clone(),
            who.clone(),
            conditions.clone(),
            writing.clone(),
            fid.clone(),
        );
        let planning = move |index: &mut FeatureIndex, sid: &Sid, bits| {
            let existed = index.view().feature(&name).is_some();
            let concurrent = match standing(index, &name, &conditions, if_absent)? {
                Standing::Present => None,
                Standing::Older(tags) => Some(
                    known
                        .as_deref()
                        .filter(|base| tags.iter().any(|tag| tag.is_same(&base.tag)))
                        .ok_or(Failure::Older(tags))?,
                ),
            };
            let Some(base) = concurrent else {
                let mut writer = Writing::new(sid.clone(), bits, &who);
                return Ok((writing(index.view(), &mut writer, &name)?, existed));
            };
            // Its author has not seen what came since: a session of its own lies beside the others' edits.
            let mut writer = Writing::new(Sid::from_random(bits), bits, &who);
            let planned = writing(&base.view, &mut writer, &name)?;
            Ok((planned.onto(&base.view, index.view()), existed))
        };
        match room.edit(by.clone(), planning).await? {
            Ok(done) => return Ok((room, done.told)),
            Err(Failure::Problem(problem)) => return Err(problem),
            Err(Failure::Older(tags)) => {
                // One older map at a time: the next could wait for the place that this one holds.
                drop(base.take());
                let mut found = None;
                for tag in tags.iter().take(ATTEMPTS_MAX) {
                    found = version::find(app.rooms.store(), room.doc(), fid, tag).await?;
                    if found.is_some() {
                        break;
                    }
                }
                base = Some(Arc::new(found.ok_or_else(|| {
                    failed("the version that the edit is based on is not in the log")
                })?));
            }
        }
    }
    Err(Problem::unavailable(
        "the feature changes faster than it can be edited",
    ))
}

/// What an edit is to be planned against.
enum Standing {
    Present,
    Older(Vec<Tag>),
}

fn standing(
    index: &FeatureIndex,
    fid: &str,
    conditions: &Conditions,
    if_absent: IfAbsent,
) -> Result<Standing, Problem> {
    let present = match index.view().feature(fid) {
        Some(feature) => represent(index, feature),
        None if index.view().state(fid) == Some(State::Deleted) => return Err(deleted(fid)),
        None if conditions.if_match.is_some() => return Err(failed("there is no such feature")),
        None if if_absent == IfAbsent::Create => return Ok(Standing::Present),
        None => return Err(unknown(fid)),
    };
    let Represented { tag, .. } = &present;
    if conditions
        .if_none_match
        .as_ref()
        .is_some_and(|tags| tags.has(tag))
    {
        return Err(failed(
            "the feature exists in the version that the request excludes",
        ));
    }
    match &conditions.if_match {
        None => Ok(Standing::Present),
        Some(tags) if tags.has(tag) => Ok(Standing::Present),
        Some(_) if conditions.strict => Err(failed(
            "the feature has changed since, and the request prefers strict handling: read it again",
        )),
        Some(Match::Tags(tags)) if !tags.is_empty() => Ok(Standing::Older(tags.clone())),
        Some(_) => Err(failed("none of the tags is one of this server")),
    }
}

/// What a feature that was posted is called.
enum Named {
    /// Nothing has this id so far.
    New(Fid),
    /// The same request made it before.
    Made(Fid),
}

/// Who edits, when, and with which random digits.
struct Writing {
    editor: Editor,
    now_s: u64,
    random: Random,
}

impl Writing {
    fn new(sid: Sid, bits: u64, who: &auth::Who) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let who = Who {
            user: who.id.clone(),
            name: match who.name.as_str() {
                "" => "HTTP".to_owned(),
                name => name.to_owned(),
            },
        };
        let mut random = Random::new(bits);
        let keys = Random::new(random.bits());
        Self {
            editor: Editor::new(sid, Some(who), keys),
            now_s: now.unwrap_or_default().as_secs(),
            random,
        }
    }

    /// The id for a feature that is new: its own where it has one that is free, else the one `wanted` for it, under which
    /// it may have been made before, else a random one.
    fn named(
        &mut self,
        view: &MapView,
        sent: &Sent,
        wanted: Option<Fid>,
    ) -> Result<Named, Problem> {
        if let Some(id) = sent.feature.id() {
            let fid = Fid::of_source(id);
            return if view.state(fid.as_str()).is_none() {
                Ok(Named::New(fid))
            } else {
                Err(in_use(&fid))
            };
        }
        if let Some(fid) = wanted {
            return Ok(match view.state(fid.as_str()) {
                Some(_) => Named::Made(fid),
                None => Named::New(fid),
            });
        }
        let mut free = || {
            Fid::parse(&self.random.digits(FID_DIGITS))
                .filter(|fid| view.state(fid.as_str()).is_none())
        };
        let found = free().or_else(&mut free);
        let found = found.map(Named::New);
        found.ok_or_else(|| Problem::unavailable("no free id was found"))
    }

    /// Makes the feature, or what it lacks to be as sent.
    fn upsert(&mut self, view: &MapView, fid: &Fid, sent: &Sent) -> Result<Plan, Problem> {
        let feature = match sent.feature.fid() == fid {
            true => sent.feature.clone(),
            false => sent.feature.clone().under(fid.clone()),
        };
        let lid = match sent.layer.as_deref() {
            None | Some("") => None,
            Some(layer) => Some(Lid::parse(layer).ok_or_else(|| bad_layer(layer))?),
        };
        let planned = self
            .editor
            .plan_upsert(view, self.now_s, &feature, lid.as_ref(), false);
        let mut plan = planned.map_err(|error| refused(&error))?;
        if sent.layer.as_deref() == Some("") && !view.layer_of(fid.as_str()).is_empty() {
            let out = Operation::SetAttributes {
                fid: fid.as_str().to_owned(),
                values: [("layer".to_owned(), Some(Value::from("")))].into(),
            };
            plan.extend(self.run(view, &out)?);
        }
        Ok(plan)
    }

    fn run(&mut self, view: &MapView, operation: &Operation) -> Result<Plan, Problem> {
        let planned = self.editor.plan(view, self.now_s, operation);
        planned.map_err(|error| refused(&error))
    }
}

/// Reading a large body takes long: off the runtime's threads.
async fn parsed<T: Send + 'static>(
    bytes: Bytes,
    read: fn(&[u8]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(move || read(&bytes))
        .await
        .map_err(|error| Problem::unavailable(format!("the body could not be read: {error}")))?
}

fn feature_path(room: &RoomHandle, fid: &str) -> String {
    format!(
        "/api/v1/maps/{}/features/{fid}",
        room.name().to_path_segment()
    )
}

/// An id in the body of a PUT that is another feature's would be lost.
fn check_id(base: Option<&Feature>, sent: &Sent) -> Result<(), Problem> {
    let (Some(base), Some(id)) = (base, sent.feature.id()) else {
        return Ok(());
    };
    let same = base.id.as_ref() == Some(id) || Fid::of_source(id).as_str() == base.fid;
    if same {
        return Ok(());
    }
    let detail = format!(
        "the body's id is {id}, the feature's is {}: leave the id out",
        base.id_value()
    );
    Err(Problem::bad_request(detail))
}

fn in_use(fid: &Fid) -> Problem {
    let detail = format!(
        "the id {fid} is in use in this map: PUT to its address edits that feature, and without an id a new one is made"
    );
    Problem::new(
        StatusCode::CONFLICT,
        "feature-exists",
        "There is such a feature already",
        detail,
    )
}

fn bad_fid(fid: &str) -> Problem {
    let detail =
        format!("{fid:?} cannot be a feature's id here: use 1 to 64 of 0-9, A-Z, a-z, _ and -");
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-feature-id",
        "This is no feature id",
        detail,
    )
}

fn bad_layer(layer: &str) -> Problem {
    Problem::bad_request(format!(
        "{layer:?} cannot be the id of a layer: 1 to 64 of 0-9, A-Z, a-z, _ and -, or empty for none"
    ))
}

fn failed(detail: &str) -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition",
        "The condition does not hold; nothing was changed",
        detail,
    )
}

fn refused(error: &EditError) -> Problem {
    let status = match error.code() {
        "newer_version" | "not_a_map" => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(
        status,
        &error.code().replace('_', "-"),
        "The edit was refused; nothing was changed",
        error.to_string(),
    )
}
