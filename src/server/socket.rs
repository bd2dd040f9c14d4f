//! `/ws/{map}`: the y-websocket protocol.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use mapweave_proto::{Access, SessionLimits};
use mapweave_storage::Protocol;
use tokio::net::TcpStream;
use tracing::Instrument;
use warp::http::{HeaderMap, StatusCode};
use warp::hyper::Method;
use warp::hyper::upgrade::{OnUpgrade, Upgraded};

use super::accept::PeerAddress;
use super::problem::Problem;
use super::state::{App, SocketPlace, map_name, origin};
use super::ws::{Connection, Peering, switching_protocols};
use crate::room::{IfUnknown, RoomHandle, RoomPlace};

/// Answers a request for a socket. Whatever is wrong is said before the upgrade, since old clients come back
/// without pause from a socket that is closed.
pub fn upgrade(
    app: &Arc<App>,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    on_upgrade: Option<OnUpgrade>,
    address: PeerAddress,
) -> Result<warp::reply::Response, Problem> {
    let answer = switching_protocols(method, headers).map_err(|error| {
        Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket",
            "A WebSocket is needed here",
            error.to_string(),
        )
    })?;
    let name = map_name(path)?;
    app.check_writable()?;
    let room = app.rooms.enter(&name, IfUnknown::Open)?;
    let in_map = room
        .take_place(app.config.limits.sessions_per_map_max)
        .ok_or_else(|| {
            Problem::unavailable(
                "this map has as many connections as it may (limits.sessions_per_map_max)",
            )
        })?;
    let place = app.take_socket_place().ok_or_else(|| {
        Problem::unavailable("this server has as many connections as it may (limits.sessions_max)")
    })?;
    let on_upgrade =
        on_upgrade.ok_or_else(|| Problem::bad_request("this connection cannot be upgraded"))?;
    let span = tracing::info_span!("session", map = name.as_str(), address = %address.0);
    let places = (place, in_map);
    let task = run(app.clone(), room, places, on_upgrade, address);
    app.tasks.spawn(task.instrument(span));
    Ok(answer.map(|()| warp::hyper::body::Bytes::new().into()))
}

async fn run(
    app: Arc<App>,
    room: RoomHandle,
    places: (SocketPlace, RoomPlace),
    on_upgrade: OnUpgrade,
    address: PeerAddress,
) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "the upgrade did not happen"),
    };
    let Some((stream, early)) = socket(upgraded) else {
        return tracing::error!("the upgraded connection is no TCP stream");
    };
    let limits = &app.config.limits;
    let connection = Connection {
        stream: Arc::new(stream),
        early,
        frame_bytes_max: limits.frame_bytes_max,
        limits: session_limits(&app),
        queue_bytes_max: limits.session_queue_bytes_max,
    };
    let peering = Peering {
        room,
        rooms: app.rooms.clone(),
        id: app.rooms.next_session(),
        origin: origin(address, Protocol::YWebsocket),
        access: Access::ReadWrite,
    };
    // The box keeps a connection's memory apart from the upgrade's.
    Box::pin(connection.serve(peering)).await;
    drop(places);
}

fn socket(upgraded: Upgraded) -> Option<(TcpStream, bytes::Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

fn session_limits(app: &App) -> SessionLimits {
    let limits = &app.config.limits;
    SessionLimits {
        update_bytes_max: limits.update_bytes_max,
        awareness_bytes_max: limits.awareness_bytes_max,
        keepalive_ms: app.config.room.keepalive_s * 1_000,
        messages_per_s: limits.messages_per_second,
        messages_burst: limits.messages_burst,
        bytes_per_s: limits.bytes_per_second,
        bytes_burst: limits.bytes_burst,
    }
}
