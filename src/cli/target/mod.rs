//! What a command works on: a data folder whose server is stopped, or a running server. Start at [`choose`].

mod local;
mod remote;

use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mapweave_proto::{MapName, Seq};
use serde::{Deserialize, Serialize};

pub use local::Local;
pub(super) use local::open_store;
pub(super) use remote::Probe;
pub use remote::{Remote, ServerUrl};

use super::args::TargetArgs;
use crate::Error;
use crate::auth::{Revocation, Secret};
use crate::config::{Config, Environment, nearest};
use crate::room::Verified;
use crate::tls::Trust;

/// Where maps are read and written.
///
/// Futures do their work while they are polled, on the runtime of [`block_on`].
pub trait Target: Send + Sync {
    /// What it is, for people: `the server http://127.0.0.1:8080`.
    fn describe(&self) -> String;

    /// All maps that are not deleted, by name.
    fn maps(&self) -> BoxFuture<'_, Result<Vec<MapInfo>, Error>>;

    /// Whether there is a map of this name, deleted or not.
    fn knows<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<bool, Error>>;

    /// The state of a map as one v1 update, without updates that wait for missing ones; `None` where there is no such map.
    fn state<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<Option<Bytes>, Error>>;

    /// Writes a v1 update to a map, which comes into being by it; resolves once that is durable, to the place of
    /// the log that contains it. An update that brings nothing new adds nothing.
    fn submit<'a>(&'a self, map: &'a MapName, update: Bytes) -> BoxFuture<'a, Result<Seq, Error>>;

    /// Stores a snapshot of a map; resolves to the last record in it.
    fn compact<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<Seq, Error>>;

    /// Checks one map or all.
    fn verify<'a>(&'a self, only: Option<&'a MapName>) -> BoxFuture<'a, Result<Verified, Error>>;

    /// Takes a token or a person's tokens back; resolves once that is durable.
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), Error>>;

    /// All that was taken back.
    fn revocations(&self) -> BoxFuture<'_, Result<Vec<Revocation>, Error>>;

    /// Lets go of it, once everything written is durable.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}

/// A map in the list, in the words of `mapweave maps --json` and `GET /api/v1/maps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapInfo {
    /// Its name.
    pub name: String,
    /// The title that people gave it.
    pub title: Option<String>,
    /// Features shown.
    pub features: u64,
    /// Records of its log.
    pub updates: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// When the last record was stored, RFC 3339 in UTC.
    pub last_edit: Option<String>,
    /// Why the map cannot be loaded, which leaves title and features untold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a command changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// It reads only: a store that is not there is not made, one that is there is not changed.
    Read,
    /// It writes to maps that exist.
    Change,
    /// It may be the first to write here.
    Create,
}

/// Completes `work` on a runtime of this thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Error::io("start the runtime of", Path::new("this command")))?;
    runtime.block_on(work)
}

/// `--data`, else `--server`, else the server at the configured address if one answers, else the configured folder.
pub(super) async fn choose(
    args: &TargetArgs,
    intent: Intent,
    config: &Config,
    environment: &dyn Environment,
) -> Result<Box<dyn Target>, Error> {
    if args.data.is_some() {
        return Ok(Box::new(Local::open(config, intent)?));
    }
    let token = bearer(args, environment);
    if let Some(server) = named_server(args, environment)? {
        return Ok(Box::new(server.bearing(token)));
    }
    for guess in Remote::guesses(config)? {
        if let Probe::Mapweave { .. } = guess.probe().await {
            return Ok(Box::new(guess.bearing(token)));
        }
    }
    Ok(Box::new(Local::open(config, intent)?))
}

/// The token of `--token` or `MAPWEAVE_TOKEN`.
fn bearer(args: &TargetArgs, environment: &dyn Environment) -> Option<Secret> {
    let variables = environment.variables().into_iter();
    let variable = variables
        .filter(|(name, _)| name == "MAPWEAVE_TOKEN")
        .filter_map(|(_, value)| value.into_string().ok());
    let given = args
        .token
        .clone()
        .or_else(|| variable.map(Secret::new).next());
    given.filter(|token| !token.is_empty())
}

/// The server that a flag or `MAPWEAVE_SERVER` names, trusted as `--ca`, `--pin` or their variables say.
pub(super) fn named_server(
    args: &TargetArgs,
    environment: &dyn Environment,
) -> Result<Option<Remote>, Error> {
    let Some(url) = given(args.server.as_ref(), "MAPWEAVE_SERVER", environment)? else {
        return Ok(None);
    };
    let authorities = match args.ca.as_slice() {
        [] => given::<PathBuf>(None, "MAPWEAVE_CA", environment)?
            .into_iter()
            .collect(),
        files => files.to_vec(),
    };
    let trust = Trust {
        authorities,
        pin: given(args.pin.as_ref(), "MAPWEAVE_PIN", environment)?,
    };
    Remote::new(url, &trust).map(Some)
}

/// What a flag says, else what a variable says.
fn given<T: Clone + FromStr<Err: Display>>(
    flag: Option<&T>,
    variable: &str,
    environment: &dyn Environment,
) -> Result<Option<T>, Error> {
    if let Some(value) = flag {
        return Ok(Some(value.clone()));
    }
    let variables = environment.variables();
    let value = variables
        .iter()
        .find(|(name, _)| name == variable)
        .and_then(|(_, value)| value.to_str());
    let parsed = value.map(str::parse).transpose();
    parsed.map_err(|why| Error::Usage(format!("environment variable {variable}: {why}")))
}

/// The error for a map that is not there, with names that it may have been meant to be.
pub(super) async fn unknown(target: &dyn Target, name: &MapName) -> Error {
    const SIMILAR_MAX: usize = 3;
    let maps = target.maps().await.unwrap_or_default();
    let mut names: Vec<&str> = maps.iter().map(|map| map.name.as_str()).collect();
    let mut similar = Vec::new();
    while let Some(found) =
        nearest(name.as_str(), names.iter().copied()).filter(|_| similar.len() < SIMILAR_MAX)
    {
        similar.push(found.to_owned());
        names.retain(|name| *name != found);
    }
    let word = name.as_str();
    let contains = |n: &&str| n.contains(word) || word.contains(*n);
    similar.extend(
        names
            .into_iter()
            .filter(contains)
            .take(SIMILAR_MAX - similar.len())
            .map(str::to_owned),
    );
    Error::UnknownMap {
        name: name.clone(),
        similar,
    }
}
