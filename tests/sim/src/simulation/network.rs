//! What connections do: they open, carry bytes as slowly as chance wants, and break.

use super::{SOCKET_BYTES, Simulation};
use crate::client::Reaction;
use crate::link::{Link, Way};
use crate::ws::masked;
use mapweave_proto::{Access, Message, SessionId, yws};

impl Simulation {
    // What networks do.

    pub(super) fn connect_one(&mut self) -> Result<(), String> {
        let index = self.rng.below(self.seats.len());
        let capacity = *self.rng.pick(&[SOCKET_BYTES, 1_000, 100]).unwrap_or(&100);
        self.connect(index, capacity);
        Ok(())
    }

    pub(super) fn connect(&mut self, index: usize, capacity: usize) {
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

    pub(super) fn open(&mut self, capacity: usize, access: Access) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.report.connections += 1;
        self.links.insert(id, Link::new(capacity));
        self.server.accept(id, access, self.queue_bytes_max);
        id
    }

    pub(super) fn say(&mut self, id: SessionId, messages: &[Message]) {
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

    pub(super) fn deliver(&mut self, way: Way) -> Result<(), String> {
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

    pub(super) fn deliver_to(
        &mut self,
        id: SessionId,
        way: Way,
        most: usize,
    ) -> Result<(), String> {
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

    pub(super) fn read_by_client(&mut self, id: SessionId, bytes: &[u8]) -> Result<(), String> {
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
    pub(super) fn hang_up(&mut self, index: usize) {
        if let Some(seat) = self.seats.get_mut(index)
            && let Some(id) = seat.link.take()
        {
            seat.client.disconnect();
            if let Some(link) = self.links.get_mut(&id) {
                link.up.close();
            }
        }
    }

    pub(super) fn cut_one(&mut self) -> Result<(), String> {
        if let Some(id) = self.any_link()
            && let Some(link) = self.links.get_mut(&id)
        {
            let (up, down) = (link.up.len(), link.down.len());
            link.cut(self.rng.below(up + 1), self.rng.below(down + 1));
        }
        Ok(())
    }

    /// One end of a broken connection finds out.
    pub(super) fn notice_one(&mut self) -> Result<(), String> {
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

    pub(super) fn server_notices(&mut self, id: SessionId) {
        if self.links.get(&id).is_none_or(|link| link.up.is_over()) {
            self.server.lost(id);
            if let Some(link) = self.links.get_mut(&id) {
                link.down.close();
            }
        }
    }

    pub(super) fn client_notices(&mut self, id: SessionId) {
        let over = self.links.get(&id).is_none_or(|link| link.down.is_over());
        if let Some(index) = self.seats.iter().position(|seat| seat.link == Some(id))
            && over
        {
            self.hang_up(index);
        }
    }

    pub(super) fn partition_one(&mut self) -> Result<(), String> {
        if let Some(id) = self.any_link()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.partitioned = !link.partitioned && !link.up.is_cut();
        }
        Ok(())
    }

    pub(super) fn change_speed(&mut self) -> Result<(), String> {
        let capacity = *self.rng.pick(&[SOCKET_BYTES, 300, 40]).unwrap_or(&40);
        if let Some(id) = self.any_link()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.down.set_capacity(capacity);
        }
        Ok(())
    }

    pub(super) fn any_link(&mut self) -> Option<SessionId> {
        let all: Vec<SessionId> = self.links.keys().copied().collect();
        self.rng.pick(&all).copied()
    }
}
