//! What waits to be written to one Hocuspocus socket: a [`Backlog`] for each of its maps, and one for itself.
//!
//! A map that overflows loses its own queue and nobody else's. Frames of different maps take turns, so that a
//! large one delays the others by no more than itself; a frame once begun is ended first. [`Queues`] is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mapweave_proto::{CloseReason, LaneId, Refusal};
use tokio::sync::Notify;

use super::backlog::{Backlog, News, Offered, Wire};
use super::connection::Waiting;
use crate::room::{Outgoing, Peer};
use crate::server::stream::Stream;
use crate::server::unfinished::Evict;

/// Most maps that were left with something still on its way, before nothing more is read from the socket.
const LEAVING_MAX: usize = 256;

/// All that is on its way to one socket, shared by the rooms of its maps and its own task.
#[derive(Debug)]
pub struct Lanes {
    queues: Mutex<Queues>,
    /// Rings for the connection's task when there is something it must do.
    wake: Notify,
    stream: Arc<Stream>,
}

/// The queues of one socket.
#[derive(Debug)]
struct Queues {
    lanes: BTreeMap<LaneId, Backlog>,
    /// Lanes with something to write.
    ready: BTreeSet<LaneId>,
    /// Lanes that their map was taken from: they end with what they hold.
    leaving: BTreeSet<LaneId>,
    /// Lanes with news for the connection's task.
    told: BTreeSet<LaneId>,
    /// Whose first frame may be partly written.
    begun: Option<LaneId>,
    /// Whose turn was the last.
    last: LaneId,
    sent: bool,
    close: Option<CloseReason>,
}

/// What a socket's task has to know, each told once.
#[derive(Debug, Default)]
pub struct SocketNews {
    /// Something went out since the last call.
    pub sent: bool,
    /// The socket has to end.
    pub close: Option<CloseReason>,
    /// What the rooms of its maps had to say.
    pub lanes: Vec<(LaneId, News)>,
}

/// One map of a socket, as its room sees it.
#[derive(Debug)]
pub struct Lane {
    /// All of the socket.
    pub lanes: Arc<Lanes>,
    /// Which of its maps.
    pub id: LaneId,
}

impl Lanes {
    /// Nothing yet, for a socket that may have `bytes_max` bytes waiting beside those of its maps.
    pub fn new(stream: Arc<Stream>, bytes_max: usize) -> Self {
        Self {
            queues: Mutex::new(Queues::new(bytes_max)),
            wake: Notify::new(),
            stream,
        }
    }

    /// A queue for one more map.
    pub fn open(&self, id: LaneId, wire: Wire, bytes_max: usize) {
        self.lock().open(id, Backlog::framed(wire, bytes_max));
    }

    /// Nothing more comes for this map. Answers that wait still go out.
    pub fn leave(&self, id: LaneId) {
        self.lock().leave(id);
    }

    /// Puts bytes out behind what waits for the same map, or for the socket itself.
    pub fn put(&self, id: LaneId, frame: Bytes) {
        let mut queues = self.lock();
        queues.put(id, frame);
        self.write_or_ring(&mut queues);
    }

    /// Whether the peer should not be listened to before it has read some of its answers.
    pub fn is_clogged(&self) -> bool {
        self.lock().is_clogged()
    }

    /// What there was to say since the last call.
    pub fn news(&self) -> SocketNews {
        self.lock().news()
    }

    /// Completes when [`Lanes::news`] or [`Waiting::flush`] has something to do.
    ///
    /// # Cancel safety
    /// Safe: a call rung for nobody is kept for the next.
    pub async fn rung(&self) {
        self.wake.notified().await;
    }

    fn write_or_ring(&self, queues: &mut Queues) {
        // An error is met again, and answered, by the connection's own task.
        let written = queues.write(|slices| self.stream.try_write_vectored(slices));
        let left = !queues.is_empty() || self.stream.has_unsent();
        if written.is_err() || left || !queues.told.is_empty() {
            self.wake.notify_one();
        }
    }

    /// Notes news of one map and rings for them.
    fn tell(&self, id: LaneId, note: impl FnOnce(&mut Backlog)) {
        self.lock().tell(id, note);
        self.wake.notify_one();
    }

    /// Held for a few non-blocking steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting for Lanes {
    fn put(&self, frame: Bytes) {
        Self::put(self, LaneId::SOCKET, frame);
    }

    fn has_backlog(&self) -> bool {
        !self.lock().is_empty() || self.stream.has_unsent()
    }

    fn flush(&self) -> io::Result<()> {
        self.lock()
            .write(|slices| self.stream.try_write_vectored(slices))?;
        self.stream.flush_some()
    }
}

impl Evict for Lanes {
    fn evict(&self) {
        let why = "too many large messages are on their way, send it again";
        self.lock()
            .close
            .get_or_insert(CloseReason::Unavailable(why));
        self.wake.notify_one();
    }
}

