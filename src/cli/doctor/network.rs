//! The network: the port, and the server behind it.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::super::target::{Probe, Remote};
use super::Check;
use crate::Error;
use crate::config::Config;
use crate::tls;

/// Looks at the certificate that is configured, if one is.
pub(super) fn certificate(config: &Config, checks: &mut Vec<Check>) {
    const NAME: &str = "certificate";
    match tls::days_left(config) {
        None => {}
        Some(Ok(days)) if days < tls::WARN_BEFORE_DAYS => checks.push(Check::warn(
            NAME,
            format!("its time is over in {days} days"),
            "have it renewed; the server takes a new one while it runs",
        )),
        Some(Ok(days)) => checks.push(Check::ok(NAME, format!("it is good for {days} days"))),
        Some(Err(error)) => checks.push(Check::fail(
            NAME,
            error,
            "correct tls.cert and tls.key (--tls-cert, --tls-key)",
        )),
    }
}

/// Looks whether the configured address is free, and if not, who has it.
pub(super) async fn port(config: &Config, checks: &mut Vec<Check>) -> Result<(), Error> {
    const NAME: &str = "port";
    let listen = config.listen;
    match TcpListener::bind(listen).err() {
        None => checks.push(Check::ok(NAME, format!("{listen} is free"))),
        Some(error) if error.kind() == ErrorKind::AddrInUse => {
            let mut found = Probe::Silent("it was not asked".to_owned());
            for remote in Remote::guesses(config)? {
                found = remote.probe().await;
                if let Probe::Mapweave { .. } = found {
                    return server(&remote, checks).await;
                }
            }
            match found {
                Probe::Mapweave { .. } => {}
                Probe::Stranger => {
                    let found = format!("{listen} is taken by another program that speaks HTTP");
                    checks.push(Check::fail(
                        NAME,
                        found,
                        "stop it, or choose another port with --listen",
                    ));
                }
                Probe::Silent(why) => {
                    let found =
                        format!("{listen} is taken, and whoever has it does not answer ({why})");
                    checks.push(Check::fail(
                        NAME,
                        found,
                        "stop it (ss -ltnp tells who it is), or choose another port with --listen",
                    ));
                }
            }
        }
        Some(error) => {
            checks.push(Check::fail(
                NAME,
                format!("{listen}: {error}"),
                "choose another address or port with --listen",
            ));
        }
    }
    Ok(())
}

/// Looks at a server of ours: its version, and whether it can store edits.
pub(super) async fn server(remote: &Remote, checks: &mut Vec<Check>) -> Result<(), Error> {
    const NAME: &str = "server";
    let own = env!("CARGO_PKG_VERSION");
    match remote.probe().await {
        Probe::Mapweave { version } if version != own => {
            let found = format!("mapweave {version} answers at {}", remote.url());
            checks.push(Check::warn(
                NAME,
                found,
                format!("this command is {own}: use the version of the server"),
            ));
        }
        Probe::Mapweave { version } => {
            checks.push(Check::ok(
                NAME,
                format!("mapweave {version} answers at {}", remote.url()),
            ));
        }
        Probe::Stranger => {
            let found = format!("what answers at {} is no Mapweave server", remote.url());
            checks.push(Check::fail(NAME, found, "check the address"));
            return Ok(());
        }
        Probe::Silent(why) => {
            let found = format!("nobody answers at {}: {why}", remote.url());
            checks.push(Check::fail(
                NAME,
                found,
                "start it with `mapweave serve`, or check the address",
            ));
            return Ok(());
        }
    }
    checks.push(match remote.readiness().await {
        Ok((true, _)) => Check::ok("server health", "it takes edits"),
        Ok((false, why)) => Check::fail(
            "server health",
            format!("it takes no edits: {why}"),
            "read its log; a full disk heals by itself once there is room",
        ),
        Err(error) => Check::fail("server health", error, "read its log"),
    });
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Status;
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_fine_and_a_taken_one_is_told() {
        let mut checks = Vec::new();
        let at = |listen| Config {
            listen,
            ..Config::default()
        };
        let free = at("127.0.0.1:0".parse().unwrap());
        port(&free, &mut checks).await.unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        // Whoever connects is cut off at once, so nothing has to run out of time.
        let address = taken.local_addr().unwrap();
        let cutting = std::thread::spawn(move || drop(taken.accept()));
        port(&at(address), &mut checks).await.unwrap();
        cutting.join().unwrap();
        let statuses: Vec<Status> = checks.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [Status::Ok, Status::Fail]);
    }
}
