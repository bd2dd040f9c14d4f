//! One run: which of all the things that could happen next does, and what must hold when it did.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapweave::room::Replica;
use mapweave_proto::{Access, ClientId, Message, Scanned, SessionId, scan, yws};
use yrs::{Doc, ReadTxn, Transact};

use crate::client::{Client, Reaction, token_number};
use crate::content::{Content, clocks_of, deletes_of, joined};
use crate::edits::{self, document};
use crate::hostile;
use crate::link::{Link, Way};
use crate::rng::Rng;
use crate::scenario::{Report, Sabotage, Scenario};
use crate::server::{Server, Verdict, World};
use crate::store::Store;
use crate::trace::Trace;
use crate::ws::masked;

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

    // What networks do.

    fn connect_one(&mut self) -> Result<(), String> {
        let index = self.rng.below(self.seats.len());
        let capacity = *self.rng.pick(&[SOCKET_BYTES, 1_000, 100]).unwrap_or(&100);
        self.connect(index, capacity);
        Ok(())
    }

    fn connect(&mut self, index: usize, capacity: usize) {
        let Some(access) = self
            .seats
            .get(index)
            .filter(|seat| seat.link.is_none())
            .map(|seat| seat.access)
        else {
            return;
        };
        let id = self.open(capacity, access);
        let now_ms = self.now_ms;
        if let Some(seat) = self.seats.get_mut(index) {
            self.owners.insert(id, (index, seat.life));
            seat.link = Some(id);
            let said = seat.client.connect(now_ms);
            self.say(id, &said);
        }
    }

    fn open(&mut self, capacity: usize, access: Access) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.report.connections += 1;
        self.links.insert(id, Link::new(capacity));
        self.server.accept(id, access, self.queue_bytes_max);
        id
    }

    fn say(&mut self, id: SessionId, messages: &[Message]) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        for message in messages {
            let payload = yws::encode(message);
            self.trace.note(&payload);
            let mask = (self.rng.bits() as u32).to_le_bytes();
            let split_at = self.rng.chance(10).then(|| self.rng.below(payload.len()));
            link.up.write(&masked(&payload, mask, split_at));
        }
    }

    fn deliver(&mut self, way: Way) -> Result<(), String> {
        let ready: Vec<SessionId> = self
            .links
            .iter()
            .filter(|(_, link)| !link.partitioned && link.waits(way))
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = self.rng.pick(&ready).copied() else {
            return Ok(());
        };
        let most = match self.rng.below(3) {
            0 => self.rng.between(1, 30),
            1 => self.rng.between(30, 2_000),
            _ => usize::MAX,
        };
        self.deliver_to(id, way, most)
    }

    fn deliver_to(&mut self, id: SessionId, way: Way, most: usize) -> Result<(), String> {
        if way == Way::Up {
            // A connection reads nothing before it has asked to join.
            self.attach(id)?;
            if self.server.is_clogged(id) {
                return Ok(());
            }
        }
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let bytes = link.pipe(way).read(most);
        self.trace.note((id.0, way, &bytes));
        match way {
            Way::Up => {
                let verdict = self.server.receive(id, link, self.now_ms, &bytes)?;
                self.ended(id, verdict);
                Ok(())
            }
            Way::Down => self.read_by_client(id, &bytes),
        }
    }

    fn read_by_client(&mut self, id: SessionId, bytes: &[u8]) -> Result<(), String> {
        let Some((index, life)) = self.owners.get(&id).copied() else {
            return Ok(());
        };
        let now_ms = self.now_ms;
        let Some(seat) = self
            .seats
            .get_mut(index)
            .filter(|seat| seat.link == Some(id) && seat.life == life)
        else {
            return Ok(());
        };
        let Reaction {
            send,
            closed,
            denied,
        } = seat.client.receive(bytes, now_ms)?;
        if denied && seat.access == Access::ReadWrite {
            return Err(format!("client {index} was denied an edit it may make"));
        }
        if denied {
            // A reader has something that a crash took from the server, and may not bring it back.
            return self.reload(index, false);
        }
        self.say(id, &send);
        if let Some(code) = closed {
            if matches!(code, 4400..=4499 | 1002 | 1003 | 1007 | 1009) {
                return Err(format!("client {index} was turned away with {code}"));
            }
            self.hang_up(index);
        }
        Ok(())
    }

    /// The client closes its end; what it sent still arrives.
    fn hang_up(&mut self, index: usize) {
        if let Some(seat) = self.seats.get_mut(index)
            && let Some(id) = seat.link.take()
        {
            seat.client.disconnect();
            if let Some(link) = self.links.get_mut(&id) {
                link.up.close();
            }
        }
    }

    fn cut_one(&mut self) -> Result<(), String> {
        if let Some(id) = self.any_link()
            && let Some(link) = self.links.get_mut(&id)
        {
            let (up, down) = (link.up.len(), link.down.len());
            link.cut(self.rng.below(up + 1), self.rng.below(down + 1));
        }
        Ok(())
    }

    /// One end of a broken connection finds out.
    fn notice_one(&mut self) -> Result<(), String> {
        if let Some(id) = self.any_link() {
            let both = self.rng.below(3);
            if both != 0 {
                self.server_notices(id);
            }
            if both != 1 {
                self.client_notices(id);
            }
        }
        Ok(())
    }

    fn server_notices(&mut self, id: SessionId) {
        if self.links.get(&id).is_none_or(|link| link.up.is_over()) {
            self.server.lost(id);
            if let Some(link) = self.links.get_mut(&id) {
                link.down.close();
            }
        }
    }

    fn client_notices(&mut self, id: SessionId) {
        let over = self.links.get(&id).is_none_or(|link| link.down.is_over());
        if let Some(index) = self.seats.iter().position(|seat| seat.link == Some(id))
            && over
        {
            self.hang_up(index);
        }
    }

    fn partition_one(&mut self) -> Result<(), String> {
        if let Some(id) = self.any_link()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.partitioned = !link.partitioned && !link.up.is_cut();
        }
        Ok(())
    }

    fn change_speed(&mut self) -> Result<(), String> {
        let capacity = *self.rng.pick(&[SOCKET_BYTES, 300, 40]).unwrap_or(&40);
        if let Some(id) = self.any_link()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.down.set_capacity(capacity);
        }
        Ok(())
    }

    fn any_link(&mut self) -> Option<SessionId> {
        let all: Vec<SessionId> = self.links.keys().copied().collect();
        self.rng.pick(&all).copied()
    }

    // What the server does.

    fn attach_one(&mut self) -> Result<(), String> {
        match self.any_link() {
            Some(id) => self.attach(id),
            None => Ok(()),
        }
    }

    fn attach(&mut self, id: SessionId) -> Result<(), String> {
        if let Some(link) = self.links.get_mut(&id) {
            let verdict = self.server.attach(id, link, self.now_ms)?;
            self.ended(id, verdict);
        }
        Ok(())
    }

    fn serve_one(&mut self) -> Result<(), String> {
        match self.any_link() {
            Some(id) => self.serve(id),
            None => Ok(()),
        }
    }

    fn serve(&mut self, id: SessionId) -> Result<(), String> {
        self.attach(id)?;
        if let Some(link) = self.links.get_mut(&id) {
            let verdict = self.server.serve(id, link, self.now_ms)?;
            self.ended(id, verdict);
        }
        Ok(())
    }

    fn ended(&mut self, id: SessionId, verdict: Verdict) {
        if verdict == Verdict::Ended
            && let Some(link) = self.links.get_mut(&id)
        {
            // The server reads on, so that its last frame is not reset away.
            link.up.read(usize::MAX);
        }
    }

    fn turn(&mut self) -> Result<(), String> {
        let most = match self.rng.below(3) {
            0 => 1,
            1 => self.rng.between(2, 8),
            _ => 256,
        };
        self.with_server(|server, world, now_ms| server.turn(most, now_ms, world))
    }

    fn sync(&mut self) -> Result<(), String> {
        if self.server.is_loading() {
            return Ok(());
        }
        for _ in 0..self.rng.between(1, 4) {
            self.with_server(|server, world, now_ms| server.sync_one(now_ms, world))?;
        }
        Ok(())
    }

    fn take_snapshot(&mut self) -> Result<(), String> {
        self.report.snapshots += 1;
        self.server.take_snapshot(&self.store)
    }

    fn crash(&mut self) -> Result<(), String> {
        self.report.crashes += 1;
        self.report.overflows += self.server.overflows;
        self.report.gaps += self.server.gaps;
        let survive = match self.rng.below(3) {
            0 => self.rng.below(self.store.waiting() + 1),
            _ => 0,
        };
        self.store.crash(survive)?;
        if self.scenario.sabotage == Sabotage::ForgetDurable {
            self.store.forget_one()?;
        }
        for link in self.links.values_mut() {
            let (up, down) = (0, link.down.len());
            link.cut(up, self.rng.below(down + 1));
        }
        self.hostile.clear();
        let early = self.rng.chance(50);
        self.server = Server::start(&self.store, early, self.scenario.sabotage)?;
        self.check_restart()
    }

    fn time_passes(&mut self, ms: u64) -> Result<(), String> {
        let mut left_ms = ms;
        while left_ms > 0 {
            let step_ms = left_ms.min(1_000);
            left_ms -= step_ms;
            self.now_ms += step_ms;
            self.with_server(|server, world, now_ms| server.tick(now_ms, world))?;
            for index in 0..self.seats.len() {
                let now_ms = self.now_ms;
                let Some(seat) = self.seats.get_mut(index) else {
                    continue;
                };
                match (seat.client.tick(now_ms), seat.link) {
                    (Some(said), Some(link)) => self.say(link, &said),
                    (Some(_), None) => {}
                    (None, _) => self.hang_up(index),
                }
            }
        }
        Ok(())
    }

    fn with_server(
        &mut self,
        act: impl FnOnce(&mut Server, &mut World<'_>, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut world = World {
            store: &mut self.store,
            links: &mut self.links,
        };
        act(&mut self.server, &mut world, self.now_ms)
    }

    fn fresh_client(&mut self) -> u64 {
        self.next_client += 1;
        // Ids of all lengths on the wire.
        self.next_client << (self.rng.below(4) * 7)
    }

    // Coming to rest.

    /// Everything works again, and everybody is connected until nothing more is to be said.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.dismiss_attackers();
        self.settle(true)?;
        for _ in 0..4 {
            self.time_passes(1_000)?;
            self.settle(true)?;
        }
        self.check_ghosts()?;
        // Who comes back with an old clock after a crash is seen everywhere after some renewals of its state.
        for _ in 0..10 {
            self.time_passes(5_000)?;
            self.settle(true)?;
        }
        Ok(())
    }

    fn dismiss_attackers(&mut self) {
        for id in std::mem::take(&mut self.hostile) {
            if let Some(link) = self.links.get_mut(&id) {
                link.cut(0, 0);
            }
        }
    }

    /// Lets everything that is under way arrive, in order. `connect` says whether who is away comes back.
    fn settle(&mut self, connect: bool) -> Result<(), String> {
        self.server.loaded();
        for _ in 0..QUIET_ROUNDS_MAX {
            if self.settle_round(connect)? {
                return Ok(());
            }
        }
        Err(format!(
            "nothing comes to rest: {} inputs, {} appends, bytes on {:?}",
            self.server.inbox_len(),
            self.store.waiting(),
            self.links
                .iter()
                .filter(|(_, link)| link.up.len() + link.down.len() > 0)
                .map(|(id, link)| (id.0, link.up.len(), link.down.len()))
                .collect::<Vec<_>>()
        ))
    }

    /// One round; whether nothing happened in it.
    fn settle_round(&mut self, connect: bool) -> Result<bool, String> {
        self.now_ms += 5;
        let ids: Vec<SessionId> = self.links.keys().copied().collect();
        let mut quiet = true;
        for id in ids {
            if let Some(link) = self.links.get_mut(&id) {
                link.partitioned = false;
                link.down.set_capacity(SOCKET_BYTES);
                quiet &= link.up.len() + link.down.len() == 0;
            }
            self.serve(id)?;
            self.deliver_to(id, Way::Up, usize::MAX)?;
            self.deliver_to(id, Way::Down, usize::MAX)?;
            self.server_notices(id);
            self.client_notices(id);
            self.forget_if_over(id);
        }
        quiet &= self.server.is_quiet() && self.store.waiting() == 0;
        self.with_server(|server, world, now_ms| server.turn(256, now_ms, world))?;
        self.with_server(|server, world, now_ms| server.sync_one(now_ms, world))?;
        self.check_acknowledged()?;
        for index in 0..self.seats.len() {
            if connect
                && self
                    .seats
                    .get(index)
                    .is_some_and(|seat| seat.link.is_none())
            {
                self.connect(index, SOCKET_BYTES);
                quiet = false;
            }
        }
        Ok(quiet)
    }

    fn forget_if_over(&mut self, id: SessionId) {
        let used = self.server.conns.contains_key(&id)
            || self.seats.iter().any(|seat| seat.link == Some(id));
        if !used {
            self.links.remove(&id);
        }
    }

    // What must hold.

    /// Every edit that an acknowledgement speaks of is in the durable records.
    fn check_acknowledged(&mut self) -> Result<(), String> {
        for (id, token) in self.server.take_acknowledged() {
            let Some((index, life)) = self.owners.get(&id).copied() else {
                continue;
            };
            let Some(seat) = self.seats.get_mut(index).filter(|seat| seat.life == life) else {
                continue;
            };
            self.report.acknowledged += 1;
            let number = token_number(&token)?;
            for (edit, update) in seat
                .client
                .edits_upto(number)
                .iter()
                .enumerate()
                .skip(seat.verified)
            {
                let update = scan(update.clone(), usize::MAX).map_err(|error| error.to_string())?;
                if !self.store.holds(&update) {
                    return Err(format!(
                        "edit {} of client {index} was acknowledged before it was durable",
                        edit + 1
                    ));
                }
            }
            seat.verified = seat.verified.max(number);
        }
        Ok(())
    }

    /// A restart finds what the durable records say.
    fn check_restart(&mut self) -> Result<(), String> {
        let (found, truth) = (self.server.core().replica(), self.store.truth());
        if waiting(found) != waiting(truth) {
            return Err("a restart finds other waiting updates than the log holds".to_owned());
        }
        let found = found.encode_state().map_err(|why| why.to_string())?;
        let truth = truth.encode_state().map_err(|why| why.to_string())?;
        differ(
            "the log and the restarted map",
            &Content::of_state(&truth, &[])?,
            &Content::of_state(&found, &[])?,
        )
    }

    fn check_all(&mut self) -> Result<(), String> {
        self.trace.note("check");
        self.check_content()?;
        self.check_presence()?;
        let unsaved = self
            .seats
            .iter()
            .position(|seat| seat.access == Access::ReadWrite && !seat.client.is_saved());
        if let Some(index) = unsaved {
            return Err(format!(
                "client {index} never hears that its edits are stored"
            ));
        }
        let verified = self.store.verify()?;
        if !verified.ok {
            return Err(format!("the store's own check fails: {verified:?}"));
        }
        Ok(())
    }

    fn check_content(&mut self) -> Result<(), String> {
        let replica = self.server.core().replica();
        let waits = replica.held().len();
        let missing = missing(replica);
        // What nobody has any more is waited for in vain: an attacker never sent it, or a page was closed before.
        let alive = |id: &ClientId| {
            id.0 == AUTHOR_ID || self.seats.iter().any(|seat| seat.client.id() == *id)
        };
        if waits > 0 && missing.iter().all(alive) {
            return Err(format!(
                "{waits} updates still wait for {missing:?}, who are here"
            ));
        }
        let state = replica.encode_state().map_err(|why| why.to_string())?;
        let server = Content::of_state(&state, &[])?;
        for (index, seat) in self.seats.iter().enumerate() {
            let what = format!("the server ({waits} wait for {missing:?}) and client {index}");
            differ(&what, &server, &Content::of(seat.client.doc())?)?;
        }
        let truth = self.store.truth().encode_state();
        let truth = Content::of_state(&truth.map_err(|why| why.to_string())?, &[])?;
        differ("the server and its log", &server, &truth)
    }

    /// Nobody sees somebody who is not there.
    fn check_ghosts(&self) -> Result<(), String> {
        let here: BTreeSet<ClientId> = self.seats.iter().map(|seat| seat.client.id()).collect();
        for (index, seat) in self.seats.iter().enumerate() {
            if let Some(ghost) = seat.client.states().keys().find(|id| !here.contains(id)) {
                return Err(format!("client {index} sees {ghost:?}, who has left"));
            }
        }
        Ok(())
    }

    fn check_presence(&self) -> Result<(), String> {
        let expected: BTreeMap<ClientId, Bytes> = self
            .seats
            .iter()
            .filter_map(|seat| {
                let id = seat.client.id();
                Some((id, seat.client.states().get(&id)?.clone()))
            })
            .collect();
        for (index, seat) in self.seats.iter().enumerate() {
            if *seat.client.states() != expected {
                return Err(format!(
                    "client {index} sees {:?} present, there are {:?}",
                    seat.client.states(),
                    expected
                ));
            }
        }
        let present = self.server.core().present();
        if present != expected.len() {
            return Err(format!(
                "the server sees {present} present, there are {}",
                expected.len()
            ));
        }
        Ok(())
    }

    /// Who comes back with nothing new adds nothing to the log.
    fn check_spare_reconnect(&mut self) -> Result<(), String> {
        let before = self.store.last();
        for link in self.links.values_mut() {
            link.cut(0, 0);
        }
        self.settle(true)?;
        self.check_content()?;
        if self.store.last() != before {
            let replica = self.server.core().replica();
            return Err(format!(
                "a reconnect without news took the log from {before} to {}, {} updates wait for {:?}",
                self.store.last(),
                replica.held().len(),
                missing(replica)
            ));
        }
        Ok(())
    }

    /// When everybody has left, nothing is left.
    fn check_departure(&mut self) -> Result<(), String> {
        for link in self.links.values_mut() {
            link.cut(0, 0);
        }
        self.settle(false)?;
        let core = self.server.core();
        if !core.is_idle() || core.present() > 0 || core.connections() > 0 {
            return Err(format!(
                "everybody left, and the room has {} connections, {} present, idle: {}",
                core.connections(),
                core.present(),
                core.is_idle()
            ));
        }
        self.report.overflows += self.server.overflows;
        self.report.gaps += self.server.gaps;
        Ok(())
    }
}

