//! The only place that knows warp and hyper: the accept loop, routes, sockets, start and graceful stop.
//!
//! Start at [`run`].

mod accept;
mod coding;
mod conformance;
mod document;
mod entrance;
mod events;
mod features;
mod forwarded;
mod hocuspocus;
mod import;
mod lobby;
mod maps;
mod methods;
mod origin;
mod pace;
mod page;
mod people;
mod problem;
mod protection;
mod quarantine;
mod quota;
mod relay;
mod routes;
mod share;
mod socket;
mod stalling;
mod state;
mod status;
mod stream;
mod unfinished;
mod upload;
mod verify;
mod ws;
mod ysweet;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mapweave_storage::{Health, UpdateLog};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use accept::listen;
pub use conformance::serve_echo;
pub use origin::{HostError, HostPolicy};
pub use state::RenderMetrics;
pub(crate) use state::revoked_by;
pub use ws::{backlog, frame};

use self::forwarded::Proxies;
use self::protection::Protection;
use self::stream::Handshakes;
use crate::auth::Gate;
use crate::config::Config;
use crate::relay::upstream::{self, Upstream};
use crate::room::{CoreOptions, HeldLimits, RoomOptions, Rooms};
use crate::tls::{Identity, ServiceError, TlsError};
use crate::webhooks::Webhooks;

/// Why the server ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The disk failed in a way that only a restart can recover from.
    #[error(
        "the store failed, and what it last wrote is not certain: {why}. Start again to recover; nothing acknowledged is lost"
    )]
    StorePoisoned {
        /// What the machine said.
        why: String,
    },
    /// The listener has no address.
    #[error("the listening socket cannot be used: {0}")]
    Listener(#[from] std::io::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody can be told what happens.
    #[error("webhooks.url: {0}")]
    Webhook(#[from] ServiceError),
}

/// Serves `listener` over `store`, to those whom `gate` lets in and under TLS where there is an `identity`, until
/// `shutdown` completes. Then stops: no new connections, close codes to all sessions, maps drained and stored, within the
/// configured deadline.
///
/// # Errors
/// [`ServeError`]; the caller exits for its supervisor to start anew.
pub async fn run(
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
    config: Arc<Config>,
    store: Arc<dyn UpdateLog>,
    gate: Arc<Gate>,
    render_metrics: RenderMetrics,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (tasks, room_tasks) = (TaskTracker::new(), TaskTracker::new());
    let stop = CancellationToken::new();
    let live_bytes_max = config.limits.live_maps_bytes_max;
    let rooms = Rooms::new(
        store.clone(),
        room_options(&config),
        live_bytes_max,
        room_tasks.clone(),
    );
    let webhooks = Webhooks::of(&config.webhooks)?;
    if let Some(webhooks) = &webhooks {
        rooms.observe(webhooks.clone());
    }
    let told_all = CancellationToken::new();
    let telling = webhooks.map(|webhooks| tokio::spawn(webhooks.run(told_all.clone())));
    let app = state::App::new(
        rooms.clone(),
        gate,
        config.clone(),
        identity.clone(),
        render_metrics,
        tasks.clone(),
        stop.clone(),
    );
    if let Err(error) = app.spool.clear() {
        tracing::warn!(%error, "what is left of earlier uploads cannot be removed");
    }
    let options = accept_options(&listener, identity.as_ref(), &config)?;
    let accepting = accept::serve(
        listener,
        routes::routes(&app),
        options,
        stop.clone(),
        tasks.clone(),
    );
    let accepting = tokio::spawn(accepting);
    if let Some(head_office) = Upstream::of(&config) {
        tasks.spawn(upstream::keep(app.relay.clone(), head_office, stop.clone()));
    }
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        why = watch_store(&store, &rooms) => Err(ServeError::StorePoisoned { why }),
    };
    stop.cancel();
    // The loop only ends by the token; its own panic would have ended the process's use already.
    let _ = accepting.await;
    rooms.stop();
    for tracker in [&room_tasks, &tasks] {
        tracker.close();
    }
    let deadline = Duration::from_secs(config.server.shutdown_deadline_s);
    let all = async {
        room_tasks.wait().await;
        tasks.wait().await;
        // Nothing happens any more; what happened last is told.
        told_all.cancel();
        if let Some(telling) = telling {
            // Its own panic is in the log already, and nothing else is lost by it.
            let _ = telling.await;
        }
    };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!(
            sockets = app.sockets(),
            maps = rooms.live(),
            "the deadline for stopping has passed"
        );
    }
    ended
}

fn accept_options(
    listener: &TcpListener,
    identity: Option<&Arc<Identity>>,
    config: &Config,
) -> Result<accept::AcceptOptions, ServeError> {
    let Config {
        server,
        limits,
        tls,
        ..
    } = config;
    let header_timeout = Duration::from_secs(limits.header_timeout_s);
    let mut hosts = server.allowed_hosts.clone();
    hosts.extend(identity.iter().flat_map(|identity| identity.names()));
    let tls_config = identity.map(Identity::server_config).transpose()?;
    Ok(accept::AcceptOptions {
        connections_max: limits.connections_max,
        header_timeout,
        unanswered: Duration::from_secs(limits.unanswered_s),
        hosts: HostPolicy::new(listener.local_addr()?.ip(), &hosts, &server.allowed_origins),
        proxies: Proxies::new(server.trusted_proxies.clone(), server.proxy_header),
        protection: Protection::new(tls.hsts_s),
        tls: tls_config
            .map(|config| Handshakes::new(config, limits.handshakes_max, header_timeout)),
    })
}

/// Ends all live maps whenever the store stops taking writes; completes, with the reason, when it is beyond help.
async fn watch_store(store: &Arc<dyn UpdateLog>, rooms: &Arc<Rooms>) -> String {
    let mut watch = store.watch_health();
    while let Some(health) = watch.next().await {
        match health {
            Health::Ok => tracing::info!("the store takes writes"),
            Health::ReadOnly(why) => {
                tracing::error!(
                    why,
                    "the store takes no writes; it goes on by itself when it can"
                );
                rooms.discard_all(&why);
            }
            Health::Poisoned(why) => {
                rooms.discard_all(&why);
                return why;
            }
        }
    }
    std::future::pending().await
}

fn room_options(config: &Config) -> RoomOptions {
    RoomOptions {
        idle_unload: Duration::from_secs(config.room.idle_unload_s),
        snapshot_records: config.room.snapshot_records,
        snapshot_bytes: config.room.snapshot_bytes,
        held: HeldLimits {
            map_bytes_max: config.limits.held_bytes_per_map_max,
            source_bytes_max: config.limits.held_bytes_per_session_max,
            ..HeldLimits::default()
        },
        core: CoreOptions {
            presence_expiry_ms: config.room.presence_expiry_s * 1_000,
            held_expiry_ms: config.room.held_expiry_s * 1_000,
            ..CoreOptions::default()
        },
    }
}
