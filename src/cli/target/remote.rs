//! A running server, over HTTP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Method, Request, StatusCode, Uri, header};
use mapweave_proto::{MapName, Seq};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{MapInfo, Target};
use crate::Error;
use crate::auth::{Revocation, Secret};
use crate::cli::table::plain;
use crate::config::Config;
use crate::room::Verified;
use crate::tls::{HttpClient, Trust, Unreached, http_client, trust_in_own};

/// How an update is sent.
const UPDATE_MEDIA_TYPE: &str = "application/octet-stream";

/// Largest state that is read, in bytes.
const STATE_BYTES_MAX: usize = 2 << 30;

/// Largest answer in JSON that is read, in bytes.
const JSON_BYTES_MAX: usize = 256 << 20;

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a server may take to say that it is there, when nobody said that it should be.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// A server whose address was given or guessed.
pub struct Remote {
    url: ServerUrl,
    client: HttpClient,
    token: Option<Secret>,
}

/// The address of a server: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: Scheme,
    authority: String,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// What is found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Probe {
    /// A server of ours, of this version.
    Mapweave {
        /// Its version.
        version: String,
    },
    /// Something else that speaks HTTP.
    Stranger,
    /// Nothing, or nothing that answers in time, and why.
    Silent(String),
}

/// An error as the server tells it (RFC 9457).
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Written {
    seq: u64,
}

