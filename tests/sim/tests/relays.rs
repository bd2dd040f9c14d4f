//! Boxes that exchange records over links that come and go, for a simulated week: the server's own rooms, relays and
//! sockets, with the network, the clock and the disk played here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use mapweave::relay::connection::{Counted, Terms, Until, run, socket_config};
use mapweave::relay::{Relay, Revoked, Way};
use mapweave::room::{CoreOptions, HeldLimits, IfUnknown, RoomOptions, Rooms, content, load};
use mapweave_proto::{DocId, MapName, Seq, StateVector, scan};
use mapweave_sim::{Crew, Rng};
use mapweave_storage::{Kind, Known, MemoryLog, NewRecord, Origin, Protocol, UpdateLog};
use tokio::io::copy_bidirectional;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;

/// Seeds that an ordinary run goes through; `SIM_SEEDS` asks for more.
const SEEDS: u64 = 1;

/// How long crews work before all links come up for good.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long everything may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(60 * 60);

/// Bytes that a link holds.
const PIPE_BYTES: usize = 64 << 10;

/// Maps that crews draw in; the first is there from the beginning, and is deleted and restored now and then.
const MAPS: [&str; 3] = ["site", "north/a", "north/b"];

/// A box with its crew.
struct Station {
    name: &'static str,
    log: MemoryLog,
    rooms: Arc<Rooms>,
    relay: Arc<Relay>,
    crews: BTreeMap<&'static str, Crew>,
    /// Updates that were acknowledged.
    acknowledged: Vec<(MapName, Bytes)>,
    clients: u64,
}

/// A link between two stations.
struct Cable {
    ends: (usize, usize),
    tasks: Vec<JoinHandle<()>>,
}

fn rooms_over(log: &MemoryLog) -> Arc<Rooms> {
    let options = RoomOptions {
        idle_unload: Duration::from_secs(5),
        snapshot_records: 200,
        snapshot_bytes: 1 << 20,
        held: HeldLimits::default(),
        core: CoreOptions::default(),
    };
    Rooms::new(Arc::new(log.clone()), options, 1 << 30, TaskTracker::new())
}

fn nobody() -> Revoked {
    Arc::new(|_, _| false)
}

fn name(text: &str) -> MapName {
    MapName::parse(text).expect("a name")
}

impl Station {
    fn new(name: &'static str) -> Self {
        let log = MemoryLog::new();
        let rooms = rooms_over(&log);
        Self {
            name,
            relay: Relay::new(rooms.clone(), 64 << 20, nobody()),
            log,
            rooms,
            crews: BTreeMap::new(),
            acknowledged: Vec::new(),
            clients: 0,
        }
    }

    /// The process dies and begins anew on what is durable.
    fn crash(&mut self) {
        self.rooms.discard_all("the power is gone");
        self.rooms.stop();
        self.rooms = rooms_over(&self.log);
        self.relay = Relay::new(self.rooms.clone(), 64 << 20, nobody());
        self.crews.clear();
    }

    fn origin(&self) -> Arc<Origin> {
        Arc::new(Origin {
            user: format!("{}'s crew", self.name),
            protocol: Protocol::YWebsocket,
            ..Origin::default()
        })
    }

    /// Somebody of the crew draws, on top of what the box has or of what they had.
    async fn edit(&mut self, map: &'static str, station: u64, rng: &mut Rng) {
        let Ok(room) = self.rooms.enter(&name(map), IfUnknown::Open) else {
            return;
        };
        self.clients += 1;
        let client = (station + 1) << 32 | self.clients;
        let crew = self.crews.entry(map).or_insert_with(|| Crew::new(client));
        if rng.chance(60)
            && let Ok(state) = room.state(StateVector::default()).await
        {
            crew.hear(&state.update);
        }
        let update = crew.edit(self.name, rng);
        let scanned = scan(update.clone().into(), usize::MAX).expect("an update");
        if room.submit(scanned, self.origin()).await.is_ok() {
            self.acknowledged.push((name(map), update.into()));
        } else {
            // What follows would build on what nobody has.
            self.crews.remove(map);
        }
    }

