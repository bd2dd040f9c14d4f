//! The server within this process, over a store whose disk does as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use mapweave::config::Config;
use mapweave::server::{ServeError, listen, run};
use mapweave::telemetry;
use mapweave_storage::{FaultyDisk, SledStore, StoreOptions};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::endpoint::Endpoint;
use super::wait::within;

/// A running server.
pub struct Hosted {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What it stores in.
    pub store: Arc<SledStore>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Hosted {
    /// Starts it on what the folder holds.
    pub fn start(folder: &TempDir, disk: &FaultyDisk) -> Self {
        let options = StoreOptions {
            disk: Arc::new(disk.clone()),
            free_bytes_min: 0,
            ..StoreOptions::default()
        };
        let (store, report) = SledStore::open(folder.path(), options).expect("a store");
        assert!(report.problems.is_empty(), "{report:?}");
        let store = Arc::new(store);
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let endpoint = Endpoint::at(listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let figures = telemetry::metrics().expect("figures");
        let running = tokio::spawn(run(
            listener,
            None,
            Arc::new(Config::default()),
            store.clone(),
            mapweave::auth::Gate::wide_open(store.clone()),
            Arc::new(move || figures.render()),
            async {
                // Whoever forgets to stop it has dropped it.
                let _ = stopped.await;
            },
        ));
        Self {
            endpoint,
            stop: Some(stop),
            running,
            store,
        }
    }

    /// Ends it as it should end.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.ended().await.expect("a clean stop");
    }

    /// Waits until the server has ended by itself or was stopped, then closes the store.
    pub async fn ended(self) -> Result<(), ServeError> {
        let ended = within("the server has ended", self.running).await;
        // A store that failed says so again when it is closed.
        let _ = Arc::into_inner(self.store).map(SledStore::close);
        ended.expect("a server that does not panic")
    }
}

impl Deref for Hosted {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}
