//! The command line, one file a command. Start at [`run`].
//!
//! Every command but `serve` and `doctor` works on a [`target`]: a data folder whose server is stopped, or a running
//! server. Nothing here reads the process's environment or its streams by itself, so that tests run commands
//! without a process.

mod args;
mod compact;
mod console;
mod context;
mod doctor;
mod export;
mod import;
mod maps;
mod serve;
mod sync;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod token;
mod verify;

use std::ffi::OsString;

use clap::Parser;

pub use args::{Args, Command};
pub use console::{Console, Watched};
pub use target::{Local, MapInfo, Remote, Target};

use self::context::Context;
use crate::Exit;
use crate::config::{Config, Environment};
use crate::{Error, telemetry};

/// Runs the command that `args` (the program's name first) ask for, and tells how it ended.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: &dyn Environment,
    console: &mut Console,
) -> Exit {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => return explain(&error, console),
    };
    let result =
        dispatch(args, environment, console).and_then(|exit| console.flush().map(|()| exit));
    match result {
        Ok(exit) => exit,
        Err(error) => {
            if !error.is_broken_pipe() {
                console.say(format_args!("error: {error}"));
            }
            error.exit()
        }
    }
}

/// Help and version are results; everything else that clap says is about bad usage.
fn explain(error: &clap::Error, console: &mut Console) -> Exit {
    let text = error.render();
    if error.use_stderr() {
        console.say(text);
        return Exit::BadUsage;
    }
    match console.line(text).and_then(|()| console.flush()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

fn dispatch(
    args: Args,
    environment: &dyn Environment,
    console: &mut Console,
) -> Result<Exit, Error> {
    let given = args.given();
    if let Command::Doctor(doctor) = &args.command {
        return doctor::run(doctor, &given, environment, console);
    }
    let config = Config::load(&given, environment)?;
    telemetry::start_log(&config.log)?;
    for warning in Config::warnings(environment) {
        tracing::warn!(variable = warning.key, "{}", warning.what);
    }
    let context = Context {
        config: &config,
        environment,
        console,
    };
    match args.command {
        Command::Serve(_) => serve::run(config.clone(), context.console),
        Command::Import(import) => import::run(&import, context),
        Command::Export(export) => export::run(&export, context),
        Command::Sync(sync) => sync::run(&sync, context),
        Command::Maps(maps) => maps::run(&maps, context),
        Command::Verify(verify) => verify::run(&verify, context),
        Command::Compact(compact) => compact::run(&compact, context),
        Command::Token(token) => token::run(&token, context),
        Command::Doctor(doctor) => doctor::run(&doctor, &given, environment, context.console),
    }
}
