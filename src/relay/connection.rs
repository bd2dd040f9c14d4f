//! Carries a [`Link`] over a WebSocket: reads, writes, does what the link asks, until the socket or the link ends.

mod taking;
mod wire;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitStream};
use futures_util::{FutureExt, StreamExt};
use mapweave_proto::{DocId, Seq};
use mapweave_storage::StoreError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};

use super::Relay;
use super::batch::compress;
use super::intake::Interrupted;
use super::link::{Allow, Link, LinkError, ReadRecords, Task};
use super::message::{Message, Outcome};
use super::outlet::{local_map, read, state, vector};
use super::pace::Pace;
use super::status::Post;
use taking::take;
pub use wire::{Counted, socket_config};
use wire::{hear, write};

/// How often a quiet connection says that it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How often a connection looks after itself, and says how it stands.
const TICK: Duration = Duration::from_secs(1);

/// After so long without a byte the other end is taken for gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Longest reason in a close frame, in bytes.
const CLOSE_REASON_BYTES_MAX: usize = 120;

/// Frames between the link and the socket: the link decides late what to say next.
const FRAMES_MAX: usize = 1;

/// The update that says nothing.
const NOTHING: [u8; 2] = [0, 0];

/// What a connection is.
pub struct Terms {
    /// Who is at the other end, and vouches for what it hands on.
    pub via: String,
    /// Which maps may pass.
    pub allow: Allow,
    /// Most bytes a second, each way.
    pub bytes_per_s: Option<u64>,
    /// When it ends.
    pub until: Until,
}

/// When a connection ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It does not.
    Ever,
    /// When both ends have all of each other's.
    Level,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// Both ends have all of each other's, as was wanted.
    #[error("both ends have all of each other's")]
    Level,
    /// It was stopped here.
    #[error("the connection was stopped: {0}")]
    Stopped(String),
    /// The other end closed it.
    #[error("the other end closed the connection{}", reason(.0))]
    Closed(String),
    /// The network did.
    #[error("the connection broke: {0}")]
    Socket(#[from] SocketError),
    /// Nothing was heard for too long.
    #[error("nothing was heard for {} s", SILENCE_MAX.as_secs())]
    Silent,
    /// What the other end said.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What happens here.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// This store was restored from older data, and has begun a new life: connect anew.
    #[error("this store was restored from older data; it goes on in a new life")]
    Renewed,
}

fn reason(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    }
}

impl Ended {
    /// The code that the other end is told, if it is told anything.
    fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Level => Some(CloseCode::Normal),
            Self::Stopped(_) | Self::Interrupted(_) | Self::Renewed => Some(CloseCode::Restart),
            Self::Link(_) => Some(CloseCode::Policy),
            Self::Closed(_) | Self::Socket(_) | Self::Silent => None,
        }
    }
}

/// What one of the link's tasks came to.
enum Answer {
    Read(DocId, Result<ReadRecords, StoreError>),
    Resumed(u64, BytesMut),
    Taken(Result<Outcome, Interrupted>),
    Vector(DocId, Option<Bytes>),
    State(DocId, Option<(Seq, Bytes)>),
    Suspect(Result<bool, StoreError>),
}

/// Exchanges over `socket` until it ends, or `stop` completes with a reason.
pub async fn run<S>(
    relay: &Arc<Relay>,
    socket: WebSocketStream<Counted<S>>,
    terms: &Terms,
    post: &Post,
    stop: impl Future<Output = String>,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let read_bytes = socket.get_ref().read_bytes.clone();
    let (sink, stream) = socket.split();
    let (frames, queued) = mpsc::channel(FRAMES_MAX);
    // Before the maps are listed, so that nothing falls between.
    let follows = relay.rooms.follow();
    let mut link = Link::new(relay.store().identity(), terms.allow.clone());
    for entry in relay.store().maps() {
        link.hand_in(relay, entry.id);
    }
    link.listed();
    post.opened();
    let mut driver = Driver {
        relay,
        terms,
        post,
        link,
        stream,
        follows,
        jobs: FuturesUnordered::new(),
        pace: Pace::new(terms.bytes_per_s),
        read_bytes,
        writer: tokio::spawn(write(sink, queued, Pace::new(terms.bytes_per_s))),
    };
    let ended = driver.run(&frames, pin!(stop)).await;
    driver.keep();
    driver.farewell(&ended, frames).await;
    ended
}

