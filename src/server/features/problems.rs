//! `/api/v1/maps/{map}/problems[/{fid}]`: what needs a person's eye, and who wrote what met there.

use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::StatusCode;

use super::super::entrance::{Caller, Entered};
use super::super::problem::Problem;
use super::super::state::App;
use super::answer::{self, edited};
use super::unknown;
use crate::auth::Role;
use crate::geometry::Geometry;
use crate::geometry::validity::{Fault, Place, REPAIR_VERTICES_MAX, Suggestion, repair};
use crate::index::{FeatureIndex, FeatureProblems, Moment};
use crate::model::{self, KeyedGeometry, MapView, Version};
use crate::room::{IfUnknown, RoomHandle};

/// Features with problems in one answer, at most.
const FEATURES_MAX: usize = 1_000;

/// Features that are checked at once; then others who read or edit have their turn.
const CHECKED_AT_ONCE: usize = 2_000;

/// How often so many are checked at most before the rest is checked at once: the map may change all the time.
const CHECKS_MAX: usize = 10_000;

/// Features whose problems differ in one event, at most; further ones come in the next.
const CHANGES_TOLD_MAX: usize = 200;

/// GET `/api/v1/maps/{map}/problems[?after=FID]`: of the whole map.
pub async fn problems(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    query: String,
) -> Result<warp::reply::Response, Problem> {
    let after = after(&query)?;
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Viewer);
    let Entered { room, .. } = entered.await?;
    check(&room).await?;
    let body = room.features(move |index| listed(index, after.as_deref()));
    answer::json(StatusCode::OK, &body.await?)
}

/// GET `/api/v1/maps/{map}/problems/{fid}`: of one feature, with a suggestion how to repair its geometry where there
/// is one. Nothing applies it but an edit that somebody makes.
pub async fn problems_of(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    fid: String,
) -> Result<warp::reply::Response, Problem> {
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Viewer);
    let Entered { room, .. } = entered.await?;
    check(&room).await?;
    let body = room.features(move |index| {
        index.check();
        let geometry = index
            .view()
            .feature(&fid)
            .and_then(|feature| feature.geometry);
        let found = index.problems().of(&fid);
        match (found, index.view().state(&fid)) {
            (None, None) => Err(unknown(&fid)),
            (found, _) => Ok((
                one(
                    index.view(),
                    &fid,
                    found.unwrap_or(&FeatureProblems::default()),
                ),
                geometry,
            )),
        }
    });
    let (mut body, geometry) = body.await??;
    let suggested = tokio::task::spawn_blocking(move || geometry.as_ref().and_then(repair));
    let suggested = suggested
        .await
        .map_err(|error| Problem::unavailable(error.to_string()))?;
    body["suggestion"] = suggested.map_or(Value::Null, |suggested| suggestion(&suggested));
    answer::json(StatusCode::OK, &body)
}

/// Has the whole map checked, step by step.
async fn check(room: &RoomHandle) -> Result<(), Problem> {
    for _ in 0..CHECKS_MAX {
        let done = room.features(|index| index.check_some(CHECKED_AT_ONCE));
        if done.await? {
            break;
        }
    }
    Ok(())
}

/// What those who listen are told of problems.
pub struct ToldProblems {
    /// To ask from next.
    pub upto: Moment,
    /// What to tell, if anything differs.
    pub data: Option<Value>,
    /// Whether more differs that is not told yet: ask again.
    pub more: bool,
}

/// What differs since somebody was told up to `since`; all, if nothing was told before or that is too long ago.
pub fn problems_since(index: &mut FeatureIndex, since: Option<&Moment>) -> ToldProblems {
    index.check();
    let changes = since.and_then(|since| index.problems().changes_since(since, CHANGES_TOLD_MAX));
    let (view, problems) = (index.view(), index.problems());
    let none = FeatureProblems::default();
    let told = |whole: bool, more: bool, features: serde_json::Map<String, Value>| {
        json!({
            "seq": index.seq().0,
            "whole": whole,
            "more": more,
            "features_with_problems": problems.len(),
            "features": features,
        })
    };
    match changes {
        Some(changes) => {
            let differing = changes.fids.iter().map(|fid| {
                let found = problems.of(fid).unwrap_or(&none);
                (fid.to_string(), one(view, fid, found))
            });
            let data = (!changes.fids.is_empty()).then(|| told(false, false, differing.collect()));
            ToldProblems {
                more: changes.fids.len() == CHANGES_TOLD_MAX,
                upto: changes.upto,
                data,
            }
        }
        None => {
            let first = problems.iter().take(FEATURES_MAX);
            let all = first.map(|(fid, found)| (fid.to_owned(), one(view, fid, found)));
            let more = problems.len() > FEATURES_MAX;
            ToldProblems {
                upto: problems.moment(),
                data: Some(told(true, more, all.collect())),
                more: false,
            }
        }
    }
}

