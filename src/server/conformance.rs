//! A server of nothing but sockets that send back what they hear, for conformance tests: the same handshake, the same frames and
//! queues as those of maps. `mapweave serve` has no address that leads here. Start at [`serve_echo`].

use std::convert::Infallible;
use std::io;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use warp::Reply;
use warp::hyper;
use warp::hyper::Request;
use warp::hyper::body::{Bytes, Incoming};

use super::problem::Problem;
use super::socket;
use super::stalling::Watched;
use super::stream::Stream;
use super::ws::echo::{Queue, echo};

/// Serves `/ws/…` and `/hocuspocus` of `listener` with sockets that send back what they hear, for ever.
///
/// # Errors
/// The listener's.
pub async fn serve_echo(listener: TcpListener) -> io::Result<()> {
    let tasks = TaskTracker::new();
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let sockets = tasks.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let answer = upgrade(request, &sockets);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(Watched::new(Stream::from(tcp)), service)
            .with_upgrades();
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

fn upgrade(mut request: Request<Incoming>, tasks: &TaskTracker) -> warp::reply::Response {
    let queue = match request.uri().path() {
        "/hocuspocus" => Queue::OfManyMaps,
        path if path.starts_with("/ws/") => Queue::OfOneMap,
        _ => return Problem::not_found().into_response(),
    };
    let request = socket::Request::of(&mut request);
    let answer = match request.handshake() {
        Ok(answer) => answer,
        Err(problem) => return problem.into_response(),
    };
    match request.upgradable() {
        Ok(on_upgrade) => {
            tasks.spawn(async move {
                if let Some((stream, early)) = socket::upgraded(on_upgrade).await {
                    echo(stream, early, queue).await;
                }
            });
            answer.map(|()| Bytes::new().into())
        }
        Err(problem) => problem.into_response(),
    }
}