struct Driver<'a, S> {
    relay: &'a Arc<Relay>,
    terms: &'a Terms,
    post: &'a Post,
    link: Link,
    stream: SplitStream<WebSocketStream<Counted<S>>>,
    follows: crate::room::Follows,
    jobs: FuturesUnordered<BoxFuture<'static, Answer>>,
    pace: Pace,
    read_bytes: Arc<AtomicU64>,
    writer: JoinHandle<Result<(), SocketError>>,
}

impl<S> Driver<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Everything that happens, one after the other.
    async fn run(
        &mut self,
        frames: &mpsc::Sender<Frame>,
        mut stop: Pin<&mut impl Future<Output = String>>,
    ) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged_at = Instant::now();
        let (mut counted, mut counted_at) = (0, Instant::now());
        let mut next: Option<Message> = None;
        loop {
            while let Some(task) = self.link.next_task() {
                let job = self.job(task);
                self.jobs.push(job);
            }
            if next.is_none() {
                next = self.link.next_message();
            }
            if self.terms.until == Until::Level && next.is_none() && self.link.is_level() {
                return Ended::Level;
            }
            let step = tokio::select! {
                why = &mut stop => Err(Ended::Stopped(why)),
                written = &mut self.writer => Err(match written {
                    Ok(Ok(())) => Ended::Closed(String::new()),
                    Ok(Err(error)) => Ended::Socket(error),
                    Err(error) => Ended::Stopped(error.to_string()),
                }),
                place = frames.reserve(), if next.is_some() => {
                    if let (Ok(place), Some(message)) = (place, next.take()) {
                        place.send(Frame::Binary(message.encode()));
                    }
                    Ok(())
                }
                frame = hear(&mut self.stream, &self.pace), if self.link.listens() => self.heard(frame),
                changed = self.follows.next() => {
                    for doc in changed {
                        self.link.hand_in(self.relay, doc);
                    }
                    Ok(())
                }
                Some(answer) = self.jobs.next(), if !self.jobs.is_empty() => self.answered(answer).await,
                _ = tick.tick() => {
                    let read = self.read_bytes.load(Relaxed);
                    if read != counted {
                        (counted, counted_at) = (read, Instant::now());
                    }
                    if pinged_at.elapsed() >= KEEPALIVE {
                        pinged_at = Instant::now();
                        // Where there is no place, something is on its way anyway.
                        let _ = frames.try_send(Frame::Ping(Bytes::new()));
                    }
                    self.tell(counted_at);
                    if counted_at.elapsed() > SILENCE_MAX { Err(Ended::Silent) } else { Ok(()) }
                }
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    fn heard(&mut self, frame: Option<Result<Frame, SocketError>>) -> Result<(), Ended> {
        match frame {
            None => return Err(Ended::Closed(String::new())),
            Some(Err(error)) => return Err(Ended::Socket(error)),
            Some(Ok(Frame::Binary(bytes))) => {
                self.pace.passed(bytes.len());
                metrics::counter!("mapweave_relay_received_bytes_total")
                    .increment(bytes.len() as u64);
                let known = self.link.peer().is_some();
                let message = Message::decode(bytes).map_err(LinkError::from)?;
                self.link.hear(message)?;
                if let (false, Some(peer)) = (known, self.link.peer()) {
                    self.link.remember(self.relay.memory.progress(peer));
                }
            }
            Some(Ok(Frame::Close(close))) => {
                let why = close.map(|close| close.reason.to_string());
                let why: String = why.unwrap_or_default();
                return Err(Ended::Closed(
                    why.chars().filter(|c| !c.is_control()).collect(),
                ));
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Ok(Frame::Text(_))) => {
                return Err(LinkError::Protocol("it sends text").into());
            }
        }
        Ok(())
    }

    fn tell(&self, heard_at: Instant) {
        let ago = heard_at.elapsed().as_millis() as u64;
        let standing = self.link.standing();
        self.post.stands(self.link.peer(), &standing, ago);
    }

    /// What a task of the link needs, as work beside the connection.
    fn job(&self, task: Task) -> BoxFuture<'static, Answer> {
        let relay = self.relay.clone();
        match task {
            Task::Read {
                doc,
                from,
                upto,
                skip,
            } => async move {
                let store = relay.store().clone();
                Answer::Read(doc, read(store, doc, from, upto, skip).await)
            }
            .boxed(),
            Task::Resume { number, hash } => {
                let part = relay.memory.take_part(&hash);
                async move { Answer::Resumed(number, part) }.boxed()
            }
            Task::Take {
                content,
                into,
                packed,
                hash,
                ..
            } => {
                let via = self.terms.via.clone();
                async move { Answer::Taken(take(&relay, content, into, packed, hash, via).await) }
                    .boxed()
            }
            Task::Verify { theirs, here } => {
                let peer = self.link.peer();
                async move {
                    let first = peer.is_some_and(|peer| relay.memory.verify(peer, theirs));
                    let vector = match first {
                        true => vector(&relay.rooms, here).await,
                        false => None,
                    };
                    Answer::Vector(theirs, vector)
                }
                .boxed()
            }
            Task::State { doc, vector } => async move {
                let state = state(&relay.rooms, doc, vector).await;
                // Whoever asks waits for an answer, be it an empty one.
                let nothing = || Some((Seq::ZERO, compress(&NOTHING).ok()?));
                Answer::State(doc, state.or_else(nothing))
            }
            .boxed(),
            Task::Suspect { log, seq } => async move {
                let exchange = relay.store().exchange(log.doc);
                if exchange.is_some_and(|exchange| exchange.known.holds(&log, seq)) {
                    return Answer::Suspect(Ok(false));
                }
                tracing::warn!(
                    map = %log.doc,
                    %seq,
                    "another store holds more of this one's log than is here: this store was restored from older data and begins a new life"
                );
                Answer::Suspect(relay.store().renew().await.map(|_| true))
            }
            .boxed(),
        }
    }

    async fn answered(&mut self, answer: Answer) -> Result<(), Ended> {
        match answer {
            Answer::Read(doc, Ok(records)) => {
                let sent = records.packed.as_ref().map_or(0, |packed| packed.records);
                metrics::counter!("mapweave_relay_sent_records_total").increment(sent);
                self.link.read(doc, records);
            }
            Answer::Read(doc, Err(error)) => {
                tracing::error!(map = %doc, %error, "a map cannot be read, so it is not handed on");
                self.link.unreadable(doc, &error.to_string());
            }
            Answer::Resumed(number, bytes) => self.link.resumed(number, bytes),
            Answer::Taken(outcome) => {
                let outcome = outcome?;
                if let Outcome::Refused(why) = &outcome {
                    tracing::warn!(
                        via = self.terms.via,
                        why,
                        "a record is not taken; its map waits"
                    );
                }
                self.link.taken(outcome);
            }
            Answer::Vector(theirs, vector) => self.link.vector(theirs, vector),
            Answer::State(doc, state) => self.link.state(doc, state),
            Answer::Suspect(Ok(true)) => return Err(Ended::Renewed),
            Answer::Suspect(Ok(false)) => {}
            Answer::Suspect(Err(error)) => return Err(Interrupted::from(error).into()),
        }
        Ok(())
    }

    /// Keeps what saves work when the same store comes back.
    fn keep(&mut self) {
        let memory = &self.relay.memory;
        if let Some(peer) = self.link.peer() {
            memory.keep_progress(peer, self.link.progress());
        }
        if let Some((hash, bytes)) = self.link.broken_off() {
            memory.keep_part(hash, bytes);
        }
    }

    /// Says why the connection ends, if the other end still listens.
    async fn farewell(self, ended: &Ended, frames: mpsc::Sender<Frame>) {
        let Self { mut writer, .. } = self;
        if let Some(code) = ended.close_code().filter(|_| !writer.is_finished()) {
            let mut reason = ended.to_string();
            while reason.len() > CLOSE_REASON_BYTES_MAX {
                reason.pop();
            }
            let reason = reason.into();
            let close = Frame::Close(Some(CloseFrame { code, reason }));
            let saying = async {
                if frames.send(close).await.is_ok() {
                    drop(frames);
                    // Whether it arrives changes nothing here.
                    let _ = (&mut writer).await;
                }
            };
            let _ = tokio::time::timeout(FAREWELL, saying).await;
        }
        writer.abort();
    }
}

impl Link {
    /// Tells the link how a map stands.
    fn hand_in(&mut self, relay: &Relay, doc: DocId) {
        if let Some(map) = local_map(relay.store().as_ref(), doc) {
            self.map(map);
        }
    }
}
