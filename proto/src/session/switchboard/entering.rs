//! Who is let into a map of the socket, for how long, and what becomes of what was said before that was known.

use std::collections::VecDeque;

use super::waiting::Line;
use super::{Lane, LaneId, SocketClose, SocketEffect, Switchboard};
use crate::codec::hocuspocus::{self, Address, Answer, Said};
use crate::error::CloseReason;
use crate::limits::{ENTERING_MS, MAPS_PER_SOCKET_MAX, TOKEN_RENEWAL_MIN_MS, TOKEN_RENEWAL_MS};
use crate::session::{Access, Event, Session};

/// What a peer may do in a map, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// What it may do.
    pub access: Access,
    /// When that ends, on the clock of `now_ms`, if it does. The end itself comes as an event; this is for asking
    /// in time.
    pub expires_ms: Option<u64>,
}

/// Where a map of a socket stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// Whether the peer may have it is being found out.
    Entering(Entering),
    /// The peer is in it.
    Attached(Box<Attached>),
}

#[derive(Debug)]
pub(super) struct Entering {
    /// What the peer has said meanwhile.
    pub(super) line: Line,
    /// A token came and wants an answer. Providers before 3.0 without a token begin with a sync request.
    greet: bool,
}

#[derive(Debug)]
pub(super) struct Attached {
    pub(super) session: Session,
    /// When the peer is to be asked for a new token.
    ask_ms: Option<u64>,
    renewal: Renewal,
}

/// A token that came for a map that is attached.
#[derive(Debug)]
enum Renewal {
    None,
    /// One is being judged; the newest that came since waits.
    Pending(Option<String>),
}

impl Stage {
    /// When something has to be done by time alone.
    pub(super) fn due_ms(&self) -> Option<u64> {
        match self {
            Self::Entering(entering) => Some(entering.line.since_ms.saturating_add(ENTERING_MS)),
            Self::Attached(attached) => {
                let session_ms = attached.session.next_tick_ms();
                session_ms.into_iter().chain(attached.ask_ms).min()
            }
        }
    }
}

/// When to ask for a new token; not where the old one lives for ever or has hardly any time left.
fn ask_ms(now_ms: u64, expires_ms: Option<u64>) -> Option<u64> {
    let expires_ms = expires_ms?;
    let left_ms = expires_ms.saturating_sub(now_ms);
    let before_ms = TOKEN_RENEWAL_MS.min(left_ms / 4);
    (left_ms >= TOKEN_RENEWAL_MIN_MS).then(|| expires_ms.saturating_sub(before_ms))
}

impl Switchboard {
    /// When the socket must have been let into a first map; not any more once it was.
    pub(super) fn first_map_due_ms(&self) -> Option<u64> {
        let opened_ms = self.opened_ms.filter(|_| !self.entered)?;
        Some(opened_ms.saturating_add(ENTERING_MS))
    }

    pub(super) fn enter(
        &mut self,
        now_ms: u64,
        address: Address,
        token: Option<String>,
        out: &mut Vec<SocketEffect>,
    ) {
        if self.lanes.len() >= MAPS_PER_SOCKET_MAX {
            let reason = format!("a connection has at most {MAPS_PER_SOCKET_MAX} maps");
            let frame = hocuspocus::encode_answer(&address, &Answer::Denied(reason));
            return self.send(now_ms, LaneId::SOCKET, frame, out);
        }
        let Ok(line) = self.waiting.open(now_ms) else {
            return self.close(SocketClose::too_much_waits(), out);
        };
        self.denied.remove(&address);
        let id = LaneId(self.last_lane.0 + 1);
        self.last_lane = id;
        self.by_address.insert(address.clone(), id);
        let greet = token.is_some();
        let stage = Stage::Entering(Entering { line, greet });
        let lane = Lane {
            address: address.clone(),
            stage,
        };
        self.lanes.insert(id, lane);
        out.push(SocketEffect::Enter {
            lane: id,
            address,
            token,
        });
    }

