//! The server's end of connections: frames in, the session's effects out.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mapweave::room::Input;
use mapweave::server::backlog::Backlog;
use mapweave::server::frame::{self, FrameReader, Incoming};
use mapweave_proto::{Access, Effect, Event, Message, Session, SessionId, SessionLimits, yws};
use mapweave_storage::Origin;

use super::Server;
use crate::link::Link;

/// Largest message that a client may send.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// One connection, at the server's end.
pub(crate) struct Conn {
    session: Session,
    reader: FrameReader,
    pub(super) backlog: Backlog,
    pub(super) attached: bool,
    pub(super) joined: bool,
    paused_until_ms: Option<u64>,
    /// The last frame is on its way; nothing else happens here.
    pub(super) ending: bool,
    /// Tokens of acknowledgements that went out.
    pub(super) acks: Vec<Bytes>,
}

/// What a connection's task wants of the world.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoesOn,
    /// It is over: the room is told, the socket closed once the last bytes are out.
    Ended,
}

impl Server {
    /// A socket was upgraded.
    pub(crate) fn accept(&mut self, id: SessionId, access: Access, queue_bytes_max: usize) {
        let limits = SessionLimits {
            update_bytes_max: FRAME_BYTES_MAX,
            ..SessionLimits::default()
        };
        self.conns.insert(
            id,
            Conn {
                session: Session::new(limits, access),
                reader: FrameReader::new(FRAME_BYTES_MAX, &[]),
                backlog: Backlog::new(queue_bytes_max),
                attached: false,
                joined: false,
                paused_until_ms: None,
                ending: false,
                acks: Vec::new(),
            },
        );
    }

    /// The connection's task gets its place in the room's inbox.
    pub(crate) fn attach(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
    ) -> Result<Verdict, String> {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.attached) else {
            return Ok(Verdict::GoesOn);
        };
        conn.attached = true;
        let access = conn.session.access();
        self.inbox.push_back(Input::Join {
            session: id,
            origin: Arc::new(Origin::default()),
            access,
        });
        self.session_event(id, link, now_ms, Event::Attached)
    }

    /// Bytes arrive from the client.
    pub(crate) fn receive(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
        bytes: &[u8],
    ) -> Result<Verdict, String> {
        if let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ending) {
            conn.reader.feed(bytes);
        }
        self.take_messages(id, link, now_ms)
    }

    fn take_messages(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
    ) -> Result<Verdict, String> {
        loop {
            let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ending) else {
                return Ok(Verdict::GoesOn);
            };
            if conn.paused_until_ms.is_some_and(|until| until > now_ms) {
                return Ok(Verdict::GoesOn);
            }
            conn.paused_until_ms = None;
            let verdict = match conn.reader.next_message() {
                Ok(None) => return Ok(Verdict::GoesOn),
                Ok(Some(Incoming::Binary(message))) => {
                    self.session_event(id, link, now_ms, Event::Frame(message))?
                }
                Ok(Some(Incoming::Ping(payload))) => {
                    conn.put(frame::pong(&payload), link);
                    Verdict::GoesOn
                }
                Ok(Some(Incoming::Pong)) => Verdict::GoesOn,
                Ok(Some(Incoming::Text(_))) => self.end(id, link, Some((1003, "text"))),
                Ok(Some(Incoming::Close(code))) => {
                    conn.put(frame::close_echo(code), link);
                    self.end(id, link, None)
                }
                Err(error) => self.end(id, link, Some((error.code(), "a broken frame"))),
            };
            if verdict == Verdict::Ended {
                return Ok(verdict);
            }
        }
    }

    /// The connection's task looks after its socket, its clock and the room's news.
    pub(crate) fn serve(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
    ) -> Result<Verdict, String> {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Ok(Verdict::GoesOn);
        };
        conn.flush(link);
        if conn.ending {
            let out = conn.backlog.is_empty();
            if out {
                link.down.close();
                self.conns.remove(&id);
            }
            return Ok(Verdict::GoesOn);
        }
        let news = conn.backlog.news();
        let mut events = Vec::new();
        events.extend(news.sent.then_some(Event::Sent));
        for (number, reason) in news.refused {
            events.push(Event::Refused { number, reason });
        }
        events.extend(news.answered.map(|bytes| Event::Answered { bytes }));
        events.extend(news.settled.map(|upto| Event::Settled { upto }));
        events.extend(news.close.map(Event::Stop));
        if conn
            .session
            .next_tick_ms()
            .is_some_and(|at_ms| at_ms <= now_ms)
        {
            events.push(Event::Tick);
        }
        for event in events {
            if self.session_event(id, link, now_ms, event)? == Verdict::Ended {
                return Ok(Verdict::Ended);
            }
        }
        if news.wants_difference {
            self.inbox.push_back(Input::WantsDifference(id));
        }
        self.take_messages(id, link, now_ms)
    }

    /// The socket broke, and the server notices.
    pub(crate) fn lost(&mut self, id: SessionId) {
        if let Some(conn) = self.conns.remove(&id)
            && !conn.ending
        {
            self.inbox.push_back(Input::Leave(id));
        }
    }

    fn end(&mut self, id: SessionId, link: &mut Link, why: Option<(u16, &str)>) -> Verdict {
        if let Some(conn) = self.conns.get_mut(&id) {
            if let Some((code, reason)) = why {
                conn.put(frame::close_frame(code, reason), link);
            }
            conn.ending = true;
            self.inbox.push_back(Input::Leave(id));
        }
        Verdict::Ended
    }

    fn session_event(
        &mut self,
        id: SessionId,
        link: &mut Link,
        now_ms: u64,
        event: Event,
    ) -> Result<Verdict, String> {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Ok(Verdict::GoesOn);
        };
        let mut effects = Vec::new();
        conn.session.handle(now_ms, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Room(said) => self.inbox.push_back(Input::Heard(id, said)),
                Effect::Send(message) => {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.note_acknowledgement(&message);
                        conn.put(frame::binary(&message), link);
                    }
                }
                Effect::Answer(answer) => {
                    return Err(format!("{answer:?} is no answer of y-websocket"));
                }
                Effect::Pause { until_ms } => {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.paused_until_ms = Some(until_ms);
                    }
                }
                Effect::Close(reason) => {
                    return Ok(self.end(id, link, Some((reason.code(), &reason.text()))));
                }
            }
        }
        Ok(Verdict::GoesOn)
    }
}

impl Conn {
    fn put(&mut self, frame: Bytes, link: &mut Link) {
        self.backlog.put(frame);
        self.flush(link);
    }

    /// Writes what the socket takes. A cut one takes everything and passes nothing on.
    pub(super) fn flush(&mut self, link: &mut Link) {
        let written = self.backlog.write(|slices| {
            if link.down.is_full() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let all = slices.iter().flat_map(|slice| slice.iter().copied());
            Ok(link.down.write(&all.collect::<Vec<u8>>()))
        });
        debug_assert!(written.is_ok(), "a simulated socket has no errors");
    }

    fn note_acknowledgement(&mut self, message: &Bytes) {
        for message in yws::decode(message.clone()) {
            if let Ok(Message::DurableAck(token)) = message {
                self.acks.push(token);
            }
        }
    }
}
