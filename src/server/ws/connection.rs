//! One WebSocket connection: bytes in, [`Session`] events, effects out.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mapweave_proto::{
    Access, CloseReason, Effect, Event, Session, SessionId, SessionLimits, TERMINAL_CODES,
    TOO_LARGE_CODE,
};
use mapweave_storage::Origin;
use tokio_util::sync::CancellationToken;

use super::deliveries::Deliveries;
use super::frame::{self, FrameError, FrameReader, Incoming};
use super::outbox::Outbox;
use crate::room::{RoomGone, RoomHandle, Rooms};
use crate::server::pace::Pace;
use crate::server::stream::Stream;
use crate::server::unfinished::{Share, Unfinished};

/// Bytes read from a socket at once, into a buffer that all connections of a thread share.
const READ_BYTES: usize = 64 << 10;

/// How long a connection that is closing may take for its last bytes and the peer's answer.
const CLOSING: Duration = Duration::from_secs(5);

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A socket that was upgraded, and what it may do.
pub struct Connection {
    /// The socket.
    pub stream: Arc<Stream>,
    /// Bytes that came right behind the handshake.
    pub early: Bytes,
    /// The largest message it may send, in bytes.
    pub frame_bytes_max: usize,
    /// The bounds of its session.
    pub limits: SessionLimits,
    /// What waits for it at most, in bytes.
    pub queue_bytes_max: usize,
    /// What it has caused others to be sent.
    pub deliveries: Deliveries,
    /// Where messages count that are not whole yet.
    pub unfinished: Arc<Unfinished>,
    /// Before it is told that it is closed for good.
    pub pause: Pause,
}

/// A wait that a stop of the server cuts short.
pub struct Pause {
    /// How long.
    pub time: Duration,
    /// Rings when the server stops.
    pub stop: CancellationToken,
}

