//! Two ends and a wire that breaks, played here: whatever happens, both come to hold the same, each record once.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use mapweave_storage::{CHAIN_START, Kind, Origin, Record, Relayed};
use proptest::prelude::*;

use super::*;
use crate::relay::batch::{Packing, travels, unpack};
use crate::relay::message::Outcome;

const EPOCH: u64 = 1;

/// A store as a link sees it.
#[derive(Default)]
struct Store {
    id: [u8; 16],
    maps: BTreeMap<DocId, FakeMap>,
}

struct FakeMap {
    name: MapName,
    state: MapState,
    log: Vec<Record>,
    known: Known,
}

/// One end of a connection.
struct End {
    store: Store,
    link: Link,
    /// On its way to the other end.
    wire: VecDeque<Bytes>,
    tasks: Vec<Task>,
    progress: Progress,
    parts: Vec<([u8; 16], bytes::BytesMut)>,
}

fn doc(n: u8) -> DocId {
    DocId::from_bytes([n; 16])
}

fn name(text: &str) -> MapName {
    MapName::parse(text).unwrap()
}

fn all() -> Allow {
    Arc::new(|_| true)
}

impl Store {
    fn new(id: u8) -> Self {
        Self {
            id: [id; 16],
            maps: BTreeMap::new(),
        }
    }

    fn me(&self) -> Identity {
        Identity {
            store: self.id,
            epoch: EPOCH,
        }
    }

    fn create(&mut self, doc: DocId, map: &str) {
        let map = FakeMap {
            name: name(map),
            state: MapState::Live,
            log: Vec::new(),
            known: Known::default(),
        };
        self.maps.insert(doc, map);
        let kind = Kind::Created {
            name: self.maps[&doc].name.clone(),
        };
        self.write(doc, kind, None, 0);
    }

    fn edit(&mut self, doc: DocId, bytes: usize) {
        self.write(doc, Kind::Gapped, None, bytes);
    }

    fn write(&mut self, doc: DocId, kind: Kind, relayed: Option<Relayed>, bytes: usize) {
        let map = self.maps.get_mut(&doc).unwrap();
        let seq = Seq(map.log.len() as u64 + 1);
        // An update of one client with a text that does not compress.
        let mut payload = vec![0, 0];
        if bytes > 0 {
            payload = noise(bytes, seq.0);
        }
        match kind {
            Kind::Deleted => map.state = MapState::Deleted,
            Kind::Restored => map.state = MapState::Live,
            _ => {}
        }
        let record = Record {
            doc,
            seq,
            time_ms: 5,
            origin: Arc::new(Origin {
                relayed,
                ..Origin::default()
            }),
            payload: match kind {
                Kind::Gapped | Kind::Update => payload.into(),
                _ => Bytes::new(),
            },
            kind,
            chain: CHAIN_START,
        };
        let (log, born) = record.born(self.id);
        assert!(map.known.raise(log, born), "{log:?} {born} is there twice");
        map.log.push(record);
    }

    fn local(&self, doc: DocId) -> LocalMap {
        let map = &self.maps[&doc];
        LocalMap {
            doc,
            name: map.name.clone(),
            state: map.state,
            last: Seq(map.log.len() as u64),
            known: map.known.clone(),
        }
    }

    fn read(&self, doc: DocId, from: Seq, upto: Seq, skip: &Known) -> ReadRecords {
        let (mut packing, mut at) = (Packing::default(), Seq(from.0 - 1));
        for record in &self.maps[&doc].log {
            if record.seq < from || record.seq > upto {
                continue;
            }
            let (log, seq) = record.born(self.id);
            if travels(&record.kind) && !skip.holds(&log, seq) {
                if !packing.fits(record.payload.len()) {
                    break;
                }
                packing.put(self.id, record);
            }
            at = record.seq;
        }
        let packed = packing.finish().unwrap();
        ReadRecords { upto: at, packed }
    }

