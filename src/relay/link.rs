//! One connection between two stores as a state machine: what is said and heard, what has to be read and taken.
//!
//! Both ends run the same machine. Each offers its maps; the other answers what it holds of each and is sent the rest, in
//! the order of the sender's log, batch by batch. A batch counts once the other end says that it is durable there, and
//! only so much is under way before that. Whatever breaks off is begun again from what both hold.
//!
//! Knows no socket, task, clock or disk: the caller hands in what was heard ([`Link::hear`]) and what happened here, sends
//! what [`Link::next_message`] gives and does what [`Link::next_task`] asks. Start at [`Link`].

mod pairing;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{DocId, MapName, Seq};
use mapweave_storage::{Identity, Known, LogId};

use super::message::{Content, MapState, Message, MessageError, VERSION};
use receiving::{Arrived, Receiving, Taking, Theirs};
pub use sending::ReadRecords;
use sending::{Flight, Sending};

/// Bytes of batches that may be under way and not yet durable at the other end; the last of them may reach over it.
pub const WINDOW_BYTES: usize = 2 << 20;

/// Batches that may be under way.
pub const WINDOW_BATCHES: usize = 64;

/// Most maps of the other end.
pub const MAPS_MAX: usize = 100_000;

/// Messages that wait to be sent, beyond which nothing more is read.
pub const OUT_MAX: usize = 1_024;

/// Most logs that all maps of the other end name together.
pub const THEIR_LOGS_MAX: usize = 1 << 20;

/// Maps that are looked into at once …
const VERIFYING_MAX: usize = 8;

/// … and states that are asked for and not yet sent.
const ASKED_MAX: usize = 64;

/// Says which maps may pass over a connection.
pub type Allow = Arc<dyn Fn(&MapName) -> bool + Send + Sync>;

/// How far each map had come when an earlier connection to the same store ended: the place up to which it had taken our
/// log, and what it held then.
pub type Progress = BTreeMap<DocId, (Seq, Known)>;

/// A map of this store, as durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMap {
    /// Its id.
    pub doc: DocId,
    /// Its name.
    pub name: MapName,
    /// Whether it is there.
    pub state: MapState,
    /// Last record of its log. What is held may reach beyond it, never the other way round.
    pub last: Seq,
    /// What its log holds.
    pub known: Known,
}

/// A map of this store that records of another go into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Into {
    /// Its id; that of the other end where there is none yet.
    pub doc: DocId,
    /// The name to make it under.
    pub name: MapName,
}

/// What the caller has to do; each is answered by the method named with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Read records `from ..= upto` of a map, without those in `skip`: [`Link::read`].
    Read {
        /// The map.
        doc: DocId,
        /// First record.
        from: Seq,
        /// Last record.
        upto: Seq,
        /// What the other end holds.
        skip: Known,
    },
    /// Look for a part of this batch from an earlier connection: [`Link::resumed`].
    Resume {
        /// Number of the batch.
        number: u64,
        /// Its name.
        hash: [u8; 16],
    },
    /// Take in a batch: [`Link::taken`].
    Take {
        /// Number of the batch; 0 for one that was answered.
        number: u64,
        /// What it holds.
        content: Content,
        /// The map that it goes into.
        into: Into,
        /// Its bytes, packed.
        packed: Bytes,
        /// First bytes of their BLAKE3.
        hash: [u8; 16],
    },
    /// The other end says that all it has of its map `theirs` is here. Where that was not looked into since this
    /// process began, tell the state vector of `here`: [`Link::vector`].
    Verify {
        /// The map's id at the other end.
        theirs: DocId,
        /// Its id here.
        here: DocId,
    },
    /// Encode what a document holds beyond a state vector: [`Link::state`].
    State {
        /// The map.
        doc: DocId,
        /// What the other end has.
        vector: Bytes,
    },
    /// The other end holds record `seq` of a log of this very life of this store. If that is not there, this store was
    /// restored from older data: begin a new life and connect anew.
    Suspect {
        /// The log.
        log: LogId,
        /// The record.
        seq: Seq,
    },
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// What came is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A message at the wrong time, or beyond a bound.
    #[error("the other end breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The other end is of another version.
    #[error(
        "the other end speaks version {theirs} of the relay protocol and this one {VERSION}: update the older of the two"
    )]
    Version {
        /// Its version.
        theirs: u64,
    },
    /// Both ends are one store.
    #[error(
        "both ends are the same store: a copied data folder is the same store; remove the file IDENTITY and the folder journal's copy, or copy maps instead"
    )]
    SameStore,
}

/// How a connection stands, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Maps that both ends exchange.
    pub maps: usize,
    /// Records of this end that the other has not taken yet, about.
    pub behind_out: u64,
    /// Records of the other end that are still to come, about.
    pub behind_in: u64,
    /// Whether both ends say that they have sent everything.
    pub level: bool,
    /// Maps that wait, and why.
    pub waiting: Vec<(MapName, String)>,
}

