//! `/api/v1/maps/{map}/problems`: what needs a person's eye.

use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::StatusCode;

use super::super::problem::Problem;
use super::super::state::App;
use super::answer;
use crate::geometry::validity::Fault;
use crate::index::{FeatureIndex, FeatureProblems};
use crate::room::IfUnknown;

/// Features with problems in one answer, at most.
const FEATURES_MAX: usize = 1_000;

/// GET `/api/v1/maps/{map}/problems[?after=FID]`.
pub async fn problems(
    app: Arc<App>,
    segment: String,
    query: String,
) -> Result<warp::reply::Response, Problem> {
    let after = after(&query)?;
    let room = app.enter(&segment, IfUnknown::Refuse)?;
    let body = room
        .features(move |index| listed(index, after.as_deref()))
        .await?;
    answer::json(StatusCode::OK, &body)
}

fn after(query: &str) -> Result<Option<String>, Problem> {
    let mut after = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "after" => after = Some(value.into_owned()),
            "token" => {}
            _ => {
                return Err(Problem::bad_request(format!(
                    "there is no parameter {name:?}; there is after"
                )));
            }
        }
    }
    Ok(after)
}

fn listed(index: &mut FeatureIndex, after: Option<&str>) -> Value {
    index.check();
    let map: Vec<Value> = index
        .view()
        .problems_of_map()
        .iter()
        .map(|problem| problem.to_value())
        .collect();
    let problems = index.problems();
    let mut following = problems
        .iter()
        .filter(|(fid, _)| after.is_none_or(|after| after < *fid));
    let features: Vec<Value> = following
        .by_ref()
        .take(FEATURES_MAX)
        .map(|(fid, found)| one(index, fid, found))
        .collect();
    let next = following
        .next()
        .and_then(|_| features.last())
        .map(|last| last["fid"].clone());
    json!({ "seq": index.seq().0, "features_with_problems": problems.len(), "map": map, "features": features, "next": next })
}

fn one(index: &FeatureIndex, fid: &str, found: &FeatureProblems) -> Value {
    let report: Vec<Value> = found
        .report
        .iter()
        .map(|problem| problem.to_value())
        .collect();
    let faults: Vec<Value> = found
        .faults
        .iter()
        .map(|fault| fault_value(index, fid, fault))
        .collect();
    json!({ "fid": fid, "report": report, "geometry": faults })
}

fn fault_value(_index: &FeatureIndex, _fid: &str, fault: &Fault) -> Value {
    json!({
        "code": fault.code.as_str(),
        "message": fault.to_string(),
        "part": fault.at.part,
        "ring": fault.at.segment,
        "vertex": fault.at.vertex,
        "position": fault.position,
    })
}
