//! What is on its way from one socket to the rooms of its maps. A room that has too much to do holds up what is
//! meant for it, and not the other maps of the socket. Start at [`Errands::send`].

use std::collections::{HashMap, VecDeque};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use mapweave_proto::LaneId;

use crate::room::{Errand, RoomGone, RoomHandle};

/// Most bytes that wait for rooms before nothing more is read from the socket, beside one message that may be larger.
const WAITING_BYTES_MAX: usize = 5 << 20;

/// Most errands that wait for rooms before nothing more is read from the socket.
const WAITING_MAX: usize = 1_000;

/// The errands of one socket. Those for one map are done in their order.
pub struct Errands {
    /// Only maps whose rooms did not take what they were sent at once.
    roads: HashMap<LaneId, Road>,
    running: FuturesUnordered<BoxFuture<'static, (LaneId, Result<(), RoomGone>)>>,
    waiting: usize,
    waiting_bytes: usize,
}

/// The way to one room, with an errand on it.
struct Road {
    room: RoomHandle,
    behind: VecDeque<Errand>,
}

impl Errands {
    /// None.
    pub fn new() -> Self {
        Self {
            roads: HashMap::new(),
            running: FuturesUnordered::new(),
            waiting: 0,
            waiting_bytes: 0,
        }
    }

    /// Hands something to a room, now if it takes it and nothing for the same map waits, and later otherwise.
    ///
    /// # Errors
    /// [`RoomGone`]. What is found out later comes from [`Errands::done`].
    pub fn send(
        &mut self,
        lane: LaneId,
        room: &RoomHandle,
        errand: Errand,
    ) -> Result<(), RoomGone> {
        if let Some(road) = self.roads.get_mut(&lane) {
            self.waiting += 1;
            self.waiting_bytes = self.waiting_bytes.saturating_add(errand.bytes());
            road.behind.push_back(errand);
            return Ok(());
        }
        if let Some(errand) = room.hand_over(errand)? {
            let (room, behind) = (room.clone(), VecDeque::new());
            self.running.push(carry(lane, room.clone(), errand));
            self.roads.insert(lane, Road { room, behind });
        }
        Ok(())
    }

    /// Whether so much waits that nothing more should come.
    pub fn is_full(&self) -> bool {
        self.waiting > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX
    }

    /// Completes when an errand is done that had to wait, with whether its room is there; never where none waits.
    ///
    /// # Cancel safety
    /// Safe: errands go on with the next call.
    pub async fn done(&mut self) -> (LaneId, Result<(), RoomGone>) {
        match self.running.next().await {
            Some((lane, done)) => {
                self.go_on(lane, done.is_ok());
                (lane, done)
            }
            None => std::future::pending().await,
        }
    }

    /// Does everything that waits. Rooms that are gone need nothing.
    pub async fn finish(&mut self) {
        while !self.running.is_empty() {
            let _ = self.done().await;
        }
    }

    fn go_on(&mut self, lane: LaneId, is_there: bool) {
        let Some(road) = self.roads.get_mut(&lane) else {
            return;
        };
        while let Some(errand) = road.behind.pop_front() {
            self.waiting = self.waiting.saturating_sub(1);
            self.waiting_bytes = self.waiting_bytes.saturating_sub(errand.bytes());
            if is_there {
                return self.running.push(carry(lane, road.room.clone(), errand));
            }
        }
        self.roads.remove(&lane);
    }
}

fn carry(
    lane: LaneId,
    room: RoomHandle,
    errand: Errand,
) -> BoxFuture<'static, (LaneId, Result<(), RoomGone>)> {
    Box::pin(async move { (lane, room.carry(errand).await) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use futures_util::FutureExt;
    use mapweave_proto::{Access, CloseReason, MapName, Message, Refusal, SessionId, ToRoom};
    use mapweave_storage::{MemoryLog, Origin};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::room::{CoreOptions, HeldLimits, IfUnknown, Outgoing, Peer, RoomOptions, Rooms};

    const ME: SessionId = SessionId(1);
    const BUSY: LaneId = LaneId(1);
    const OTHER: LaneId = LaneId(2);

    /// Keeps the texts that it hears.
    #[derive(Debug, Default)]
    struct Ear(Mutex<Vec<String>>);

    impl Peer for Ear {
        fn send(&self, message: &Outgoing) {
            if let Message::Stateless(text) = &message.message {
                self.0.lock().unwrap().push(text.clone());
            }
        }
        fn settled(&self, _upto: u64) {}
        fn refused(&self, _number: u64, _refusal: Refusal) {}
        fn answered(&self, _bytes: u64) {}
        fn close(&self, _reason: CloseReason) {}
        fn is_caught_up(&self) -> bool {
            true
        }
    }

    fn text(n: usize) -> Errand {
        Errand::heard(ME, ToRoom::Stateless(n.to_string()))
    }

    fn rooms() -> Arc<Rooms> {
        let store = Arc::new(MemoryLog::new());
        let options = RoomOptions {
            idle_unload: Duration::from_secs(60),
            snapshot_records: 500,
            snapshot_bytes: 1 << 20,
            held: HeldLimits::default(),
            core: CoreOptions::default(),
        };
        Rooms::new(store, options, u64::MAX, TaskTracker::new())
    }

    // One thread: rooms do nothing before the test waits.
    #[tokio::test]
    async fn a_busy_room_holds_up_its_own_map_in_order_and_no_other() {
        let rooms = rooms();
        let room = |name| rooms.enter(&MapName::parse(name).unwrap(), IfUnknown::Open);
        let (busy, other) = (room("busy").unwrap(), room("other").unwrap());
        let ear = Arc::new(Ear::default());
        let mut errands = Errands::new();
        let join = Errand::join(
            ME,
            ear.clone(),
            Arc::new(Origin::default()),
            Access::ReadWrite,
        );
        errands.send(BUSY, &busy, join).unwrap();
        let mut sent = 0;
        while errands.running.is_empty() {
            errands.send(BUSY, &busy, text(sent)).unwrap();
            sent += 1;
        }
        for n in sent..sent + 10 {
            errands.send(BUSY, &busy, text(n)).unwrap();
        }
        errands.send(OTHER, &other, text(0)).unwrap();
        assert!(!errands.roads.contains_key(&OTHER), "it was taken at once");
        errands.finish().await;
        assert_eq!((errands.waiting, errands.waiting_bytes), (0, 0));
        let heard_all = || ear.0.lock().unwrap().len() == sent + 10;
        while !heard_all() {
            tokio::task::yield_now().await;
        }
        let in_order: Vec<String> = (0..sent + 10).map(|n| n.to_string()).collect();
        assert_eq!(*ear.0.lock().unwrap(), in_order);
    }

    #[tokio::test]
    async fn who_is_far_ahead_of_a_room_is_listened_to_no_more_until_it_has_caught_up() {
        let rooms = rooms();
        let room = rooms.enter(&MapName::parse("m").unwrap(), IfUnknown::Open);
        let room = room.unwrap();
        let mut errands = Errands::new();
        let most = 2 * WAITING_MAX + 1_000;
        let sent = (0..most).take_while(|n| {
            errands.send(BUSY, &room, text(*n)).unwrap();
            !errands.is_full()
        });
        assert!(sent.count() < most);
        assert!(
            errands.done().now_or_never().is_none(),
            "nobody works on it"
        );
        while errands.is_full() {
            let _ = errands.done().await;
        }
    }
}
