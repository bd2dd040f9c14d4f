//! A data folder, opened by this process alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mapweave_proto::{MapName, Seq, scan};
use mapweave_storage::{
    Access, MapEntry, Origin, Protocol, SledStore, StoreError, StoreOptions, UpdateLog,
};
use tokio_util::task::TaskTracker;

use super::{Intent, MapInfo, Target};
use crate::Error;
use crate::auth::{Gate, Revocation};
use crate::config::Config;
use crate::relay::{Relay, Revoked};
use crate::room::{
    self, CoreOptions, EnterError, HeldLimits, IfUnknown, RoomOptions, Rooms, Summary, Verified,
};
use crate::time::rfc3339_ms;

/// A store in a folder, with the maps of it that were written to live in this process.
///
/// Reading goes to the store directly; writing goes through a room, on the very way that a server's clients take.
pub struct Local {
    folder: PathBuf,
    sled: Option<Arc<SledStore>>,
    store: Arc<dyn UpdateLog>,
    rooms: Arc<Rooms>,
    tasks: TaskTracker,
    update_bytes_max: usize,
}

impl Local {
    /// Opens the configured folder.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while a server runs on it, [`Error::NoStore`] where there is none to read.
    pub(in crate::cli) fn open(config: &Config, intent: Intent) -> Result<Self, Error> {
        let sled = Arc::new(open_store(config, intent)?);
        let mut local = Self::over(sled.clone(), config);
        local.sled = Some(sled);
        Ok(local)
    }

    /// Works on `store`, whatever it is.
    pub fn over(store: Arc<dyn UpdateLog>, config: &Config) -> Self {
        let tasks = TaskTracker::new();
        let options = RoomOptions {
            idle_unload: Duration::from_secs(config.room.idle_unload_s),
            snapshot_records: config.room.snapshot_records,
            snapshot_bytes: config.room.snapshot_bytes,
            held: HeldLimits {
                map_bytes_max: config.limits.held_bytes_per_map_max,
                source_bytes_max: config.limits.held_bytes_per_session_max,
                ..HeldLimits::default()
            },
            core: CoreOptions::default(),
        };
        let rooms = Rooms::new(
            store.clone(),
            options,
            config.limits.live_maps_bytes_max,
            tasks.clone(),
        );
        let update_bytes_max = config.limits.update_bytes_max;
        Self {
            folder: config.data.clone(),
            sled: None,
            store,
            rooms,
            tasks,
            update_bytes_max,
        }
    }

    /// Its store.
    pub(in crate::cli) fn store(&self) -> Arc<dyn UpdateLog> {
        self.store.clone()
    }

    /// Exchanges its maps with other stores.
    pub(in crate::cli) fn relay(&self, revoked: Revoked) -> Arc<Relay> {
        Relay::new(self.rooms.clone(), self.update_bytes_max, revoked)
    }

    /// The map of the name, unless it was deleted.
    fn entry(&self, map: &MapName) -> Result<Option<MapEntry>, Error> {
        match self.store.map(map) {
            Some(entry) if entry.deleted => Err(EnterError::Deleted { name: map.clone() }.into()),
            found => Ok(found),
        }
    }

    async fn info(&self, entry: &MapEntry) -> MapInfo {
        // A map that cannot be loaded must not hide the others.
        let (Summary { features, title }, problem) = match self.summary(entry).await {
            Ok(summary) => (summary, None),
            Err(error) => (Summary::default(), Some(error.to_string())),
        };
        MapInfo {
            name: entry.name.as_str().to_owned(),
            title: Some(title).filter(|title| !title.is_empty()),
            features,
            updates: entry.head.count,
            bytes: entry.head.payload_bytes,
            last_edit: (entry.head.count > 0).then(|| rfc3339_ms(entry.head.last_time_ms)),
            problem,
        }
    }

    /// From the newest snapshot where that is up to date, else from the document.
    async fn summary(&self, entry: &MapEntry) -> Result<Summary, Error> {
        if entry.head.newest_snapshot == Some(entry.head.last) {
            let fetched = room::fetch(self.store.as_ref(), entry.id).await?;
            if let Some(stored) = fetched.stored {
                return Ok(stored.summary);
            }
        }
        let loaded = room::load(&self.store, entry.id).await?;
        Ok(room::summarize(loaded.replica.doc()))
    }
}

