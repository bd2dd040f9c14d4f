//! The accept loop: sockets in, HTTP connections out, each in a task that a stop waits for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use warp::http::{StatusCode, header};
use warp::hyper::body::Incoming;
use warp::hyper::service::Service;
use warp::hyper::{self, Request};
use warp::{Filter, Reply};

use super::coding;
use super::forwarded::Proxies;
use super::lobby::{Guest, Lobby};
use super::methods::Asked;
use super::origin::HostPolicy;
use super::problem::Problem;
use super::protection::Protection;
use super::stalling::Watched;
use super::stream::{Handshakes, Stream};

/// Connections that may wait to be accepted: when a thousand clients come back at once, none has to try twice.
const BACKLOG: u32 = 4096;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections taken in a row before those who are there already have their turn: each costs a thread some time.
const ACCEPTED_IN_A_ROW: u32 = 16;

/// How often the other end of a silent connection is asked for a sign of life before it is taken for gone.
const PROBES: u32 = 3;

/// Who sent a request: the other end of its connection, or whom a trusted proxy there asks for (port 0 where it does
/// not say). Lies among the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// How a request was sent, as its client sees it; lies among the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS, to us or to a trusted proxy.
    Https,
}

/// Settings of the loop.
pub struct AcceptOptions {
    /// Open connections at most; further ones wait in the system's queue.
    pub connections_max: usize,
    /// How long a client may take for the head of a request.
    pub header_timeout: Duration,
    /// How long the other end may leave unanswered what it is sent.
    pub unanswered: Duration,
    /// Which hosts and origins are answered.
    pub hosts: HostPolicy,
    /// Who is believed about whom it asks for.
    pub proxies: Proxies,
    /// What every answer tells browsers.
    pub protection: Protection,
    /// Makes TLS of every connection; without it they are plain.
    pub tls: Option<Handshakes>,
}

/// A listener with room for a storm of connections.
///
/// # Errors
/// The system's, for a port in use among others.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `routes` on `listener` until `stop`; connections go on in `tasks` and end their requests first.
pub async fn serve<F>(
    listener: TcpListener,
    routes: F,
    options: AcceptOptions,
    stop: CancellationToken,
    tasks: TaskTracker,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let places = Arc::new(Semaphore::new(options.connections_max));
    let lobby = Lobby::new(options.connections_max);
    let service = TowerToHyperService::new(warp::service(routes));
    let unanswered = options.unanswered;
    let options = Arc::new(options);
    let mut numbers = 1_u64..;
    let mut in_a_row = 0;
    loop {
        in_a_row += 1;
        if in_a_row > ACCEPTED_IN_A_ROW {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &places, unanswered) => accepted,
        };
        let Some((tcp, address, place)) = accepted else {
            continue;
        };
        let guest = tokio::select! {
            () = stop.cancelled() => return,
            guest = lobby.enter(address.ip()) => guest,
        };
        let (service, options, stop) = (service.clone(), options.clone(), stop.clone());
        // Every line that tells of this connection, or of the socket that it becomes, has its number.
        let number = numbers.next().unwrap_or_default();
        let span = tracing::info_span!("connection", number);
        let served = async move {
            let _counted = Counted::new(options.tls.as_ref().map_or("http", |_| "https"));
            // The box keeps what a handshake needs out of the connection's memory.
            let stream = match &options.tls {
                Some(tls) => tokio::select! {
                    opened = Box::pin(tls.open(tcp)) => opened,
                    () = stop.cancelled() => return,
                },
                None => Ok(Stream::Plain(tcp)),
            };
            match stream {
                Ok(stream) => {
                    serve_one(stream, (number, address, guest), service, options, stop).await
                }
                Err(error) => tracing::debug!(%address, %error, "a connection was not taken"),
            }
            drop(place);
        };
        tasks.spawn(served.instrument(span));
    }
}

/// Up to a quarter more than `time`, by the number of a connection: those that came together do not all end in one moment,
/// which would hold up everybody else.
fn spread(time: Duration, number: u64) -> Duration {
    let share = u32::try_from(number.wrapping_mul(617) % 1_024).unwrap_or_default();
    time + time / 4_096 * share
}

