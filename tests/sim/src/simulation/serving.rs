//! What the server does: it takes connections in, serves them, syncs its log, crashes and comes back.

use super::Simulation;
use crate::scenario::Sabotage;
use crate::server::{Server, Verdict, World};
use mapweave_proto::SessionId;

impl Simulation {
    // What the server does.

    pub(super) fn attach_one(&mut self) -> Result<(), String> {
        match self.any_link() {
            Some(id) => self.attach(id),
            None => Ok(()),
        }
    }

    pub(super) fn attach(&mut self, id: SessionId) -> Result<(), String> {
        if let Some(link) = self.links.get_mut(&id) {
            let verdict = self.server.attach(id, link, self.now_ms)?;
            self.ended(id, verdict);
        }
        Ok(())
    }

    pub(super) fn serve_one(&mut self) -> Result<(), String> {
        match self.any_link() {
            Some(id) => self.serve(id),
            None => Ok(()),
        }
    }

    pub(super) fn serve(&mut self, id: SessionId) -> Result<(), String> {
        self.attach(id)?;
        if let Some(link) = self.links.get_mut(&id) {
            let verdict = self.server.serve(id, link, self.now_ms)?;
            self.ended(id, verdict);
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, id: SessionId, verdict: Verdict) {
        if verdict == Verdict::Ended
            && let Some(link) = self.links.get_mut(&id)
        {
            // The server reads on, so that its last frame is not reset away.
            link.up.read(usize::MAX);
        }
    }

    pub(super) fn turn(&mut self) -> Result<(), String> {
        let most = match self.rng.below(3) {
            0 => 1,
            1 => self.rng.between(2, 8),
            _ => 256,
        };
        self.with_server(|server, world, now_ms| server.turn(most, now_ms, world))
    }

    pub(super) fn sync(&mut self) -> Result<(), String> {
        if self.server.is_loading() {
            return Ok(());
        }
        for _ in 0..self.rng.between(1, 4) {
            self.with_server(|server, world, now_ms| server.sync_one(now_ms, world))?;
        }
        Ok(())
    }

    pub(super) fn take_snapshot(&mut self) -> Result<(), String> {
        self.report.snapshots += 1;
        self.server.take_snapshot(&self.store)
    }

    pub(super) fn crash(&mut self) -> Result<(), String> {
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

    pub(super) fn time_passes(&mut self, ms: u64) -> Result<(), String> {
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

    pub(super) fn with_server(
        &mut self,
        act: impl FnOnce(&mut Server, &mut World<'_>, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut world = World {
            store: &mut self.store,
            links: &mut self.links,
        };
        act(&mut self.server, &mut world, self.now_ms)
    }
}
