//! What waits to be told, in bounded memory. Pure: time comes in. Start at [`Queue::push`].

use std::collections::{BTreeMap, VecDeque};

use mapweave_proto::{MapName, Seq};
use serde::Serialize;
use serde_json::{Value, json};

use crate::time::rfc3339_ms;

/// Most events that wait.
pub const EVENTS_MAX: usize = 1_000;

/// Most bytes of events that wait.
pub const BYTES_MAX: usize = 4 << 20;

/// Most maps of which a change waits.
pub const MAPS_MAX: usize = 10_000;

/// Most events of one delivery.
pub const BATCH_MAX: usize = 100;

/// Events that wait for delivery.
#[derive(Debug)]
pub struct Queue {
    events: VecDeque<(Value, usize)>,
    bytes: usize,
    /// Only the newest change of a map is told.
    changed: BTreeMap<MapName, Change>,
    /// How long changes of a map are collected, in milliseconds.
    collect_ms: u64,
    dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    upto: Seq,
    /// When the first of them came.
    since_ms: u64,
    /// The same moment, in milliseconds since 1970.
    unix_ms: u64,
}

/// What is delivered together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Batch {
    /// How many events found no room since the last delivery.
    pub dropped: u64,
    /// In the order in which they came.
    pub events: Vec<Value>,
}

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// On a clock that does not go back.
    pub ms: u64,
    /// Since 1970.
    pub unix_ms: u64,
}

impl Queue {
    /// Nothing. `collect_ms`: how long changes of a map are collected.
    pub fn new(collect_ms: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            changed: BTreeMap::new(),
            collect_ms,
            dropped: 0,
        }
    }

    /// Something has happened; whether it found room.
    pub fn push(&mut self, event: Value) -> bool {
        let bytes = event.to_string().len();
        let fits = self.events.len() < EVENTS_MAX && self.bytes.saturating_add(bytes) <= BYTES_MAX;
        if fits {
            self.bytes += bytes;
            self.events.push_back((event, bytes));
        } else {
            self.dropped += 1;
        }
        fits
    }

    /// A map has changed.
    pub fn change(&mut self, map: &MapName, upto: Seq, now: Now) {
        if let Some(change) = self.changed.get_mut(map) {
            change.upto = change.upto.max(upto);
        } else if self.changed.len() < MAPS_MAX {
            let change = Change {
                upto,
                since_ms: now.ms,
                unix_ms: now.unix_ms,
            };
            self.changed.insert(map.clone(), change);
        } else {
            self.dropped += 1;
        }
    }

    /// When there is something to deliver, if there is.
    pub fn due_ms(&self) -> Option<u64> {
        if !self.events.is_empty() {
            return Some(0);
        }
        let due = |change: &Change| change.since_ms.saturating_add(self.collect_ms);
        self.changed.values().map(due).min()
    }

    /// What is to be delivered now.
    pub fn take(&mut self, now_ms: u64) -> Option<Batch> {
        let mut events = Vec::new();
        while events.len() < BATCH_MAX
            && let Some((event, bytes)) = self.events.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(bytes);
            events.push(event);
        }
        let due = |change: &Change| change.since_ms.saturating_add(self.collect_ms) <= now_ms;
        let room = BATCH_MAX - events.len();
        let due: Vec<MapName> = self
            .changed
            .iter()
            .filter(|(_, change)| due(change))
            .map(|(map, _)| map.clone())
            .take(room)
            .collect();
        for map in due {
            if let Some(Change { upto, unix_ms, .. }) = self.changed.remove(&map) {
                events.push(json!({
                    "kind": "change",
                    "map": map.as_str(),
                    "at": rfc3339_ms(unix_ms),
                    "seq": upto.0,
                }));
            }
        }
        (!events.is_empty()).then(|| Batch {
            dropped: std::mem::take(&mut self.dropped),
            events,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(name: &str) -> MapName {
        MapName::parse(name).unwrap()
    }

    fn at(ms: u64) -> Now {
        Now { ms, unix_ms: ms }
    }

    #[test]
    fn many_changes_of_a_map_are_told_as_one_once_they_were_collected() {
        let mut queue = Queue::new(2_000);
        for n in 1..=50 {
            queue.change(&map("a"), Seq(n), at(n));
        }
        queue.change(&map("b"), Seq(7), at(500));
        assert_eq!(queue.due_ms(), Some(2_001));
        assert_eq!(queue.take(2_000), None);
        let batch = queue.take(2_001).unwrap();
        let told: Vec<_> = batch
            .events
            .iter()
            .map(|e| (&e["map"], &e["seq"]))
            .collect();
        assert_eq!(told, [(&json!("a"), &json!(50))]);
        assert_eq!(queue.due_ms(), Some(2_500));
        queue.change(&map("a"), Seq(51), at(3_000));
        assert_eq!(queue.take(9_000).unwrap().events.len(), 2);
        assert_eq!(queue.due_ms(), None);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_count_is_told_once() {
        let mut queue = Queue::new(0);
        for n in 0..EVENTS_MAX + 5 {
            assert_eq!(queue.push(json!({ "n": n })), n < EVENTS_MAX);
        }
        let first = queue.take(0).unwrap();
        assert_eq!((first.dropped, first.events.len()), (5, BATCH_MAX));
        assert_eq!(first.events[0], json!({ "n": 0 }));
        assert_eq!(queue.take(0).unwrap().dropped, 0);
        let large = json!({ "text": "x".repeat(BYTES_MAX) });
        assert!(!queue.push(large));
    }

    #[test]
    fn what_was_delivered_makes_room() {
        let mut queue = Queue::new(0);
        let large = || json!({ "text": "x".repeat(BYTES_MAX / 2 + 1) });
        for _ in 0..3 {
            assert!(queue.push(large()));
            assert!(!queue.push(large()));
            queue.take(0).unwrap();
        }
        assert_eq!(queue.bytes, 0);
    }
}
