//! A hundred people who edit one map, and how long their edits take.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use yrs::updates::decoder::Decode;
use yrs::{Doc, Map, Out, Transact, Update};

use crate::harness::raw::{BINARY, frame, take_frame};
use crate::harness::wire::{self, Message};
use crate::harness::{Endpoint, Request};

const PEOPLE: usize = 100;

/// How often each of them edits.
const EVERY: Duration = Duration::from_millis(500);

/// Who looks at what the others write: each of them would cost the machine more than the server does.
const WATCHERS: [usize; 3] = [0, 33, 66];

/// All of them, online.
pub struct Crowd {
    people: Vec<Person>,
    shared: Arc<Shared>,
}

struct Person {
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    began: Instant,
    /// Whether they edit, and what that takes counts.
    working: AtomicBool,
    latencies: Mutex<Latencies>,
}

/// What a part of the run took, in microseconds.
#[derive(Default)]
pub struct Latencies {
    stored: Vec<u64>,
    arrived: Vec<u64>,
}

/// Times in milliseconds.
pub struct Times {
    pub p50: f64,
    pub p99: f64,
}

impl Latencies {
    pub fn edits(&self) -> usize {
        self.stored.len()
    }

    pub fn stored(&self) -> Times {
        times(&self.stored)
    }

    pub fn arrived(&self) -> Times {
        times(&self.arrived)
    }
}

fn times(micros: &[u64]) -> Times {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let at = |share: usize| {
        let index = sorted.len().saturating_sub(1) * share / 100;
        sorted
            .get(index)
            .map_or(0.0, |micros| *micros as f64 / 1_000.0)
    };
    Times {
        p50: at(50),
        p99: at(99),
    }
}

impl Crowd {
    /// Everybody connects and gets the map.
    pub async fn join(server: &Endpoint) -> Self {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            working: AtomicBool::new(false),
            latencies: Mutex::default(),
        });
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(Person::join(server, number, &shared).await);
        }
        Self { people, shared }
    }

    /// Everybody edits for so long; what it took.
    pub async fn work(&self, part: Duration) -> Latencies {
        *self.shared.latencies.lock().unwrap() = Latencies::default();
        self.shared.working.store(true, Relaxed);
        tokio::time::sleep(part).await;
        self.shared.working.store(false, Relaxed);
        // The last edits arrive.
        tokio::time::sleep(EVERY).await;
        let ended = |person: &Person| person.tasks.iter().any(JoinHandle::is_finished);
        assert!(
            !self.people.iter().any(ended),
            "an honest client was closed"
        );
        std::mem::take(&mut *self.shared.latencies.lock().unwrap())
    }
}

impl Person {
    async fn join(server: &Endpoint, number: usize, shared: &Arc<Shared>) -> Self {
        let (answer, rest, stream) = Request::upgrade("/ws/m").open(server.address()).await;
        assert_eq!(answer.status, 101);
        stream.set_nodelay(true).unwrap();
        let (reading, mut writing) = stream.into_split();
        for message in [wire::sync_step1(&[0]), wire::sync_step2(&[0, 0])] {
            writing.write_all(&frame(BINARY, &message)).await.unwrap();
        }
        let waiting = Arc::<Mutex<VecDeque<(u64, Instant)>>>::default();
        let edits = edit(writing, number, shared.clone(), waiting.clone());
        let hears = hear(reading, rest, number, shared.clone(), waiting);
        Self {
            tasks: [tokio::spawn(edits), tokio::spawn(hears)],
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Edits now and then: the value of a key of its own is the time, in microseconds.
async fn edit(
    mut writing: OwnedWriteHalf,
    number: usize,
    shared: Arc<Shared>,
    waiting: Arc<Mutex<VecDeque<(u64, Instant)>>>,
) {
    let doc = Doc::new();
    let feat = doc.get_or_insert_map("feat");
    let key = format!("person{number}");
    let offset = EVERY * u32::try_from(number).unwrap() / u32::try_from(PEOPLE).unwrap();
    let mut tick = tokio::time::interval_at((Instant::now() + offset).into(), EVERY);
    for version in 1.. {
        tick.tick().await;
        while !shared.working.load(Relaxed) {
            tick.tick().await;
        }
        let now = Instant::now();
        let update = {
            let mut txn = doc.transact_mut();
            feat.insert(&mut txn, key.as_str(), micros(now - shared.began) as f64);
            txn.encode_update_v1()
        };
        let mut token = Vec::new();
        wire::number(&mut token, version);
        waiting.lock().unwrap().push_back((version, now));
        let mut said = frame(BINARY, &wire::update(&update));
        said.extend(frame(BINARY, &wire::durable(&token)));
        if writing.write_all(&said).await.is_err() {
            return;
        }
    }
}

/// Reads what comes, and takes the time of acknowledgements and, as a watcher, of others' edits.
async fn hear(
    mut reading: OwnedReadHalf,
    mut received: Vec<u8>,
    number: usize,
    shared: Arc<Shared>,
    waiting: Arc<Mutex<VecDeque<(u64, Instant)>>>,
) {
    let watcher = WATCHERS.contains(&number).then(|| Doc::with_client_id(1));
    let mut seen = vec![0.0; PEOPLE];
    loop {
        while let Some((first, payload)) = take_frame(&mut received) {
            if first != BINARY {
                return;
            }
            match (wire::read(&payload), &watcher) {
                (Message::Durable(token), _) => {
                    let version = wire::token_number(&token);
                    let mut waiting = waiting.lock().unwrap();
                    while let Some((_, sent)) = waiting.pop_front_if(|(v, _)| *v <= version) {
                        let mut latencies = shared.latencies.lock().unwrap();
                        latencies.stored.push(micros(sent.elapsed()));
                    }
                }
                (Message::Update(update) | Message::SyncStep2(update), Some(doc)) => {
                    watch(doc, &update, &mut seen, &shared);
                }
                _ => {}
            }
        }
        match reading.read_buf(&mut received).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}

fn watch(doc: &Doc, update: &[u8], seen: &mut [f64], shared: &Shared) {
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    txn.apply_update(Update::decode_v1(update).unwrap())
        .unwrap();
    let now = micros(shared.began.elapsed());
    for (number, seen) in seen.iter_mut().enumerate() {
        let value = match feat.get(&txn, &format!("person{number}")) {
            Some(Out::Any(value)) => f64::try_from(value),
            _ => continue,
        };
        let Ok(written) = value else { continue };
        if written > *seen {
            *seen = written;
            let took = now.saturating_sub(written as u64);
            shared.latencies.lock().unwrap().arrived.push(took);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