fn after(query: &str) -> Result<Option<String>, Problem> {
    let mut after = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "after" => after = Some(value.into_owned()),
            "token" => {}
            _ => {
                let detail = format!("there is no parameter {name:?}; there is after");
                return Err(Problem::bad_request(detail));
            }
        }
    }
    Ok(after)
}

fn listed(index: &mut FeatureIndex, after: Option<&str>) -> Value {
    index.check();
    let (view, problems) = (index.view(), index.problems());
    let map: Vec<Value> = view
        .problems_of_map()
        .iter()
        .map(|problem| reported(view, problem))
        .collect();
    let mut following = problems
        .iter()
        .filter(|(fid, _)| after.is_none_or(|after| after < *fid));
    let page: Vec<(&str, &FeatureProblems)> = following.by_ref().take(FEATURES_MAX).collect();
    let next = following.next().and(page.last()).map(|(fid, _)| *fid);
    let features: Vec<Value> = page
        .iter()
        .map(|(fid, found)| one(view, fid, found))
        .collect();
    json!({
        "seq": index.seq().0,
        "features_with_problems": problems.len(),
        "map": map,
        "features": features,
        "next": next,
    })
}

fn one(view: &MapView, fid: &str, found: &FeatureProblems) -> Value {
    let conflicts: Vec<Value> = found
        .report
        .iter()
        .map(|problem| reported(view, problem))
        .collect();
    let keyed = if found.faults.is_empty() {
        None
    } else {
        view.keyed_geometry(fid)
    };
    let faults: Vec<Value> = found
        .faults
        .iter()
        .map(|fault| faulty(view, keyed.as_ref(), fault))
        .collect();
    json!({ "fid": fid, "report": conflicts, "geometry": faults })
}

/// A line of the document's report, in its canonical form, with all values where several stand side by side.
fn reported(view: &MapView, problem: &model::Problem) -> Value {
    let mut told = json!({ "problem": problem.to_value() });
    if let model::Problem::ConcurrentValues { target, .. } = problem {
        let versions = view.versions(target.root, &target.id, &target.target);
        told["versions"] = versions.iter().map(|version| said(view, version)).collect();
    }
    told
}

fn said(view: &MapView, version: &Version) -> Value {
    let mut told = edited(view, &version.set);
    told["removed"] = version.value.is_none().into();
    told["value"] = version.value.clone().unwrap_or_default();
    told
}

/// A fault with the vertices whose edges are at fault, and the edits that put them there, the latest first.
fn faulty(view: &MapView, keyed: Option<&KeyedGeometry>, fault: &Fault) -> Value {
    let mut met = Vec::new();
    let vertices: Vec<Value> = std::iter::once(fault.at)
        .chain(fault.with)
        .flat_map(|place| ends(keyed, place))
        .map(|(segment, vertex, set)| {
            if !met.contains(&set) {
                met.push(set);
            }
            json!({ "segment": segment, "vertex": vertex })
        })
        .collect();
    met.sort_by(|a, b| b.t.cmp(&a.t).then_with(|| a.sid.cmp(&b.sid)));
    json!({
        "code": fault.code.as_str(),
        "severity": fault.severity().as_str(),
        "message": fault.to_string(),
        "position": fault.position,
        "at": placed(fault.at),
        "with": fault.with.map(placed),
        "more": fault.more,
        "vertices": vertices,
        "edits": met.iter().map(|set| edited(view, set)).collect::<Value>(),
    })
}

fn placed(place: Place) -> Value {
    json!({ "part": place.part, "ring": place.segment, "vertex": place.vertex })
}

/// Names and authors of the two vertices of the edge that starts at `place`.
fn ends(keyed: Option<&KeyedGeometry>, place: Place) -> Vec<(String, String, model::Edited)> {
    let Some(keyed) = keyed else {
        return Vec::new();
    };
    let start = keyed.locate(place.part, place.segment, place.vertex);
    // The last edge of a ring ends at its first vertex.
    let end = keyed
        .locate(place.part, place.segment, place.vertex.saturating_add(1))
        .or_else(|| keyed.locate(place.part, place.segment, 0));
    let named = start.into_iter().chain(end);
    named
        .map(|(segment, vertex)| (segment.name(), vertex.key.clone(), vertex.set.clone()))
        .collect()
}

fn suggestion(suggested: &Suggestion) -> Value {
    json!({
        "geometry": Geometry::to_value(&suggested.geometry),
        "vertices_kept": suggested.vertices_kept,
        "vertices_added": suggested.vertices_added,
        "vertices_removed": suggested.vertices_removed,
        "area_before_m2": suggested.area_before_m2,
        "area_m2": suggested.area_m2,
        "vertices_max": REPAIR_VERTICES_MAX,
    })
}
