//! One Hocuspocus socket: bytes in, [`Switchboard`] events, effects out to the rooms of its maps.
//!
//! Every map is a session of its room with a queue of its own. What they share is the reading: a room that is
//! busy, or a client over its rate, holds up the whole socket, as it holds up a socket of one map.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapweave_proto::hocuspocus::Address;
use mapweave_proto::{
    Access, CloseReason, Event, LaneId, SessionId, SessionLimits, SocketClose, SocketEffect,
    SocketEvent, Switchboard, ToRoom, limits,
};
use mapweave_storage::Origin;
use tokio_util::sync::CancellationToken;

use super::backlog::{News, Wire};
use super::connection::{Ending, Waiting, closing, read_some, say_last};
use super::frame::{self, FrameReader, Incoming};
use super::lanes::{Lane, Lanes};
use crate::room::{RoomGone, RoomHandle, RoomPlace, Rooms};
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
    /// All maps, for the clock.
    pub rooms: Arc<Rooms>,
    /// Who may have which map.
    pub door: D,
    /// Rings when the server stops. Rooms close the sockets of their connections; this is for those without maps.
    pub stop: CancellationToken,
}

/// Decides who may have a map, and finds it.
pub trait Door: Send + Sync {
    /// # Errors
    /// Why there is no way in.
    fn enter(
        &self,
        address: &Address,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Entry, NoEntry>> + Send;
}

/// A map, with places for one more connection.
pub struct Entry {
    /// Its room.
    pub room: RoomHandle,
    /// What the client may do.
    pub access: Access,
    /// Who it is, for the log.
    pub origin: Arc<Origin>,
    /// Given back when the map is left.
    pub places: (SocketPlace, RoomPlace),
}

/// Why there is no way into a map.
pub enum NoEntry {
    /// For the user, at the map's address; the socket goes on.
    Denied(String),
    /// No map can be had now: end the socket, the client comes back.
    Unavailable(&'static str),
}

/// A map of the socket.
struct Attached {
    entry: Entry,
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
    lanes: Arc<Lanes>,
    queue_bytes_max: usize,
    reader: FrameReader,
    unfinished: Arc<Unfinished>,
    /// While a message is not whole.
    share: Option<Share>,
    stream: Arc<Stream>,
    paused_until_ms: Option<u64>,
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
            lanes: Arc::new(Lanes::new(self.stream.clone(), self.queue_bytes_max)),
            queue_bytes_max: self.queue_bytes_max,
            reader: FrameReader::new(bytes_max, &self.early),
            unfinished: self.unfinished,
            share: None,
            stream: self.stream,
            paused_until_ms: None,
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
        tokio::select! {
            () = self.stop.cancelled(), if self.maps.is_empty() => {
                self.handle(SocketEvent::Stop(CloseReason::Restarting)).await
            }
            () = self.lanes.rung() => self.hear_rooms().await,
            writable = self.stream.writable(), if self.lanes.has_backlog() => {
                writable.and_then(|()| self.lanes.flush()).map_err(|_| Ending::Lost)?;
                self.hear_rooms().await
            }
            readable = self.stream.readable(), if paused.is_none() && !self.lanes.is_clogged() => {
                readable.map_err(|_| Ending::Lost)?;
                self.read().await
            }
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
        match self.maps.get(&lane).filter(|_| news.wants_difference) {
            Some(map) => {
                let asked = map.entry.room.wants_difference(map.id).await;
                self.reached(lane, asked)
            }
            None => Ok(()),
        }
    }

    async fn read(&mut self) -> Result<(), Ending> {
        if !read_some(&self.stream, &mut self.reader)? {
            return Ok(());
        }
        let taken = self.take_messages().await;
        match self.reader.waiting_bytes() {
            0 => self.share = None,
            bytes => self
                .share
                .get_or_insert_with(|| self.unfinished.share(self.lanes.clone()))
                .set(bytes),
        }
        taken
    }

