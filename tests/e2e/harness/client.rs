//! A small y-websocket client with a document of its own, that can be online or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Any, Doc, Map, MapRef, ReadTxn, StateVector, Transact, TransactionMut, Update};

use super::content::Content;
use super::endpoint::Endpoint;
use super::wait::{until, until_true, within};
use super::wire::{self, Message};

/// A socket to the server.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a socket ended: close code and reason, or nothing where it just broke.
pub type Closed = Option<(u16, String)>;

/// A client of one map. What it wrote offline goes out when it is online again.
pub struct Client {
    map: String,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    /// Whether it reads from its socket.
    reading: watch::Sender<bool>,
}

struct State {
    doc: Doc,
    out: Option<mpsc::UnboundedSender<Frame>>,
    synced: bool,
    closed: Option<Closed>,
    /// Edits made, and how many of them are durable by the server's word.
    made: u64,
    stored: u64,
    presence: BTreeMap<u64, (u64, String)>,
    heard: Vec<Message>,
}

impl Client {
    /// A client that is not online yet.
    pub fn offline(map: &str) -> Self {
        let state = State {
            doc: Doc::new(),
            out: None,
            synced: false,
            closed: None,
            made: 0,
            stored: 0,
            presence: BTreeMap::new(),
            heard: Vec::new(),
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            reading: watch::Sender::new(true),
        };
        Self {
            map: map.to_owned(),
            shared: Arc::new(shared),
            tasks: Vec::new(),
        }
    }

    /// A client that is online and has the server's state.
    pub async fn join(server: &Endpoint, map: &str) -> Self {
        let mut client = Self::offline(map);
        client.go_online(server).await;
        client
    }

    /// Connects, exchanges states, and returns when it has the server's.
    pub async fn go_online(&mut self, server: &Endpoint) {
        self.connect(server).await;
        until_true("the client is synced", || self.state().synced).await;
    }

    /// Connects only.
    pub async fn connect(&mut self, server: &Endpoint) {
        assert!(self.tasks.is_empty(), "the client is online already");
        let (sink, source) = connect(server, &self.map).await.split();
        let (out, outbox) = mpsc::unbounded_channel();
        let mut state = self.state();
        (state.synced, state.closed) = (false, None);
        state.presence.clear();
        let vector = state.doc.transact().state_vector().encode_v1();
        let greeting = [wire::sync_step1(&vector), durable(state.made)];
        for frame in greeting {
            out.send(Frame::binary(frame)).expect("an open channel");
        }
        state.out = Some(out);
        drop(state);
        self.tasks.push(tokio::spawn(write(sink, outbox)));
        self.tasks
            .push(tokio::spawn(self.shared.clone().read(source)));
    }

    /// Drops the connection without a word, as a lost network does.
    pub async fn go_offline(&mut self) {
        self.state().out = None;
        for task in self.tasks.drain(..) {
            task.abort();
            // An abort is the end that was wanted.
            let _ = task.await;
        }
    }