/// One connection between two stores.
pub struct Link {
    me: Identity,
    peer: Option<Identity>,
    allow: Allow,
    progress: Progress,
    local: BTreeMap<DocId, Local>,
    theirs: BTreeMap<DocId, Theirs>,
    out: VecDeque<Message>,
    tasks: VecDeque<Task>,
    /// Maps that may have something to send, in turn.
    turn: VecDeque<DocId>,
    reading: Option<(DocId, u64)>,
    sending: Option<Sending>,
    flights: VecDeque<Flight>,
    flight_bytes: usize,
    sent_batches: u64,
    states: VecDeque<(DocId, Seq, Bytes)>,
    /// Maps of the other end to be looked into, with those here; and how many are being looked into.
    to_verify: VecDeque<(DocId, DocId)>,
    verifying: usize,
    /// States that are being encoded for the other end.
    encoding: usize,
    /// Logs named in all offers.
    their_logs: usize,
    receiving: Option<Receiving>,
    received_batches: u64,
    arrived: VecDeque<Arrived>,
    arrived_bytes: usize,
    taking: Option<Taking>,
    listed_here: bool,
    listed_there: bool,
    level_said: bool,
    level_heard: bool,
}

/// A map of this store and what the other end has of it.
#[derive(Debug)]
struct Local {
    map: LocalMap,
    /// What was last said of it.
    offered: Option<(MapName, MapState)>,
    there: There,
    /// Sent up to here.
    cursor: Seq,
    /// Taken there up to here.
    taken: Seq,
    /// What was last said to be all.
    reached: Option<Seq>,
    /// Whether it waits in [`Link::turn`].
    queued: bool,
}

/// What the other end does with a map of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
enum There {
    Unanswered,
    Holds { round: u64, known: Known },
    Waits(String),
}

impl Link {
    /// A connection of store `me` that maps pass over which `allow` names. Its greeting waits to be sent.
    pub fn new(me: Identity, allow: Allow) -> Self {
        let hello = Message::Hello {
            version: VERSION,
            store: me.store,
            epoch: me.epoch,
        };
        Self {
            me,
            peer: None,
            allow,
            progress: Progress::new(),
            local: BTreeMap::new(),
            theirs: BTreeMap::new(),
            out: VecDeque::from([hello]),
            tasks: VecDeque::new(),
            turn: VecDeque::new(),
            reading: None,
            sending: None,
            flights: VecDeque::new(),
            flight_bytes: 0,
            sent_batches: 0,
            states: VecDeque::new(),
            to_verify: VecDeque::new(),
            verifying: 0,
            encoding: 0,
            their_logs: 0,
            receiving: None,
            received_batches: 0,
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            taking: None,
            listed_here: false,
            listed_there: false,
            level_said: false,
            level_heard: false,
        }
    }

    /// Who is at the other end, once it has said so.
    pub fn peer(&self) -> Option<Identity> {
        self.peer
    }

