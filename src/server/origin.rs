//! Which `Host` and `Origin` a request may carry. Loopback is not a wall: any page in a browser on this
//! machine can send requests here, and a name that resolves to this address can be anybody's.

use std::net::IpAddr;

use super::accept::Scheme;

/// What this server answers to.
#[derive(Debug, Clone, Default)]
pub struct HostPolicy {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Addresses as names are fine: nobody can rebind an address.
    any_address: bool,
}

/// Why a request is turned away before anything of it is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No `Host`, or one that cannot be read.
    #[error("the request has no usable Host header")]
    NoHost,
    /// A name that is not ours.
    #[error(
        "this server does not answer to the name {host:?}; add it to server.allowed_hosts if it should"
    )]
    Host {
        /// The name asked for.
        host: String,
    },
    /// A page of somebody else.
    #[error(
        "pages of {origin:?} may not use this server; add it to server.allowed_origins if they should"
    )]
    Origin {
        /// The page's origin.
        origin: String,
    },
}

impl HostPolicy {
    /// Answers to loopback names, to the names in `hosts` and, unless listening on loopback alone, to any
    /// address; to pages of its own origin and of `origins` (`https://example.org`).
    pub fn new(listen: IpAddr, hosts: &[String], origins: &[String]) -> Self {
        let lower = |list: &[String]| list.iter().map(|s| s.to_ascii_lowercase()).collect();
        Self {
            hosts: lower(hosts),
            origins: lower(origins),
            any_address: !listen.is_loopback(),
        }
    }

    /// Checks the two headers of a request that was sent as `scheme` says. A page that came in plain may have been made
    /// by anybody on the way, so it is no page of a server that speaks https. The other way round it is ours: the
    /// proxy that speaks https may not tell.
    ///
    /// # Errors
    /// Which of the two is not allowed.
    pub fn check(
        &self,
        host: Option<&str>,
        origin: Option<&str>,
        scheme: Scheme,
    ) -> Result<(), HostError> {
        let authority = host.ok_or(HostError::NoHost)?.to_ascii_lowercase();
        let name = host_name(&authority).ok_or(HostError::NoHost)?;
        if !self.is_own_name(name) {
            return Err(HostError::Host {
                host: name.to_owned(),
            });
        }
        let Some(origin) = origin.map(str::to_ascii_lowercase) else {
            return Ok(());
        };
        let own = origin.split_once("://").is_some_and(|(page, rest)| {
            rest == authority && (page == "https" || scheme == Scheme::Http)
        });
        if own || self.origins.contains(&origin) {
            Ok(())
        } else {
            Err(HostError::Origin { origin })
        }
    }

    fn is_own_name(&self, name: &str) -> bool {
        let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
        match address {
            Some(address) => {
                self.any_address || address.is_loopback() || self.hosts.iter().any(|h| h == name)
            }
            None => {
                name == "localhost"
                    || name.ends_with(".localhost")
                    || self.hosts.iter().any(|h| h == name)
            }
        }
    }
}

/// The name in `name:port`, with the brackets of an IPv6 address.
fn host_name(authority: &str) -> Option<&str> {
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, port) = authority.split_at_checked(end)?;
    let port_ok = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|p| p.parse::<u16>().is_ok());
    (!name.is_empty() && port_ok).then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn policy(listen: &str) -> HostPolicy {
        HostPolicy::new(
            listen.parse().unwrap(),
            &["Maps.Example.org".into()],
            &["https://App.example.org".into()],
        )
    }

    #[test]
    fn own_names_are_answered_and_others_are_not() {
        for good in [
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "maps.example.org",
            "MAPS.example.org:443",
        ] {
            assert_eq!(
                policy("127.0.0.1").check(Some(good), None, Scheme::Http),
                Ok(()),
                "{good}"
            );
        }
        for bad in [
            "evil.example",
            "192.168.1.5:8080",
            "localhost.evil.example",
            "",
            ":8080",
            "a:b",
        ] {
            assert!(
                policy("127.0.0.1")
                    .check(Some(bad), None, Scheme::Http)
                    .is_err(),
                "{bad}"
            );
        }
        assert_eq!(
            policy("0.0.0.0").check(Some("192.168.1.5:8080"), None, Scheme::Http),
            Ok(())
        );
        assert_eq!(
            policy("0.0.0.0").check(None, None, Scheme::Http),
            Err(HostError::NoHost)
        );
    }

    #[test]
    fn pages_of_other_origins_are_turned_away() {
        let check_over = |scheme, origin| {
            policy("127.0.0.1").check(Some("localhost:8080"), Some(origin), scheme)
        };
        let check = |origin| check_over(Scheme::Http, origin);
        assert_eq!(check_over(Scheme::Https, "https://localhost:8080"), Ok(()));
        assert!(check_over(Scheme::Https, "http://localhost:8080").is_err());
        assert_eq!(check("https://localhost:8080"), Ok(()));
        assert_eq!(check("http://localhost:8080"), Ok(()));
        assert_eq!(check("https://app.example.org"), Ok(()));
        for bad in ["http://localhost:9999", "https://evil.example", "null"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
