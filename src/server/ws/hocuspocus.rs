//! One Hocuspocus socket: bytes in, [`Switchboard`] events, effects out to the rooms of its maps.
//!
//! Every map is a session of its room with a queue of its own, both ways. What they share is the reading: a client
//! over its rate holds up all its maps, and so does one that has much more to say to a busy room than that takes.

mod entering;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mapweave_proto::{
    Access, CloseReason, Event, LaneId, SessionId, SessionLimits, SocketClose, SocketEffect,
    SocketEvent, Switchboard, limits,
};
use mapweave_storage::Origin;
use tokio_util::sync::CancellationToken;

use self::entering::{Awaited, Came};
use super::backlog::News;
use super::connection::{Ending, Waiting, closing, later, read_some, say_last};
use super::deliveries::Deliveries;
use super::door::Door;
use super::errands::Errands;
use super::frame::{self, FrameReader, Incoming};
use super::keyed::Keyed;
use super::lanes::{Lane, Lanes};
use crate::room::{Errand, RoomGone, RoomHandle, RoomPlace, Rooms};
use crate::server::pace::Pace;
use crate::server::state::SocketPlace;
use crate::server::stream::Stream;
use crate::server::unfinished::{Share, Unfinished};

/// A socket that was upgraded, its bounds, and the way to its maps.
pub struct Socket<D> {
    /// The socket.
    pub stream: Arc<Stream>,
    /// Bytes that came right behind the handshake.
    pub early: Bytes,
    /// The largest message it may send, in bytes, without its address.
    pub frame_bytes_max: usize,
    /// The bounds of each of its sessions, and of all that it sends.
    pub limits: SessionLimits,
    /// What waits for it at most, in bytes, for each of its maps.
    pub queue_bytes_max: usize,
    /// Where messages count that are not whole yet.
    pub unfinished: Arc<Unfinished>,
    /// What it has caused others to be sent, in all its maps.
    pub deliveries: Deliveries,
    /// All maps, for the clock.
    pub rooms: Arc<Rooms>,
    /// Who may have which map.
    pub door: D,
    /// Rings when the server stops. Rooms close the sockets of their connections; this is for those without maps.
    pub stop: CancellationToken,
}

/// A map of the socket.
struct Attached {
    room: RoomHandle,
    origin: Arc<Origin>,
    access: Access,
    pace: Option<Arc<Pace>>,
    /// Given back with it.
    _places: (SocketPlace, RoomPlace),
    id: SessionId,
    /// Whether its room knows of us.
    joined: bool,
}

struct Running<D> {
    board: Switchboard,
    stop: CancellationToken,
    door: D,
    rooms: Arc<Rooms>,
    maps: HashMap<LaneId, Attached>,
    /// Of the people whose tokens were shown for its maps, mostly one. What comes counts for each of them.
    paces: Vec<Arc<Pace>>,
    awaited: Keyed<Awaited, Came>,
    errands: Errands,
    lanes: Arc<Lanes>,
    queue_bytes_max: usize,
    reader: FrameReader,
    unfinished: Arc<Unfinished>,
    deliveries: Deliveries,
    /// While a message is not whole.
    share: Option<Share>,
    stream: Arc<Stream>,
    paused_until_ms: Option<u64>,
    /// Whole messages may wait in the reader until errands are done.
    held_up: bool,
    /// The map whose room was found to be gone.
    gone: Option<LaneId>,
}

impl<D: Door> Socket<D> {
    /// Serves the socket until it ends.
    ///
    /// # Cancel safety
    /// A cancelled socket is gone from its rooms only when they notice; let it end by itself.
    pub async fn serve(self) {
        let bytes_max = self
            .frame_bytes_max
            .saturating_add(limits::ADDRESSING_BYTES_MAX);
        let mut running = Running {
            board: Switchboard::new(self.limits),
            stop: self.stop,
            door: self.door,
            rooms: self.rooms,
            maps: HashMap::new(),
            paces: Vec::new(),
            awaited: Keyed::new(),
            errands: Errands::new(),
            lanes: Arc::new(Lanes::new(self.stream.clone(), self.queue_bytes_max)),
            queue_bytes_max: self.queue_bytes_max,
            reader: FrameReader::new(bytes_max, &self.early),
            unfinished: self.unfinished,
            deliveries: self.deliveries,
            share: None,
            stream: self.stream,
            paused_until_ms: None,
            held_up: false,
            gone: None,
        };
        let ending = running.run().await;
        running.end(ending).await;
    }
}