/// Serves the requests of one connection, until it ends, becomes a socket, gives way before it has asked for anything, or
/// `stop` rings between two requests. Whoever takes nothing of an answer holds up no stop.
async fn serve_one<S>(
    stream: Stream,
    (number, address, guest): (u64, SocketAddr, Guest),
    service: S,
    options: Arc<AcceptOptions>,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = warp::reply::Response, Error = Infallible>,
{
    let scheme = match &stream {
        Stream::Plain(_) => Scheme::Http,
        Stream::Tls(_) => Scheme::Https,
    };
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(spread(options.header_timeout, number))
        .max_buf_size(64 << 10);
    let stream = Watched::new(stream);
    let progress = stream.progress();
    let requests = progress.clone();
    let guest = Arc::new(guest);
    let waiting = guest.clone();
    let guarded = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let begun = Instant::now();
        guest.asks();
        let waiting = requests.request();
        let (client, scheme) = options
            .proxies
            .look_through(address, scheme, request.headers());
        let turned_away =
            check(&options.hosts, &request, scheme).or_else(|| coding::refused(request.headers()));
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(scheme);
        let asked = Asked::default();
        request.extensions_mut().insert(asked.clone());
        let answer = turned_away.is_none().then(|| service.call(request));
        let options = options.clone();
        async move {
            let _waiting = waiting;
            let mut answer = match (answer, turned_away) {
                (Some(answer), _) => answer.await?,
                (None, problem) => problem.unwrap_or_else(Problem::not_found).into_response(),
            };
            if answer.status() == StatusCode::METHOD_NOT_ALLOWED
                && let Some(allow) = asked.allow()
            {
                answer.headers_mut().insert(header::ALLOW, allow);
            }
            options.protection.put_on(&mut answer, scheme);
            let status = answer.status().as_str().to_owned();
            metrics::counter!("mapweave_http_requests_total", "status" => status).increment(1);
            metrics::histogram!("mapweave_http_seconds").record(begun.elapsed());
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http.serve_connection(stream, guarded).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = waiting.gives_way() => {
            return tracing::debug!(%address, "a connection that asked for nothing gave way");
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = progress.stalled() => {
                    return tracing::debug!(%address, "a connection that took nothing was cut");
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection ended early");
    }
}

/// A connection among the figures, until it is dropped.
struct Counted;

impl Counted {
    fn new(scheme: &'static str) -> Self {
        metrics::counter!("mapweave_connections_total", "scheme" => scheme).increment(1);
        metrics::gauge!("mapweave_connections_open").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("mapweave_connections_open").decrement(1.0);
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    unanswered: Duration,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            // A socket without these still works.
            if let Err(error) = prepare(&stream, unanswered) {
                tracing::debug!(%address, %error, "a connection goes without its options");
            }
            Some((stream, address, place))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Small messages go out at once, and whoever vanishes without a word is noticed: by what it leaves unanswered,
/// or by the silence after a question where nothing is sent.
fn prepare(stream: &TcpStream, unanswered: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let timeout_ms = u32::try_from(unanswered.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, timeout_ms)?;
    sockopt::set_tcp_keepidle(stream, unanswered)?;
    sockopt::set_tcp_keepintvl(stream, unanswered / PROBES)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

fn check(hosts: &HostPolicy, request: &Request<Incoming>, scheme: Scheme) -> Option<Problem> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap_or(""))
    };
    let refused = hosts
        .check(
            header(hyper::header::HOST),
            header(hyper::header::ORIGIN),
            scheme,
        )
        .err()?;
    let status = hyper::StatusCode::FORBIDDEN;
    Some(Problem::new(
        status,
        "host-or-origin",
        "This request is not for this server",
        refused.to_string(),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_connection_notices_that_its_other_end_is_gone() {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let _theirs = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let places = Arc::new(Semaphore::new(1));
        let unanswered = Duration::from_secs(30);
        let (ours, ..) = accept(&listener, &places, unanswered).await.unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&ours).unwrap(), 30_000);
        assert!(sockopt::socket_keepalive(&ours).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&ours).unwrap(), unanswered);
        assert!(ours.nodelay().unwrap());
    }
}
