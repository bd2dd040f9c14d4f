//! Durable appends beside raw append + `fdatasync`, with an idle index and with one that is far behind, and
//! how long opening a store takes. Prints tables with ratios within this run, and the same as JSON on the last
//! line. `--quick` measures less; `--sync-us N` lets every sync of the journal take so many microseconds longer:
//! with a folder in memory this is a disk that nobody else keeps busy. `--only appends|behind|restart` runs one
//! of the three.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mapweave_proto::{DocId, MapName};
use mapweave_storage::{
    Disk, DiskFile, Kind, NewRecord, Origin, Protocol, RealDisk, SledStore, StoreOptions, UpdateLog,
};
use serde_json::json;

const PAYLOAD_BYTES: usize = 100;
const WAITING: [usize; 4] = [1, 16, 64, 256];
/// More records than may wait for the index: 32 MiB of some 450 bytes each.
const BACKLOG_RECORDS: usize = 120_000;
const GOALS: [f64; 4] = [1.1, 1.15, 1.2, 1.3];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--fill-and-hang") {
        return fill_and_hang(Path::new(&args[at + 1]), args[at + 2].parse().unwrap());
    }
    let quick = args.iter().any(|a| a == "--quick");
    let (round, rounds) = (
        Duration::from_millis(if quick { 300 } else { 1_500 }),
        if quick { 2 } else { 5 },
    );
    let at = args.iter().position(|a| a == "--sync-us");
    let disk = SlowDisk(Duration::from_micros(
        at.map_or(0, |at| args[at + 1].parse().unwrap()),
    ));
    let only = args.iter().position(|a| a == "--only");
    let wanted = |part: &str| only.is_none_or(|at| args.get(at + 1).is_some_and(|a| a == part));
    let appends = wanted("appends").then(|| appends(disk, round, rounds));
    let behind = wanted("behind").then(|| behind(disk, round, rounds));
    let records = if quick { 50_000 } else { 1_000_000 };
    let restart = wanted("restart").then(|| restart(records));
    println!(
        "{}",
        json!({ "appends": appends, "behind": behind, "restart": restart })
    );
}

/// The machine's disk, with slower syncs of what the journal writes.
#[derive(Clone, Copy, Debug)]
struct SlowDisk(Duration);

#[derive(Debug)]
struct SlowFile(Box<dyn DiskFile>, Duration);

impl Disk for SlowDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.create_new(path)?;
        Ok(Box::new(SlowFile(file, self.0)))
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        RealDisk.truncate(path, len)
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        RealDisk.len(path)
    }
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        RealDisk.read_at(path, offset, len)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