impl<D: Door> Running<D> {
    async fn run(&mut self) -> Ending {
        let mut done = self.take_messages().await;
        loop {
            if let Err(Ending::RoomGone) = done {
                done = self.told_by_room().await;
            }
            match done {
                Ok(()) => done = self.step().await,
                Err(ending) => return ending,
            }
        }
    }

    /// What a room told before it went: the last acknowledgements, and perhaps that its map was deleted, which is no
    /// reason to end the socket. Otherwise the client comes back to a fresh room.
    async fn told_by_room(&mut self) -> Result<(), Ending> {
        match self.hear_rooms().await {
            Ok(()) | Err(Ending::RoomGone) => {}
            told => return told,
        }
        let gone = self.gone.take();
        if gone.is_some_and(|lane| !self.maps.contains_key(&lane)) {
            return self.take_messages().await;
        }
        let reason = match self.rooms.is_stopping() {
            true => CloseReason::Restarting,
            false => CloseReason::Unavailable("the map is being reloaded"),
        };
        Err(Ending::of_socket(SocketClose::from(&reason)))
    }

    async fn step(&mut self) -> Result<(), Ending> {
        let now_ms = self.rooms.now_ms();
        if self.paused_until_ms.is_some_and(|until| until <= now_ms) {
            self.paused_until_ms = None;
            return self.take_messages().await;
        }
        let paused = self.paused_until_ms;
        let tick_ms = self.board.next_tick_ms().unwrap_or(u64::MAX);
        let tick_ms = paused.map_or(tick_ms, |until| until.min(tick_ms));
        let listens = paused.is_none() && !self.held_up && !self.lanes.is_clogged();
        tokio::select! {
            () = self.stop.cancelled(), if self.maps.is_empty() => {
                self.handle(SocketEvent::Stop(CloseReason::Restarting)).await
            }
            () = self.lanes.rung() => self.hear_rooms().await,
            writable = self.stream.writable(), if self.lanes.has_backlog() => {
                writable.and_then(|()| self.lanes.flush()).map_err(|_| Ending::Lost)?;
                self.hear_rooms().await
            }
            readable = self.stream.readable(), if listens => {
                readable.map_err(|_| Ending::Lost)?;
                self.read().await
            }
            (lane, done) = self.errands.done() => self.ran(lane, done).await,
            (awaited, came) = self.awaited.next() => self.came(awaited, came).await,
            () = tokio::time::sleep(Duration::from_millis(tick_ms.saturating_sub(now_ms))) => {
                self.handle(SocketEvent::Tick).await
            }
        }
    }

    async fn hear_rooms(&mut self) -> Result<(), Ending> {
        let news = self.lanes.news();
        if news.sent {
            self.handle(SocketEvent::Sent).await?;
        }
        for (lane, news) in news.lanes {
            self.hear_room(lane, news).await?;
        }
        match news.close {
            Some(reason) => self.handle(SocketEvent::Stop(reason)).await,
            None => Ok(()),
        }
    }