/// What waits, as ranges of clocks beyond the document: structs, then deletions.
fn waiting(replica: &Replica) -> [Vec<(u64, u64, u64)>; 2] {
    let held = replica.held().cloned();
    let held: Vec<Scanned> = held
        .filter_map(|held| scan(held, usize::MAX).ok())
        .collect();
    let beyond = |(client, start, end): (u64, u64, u64)| {
        let start = start.max(replica.ledger().clock(ClientId(client)));
        (start < end).then_some((client, start, end))
    };
    let ranges = |of: fn(&Scanned) -> Vec<(u64, u64, u64)>| {
        joined(held.iter().flat_map(of).filter_map(beyond).collect())
    };
    [ranges(clocks_of), ranges(deletes_of)]
}

/// Whose earlier changes the updates that wait are waiting for.
fn missing(replica: &Replica) -> BTreeSet<ClientId> {
    let mut missing = BTreeSet::new();
    for held in replica.held() {
        if let Ok(held) = scan(held.clone(), usize::MAX)
            && let Ok(mapweave_proto::Verdict::Gap { missing: clients }) =
                replica.ledger().judge(&held)
        {
            missing.extend(clients.into_iter().map(|(client, _)| client));
        }
    }
    missing
}

fn differ(what: &str, a: &Content, b: &Content) -> Result<(), String> {
    match a.difference(b) {
        Some(difference) => Err(format!("{what} disagree: {difference}")),
        None => Ok(()),
    }
}
