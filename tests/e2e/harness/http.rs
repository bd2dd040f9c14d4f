//! HTTP by hand, so that tests can leave out or forge what a client library would not let them.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::within;

/// A request. `Host` is the server's own unless the request names one or goes without.
#[derive(Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    host: Option<String>,
    own_host: bool,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            host: None,
            own_host: true,
        }
    }

    /// A GET request.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST request.
    pub fn post(path: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = Self::new("POST", path).header("content-type", media_type);
        Self {
            body: body.into(),
            ..request
        }
    }

    /// A request with a body, by any method.
    pub fn with_body(method: &str, path: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let method = method.to_owned();
        Self {
            method,
            ..Self::post(path, media_type, body)
        }
    }

    /// What a browser sends to open a WebSocket.
    pub fn upgrade(path: &str) -> Self {
        Self::get(path)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// One header more.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Names another host than the server's address.
    pub fn host(mut self, host: &str) -> Self {
        (self.host, self.own_host) = (Some(host.to_owned()), false);
        self
    }

    /// Names no host.
    pub fn without_host(mut self) -> Self {
        (self.host, self.own_host) = (None, false);
        self
    }

    /// Whether it has a body to send.
    pub fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    fn head(&self, address: SocketAddr) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let own = self.own_host.then(|| address.to_string());
        if let Some(host) = self.host.as_ref().or(own.as_ref()) {
            head += &format!("host: {host}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name == "connection") {
            head += "connection: close\r\n";
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.method != "GET" {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }

    /// Sends it on a connection of its own; `None` where the server is gone before it has answered whole.
    pub async fn try_send(&self, address: SocketAddr) -> Option<Response> {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut reading, mut writing) = stream.into_split();
        let mut bytes = self.head(address).into_bytes();
        bytes.extend_from_slice(&self.body);
        // A server may answer and close before it has read a body that it does not want.
        let sending = tokio::spawn(async move {
            let sent = writing.write_all(&bytes).await;
            (writing, sent)
        });
        let mut received = Vec::new();
        // An error after a whole answer takes nothing from the answer.
        let _ = within(
            "an answer has arrived",
            read_answer(&mut reading, &mut received),
        )
        .await;
        sending.abort();
        Response::parse(&received, self.method == "HEAD")
    }

    /// Sends it and reads the head of the answer; with what came behind it, and the connection.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn open(&self, address: SocketAddr) -> (Response, Vec<u8>, TcpStream) {
        let stream = TcpStream::connect(address).await.expect("a connection");
        self.open_on(stream, address).await
    }

    /// The same on a connection that is there.
    ///
    /// # Panics
    /// As [`Request::open`].
    pub async fn open_on(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
    ) -> (Response, Vec<u8>, TcpStream) {
        let head = self.head(address);
        stream.write_all(head.as_bytes()).await.expect("a server");
        let mut received = Vec::new();
        let reading = async {
            loop {
                if let Some((status, headers, body)) = Response::split(&received) {
                    let (body, rest) = (Vec::new(), body.to_vec());
                    let head = Response {
                        status,
                        headers,
                        body,
                    };
                    return (head, rest);
                }
                let read = stream.read_buf(&mut received).await;
                assert!(matches!(read, Ok(1..)), "the server ended: {read:?}");
            }
        };
        let (head, rest) = within("the head of an answer has arrived", reading).await;
        (head, rest, stream)
    }

    /// Sends it on a connection of its own.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send(&self, address: SocketAddr) -> Response {
        let answer = self.try_send(address).await;
        answer.unwrap_or_else(|| panic!("no answer to {} {}", self.method, self.path))
    }
}

/// Reads to the end of the connection, or of the answer where its length is known.
async fn read_answer(
    reading: &mut (impl AsyncReadExt + Unpin),
    received: &mut Vec<u8>,
) -> std::io::Result<()> {
    while Response::missing(received) != Some(0) {
        if reading.read_buf(received).await? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

impl Response {
    /// Bytes that are still to come, where that can be told.
    fn missing(received: &[u8]) -> Option<usize> {
        let (status, headers, body) = Self::split(received)?;
        let length = header(&headers, "content-length").and_then(|text| text.parse::<usize>().ok());
        let bodyless = matches!(status, 101 | 204 | 304);
        let length = if bodyless { Some(0) } else { length };
        length.map(|length| length.saturating_sub(body.len()))
    }

    fn parse(received: &[u8], to_head: bool) -> Option<Self> {
        let (status, headers, body) = Self::split(received)?;
        assert!(
            header(&headers, "transfer-encoding").is_none(),
            "these tests read no chunks"
        );
        (to_head || Self::missing(received).unwrap_or(0) == 0).then(|| Self {
            status,
            body: body.to_vec(),
            headers,
        })
    }

    #[allow(clippy::type_complexity)]
    fn split(received: &[u8]) -> Option<(u16, Vec<(String, String)>, &[u8])> {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(received.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some((status, headers, received.get(end + 4..)?))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The name of the problem that the answer tells (RFC 9457), having checked that it is well told.
    ///
    /// # Panics
    /// Where it is none.
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "status {}: {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(!detail.is_empty() && problem["title"].is_string());
        let kind = problem["type"].as_str().expect("a type");
        let name = kind.strip_prefix("urn:mapweave:problem:");
        name.expect("a problem of Mapweave").to_owned()
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(given, _)| given == name)
        .map(|(_, value)| value.as_str())
}
