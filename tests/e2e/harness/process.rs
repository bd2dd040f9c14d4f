//! The built `mapweave` as a process, with everything it says.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_mapweave");

/// A running process. It is killed when dropped.
pub struct Process {
    child: Child,
    out: Lines,
    err: Lines,
}

/// A finished command.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

/// A stream's lines, as they come.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// A command that starts the program in `folder`, knowing nothing of this process's own variables.
pub fn command<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MAPWEAVE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end in `folder`.
pub async fn run<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Ran {
    Process::spawn(command(folder, args)).ended().await
}

impl Process {
    /// Starts it, without standard input.
    pub fn spawn(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let out = Lines::of(child.stdout.take().expect("its output"));
        let err = Lines::of(child.stderr.take().expect("its messages"));
        Self { child, out, err }
    }

    /// Lines on standard output so far.
    pub fn out(&self) -> Vec<String> {
        self.out.get()
    }

    /// Lines on standard error so far.
    pub fn err(&self) -> Vec<String> {
        self.err.get()
    }

    /// Memory that it has at hand now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the state of a child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .and_then(|kib| kib.parse().ok())
            .expect("a number of KiB");
        kib << 10
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to a child");
    }

    /// Waits for its end and returns with all that it said.
    pub async fn ended(mut self) -> Ran {
        let status = self.wait().await;
        Ran {
            code: status.code(),
            out: self.out.get().join("\n"),
            err: self.err.get().join("\n"),
        }
    }

    /// Waits for its end and for the last of what it said.
    pub async fn wait(&mut self) -> ExitStatus {
        let status = until("the program has ended", || self.status()).await;
        self.out.finish();
        self.err.finish();
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // What is gone meanwhile needs no killing.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.out.finish();
        self.err.finish();
    }
}

impl Ran {
    /// Asserts that it did what it was asked.
    #[track_caller]
    pub fn done(self) -> Self {
        self.exited(0)
    }

    /// Asserts how it ended.
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "out:\n{}\nerr:\n{}",
            self.out,
            self.err
        );
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    /// Asserts that all of `words` occur in what it said to people.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in:\n{}", self.err);
        }
        self
    }

    /// Its output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                into.lock().expect("the lines").push(line);
            }
        });
        Self {
            lines,
            reader: Some(reader),
        }
    }

    fn get(&self) -> Vec<String> {
        self.lines.lock().expect("the lines").clone()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of a stream");
        }
    }
}
