//! `/healthz`, `/readyz`, `/metrics`: how the server is, for people, supervisors and Prometheus; and the certificate of
//! its own authority, for devices that shall trust it.

use std::sync::Arc;

use mapweave_storage::Health;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
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
    super::relay::gauges(&app);
    gauge("mapweave_unfinished_bytes", app.unfinished.bytes() as f64);
    gauge(
        "mapweave_store_ok",
        if app.rooms.store().health() == Health::Ok {
            1.0
        } else {
            0.0
        },
    );
    gauge("mapweave_process_cpu_seconds", cpu_seconds());
    if let Some(bytes) = memory_bytes() {
        gauge("mapweave_process_memory_bytes", bytes as f64);
    }
    if let Some(files) = getrlimit(Resource::Nofile).current {
        gauge("mapweave_process_open_files_max", files as f64);
    }
    metrics::gauge!("mapweave_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    if let Some(identity) = &app.identity {
        gauge(
            "mapweave_tls_certificate_expires_timestamp_seconds",
            identity.expires_s() as f64,
        );
    }
    let response = Response::builder().header(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    response
        .body((app.render_metrics)().into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Memory of this process that is in RAM, where the system tells it (proc(5), `VmRSS`).
fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// GET `/.well-known/mapweave-ca.crt`: the authority that a device must trust to trust this server. Phones install
/// what comes with this type.
pub fn authority(app: &Arc<App>) -> Result<warp::reply::Response, Problem> {
    let authority = app
        .identity
        .as_ref()
        .and_then(|identity| identity.authority());
    let authority = authority.ok_or_else(|| {
        let detail = "this server's certificate is not of its own making (tls.self_signed)";
        Problem::new(
            StatusCode::NOT_FOUND,
            "no-authority",
            "There is no authority to trust",
            detail,
        )
    })?;
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/x-x509-ca-cert")
        .header(
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"mapweave-ca.crt\"",
        )
        .header(header::CACHE_CONTROL, "no-cache");
    response
        .body(authority.to_vec().into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}
