//! `/ws/{map}`: the y-websocket protocol, whose sockets are y-sweet's, too.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use mapweave_proto::{CloseReason, SessionId, SessionLimits};
use mapweave_storage::{Origin, Protocol};
use tracing::Instrument;
use warp::Filter;
use warp::http::{HeaderMap, Response, StatusCode};
use warp::hyper::Method;
use warp::hyper::upgrade::{OnUpgrade, Upgraded};

use super::entrance::{Caller, Entered};
use super::problem::Problem;
use super::quota::Whose;
use super::stalling::Watched;
use super::state::{App, Places, SocketPlace, map_name};
use super::stream::Stream;
use super::ws::{Connection, Deliveries, Pause, Peering, switching_protocols, turn_away};
use crate::room::{EnterError, IfUnknown};

/// Answers a request for a socket. Whatever is wrong is said before the upgrade, since old clients come back
/// without pause from a socket that is closed. Only that the map was deleted is said by a close code: browsers
/// tell a page nothing of another answer, and it would go on trying for ever.
pub async fn upgrade(
    app: Arc<App>,
    caller: Caller,
    (path, protocol): (&str, Protocol),
    request: Request,
) -> Result<warp::reply::Response, Problem> {
    let answer = request.handshake()?;
    let name = map_name(path)?;
    let permit = app.depositor(&caller, &name).await?;
    app.check_writable()?;
    let room = match app.rooms.enter(&name, IfUnknown::Open) {
        Ok(room) => room,
        Err(EnterError::Deleted { .. }) => {
            let (place, on_upgrade) = (app.take_socket_place()?, request.upgradable()?);
            app.tasks.spawn(say_deleted(app.clone(), place, on_upgrade));
            return Ok(answer.map(|()| warp::hyper::body::Bytes::new().into()));
        }
        Err(error) => return Err(error.into()),
    };
    let (places, on_upgrade) = (
        app.take_places(&room, Whose::of(&permit.who, caller.ip()))?,
        request.upgradable()?,
    );
    let id = app.rooms.next_session();
    let address = caller.address.0;
    let span = tracing::info_span!("session", session = %id, map = name.as_str(), %address);
    let origin = caller.origin(&permit.who, protocol);
    let entered = Entered { room, permit };
    let task = run(app.clone(), entered, id, origin, places, on_upgrade);
    app.tasks.spawn(task.instrument(span));
    Ok(answer.map(|()| warp::hyper::body::Bytes::new().into()))
}

/// A request for a socket.
pub struct Request {
    method: Method,
    headers: HeaderMap,
    on_upgrade: Option<OnUpgrade>,
}

/// Takes a request for a socket, whatever is wrong with it.
pub(super) fn request() -> impl Filter<Extract = (Request,), Error = Infallible> + Clone {
    warp::method()
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .map(|method, headers, on_upgrade| Request {
            method,
            headers,
            on_upgrade,
        })
}

impl Request {
    /// As [`request`], of one that no route has.
    pub(super) fn of<B>(request: &mut warp::hyper::Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            headers: request.headers().clone(),
            on_upgrade: request.extensions_mut().remove::<OnUpgrade>(),
        }
    }

    /// The answer of [`switching_protocols`], or what is wrong as a problem.
    pub(super) fn handshake(&self) -> Result<Response<()>, Problem> {
        switching_protocols(&self.method, &self.headers).map_err(|error| {
            Problem::new(
                StatusCode::UPGRADE_REQUIRED,
                "websocket",
                "A WebSocket is needed here",
                error.to_string(),
            )
        })
    }

    pub(super) fn upgradable(self) -> Result<OnUpgrade, Problem> {
        let why = "this connection cannot be upgraded";
        self.on_upgrade.ok_or_else(|| Problem::bad_request(why))
    }
}

async fn say_deleted(app: Arc<App>, place: SocketPlace, on_upgrade: OnUpgrade) {
    if let Some((stream, _)) = upgraded(on_upgrade).await {
        let pause = refusal_pause(&app);
        turn_away(stream, &CloseReason::Deleted, pause).await;
    }
    drop(place);
}

async fn run(
    app: Arc<App>,
    Entered { room, permit }: Entered,
    id: SessionId,
    origin: Arc<Origin>,
    places: Places,
    on_upgrade: OnUpgrade,
) {
    let Some((stream, early)) = upgraded(on_upgrade).await else {
        return;
    };
    tracing::debug!("the session begins");
    let limits = &app.config.limits;
    let connection = Connection {
        stream: Arc::new(stream),
        early,
        frame_bytes_max: limits.frame_bytes_max,
        limits: session_limits(&app),
        queue_bytes_max: limits.session_queue_bytes_max,
        unfinished: app.unfinished.clone(),
        deliveries: Deliveries::new(limits),
        pause: refusal_pause(&app),
    };
    let peering = Peering {
        pace: app.pace(&permit.who),
        room,
        rooms: app.rooms.clone(),
        id,
        origin,
        access: permit.access,
        ended: app.gate.ended(&permit),
    };
    // The box keeps a connection's memory apart from the upgrade's.
    Box::pin(connection.serve(peering)).await;
    drop(places);
}

/// What a connection waits before it is told that it is closed for good.
fn refusal_pause(app: &App) -> Pause {
    Pause {
        time: Duration::from_secs(app.config.limits.refusal_pause_s),
        stop: app.stop.clone(),
    }
}

/// The socket, and what came right behind the handshake.
pub(super) async fn upgraded(on_upgrade: OnUpgrade) -> Option<(Stream, bytes::Bytes)> {
    match on_upgrade.await {
        Ok(upgraded) => {
            let socket = socket(upgraded);
            if socket.is_none() {
                tracing::error!("the upgraded connection is no stream of ours");
            }
            socket
        }
        Err(error) => {
            tracing::debug!(%error, "the upgrade did not happen");
            None
        }
    }
}

fn socket(upgraded: Upgraded) -> Option<(Stream, bytes::Bytes)> {
    let parts = upgraded.downcast::<Watched>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

pub(super) fn session_limits(app: &App) -> SessionLimits {
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
