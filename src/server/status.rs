//! `/healthz`, `/readyz`, `/metrics`: how the server is, for people, supervisors and Prometheus.

use std::sync::Arc;

use mapweave_storage::Health;
use serde_json::json;
use warp::Reply;
use warp::http::{Response, StatusCode, header};

use super::entrance::Caller;
use super::problem::Problem;
use super::state::App;

/// GET `/healthz`: the process answers.
pub fn healthz() -> impl Reply {
    warp::reply::json(
        &json!({ "status": "ok", "name": "mapweave", "version": env!("CARGO_PKG_VERSION") }),
    )
}

/// GET `/readyz`: edits can be stored.
pub fn readyz(app: &Arc<App>) -> impl Reply {
    let (status, text, why) = match app.rooms.store().health() {
        _ if app.stop.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping", None),
        Health::Ok => (StatusCode::OK, "ready", None),
        Health::ReadOnly(why) => (StatusCode::SERVICE_UNAVAILABLE, "read-only", Some(why)),
        Health::Poisoned(why) => (StatusCode::SERVICE_UNAVAILABLE, "failed", Some(why)),
    };
    warp::reply::with_status(
        warp::reply::json(&json!({ "status": text, "why": why })),
        status,
    )
}

/// GET `/metrics`: for operators, and for who asks from this machine itself, as collectors of figures do. It names no
/// maps and no people.
pub async fn metrics(app: Arc<App>, caller: Caller) -> Result<warp::reply::Response, Problem> {
    if !caller.is_local() {
        app.operator(&caller).await?;
    }
    let gauge = |name: &'static str, value: f64| metrics::gauge!(name).set(value);
    gauge("mapweave_maps_live", app.rooms.live() as f64);
    gauge("mapweave_maps_live_bytes", app.rooms.bytes() as f64);
    gauge("mapweave_sockets_open", app.sockets() as f64);
    gauge("mapweave_unfinished_bytes", app.unfinished.bytes() as f64);
    gauge(
        "mapweave_store_ok",
        if app.rooms.store().health() == Health::Ok {
            1.0
        } else {
            0.0
        },
    );
    let response = Response::builder().header(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    response
        .body((app.render_metrics)().into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}
