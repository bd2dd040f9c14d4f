//! The accept loop: sockets in, HTTP connections out, each in a task that a stop waits for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::hyper;
use warp::hyper::service::Service as _;
use warp::{Filter, Reply};

use super::origin::HostPolicy;
use super::problem::Problem;

/// Connections that may wait to be accepted: when a thousand clients come back at once, none has to try twice.
const BACKLOG: u32 = 4096;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the other end of a silent connection is asked for a sign of life before it is taken for gone.
const PROBES: u32 = 3;

/// Who is at the other end of a connection; lies among the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Settings of the loop.
#[derive(Debug, Clone)]
pub struct AcceptOptions {
    /// Open connections at most; further ones wait in the system's queue.
    pub connections_max: usize,
    /// How long a client may take for the head of a request.
    pub header_timeout: Duration,
    /// How long the other end may leave unanswered what it is sent.
    pub unanswered: Duration,
    /// Which hosts and origins are answered.
    pub hosts: Arc<HostPolicy>,
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
    let service = TowerToHyperService::new(warp::service(routes));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &places, options.unanswered) => accepted,
        };
        let Some((stream, address, place)) = accepted else {
            continue;
        };
        let (service, stop, hosts) = (service.clone(), stop.clone(), options.hosts.clone());
        let guarded = hyper::service::service_fn(
            move |mut request: hyper::Request<hyper::body::Incoming>| {
                let turned_away = check(&hosts, &request);
                request.extensions_mut().insert(PeerAddress(address));
                let answer = turned_away.is_none().then(|| service.call(request));
                async move {
                    match (answer, turned_away) {
                        (Some(answer), _) => answer.await,
                        (None, problem) => {
                            Ok(problem.unwrap_or_else(Problem::not_found).into_response())
                        }
                    }
                }
            },
        );
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(64 << 10);
        let connection = http
            .serve_connection(TokioIo::new(stream), guarded)
            .with_upgrades();
        tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection ended early");
            }
            drop(place);
        });
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

fn check(hosts: &HostPolicy, request: &hyper::Request<hyper::body::Incoming>) -> Option<Problem> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap_or(""))
    };
    let refused = hosts
        .check(header(hyper::header::HOST), header(hyper::header::ORIGIN))
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
