//! Durable appends beside raw append + `fdatasync`, and how long opening a store takes. Prints a table with
//! ratios within this run, and the same as JSON on the last line. `--quick` measures less.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mapweave_proto::{DocId, MapName};
use mapweave_storage::{Kind, NewRecord, Origin, Protocol, SledStore, StoreOptions, UpdateLog};
use serde_json::json;

const PAYLOAD_BYTES: usize = 100;
const WAITING: [usize; 4] = [1, 16, 64, 256];
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
    let appends = appends(round, rounds);
    let restart = restart(if quick { 50_000 } else { 1_000_000 });
    println!("{}", json!({ "appends": appends, "restart": restart }));
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

fn appends(round: Duration, rounds: usize) -> serde_json::Value {
    println!("durable appends of {PAYLOAD_BYTES} bytes, p50 of {rounds} rounds each, microseconds");
    println!(
        "{:>8} {:>10} {:>10} {:>7} {:>6} {:>12} {:>12} {:>7}",
        "waiting", "raw", "ours", "ratio", "goal", "raw rec/s", "ours rec/s", "ratio"
    );
    let mut out = Vec::new();
    for (waiting, goal) in WAITING.into_iter().zip(GOALS) {
        let folder = tempfile::tempdir_in(".").unwrap();
        let (store, _) =
            SledStore::open(&folder.path().join("store"), StoreOptions::default()).unwrap();
        let store: Arc<dyn UpdateLog> = Arc::new(store);
        let docs: Vec<DocId> = (0..waiting).map(|_| DocId::fresh()).collect();
        for (i, doc) in docs.iter().enumerate() {
            durable(store.append(*doc, vec![created(&format!("m{i}"))]));
        }
        let (mut raw, mut ours) = (Vec::new(), Vec::new());
        for i in 0..rounds {
            raw.push(raw_round(
                &folder.path().join(format!("raw{i}")),
                waiting,
                round,
            ));
            ours.push(our_round(&store, &docs, round));
        }
        let (raw, ours) = (median(raw), median(ours));
        let (ratio, rate) = (ours.0 / raw.0, ours.1 / raw.1);
        println!(
            "{waiting:>8} {:>10.0} {:>10.0} {ratio:>7.2} {goal:>6} {:>12.0} {:>12.0} {rate:>7.2}",
            raw.0, ours.0, raw.1, ours.1
        );
        out.push(json!({ "waiting": waiting, "raw_us": raw.0, "ours_us": ours.0, "ratio": ratio, "goal": goal,
            "raw_per_s": raw.1, "ours_per_s": ours.1, "rate_ratio": rate }));
    }
    json!(out)
}

/// W closed-loop threads, one thread that writes what waits and syncs once: the physical limit.
fn raw_round(path: &Path, waiting: usize, length: Duration) -> (f64, f64) {
    let mut file = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(path)
        .unwrap();
    let (sender, inbox) = mpsc::channel::<mpsc::SyncSender<()>>();
    let committer = std::thread::spawn(move || {
        let mut batch = Vec::new();
        while let Ok(first) = inbox.recv() {
            batch.push(first);
            batch.extend(inbox.try_iter());
            file.write_all(&vec![7; batch.len() * (PAYLOAD_BYTES + 48)])
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

fn our_round(store: &Arc<dyn UpdateLog>, docs: &[DocId], length: Duration) -> (f64, f64) {
    closed_loop(docs.len(), length, |i| {
        let (store, doc) = (store.clone(), docs[i]);
        move || {
            durable(store.append(doc, vec![update()]));
        }
    })
}

/// Median latency in microseconds and operations a second of `threads` that each do one after another.
fn closed_loop<F: FnMut() + Send>(
    threads: usize,
    length: Duration,
    make: impl Fn(usize) -> F,
) -> (f64, f64) {
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
    let rate = all.len() as f64 / began.elapsed().as_secs_f64();
    all.sort_unstable();
    (all[all.len() / 2] as f64 / 1e3, rate)
}

fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    let middle = rounds.len() / 2;
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let latency = rounds[middle].0;
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    (latency, rounds[middle].1)
}

/// Opening a store with 1 000 maps: after a clean stop, and after a kill.
fn restart(records: u64) -> serde_json::Value {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("store");
    let began = Instant::now();
    fill(&path, records);
    let fill_s = began.elapsed().as_secs_f64();
    let clean_ms = open_ms(&path);
    let again_ms = open_ms(&path);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--fill-and-hang", path.to_str().unwrap(), "20000"])
        .spawn()
        .unwrap();
    let flag = path.with_extension("hanging");
    while !flag.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let crash_ms = open_ms(&path);
    println!(
        "\nopening a store of 1000 maps and {records} records: after a clean stop {clean_ms:.0} ms, again {again_ms:.0} ms (goal 500), after a kill {crash_ms:.0} ms (goal 5000); filled in {fill_s:.1} s"
    );
    json!({ "records": records, "clean_ms": clean_ms, "again_ms": again_ms, "crash_ms": crash_ms, "fill_s": fill_s })
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