    pub(super) fn entered(
        &mut self,
        now_ms: u64,
        id: LaneId,
        granted: Granted,
        out: &mut Vec<SocketEffect>,
    ) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if matches!(lane.stage, Stage::Attached(_)) {
            return;
        }
        let mut session = Session::of_socket(self.limits.clone(), granted.access);
        session.handle(now_ms, Event::Sent, &mut Vec::new());
        let attached = Attached {
            session,
            ask_ms: ask_ms(now_ms, granted.expires_ms),
            renewal: Renewal::None,
        };
        let stage = std::mem::replace(&mut lane.stage, Stage::Attached(Box::new(attached)));
        let address = lane.address.clone();
        self.entered = true;
        let Stage::Entering(Entering { line, greet }) = stage else {
            return;
        };
        let said = self.waiting.close(line);
        if greet {
            self.greet(now_ms, id, granted.access, out);
        }
        out.push(SocketEffect::Join(id));
        self.say_now(now_ms, &address, said, out);
    }

    /// What was said while nobody listened, in its order. Of it, too, something may have to wait.
    fn say_now(
        &mut self,
        now_ms: u64,
        address: &Address,
        said: VecDeque<(Said, usize)>,
        out: &mut Vec<SocketEffect>,
    ) {
        for (said, bytes) in said {
            if self.closed {
                return;
            }
            self.said(now_ms, address.clone(), said, bytes, out);
        }
    }

    fn greet(&mut self, now_ms: u64, id: LaneId, access: Access, out: &mut Vec<SocketEffect>) {
        let read_only = !access.writes();
        self.answer(now_ms, id, &Answer::Granted { read_only }, out);
    }

    /// A token came for a map that is attached. They are judged one after the other; of those that come meanwhile the
    /// newest counts.
    pub(super) fn renew(&mut self, id: LaneId, token: String, out: &mut Vec<SocketEffect>) {
        let Some(attached) = self.attached(id) else {
            return;
        };
        match &mut attached.renewal {
            Renewal::Pending(next) => *next = Some(token),
            Renewal::None => {
                attached.renewal = Renewal::Pending(None);
                self.judge(id, token, out);
            }
        }
    }

    fn judge(&self, id: LaneId, token: String, out: &mut Vec<SocketEffect>) {
        if let Some(lane) = self.lanes.get(&id) {
            let address = lane.address.clone();
            out.push(SocketEffect::Renew {
                lane: id,
                address,
                token,
            });
        }
    }

    pub(super) fn renewed(
        &mut self,
        now_ms: u64,
        id: LaneId,
        granted: Granted,
        out: &mut Vec<SocketEffect>,
    ) {
        let Some(attached) = self.attached(id) else {
            return;
        };
        attached.session.permit(granted.access);
        attached.ask_ms = ask_ms(now_ms, granted.expires_ms);
        let next = match &mut attached.renewal {
            Renewal::None => None,
            Renewal::Pending(next) => next.take(),
        };
        match next {
            Some(token) => self.judge(id, token, out),
            None => {
                attached.renewal = Renewal::None;
                self.greet(now_ms, id, granted.access, out);
            }
        }
    }

    /// Forgets the map and its address, so that the client may try it again. What it said behind the token that was
    /// not good enough goes unheard, up to its next token.
    pub(super) fn denied(
        &mut self,
        now_ms: u64,
        id: LaneId,
        reason: String,
        out: &mut Vec<SocketEffect>,
    ) {
        let Some(lane) = self.forget(id) else {
            return;
        };
        let frame = hocuspocus::encode_answer(&lane.address, &Answer::Denied(reason));
        // Behind the answers that are on their way already.
        let behind = match &lane.stage {
            Stage::Attached(_) => id,
            Stage::Entering(_) => LaneId::SOCKET,
        };
        self.send(now_ms, behind, frame, out);
        if self.denied.len() >= MAPS_PER_SOCKET_MAX {
            self.denied.clear();
        }
        self.denied.insert(lane.address.clone());
        match lane.stage {
            Stage::Attached(_) => out.push(SocketEffect::Leave(id)),
            Stage::Entering(entering) => {
                let mut said = self.waiting.close(entering.line);
                let is_token = |(said, _): &(Said, usize)| matches!(said, Said::Token { .. });
                let again = said.iter().position(is_token).unwrap_or(said.len());
                said.drain(..again);
                self.say_now(now_ms, &lane.address, said, out);
            }
        }
    }

    /// What was granted has come to its end. Providers before 4.0 give up a map for which they are denied, and fetch
    /// a new token when they connect: they do better with a new connection than with a word that the token expired.
    pub(super) fn ended(
        &mut self,
        now_ms: u64,
        id: LaneId,
        reason: &CloseReason,
        out: &mut Vec<SocketEffect>,
    ) {
        if self.attached(id).is_none() {
            return;
        }
        if *reason == CloseReason::TokenExpired && !self.tells_version {
            return self.close(reason.into(), out);
        }
        self.denied(now_ms, id, reason.text(), out);
    }

    pub(super) fn lane_is_due(&mut self, now_ms: u64, id: LaneId, out: &mut Vec<SocketEffect>) {
        match self.attached(id) {
            Some(attached) => {
                if attached.ask_ms.take_if(|ask| *ask <= now_ms).is_some() {
                    self.answer(now_ms, id, &Answer::AskToken, out);
                }
                self.of_lane(now_ms, id, Event::Tick, out);
            }
            None => {
                let why = "it could not be found out in time whether you may have this map";
                out.push(SocketEffect::Leave(id));
                self.denied(now_ms, id, why.to_owned(), out);
            }
        }
    }
}