impl DiskFile for SlowFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn sync_data(&mut self) -> io::Result<()> {
        std::thread::sleep(self.1);
        self.0.sync_data()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

fn origin() -> Arc<Origin> {
    let (user, session) = (String::new(), "bench".to_owned());
    Arc::new(Origin {
        user,
        session,
        client: None,
        protocol: Protocol::Server,
        made_at_ms: None,
        relayed: None,
    })
}

fn update() -> NewRecord {
    NewRecord {
        kind: Kind::Update,
        origin: origin(),
        payload: Bytes::from(vec![7; PAYLOAD_BYTES]),
    }
}

fn created(name: &str) -> NewRecord {
    let name = MapName::parse(name).unwrap();
    NewRecord {
        kind: Kind::Created { name },
        origin: origin(),
        payload: Bytes::new(),
    }
}

fn appends(disk: SlowDisk, round: Duration, rounds: usize) -> serde_json::Value {
    println!(
        "durable appends of {PAYLOAD_BYTES} bytes, medians of {rounds} rounds each, microseconds"
    );
    println!(
        "{:>8} {:>10} {:>10} {:>7} {:>6} {:>10} {:>10} {:>7} {:>11} {:>11} {:>7}",
        "waiting",
        "raw p50",
        "ours p50",
        "ratio",
        "goal",
        "raw p99",
        "ours p99",
        "ratio",
        "raw rec/s",
        "ours rec/s",
        "ratio"
    );
    let mut out = Vec::new();
    for (waiting, goal) in WAITING.into_iter().zip(GOALS) {
        let folder = tempfile::tempdir_in(".").unwrap();
        let (store, docs) = store_of(disk, &folder.path().join("store"), waiting);
        let (mut raw, mut ours) = (Vec::new(), Vec::new());
        for i in 0..rounds {
            raw.push(raw_round(
                disk,
                &folder.path().join(format!("raw{i}")),
                waiting,
                round,
            ));
            ours.push(our_round(&store, &docs, round));
        }
        let (raw, ours) = (Measured::median(&raw), Measured::median(&ours));
        let (ratio, rate) = (ours.p50_us / raw.p50_us, ours.per_s / raw.per_s);
        let p99_ratio = ours.p99_us / raw.p99_us;
        println!(
            "{waiting:>8} {:>10.0} {:>10.0} {ratio:>7.2} {goal:>6} {:>10.0} {:>10.0} {p99_ratio:>7.2} {:>11.0} {:>11.0} {rate:>7.2}",
            raw.p50_us, ours.p50_us, raw.p99_us, ours.p99_us, raw.per_s, ours.per_s
        );
        out.push(json!({ "waiting": waiting, "raw_us": raw.p50_us, "ours_us": ours.p50_us, "ratio": ratio,
            "goal": goal, "raw_p99_us": raw.p99_us, "ours_p99_us": ours.p99_us, "p99_ratio": p99_ratio,
            "raw_per_s": raw.per_s, "ours_per_s": ours.per_s, "rate_ratio": rate }));
    }
    json!(out)
}

/// What an acknowledgement takes while the backlog to the index is full all the time, so that appends can
/// come no faster than the index takes them.
fn behind(disk: SlowDisk, round: Duration, rounds: usize) -> serde_json::Value {
    println!(
        "\nthe same while the index is behind as far as it may be (goal: p99 at most 3 x raw)"
    );
    println!(
        "{:>8} {:>10} {:>10} {:>7} {:>10} {:>11}",
        "waiting", "raw p99", "ours p99", "ratio", "ours max", "ours rec/s"
    );
    let mut out = Vec::new();
    for waiting in [16, 64, 256] {
        let folder = tempfile::tempdir_in(".").unwrap();
        let (store, docs) = store_of(disk, &folder.path().join("store"), waiting);
        let (mut raw, mut ours) = (Vec::new(), Vec::new());
        for i in 0..rounds {
            raw.push(raw_round(
                disk,
                &folder.path().join(format!("raw{i}")),
                waiting,
                round,
            ));
            fall_behind(&store, &docs);
            ours.push(our_round(&store, &docs, round));
        }
        let (raw, ours) = (Measured::median(&raw), Measured::median(&ours));
        let ratio = ours.p99_us / raw.p99_us;
        println!(
            "{waiting:>8} {:>10.0} {:>10.0} {ratio:>7.2} {:>10.0} {:>11.0}",
            raw.p99_us, ours.p99_us, ours.max_us, ours.per_s
        );
        out.push(
            json!({ "waiting": waiting, "raw_p99_us": raw.p99_us, "ours_p99_us": ours.p99_us,
            "ratio": ratio, "ours_max_us": ours.max_us, "ours_per_s": ours.per_s }),
        );
    }
    json!(out)
}

/// Appends as fast as the journal takes them until more waits for the index than the store lets wait.
fn fall_behind(store: &Arc<dyn UpdateLog>, docs: &[DocId]) {
    let mut waiting = std::collections::VecDeque::new();
    for i in 0..BACKLOG_RECORDS {
        waiting.push_back(store.append(docs[i % docs.len()], vec![update()]));
        if waiting.len() >= 1024 {
            durable(waiting.pop_front().unwrap());
        }
    }
    waiting.into_iter().for_each(|append| {
        durable(append);
    });
}

fn store_of(disk: SlowDisk, path: &Path, maps: usize) -> (Arc<dyn UpdateLog>, Vec<DocId>) {
    let options = StoreOptions {
        disk: Arc::new(disk),
        ..StoreOptions::default()
    };
    let (store, _) = SledStore::open(path, options).unwrap();
    let store: Arc<dyn UpdateLog> = Arc::new(store);
    let docs: Vec<DocId> = (0..maps).map(|_| DocId::fresh()).collect();
    for (i, doc) in docs.iter().enumerate() {
        durable(store.append(*doc, vec![created(&format!("m{i}"))]));
    }
    (store, docs)
}

/// W closed-loop threads, one thread that writes what waits and syncs once: the physical limit.
fn raw_round(disk: SlowDisk, path: &Path, waiting: usize, length: Duration) -> Measured {
    let mut file = disk.create_new(path).unwrap();
    let (sender, inbox) = mpsc::channel::<mpsc::SyncSender<()>>();
    let committer = std::thread::spawn(move || {
        let mut batch = Vec::new();
        while let Ok(first) = inbox.recv() {
            batch.push(first);
            batch.extend(inbox.try_iter());
            file.append(&vec![7; batch.len() * (PAYLOAD_BYTES + 48)])
                .unwrap();
            file.sync_data().unwrap();
            batch.drain(..).for_each(|done| {
                // Whoever waited may have been told to stop.
                let _ = done.send(());
            });
        }
    });
    let result = closed_loop(waiting, length, |_| {
        let sender = sender.clone();
        move || {
            let (done, wait) = mpsc::sync_channel(1);
            sender.send(done).unwrap();
            wait.recv().unwrap();
        }
    });
    drop(sender);
    committer.join().unwrap();
    result
}

fn our_round(store: &Arc<dyn UpdateLog>, docs: &[DocId], length: Duration) -> Measured {
    closed_loop(docs.len(), length, |i| {
        let (store, doc) = (store.clone(), docs[i]);
        move || {
            durable(store.append(doc, vec![update()]));
        }
    })
}

/// Latencies in microseconds and operations a second.
#[derive(Clone, Copy)]
struct Measured {
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    per_s: f64,
}

impl Measured {
    /// The median of each number.
    fn median(rounds: &[Self]) -> Self {
        let of = |number: fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(number).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self {
            p50_us: of(|m| m.p50_us),
            p99_us: of(|m| m.p99_us),
            max_us: of(|m| m.max_us),
            per_s: of(|m| m.per_s),
        }
    }
}

/// What `threads` measure that each do one operation after another.
fn closed_loop<F: FnMut() + Send>(
    threads: usize,
    length: Duration,
    make: impl Fn(usize) -> F,
) -> Measured {
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|i| {
                let (mut operation, stop) = (make(i), &stop);
                scope.spawn(move || {
                    let mut took = Vec::new();
                    while !stop.load(Relaxed) {
                        let start = Instant::now();
                        operation();
                        took.push(start.elapsed().as_nanos() as u64);
                    }
                    took
                })
            })
            .collect();
        std::thread::sleep(length);
        stop.store(true, Relaxed);
        handles
            .into_iter()
            .flat_map(|h| h.join().unwrap())
            .collect()
    });
    let per_s = all.len() as f64 / began.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    Measured {
        p50_us: at(0.5),
        p99_us: at(0.99),
        max_us: at(1.0),
        per_s,
    }
}

