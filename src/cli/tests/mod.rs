//! Commands as a user runs them, without a process: arguments in, output and exit out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod operate;
mod transfer;

use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use mapweave_proto::MapName;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use yrs::{Any, Doc, Map, ReadTxn, StateVector, Transact};

use super::target::{Intent, Local, Target};
use super::{Console, Watched, run, serve};
use crate::Exit;
use crate::config::{Config, FixedEnvironment};

/// What a command said and how it ended.
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

/// A stream that can be read while it is written.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An address that is ours and where nobody listens, so that no other test's server can come to have it.
fn nobody() -> String {
    static HELD: OnceLock<(TcpSocket, String)> = OnceLock::new();
    let held = HELD.get_or_init(|| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        (socket, address)
    });
    held.1.clone()
}

/// Runs `mapweave` with `args` in `folder`; no server answers at the configured address.
pub(super) fn mapweave(folder: &Path, args: &[&str]) -> Ran {
    mapweave_reading(folder, args, "")
}

/// The same with something on standard input.
pub(super) fn mapweave_reading(folder: &Path, args: &[&str], input: &str) -> Ran {
    let environment = FixedEnvironment::in_folder(folder).with("MAPWEAVE_LISTEN", &nobody());
    mapweave_in(&environment, args, input)
}

fn mapweave_in(environment: &FixedEnvironment, args: &[&str], input: &str) -> Ran {
    let (out, err) = (Shared::default(), Shared::default());
    let mut console = Console {
        input: Box::new(Cursor::new(input.as_bytes().to_vec())),
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        watched: Watched::No,
    };
    let args = std::iter::once("mapweave")
        .chain(args.iter().copied())
        .map(Into::into);
    // Quiet, since the log goes to the test's own standard error.
    let environment = environment.clone().with("MAPWEAVE_LOG_FILTER", "off");
    let exit = run(args, &environment, &mut console);
    Ran {
        exit,
        out: out.text(),
        err: err.text(),
    }
}

impl Ran {
    #[track_caller]
    pub(super) fn done(self) -> Self {
        assert_eq!(
            self.exit,
            Exit::Done,
            "out: {}\nerr: {}",
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    pub(super) fn ended(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

fn name(text: &str) -> MapName {
    MapName::parse(text).unwrap()
}

fn config_of(folder: &Path) -> Config {
    Config {
        data: folder.join("data"),
        ..Config::default()
    }
}

/// An update that gives a map its title.
fn titled(title: &str) -> bytes::Bytes {
    let doc = Doc::new();
    let meta = doc.get_or_insert_map("meta");
    meta.insert(&mut doc.transact_mut(), "title", Any::from(title));
    doc.transact()
        .encode_state_as_update_v1(&StateVector::default())
        .into()
}

/// A folder whose store has one map a name.
fn folder_with(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let local = Box::new(Local::open(&config_of(folder.path()), Intent::Create).unwrap());
        for text in names {
            local
                .submit(&name(text), titled(&format!("Map {text}")))
                .await
                .unwrap();
        }
        local.close().await.unwrap();
    });
    folder
}

/// A server in this process, on the store of a folder.
pub(super) struct Served {
    pub(super) url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Exit>>,
}

impl Served {
    pub(super) fn start(folder: &Path) -> Self {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..config_of(folder)
        };
        let (stop, stopped) = oneshot::channel();
        let (said, says) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut console = Console {
                input: Box::new(io::empty()),
                out: Box::new(Announced(said)),
                err: Box::new(io::sink()),
                watched: Watched::No,
            };
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let shutdown = async move { drop(stopped.await) };
            runtime
                .block_on(serve::serve(config, &mut console, shutdown))
                .unwrap()
        });
        let mut text = String::new();
        while !text.ends_with('\n') {
            text += &says
                .recv()
                .expect("the server ended before it had an address");
        }
        let url = text
            .trim()
            .strip_prefix("listening on ")
            .expect("an address")
            .to_owned();
        Self {
            url,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let exit = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            assert_eq!(exit.unwrap(), Exit::Done);
        }
    }
}

/// Passes on what a server says.
struct Announced(std::sync::mpsc::Sender<String>);

impl Write for Announced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
