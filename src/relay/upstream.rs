//! The connection to head office: made, kept, and made again with growing pauses whenever it breaks.
//!
//! Start at [`keep`] for a server and at [`once`] for a command.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderValue};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;

use super::Relay;
use super::connection::{self, Counted, Ended, Terms, Until, socket_config};
use super::link::Allow;
use super::status::{Post, Way};
use crate::auth::{MapPattern, Secret};
use crate::config::{Config, UpstreamUrl};
use crate::tls::{Trust, client_config};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// First pause after a connection broke or was not made; each further one is twice as long …
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A connection that lived so long was a good one: the pauses begin anew.
const STEADY: Duration = Duration::from_secs(30);

/// How often a command tries in a row without getting anywhere.
const ATTEMPTS_MAX: u32 = 6;

/// Slowest pace, in bytes a second.
const PACE_MIN: u64 = 4 << 10;

/// Longest text of a refusal that is told, in characters.
const TOLD_MAX: usize = 300;

/// A store to exchange with.
pub struct Upstream {
    /// Where it is.
    pub url: UpstreamUrl,
    /// What to show at the door.
    pub token: Token,
    /// Which maps to exchange.
    pub allow: Allow,
    /// Most bytes a second, each way.
    pub bytes_per_s: Option<u64>,
    /// Whom to trust behind `https://`.
    pub trust: Trust,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Nobody answers.
    #[error("{url} does not answer: {why}")]
    Unreachable {
        /// The address.
        url: UpstreamUrl,
        /// What the network said.
        why: String,
    },
    /// It answers, and does not want this relay.
    #[error("{url} refuses this relay ({status}): {what}")]
    Refused {
        /// The address.
        url: UpstreamUrl,
        /// Status of the answer.
        status: u16,
        /// What it said.
        what: String,
    },
    /// The token cannot be sent.
    #[error("the token holds characters that no token has: give the text of the token alone")]
    Token,
    /// The token cannot be read.
    #[error("the token cannot be read from {}: {source}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// It was there, and ended.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Where a token is.
#[derive(Debug, Clone)]
pub enum Token {
    /// There is none.
    None,
    /// Here.
    Given(Secret),
    /// In a file, which may be replaced by one with a later token.
    File(PathBuf),
}

impl Token {
    fn header(&self) -> Result<Option<HeaderValue>, UpstreamError> {
        let token = match self {
            Self::None => return Ok(None),
            Self::Given(secret) => secret.clone(),
            Self::File(path) => {
                let read = std::fs::read_to_string(path);
                let text = read.map_err(|source| UpstreamError::TokenFile {
                    path: path.clone(),
                    source,
                })?;
                Secret::new(text.trim())
            }
        };
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| UpstreamError::Token)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Lets those maps pass whose names one of `patterns` matches.
pub fn matching(patterns: Vec<MapPattern>) -> Allow {
    Arc::new(move |name| patterns.iter().any(|pattern| pattern.matches(name)))
}

/// Any stream that a socket can be on.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A socket to another server.
pub(super) type Socket = WebSocketStream<Counted<Box<dyn Io>>>;

impl Upstream {
    /// Head office as configured, if there is one.
    pub fn of(config: &Config) -> Option<Self> {
        let upstream = &config.upstream;
        let file = upstream.token_file.clone();
        Some(Self {
            url: upstream.url.clone()?,
            token: file.map_or(Token::None, Token::File),
            allow: matching(upstream.maps.clone()),
            bytes_per_s: pace_of(upstream.bytes_per_s),
            trust: Trust {
                authorities: upstream.ca_file.iter().cloned().collect(),
                pin: None,
            },
        })
    }

