//! A listener to server-sent events, read by hand: chunks, fields, ids.

use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::endpoint::Endpoint;
use super::http::Request;
use super::wait::until;

/// A connection that listens.
pub struct Listener {
    state: Arc<Mutex<Heard>>,
    reading: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its own id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
}

/// What was heard so far.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Events in order.
    pub events: Vec<Event>,
    /// The id that a client sends when it comes back.
    pub last_id: Option<String>,
    /// How often the server said how soon to come back.
    pub retries: usize,
    /// Signs of life.
    pub comments: usize,
    /// Whether the stream has ended as it should.
    pub ended: bool,
}

impl Listener {
    /// Listens to a map from now on.
    pub async fn open(server: &Endpoint, map: &str) -> Self {
        Self::with(server, Request::get(&path(map))).await
    }

    /// Comes back with the last id heard.
    pub async fn resume(server: &Endpoint, map: &str, id: &str) -> Self {
        Self::with(server, Request::get(&path(map)).header("last-event-id", id)).await
    }

    /// Listens by a request of the test's own; returns when the server has said where the log stands.
    pub async fn with(server: &Endpoint, request: Request) -> Self {
        let (head, rest, stream) = request.open(server.address()).await;
        assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&rest));
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let (state, reading) = (Arc::<Mutex<Heard>>::default(), watch::Sender::new(true));
        let task = tokio::spawn(read(stream, rest, state.clone(), reading.subscribe()));
        let listener = Self {
            state,
            reading,
            task,
        };
        until("the stream has begun", || listener.heard().last_id).await;
        listener
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.state().clone()
    }

    /// The id that a client sends when it comes back.
    pub fn last_id(&self) -> String {
        self.state().last_id.clone().expect("an id")
    }

    /// Stops reading from the socket, or goes on.
    pub fn read(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// The first event of this name that the test accepts.
    pub async fn event(&self, name: &str, mut accept: impl FnMut(&Value) -> bool) -> Event {
        until(&format!("an event {name} comes"), || {
            let state = self.state();
            let mut named = state.events.iter().filter(|event| event.name == name);
            named.find(|event| accept(&event.data)).cloned()
        })
        .await
    }

    /// Places and bytes of all updates so far.
    pub fn updates(&self) -> Vec<(u64, Vec<u8>)> {
        self.state().updates()
    }

    /// The place of the last update told, 0 if none was.
    pub fn told_upto(&self) -> u64 {
        let state = self.state();
        let mut updates = state.events.iter().filter(|event| event.name == "update");
        let last = updates.next_back().map(|event| event.data["seq"].as_u64());
        last.map_or(0, |seq| seq.expect("a place"))
    }

    /// Waits until the stream ends as it should.
    pub async fn ended(&self) -> Heard {
        until("the stream ends", || {
            Some(self.heard()).filter(|heard| heard.ended)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, Heard> {
        self.state.lock().expect("a listener that has not panicked")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Heard {
    /// Places and bytes of all updates so far.
    pub fn updates(&self) -> Vec<(u64, Vec<u8>)> {
        let updates = self.events.iter().filter(|event| event.name == "update");
        updates
            .map(|event| {
                let text = event.data["update"].as_str().expect("an update in base64");
                let bytes = STANDARD.decode(text).expect("base64");
                (event.data["seq"].as_u64().expect("a place"), bytes)
            })
            .collect()
    }

    /// Takes in whole events.
    fn hear(&mut self, text: &mut Vec<u8>, ended: bool) {
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            self.block(std::str::from_utf8(&block).expect("UTF-8").trim_end());
        }
        self.ended |= ended;
    }

    fn block(&mut self, block: &str) {
        let (mut name, mut id, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => name = Some(value.to_owned()),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => {
                    assert!(data.is_none(), "one line of data an event: {block}");
                    data = Some(serde_json::from_str(value).expect("JSON"));
                }
                Some(("retry", value)) => {
                    value.parse::<u64>().expect("milliseconds");
                    self.retries += 1;
                }
                _ if line.starts_with(':') => self.comments += 1,
                other => panic!("no line of an event stream: {other:?}"),
            }
        }
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        if let (Some(name), Some(data)) = (name, data) {
            self.events.push(Event { name, id, data });
        }
    }
}

fn path(map: &str) -> String {
    format!("/api/v1/maps/{map}/events")
}

async fn read(
    mut stream: TcpStream,
    mut raw: Vec<u8>,
    state: Arc<Mutex<Heard>>,
    mut reading: watch::Receiver<bool>,
) {
    let mut text = Vec::new();
    loop {
        let ended = unchunk(&mut raw, &mut text);
        state
            .lock()
            .expect("a test that has not panicked")
            .hear(&mut text, ended);
        // The sender lives as long as the listener.
        let _ = reading.wait_for(|reading| *reading).await;
        if ended || !matches!(stream.read_buf(&mut raw).await, Ok(1..)) {
            return;
        }
    }
}

/// Moves whole chunks over; whether the last has come.
fn unchunk(raw: &mut Vec<u8>, text: &mut Vec<u8>) -> bool {
    loop {
        let Some(line) = raw.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&raw[..line]).expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if raw.len() < line + 2 + size + 2 {
            return false;
        }
        text.extend_from_slice(&raw[line + 2..line + 2 + size]);
        raw.drain(..line + 2 + size + 2);
        if size == 0 {
            return true;
        }
    }
}