    /// Takes what is whole of what has arrived, unless the client is over its rate.
    async fn take_messages(&mut self) -> Result<(), Ending> {
        while self.paused_until_ms.is_none() {
            // As for a socket of one map: others have the thread in between, and every frame is paid for.
            tokio::task::coop::consume_budget().await;
            let next = self.reader.next_message();
            let is_message = matches!(next, Ok(Some(Incoming::Binary(_))));
            let others = self
                .reader
                .take_frames()
                .saturating_sub(u64::from(is_message));
            if others > 0 {
                self.handle(SocketEvent::Frames(others)).await?;
            }
            let incoming = match next {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Ending::Close(error.code(), error.to_string())),
            };
            match incoming {
                Incoming::Binary(message) => {
                    metrics::counter!("mapweave_messages_received_total").increment(1);
                    self.handle(SocketEvent::Frame(message)).await?;
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

    /// Takes one event, and those that follow from looking for a map.
    async fn handle(&mut self, event: SocketEvent) -> Result<(), Ending> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let mut effects = Vec::new();
            self.board.handle(self.rooms.now_ms(), event, &mut effects);
            for effect in effects {
                match effect {
                    // The last effect of its event.
                    SocketEffect::Enter {
                        lane,
                        address,
                        token,
                    } => next = Some(self.enter(lane, &address, token.as_deref()).await),
                    SocketEffect::Join(lane) => self.join(lane).await?,
                    SocketEffect::Room(lane, said) => self.tell_room(lane, said).await?,
                    SocketEffect::Send(lane, frame) => self.lanes.put(lane, frame::binary(&frame)),
                    SocketEffect::Leave(lane) => self.leave(lane).await,
                    SocketEffect::Pause { until_ms } => self.paused_until_ms = Some(until_ms),
                    SocketEffect::Close(close) => return Err(Ending::of_socket(close)),
                }
            }
        }
        Ok(())
    }

    async fn enter(&mut self, lane: LaneId, address: &Address, token: Option<&str>) -> SocketEvent {
        let entry = match self.door.enter(address, token).await {
            Ok(entry) => entry,
            Err(NoEntry::Denied(reason)) => return SocketEvent::Denied(lane, reason),
            Err(NoEntry::Unavailable(why)) => {
                return SocketEvent::Stop(CloseReason::Unavailable(why));
            }
        };
        let wire = Wire::Hocuspocus {
            address: address.clone(),
            is_name: address.as_str() == entry.room.name().as_str(),
        };
        self.lanes.open(lane, wire, self.queue_bytes_max);
        let access = entry.access;
        let attached = Attached {
            entry,
            id: self.rooms.next_session(),
            joined: false,
        };
        self.maps.insert(lane, attached);
        SocketEvent::Entered(lane, access)
    }

    async fn join(&mut self, lane: LaneId) -> Result<(), Ending> {
        let Some(map) = self.maps.get_mut(&lane) else {
            return Ok(());
        };
        let peer = Arc::new(Lane {
            lanes: self.lanes.clone(),
            id: lane,
        });
        let Entry {
            room,
            access,
            origin,
            ..
        } = &map.entry;
        let joined = room.join(map.id, peer, origin.clone(), *access).await;
        map.joined = true;
        tracing::debug!(session = %map.id, map = room.name().as_str(), "attached a map");
        self.reached(lane, joined)
    }

    async fn tell_room(&mut self, lane: LaneId, said: ToRoom) -> Result<(), Ending> {
        match self.maps.get(&lane) {
            Some(map) => {
                let heard = map.entry.room.heard(map.id, said).await;
                self.reached(lane, heard)
            }
            None => Ok(()),
        }
    }

    /// Notes which map's room is gone, if it is.
    fn reached(&mut self, lane: LaneId, reached: Result<(), RoomGone>) -> Result<(), Ending> {
        reached.map_err(|gone| {
            self.gone = Some(lane);
            Ending::from(gone)
        })
    }

    async fn leave(&mut self, lane: LaneId) {
        self.lanes.leave(lane);
        let Some(Attached { entry, id, joined }) = self.maps.remove(&lane) else {
            return;
        };
        if joined {
            // A room that is gone needs no goodbye.
            let _ = entry.room.leave(id).await;
        }
        drop(entry.places);
    }

    /// Leaves all maps, sends the last frame and waits, for a limited time, until the peer has it.
    async fn end(mut self, ending: Ending) {
        let all: Vec<LaneId> = self.maps.keys().copied().collect();
        for lane in all {
            self.leave(lane).await;
        }
        let last = match ending {
            Ending::Lost | Ending::RoomGone => return,
            Ending::Closed(code) => frame::close_echo(code),
            Ending::Close(code, reason) => {
                tracing::info!(code, reason, "closed a connection");
                closing(code, &reason)
            }
        };
        say_last(&*self.lanes, &self.stream, last).await;
    }
}

impl Ending {
    fn of_socket(close: SocketClose) -> Self {
        Self::Close(close.code, close.reason)
    }
}
