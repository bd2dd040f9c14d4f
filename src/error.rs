//! What made a command fail, in words that say what to do, and the exit code that goes with it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use mapweave_proto::MapName;
use mapweave_storage::StoreError;

use crate::auth::{GateError, KeyError, MintError};
use crate::config::ConfigProblems;
use crate::formats::ExportError;
use crate::relay::upstream::UpstreamError;
use crate::room::{EnterError, LoadError, Refused, RequestError};
use crate::server::ServeError;
use crate::telemetry::TelemetryError;
use crate::tls::TlsError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked. Exit code 0.
    Done,
    /// It did not, or found something wrong. Exit code 1.
    Failed,
    /// It was asked in a way that makes no sense, a configuration with problems included. Exit code 2.
    BadUsage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::BadUsage => Self::from(2),
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Arguments that parse but make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The configuration has problems.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// Who may enter cannot be told.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A token cannot be made or taken back.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// Messages or figures cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Certificates, keys or trust are not as they must be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store cannot be opened or used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to work on.
    #[error("there is no store in {}: name its folder with --data, or a running server with --server", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// A map cannot be loaded from the store.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A map did not take what it was given.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is no way into a map.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// Bytes that are no update.
    #[error("{what}: {why}")]
    Update {
        /// Whose bytes they are.
        what: String,
        /// What is wrong with them.
        why: Refused,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {hint}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the machine said.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// Another server cannot be exchanged with.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The server ended by itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A part of this program broke off.
    #[error("{what} broke off: {why}")]
    Internal {
        /// Which part.
        what: &'static str,
        /// What it left behind.
        why: String,
    },
    /// The machine failed at something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// The command's own output cannot be written. Nothing is said about it: nobody reads.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// There is no map of the name.
    #[error("there is no map {name:?}{}", similar_to(similar))]
    UnknownMap {
        /// The name asked for.
        name: MapName,
        /// Names that it may have been meant to be.
        similar: Vec<String>,
    },
    /// Records of a file cannot be taken in; each was named before.
    #[error("{count} {} wrong; {consequence}", if *count == 1 { "record is" } else { "records are" })]
    BadInput {
        /// How many.
        count: u64,
        /// What that means for the map.
        consequence: &'static str,
    },
    /// An import was cut short.
    #[error(
        "{source}; {done} of {total} updates are written and durable: run the import again to go on"
    )]
    ImportStopped {
        /// Updates that are durable.
        done: u64,
        /// Updates that there are.
        total: u64,
        /// What stopped it.
        source: Box<Error>,
    },
    /// A map cannot be written as was asked.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A file as a whole cannot be taken in.
    #[error("{}: {why}", file.display())]
    BadFile {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// No server answers.
    #[error(
        "cannot reach {server}: {why}; is it running? To work on a stopped server's data, use --data DIR"
    )]
    Unreachable {
        /// Where it should be.
        server: String,
        /// What the machine said.
        why: String,
    },
    /// A server shows a certificate that is not trusted, or speaks no TLS that can be agreed on.
    #[error(
        "{server} is not trusted: {why}; say whom to trust with --ca FILE or --pin FINGERPRINT (the server says its fingerprint when it starts)"
    )]
    Untrusted {
        /// Where it is.
        server: String,
        /// What is wrong.
        why: String,
    },
    /// A server answers with an error.
    #[error("{server} answers {status} {title}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Answer {
        /// Who answers.
        server: String,
        /// The HTTP status.
        status: u16,
        /// In short.
        title: String,
        /// At length.
        detail: String,
    },
    /// What answers is no Mapweave of this kind.
    #[error("{server} answers, but not as a Mapweave server does ({what}); check the address")]
    Stranger {
        /// Who answers.
        server: String,
        /// What is wrong with the answer.
        what: String,
    },
}

impl Error {
    /// The exit that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Key(_) => Exit::BadUsage,
            Self::Gate(GateError::Key(_) | GateError::Webhook(_)) => Exit::BadUsage,
            Self::Serve(ServeError::Webhook(_)) => Exit::BadUsage,
            _ => Exit::Failed,
        }
    }

    /// Whether there is nobody to tell: the reader of our output has gone away (`mapweave export M | head`).
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

fn similar_to(similar: &[String]) -> String {
    match similar {
        [] => "; `mapweave maps` lists them all".to_owned(),
        names => format!(
            "; did you mean {}?",
            names
                .iter()
                .map(|n| format!("{n:?}"))
                .collect::<Vec<_>>()
                .join(" or ")
        ),
    }
}