impl Peer for Lane {
    fn send(&self, outgoing: &Outgoing) {
        let mut queues = self.lanes.lock();
        match queues.offer(self.id, outgoing) {
            Offered::Queued => self.lanes.write_or_ring(&mut queues),
            Offered::Passed => {}
            Offered::Overflowed => {
                metrics::counter!("mapweave_sessions_behind_total").increment(1);
            }
        }
    }

    fn settled(&self, upto: u64) {
        self.lanes.tell(self.id, |backlog| backlog.settled(upto));
    }

    fn refused(&self, number: u64, refusal: Refusal) {
        self.lanes
            .tell(self.id, |backlog| backlog.refused(number, refusal));
    }

    fn answered(&self, bytes: u64) {
        self.lanes.tell(self.id, |backlog| backlog.answered(bytes));
    }

    fn close(&self, reason: CloseReason) {
        self.lanes.tell(self.id, |backlog| backlog.close(reason));
    }

    fn is_caught_up(&self) -> bool {
        let queues = self.lanes.lock();
        let backlog = queues.lanes.get(&self.id);
        backlog.is_some_and(Backlog::is_caught_up)
    }
}

impl Queues {
    fn new(bytes_max: usize) -> Self {
        let own = Backlog::new(bytes_max);
        Self {
            lanes: BTreeMap::from([(LaneId::SOCKET, own)]),
            ready: BTreeSet::new(),
            leaving: BTreeSet::new(),
            told: BTreeSet::new(),
            begun: None,
            last: LaneId::SOCKET,
            sent: false,
            close: None,
        }
    }

    fn open(&mut self, id: LaneId, backlog: Backlog) {
        self.lanes.insert(id, backlog);
    }

