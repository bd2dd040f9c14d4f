//! What is asked of a room, and the answers that need no more than a look.

use mapweave_proto::{Seq, StateVector};

use super::{Reply, Room, off_the_others};
use crate::room::actor::{Request, RequestError, StateAnswer};
use crate::room::container::Summary;
use crate::room::core::{Effects, Input, Sender, Ticket};
use crate::room::gathering::MessageFrom;
use crate::room::listening::Beginning;
use crate::room::summary::summarize;

impl Room {
    pub(super) fn request(&mut self, now_ms: u64, request: Request, fx: &mut Effects) {
        let input = match request {
            Request::Join {
                session,
                peer,
                origin,
                access,
            } => {
                self.peers.insert(session, peer);
                Input::Join {
                    session,
                    origin,
                    access,
                }
            }
            Request::Permit {
                session,
                origin,
                access,
            } => Input::Permit {
                session,
                origin,
                access,
            },
            Request::Leave(session) => {
                self.peers.remove(&session);
                Input::Leave(session)
            }
            Request::Heard(session, said) => Input::Heard(session, said),
            Request::Shows(session, all) => Input::Shows(session, all),
            Request::HearNotices(session) => Input::HearNotices(session),
            Request::Synced(session) => Input::Synced(session),
            Request::People { reply } => {
                let _ = reply.send(Ok(self.core.gathering()));
                return;
            }
            Request::Message {
                to,
                from,
                text,
                reply,
            } => {
                let reached = self.core.message(&to, &self.sender(from), &text, fx);
                let _ = reply.send(Ok(reached));
                return;
            }
            Request::WantsDifference(session) => Input::WantsDifference(session),
            Request::Submit {
                update,
                origin,
                access,
                reply,
            } => Input::Submit {
                ticket: self.ticket(reply),
                update,
                origin,
                access,
            },
            Request::Author {
                writing,
                origin,
                told,
                reply,
            } => {
                self.told.push(told);
                Input::Author {
                    ticket: self.ticket(reply),
                    writing,
                    origin,
                }
            }
            Request::Decide {
                seq,
                decision,
                origin,
                reply,
            } => Input::Decide {
                ticket: self.ticket(reply),
                seq,
                decision,
                origin,
            },
            Request::Quarantine { reply } => {
                // Whoever asked may be gone.
                let _ = reply.send(Ok(self.core.replica().quarantine().kept().to_vec()));
                return;
            }
            Request::Settle { reply } => Input::Settle {
                ticket: self.ticket(reply),
            },
            Request::Follow { reply } => return self.follow(reply),
            Request::Waiting { reply } => {
                let beginning = Beginning {
                    seq: self.core.positions().0,
                    waiting: self.core.replica().held().cloned().collect(),
                };
                let _ = reply.send(Ok(beginning));
                return;
            }
            Request::Relay { records, reply } => {
                let exchange = self.store.exchange(self.doc);
                Input::Relay {
                    ticket: self.ticket(reply),
                    records,
                    durable: exchange.map(|exchange| exchange.known).unwrap_or_default(),
                }
            }
            Request::Create { origin, reply } => Input::Create {
                ticket: self.ticket(reply),
                origin,
            },
            Request::State { have, reply } => return self.readers.push_back((have, reply)),
            Request::Ledger { reply } => {
                let ledger = self.core.replica().ledger();
                let _ = reply.send(Ok(off_the_others(self.snapshot.size, || ledger.clone())));
                return;
            }
            Request::Summary { reply } => return self.answer_summary(reply),
            Request::Snapshot { reply } => {
                self.snapshot.replies.push(reply);
                return self.take_snapshot();
            }
        };
        self.core.handle(now_ms, input, fx);
    }

    /// Somebody who sends a message over HTTP is who they are by their token, and who they show themselves to be on
    /// the connection that they name.
    pub(super) fn sender(&self, from: MessageFrom) -> Sender {
        let MessageFrom {
            user,
            name,
            session,
        } = from;
        let shown = session.map(|session| self.core.sender(session));
        let Sender {
            client, name: own, ..
        } = shown.unwrap_or_default();
        Sender {
            client,
            name: if own.is_empty() { name } else { own },
            user,
        }
    }

    pub(super) fn ticket(&mut self, reply: Reply<Seq>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.replies.insert(ticket, reply);
        ticket
    }

    pub(super) fn answer_state(
        &mut self,
        have: &StateVector,
        reply: Reply<StateAnswer>,
        fx: &mut Effects,
    ) {
        let (seq, _) = self.core.positions();
        let core = &mut self.core;
        let state = off_the_others(self.snapshot.size, || core.state_beyond(have, fx));
        if let Some(update) = state {
            self.states.push_back((StateAnswer { update, seq }, reply));
            return self.tell_durable_states();
        }
        // A reader who is gone needs no answer, here and below.
        let _ = reply.send(Err(RequestError::Unavailable {
            why: "the document cannot be encoded".to_owned(),
        }));
    }

    /// A reader may rely on what an answer says is at its place: it waits until that is durable.
    pub(super) fn tell_durable_states(&mut self) {
        let (_, durable) = self.core.positions();
        let settled = |(state, _): &mut (StateAnswer, _)| state.seq <= durable;
        while let Some((state, reply)) = self.states.pop_front_if(settled) {
            let _ = reply.send(Ok(state));
        }
    }

    pub(super) fn answer_summary(&self, reply: Reply<Summary>) {
        let doc = self.core.replica().doc();
        let _ = reply.send(Ok(off_the_others(self.snapshot.size, || summarize(doc))));
    }
}
