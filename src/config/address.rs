//! The address of another server, as people write it.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// Where every server listens for relays.
const PATH: &str = "/sync";

/// The address of another Mapweave, as `https://maps.example.org` or `http://10.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    secure: bool,
    host: String,
    port: u16,
    /// The path of the server behind a proxy, without a slash at its end.
    base: String,
}

impl UpstreamUrl {
    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, of an IPv6 address without its brackets.
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, which is the usual one of the scheme where none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the server listens for relays, as `wss://HOST:PORT/sync`.
    pub fn socket(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}:{}{}{PATH}", self.host, self.port, self.base)
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is no address of a server ({why}): write https://HOST or http://HOST:PORT"
            )
        };
        let uri: Uri = text.trim().parse().map_err(|_| wrong("it is no URL"))?;
        let secure = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(wrong("it begins with neither https:// nor http://")),
        };
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(wrong("it holds a user; give a token instead"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query; give the token in a file"));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it has no host"))?.to_owned();
        let usual = if secure { 443 } else { 80 };
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            secure,
            host,
            port: uri.port_u16().unwrap_or(usual),
            base: path.strip_suffix(PATH).unwrap_or(path).to_owned(),
        })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.base)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("https://maps.example.org", "https://maps.example.org:443"),
            ("http://10.0.0.1:8080/", "http://10.0.0.1:8080"),
            ("wss://a.b/maps/sync", "https://a.b:443/maps"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), expected);
            let socket = expected.replacen("http", "ws", 1) + "/sync";
            assert_eq!(url.socket(), socket);
        }
        for text in [
            "",
            "maps.example.org",
            "ftp://a",
            "http://",
            "http://u@a",
            "http://a/?token=x",
        ] {
            let why = text.parse::<UpstreamUrl>().unwrap_err();
            assert!(why.contains("https://HOST"), "{why}");
        }
    }
}