    /// The map is deleted, or restored where it is.
    async fn turn(&self, map: &str) {
        let Some(entry) = self.log.map(&name(map)) else {
            return;
        };
        let kind = if entry.deleted {
            Kind::Restored
        } else {
            Kind::Deleted
        };
        let record = NewRecord {
            kind,
            origin: self.origin(),
            payload: Bytes::new(),
        };
        self.log
            .append(entry.id, vec![record])
            .await
            .expect("a store in memory");
        self.rooms.dismiss(entry.id);
        self.rooms.changed(entry.id);
    }

    fn is_level(&self, links: usize) -> bool {
        let all = self.relay.board.all();
        all.len() == links && all.iter().all(|status| status.level)
    }
}

impl Cable {
    fn new(from: usize, to: usize) -> Self {
        Self {
            ends: (from, to),
            tasks: Vec::new(),
        }
    }

    fn is_up(&self) -> bool {
        self.tasks.iter().any(|task| !task.is_finished())
    }

    fn up(&mut self, stations: &[Station]) {
        self.cut();
        let (mut near, here) = tokio::io::duplex(PIPE_BYTES);
        let (mut far, there) = tokio::io::duplex(PIPE_BYTES);
        // The wire between: what is on it is lost with it.
        self.tasks.push(tokio::spawn(async move {
            let _ = copy_bidirectional(&mut near, &mut far).await;
        }));
        let sides = [
            (self.ends.0, here, Role::Client, Way::Upstream),
            (self.ends.1, there, Role::Server, Way::Downstream),
        ];
        for (station, stream, role, way) in sides {
            let other = if station == self.ends.0 {
                self.ends.1
            } else {
                self.ends.0
            };
            let relay = stations[station].relay.clone();
            let via = stations[other].name.to_owned();
            self.tasks.push(tokio::spawn(async move {
                let config = Some(socket_config());
                let socket =
                    WebSocketStream::from_raw_socket(Counted::new(stream), role, config).await;
                let post = relay.board.post(way, &via);
                let terms = Terms {
                    via,
                    allow: Arc::new(|_| true),
                    bytes_per_s: None,
                    until: Until::Ever,
                };
                run(&relay, socket, &terms, &post, std::future::pending()).await;
            }));
        }
    }

    /// The wire breaks: both ends notice.
    fn cut(&mut self) {
        if let Some(wire) = self.tasks.first() {
            wire.abort();
        }
        self.tasks.clear();
    }

    /// One end is gone without a word.
    fn kill(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.tasks.clear();
    }
}

/// A week of three stations, and what must hold after it.
async fn week(seed: u64, cables: &[(usize, usize)]) {
    let mut rng = Rng::new(seed);
    let mut stations: Vec<Station> = ["phone", "truck", "office"].map(Station::new).into();
    let mut cables: Vec<Cable> = cables.iter().map(|(a, b)| Cable::new(*a, *b)).collect();
    stations[2].edit(MAPS[0], 2, &mut rng).await;
    all_up(&mut cables, &stations);
    come_to_rest(seed, &mut cables, &stations).await;
    let began = Instant::now();
    while began.elapsed() < WEEK {
        match rng.below(100) {
            0..45 => {
                let station = rng.below(stations.len());
                let map = MAPS[rng.below(MAPS.len())];
                stations[station].edit(map, station as u64, &mut rng).await;
            }
            45..60 => {
                let cable = rng.below(cables.len());
                cables[cable].up(&stations);
            }
            60..70 => {
                let cable = rng.below(cables.len());
                cables[cable].cut();
            }
            70..73 => {
                let station = rng.below(stations.len());
                for cable in &mut cables {
                    if cable.ends.0 == station || cable.ends.1 == station {
                        cable.kill();
                    }
                }
                stations[station].crash();
            }
            73..75 => {
                let station = rng.below(stations.len());
                stations[station].turn(MAPS[0]).await;
            }
            75..90 => sleep(Duration::from_millis(rng.below(2_000) as u64)).await,
            _ => sleep(Duration::from_secs(rng.below(4 * 60 * 60) as u64)).await,
        }
    }
    come_to_rest(seed, &mut cables, &stations).await;
    check(seed, &stations).await;
}

fn all_up(cables: &mut [Cable], stations: &[Station]) {
    for cable in cables.iter_mut().filter(|cable| !cable.is_up()) {
        cable.up(stations);
    }
}

