//! `mapweave serve`: the server, from its socket to its end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mapweave_storage::UpdateLog;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::console::Console;
use super::target::{Intent, open_store};
use crate::auth::{Gate, system_clock};
use crate::config::Config;
use crate::tls::{self, Identity};
use crate::{Error, Exit, server, telemetry};

/// How often figures of durations are folded into classes, which bounds their memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Stack of a thread. yrs goes down one call for every client in a row of clients that depend on each other;
/// memory is taken only as far as a stack is used.
const THREAD_STACK_BYTES: usize = 16 << 20;

/// A thread that always has something to do looks after so many steps whether sockets have news: steps may take
/// milliseconds while somebody keeps the server busy, and whoever comes then should not wait for sixty of them.
const EVENT_INTERVAL: u32 = 13;

/// How long work that nobody waits for any more may go on after the server has stopped.
const READERS: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM; a second one ends the process at once.
pub(super) fn run(config: Config, console: &mut Console) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(THREAD_STACK_BYTES)
        .event_interval(EVENT_INTERVAL)
        .enable_all()
        .build();
    let runtime = runtime.map_err(Error::io("start the runtime of", Path::new("the server")))?;
    let ended = runtime.block_on(async {
        let shutdown = signals()?;
        serve(config, console, shutdown).await
    });
    // Whatever still reads (a check of everything, a large map) must not hold the process up.
    runtime.shutdown_timeout(READERS);
    ended
}

/// Serves until `shutdown` completes. Standard output gets one line, `listening on http://ADDRESS:PORT`,
/// once the store is open.
pub(super) async fn serve(
    config: Config,
    console: &mut Console,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<Exit, Error> {
    raise_file_limit();
    // The port first: who starts a second server by mistake learns it before anything is touched.
    let listener = listen(config.listen)?;
    let address = listener
        .local_addr()
        .map_err(|source| refused(config.listen, source))?;
    let store = Arc::new(open_store(&config, Intent::Create)?);
    let identity = Identity::open(&config)?;
    let reload = reloads()?;
    let log: Arc<dyn UpdateLog> = store.clone();
    let gate = Gate::open(&config, log.clone(), system_clock()).await?;
    let handle = telemetry::metrics()?;
    let render = handle.clone();
    let scheme = if identity.is_some() { "https" } else { "http" };
    console.line(format_args!("listening on {scheme}://{address}"))?;
    console.flush()?;
    if let Some(identity) = &identity {
        say_whom_to_trust(identity, address, &config, console);
    }
    tracing::info!(%address, scheme, data = %config.data.display(), version = env!("CARGO_PKG_VERSION"), "serving");
    say_who_may_enter(&gate, config.listen);
    let running = server::run(
        listener,
        identity.clone(),
        Arc::new(config),
        log,
        gate,
        Arc::new(move || render.render()),
        shutdown,
    );
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP).await;
            handle.run_upkeep();
        }
    };
    tokio::select! {
        ended = running => ended?,
        () = upkeep => {}
        () = keep_identity(identity, reload) => {}
    }
    // Whoever still holds the store has passed the deadline; dropping the last handle closes it as well.
    if let Some(store) = Arc::into_inner(store) {
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        closed.map_err(|error| Error::Internal {
            what: "closing the store",
            why: error.to_string(),
        })??;
    }
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// Says how a device comes to trust a certificate that no authority of the world vouches for. Others need no word.
fn say_whom_to_trust(
    identity: &Identity,
    address: SocketAddr,
    config: &Config,
    console: &mut Console,
) {
    let fingerprint = identity.fingerprint();
    tracing::info!(%fingerprint, "speaking TLS");
    if identity.authority().is_none() {
        return;
    }
    let file = config.data.join(tls::FOLDER).join(tls::AUTHORITY_FILE);
    let names: Vec<String> = identity.names().into_iter().collect();
    let (names, port, file) = (names.join(", "), address.port(), file.display());
    console.say(
        "This server's certificate is of its own making. The SHA-256 fingerprint of its authority:",
    );
    console.say(format_args!("  {fingerprint}"));
    console.say("To trust it on a phone or laptop, open /.well-known/mapweave-ca.crt there and install the file as a");
    console.say("certificate authority, if its fingerprint is this one. For commands, say");
    console.say(format_args!("  --ca {file}    or    --pin {fingerprint}"));
    console.say(format_args!(
        "The certificate is for port {port} of {names}."
    ));
}

/// Keeps the certificate up to date, and looks at it at once on SIGHUP. Never completes.
async fn keep_identity(identity: Option<Arc<Identity>>, mut reload: Signal) {
    let asked = Notify::new();
    let kept = async {
        match identity {
            Some(identity) => identity.keep(&asked).await,
            None => std::future::pending().await,
        }
    };
    let heard = async {
        while reload.recv().await.is_some() {
            tracing::info!("asked to look at the certificate again");
            asked.notify_one();
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(kept, heard);
}

/// SIGHUP, which would end the process otherwise.
fn reloads() -> Result<Signal, Error> {
    signal(SignalKind::hangup())
        .map_err(Error::io("watch for signals to", Path::new("this process")))
}

fn say_who_may_enter(gate: &Gate, listen: SocketAddr) {
    match (gate.is_wide_open(), gate.anonymous()) {
        (true, _) if listen.ip().is_loopback() => {
            tracing::info!("no key is set: everybody on this machine is an owner of every map");
        }
        (true, _) => {
            tracing::warn!(
                "no key is set: everybody who reaches this address is an owner of every map"
            );
        }
        (false, Some(role)) => {
            tracing::warn!(%role, "those without a token have this role in every map");
        }
        (false, None) => tracing::info!("nobody enters without a token"),
    }
}

/// Every connection is an open file, and shells give out few of them; up to the hard limit we may help ourselves.
fn raise_file_limit() {
    let mut limits = getrlimit(Resource::Nofile);
    if limits.current != limits.maximum {
        limits.current = limits.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limits) {
            tracing::warn!(%error, "the number of open files stays as it is; `mapweave doctor` tells what is needed");
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    server::listen(address).map_err(|source| refused(address, source))
}

fn refused(address: SocketAddr, source: io::Error) -> Error {
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port: stop it, or listen on another port with --listen (port 0 takes a free one)"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose a higher one with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose another one with --listen"
        }
        _ => "choose another address with --listen",
    };
    Error::Listen {
        address,
        source,
        hint,
    }
}

/// Completes at the first signal to stop; the second one then has its usual effect and more: the process ends.
fn signals() -> Result<impl Future<Output = ()> + Send, Error> {
    let watch =
        |kind| signal(kind).map_err(Error::io("watch for signals to", Path::new("this process")));
    let (mut interrupt, mut terminate) = (
        watch(SignalKind::interrupt())?,
        watch(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; a second signal cuts it short");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            // What is acknowledged is durable, so this costs a recovery at the next start and nothing else.
            std::process::exit(1);
        });
    })
}
