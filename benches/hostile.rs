//! Honest people beside hostile clients, and sockets that do nothing.
//!
//! 100 honest clients edit one map, twice a second each, first undisturbed, then beside one hostile client of each kind, then beside
//! all of them at once, in one run against one release build. Counted are the times from an edit to its durable acknowledgement, and
//! to its arrival at others. Then 10 000 sockets are opened and left alone, all in one map and each in its own, and the memory that
//! the server has more for it is counted. Each hostile client is a process of its own that has what the server and the honest ones
//! leave it of the first core: on all of them, what it makes the system do for loopback keeps even other programs from the disk.
//!
//! `--seconds N` for each part (10); `--idle N` sockets (10 000); `--only hostile|idle`. Prints tables, and the same as JSON on
//! the last line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[path = "hostile/attacks.rs"]
mod attacks;
#[path = "../tests/e2e/harness/mod.rs"]
#[allow(
    unused_imports,
    reason = "a benchmark needs less of the harness than the tests"
)]
mod harness;
#[path = "hostile/honest.rs"]
mod honest;
#[path = "hostile/idle.rs"]
mod idle;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use attacks::Kind;
use harness::{Endpoint, Server};
use honest::{Crowd, Latencies};

/// How much slower the slowest of a hundred edits may be beside hostile clients.
const GOAL: f64 = 2.0;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).map(String::as_str)
    };
    idle::allow_many_files();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(kind) = after("--attack") {
        let address = after("--server").unwrap().parse().unwrap();
        return runtime.block_on(attacks::run(kind, Endpoint::at(address)));
    }
    let number = |name, default| after(name).map_or(default, |text| text.parse().unwrap());
    let part = Duration::from_secs(number("--seconds", 10));
    let sockets = number("--idle", 10_000);
    let wanted = |name| after("--only").is_none_or(|only| only == name);
    runtime.block_on(async {
        let hostile = match wanted("hostile") {
            true => Some(disturbed(part).await),
            false => None,
        };
        let idle = match wanted("idle") {
            true => Some(idle::measure(usize::try_from(sockets).unwrap()).await),
            false => None,
        };
        println!("{}", json!({ "hostile": hostile, "idle": idle }));
    });
}

/// A hostile client in a process of its own, killed when dropped.
struct Hostile(Child);

impl Hostile {
    fn begin(kind: Kind, server: &Endpoint) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", "nice", "-n", "19"]);
        command.arg(std::env::current_exe().unwrap());
        command.args([
            "--attack",
            kind.name(),
            "--server",
            &server.address().to_string(),
        ]);
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // What has ended by itself needs no killing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn disturbed(part: Duration) -> Value {
    let mut server = Server::with(&["log.filter=error"]).await;
    let crowd = Crowd::join(&server).await;
    // Caches and threads are as they will be.
    crowd.work(part / 4).await;
    println!("100 clients in one map, two edits a second each; times in ms");
    println!(
        "| beside | acknowledged p50 | p99 | arrived p50 | p99 | p99 ÷ undisturbed | server MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    let undisturbed = crowd.work(part).await;
    let mut rows = vec![row("nobody", &undisturbed, &undisturbed, &server)];
    for kind in Kind::ALL {
        let hostile = Hostile::begin(kind, &server);
        crowd.work(part / 5).await;
        let told = crowd.work(part).await;
        rows.push(row(kind.name(), &told, &undisturbed, &server));
        drop(hostile);
        crowd.work(part / 5).await;
    }
    let all: Vec<Hostile> = Kind::ALL.map(|kind| Hostile::begin(kind, &server)).into();
    crowd.work(part / 5).await;
    let told = crowd.work(part).await;
    rows.push(row("all of them", &told, &undisturbed, &server));
    drop(all);
    crowd.work(part / 5).await;
    let again = crowd.work(part).await;
    rows.push(row("nobody, again", &again, &undisturbed, &server));
    drop(crowd);
    server.terminate();
    assert_eq!(server.gone().await, Some(0));
    println!("goal: p99 at most {GOAL} times the undisturbed one\n");
    Value::from(rows)
}

fn row(beside: &str, told: &Latencies, undisturbed: &Latencies, server: &Server) -> Value {
    let mib = server.resident_bytes() >> 20;
    let (stored, arrived) = (told.stored(), told.arrived());
    let ratio = |now: f64, before: f64| now / before.max(0.001);
    let ratios = (
        ratio(stored.p99, undisturbed.stored().p99),
        ratio(arrived.p99, undisturbed.arrived().p99),
    );
    println!(
        "| {beside} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1}; {:.1} | {mib} |",
        stored.p50, stored.p99, arrived.p50, arrived.p99, ratios.0, ratios.1
    );
    json!({
        "beside": beside, "edits": told.edits(), "stored_ms": [stored.p50, stored.p99],
        "arrived_ms": [arrived.p50, arrived.p99], "ratios": [ratios.0, ratios.1], "server_mib": mib,
    })
}
