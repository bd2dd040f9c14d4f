//! A server's address, and what can be asked there.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Request, Response};
use super::wait::until_async;

/// A server, as its clients know it.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// The server at this address.
    pub fn at(address: SocketAddr) -> Self {
        Self(address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    /// `http://…` of it.
    pub fn url(&self) -> String {
        format!("http://{}", self.0)
    }

    /// Sends it a request.
    pub async fn send(&self, request: Request) -> Response {
        request.send(self.0).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Response {
        self.send(Request::get(path)).await
    }

    /// The document of a map, as one Yjs update.
    pub async fn state(&self, map: &str) -> Vec<u8> {
        let answer = self.get(&format!("/api/v1/maps/{map}/state")).await;
        assert_eq!(answer.status, 200, "map {map}");
        answer.body
    }

    /// Writes an update to a map and waits until it is durable; its place in the log.
    pub async fn post(&self, map: &str, update: Vec<u8>) -> u64 {
        let path = format!("/api/v1/maps/{map}/state");
        let request = Request::post(&path, "application/octet-stream", update);
        let answer = self.send(request).await;
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let json = answer.json();
        assert_eq!(json["durable"], true);
        json["seq"].as_u64().expect("a place in the log")
    }

    /// What the list of maps says about a map.
    pub async fn describe(&self, map: &str) -> Value {
        let answer = self.get(&format!("/api/v1/maps/{map}")).await;
        assert_eq!(answer.status, 200, "map {map}");
        answer.json()
    }

    /// Records in the log of a map.
    pub async fn updates(&self, map: &str) -> u64 {
        let described = self.describe(map).await;
        described["updates"].as_u64().expect("a number of updates")
    }

    /// A figure of `/metrics`, summed over all its labels; 0 where there is none yet.
    ///
    /// `name` may name labels: `mapweave_sessions_closed_total{code="4422"}`.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body).expect("figures are text");
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .map(|line| {
                let value = line.rsplit(' ').next().expect("a value");
                value.parse::<f64>().expect("a number")
            })
            .sum()
    }

    /// Waits until so many sockets are open.
    pub async fn until_sockets(&self, open: usize) {
        let what = format!("{open} sockets are open");
        until_async(&what, || async {
            (self.metric("mapweave_sockets_open").await == open as f64).then_some(())
        })
        .await;
    }

    /// Waits until `/readyz` answers with this status.
    pub async fn until_ready(&self, status: u16) {
        let what = format!("/readyz answers {status}");
        until_async(&what, || async {
            (self.get("/readyz").await.status == status).then_some(())
        })
        .await;
    }
}
