//! The built server on a free port and a folder of its own: started, killed, stopped, started again.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::endpoint::Endpoint;
use super::process::{Process, Ran, command, run};
use super::wait::until;

/// A server of one test. Dropping it kills the process and asserts that its messages tell of no panic and no error.
pub struct Server {
    folder: TempDir,
    data: PathBuf,
    settings: Vec<String>,
    process: Option<Process>,
    endpoint: Endpoint,
    /// What earlier processes on this folder said.
    log: Vec<String>,
    errors: Errors,
}

/// Whether messages of level ERROR are part of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errors {
    None,
    Expected,
}

impl Server {
    /// A server with the default settings.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with some settings of its own, as in `limits.sessions_max=5`.
    pub async fn with(settings: &[&str]) -> Self {
        let mut server = Self::down(settings);
        server.restart().await;
        server
    }

    /// A server that was not started yet.
    pub fn down(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            data: folder.path().join("data"),
            folder,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            process: None,
            endpoint: Endpoint::at(SocketAddr::from(([127, 0, 0, 1], 0))),
            log: Vec::new(),
            errors: Errors::None,
        }
    }

    /// The same with another data folder than its own.
    pub fn on(mut self, data: &Path) -> Self {
        self.data = data.to_owned();
        self
    }

    /// Messages of level ERROR are part of the test.
    pub fn expect_errors(&mut self) {
        self.errors = Errors::Expected;
    }

    /// The command that starts it.
    pub fn command(&self, listen: &str) -> Command {
        let mut command = command(self.folder.path(), ["serve", "--listen", listen, "--data"]);
        command.arg(&self.data);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command
    }

    /// Starts it, on a free port.
    pub async fn restart(&mut self) {
        self.start_on("127.0.0.1:0").await;
    }

    /// Starts it where it was before.
    pub async fn restart_there(&mut self) {
        let address = self.endpoint.address().to_string();
        self.start_on(&address).await;
    }

    async fn start_on(&mut self, listen: &str) {
        assert!(self.process.is_none(), "the server runs already");
        let process = self.process.insert(Process::spawn(self.command(listen)));
        let address = until("the server says where it listens", || {
            if let Some(status) = process.status() {
                panic!("the server ended ({status}): {}", process.err().join("\n"));
            }
            let out = process.out();
            let url = out.first()?.strip_prefix("listening on ")?;
            let (_, address) = url.split_once("://").expect("a URL");
            Some(address.parse().expect("an address"))
        })
        .await;
        self.endpoint = Endpoint::at(address);
    }

    /// SIGKILL: no time to save anything.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.gone().await;
    }

    /// SIGTERM; what is left to be waited for is its end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGTERM, and an end as it should be.
    pub async fn stop(&mut self) {
        self.terminate();
        self.stopped().await;
    }

    /// Waits for an end as it should be.
    pub async fn stopped(&mut self) {
        assert_eq!(self.gone().await, Some(0), "{}", self.log.join("\n"));
        assert!(self.log.iter().any(|line| line.contains("stopped")));
    }

    /// Waits for its end; its exit code.
    pub async fn gone(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("a running server");
        let status = process.wait().await;
        self.log.extend(process.err());
        status.code()
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        self.process
            .as_ref()
            .expect("a running server")
            .signal(signal);
    }

    /// Memory that it has at hand now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let process = self.process.as_ref().expect("a running server");
        process.resident_bytes()
    }

    /// How many of its lines tell of a panic, over all its lives.
    pub fn panics(&self) -> usize {
        let log = self.log();
        log.iter().filter(|line| line.contains("panicked")).count()
    }

    /// The most memory that the running process has had, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let process = self.process.as_ref().expect("a running server");
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
        let status = status.expect("the state of a child");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok())
            .expect("its peak memory")
    }

    /// What it said on standard error, over all its lives.
    pub fn log(&self) -> Vec<String> {
        let mut log = self.log.clone();
        log.extend(self.process.iter().flat_map(Process::err));
        log
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder for the test's own files, removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `mapweave` with these arguments in this test's folder.
    pub async fn mapweave(&self, args: &[&str]) -> Ran {
        run(self.folder.path(), args).await
    }

    /// `mapweave verify` on the data folder of a stopped server: everything whole, nothing lost.
    pub async fn verify_folder(&self) -> Value {
        assert!(self.process.is_none(), "the server has the folder");
        let data = self.data.to_str().expect("a path in UTF-8");
        self.verified(&["verify", "--json", "--data", data]).await
    }

    /// `mapweave verify` on the running server.
    pub async fn verify_running(&self) -> Value {
        self.verified(&["verify", "--json", "--server", &self.url()])
            .await
    }

    async fn verified(&self, args: &[&str]) -> Value {
        let verified = self.mapweave(args).await.done().json();
        assert_eq!(verified["ok"], true, "{verified:#}");
        assert_eq!(verified["problems"], serde_json::json!([]));
        verified
    }
}

impl Deref for Server {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut log = std::mem::take(&mut self.log);
        if let Some(process) = self.process.take() {
            log.extend(process.err());
        }
        if std::thread::panicking() {
            let tail = log.iter().rev().take(40).rev();
            let tail: Vec<&str> = tail.map(String::as_str).collect();
            return eprintln!("the server's last messages:\n{}", tail.join("\n"));
        }
        let bad = |line: &&String| {
            let error = self.errors == Errors::None && line.contains("ERROR");
            error || line.contains("panicked") || line.contains("RUST_BACKTRACE")
        };
        let bad: Vec<&String> = log.iter().filter(bad).collect();
        assert!(bad.is_empty(), "the server's messages: {bad:#?}");
    }
}