    /// How far earlier connections to the same store had come: saves reading logs from their beginning.
    pub fn remember(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// How far this connection has come, for the next one.
    pub fn progress(&self) -> Progress {
        let holding = self.local.iter().filter_map(|(doc, local)| {
            let There::Holds { known, .. } = &local.there else {
                return None;
            };
            Some((*doc, (local.taken, known.clone())))
        });
        holding.collect()
    }

    /// A map of this store is new or has changed. Maps that may not pass are passed over.
    pub fn map(&mut self, map: LocalMap) {
        if !(self.allow)(&map.name) {
            return;
        }
        let doc = map.doc;
        let local = self.local.entry(doc).or_insert_with(|| Local {
            map: map.clone(),
            offered: None,
            there: There::Unanswered,
            cursor: Seq::ZERO,
            taken: Seq::ZERO,
            reached: None,
            queued: false,
        });
        local.map = map;
        let LocalMap {
            name, state, known, ..
        } = &local.map;
        let now = (name.clone(), *state);
        if local.offered.as_ref() != Some(&now) {
            self.out.push_back(Message::Offer {
                doc,
                name: name.clone(),
                state: *state,
                known: known.clone(),
            });
            local.offered = Some(now);
            self.level_said = false;
        }
        self.queue(doc);
        self.answer_again(doc);
    }

    /// All maps that were here at the beginning were handed in.
    pub fn listed(&mut self) {
        if !self.listed_here {
            self.listed_here = true;
            self.out.push_back(Message::Listed);
        }
    }

    /// Takes in a message of the other end.
    ///
    /// # Errors
    /// The connection is beyond use.
    pub fn hear(&mut self, message: Message) -> Result<(), LinkError> {
        if let Message::Hello {
            version,
            store,
            epoch,
        } = message
        {
            return self.greet(version, Identity { store, epoch });
        }
        if self.peer.is_none() {
            return Err(LinkError::Protocol("it does not say who it is"));
        }
        match message {
            Message::Hello { .. } => Ok(()),
            Message::Offer {
                doc,
                name,
                state,
                known,
            } => self.offered(doc, name, state, known),
            Message::Listed => {
                self.listed_there = true;
                self.answer_all();
                Ok(())
            }
            Message::Have { doc, round, known } => {
                self.suspect(&known);
                self.there_is(doc, round, known);
                Ok(())
            }
            Message::Wait { doc, why } => {
                if let Some(local) = self.local.get_mut(&doc) {
                    local.there = There::Waits(why);
                }
                Ok(())
            }
            Message::Begin(begin) => self.begun(begin),
            Message::Part(bytes) => self.part(&bytes),
            Message::Resume { number, offset } => self.go_on(number, offset),
            Message::Done { number, outcome } => self.done(number, outcome),
            Message::Reached { doc, upto } => {
                self.all_is_here(doc, upto);
                Ok(())
            }
            Message::Ask { doc, vector } => {
                let asked = |task: &&Task| matches!(task, Task::State { .. });
                let waiting = self.tasks.iter().filter(asked).count();
                if waiting + self.encoding + self.states.len() >= ASKED_MAX {
                    return Err(LinkError::Protocol("it asks for more states than it may"));
                }
                if self.local.contains_key(&doc) {
                    self.tasks.push_back(Task::State { doc, vector });
                }
                Ok(())
            }
            Message::Level => {
                self.level_heard = true;
                Ok(())
            }
        }
    }

    /// The next message to send, if there is one now.
    pub fn next_message(&mut self) -> Option<Message> {
        if let Some(message) = self.out.pop_front() {
            return Some(message);
        }
        if let Some(part) = self.next_part() {
            return Some(part);
        }
        if self.begin_state() {
            return self.out.pop_front();
        }
        if !self.level_said && self.has_sent_all() {
            self.level_said = true;
            return Some(Message::Level);
        }
        None
    }

    /// The next thing to do, if there is one now. Several may be under way, of each kind one.
    pub fn next_task(&mut self) -> Option<Task> {
        if let Some(task) = self.tasks.pop_front() {
            self.encoding += usize::from(matches!(task, Task::State { .. }));
            return Some(task);
        }
        self.next_take()
            .or_else(|| self.next_verify())
            .or_else(|| self.next_read())
    }

    /// Whether more should be read from the other end: it takes what is said to it.
    pub fn listens(&self) -> bool {
        self.out.len() < OUT_MAX
    }

    /// Whether both ends have sent everything and taken it.
    pub fn is_level(&self) -> bool {
        self.level_said && self.level_heard && self.receiving.is_none() && self.has_taken_all()
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let waiting = self
            .local
            .values()
            .filter_map(|local| match &local.there {
                There::Waits(why) => Some((local.map.name.clone(), why.clone())),
                _ => None,
            })
            .chain(self.theirs.values().filter_map(Theirs::waits));
        let unsent = |local: &Local| match local.there {
            There::Waits(_) => 0,
            _ => local.map.last.0.saturating_sub(local.taken.0),
        };
        let behind_in = self.theirs.values().map(|theirs| theirs.left).max();
        // A map is exchanged as soon as one end has said what it holds of the other's.
        let held_there = |(doc, local): (&DocId, &Local)| {
            matches!(local.there, There::Holds { .. }).then_some(*doc)
        };
        let exchanged: BTreeSet<DocId> = self
            .local
            .iter()
            .filter_map(held_there)
            .chain(
                self.theirs
                    .values()
                    .filter_map(|theirs| Some(theirs.into.as_ref()?.doc)),
            )
            .collect();
        Standing {
            maps: exchanged.len(),
            behind_out: self.local.values().map(unsent).sum(),
            behind_in: behind_in.unwrap_or(0),
            level: self.is_level(),
            waiting: waiting.collect(),
        }
    }

    fn greet(&mut self, version: u64, peer: Identity) -> Result<(), LinkError> {
        if version != VERSION {
            return Err(LinkError::Version { theirs: version });
        }
        if peer.store == self.me.store {
            return Err(LinkError::SameStore);
        }
        if self.peer.replace(peer).is_some() {
            return Err(LinkError::Protocol("it says twice who it is"));
        }
        Ok(())
    }

    /// Looks for records of this life that the other end holds and that are not known here.
    fn suspect(&mut self, known: &Known) {
        let Identity { store, epoch } = self.me;
        for (log, seq) in known.iter() {
            let here = self.local.get(&log.doc);
            let held = here.map_or(Seq::ZERO, |local| local.map.known.upto(&log));
            if log.store == store && log.epoch == epoch && held < seq {
                self.tasks.push_back(Task::Suspect { log, seq });
                return;
            }
        }
    }
}
