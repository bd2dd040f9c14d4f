//! What all routes share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use mapweave_proto::{DocId, MapName, Seq};
use mapweave_storage::{Health, MapEntry, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::document::Pins;
use super::events::Sessions;
use super::pace::Paces;
use super::problem::Problem;
use super::quota::{Counted, Quotas, Whose};
use super::unfinished::Unfinished;
use super::upload::{FREE_BYTES_MIN, Spool};
use crate::auth::Gate;
use crate::config::Config;
use crate::relay::{Relay, Revoked};
use crate::room::{self, IfUnknown, RoomHandle, RoomPlace, Rooms, Summary};
use crate::tls::Identity;

/// Renders the metrics of this process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The server as its routes see it.
pub struct App {
    /// Live maps.
    pub rooms: Arc<Rooms>,
    /// Who may do what.
    pub gate: Arc<Gate>,
    /// Settings.
    pub config: Arc<Config>,
    /// The server's certificate, where it speaks TLS itself.
    pub identity: Option<Arc<Identity>>,
    /// What `/metrics` shows.
    pub render_metrics: RenderMetrics,
    /// Tasks that a stop waits for.
    pub tasks: TaskTracker,
    /// Rings when the server stops.
    pub stop: CancellationToken,
    /// Where large bodies wait.
    pub spool: Spool,
    /// Messages and bodies on their way.
    pub unfinished: Arc<Unfinished>,
    /// Event streams, by the keys that their clients were told.
    pub listeners: Arc<Sessions>,
    /// What is exchanged with other stores.
    pub relay: Arc<Relay>,
    /// States that are being downloaded.
    pub pins: Pins,
    /// How fast each person sends.
    pub(super) paces: Paces,
    quotas: Arc<Quotas>,
    sockets: AtomicUsize,
    summaries: Mutex<HashMap<DocId, (Seq, Summary)>>,
}

/// A place among the open sockets, given back when dropped.
pub struct SocketPlace {
    app: Arc<App>,
    /// Where it counts for a person or an address; given back with it.
    _counted: Option<Counted>,
}

/// The places of a connection in the server and in a map.
pub type Places = (SocketPlace, RoomPlace);

/// What a gate knows of rights that were taken back, for relays.
pub(crate) fn revoked_by(gate: Arc<Gate>) -> Revoked {
    Arc::new(move |user, at_s| match user {
        Some(user) => gate.is_revoked(user, Some(at_s)),
        None => !gate.revocations().is_empty(),
    })
}

impl App {
    /// A server that has not begun.
    pub fn new(
        rooms: Arc<Rooms>,
        gate: Arc<Gate>,
        config: Arc<Config>,
        identity: Option<Arc<Identity>>,
        render_metrics: RenderMetrics,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (sockets, summaries) = (AtomicUsize::new(0), Mutex::default());
        let spool = Spool::new(&config.data, FREE_BYTES_MIN);
        let unfinished = Unfinished::new(config.limits.unfinished_bytes_max);
        Arc::new(Self {
            relay: Relay::new(
                rooms.clone(),
                config.limits.update_bytes_max,
                revoked_by(gate.clone()),
            ),
            rooms,
            gate,
            config,
            identity,
            render_metrics,
            tasks,
            stop,
            spool,
            unfinished,
            listeners: Arc::default(),
            pins: Pins::default(),
            paces: Paces::default(),
            quotas: Arc::default(),
            sockets,
            summaries,
        })
    }

    /// Whether the store takes writes.
    ///
    /// # Errors
    /// A problem that says why it does not.
    pub fn check_writable(&self) -> Result<(), Problem> {
        match self.rooms.store().health() {
            Health::Ok => Ok(()),
            Health::ReadOnly(why) | Health::Poisoned(why) => Err(Problem::unavailable(format!(
                "nothing can be stored now, what you have is still yours: {why}"
            ))),
        }
    }

    /// Places for a connection of `whose` that stays in `room`.
    ///
    /// # Errors
    /// Where none is left for them, in the map or in the server.
    pub fn take_places(
        self: &Arc<Self>,
        room: &RoomHandle,
        whose: Option<Whose>,
    ) -> Result<Places, Problem> {
        let limits = &self.config.limits;
        let count = |whose| self.quotas.count(whose, room.doc(), limits);
        let counted = whose.map(count).transpose()?;
        let in_map = room.take_place(self.config.limits.sessions_per_map_max);
        let in_map = in_map.ok_or_else(|| {
            Problem::unavailable(
                "this map has as many connections as it may (limits.sessions_per_map_max)",
            )
        })?;
        Ok((self.take_counted_place(counted)?, in_map))
    }

    /// A place for a socket.
    ///
    /// # Errors
    /// Where none is left.
    pub fn take_socket_place(self: &Arc<Self>) -> Result<SocketPlace, Problem> {
        self.take_counted_place(None)
    }

    fn take_counted_place(
        self: &Arc<Self>,
        counted: Option<Counted>,
    ) -> Result<SocketPlace, Problem> {
        let max = self.config.limits.sessions_max;
        let taken = self
            .sockets
            .fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1));
        match taken {
            Ok(_) => Ok(SocketPlace {
                app: self.clone(),
                _counted: counted,
            }),
            Err(_) => Err(Problem::unavailable(
                "this server has as many connections as it may (limits.sessions_max)",
            )),
        }
    }

    /// Sockets that are open.
    pub fn sockets(&self) -> usize {
        self.sockets.load(Relaxed)
    }

    /// What a list of maps tells of `entry`, without loading it where that can be avoided.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub async fn summary(self: &Arc<Self>, entry: &MapEntry) -> Result<Summary, Problem> {
        let known = self.lock_summaries().get(&entry.id).cloned();
        if let Some((_, summary)) = known.filter(|(seq, _)| *seq == entry.head.last) {
            return Ok(summary);
        }
        let summary = match self.stored_summary(entry).await? {
            Some(summary) => summary,
            None => {
                self.rooms
                    .enter(&entry.name, IfUnknown::Refuse)?
                    .summary()
                    .await?
            }
        };
        self.lock_summaries()
            .insert(entry.id, (entry.head.last, summary.clone()));
        Ok(summary)
    }

    async fn stored_summary(&self, entry: &MapEntry) -> Result<Option<Summary>, Problem> {
        if self.rooms.is_live(&entry.name) || entry.head.newest_snapshot != Some(entry.head.last) {
            return Ok(None);
        }
        let fetched = room::fetch(self.rooms.store().as_ref(), entry.id).await;
        Ok(fetched
            .map_err(|e| Problem::unavailable(e.to_string()))?
            .stored
            .map(|stored| stored.summary))
    }

    /// Held for one look-up only, never over an await.
    fn lock_summaries(&self) -> std::sync::MutexGuard<'_, HashMap<DocId, (Seq, Summary)>> {
        self.summaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.app.sockets.fetch_sub(1, Relaxed);
    }
}

/// The map named in a path segment.
///
/// # Errors
/// Where it is no map name.
pub fn map_name(segment: &str) -> Result<MapName, Problem> {
    MapName::from_path(segment).map_err(|error| Problem::bad_name(&error))
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken { .. } | StoreError::MapExists { .. } => {
                Self::name_taken(error.to_string())
            }
            other => Self::unavailable(other.to_string()),
        }
    }
}
