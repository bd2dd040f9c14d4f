//! The maps of a socket do not hear of each other: each is served as if it were alone.

use std::collections::BTreeSet;

use super::*;

const NAMES: [&str; 4] = ["a", "b", "a\0s", "b\0s"];

/// One thing that happens at one address.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Token,
    Step1,
    Step2,
    Update,
    Nonsense,
    Text,
    Detach,
    /// The question that is open at the address is answered.
    LetIn(Access),
    Denied,
    Revoked,
    Settled(u64),
    Refused(u64),
}

fn anything() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => Just(Happens::Token),
        2 => Just(Happens::Step1),
        2 => Just(Happens::Step2),
        4 => Just(Happens::Update),
        1 => Just(Happens::Nonsense),
        1 => Just(Happens::Text),
        1 => Just(Happens::Detach),
        4 => Just(Happens::LetIn(Access::ReadWrite)),
        1 => Just(Happens::LetIn(Access::ReadOnly)),
        1 => Just(Happens::Denied),
        1 => Just(Happens::Revoked),
        2 => (0u64..6).prop_map(Happens::Settled),
        1 => (1u64..6).prop_map(Happens::Refused),
    ]
}

/// A socket, with the questions that are open at its addresses.
struct World {
    socket: Socket,
    /// Address of every map that was ever asked for.
    names: BTreeMap<LaneId, String>,
    /// Which map an address has now.
    lanes: BTreeMap<String, LaneId>,
    open: BTreeMap<LaneId, Open>,
    /// What the room of each map has said: how far all is durable, and what it refused.
    rooms: BTreeMap<LaneId, (u64, BTreeSet<u64>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Entry,
    Renewal,
}

impl World {
    fn new() -> Self {
        Self {
            socket: Socket::new(),
            names: BTreeMap::new(),
            lanes: BTreeMap::new(),
            open: BTreeMap::new(),
            rooms: BTreeMap::new(),
        }
    }

    /// Lets something happen; what follows, with the address that it is about.
    fn happens(&mut self, name: &str, what: Happens) -> Vec<(String, String)> {
        let Some(event) = self.event(name, what) else {
            return Vec::new();
        };
        let out = self.socket.handle(event);
        out.iter().map(|effect| self.told(effect)).collect()
    }

    fn event(&mut self, name: &str, what: Happens) -> Option<SocketEvent> {
        let lane = self.lanes.get(name).copied();
        let bytes = || Bytes::from_static(&UPDATE);
        let frame = match what {
            Happens::Token => token(name, None),
            Happens::Step1 => step1(name),
            Happens::Step2 => said(name, &Message::SyncStep2(bytes())),
            Happens::Update => update(name, &UPDATE),
            Happens::Nonsense => update(name, &[9, 9]),
            Happens::Text => said(name, &Message::Stateless(name.to_owned())),
            Happens::Detach => detach(name),
            Happens::Settled(upto) => {
                let (settled, _) = self.rooms.entry(lane?).or_default();
                *settled = (*settled).max(upto);
                return Some(SocketEvent::Lane(lane?, Event::Settled { upto }));
            }
            Happens::Refused(number) => {
                // Once, and nothing that was durable.
                let (settled, refused) = self.rooms.entry(lane?).or_default();
                if number <= *settled || !refused.insert(number) {
                    return None;
                }
                let reason = Refusal::Corrupt("no".into());
                return Some(SocketEvent::Lane(lane?, Event::Refused { number, reason }));
            }
            Happens::Revoked => return Some(SocketEvent::Ended(lane?, CloseReason::Forbidden)),
            Happens::Denied => {
                let lane = lane.filter(|lane| self.open.remove(lane).is_some())?;
                return Some(SocketEvent::Denied(lane, "no".into()));
            }
            Happens::LetIn(access) => {
                let granted = granted(access);
                let lane = lane?;
                return Some(match self.open.remove(&lane)? {
                    Open::Entry => SocketEvent::Entered(lane, granted),
                    Open::Renewal => SocketEvent::Renewed(lane, granted),
                });
            }
        };
        Some(SocketEvent::Frame(frame))
    }

    /// An effect without the numbers of its map, and whose it is.
    fn told(&mut self, effect: &SocketEffect) -> (String, String) {
        match effect {
            SocketEffect::Enter {
                lane,
                address,
                token,
            } => {
                let name = address.as_str().to_owned();
                self.names.insert(*lane, name.clone());
                self.lanes.insert(name.clone(), *lane);
                self.open.insert(*lane, Open::Entry);
                (name, format!("enter {token:?}"))
            }
            SocketEffect::Renew { lane, token, .. } => {
                self.open.insert(*lane, Open::Renewal);
                (self.names[lane].clone(), format!("renew {token}"))
            }
            SocketEffect::Join(lane) => (self.names[lane].clone(), "join".to_owned()),
            SocketEffect::Room(lane, said) => (self.names[lane].clone(), format!("{said:?}")),
            SocketEffect::Leave(lane) => {
                self.open.remove(lane);
                (self.names[lane].clone(), "leave".to_owned())
            }
            // What a frame says is said at the address in it.
            SocketEffect::Send(_, frame) => {
                let length = usize::from(frame[0]);
                let name = std::str::from_utf8(&frame[1..=length]).unwrap().to_owned();
                (name, format!("send {frame:?}"))
            }
            other @ (SocketEffect::Pause { .. } | SocketEffect::Close(_)) => {
                ("the whole socket".to_owned(), format!("{other:?}"))
            }
        }
    }
}

proptest! {
    #[test]
    fn every_map_of_a_socket_is_served_as_if_it_were_alone(
        steps in prop::collection::vec((0..NAMES.len(), anything()), 0..80),
    ) {
        let (mut together, mut alone) = (World::new(), NAMES.map(|_| World::new()));
        for (which, what) in steps {
            let name = NAMES[which];
            let told = together.happens(name, what);
            prop_assert!(told.iter().all(|(whose, _)| whose == name), "{told:?} at {name:?}");
            prop_assert_eq!(told, alone[which].happens(name, what));
        }
    }
}
