//! What a stock Hocuspocus provider shows as saved, through any order of edits, breaks, queues and slow disks.
//!
//! [`Provider`] counts and queues as the sources of `@hocuspocus/provider` 2.15, 3.4 and 4.8 do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::*;
use crate::codec::hocuspocus::Answer;
use crate::message::Message;
use crate::state_vector::StateVector;

#[derive(Debug, Clone, Copy)]
enum Move {
    Edit,
    /// Deletes something that an edit brought.
    Delete,
    Break,
    Connect,
    /// The provider syncs by its timer while it is offline.
    SyncOffline,
    /// The next message arrives at the server, or at the client.
    ServerHears,
    ClientHears,
    /// So many more updates are durable, of those that the room has.
    Flush(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => Just(Move::Edit),
        2 => Just(Move::Delete),
        1 => Just(Move::Break),
        2 => Just(Move::Connect),
        1 => Just(Move::SyncOffline),
        8 => Just(Move::ServerHears),
        8 => Just(Move::ClientHears),
        4 => (1u64..4).prop_map(Move::Flush),
    ];
    prop::collection::vec(one, 0..160)
}

/// One thing that a user did: an edit with this clock, or a deletion of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Edited(u8),
    Deleted(u8),
}

impl Deed {
    fn update(self) -> Bytes {
        match self {
            Self::Edited(clock) => Bytes::copy_from_slice(&[1, 1, 7, clock, 0, 1, 0]),
            Self::Deleted(clock) => Bytes::copy_from_slice(&[0, 1, 7, 1, clock, 1]),
        }
    }
}

/// A message to the server and what of the user's deeds is in it.
type ToServer = (Message, BTreeSet<Deed>);

#[derive(Debug, Clone, Copy)]
enum ToClient {
    Granted,
    Step1,
    Applied,
}

#[derive(Default)]
struct Provider {
    deeds: BTreeSet<Deed>,
    edits: u8,
    unsynced: i64,
    /// Whether the count does not fall below zero, as from 3.0 on.
    floored: bool,
    queue: Vec<ToServer>,
}

impl Provider {
    fn shows_saved(&self) -> bool {
        self.unsynced <= 0
    }

    fn does(&mut self, deed: Deed) -> ToServer {
        self.deeds.insert(deed);
        self.unsynced += 1;
        (Message::Update(deed.update()), BTreeSet::from([deed]))
    }

    fn begins(&mut self) -> ToServer {
        self.unsynced = 1;
        let vector: StateVector = [(crate::id::ClientId(7), u64::from(self.edits))]
            .into_iter()
            .collect();
        (Message::SyncStep1(vector.encode()), BTreeSet::new())
    }

    fn step2(&self) -> ToServer {
        let update = match self.edits {
            0 => Bytes::from_static(&[0, 0]),
            edits => Bytes::copy_from_slice(&[1, 1, 7, 0, 0, edits, 0]),
        };
        (Message::SyncStep2(update), self.deeds.clone())
    }

    fn applied(&mut self) {
        if self.unsynced > 0 || !self.floored {
            self.unsynced -= 1;
        }
    }
}

/// A connection, and what is on its way.
struct Line {
    session: Session,
    to_server: VecDeque<ToServer>,
    to_client: VecDeque<ToClient>,
    at_room: BTreeMap<u64, BTreeSet<Deed>>,
    settled: u64,
    /// Whether there was a deletion, which may look like one from the queue.
    deleted: bool,
}

struct World {
    provider: Provider,
    line: Option<Line>,
    durable: BTreeSet<Deed>,
}

impl World {
    fn step(&mut self, step: Move) {
        match step {
            Move::Edit if self.provider.edits < 100 => {
                self.provider.edits += 1;
                self.user(Deed::Edited(self.provider.edits - 1));
            }
            Move::Delete => {
                let gone = |clock: &u8| self.provider.deeds.contains(&Deed::Deleted(*clock));
                let next = (0..self.provider.edits).find(|clock| !gone(clock));
                if let Some(clock) = next {
                    self.user(Deed::Deleted(clock));
                }
            }
            Move::Break => {
                self.line = None;
                self.provider.queue.clear();
            }
            Move::Connect if self.line.is_none() => self.connect(),
            Move::SyncOffline if self.line.is_none() => {
                let step1 = self.provider.begins();
                self.provider.queue.push(step1);
            }
            Move::ServerHears => self.server_hears(),
            Move::ClientHears => self.client_hears(),
            Move::Flush(more) => self.flush(more),
            Move::Edit | Move::Connect | Move::SyncOffline => {}
        }
        assert!(
            !self.provider.shows_saved() || self.provider.deeds.is_subset(&self.durable),
            "shown as saved: {:?}, durable: {:?}",
            self.provider.deeds,
            self.durable
        );
    }