    fn take(&mut self, into: &super::Into, packed: &[u8]) -> Outcome {
        self.maps.entry(into.doc).or_insert_with(|| FakeMap {
            name: into.name.clone(),
            state: MapState::Live,
            log: Vec::new(),
            known: Known::default(),
        });
        for record in unpack(packed, "other", 1 << 26).unwrap() {
            let relayed = record.origin.relayed.clone().unwrap();
            if !self.maps[&into.doc].known.holds(&relayed.log, relayed.seq) {
                let bytes = record.update.map_or(0, |update| update.bytes().len());
                self.write(into.doc, record.kind, Some(relayed), bytes);
            }
        }
        Outcome::Taken
    }
}

/// An update whose bytes say little: one struct with a long text of noise.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let text = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b' ' + (state % 90) as u8
    });
    let text: String = text.map(char::from).collect();
    let mut out = mapweave_proto::Writer::new();
    // One client, one struct, client 7 at clock 0: a string in the root type "t".
    for number in [1, 1, 7, 0] {
        out.var_uint(number);
    }
    out.byte(4);
    out.byte(1);
    out.string("t");
    out.string(&text);
    out.byte(0);
    out.finish().to_vec()
}

impl End {
    fn new(store: Store) -> Self {
        let link = Link::new(store.me(), all());
        Self {
            store,
            link,
            wire: VecDeque::new(),
            tasks: Vec::new(),
            progress: Progress::new(),
            parts: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.progress = self.link.progress();
        self.parts.extend(self.link.broken_off());
        self.link = Link::new(self.store.me(), all());
        self.wire.clear();
        self.tasks.clear();
        let docs: Vec<DocId> = self.store.maps.keys().copied().collect();
        docs.iter()
            .for_each(|doc| self.link.map(self.store.local(*doc)));
        self.link.listed();
    }

    /// Says one message or does one task; whether there was any.
    fn step(&mut self, last: bool) -> bool {
        if let Some(message) = self.link.next_message() {
            self.wire.push_back(message.encode());
            return true;
        }
        while let Some(task) = self.link.next_task() {
            self.tasks.push(task);
        }
        let task = if last {
            self.tasks.pop()
        } else {
            (!self.tasks.is_empty()).then(|| self.tasks.remove(0))
        };
        task.map(|task| self.perform(task)).is_some()
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Read {
                doc,
                from,
                upto,
                skip,
            } => {
                let records = self.store.read(doc, from, upto, &skip);
                self.link.read(doc, records);
            }
            Task::Resume { number, hash } => {
                let at = self.parts.iter().position(|(of, _)| *of == hash);
                let part = at.map(|at| self.parts.remove(at).1);
                self.link.resumed(number, part.unwrap_or_default());
            }
            Task::Take {
                content: Content::Records,
                into,
                packed,
                ..
            } => {
                let outcome = self.store.take(&into, &packed);
                self.link.taken(outcome);
                self.link.map(self.store.local(into.doc));
            }
            Task::Take { .. } => self.link.taken(Outcome::Taken),
            Task::Verify { theirs, .. } => self.link.vector(theirs, Some(Bytes::from_static(&[0]))),
            Task::State { doc, .. } => {
                let packed = crate::relay::batch::compress(&[0, 0]).unwrap();
                self.link.state(doc, Some((Seq::ZERO, packed)));
            }
            Task::Suspect { log, seq } => panic!("{log:?} {seq} is not lost"),
        }
    }

    fn changed(&mut self, doc: DocId) {
        self.link.map(self.store.local(doc));
    }
}

/// Two ends.
struct Pair {
    ends: [End; 2],
}

impl Pair {
    fn new(a: Store, b: Store) -> Self {
        let mut pair = Self {
            ends: [End::new(a), End::new(b)],
        };
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        for end in &mut self.ends {
            end.connect();
            end.link.remember(end.progress.clone());
        }
    }

    /// Delivers one message from an end to the other.
    fn deliver(&mut self, from: usize) -> bool {
        let Some(bytes) = self.ends[from].wire.pop_front() else {
            return false;
        };
        let to = &mut self.ends[1 - from];
        to.link.hear(Message::decode(bytes).unwrap()).unwrap();
        true
    }