async fn come_to_rest(seed: u64, cables: &mut [Cable], stations: &[Station]) {
    let began = Instant::now();
    let mut level = 0;
    // What is level a moment long may be so before news has come round.
    while level < 5 {
        all_up(cables, stations);
        sleep(Duration::from_secs(1)).await;
        let links = |station| {
            let at = |cable: &&Cable| cable.ends.0 == station || cable.ends.1 == station;
            cables.iter().filter(at).count()
        };
        let mut all = stations.iter().enumerate();
        let is_level = all.all(|(at, s)| s.is_level(links(at)));
        level = if is_level { level + 1 } else { 0 };
        if began.elapsed() > REST_MAX {
            let boards = stations.iter().map(|s| (s.name, s.relay.board.all()));
            let boards: Vec<_> = boards.collect();
            panic!("seed {seed} never comes to rest: {boards:#?}");
        }
    }
}

async fn check(seed: u64, stations: &[Station]) {
    let office = &stations[2];
    for map in office.log.maps() {
        let mut first: Option<(Known, bool, _)> = None;
        for station in stations {
            let here = station
                .log
                .map(&map.name)
                .unwrap_or_else(|| panic!("seed {seed}: {} has no map {}", station.name, map.name));
            let store: Arc<dyn UpdateLog> = Arc::new(station.log.clone());
            let loaded = load(&store, here.id).await.expect("a map that loads");
            assert_eq!(loaded.replica.held().len(), 0, "seed {seed}");
            let exchange = store.exchange(here.id).expect("a map");
            let now = (
                exchange.known,
                exchange.deleted,
                content(&loaded.replica).expect("a document"),
            );
            match &first {
                Some(first) => assert!(
                    *first == now,
                    "seed {seed}: {} differs in {}",
                    station.name,
                    map.name
                ),
                None => first = Some(now),
            }
            once_each(seed, station, here.id).await;
        }
    }
    let mut lost = 0;
    let all = stations.iter().flat_map(|station| &station.acknowledged);
    let all: Vec<_> = all.collect();
    for station in stations {
        let mut replicas = BTreeMap::new();
        for (map, update) in &all {
            if !replicas.contains_key(map) {
                let entry = station.log.map(map).expect("a map");
                let store: Arc<dyn UpdateLog> = Arc::new(station.log.clone());
                let loaded = load(&store, entry.id).await.expect("a map that loads");
                replicas.insert(map.clone(), loaded.replica);
            }
            let update = scan(update.clone(), usize::MAX).expect("an update");
            let replica = replicas.get_mut(map).expect("a replica");
            lost += usize::from(!replica.brings_nothing(&update));
        }
    }
    assert_eq!(
        lost,
        0,
        "seed {seed}: acknowledged edits are missing, of {}",
        all.len()
    );
    assert!(all.len() > 50, "seed {seed}: only {} edits", all.len());
}

/// Each record of another store is in a log once, and edits of crews bear their names.
async fn once_each(seed: u64, station: &Station, doc: DocId) {
    let store = station.log.identity().store;
    let mut seen = BTreeMap::new();
    let mut log = station.log.read_log(doc, Seq(1), Seq(u64::MAX));
    while let Some(record) = log.next().await {
        let record = record.expect("a record");
        let born = record.born(store);
        if let Some(first) = seen.insert(born, record.clone()) {
            let name = station.name;
            panic!("seed {seed}: {born:?} is in {name} twice: {first:?}, {record:?}");
        }
        let drawn = matches!(record.kind, Kind::Update | Kind::Gapped);
        assert!(
            !drawn || record.origin.user.ends_with("crew"),
            "seed {seed}: {record:?}"
        );
    }
}

fn run_week(seed: u64, cables: &[(usize, usize)]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(week(seed, cables));
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[test]
fn phone_truck_and_office_in_a_chain_are_equal_after_a_week() {
    for seed in seeds() {
        run_week(seed, &[(0, 1), (1, 2)]);
    }
}

#[test]
fn three_boxes_in_a_ring_are_equal_after_a_week() {
    for seed in seeds() {
        run_week(1_000 + seed, &[(0, 1), (1, 2), (2, 0)]);
    }
}
