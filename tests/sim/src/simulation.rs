//! One run: which of all the things that could happen next does, and what must hold when it did.

mod checks;
mod network;
mod rest;
mod serving;

use std::collections::{BTreeMap, BTreeSet};

use mapweave_proto::{Access, ClientId, SessionId, scan};
use yrs::{Doc, ReadTxn, Transact};

use crate::client::Client;
use crate::edits::{self, document};
use crate::hostile;
use crate::link::{Link, Way};
use crate::rng::Rng;
use crate::scenario::{Report, Scenario};
use crate::server::Server;
use crate::store::Store;
use crate::trace::Trace;

/// Rounds within which everything has to come to rest.
const QUIET_ROUNDS_MAX: usize = 3_000;

/// Bytes that a healthy socket takes.
const SOCKET_BYTES: usize = 1 << 20;

/// Client ids of attackers and of the author who sends requests, apart from all browsers'.
const HOSTILE_IDS: u64 = 9_000_000;
const AUTHOR_ID: u64 = 8_000_000;

/// The whole world of a scenario.
pub(crate) struct Simulation {
    scenario: Scenario,
    rng: Rng,
    now_ms: u64,
    step: usize,
    seats: Vec<Seat>,
    server: Server,
    store: Store,
    links: BTreeMap<SessionId, Link>,
    /// Who made a connection: a seat and the life of its document, or nobody of interest.
    owners: BTreeMap<SessionId, (usize, u64)>,
    hostile: BTreeSet<SessionId>,
    author: Doc,
    next_session: u64,
    next_client: u64,
    queue_bytes_max: usize,
    trace: Trace,
    report: Report,
}

/// A person with a browser.
struct Seat {
    client: Client,
    life: u64,
    link: Option<SessionId>,
    access: Access,
    /// Edits of this life that were acknowledged and looked for.
    verified: usize,
}