/// What was taken back, as the server tells it.
#[derive(Debug, Deserialize)]
struct Revoked {
    token: Option<String>,
    user: Option<String>,
    before: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct AllRevoked {
    revocations: Vec<Revoked>,
}

impl Revoked {
    fn read(self) -> Option<Revocation> {
        match self {
            Self {
                token: Some(id), ..
            } => Some(Revocation::Token { id }),
            Self { user, before, .. } => Some(Revocation::Person {
                id: user?,
                before_s: before?,
            }),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Healthz {
    name: String,
    version: String,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|e| format!("{text:?} is no URL ({e}): write http://127.0.0.1:8080"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let scheme = match uri.scheme_str() {
            Some("http") => Some(Scheme::Http),
            Some("https") => Some(Scheme::Https),
            _ => None,
        };
        match (scheme, uri.authority()) {
            (Some(_), Some(authority)) if authority.as_str().contains('@') => Err(format!(
                "{text:?} names a user: give a token instead, and the address without it"
            )),
            (Some(scheme), Some(authority)) if path == "/" => Ok(Self {
                scheme,
                authority: authority.as_str().to_owned(),
            }),
            (Some(_), Some(_)) => Err(format!(
                "{text:?} has a path: write the address of the server alone, https://host:port"
            )),
            _ => Err(format!(
                "{text:?} is no address of a server: write http://127.0.0.1:8080 or https://maps.example.org"
            )),
        }
    }
}

impl ServerUrl {
    /// Where a server that listens on `address`, without TLS, is reached from this machine.
    pub fn of_listener(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        Self {
            scheme: Scheme::Http,
            authority: SocketAddr::new(ip, address.port()).to_string(),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl Remote {
    /// The server at `url`, if it shows a certificate that `trust` covers; nothing is sent yet.
    ///
    /// # Errors
    /// Where there is nobody to trust.
    pub fn new(url: ServerUrl, trust: &Trust) -> Result<Self, Error> {
        let nobody = Trust::nobody();
        let trust = match url.scheme {
            Scheme::Http => &nobody,
            Scheme::Https => trust,
        };
        Ok(Self {
            url,
            client: http_client(trust, CONNECT_LIMIT)?,
            token: None,
        })
    }

    /// Where the server of this configuration may be reached if it runs, the likeliest first.
    ///
    /// # Errors
    /// Where its certificate cannot be read.
    pub(in crate::cli) fn guesses(config: &Config) -> Result<Vec<Self>, Error> {
        let plain = ServerUrl::of_listener(config.listen);
        let encrypted = ServerUrl {
            scheme: Scheme::Https,
            ..plain.clone()
        };
        let mut guesses = Vec::new();
        // It may have been started with flags that this command does not know of.
        if let Some(trust) = trust_in_own(config)? {
            guesses.push(Self::new(encrypted, &trust)?);
        }
        if config.tls.cert.is_none() {
            guesses.push(Self::new(plain, &Trust::nobody())?);
        }
        Ok(guesses)
    }

    /// The same, as whom `token` shows.
    #[must_use]
    pub fn bearing(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// Where it is.
    pub(in crate::cli) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// Finds out who is there, if anybody.
    pub(in crate::cli) async fn probe(&self) -> Probe {
        let answer = async {
            let (status, body) = self
                .ask(Method::GET, "/healthz", None, JSON_BYTES_MAX)
                .await?;
            let healthz: Option<Healthz> = serde_json::from_slice(&body).ok();
            let ours = healthz.filter(|healthz| status.is_success() && healthz.name == "mapweave");
            Ok::<_, Error>(ours.map_or(Probe::Stranger, |healthz| Probe::Mapweave {
                version: plain(&healthz.version),
            }))
        };
        match tokio::time::timeout(PROBE_LIMIT, answer).await {
            Ok(Ok(probe)) => probe,
            Ok(Err(Error::Unreachable { why, .. })) => Probe::Silent(why),
            Ok(Err(_)) => Probe::Stranger,
            Err(_) => Probe::Silent(format!("no answer within {} s", PROBE_LIMIT.as_secs())),
        }
    }

    /// What `/readyz` says: the status, and the reason where it is not ready.
    pub(in crate::cli) async fn readiness(&self) -> Result<(bool, String), Error> {
        let (status, body) = self
            .ask(Method::GET, "/readyz", None, JSON_BYTES_MAX)
            .await?;
        Ok((
            status.is_success(),
            plain(
                &String::from_utf8_lossy(&body)
                    .chars()
                    .take(400)
                    .collect::<String>(),
            ),
        ))
    }

    /// One request; whatever the status, the body comes with it.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
        answer_bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some((media_type, _)) = &body {
            request = request.header(header::CONTENT_TYPE, *media_type);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let body = body.map(|(_, bytes)| bytes).unwrap_or_default();
        let request = request.body(Full::new(body));
        let request =
            request.map_err(|error| self.stranger(format!("no request can be made: {error}")))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (head, body) = response.into_parts();
        let collected = Limited::new(body, answer_bytes_max).collect().await;
        let body = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => self.stranger(format!(
                "the answer is larger than {answer_bytes_max} bytes"
            )),
            None => self.unreachable(error.as_ref()),
        })?;
        Ok((head.status, body.to_bytes()))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<T, Error> {
        let (status, body) = self.ask(method, path, body, JSON_BYTES_MAX).await?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| self.stranger(format!("its answer cannot be read: {error}")))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let server = self.url.to_string();
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) if !problem.title.is_empty() => {
                let (title, detail) = (plain(&problem.title), plain(&problem.detail));
                Error::Answer {
                    server,
                    status: status.as_u16(),
                    title,
                    detail,
                }
            }
            _ => Error::Stranger {
                server,
                what: format!("status {status} without an explanation"),
            },
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let server = self.url.to_string();
        match Unreached::of(error) {
            Unreached::Untrusted(why) => Error::Untrusted { server, why },
            Unreached::Unreachable(why) => Error::Unreachable { server, why },
        }
    }

    fn stranger(&self, what: String) -> Error {
        Error::Stranger {
            server: self.url.to_string(),
            what,
        }
    }
}

impl Target for Remote {
    fn describe(&self) -> String {
        format!("the server {}", self.url)
    }

    fn maps(&self) -> BoxFuture<'_, Result<Vec<MapInfo>, Error>> {
        self.json(Method::GET, "/api/v1/maps", None).boxed()
    }

    fn knows<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            let path = format!("/api/v1/maps/{}", map.to_path_segment());
            let (status, body) = self.ask(Method::GET, &path, None, JSON_BYTES_MAX).await?;
            Ok(!is_unknown_map(status, &body))
        }
        .boxed()
    }

    fn state<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<Option<Bytes>, Error>> {
        async move {
            let path = format!("/api/v1/maps/{}/state", map.to_path_segment());
            let (status, body) = self.ask(Method::GET, &path, None, STATE_BYTES_MAX).await?;
            match status {
                StatusCode::OK => Ok(Some(body)),
                _ if is_unknown_map(status, &body) => Ok(None),
                _ => Err(self.refused(status, &body)),
            }
        }
        .boxed()
    }

    fn submit<'a>(&'a self, map: &'a MapName, update: Bytes) -> BoxFuture<'a, Result<Seq, Error>> {
        async move {
            let path = format!("/api/v1/maps/{}/state", map.to_path_segment());
            let written: Written = self
                .json(Method::POST, &path, Some((UPDATE_MEDIA_TYPE, update)))
                .await?;
            Ok(Seq(written.seq))
        }
        .boxed()
    }

    fn compact<'a>(&'a self, map: &'a MapName) -> BoxFuture<'a, Result<Seq, Error>> {
        async move {
            let path = format!("/api/v1/maps/{}/compact", map.to_path_segment());
            let written: Written = self.json(Method::POST, &path, None).await?;
            Ok(Seq(written.seq))
        }
        .boxed()
    }

    fn verify<'a>(&'a self, only: Option<&'a MapName>) -> BoxFuture<'a, Result<Verified, Error>> {
        async move {
            let query = only.map_or(String::new(), |map| {
                format!("?map={}", map.to_path_segment())
            });
            self.json(Method::GET, &format!("/api/v1/verify{query}"), None)
                .await
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let body = match revocation {
                Revocation::Token { id } => json!({ "token": id }),
                Revocation::Person { id, before_s } => json!({ "user": id, "before": before_s }),
            };
            let body = Some(("application/json", Bytes::from(body.to_string())));
            let _: Revoked = self.json(Method::POST, "/api/v1/revocations", body).await?;
            Ok(())
        }
        .boxed()
    }

    fn revocations(&self) -> BoxFuture<'_, Result<Vec<Revocation>, Error>> {
        async {
            let all: AllRevoked = self.json(Method::GET, "/api/v1/revocations", None).await?;
            Ok(all
                .revocations
                .into_iter()
                .filter_map(Revoked::read)
                .collect())
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }
}

/// A server of another kind, or of a later version, may say 404 for other reasons.
fn is_unknown_map(status: StatusCode, body: &[u8]) -> bool {
    let named = |problem: Problem| problem.kind.ends_with(":unknown-map");
    status == StatusCode::NOT_FOUND && serde_json::from_slice(body).is_ok_and(named)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_have_a_form() {
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:8080/",
            "http://[::1]:80",
            "http://maps.example.org",
            "https://maps.example.org",
            "https://[::1]:8443/",
        ] {
            let url: ServerUrl = good.parse().unwrap();
            assert_eq!(url.to_string(), good.trim_end_matches('/'));
        }
        for bad in [
            "",
            "127.0.0.1:8080",
            "ftp://a",
            "http://a/maps",
            "http://a?x=1",
            "https://a/b",
            "https://user@a",
            "/x",
            "http://",
        ] {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_loopback() {
        let url = |address: &str| ServerUrl::of_listener(address.parse().unwrap()).to_string();
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:8080"), "http://[::1]:8080");
        assert_eq!(url("192.0.2.1:8080"), "http://192.0.2.1:8080");
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_told_with_what_to_do() {
        // Bound and not listening: nobody else can have the port, and nobody answers.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = ServerUrl::of_listener(held.local_addr().unwrap());
        let remote = Remote::new(url, &Trust::nobody()).unwrap();
        assert!(matches!(remote.probe().await, Probe::Silent(_)));
        let error = remote.maps().await.unwrap_err().to_string();
        assert!(
            error.contains("efused") && error.contains("--data"),
            "{error}"
        );
    }
}
