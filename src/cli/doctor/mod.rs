//! `mapweave doctor`: what stands in the way of serving, and what to do about it.

mod access;
mod machine;
mod network;

use serde::Serialize;

use super::args::DoctorArgs;
use super::console::Console;
use super::table::plain;
use super::target;
use crate::config::{Config, Environment, Given, Purpose};
use crate::{Error, Exit};

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    name: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What to do, where something is to be done.
    advice: Option<String>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    checks: Vec<Check>,
}

/// Looks at everything, says it, and fails where serving would fail.
pub(super) fn run(
    args: &DoctorArgs,
    given: &Given,
    environment: &dyn Environment,
    console: &mut Console,
) -> Result<Exit, Error> {
    let mut checks = vec![Check::ok(
        "version",
        format!("mapweave {}", env!("CARGO_PKG_VERSION")),
    )];
    let config = configuration(given, environment, &mut checks);
    match target::named_server(&args.target, environment)? {
        Some(server) => {
            target::block_on(async { network::server(&server, &mut checks).await })?;
        }
        None => {
            access::keys(&config, &mut checks);
            machine::clock(&config.data, &mut checks);
            machine::folder(&config.data, &mut checks);
            machine::open_files(&config.limits, &mut checks);
            network::certificate(&config, &mut checks);
            target::block_on(async { network::port(&config, &mut checks).await })?;
        }
    }
    let findings = Findings {
        ok: checks.iter().all(|check| check.status != Status::Fail),
        checks,
    };
    if args.json {
        console.json(&findings)?;
    } else {
        findings
            .checks
            .iter()
            .try_for_each(|check| show(check, console))?;
    }
    Ok(if findings.ok {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The configuration that `serve` would run with; the defaults, and `--data`, in place of one that has problems.
fn configuration(given: &Given, environment: &dyn Environment, checks: &mut Vec<Check>) -> Config {
    let serving = Given {
        purpose: Purpose::Serve,
        ..given.clone()
    };
    match Config::load(&serving, environment) {
        Ok(config) => {
            for warning in Config::warnings(environment) {
                checks.push(Check::warn(
                    "configuration",
                    &warning,
                    "nothing uses it: correct it, or leave it where another program needs it",
                ));
            }
            checks.push(Check::ok(
                "configuration",
                "every setting is known and within its bounds",
            ));
            config
        }
        Err(problems) => {
            for problem in &problems.0 {
                checks.push(Check::fail(
                    "configuration",
                    problem,
                    "correct it; docs/configuration.md lists all settings",
                ));
            }
            let mut config = Config::default();
            if let Some((_, data, _)) = given.flags.iter().rev().find(|(key, ..)| key == "data") {
                config.data = data.into();
            }
            config.data = environment.folder().join(&config.data);
            config
        }
    }
}

fn show(check: &Check, console: &mut Console) -> Result<(), Error> {
    let status = match check.status {
        Status::Ok => "ok  ",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    console.line(format_args!(
        "{status}  {:<14} {}",
        check.name,
        plain(&check.found)
    ))?;
    match &check.advice {
        Some(advice) => console.line(format_args!("      {:<14} → {}", "", plain(advice))),
        None => Ok(()),
    }
}

impl Check {
    fn ok(name: &'static str, found: impl ToString) -> Self {
        Self {
            name,
            status: Status::Ok,
            found: found.to_string(),
            advice: None,
        }
    }

    fn warn(name: &'static str, found: impl ToString, advice: impl ToString) -> Self {
        Self {
            name,
            status: Status::Warn,
            found: found.to_string(),
            advice: Some(advice.to_string()),
        }
    }

    fn fail(name: &'static str, found: impl ToString, advice: impl ToString) -> Self {
        Self {
            name,
            status: Status::Fail,
            found: found.to_string(),
            advice: Some(advice.to_string()),
        }
    }
}