impl Simulation {
    #[allow(clippy::expect_used)]
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut rng = Rng::new(scenario.seed);
        let store = Store::new();
        let server = Server::start(&store, false, scenario.sabotage).expect("an empty store");
        let mut simulation = Self {
            scenario,
            now_ms: 0,
            step: 0,
            seats: Vec::new(),
            server,
            store,
            links: BTreeMap::new(),
            owners: BTreeMap::new(),
            hostile: BTreeSet::new(),
            author: document(AUTHOR_ID),
            next_session: 1,
            next_client: 1,
            queue_bytes_max: [200, 2 << 10, 64 << 10][rng.below(3)],
            trace: Trace::default(),
            report: Report::default(),
            rng,
        };
        for seat in 0..scenario.clients {
            let id = simulation.fresh_client();
            let reader = seat > 1 && simulation.rng.chance(20);
            simulation.seats.push(Seat {
                client: Client::new(id, &format!("sid{seat:02}"), 0),
                life: id,
                link: None,
                access: if reader {
                    Access::ReadOnly
                } else {
                    Access::ReadWrite
                },
                verified: 0,
            });
        }
        simulation
    }

    pub(crate) fn step(&self) -> usize {
        self.step
    }

    pub(crate) fn run(&mut self) -> Result<Report, String> {
        let first_half = self.scenario.steps / 2;
        while self.step < self.scenario.steps {
            if self.step == first_half {
                self.come_to_rest()?;
                self.check_all()?;
            }
            self.take_step()?;
            self.step += 1;
        }
        self.come_to_rest()?;
        self.check_all()?;
        self.check_spare_reconnect()?;
        self.check_departure()?;
        Ok(Report {
            trace: self.trace.hash(),
            events: self.trace.events(),
            records: self.store.last().0,
            ..self.report
        })
    }

    fn take_step(&mut self) -> Result<(), String> {
        self.now_ms += self.rng.below(40) as u64;
        let what = self.rng.below(1000);
        self.trace.note((self.step, self.now_ms, what));
        match what {
            0..180 => self.edit(),
            180..330 => self.deliver(Way::Up),
            330..480 => self.deliver(Way::Down),
            480..580 => self.serve_one(),
            580..700 => self.turn(),
            700..770 => self.sync(),
            770..810 => self.connect_one(),
            810..820 => self.cut_one(),
            820..840 => self.notice_one(),
            840..850 => self.partition_one(),
            850..865 => self.change_speed(),
            865..880 => self.take_snapshot(),
            880..890 => self.crash(),
            890..895 => self.reload_one(),
            895..915 => self.show_one(),
            915..925 => self.ask_again(),
            925..945 => self.attack(),
            945..960 => self.submit(),
            960..975 => self.time_passes(1_000),
            975..980 => {
                let ms = self.rng.between(2_000, 40_000) as u64;
                self.time_passes(ms)
            }
            _ => {
                self.server.loaded();
                self.attach_one()
            }
        }?;
        self.check_acknowledged()
    }

    // What people do.

    fn edit(&mut self) -> Result<(), String> {
        let seat = self.rng.below(self.seats.len());
        let mut rng = self.rng.fork();
        let t = (self.now_ms / 1000) as i64;
        let Some(seat) = self
            .seats
            .get_mut(seat)
            .filter(|seat| seat.access == Access::ReadWrite)
        else {
            return Ok(());
        };
        let said = seat.client.edit(t, &mut rng)?;
        self.report.edits += said.len() as u64 / 2;
        if let Some(link) = seat.link {
            self.say(link, &said);
        }
        Ok(())
    }

    fn show_one(&mut self) -> Result<(), String> {
        let (seat, what, now_ms) = (
            self.rng.below(self.seats.len()),
            self.rng.below(90),
            self.now_ms,
        );
        if let Some(seat) = self.seats.get_mut(seat) {
            let said = seat.client.show(what, now_ms);
            if let Some(link) = seat.link {
                self.say(link, &[said]);
            }
        }
        Ok(())
    }

    /// A provider asks for what it may lack, or says everything again.
    fn ask_again(&mut self) -> Result<(), String> {
        let (index, all) = (self.rng.below(self.seats.len()), self.rng.chance(30));
        if let Some(seat) = self.seats.get(index)
            && let Some(link) = seat.link
        {
            let said = match seat.access {
                Access::ReadWrite if all => seat.client.repeat_all()?,
                _ => seat.client.resync(),
            };
            self.say(link, &[said]);
        }
        Ok(())
    }

    /// A page is loaded anew; the device may have kept the document.
    fn reload_one(&mut self) -> Result<(), String> {
        let (index, keeps) = (self.rng.below(self.seats.len()), self.rng.chance(70));
        self.reload(index, keeps)
    }

    fn reload(&mut self, index: usize, keeps: bool) -> Result<(), String> {
        self.hang_up(index);
        let id = self.fresh_client();
        let now_ms = self.now_ms;
        if let Some(seat) = self.seats.get_mut(index) {
            seat.client = seat.client.reloaded(id, keeps, now_ms)?;
            (seat.life, seat.verified) = (id, 0);
        }
        Ok(())
    }

    /// Somebody without a browser sends a whole document by request, most of it known already.
    fn submit(&mut self) -> Result<(), String> {
        let mut rng = self.rng.fork();
        edits::edit(
            &self.author,
            "author",
            (self.now_ms / 1000) as i64,
            &mut rng,
        );
        let state = self
            .author
            .transact()
            .encode_state_as_update_v1(&yrs::StateVector::default());
        let update = scan(state.into(), usize::MAX).map_err(|error| error.to_string())?;
        if !update.is_empty() {
            self.server.submit(update);
        }
        Ok(())
    }

    fn attack(&mut self) -> Result<(), String> {
        if self.hostile.is_empty() || self.rng.chance(20) {
            let id = self.open(SOCKET_BYTES.min(500), Access::ReadWrite);
            self.hostile.insert(id);
        }
        let others: Vec<ClientId> = self.seats.iter().map(|seat| seat.client.id()).collect();
        let all: Vec<SessionId> = self.hostile.iter().copied().collect();
        let Some(id) = self.rng.pick(&all).copied() else {
            return Ok(());
        };
        // One id per connection: what it says twice is the same.
        let attack = hostile::attack(HOSTILE_IDS + id.0, &others, &mut self.rng);
        if let Some(link) = self.links.get_mut(&id) {
            link.up.write(&attack);
            if self.rng.chance(50) {
                link.down.read(usize::MAX);
            }
        }
        Ok(())
    }

    fn fresh_client(&mut self) -> u64 {
        self.next_client += 1;
        // Ids of all lengths on the wire.
        self.next_client << (self.rng.below(4) * 7)
    }
}