    async fn hear_room(&mut self, lane: LaneId, news: News) -> Result<(), Ending> {
        // A refusal comes before what says "durable up to here".
        let refused = news.refused.into_iter();
        let refused = refused.map(|(number, reason)| Event::Refused { number, reason });
        let answered = news.answered.map(|bytes| Event::Answered { bytes });
        let settled = news.settled.map(|upto| Event::Settled { upto });
        let close = news.close.map(Event::Stop);
        for event in refused.chain(answered).chain(settled).chain(close) {
            self.handle(SocketEvent::Lane(lane, event)).await?;
        }
        if news.wants_difference {
            self.tell_room(lane, Errand::wants_difference)?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Ending> {
        if !read_some(&self.stream, &mut self.reader)? {
            return Ok(());
        }
        self.take_messages().await
    }

    /// Takes what is whole of what has arrived, unless the client is over its rate or too far ahead of a room.
    async fn take_messages(&mut self) -> Result<(), Ending> {
        let taken = self.take_whole().await;
        let bytes = self.reader.waiting_bytes();
        let share = || self.unfinished.share(self.lanes.clone());
        let pause = Share::count(&mut self.share, bytes, share);
        let due_ms = pause.map(|pause| self.rooms.now_ms() + pause.as_millis() as u64);
        self.paused_until_ms = self.paused_until_ms.max(due_ms);
        taken
    }

    async fn take_whole(&mut self) -> Result<(), Ending> {
        while self.paused_until_ms.is_none() {
            self.held_up = self.errands.is_full();
            if self.held_up {
                return Ok(());
            }
            // As for a socket of one map: others have the thread in between, and every frame is paid for.
            tokio::task::coop::consume_budget().await;
            let (next, others) = self.reader.next_counted();
            if others > 0 {
                self.handle(SocketEvent::Frames(others)).await?;
                self.pay(others, 0);
            }
            let incoming = match next {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Ending::Close(error.code(), error.to_string())),
            };
            match incoming {
                Incoming::Binary(message) => {
                    metrics::counter!("mapweave_messages_received_total").increment(1);
                    let bytes = message.len() as u64;
                    self.handle(SocketEvent::Frame(message)).await?;
                    self.pay(1, bytes);
                }
                Incoming::Ping(payload) => self.lanes.put(LaneId::SOCKET, frame::pong(&payload)),
                Incoming::Pong => {}
                Incoming::Text(_) => {
                    let why = "text messages are not understood";
                    return Err(Ending::Close(1003, why.to_owned()));
                }
                Incoming::Close(code) => return Err(Ending::Closed(code)),
            }
        }
        Ok(())
    }

    /// As for a socket of one map.
    fn pay(&mut self, messages: u64, bytes: u64) {
        let now_ms = self.rooms.now_ms();
        let taken = self.paces.iter();
        let due_ms = taken.filter_map(|pace| pace.take(now_ms, messages, bytes));
        self.paused_until_ms = later(self.paused_until_ms, due_ms.max());
    }

    /// Those whose maps were left or whose tokens were replaced are counted no more.
    fn forget_paces(&mut self) {
        let maps = &self.maps;
        self.paces.retain(|pace| {
            let mut own = maps.values().filter_map(|map| map.pace.as_ref());
            own.any(|own| Arc::ptr_eq(own, pace))
        });
    }

    /// What comes counts for this person, too.
    fn count_for(&mut self, pace: Option<&Arc<Pace>>) {
        let is_known = |pace: &Arc<Pace>| self.paces.iter().any(|known| Arc::ptr_eq(known, pace));
        if let Some(pace) = pace.filter(|pace| !is_known(pace)) {
            self.paces.push(pace.clone());
        }
    }

    /// An errand is done that a busy room had held up.
    async fn ran(&mut self, lane: LaneId, done: Result<(), RoomGone>) -> Result<(), Ending> {
        // A map that was left meanwhile needs no room.
        if self.maps.contains_key(&lane) {
            self.reached(lane, done)?;
        }
        match self.held_up {
            true => self.take_messages().await,
            false => Ok(()),
        }
    }

    /// Takes one event, and those that follow from questions that are answered at once.
    async fn handle(&mut self, event: SocketEvent) -> Result<(), Ending> {
        let mut next = Some(event);
        let mut answered = VecDeque::new();
        while let Some(event) = next.take().or_else(|| answered.pop_front()) {
            let mut effects = Vec::new();
            self.board.handle(self.rooms.now_ms(), event, &mut effects);
            let mut effects = effects.into_iter().peekable();
            while let Some(effect) = effects.next() {
                match effect {
                    SocketEffect::Enter {
                        lane,
                        address,
                        token,
                    } => answered.extend(self.enter(lane, address, token).await),
                    SocketEffect::Renew {
                        lane,
                        address,
                        token,
                    } => answered.extend(self.renew(lane, address, token).await),
                    SocketEffect::Join(lane) => self.join(lane)?,
                    SocketEffect::Room(lane, said) => {
                        if let Some(attached) = self.maps.get(&lane) {
                            let now_ms = self.rooms.now_ms();
                            let due_ms = self.deliveries.take(now_ms, &said, &attached.room);
                            self.paused_until_ms = self.paused_until_ms.max(due_ms);
                        }
                        self.tell_room(lane, |session| Errand::heard(session, said))?;
                    }
                    SocketEffect::Send(lane, first) => {
                        let more = || match effects.peek() {
                            Some(SocketEffect::Send(next, _)) if *next == lane => effects.next(),
                            _ => None,
                        };
                        self.lanes.put(lane, in_one_write(&first, more));
                    }
                    SocketEffect::Leave(lane) => self.leave(lane),
                    SocketEffect::Pause { until_ms } => {
                        self.paused_until_ms = self.paused_until_ms.max(Some(until_ms));
                    }
                    SocketEffect::Close(close) => return Err(Ending::of_socket(close)),
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, lane: LaneId) -> Result<(), Ending> {
        let Some(map) = self.maps.get_mut(&lane) else {
            return Ok(());
        };
        map.joined = true;
        tracing::debug!(session = %map.id, map = map.room.name().as_str(), "attached a map");
        let (origin, access) = (map.origin.clone(), map.access);
        let lanes = self.lanes.clone();
        let peer = Arc::new(Lane { lanes, id: lane });
        self.tell_room(lane, |session| Errand::join(session, peer, origin, access))
    }

    fn tell_room(
        &mut self,
        lane: LaneId,
        errand: impl FnOnce(SessionId) -> Errand,
    ) -> Result<(), Ending> {
        let Some(map) = self.maps.get(&lane) else {
            return Ok(());
        };
        let sent = self.errands.send(lane, &map.room, errand(map.id));
        self.reached(lane, sent)
    }

    /// Notes which map's room is gone, if it is.
    fn reached(&mut self, lane: LaneId, reached: Result<(), RoomGone>) -> Result<(), Ending> {
        reached.map_err(|gone| {
            self.gone = Some(lane);
            Ending::from(gone)
        })
    }

    fn leave(&mut self, lane: LaneId) {
        self.forget_awaited(lane);
        self.lanes.leave(lane);
        let Some(map) = self.maps.remove(&lane) else {
            return;
        };
        self.forget_paces();
        if map.joined {
            // A room that is gone needs no goodbye.
            let _ = self.errands.send(lane, &map.room, Errand::leave(map.id));
        }
    }

    /// Leaves all maps, sends the last frame and waits, for a limited time, until the peer has it.
    async fn end(mut self, ending: Ending) {
        let all: Vec<LaneId> = self.maps.keys().copied().collect();
        for lane in all {
            self.leave(lane);
        }
        let last = match ending {
            Ending::Lost | Ending::RoomGone => return self.errands.finish().await,
            Ending::Closed(code) => frame::close_echo(code),
            Ending::Close(code, reason) => {
                tracing::info!(code, reason, "closed a connection");
                closing(code, &reason)
            }
        };
        let said = say_last(&*self.lanes, &self.stream, last);
        tokio::join!(said, self.errands.finish());
    }
}

/// The frames of what is said to one map at once, so that they reach the client at once. A provider that comes back
/// counts all that it did offline as one change, and is told of each: an edit that its user made between two of those
/// would be taken for saved.
fn in_one_write(first: &Bytes, mut more: impl FnMut() -> Option<SocketEffect>) -> Bytes {
    let first = frame::binary(first);
    let Some(second) = more() else {
        return first;
    };
    let mut all = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(SocketEffect::Send(_, frame)) = next {
        all.extend_from_slice(&frame::binary(&frame));
        next = more();
    }
    all.freeze()
}

impl Ending {
    fn of_socket(close: SocketClose) -> Self {
        Self::Close(close.code, close.reason)
    }
}
