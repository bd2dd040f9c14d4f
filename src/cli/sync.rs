//! `mapweave sync`: exchanges maps with another server, from a data folder or for a running server.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::args::SyncArgs;
use super::console::Console;
use super::context::Context;
use super::target::{self, Intent, Local, Probe, Remote, ServerUrl, Target};
use crate::auth::{Gate, MapPattern, Secret};
use crate::config::{Config, Environment, UpstreamUrl};
use crate::relay::bridge;
use crate::relay::connection::Until;
use crate::relay::upstream::{self, Token, Upstream, matching, pace_of};
use crate::server::revoked_by;
use crate::tls::{Trust, trust_in_own};
use crate::{Error, Exit};

/// The variable that may hold the token.
const TOKEN_VARIABLE: &str = "MAPWEAVE_UPSTREAM_TOKEN";

/// Exchanges until interrupted, or once.
pub(super) fn run(args: &SyncArgs, context: Context<'_>) -> Result<Exit, Error> {
    let Context {
        config,
        environment,
        console,
    } = context;
    let there = Upstream {
        url: args.url.clone(),
        token: token(args, environment)?,
        allow: matching(patterns(args)),
        bytes_per_s: pace_of(args.bytes_per_s),
        trust: Trust {
            authorities: args.ca.clone(),
            pin: args.pin,
        },
    };
    target::block_on(async {
        let stop = CancellationToken::new();
        let interrupted = stop.clone();
        let watch = tokio::spawn(async move {
            // Where signals cannot be watched, they end the process as usual.
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.cancel();
            }
        });
        let ended = match server(args, config).await? {
            Some(url) => between(args, config, &url, &there, &stop, console).await,
            None => folder(args, config, there, &stop, console).await,
        };
        watch.abort();
        ended
    })
}

fn patterns(args: &SyncArgs) -> Vec<MapPattern> {
    if args.maps.is_empty() {
        vec![MapPattern::all()]
    } else {
        args.maps.clone()
    }
}

fn token(args: &SyncArgs, environment: &dyn Environment) -> Result<Token, Error> {
    if let Some(path) = &args.token_file {
        return Ok(Token::File(environment.folder().join(path)));
    }
    let variables = environment.variables();
    let variable = variables
        .iter()
        .find(|(name, _)| name == TOKEN_VARIABLE)
        .and_then(|(_, value)| value.to_str())
        .map(Secret::new);
    let given = args.token.clone().or(variable);
    Ok(given
        .filter(|token| !token.is_empty())
        .map_or(Token::None, Token::Given))
}

/// The running server to exchange for: the one that is named, else one that answers at the configured address.
async fn server(args: &SyncArgs, config: &Config) -> Result<Option<ServerUrl>, Error> {
    if args.data.is_some() || args.server.is_some() {
        return Ok(args.server.clone());
    }
    for guess in Remote::guesses(config)? {
        if let Probe::Mapweave { .. } = guess.probe().await {
            return Ok(Some(guess.url().clone()));
        }
    }
    Ok(None)
}

fn until(args: &SyncArgs) -> Until {
    if args.once { Until::Level } else { Until::Ever }
}

/// Two servers.
async fn between(
    args: &SyncArgs,
    config: &Config,
    url: &ServerUrl,
    there: &Upstream,
    stop: &CancellationToken,
    console: &mut Console,
) -> Result<Exit, Error> {
    console.say(format_args!("using the server {url}"));
    let here = Upstream {
        url: url
            .to_string()
            .parse::<UpstreamUrl>()
            .map_err(Error::Usage)?,
        token: args.server_token.clone().map_or(Token::None, Token::Given),
        allow: there.allow.clone(),
        bytes_per_s: None,
        trust: trust_in_own(config)?.unwrap_or_default(),
    };
    let stopped = async {
        stop.cancelled().await;
        "interrupted".to_owned()
    };
    match bridge::join(&here, there, until(args), stopped).await {
        Ok(()) => say_level(there, console),
        Err(_) if stop.is_cancelled() && !args.once => Ok(Exit::Done),
        Err(error) => Err(error.into()),
    }
}

/// A folder whose server is stopped.
async fn folder(
    args: &SyncArgs,
    config: &Config,
    there: Upstream,
    stop: &CancellationToken,
    console: &mut Console,
) -> Result<Exit, Error> {
    let local = Local::open(config, Intent::Create)?;
    console.say(format_args!("using {}", local.describe()));
    let gate = Gate::of_books(local.store()).await?;
    let relay = local.relay(revoked_by(Arc::new(gate)));
    let url = there.url.clone();
    let ended = match until(args) {
        Until::Level => upstream::once(&relay, &there, stop).await,
        Until::Ever => {
            upstream::keep(relay.clone(), there, stop.clone()).await;
            Ok(())
        }
    };
    drop(relay);
    Box::new(local).close().await?;
    ended?;
    if args.once {
        console.say(format_args!(
            "{url} and this store have all of each other's"
        ));
    }
    Ok(Exit::Done)
}

fn say_level(there: &Upstream, console: &mut Console) -> Result<Exit, Error> {
    console.say(format_args!(
        "{} and this server have all of each other's",
        there.url
    ));
    Ok(Exit::Done)
}