    /// Waits until the server ends the connection; with which code and reason.
    pub async fn closed(&mut self) -> Closed {
        let closed = until("the server closes", || self.state().closed.clone()).await;
        self.go_offline().await;
        closed
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    /// Sets a key of the root map `feat`.
    pub fn set(&self, key: &str, value: impl Into<Any>) {
        let value = value.into();
        self.edit(|feat, txn| {
            feat.insert(txn, key, value);
        });
    }

    /// Sets a key of any root map.
    pub fn write(&self, root: &str, key: &str, value: impl Into<Any>) {
        let mut state = self.state();
        let map = state.doc.get_or_insert_map(root);
        let mut txn = state.doc.transact_mut();
        map.insert(&mut txn, key, value.into());
        let update = txn.encode_update_v1();
        drop(txn);
        state.made += 1;
        let made = state.made;
        state.tell([wire::update(&update), durable(made)]);
    }

    /// The map that it connects to, with what follows its name.
    pub fn address(&self) -> &str {
        &self.map
    }

    /// Connects to another address from now on, as with another token.
    pub fn readdress(&mut self, map: &str) {
        self.map = map.to_owned();
    }

    /// Removes a key.
    pub fn remove(&self, key: &str) {
        self.edit(|feat, txn| {
            feat.remove(txn, key);
        });
    }

    /// One edit of the root map `feat`: told to the server at once if it is online.
    pub fn edit(&self, change: impl FnOnce(&MapRef, &mut TransactionMut<'_>)) {
        let mut state = self.state();
        let update = state.change(change);
        state.made += 1;
        state.tell([wire::update(&update), durable(state.made)]);
    }

    /// An edit that gets lost on its way: the document has it, the server is not told.
    pub fn edit_and_lose(&self, change: impl FnOnce(&MapRef, &mut TransactionMut<'_>)) -> Vec<u8> {
        let mut state = self.state();
        state.made += 1;
        state.change(change)
    }

    /// Sends a frame of the test's own making.
    pub fn send(&self, frame: Vec<u8>) {
        self.state().tell([frame]);
    }

    /// Waits until every edit made so far is durable by the server's word.
    pub async fn stored(&self) {
        let made = self.made();
        until_true("every edit is stored", || self.acknowledged() >= made).await;
    }

    /// Waits until something was heard or the connection has ended, whatever it was.
    pub async fn news(&self, changes: &mut watch::Receiver<()>) {
        within("something is heard", changes.changed())
            .await
            .expect("a client that is there");
    }

    /// For [`Client::news`].
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Edits made.
    pub fn made(&self) -> u64 {
        self.state().made
    }

    /// Edits that are durable by the server's word.
    pub fn acknowledged(&self) -> u64 {
        self.state().stored
    }

    /// What its document holds.
    pub fn content(&self) -> Content {
        Content::of(&self.state().doc)
    }

    /// Its document as one update.
    pub fn update(&self) -> Vec<u8> {
        let state = self.state();
        let txn = state.doc.transact();
        txn.encode_state_as_update_v1(&StateVector::default())
    }

    /// Waits until its document holds the same as `other`.
    pub async fn converges_with(&self, other: &Client) {
        until_true("two clients have the same content", || {
            self.content() == other.content()
        })
        .await;
    }

    /// Waits until a key has a value.
    pub async fn sees(&self, key: &str, value: impl Into<Any>) {
        let value = value.into();
        let what = format!("key {key} is {value}");
        until_true(&what, || {
            self.content().get(key) == Some(value.clone()).as_ref()
        })
        .await;
    }

    /// Client ids with clock and state, as it heard of them on this connection.
    pub fn presence(&self) -> BTreeMap<u64, (u64, String)> {
        self.state().presence.clone()
    }

    /// Waits until presence is so.
    pub async fn sees_presence(&self, client: u64, clock: u64, presence: &str) {
        let what = format!("client {client} is {presence} at clock {clock}");
        let wanted = (clock, presence.to_owned());
        until_true(&what, || {
            self.state().presence.get(&client) == Some(&wanted)
        })
        .await;
    }

    /// Waits until an edit was refused with a reason that contains `words`.
    pub async fn is_denied(&self, words: &str) {
        let denied =
            |message: &Message| matches!(message, Message::Denied(why) if why.contains(words));
        until_true("an edit is refused", || self.heard().iter().any(denied)).await;
    }

    /// Everything heard so far, over all connections.
    pub fn heard(&self) -> Vec<Message> {
        self.state().heard.clone()
    }

    /// Stops reading from the socket, or goes on.
    pub fn read(&self, reading: bool) {
        self.shared.reading.send_replace(reading);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl State {
    fn change(&mut self, change: impl FnOnce(&MapRef, &mut TransactionMut<'_>)) -> Vec<u8> {
        let feat = self.doc.get_or_insert_map("feat");
        let mut txn = self.doc.transact_mut();
        change(&feat, &mut txn);
        txn.encode_update_v1()
    }

    fn tell(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        if let Some(out) = &self.out {
            for frame in frames {
                // A socket that has just ended loses it, as a network would.
                let _ = out.send(Frame::binary(frame));
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match &message {
            Message::SyncStep1(vector) => {
                let vector = StateVector::decode_v1(vector).expect("a state vector");
                let lacking = self.doc.transact().encode_state_as_update_v1(&vector);
                self.tell([wire::sync_step2(&lacking)]);
            }
            Message::SyncStep2(update) => {
                self.apply(update);
                self.synced = true;
            }
            Message::Update(update) => self.apply(update),
            Message::Awareness(entries) => {
                for (client, clock, state) in entries {
                    self.presence.insert(*client, (*clock, state.clone()));
                }
            }
            Message::Durable(token) => self.stored = self.stored.max(wire::token_number(token)),
            Message::Denied(_) => {}
        }
        self.heard.push(message);
    }

    fn apply(&self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("the server sends updates");
        let applied = self.doc.transact_mut().apply_update(update);
        applied.expect("the server's updates apply");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a client that has not panicked")
    }

    async fn read(self: Arc<Self>, mut source: SplitStream<Socket>) {
        let mut reading = self.reading.subscribe();
        let closed = loop {
            // The sender lives as long as this client.
            let _ = reading.wait_for(|reading| *reading).await;
            match source.next().await {
                Some(Ok(Frame::Binary(frame))) => {
                    self.lock().hear(wire::read(&frame));
                    self.changed.send_replace(());
                }
                Some(Ok(Frame::Close(close))) => {
                    break close.map(|close| (close.code.into(), close.reason.to_string()));
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(other)) => panic!("the server sends binary frames, not {other:?}"),
                Some(Err(_)) | None => break None,
            }
        };
        self.lock().closed = Some(closed);
        self.changed.send_replace(());
    }
}

/// A socket to a map.
///
/// # Panics
/// Where the server refuses it.
pub async fn connect(server: &Endpoint, map: &str) -> Socket {
    connect_to(server, &format!("/ws/{map}")).await
}

/// A socket at any address of the server.
///
/// # Panics
/// Where the server refuses it.
pub async fn connect_to(server: &Endpoint, path: &str) -> Socket {
    let url = format!("ws://{}{path}", server.address());
    // The library takes 16 MiB in a frame where nothing is said; browsers have no such bound.
    let config = WebSocketConfig::default()
        .max_frame_size(None)
        .max_message_size(None);
    let connecting = connect_async_with_config(url, Some(config), false);
    let (socket, _) = within("the socket is open", connecting)
        .await
        .expect("a socket");
    socket
}

/// Reads on until the server closes; with which code and reason.
pub async fn read_to_close(socket: &mut Socket) -> Closed {
    let reading = async {
        loop {
            match socket.next().await {
                Some(Ok(Frame::Close(close))) => {
                    return close.map(|close| (close.code.into(), close.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    within("the server closes", reading).await
}

/// The next message on a socket.
///
/// # Panics
/// Where the server closes instead.
pub async fn next_message(socket: &mut Socket) -> Message {
    let reading = async {
        loop {
            match socket.next().await {
                Some(Ok(Frame::Binary(frame))) => return wire::read(&frame),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                other => panic!("a message was wanted, but the server sent {other:?}"),
            }
        }
    };
    within("a message comes", reading).await
}

async fn write(mut sink: SplitSink<Socket, Frame>, mut outbox: mpsc::UnboundedReceiver<Frame>) {
    while let Some(frame) = outbox.recv().await {
        if sink.send(frame).await.is_err() {
            return;
        }
    }
}

fn durable(version: u64) -> Vec<u8> {
    let mut token = Vec::new();
    wire::number(&mut token, version);
    wire::durable(&token)
}