    fn leave(&mut self, id: LaneId) {
        let begun = self.begun == Some(id);
        let Some(backlog) = self.lanes.get_mut(&id) else {
            return;
        };
        backlog.forget_told(begun);
        self.told.remove(&id);
        self.leaving.insert(id);
        if backlog.is_empty() {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: LaneId) {
        self.lanes.remove(&id);
        self.ready.remove(&id);
        self.leaving.remove(&id);
    }

    fn put(&mut self, id: LaneId, frame: Bytes) {
        if let Some(backlog) = self.lanes.get_mut(&id) {
            backlog.put(frame);
            self.ready.insert(id);
        }
    }

    fn offer(&mut self, id: LaneId, outgoing: &Outgoing) -> Offered {
        let Some(backlog) = self.staying(id) else {
            return Offered::Passed;
        };
        let offered = backlog.offer(outgoing);
        if offered == Offered::Queued {
            self.ready.insert(id);
        }
        offered
    }

    fn tell(&mut self, id: LaneId, note: impl FnOnce(&mut Backlog)) {
        if let Some(backlog) = self.staying(id) {
            note(backlog);
            self.told.insert(id);
        }
    }

    fn staying(&mut self, id: LaneId) -> Option<&mut Backlog> {
        let stays = !self.leaving.contains(&id);
        self.lanes.get_mut(&id).filter(|_| stays)
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    fn is_clogged(&self) -> bool {
        self.leaving.len() >= LEAVING_MAX || self.lanes.values().any(Backlog::is_clogged)
    }

    fn news(&mut self) -> SocketNews {
        let told = std::mem::take(&mut self.told);
        let news = |id: LaneId| Some((id, self.lanes.get_mut(&id)?.news()));
        let lanes = told.into_iter().filter_map(news).collect();
        SocketNews {
            sent: std::mem::take(&mut self.sent),
            close: self.close.take(),
            lanes,
        }
    }

    /// Hands to `socket` what it takes now, frame by frame in turn.
    fn write(
        &mut self,
        mut socket: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while let Some(id) = self.next() {
            let Some(backlog) = self.lanes.get_mut(&id) else {
                self.forget(id);
                self.begun.take_if(|begun| *begun == id);
                continue;
            };
            if !backlog.write_front(&mut socket)? {
                self.begun = Some(id);
                return Ok(());
            }
            (self.begun, self.last, self.sent) = (None, id, true);
            if backlog.is_empty() {
                self.drained(id);
            }
        }
        Ok(())
    }

    /// Who goes on with a frame, or whose turn comes after the last one's.
    fn next(&self) -> Option<LaneId> {
        let behind_last = || self.ready.range((Excluded(self.last), Unbounded)).next();
        let next = || behind_last().or_else(|| self.ready.first()).copied();
        self.begun.or_else(next)
    }

    fn drained(&mut self, id: LaneId) {
        self.ready.remove(&id);
        if self.leaving.contains(&id) {
            self.forget(id);
        } else if self.lanes.get(&id).is_some_and(Backlog::wants_difference) {
            self.told.insert(id);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mapweave_proto::Message;
    use mapweave_proto::hocuspocus::Address;

    fn queues(maps: u64, bytes_max: usize) -> Queues {
        let mut queues = Queues::new(bytes_max);
        for id in 1..=maps {
            let wire = Wire::Hocuspocus {
                address: Address::new(&id.to_string()),
                is_name: true,
            };
            queues.open(LaneId(id), Backlog::framed(wire, bytes_max));
        }
        queues
    }

    fn update(byte: u8, bytes: usize) -> Outgoing {
        Outgoing::new(Message::Update(vec![byte; bytes].into()))
    }

    /// What a socket takes that has room for `room` bytes.
    fn take(queues: &mut Queues, mut room: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let written = queues.write(|slices| {
            let bytes: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            let count = bytes.len().min(room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            room -= count;
            taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        });
        written.unwrap();
        taken
    }

    /// The payload bytes of the frames in their order, each once.
    fn order(bytes: &[u8]) -> Vec<u8> {
        let mut payloads: Vec<u8> = bytes
            .iter()
            .copied()
            .filter(|b| *b >= 200 && *b < 220)
            .collect();
        payloads.dedup();
        payloads
    }

    #[test]
    fn maps_take_turns_frame_by_frame_and_a_begun_frame_is_ended_first() {
        let mut queues = queues(2, 1000);
        queues.offer(LaneId(1), &update(201, 50));
        queues.offer(LaneId(1), &update(203, 50));
        let mut out = take(&mut queues, 10);
        queues.offer(LaneId(2), &update(202, 50));
        out.extend(take(&mut queues, 10));
        out.extend(take(&mut queues, 1000));
        assert_eq!(order(&out), [201, 202, 203]);
        assert!(queues.is_empty());
    }

    #[test]
    fn a_map_that_overflows_loses_its_own_queue_alone_and_asks_once_it_has_drained() {
        let mut queues = queues(2, 100);
        assert_eq!(queues.offer(LaneId(2), &update(202, 60)), Offered::Queued);
        assert_eq!(queues.offer(LaneId(1), &update(201, 60)), Offered::Queued);
        assert_eq!(
            queues.offer(LaneId(1), &update(203, 60)),
            Offered::Overflowed
        );
        assert_eq!(queues.offer(LaneId(1), &update(203, 1)), Offered::Passed);
        assert!(queues.news().lanes.is_empty());
        let out = take(&mut queues, 1000);
        assert_eq!(order(&out), [201, 202]);
        let news = queues.news();
        assert!(matches!(&news.lanes[..], [(LaneId(1), news)] if news.wants_difference));
        assert!(news.sent);
    }

    #[test]
    fn who_leaves_a_map_hears_no_more_of_it_but_the_end_of_a_begun_frame_and_its_answers() {
        let mut queues = queues(1, 1000);
        queues.offer(LaneId(1), &update(201, 50));
        queues.offer(LaneId(1), &update(202, 50));
        let begun = take(&mut queues, 10);
        queues.put(LaneId(1), Bytes::from_static(&[219]));
        queues.leave(LaneId(1));
        assert_eq!(queues.offer(LaneId(1), &update(203, 5)), Offered::Passed);
        let out = [begun, take(&mut queues, 1000)].concat();
        assert_eq!(order(&out), [201, 219]);
        assert_eq!(queues.lanes.len(), 1, "only the socket's own is left");
    }

    #[test]
    fn a_map_left_with_nothing_on_its_way_is_gone_at_once() {
        let mut queues = queues(1, 1000);
        queues.offer(LaneId(1), &update(201, 50));
        queues.tell(LaneId(1), |backlog| backlog.settled(1));
        queues.leave(LaneId(1));
        assert!(take(&mut queues, 1000).is_empty());
        assert!(queues.news().lanes.is_empty() && queues.lanes.len() == 1);
    }

    #[test]
    fn who_comes_and_goes_without_reading_is_listened_to_no_more() {
        let mut queues = Queues::new(100);
        for id in 1.. {
            queues.open(LaneId(id), Backlog::new(100));
            queues.put(LaneId(id), Bytes::from_static(b"granted"));
            queues.leave(LaneId(id));
            if queues.is_clogged() {
                break;
            }
        }
        take(&mut queues, 1 << 20);
        assert!(!queues.is_clogged() && queues.lanes.len() == 1);
    }

    #[test]
    fn a_message_is_framed_once_for_all_at_the_map_s_own_name() {
        let mut queues = queues(1, 1000);
        let message = update(201, 5);
        queues.offer(LaneId(1), &message);
        let out = take(&mut queues, 100);
        assert_eq!(out, [0x82, 10, 1, b'1', 0, 2, 5, 201, 201, 201, 201, 201]);
    }
}