    fn user(&mut self, deed: Deed) {
        let said = self.provider.does(deed);
        match &mut self.line {
            Some(line) => {
                line.deleted |= matches!(deed, Deed::Deleted(_));
                line.to_server.push_back(said);
            }
            None => self.provider.queue.push(said),
        }
    }

    fn connect(&mut self) {
        self.line = Some(Line {
            session: Session::of_socket(SessionLimits::default(), Access::ReadWrite),
            to_server: VecDeque::from([self.provider.begins()]),
            to_client: VecDeque::from([ToClient::Granted, ToClient::Step1]),
            at_room: BTreeMap::new(),
            settled: 0,
            deleted: false,
        });
    }

    fn server_hears(&mut self) {
        let Some(line) = &mut self.line else { return };
        let Some((message, deeds)) = line.to_server.pop_front() else {
            return;
        };
        line.event(Event::Message(message), &deeds);
    }

    fn client_hears(&mut self) {
        let Some(line) = &mut self.line else { return };
        let Some(said) = line.to_client.pop_front() else {
            return;
        };
        match said {
            ToClient::Granted => line.to_server.extend(self.provider.queue.drain(..)),
            ToClient::Step1 => line.to_server.push_back(self.provider.step2()),
            ToClient::Applied => self.provider.applied(),
        }
    }

    fn flush(&mut self, more: u64) {
        let Some(line) = &mut self.line else { return };
        line.settled = line
            .settled
            .saturating_add(more)
            .min(line.at_room.len() as u64);
        let settled = line.at_room.range(..=line.settled);
        self.durable.extend(settled.flat_map(|(_, deeds)| deeds));
        let upto = line.settled;
        line.event(Event::Settled { upto }, &BTreeSet::new());
    }

    /// Everything arrives, and everything becomes durable.
    fn settle(&mut self) {
        if self.line.is_none() {
            self.connect();
        }
        while self.line.as_ref().is_some_and(Line::is_busy) {
            for step in [Move::ServerHears, Move::ClientHears, Move::Flush(1_000)] {
                self.step(step);
            }
        }
    }
}

impl Line {
    fn is_busy(&self) -> bool {
        let settled = self.settled == self.at_room.len() as u64;
        !(settled && self.to_server.is_empty() && self.to_client.is_empty())
    }

    fn event(&mut self, event: Event, deeds: &BTreeSet<Deed>) {
        let mut effects = Vec::new();
        self.session.handle(0, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Room(ToRoom::Update { number, .. }) => {
                    self.at_room.insert(number, deeds.clone());
                }
                Effect::Room(ToRoom::SyncStep1(_)) => {
                    self.event(Event::Answered { bytes: 0 }, deeds);
                }
                Effect::Room(ToRoom::AskBack) => self.to_client.push_back(ToClient::Step1),
                Effect::Answer(Answer::Applied) => self.to_client.push_back(ToClient::Applied),
                other => panic!("{other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_shown_as_saved_early_and_everything_at_last(moves in moves(), floored: bool) {
        let provider = Provider { floored, ..Provider::default() };
        let mut world = World { provider, line: None, durable: BTreeSet::new() };
        for step in moves {
            world.step(step);
        }
        world.settle();
        let clear = world.line.as_ref().is_some_and(|line| !line.deleted);
        let unsynced = world.provider.unsynced;
        prop_assert!(unsynced == 0 || !clear, "{unsynced} more are waited for");
        world.step(Move::Break);
        world.settle();
        prop_assert_eq!(world.provider.unsynced, 0, "a new connection settles the rest");
    }
}
