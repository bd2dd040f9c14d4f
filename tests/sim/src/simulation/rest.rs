//! Coming to rest: everything that can happen without anybody doing anything more happens.

use super::{QUIET_ROUNDS_MAX, SOCKET_BYTES, Simulation};
use crate::link::Way;
use mapweave_proto::SessionId;

impl Simulation {
    // Coming to rest.

    /// Everything works again, and everybody is connected until nothing more is to be said.
    pub(super) fn come_to_rest(&mut self) -> Result<(), String> {
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

    pub(super) fn dismiss_attackers(&mut self) {
        for id in std::mem::take(&mut self.hostile) {
            if let Some(link) = self.links.get_mut(&id) {
                link.cut(0, 0);
            }
        }
    }

    /// Lets everything that is under way arrive, in order. `connect` says whether who is away comes back.
    pub(super) fn settle(&mut self, connect: bool) -> Result<(), String> {
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
    pub(super) fn settle_round(&mut self, connect: bool) -> Result<bool, String> {
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

    pub(super) fn forget_if_over(&mut self, id: SessionId) {
        let used = self.server.conns.contains_key(&id)
            || self.seats.iter().any(|seat| seat.link == Some(id));
        if !used {
            self.links.remove(&id);
        }
    }
}