/// Opening a store with 1 000 maps: after a clean stop, after a kill soon after, and after a kill in the life
/// that wrote everything.
fn restart(records: u64) -> serde_json::Value {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("store");
    let began = Instant::now();
    fill(&path, records);
    let fill_s = began.elapsed().as_secs_f64();
    let clean_ms = open_ms(&path);
    let again_ms = open_ms(&path);
    fill_and_be_killed(&path, 20_000);
    let crash_ms = open_ms(&path);
    let path = folder.path().join("one-life");
    fill_and_be_killed(&path, records);
    let one_life_ms = open_ms(&path);
    let after_ms = open_ms(&path);
    println!(
        "\nopening a store of 1000 maps and {records} records, ms: after a clean stop {clean_ms:.0}, again {again_ms:.0} (goal 500); \
         after a kill {crash_ms:.0}, after a kill in its first life {one_life_ms:.0} (goal 5000), then clean {after_ms:.0}; \
         filled in {fill_s:.1} s"
    );
    json!({ "records": records, "clean_ms": clean_ms, "again_ms": again_ms, "crash_ms": crash_ms,
        "one_life_ms": one_life_ms, "after_ms": after_ms, "fill_s": fill_s })
}

fn fill_and_be_killed(path: &Path, records: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--fill-and-hang",
            path.to_str().unwrap(),
            &records.to_string(),
        ])
        .spawn()
        .unwrap();
    let flag = path.with_extension("hanging");
    while !flag.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn open_ms(path: &Path) -> f64 {
    let began = Instant::now();
    let (store, report) = SledStore::open(path, StoreOptions::default()).unwrap();
    let ms = began.elapsed().as_secs_f64() * 1e3;
    assert!(
        report.problems.is_empty() && report.rebuilt.is_none(),
        "{report:?}"
    );
    store.close().unwrap();
    ms
}

fn fill(path: &Path, records: u64) {
    let (store, _) = SledStore::open(path, StoreOptions::default()).unwrap();
    append_to_all(&store, records);
    store.close().unwrap();
}

fn append_to_all(store: &SledStore, records: u64) {
    let existing = store.maps();
    let docs: Vec<DocId> = if existing.is_empty() {
        let docs: Vec<DocId> = (0..1000).map(|_| DocId::fresh()).collect();
        for (i, doc) in docs.iter().enumerate() {
            durable(store.append(*doc, vec![created(&format!("map {i}"))]));
        }
        docs
    } else {
        existing.into_iter().map(|entry| entry.id).collect()
    };
    let mut waiting = std::collections::VecDeque::new();
    for i in 0..records {
        waiting.push_back(store.append(docs[(i % 1000) as usize], vec![update()]));
        if waiting.len() >= 256 {
            durable(waiting.pop_front().unwrap());
        }
    }
    waiting.into_iter().for_each(|append| {
        durable(append);
    });
}

fn fill_and_hang(path: &Path, records: u64) {
    let (store, _) = SledStore::open(path, StoreOptions::default()).unwrap();
    append_to_all(&store, records);
    File::create(path.with_extension("hanging")).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

fn durable<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    block_on(future).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