    fn come_to_rest(&mut self) {
        for _ in 0..200_000 {
            let mut busy = false;
            for end in [0, 1] {
                busy |= self.ends[end].step(false);
                busy |= self.deliver(end);
            }
            if !busy {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn check_level(&self) {
        for end in &self.ends {
            assert!(end.link.is_level(), "{:?}", end.link.standing());
            assert!(end.tasks.is_empty() && end.link.flights.is_empty());
        }
    }

    fn known(&self, end: usize, map: &str) -> Vec<Known> {
        let maps = self.ends[end].store.maps.values();
        maps.filter(|m| m.name.as_str() == map)
            .map(|m| m.known.clone())
            .collect()
    }
}

#[test]
fn a_map_goes_over_under_its_own_id_and_edits_follow_both_ways() {
    let (mut a, b) = (Store::new(1), Store::new(2));
    a.create(doc(1), "m");
    a.edit(doc(1), 10);
    let mut pair = Pair::new(a, b);
    pair.come_to_rest();
    pair.check_level();
    assert_eq!(pair.ends[1].store.maps[&doc(1)].log.len(), 2);
    pair.ends[1].store.edit(doc(1), 10);
    pair.ends[1].changed(doc(1));
    pair.come_to_rest();
    pair.check_level();
    assert_eq!(pair.known(0, "m"), pair.known(1, "m"));
    assert_eq!(pair.ends[0].store.maps[&doc(1)].log.len(), 3);
}

#[test]
fn two_maps_of_one_name_become_one() {
    let (mut a, mut b) = (Store::new(1), Store::new(2));
    a.create(doc(1), "m");
    b.create(doc(2), "m");
    a.edit(doc(1), 5);
    b.edit(doc(2), 6);
    let mut pair = Pair::new(a, b);
    pair.come_to_rest();
    pair.check_level();
    assert_eq!(pair.known(0, "m"), pair.known(1, "m"));
    assert_eq!(pair.known(0, "m").len(), 1);
    assert_eq!(pair.known(0, "m")[0].len(), 2);
}

#[test]
fn a_map_made_anew_waits_until_the_old_one_is_deleted_here_as_well() {
    let (mut a, b) = (Store::new(1), Store::new(2));
    a.create(doc(1), "m");
    let mut pair = Pair::new(a, b);
    pair.come_to_rest();
    let a = &mut pair.ends[0].store;
    a.write(doc(1), Kind::Deleted, None, 0);
    a.create(doc(3), "m");
    pair.connect();
    pair.come_to_rest();
    pair.check_level();
    let b = &pair.ends[1].store;
    assert_eq!(b.maps[&doc(1)].state, MapState::Deleted);
    assert_eq!(b.maps[&doc(3)].state, MapState::Live);
    assert_eq!(pair.known(0, "m"), pair.known(1, "m"));
}

#[test]
fn a_large_record_goes_on_where_it_broke_off() {
    let (mut a, b) = (Store::new(1), Store::new(2));
    a.create(doc(1), "m");
    a.edit(doc(1), 1 << 20);
    let mut pair = Pair::new(a, b);
    let mut carried = 0;
    for _ in 0..100 {
        // A link that dies after every few messages.
        for _ in 0..12 {
            for end in [0, 1] {
                while pair.ends[end].step(false) {
                    if pair.ends[end].wire.len() >= 4 {
                        break;
                    }
                }
                carried += pair.ends[end].wire.front().map_or(0, Bytes::len);
                pair.deliver(end);
            }
        }
        if pair.ends[1]
            .store
            .maps
            .get(&doc(1))
            .is_some_and(|m| m.log.len() == 2)
        {
            break;
        }
        pair.connect();
    }
    pair.come_to_rest();
    pair.check_level();
    assert_eq!(pair.ends[1].store.maps[&doc(1)].log.len(), 2);
    let size = pair.ends[0].store.maps[&doc(1)].log[1].payload.len();
    assert!(
        carried < 2 * size,
        "{carried} bytes were carried for {size}"
    );
}

#[test]
fn only_what_is_allowed_passes() {
    let (mut a, b) = (Store::new(1), Store::new(2));
    a.create(doc(1), "north/a");
    a.create(doc(2), "south/b");
    let mut pair = Pair::new(a, b);
    let north: Allow = Arc::new(|name| name.as_str().starts_with("north/"));
    pair.ends[1].link = Link::new(pair.ends[1].store.me(), north);
    pair.ends[1].link.listed();
    pair.come_to_rest();
    pair.check_level();
    assert_eq!(pair.ends[1].store.maps.len(), 1);
    let waiting = &pair.ends[0].link.standing().waiting;
    assert!(matches!(&waiting[..], [(name, _)] if name.as_str() == "south/b"));
}

#[test]
fn a_store_does_not_talk_to_itself_nor_to_another_version() {
    let mut link = Link::new(Store::new(1).me(), all());
    let hello = |version, store| Message::Hello {
        version,
        store: [store; 16],
        epoch: 1,
    };
    assert_eq!(link.hear(hello(VERSION, 1)), Err(LinkError::SameStore));
    assert_eq!(
        link.hear(hello(9, 2)),
        Err(LinkError::Version { theirs: 9 })
    );
    assert!(link.hear(Message::Listed).is_err());
    assert_eq!(link.hear(hello(VERSION, 2)), Ok(()));
    assert!(link.hear(hello(VERSION, 2)).is_err());
}

#[test]
fn a_store_that_lacks_its_own_records_is_suspected() {
    let mut store = Store::new(1);
    store.create(doc(1), "m");
    let mut link = Link::new(store.me(), all());
    link.map(store.local(doc(1)));
    link.listed();
    let log = LogId {
        store: store.id,
        epoch: EPOCH,
        doc: doc(1),
    };
    link.hear(Message::Hello {
        version: VERSION,
        store: [2; 16],
        epoch: 1,
    })
    .unwrap();
    let known = Known::from_iter([(log, Seq(5))]);
    link.hear(Message::Have {
        doc: doc(1),
        round: 1,
        known,
    })
    .unwrap();
    let suspect = Task::Suspect { log, seq: Seq(5) };
    assert_eq!(link.next_task(), Some(suspect));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_breaks_both_come_to_hold_the_same(steps in prop::collection::vec((0..100u8, 0..2usize, 0..3u8), 0..400)) {
        let (mut a, mut b) = (Store::new(1), Store::new(2));
        a.create(doc(1), "m");
        b.create(doc(2), "m");
        b.create(doc(3), "n");
        let mut pair = Pair::new(a, b);
        for (what, end, which) in steps {
            match what {
                0..40 => { pair.ends[end].step(which == 0); }
                40..80 => { pair.deliver(end); }
                80..83 => pair.connect(),
                83..86 => {
                    let new = doc(10 + end as u8 * 10 + which);
                    if !pair.ends[0].store.maps.contains_key(&new) && !pair.ends[1].store.maps.contains_key(&new) {
                        pair.ends[end].store.create(new, &format!("new{end}{which}"));
                        pair.ends[end].changed(new);
                    }
                }
                _ => {
                    let end = &mut pair.ends[end];
                    let docs: Vec<DocId> = end.store.maps.keys().copied().collect();
                    let doc = docs.get(which as usize % docs.len().max(1)).copied();
                    if let Some(doc) = doc {
                        end.store.edit(doc, usize::from(what) * 700 * usize::from(which));
                        end.changed(doc);
                    }
                }
            }
        }
        pair.come_to_rest();
        pair.check_level();
        let names: std::collections::BTreeSet<String> = pair.ends.iter()
            .flat_map(|end| end.store.maps.values().map(|m| m.name.as_str().to_owned())).collect();
        for name in names {
            prop_assert_eq!(pair.known(0, &name), pair.known(1, &name));
            prop_assert_eq!(pair.known(0, &name).len(), 1);
        }
    }

    #[test]
    fn no_message_makes_a_link_panic(messages in prop::collection::vec((0..12u8, prop::collection::vec(0..4u8, 0..60)), 0..30)) {
        let mut store = Store::new(1);
        store.create(doc(1), "m");
        let mut end = End::new(store);
        end.connect();
        end.link.hear(Message::Hello { version: VERSION, store: [2; 16], epoch: 1 }).unwrap();
        for (code, mut body) in messages {
            body.insert(0, code);
            if let Ok(message) = Message::decode(body.into()) && end.link.hear(message).is_err() {
                break;
            }
            end.link.next_message();
            end.link.next_task();
        }
    }
}
