//! `/hocuspocus`: the Hocuspocus protocol, many maps on one socket.

use std::future::Future;
use std::sync::Arc;

use mapweave_proto::MapName;
use mapweave_proto::hocuspocus::Address;
use mapweave_storage::Protocol;
use tracing::Instrument;
use warp::hyper::body::Bytes;
use warp::hyper::upgrade::OnUpgrade;

use super::entrance::Caller;
use super::problem::Problem;
use super::quota::Whose;
use super::socket::{self, Request};
use super::state::{App, SocketPlace};
use super::ws::{Deliveries, Door, Entry, Grant, NoEntry, Socket};
use crate::auth::{Permit, Refused};
use crate::room::{EnterError, IfUnknown};

/// Answers a request for a socket. What is wrong with the server is said before the upgrade, what is wrong with a
/// map at its address.
pub fn upgrade(
    app: &Arc<App>,
    caller: Caller,
    request: Request,
) -> Result<warp::reply::Response, Problem> {
    let answer = request.handshake()?;
    if caller.token().is_some() {
        app.greet(&caller)?;
    }
    app.check_writable()?;
    let (place, on_upgrade) = (app.take_socket_place()?, request.upgradable()?);
    let span = tracing::info_span!("hocuspocus", address = %caller.address.0);
    let task = run(app.clone(), caller, place, on_upgrade);
    app.tasks.spawn(task.instrument(span));
    Ok(answer.map(|()| Bytes::new().into()))
}

async fn run(app: Arc<App>, caller: Caller, place: SocketPlace, on_upgrade: OnUpgrade) {
    let Some((stream, early)) = socket::upgraded(on_upgrade).await else {
        return;
    };
    let limits = &app.config.limits;
    let socket = Socket {
        stream: Arc::new(stream),
        early,
        frame_bytes_max: limits.frame_bytes_max,
        limits: socket::session_limits(&app),
        queue_bytes_max: limits.session_queue_bytes_max,
        unfinished: app.unfinished.clone(),
        deliveries: Deliveries::new(limits),
        rooms: app.rooms.clone(),
        stop: app.stop.clone(),
        door: Guarded(Arc::new(Guard {
            app: app.clone(),
            caller,
        })),
    };
    // The box keeps a connection's memory apart from the upgrade's.
    Box::pin(socket.serve()).await;
    drop(place);
}

/// Lets in whom the gate does.
struct Guarded(Arc<Guard>);

struct Guard {
    app: Arc<App>,
    /// A message without a token counts with that of the socket's own request, if it had one.
    caller: Caller,
}

impl Door for Guarded {
    fn enter(
        &self,
        address: Address,
        token: Option<String>,
    ) -> impl Future<Output = Result<Entry, NoEntry>> + Send + 'static {
        let guard = self.0.clone();
        async move { guard.enter(&address, token.as_deref()).await }
    }

    fn renew(
        &self,
        address: Address,
        token: String,
    ) -> impl Future<Output = Result<Grant, NoEntry>> + Send + 'static {
        let guard = self.0.clone();
        async move {
            let (_, permit) = guard.admit(&address, Some(&token)).await?;
            Ok(guard.grant(&permit))
        }
    }
}

impl Guard {
    async fn enter(&self, address: &Address, token: Option<&str>) -> Result<Entry, NoEntry> {
        let app = &self.app;
        if app.check_writable().is_err() {
            return Err(NoEntry::Unavailable("nothing can be stored now"));
        }
        let (name, permit) = self.admit(address, token).await?;
        let room = match app.rooms.enter(&name, IfUnknown::Open) {
            Ok(room) => room,
            Err(EnterError::Stopping) => {
                return Err(NoEntry::Unavailable("the server is stopping"));
            }
            Err(error) => return Err(denied(error)),
        };
        let places = app
            .take_places(&room, Whose::of(&permit.who, self.caller.ip()))
            .map_err(|problem| denied(problem.detail()))?;
        Ok(Entry {
            room,
            grant: self.grant(&permit),
            places,
        })
    }

    async fn admit(
        &self,
        address: &Address,
        token: Option<&str>,
    ) -> Result<(MapName, Permit), NoEntry> {
        let name = MapName::parse(address.name()).map_err(denied)?;
        let token = token.filter(|token| !token.is_empty());
        let token = token.or_else(|| self.caller.token());
        let permit = self.app.gate.admit(token, &name, self.caller.ip()).await;
        let permit = permit.map_err(|refused| match refused {
            Refused::Unavailable(_) => NoEntry::Unavailable("who may enter cannot be found out"),
            refused => denied(refused),
        })?;
        Ok((name, permit))
    }

    fn grant(&self, permit: &Permit) -> Grant {
        Grant {
            access: permit.access,
            pace: self.app.pace(&permit.who),
            origin: self.caller.origin(&permit.who, Protocol::Hocuspocus),
            expires_at_ms: permit.expires_at_ms,
            ended: self.app.gate.ended(permit),
        }
    }
}

fn denied(reason: impl ToString) -> NoEntry {
    NoEntry::Denied(reason.to_string())
}
