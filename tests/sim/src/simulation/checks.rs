//! What must hold: what was acknowledged is there, all have the same, nobody is a ghost.

use super::{AUTHOR_ID, Simulation};
use crate::client::token_number;
use crate::content::{Content, clocks_of, deletes_of, joined};
use bytes::Bytes;
use mapweave::room::Replica;
use mapweave_proto::{Access, ClientId, Scanned, scan};
use std::collections::{BTreeMap, BTreeSet};

impl Simulation {
    // What must hold.

    /// Every edit that an acknowledgement speaks of is in the durable records.
    pub(super) fn check_acknowledged(&mut self) -> Result<(), String> {
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
    pub(super) fn check_restart(&mut self) -> Result<(), String> {
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

    pub(super) fn check_all(&mut self) -> Result<(), String> {
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

    pub(super) fn check_content(&mut self) -> Result<(), String> {
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
    pub(super) fn check_ghosts(&self) -> Result<(), String> {
        let here: BTreeSet<ClientId> = self.seats.iter().map(|seat| seat.client.id()).collect();
        for (index, seat) in self.seats.iter().enumerate() {
            if let Some(ghost) = seat.client.states().keys().find(|id| !here.contains(id)) {
                return Err(format!("client {index} sees {ghost:?}, who has left"));
            }
        }
        Ok(())
    }

    pub(super) fn check_presence(&self) -> Result<(), String> {
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
    pub(super) fn check_spare_reconnect(&mut self) -> Result<(), String> {
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
    pub(super) fn check_departure(&mut self) -> Result<(), String> {
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