    async fn open(&self) -> io::Result<Box<dyn Io>> {
        let bare = self.url.bare_host();
        let stream = TcpStream::connect((bare, self.url.port())).await?;
        stream.set_nodelay(true)?;
        if !self.url.is_secure() {
            return Ok(Box::new(stream));
        }
        let config = client_config(&self.trust).map_err(io::Error::other)?;
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    pub(super) async fn dial(&self) -> Result<Socket, UpstreamError> {
        let unreachable = |why: String| UpstreamError::Unreachable {
            url: self.url.clone(),
            why,
        };
        let url = &self.url;
        let opening = async {
            let stream = self
                .open()
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            let mut request = url
                .socket()
                .into_client_request()
                .map_err(|error| unreachable(error.to_string()))?;
            if let Some(value) = self.token.header()? {
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            let stream = Counted::new(stream);
            match client_async_with_config(request, stream, Some(socket_config())).await {
                Ok((socket, _)) => Ok(socket),
                Err(SocketError::Http(answer)) => Err(UpstreamError::Refused {
                    url: url.clone(),
                    status: answer.status().as_u16(),
                    what: told(answer.body().as_deref().unwrap_or_default()),
                }),
                Err(error) => Err(unreachable(error.to_string())),
            }
        };
        let opened = timeout(CONNECT_LIMIT, opening).await;
        opened.unwrap_or_else(|_| {
            let limit = CONNECT_LIMIT.as_secs();
            Err(unreachable(format!("no answer within {limit} s")))
        })
    }

    /// Connects and exchanges until that ends.
    async fn exchange(
        &self,
        relay: &Arc<Relay>,
        post: &Post,
        until: Until,
        stop: impl Future<Output = String>,
    ) -> UpstreamError {
        let socket = match self.dial().await {
            Ok(socket) => socket,
            Err(error) => return error,
        };
        tracing::info!(upstream = %self.url, "connected");
        let terms = Terms {
            via: self.url.to_string(),
            allow: self.allow.clone(),
            bytes_per_s: self.bytes_per_s,
            until,
        };
        connection::run(relay, socket, &terms, post, stop)
            .await
            .into()
    }
}

/// A bound in bytes a second as people give it: 0 is none, and less than this would not keep a connection alive.
pub fn pace_of(bytes_per_s: u64) -> Option<u64> {
    (bytes_per_s > 0).then(|| bytes_per_s.max(PACE_MIN))
}

/// What the body of a refusal says.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
        #[serde(default)]
        detail: String,
    }
    let text = match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { title, detail }) => format!("{title}: {detail}"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(TOLD_MAX)
        .collect();
    if text.is_empty() {
        "it does not say why".to_owned()
    } else {
        text
    }
}

/// Keeps exchanging with `upstream` until `stop`.
pub async fn keep(relay: Arc<Relay>, upstream: Upstream, stop: CancellationToken) {
    let post = relay.board.post(Way::Upstream, &upstream.url.to_string());
    let mut pause = PAUSE_MIN;
    let mut told = String::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let stopped = async {
            stop.cancelled().await;
            "the server is stopping".to_owned()
        };
        let ended = tokio::select! {
            biased;
            ended = upstream.exchange(&relay, &post, Until::Ever, stopped) => ended,
            // While it is being made.
            () = stop.cancelled() => return,
        };
        let why = ended.to_string();
        if why == told {
            tracing::debug!(upstream = %upstream.url, why, "not connected");
        } else if !stop.is_cancelled() {
            tracing::warn!(upstream = %upstream.url, why, "not connected; it is tried again with growing pauses");
            told.clone_from(&why);
        }
        post.lost(why);
        if began.elapsed() >= STEADY || matches!(ended, UpstreamError::Ended(Ended::Renewed)) {
            pause = PAUSE_MIN;
        }
        tokio::select! {
            () = sleep(jittered(pause)) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Exchanges with `upstream` until both ends have all of each other's. A connection that breaks is made again.
///
/// # Errors
/// Where it refuses this relay or cannot be reached, or breaks too often.
pub async fn once(
    relay: &Arc<Relay>,
    upstream: &Upstream,
    stop: &CancellationToken,
) -> Result<(), UpstreamError> {
    let post = relay.board.post(Way::Upstream, &upstream.url.to_string());
    let mut pause = PAUSE_MIN;
    let mut attempts = 0;
    loop {
        let began = Instant::now();
        let stopped = async {
            stop.cancelled().await;
            "it was interrupted; what was exchanged stays, and the next run goes on from there"
                .to_owned()
        };
        let ended = upstream.exchange(relay, &post, Until::Level, stopped).await;
        post.lost(ended.to_string());
        if began.elapsed() >= STEADY {
            (attempts, pause) = (0, PAUSE_MIN);
        }
        attempts += 1;
        match ended {
            UpstreamError::Ended(Ended::Level) => return Ok(()),
            UpstreamError::Ended(
                Ended::Socket(_) | Ended::Silent | Ended::Closed(_) | Ended::Renewed,
            ) if attempts < ATTEMPTS_MAX => {
                tracing::warn!(upstream = %upstream.url, why = %ended, "trying again");
            }
            other => return Err(other),
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Half to one and a half of `pause`: relays that lost one server do not come back to it all at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause.mul_f64(0.5 + (random % 1_000) as f64 / 1_000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_its_own_words_without_tricks() {
        let problem = br#"{"title":"No","detail":"the token has expired"}"#;
        assert_eq!(told(problem), "No: the token has expired");
        assert_eq!(told(b"\x1b[2Jgone"), "[2Jgone");
        assert_eq!(told(b""), "it does not say why");
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::HashSet<_> = (0..50).map(|_| jittered(PAUSE_MAX)).collect();
        assert!(pauses.len() > 10);
        assert!(
            pauses
                .iter()
                .all(|p| *p >= PAUSE_MAX / 2 && *p <= PAUSE_MAX * 3 / 2)
        );
    }
}