impl Pause {
    /// Waits before a close with `code`, if clients should not come back after it: older ones do, and at once.
    async fn before(&self, code: u16) {
        if TERMINAL_CODES.contains(&code) {
            tokio::select! {
                () = tokio::time::sleep(self.time) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

/// Whom it speaks to, and as whom.
pub struct Peering {
    /// Its map.
    pub room: RoomHandle,
    /// All maps, for the clock.
    pub rooms: Arc<Rooms>,
    /// Its number.
    pub id: SessionId,
    /// Who it is, for the log.
    pub origin: Arc<Origin>,
    /// What it may do.
    pub access: Access,
    /// What the person behind it sends on all their connections; of those without a name nothing is counted.
    pub pace: Option<Arc<Pace>>,
    /// Completes when it may do that no more, with why.
    pub ended: BoxFuture<'static, CloseReason>,
}

/// How a connection came to its end.
pub(super) enum Ending {
    /// The peer closed, with its code.
    Closed(Option<u16>),
    /// The socket broke, or the peer left without a word.
    Lost,
    /// The room ended.
    RoomGone,
    /// We close.
    Close(u16, String),
}

struct Running {
    peering: Peering,
    session: Session,
    reader: FrameReader,
    deliveries: Deliveries,
    unfinished: Arc<Unfinished>,
    /// While a message is not whole.
    share: Option<Share>,
    outbox: Arc<Outbox>,
    stream: Arc<Stream>,
    effects: Vec<Effect>,
    paused_until_ms: Option<u64>,
    pause: Pause,
}

impl Connection {
    /// Serves the connection until it ends.
    ///
    /// # Cancel safety
    /// A cancelled connection is gone from its room only when the room notices; let it end by itself.
    pub async fn serve(self, peering: Peering) {
        let outbox = Arc::new(Outbox::new(self.stream.clone(), self.queue_bytes_max));
        let mut running = Running {
            session: Session::new(self.limits, peering.access),
            reader: FrameReader::new(self.frame_bytes_max, &self.early),
            deliveries: self.deliveries,
            unfinished: self.unfinished,
            share: None,
            outbox: outbox.clone(),
            stream: self.stream,
            effects: Vec::new(),
            paused_until_ms: None,
            pause: self.pause,
            peering,
        };
        let Peering {
            room,
            id,
            origin,
            access,
            ..
        } = &running.peering;
        let joined = room.join(*id, outbox, origin.clone(), *access).await;
        let ending = match joined {
            Ok(()) => running.run().await,
            Err(RoomGone) => Ending::RoomGone,
        };
        let ending = match ending {
            Ending::RoomGone => running.told_by_room().await,
            ending => ending,
        };
        // A room that is gone needs no goodbye.
        let _ = running.peering.room.leave(running.peering.id).await;
        running.end(ending).await;
    }
}

impl Running {
    async fn run(&mut self) -> Ending {
        let attached = self.handle(Event::Attached).await;
        let mut ending = match attached {
            Ok(()) => self.take_messages().await.err(),
            Err(ending) => Some(ending),
        };
        while ending.is_none() {
            ending = self.step().await.err();
        }
        ending.unwrap_or(Ending::Lost)
    }

    async fn step(&mut self) -> Result<(), Ending> {
        let now_ms = self.peering.rooms.now_ms();
        if self.paused_until_ms.is_some_and(|until| until <= now_ms) {
            self.paused_until_ms = None;
            return self.take_messages().await;
        }
        let paused = self.paused_until_ms;
        let tick_ms = self.session.next_tick_ms().unwrap_or(u64::MAX);
        let tick_ms = paused.map_or(tick_ms, |until| until.min(tick_ms));
        tokio::select! {
            () = self.outbox.rung() => self.hear_room().await,
            reason = &mut self.peering.ended => Err(Ending::close(&reason)),
            writable = self.stream.writable(), if self.outbox.has_backlog() => {
                writable.and_then(|()| self.outbox.flush()).map_err(|_| Ending::Lost)?;
                self.hear_room().await
            }
            readable = self.stream.readable(), if paused.is_none() && !self.outbox.is_clogged() => {
                readable.map_err(|_| Ending::Lost)?;
                self.read().await
            }
            () = tokio::time::sleep(Duration::from_millis(tick_ms.saturating_sub(now_ms))) => {
                self.handle(Event::Tick).await
            }
        }
    }

    /// The end as the room told it before it went, after the last acknowledgements.
    async fn told_by_room(&mut self) -> Ending {
        match self.hear_room().await {
            Err(Ending::RoomGone) | Ok(()) if self.peering.rooms.is_stopping() => {
                Ending::close(&CloseReason::Restarting)
            }
            Err(Ending::RoomGone) | Ok(()) => {
                Ending::close(&CloseReason::Unavailable("the map is being reloaded"))
            }
            Err(told) => told,
        }
    }

    async fn hear_room(&mut self) -> Result<(), Ending> {
        let news = self.outbox.news();
        if news.sent {
            self.handle(Event::Sent).await?;
        }
        for (number, reason) in news.refused {
            self.handle(Event::Refused { number, reason }).await?;
        }
        if let Some(bytes) = news.answered {
            self.handle(Event::Answered { bytes }).await?;
        }
        if let Some(upto) = news.settled {
            self.handle(Event::Settled { upto }).await?;
        }
        if let Some(reason) = news.close {
            self.handle(Event::Stop(reason)).await?;
        }
        if news.wants_difference {
            let Peering { room, id, .. } = &self.peering;
            room.wants_difference(*id).await.map_err(Ending::from)?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Ending> {
        if !read_some(&self.stream, &mut self.reader)? {
            return Ok(());
        }
        self.take_messages().await
    }

    fn count_unfinished(&mut self) {
        let bytes = self.reader.waiting_bytes();
        let share = || self.unfinished.share(self.outbox.clone());
        let pause = Share::count(&mut self.share, bytes, share);
        let due_ms = pause.map(|pause| self.peering.rooms.now_ms() + pause.as_millis() as u64);
        self.paused_until_ms = self.paused_until_ms.max(due_ms);
    }

    /// Takes what is whole of what has arrived, unless the session wants a pause, and counts what is left.
    async fn take_messages(&mut self) -> Result<(), Ending> {
        let taken = self.take_whole().await;
        self.count_unfinished();
        taken
    }

    async fn take_whole(&mut self) -> Result<(), Ending> {
        while self.paused_until_ms.is_none() {
            // Whoever sends more than a thread can do at once lets others have it in between.
            tokio::task::coop::consume_budget().await;
            let (next, others) = self.reader.next_counted();
            if others > 0 {
                self.handle(Event::Frames(others)).await?;
                self.pay(others, 0);
            }
            let incoming = match next {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Ending::of_frame(error)),
            };
            match incoming {
                Incoming::Binary(message) => {
                    metrics::counter!("mapweave_messages_received_total").increment(1);
                    let bytes = message.len() as u64;
                    self.handle(Event::Frame(message)).await?;
                    self.pay(1, bytes);
                }
                Incoming::Ping(payload) => self.outbox.put(frame::pong(&payload)),
                Incoming::Pong => {}
                Incoming::Text(_) => {
                    return Err(Ending::Close(
                        1003,
                        "text messages are not understood".to_owned(),
                    ));
                }
                Incoming::Close(code) => return Err(Ending::Closed(code)),
            }
        }
        Ok(())
    }

    /// Counts what has come for the person who sent it, and pauses where they are ahead of what one may send.
    fn pay(&mut self, messages: u64, bytes: u64) {
        let now_ms = self.peering.rooms.now_ms();
        let pace = self.peering.pace.as_ref();
        let due_ms = pace.and_then(|pace| pace.take(now_ms, messages, bytes));
        self.paused_until_ms = later(self.paused_until_ms, due_ms);
    }

    async fn handle(&mut self, event: Event) -> Result<(), Ending> {
        let now_ms = self.peering.rooms.now_ms();
        self.session.handle(now_ms, event, &mut self.effects);
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Room(said) => {
                    let Peering { room, id, .. } = &self.peering;
                    let due_ms = self.deliveries.take(now_ms, &said, room);
                    self.paused_until_ms = self.paused_until_ms.max(due_ms);
                    room.heard(*id, said).await.map_err(Ending::from)?;
                }
                // Only a session of a Hocuspocus socket has answers of this kind.
                Effect::Answer(_) => {}
                Effect::Send(message) => self.outbox.put(frame::binary(&message)),
                Effect::Pause { until_ms } => {
                    self.paused_until_ms = self.paused_until_ms.max(Some(until_ms));
                }
                Effect::Close(reason) => return Err(Ending::close(&reason)),
            }
        }
        self.effects = effects;
        Ok(())
    }

    /// Sends the last frame and waits, for a limited time, until the peer has it.
    async fn end(self, ending: Ending) {
        let last = match ending {
            // Whoever ends with its room has been told why by then.
            Ending::Lost | Ending::RoomGone => return,
            Ending::Closed(code) => frame::close_echo(code),
            Ending::Close(code, reason) => {
                tracing::info!(code, reason, "closed a connection");
                self.pause.before(code).await;
                closing(code, &reason)
            }
        };
        let Self { outbox, stream, .. } = self;
        say_last(&*outbox, &stream, last).await;
    }
}

/// Tells a socket why there is nothing for it behind it, as [`Connection::serve`] does at its end.
pub async fn turn_away(stream: Stream, reason: &CloseReason, pause: Pause) {
    pause.before(reason.code()).await;
    let stream = Arc::new(stream);
    let outbox = Outbox::new(stream.clone(), 0);
    let last = closing(reason.code(), &reason.text());
    say_last(&outbox, &stream, last).await;
}

/// Feeds what has arrived to `reader`; whether anything has.
pub(super) fn read_some(stream: &Stream, reader: &mut FrameReader) -> Result<bool, Ending> {
    let read = READ_BUFFER.with_borrow_mut(|buffer| {
        let count = stream.try_read(buffer)?;
        reader.feed(buffer.get(..count).unwrap_or_default());
        Ok::<usize, io::Error>(count)
    });
    match read {
        Ok(0) => Err(Ending::Lost),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(_) => Err(Ending::Lost),
    }
}

/// The end of a connection's own pause, or that of the person behind it where it is later.
pub(super) fn later(own_ms: Option<u64>, of_person_ms: Option<u64>) -> Option<u64> {
    if of_person_ms.is_some() {
        metrics::counter!("mapweave_person_pauses_total").increment(1);
    }
    own_ms.max(of_person_ms)
}

/// What waits for a socket.
pub(super) trait Waiting {
    /// Puts bytes out that are for this connection alone.
    fn put(&self, frame: Bytes);
    /// Whether bytes wait for the socket.
    fn has_backlog(&self) -> bool;
    /// Writes what the socket takes now.
    fn flush(&self) -> io::Result<()>;
}

impl Waiting for Outbox {
    fn put(&self, frame: Bytes) {
        Self::put(self, frame);
    }

    fn has_backlog(&self) -> bool {
        Self::has_backlog(self)
    }

    fn flush(&self) -> io::Result<()> {
        Self::flush(self)
    }
}

/// The frame that closes a connection, counted.
pub(super) fn closing(code: u16, reason: &str) -> Bytes {
    metrics::counter!("mapweave_sessions_closed_total", "code" => code.to_string()).increment(1);
    frame::close_frame(code, reason)
}

pub(super) async fn say_last(outbox: &impl Waiting, stream: &Stream, last: Bytes) {
    outbox.put(last);
    // Whoever does not take the last frame in time does without.
    let _ = tokio::time::timeout(CLOSING, drain(outbox, stream)).await;
}

async fn drain(outbox: &impl Waiting, stream: &Stream) -> io::Result<()> {
    while outbox.has_backlog() {
        stream.writable().await?;
        outbox.flush()?;
    }
    stream.finish().await?;
    // Closing with bytes unread would reset the connection and take the close frame from the peer.
    loop {
        stream.readable().await?;
        let read = READ_BUFFER.with_borrow_mut(|buffer| stream.try_read(buffer));
        match read {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

impl Ending {
    /// A message over the limit is over it for good. Clients of this protocol take no notice of the code that the
    /// standard has for that (1009) and would send the message again for ever: they are given our own.
    fn of_frame(error: FrameError) -> Self {
        let code = match error {
            FrameError::TooLarge { .. } => TOO_LARGE_CODE,
            FrameError::Protocol(_) | FrameError::NotUtf8 => error.code(),
        };
        Self::Close(code, error.to_string())
    }

    fn close(reason: &CloseReason) -> Self {
        Self::Close(reason.code(), reason.text())
    }
}

impl From<RoomGone> for Ending {
    fn from(_: RoomGone) -> Self {
        Self::RoomGone
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_a_close_for_good_is_waited_for_and_a_stop_cuts_the_wait_short() {
        let pause = Pause {
            time: Duration::from_secs(3_600),
            stop: CancellationToken::new(),
        };
        for code in [1000, 1012, 4205, 4399, 4500, 4503] {
            assert_eq!(pause.before(code).now_or_never(), Some(()), "{code}");
        }
        for code in [4400, 4413, 4499] {
            assert_eq!(pause.before(code).now_or_never(), None, "{code}");
        }
        pause.stop.cancel();
        assert_eq!(pause.before(4413).now_or_never(), Some(()));
    }
}
