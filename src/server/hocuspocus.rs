//! `/hocuspocus`: the Hocuspocus protocol, many maps on one socket.

use std::future::{Future, pending, ready};
use std::sync::Arc;

use futures_util::FutureExt;
use mapweave_proto::hocuspocus::Address;
use mapweave_proto::{Access, MapName};
use mapweave_storage::{Origin, Protocol};
use serde::Deserialize;
use tracing::Instrument;
use warp::http::HeaderMap;
use warp::hyper::Method;
use warp::hyper::body::Bytes;
use warp::hyper::upgrade::OnUpgrade;

use super::accept::PeerAddress;
use super::problem::Problem;
use super::socket;
use super::state::{App, SocketPlace, origin};
use super::ws::{Door, Entry, Grant, NoEntry, Socket};
use crate::room::{EnterError, IfUnknown};

/// What an address may say behind its question mark. Providers add parameters of their own, which mean nothing here.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Query {
    #[serde(default)]
    access: Wanted,
}

/// What a client wants to be allowed to do.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    /// Everything that it may.
    #[default]
    Write,
    /// No more than to read, such as for a screen on a wall.
    Read,
}

/// Answers a request for a socket. What is wrong with the server is said before the upgrade, what is wrong with a
/// map at its address.
pub fn upgrade(
    app: &Arc<App>,
    query: Query,
    method: &Method,
    headers: &HeaderMap,
    on_upgrade: Option<OnUpgrade>,
    address: PeerAddress,
) -> Result<warp::reply::Response, Problem> {
    let answer = socket::handshake(method, headers)?;
    app.check_writable()?;
    let (place, on_upgrade) = (app.take_socket_place()?, socket::upgradable(on_upgrade)?);
    let span = tracing::info_span!("hocuspocus", address = %address.0);
    let task = run(app.clone(), query, place, on_upgrade, address);
    app.tasks.spawn(task.instrument(span));
    Ok(answer.map(|()| Bytes::new().into()))
}

async fn run(
    app: Arc<App>,
    query: Query,
    place: SocketPlace,
    on_upgrade: OnUpgrade,
    address: PeerAddress,
) {
    let Some((stream, early)) = socket::upgraded(on_upgrade).await else {
        return;
    };
    let access = match query.access {
        Wanted::Write => Access::ReadWrite,
        Wanted::Read => Access::ReadOnly,
    };
    let limits = &app.config.limits;
    let socket = Socket {
        stream: Arc::new(stream),
        early,
        frame_bytes_max: limits.frame_bytes_max,
        limits: socket::session_limits(&app),
        queue_bytes_max: limits.session_queue_bytes_max,
        unfinished: app.unfinished.clone(),
        rooms: app.rooms.clone(),
        stop: app.stop.clone(),
        door: AnyoneMay {
            app: app.clone(),
            access,
            origin: origin(address, Protocol::Hocuspocus),
        },
    };
    // The box keeps a connection's memory apart from the upgrade's.
    Box::pin(socket.serve()).await;
    drop(place);
}

/// Whoever can reach the server may have every map: any token is taken, as is none.
struct AnyoneMay {
    app: Arc<App>,
    access: Access,
    origin: Arc<Origin>,
}

impl Door for AnyoneMay {
    fn enter(
        &self,
        address: Address,
        _token: Option<String>,
    ) -> impl Future<Output = Result<Entry, NoEntry>> + Send + 'static {
        let (app, grant) = (self.app.clone(), self.grant());
        async move { enter(&app, &address, grant) }
    }

    fn renew(
        &self,
        _address: Address,
        _token: String,
    ) -> impl Future<Output = Result<Grant, NoEntry>> + Send + 'static {
        ready(Ok(self.grant()))
    }
}

impl AnyoneMay {
    fn grant(&self) -> Grant {
        Grant {
            access: self.access,
            origin: self.origin.clone(),
            expires_at_ms: None,
            ended: pending().boxed(),
        }
    }
}

fn enter(app: &Arc<App>, address: &Address, grant: Grant) -> Result<Entry, NoEntry> {
    if app.check_writable().is_err() {
        return Err(NoEntry::Unavailable("nothing can be stored now"));
    }
    let name = MapName::parse(address.name()).map_err(denied)?;
    let room = match app.rooms.enter(&name, IfUnknown::Open) {
        Ok(room) => room,
        Err(EnterError::Stopping) => {
            return Err(NoEntry::Unavailable("the server is stopping"));
        }
        Err(error) => return Err(denied(error)),
    };
    let places = app
        .take_places(&room)
        .map_err(|problem| denied(problem.detail()))?;
    Ok(Entry {
        room,
        grant,
        places,
    })
}

fn denied(reason: impl ToString) -> NoEntry {
    NoEntry::Denied(reason.to_string())
}
