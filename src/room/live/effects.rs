//! What follows from a turn, carried out: the log, the connections and whoever waits for an answer get theirs.

use super::{End, Room};
use crate::room::actor::RequestError;
use crate::room::core::{Broadcast, Effects, ForOutside};
use crate::room::people::PeopleNews;

impl Room {
    pub(super) fn carry_out(&mut self, fx: Effects) -> Result<(), End> {
        self.appending.push(fx.append);
        for (session, message) in &fx.send {
            if let Some(peer) = self.peers.get(session) {
                peer.send(message);
            }
        }
        for broadcast in &fx.broadcast {
            self.broadcast(broadcast);
        }
        for (session, number, refusal) in fx.refused {
            if let Some(peer) = self.peers.get(&session) {
                metrics::counter!("mapweave_updates_refused_total").increment(1);
                peer.refused(number, refusal);
            }
        }
        if fx.quarantined > 0 {
            metrics::counter!("mapweave_updates_quarantined_total").increment(fx.quarantined);
        }
        if fx.expired > 0 {
            metrics::counter!("mapweave_held_expired_total").increment(fx.expired);
        }
        if fx.presence_gave_way > 0 {
            metrics::counter!("mapweave_presence_gave_way_total").increment(fx.presence_gave_way);
        }
        for (session, bytes) in fx.answered {
            if let Some(peer) = self.peers.get(&session) {
                peer.answered(bytes);
            }
        }
        for (session, upto) in fx.settled {
            if let Some(peer) = self.peers.get(&session) {
                peer.settled(upto);
            }
        }
        self.tell_outside(fx.people.as_ref(), &fx.outside);
        for (ticket, answer) in fx.replies {
            if let Some(reply) = self.replies.remove(&ticket) {
                let _ = reply.send(answer.map_err(RequestError::Refused));
            }
        }
        fx.broken.map_or(Ok(()), |why| Err(End::Broken(why)))
    }

    /// Tells whoever runs the server, where somebody listens there.
    pub(super) fn tell_outside(&self, people: Option<&PeopleNews>, messages: &[ForOutside]) {
        let observer = self.observer.as_ref();
        if let (Some(observer), Some(news)) = (observer, people) {
            observer.people(&self.name, news);
        }
        for message in messages {
            let ForOutside { from, text, .. } = message;
            let taken = observer.is_some_and(|o| o.message(&self.name, from, text));
            if let (Some(peer), Some(answer)) =
                (self.peers.get(&message.session), message.answer(taken))
            {
                peer.send(&answer);
            }
        }
    }

    pub(super) fn broadcast(&self, broadcast: &Broadcast) {
        for (session, peer) in &self.peers {
            let is_meant = self.core.hears(*session, broadcast.audience);
            if is_meant && broadcast.except != Some(*session) {
                peer.send(&broadcast.message);
            }
        }
    }
}