impl Target for Local {
    fn describe(&self) -> String {
        format!("the data folder {}", self.folder.display())
    }

    fn maps(&self) -> BoxFuture<'_, Result<Vec<MapInfo>, Error>> {
        async {
            let mut maps = Vec::new();
            for entry in self.store.maps().iter().filter(|entry| !entry.deleted) {
                maps.push(self.info(entry).await);
            }
            Ok(maps)
        }
        .boxed()
    }

    fn knows<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<bool, Error>> {
        async { Ok(self.store.map(map).is_some()) }.boxed()
    }

    fn state<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<Option<Bytes>, Error>> {
        async move {
            let Some(entry) = self.entry(map)? else {
                return Ok(None);
            };
            let fetched = room::fetch(self.store.as_ref(), entry.id).await?;
            if let Some(whole) = fetched.whole_state() {
                return Ok(Some(whole.clone()));
            }
            let loaded = room::build(self.store.as_ref(), fetched).await?;
            let state = loaded.replica.encode_state();
            Ok(Some(state.map_err(|why| Error::Update {
                what: format!("map {map:?}"),
                why,
            })?))
        }
        .boxed()
    }

    fn submit<'a>(&'a self, map: &'a MapName, update: Bytes) -> BoxFuture<'a, Result<Seq, Error>> {
        async move {
            let scanned = scan(update, self.update_bytes_max).map_err(room::Refused::from);
            let update = scanned.map_err(|why| Error::Update {
                what: format!("for map {map:?}"),
                why,
            })?;
            let room = self.rooms.enter(map, IfUnknown::Open)?;
            Ok(room.submit(update, origin()).await?)
        }
        .boxed()
    }

    fn compact<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<Seq, Error>> {
        async move { Ok(self.rooms.enter(map, IfUnknown::Refuse)?.snapshot().await?) }.boxed()
    }

    fn verify<'a>(&'a self, only: Option<&'a MapName>) -> BoxFuture<'a, Result<Verified, Error>> {
        async move { Ok(room::verify(&self.store, only).await?) }.boxed()
    }

    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let gate = Gate::of_books(self.store.clone()).await?;
            Ok(gate.revoke(revocation.clone(), origin()).await?)
        }
        .boxed()
    }

    fn revocations(&self) -> BoxFuture<'_, Result<Vec<Revocation>, Error>> {
        async { Ok(Gate::of_books(self.store.clone()).await?.revocations()) }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        async move {
            self.rooms.stop();
            self.tasks.close();
            self.tasks.wait().await;
            let Self {
                sled, store, rooms, ..
            } = *self;
            drop((store, rooms));
            // Where somebody else still held the store, dropping the last handle closes it.
            match sled.and_then(Arc::into_inner) {
                Some(sled) => Ok(sled.close()?),
                None => Ok(()),
            }
        }
        .boxed()
    }
}

/// Opens the store of the configured folder; the store itself says what recovering it took.
pub(in crate::cli) fn open_store(config: &Config, intent: Intent) -> Result<SledStore, Error> {
    let options = StoreOptions {
        create: intent == Intent::Create,
        access: if intent == Intent::Read {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        },
        journal_file_bytes: config.storage.journal_file_bytes,
        cache_bytes: config.storage.cache_bytes,
        ..StoreOptions::default()
    };
    let (store, report) = SledStore::open(&config.data, options).map_err(|error| match error {
        StoreError::NoStore { path } => Error::NoStore { path },
        other => Error::Store(other),
    })?;
    tracing::info!(
        created = report.created,
        clean = report.clean,
        replayed = report.replayed,
        "the store is open"
    );
    Ok(store)
}

fn origin() -> Arc<Origin> {
    let session = format!("mapweave {}", env!("CARGO_PKG_VERSION"));
    Arc::new(Origin {
        session,
        protocol: Protocol::Cli,
        ..Origin::default()
    })
}
