//! Laws of a socket, whatever its peer and its rooms do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::limits::MAPS_PER_SOCKET_MAX;

/// What one map of a socket was told, for the law below.
struct Told {
    lane: LaneId,
    updates: u64,
    answers: u64,
    /// Updates with the room, by number.
    waiting: BTreeSet<u64>,
    /// Those of them that a provider forgot, as it began to count anew.
    forgotten: BTreeSet<u64>,
    /// How many were durable and told to nobody.
    untold: u64,
}

impl Told {
    fn hear(&mut self, name: &str, out: &[SocketEffect]) -> (u64, u64) {
        let count = |wanted: Answer| {
            let wanted = answer(name, wanted);
            sent(out)
                .into_iter()
                .filter(|frame| *frame == wanted)
                .count() as u64
        };
        self.waiting
            .extend(told(out).into_iter().map(|(lane, number)| {
                assert_eq!(lane, self.lane);
                number
            }));
        let (applied, refused) = (count(Answer::Applied), count(Answer::Refused));
        self.answers += applied + refused;
        (applied, refused)
    }

    fn settle(&mut self, name: &str, socket: &mut Socket, upto: u64) {
        let above = self.waiting.split_off(&(upto + 1));
        let durable = std::mem::replace(&mut self.waiting, above);
        let due = durable.difference(&self.forgotten).count() as u64;
        self.untold += durable.len() as u64 - due;
        let out = socket.lane(self.lane, Event::Settled { upto });
        assert_eq!(
            self.hear(name, &out),
            (due, 0),
            "what is durable now, and no more"
        );
    }
}

proptest! {
    #[test]
    fn every_update_that_is_counted_is_answered_once_and_not_before_it_is_durable(
        steps in prop::collection::vec((0u8..9, 0usize..3, any::<prop::sample::Index>()), 0..120),
    ) {
        const NAMES: [&str; 3] = ["a", "b", "a\0s"];
        let mut socket = Socket::new();
        let mut maps: BTreeMap<&str, Told> = BTreeMap::new();
        for (what, which, pick) in steps {
            let name = NAMES[which];
            let Some(map) = maps.get_mut(name) else {
                let lane = socket.sync(name);
                let told = Told {
                    lane,
                    updates: 0,
                    answers: 0,
                    waiting: BTreeSet::new(),
                    forgotten: BTreeSet::new(),
                    untold: 0,
                };
                maps.insert(name, told);
                continue;
            };
            let picked = (!map.waiting.is_empty()).then(|| pick.get(&Vec::from_iter(map.waiting.clone())).to_owned());
            match (what, picked) {
                (0, _) => {
                    socket.says(detach(name));
                    maps.remove(name);
                }
                (1..=4, _) => {
                    let bytes: [&'static [u8]; 4] = [&UPDATE, &EMPTY, &[9, 9], &[]];
                    let bytes = bytes[usize::from(what) - 1];
                    let out = socket.says(update(name, bytes));
                    map.updates += 1;
                    prop_assert_eq!(map.hear(name, &out).0, 0, "durable before the room says so");
                }
                (5 | 6, Some(upto)) => map.settle(name, &mut socket, upto),
                (7, Some(number)) => {
                    map.waiting.remove(&number);
                    let reason = Refusal::Corrupt("no".into());
                    let out = socket.lane(map.lane, Event::Refused { number, reason });
                    prop_assert_eq!(map.hear(name, &out), (0, 1));
                }
                _ => {
                    let out = socket.says(step1(name));
                    prop_assert_eq!(map.hear(name, &out), (0, 0));
                    map.forgotten.extend(&map.waiting);
                }
            }
        }
        for (name, mut map) in maps {
            if let Some(last) = map.waiting.last().copied() {
                map.settle(name, &mut socket, last);
            }
            prop_assert_eq!(map.answers + map.untold, map.updates, "one each that it counts");
        }
    }

    #[test]
    fn whatever_a_peer_sends_nothing_comes_after_the_end(
        frames in prop::collection::vec(prop::collection::vec(0u8..12, 0..12), 0..40),
    ) {
        let mut socket = Socket::new();
        socket.attach("a");
        let mut ended = false;
        for frame in frames {
            let out = socket.says(frame.into());
            prop_assert!(!ended || out.is_empty());
            ended |= closed(&out).is_some();
            prop_assert!(socket.board.maps() <= MAPS_PER_SOCKET_MAX);
        }
    }
}
