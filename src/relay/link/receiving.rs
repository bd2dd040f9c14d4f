//! The receiving half of a [`Link`]: batches from their parts, taken one after the other, each answered in its turn.

use bytes::{Bytes, BytesMut};
use mapweave_proto::{DocId, MapName, Seq};
use mapweave_storage::Known;

use super::super::batch::PACKED_BYTES_MAX;
use super::super::message::{Begin, Content, MapState, Message, Outcome, PART_BYTES};
use super::{
    Into, Link, LinkError, MAPS_MAX, THEIR_LOGS_MAX, Task, There, VERIFYING_MAX, WINDOW_BATCHES,
    WINDOW_BYTES,
};

/// A map of the other end.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) name: MapName,
    pub(super) state: MapState,
    pub(super) known: Known,
    /// The map here that it goes into.
    pub(super) into: Option<Into>,
    /// What was last answered; 0 for nothing.
    pub(super) round: u64,
    /// Why nothing is taken now.
    pub(super) waits: Option<String>,
    /// A batch of this round was not taken: those behind it are passed over.
    pub(super) failed: bool,
    /// The other end's log is here up to this place.
    taken: Seq,
    /// Records that are still to come, as the other end said last.
    pub(super) left: u64,
    verify: Verify,
}

/// Whether all that the other end's document says is in the one here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verify {
    No,
    /// Its answer is on its way.
    Asked,
    /// It holds what the other end's log says up to a place that is not here yet.
    Early {
        upto: Seq,
        packed: Bytes,
        hash: [u8; 16],
    },
    Done,
}

/// A batch of which parts are missing.
#[derive(Debug)]
pub(super) struct Receiving {
    begin: Begin,
    bytes: BytesMut,
    /// Whether parts may come: a large batch waits for what is here of it.
    open: bool,
}

/// A whole batch.
#[derive(Debug)]
pub(super) struct Arrived {
    begin: Begin,
    bytes: Bytes,
}

/// A batch that is being taken in.
#[derive(Debug)]
pub(super) struct Taking {
    number: u64,
    theirs: DocId,
    content: Content,
    round: u64,
    upto: Seq,
}

impl Theirs {
    pub(super) fn new(name: MapName, state: MapState, known: Known) -> Self {
        Self {
            name,
            state,
            known,
            into: None,
            round: 0,
            waits: None,
            failed: false,
            taken: Seq::ZERO,
            left: 0,
            verify: Verify::No,
        }
    }

    /// Its name and why it waits, if it does.
    pub(super) fn waits(&self) -> Option<(MapName, String)> {
        Some((self.name.clone(), self.waits.clone()?))
    }
}

impl Link {
    /// The other end has a map.
    pub(super) fn offered(
        &mut self,
        doc: DocId,
        name: MapName,
        state: MapState,
        known: Known,
    ) -> Result<(), LinkError> {
        self.suspect(&known);
        let full = self.theirs.len() >= MAPS_MAX;
        let before = self.theirs.get(&doc).map_or(0, |t| t.known.len());
        self.their_logs = self.their_logs + known.len() - before;
        if self.their_logs > THEIR_LOGS_MAX {
            return Err(LinkError::Protocol("its maps name more logs than they may"));
        }
        match self.theirs.get_mut(&doc) {
            Some(theirs) => (theirs.name, theirs.state, theirs.known) = (name, state, known),
            None if full => {
                return Err(LinkError::Protocol("it offers more maps than one may have"));
            }
            None => {
                self.theirs.insert(doc, Theirs::new(name, state, known));
            }
        }
        if self.listed_there {
            self.answer(doc);
            // A name may be free now that another map waits for.
            self.answer_waiting();
        }
        Ok(())
    }

    pub(super) fn begun(&mut self, begin: Begin) -> Result<(), LinkError> {
        self.level_heard = false;
        if self.receiving.is_some() {
            return Err(LinkError::Protocol("a batch begins inside another"));
        }
        self.received_batches += 1;
        if begin.number != self.received_batches {
            return Err(LinkError::Protocol("its batches are not counted"));
        }
        let full = self.arrived.len() > WINDOW_BATCHES || self.arrived_bytes > WINDOW_BYTES;
        if full || begin.bytes == 0 || begin.bytes > PACKED_BYTES_MAX as u64 {
            return Err(LinkError::Protocol("it sends more than it may"));
        }
        if let Some(theirs) = self.theirs.get_mut(&begin.doc) {
            theirs.left = begin.left;
        }
        let open = begin.bytes <= PART_BYTES as u64;
        if !open {
            self.tasks.push_back(Task::Resume {
                number: begin.number,
                hash: begin.hash,
            });
        }
        self.receiving = Some(Receiving {
            begin,
            bytes: BytesMut::new(),
            open,
        });
        Ok(())
    }

    /// What [`Task::Resume`] found of batch `number`.
    pub fn resumed(&mut self, number: u64, bytes: BytesMut) {
        let receiving = self.receiving.as_mut();
        let Some(receiving) = receiving.filter(|r| r.begin.number == number && !r.open) else {
            return;
        };
        receiving.open = true;
        if bytes.len() as u64 <= receiving.begin.bytes {
            receiving.bytes = bytes;
        }
        let offset = receiving.bytes.len() as u64;
        self.out.push_back(Message::Resume { number, offset });
        self.arrive();
    }

    pub(super) fn part(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let receiving = self.receiving.as_mut().filter(|receiving| receiving.open);
        let receiving = receiving.ok_or(LinkError::Protocol("a part of no batch"))?;
        receiving.bytes.extend_from_slice(bytes);
        if receiving.bytes.len() as u64 > receiving.begin.bytes {
            return Err(LinkError::Protocol("a batch is longer than it says"));
        }
        self.arrive();
        Ok(())
    }

    /// The name and the bytes so far of a large batch that broke off.
    pub fn broken_off(&mut self) -> Option<([u8; 16], BytesMut)> {
        let receiving = self.receiving.take()?;
        let large = receiving.begin.bytes > PART_BYTES as u64 && !receiving.bytes.is_empty();
        large.then_some((receiving.begin.hash, receiving.bytes))
    }

    fn arrive(&mut self) {
        let whole = |r: &mut Receiving| r.open && r.bytes.len() as u64 == r.begin.bytes;
        if let Some(Receiving { begin, bytes, .. }) = self.receiving.take_if(whole) {
            self.arrived_bytes += bytes.len();
            let bytes = bytes.freeze();
            self.arrived.push_back(Arrived { begin, bytes });
        }
    }

    /// The next batch to take in; answers those that are not.
    pub(super) fn next_take(&mut self) -> Option<Task> {
        while self.taking.is_none() {
            let Arrived { begin, bytes } = self.arrived.pop_front()?;
            self.arrived_bytes = self.arrived_bytes.saturating_sub(bytes.len());
            let outcome = match begin.content {
                Content::Records => match self.take(&begin, bytes) {
                    Some(task) => return Some(task),
                    None => Outcome::Passed,
                },
                Content::State => {
                    self.keep_state(&begin, bytes);
                    Outcome::Taken
                }
            };
            let number = begin.number;
            self.out.push_back(Message::Done { number, outcome });
            if let Some(task) = self.tasks.pop_front() {
                return Some(task);
            }
        }
        None
    }

    fn take(&mut self, begin: &Begin, packed: Bytes) -> Option<Task> {
        let theirs = self.theirs.get(&begin.doc)?;
        let into = theirs.into.clone();
        let into = into.filter(|_| theirs.round == begin.round && !theirs.failed)?;
        if let Some(local) = self.local.get_mut(&into.doc)
            && let There::Holds { known, .. } = &mut local.there
        {
            // Whoever sends a record has it.
            known.join(&begin.reach);
        }
        self.taking = Some(Taking {
            number: begin.number,
            theirs: begin.doc,
            content: Content::Records,
            round: begin.round,
            upto: begin.upto,
        });
        Some(Task::Take {
            number: begin.number,
            content: Content::Records,
            into,
            packed,
            hash: begin.hash,
        })
    }

    /// What [`Task::Take`] came to.
    pub fn taken(&mut self, outcome: Outcome) {
        let Some(Taking {
            number,
            theirs: doc,
            content,
            round,
            upto,
        }) = self.taking.take()
        else {
            return;
        };
        if content == Content::State {
            return;
        }
        if let Some(theirs) = self.theirs.get_mut(&doc).filter(|t| t.round == round) {
            match &outcome {
                Outcome::Taken => theirs.taken = theirs.taken.max(upto),
                Outcome::Passed => theirs.failed = true,
                Outcome::Refused(why) => {
                    (theirs.failed, theirs.waits) = (true, Some(why.clone()));
                }
            }
        }
        let passed = outcome == Outcome::Passed;
        self.out.push_back(Message::Done { number, outcome });
        if passed {
            // The map here is not what it was: perhaps it goes into another.
            self.answer(doc);
        }
        self.take_state(doc);
    }

    /// The other end has sent all of a map.
    pub(super) fn all_is_here(&mut self, doc: DocId, upto: Seq) {
        let Some(theirs) = self.theirs.get_mut(&doc) else {
            return;
        };
        if theirs.failed {
            return;
        }
        theirs.taken = theirs.taken.max(upto);
        theirs.left = 0;
        if let Some(into) = &theirs.into
            && theirs.verify == Verify::No
        {
            theirs.verify = Verify::Asked;
            self.to_verify.push_back((doc, into.doc));
        }
        self.take_state(doc);
    }

    /// The next map to look into, if there are not too many.
    pub(super) fn next_verify(&mut self) -> Option<Task> {
        if self.verifying >= VERIFYING_MAX {
            return None;
        }
        let (theirs, here) = self.to_verify.pop_front()?;
        self.verifying += 1;
        Some(Task::Verify { theirs, here })
    }

    /// What [`Task::Verify`] of the other end's map came to: the state vector here; `None` where there is no need.
    pub fn vector(&mut self, theirs: DocId, vector: Option<Bytes>) {
        match (self.theirs.get_mut(&theirs), vector) {
            (Some(_), Some(vector)) => self.out.push_back(Message::Ask {
                doc: theirs,
                vector,
            }),
            (Some(theirs), None) => {
                theirs.verify = Verify::Done;
                self.verifying = self.verifying.saturating_sub(1);
            }
            (None, _) => {}
        }
    }

    /// The other end's document, beyond ours: nothing must be taken from it that its log will bring under its true
    /// origin, so it waits for the log.
    fn keep_state(&mut self, begin: &Begin, packed: Bytes) {
        if let Some(theirs) = self.theirs.get_mut(&begin.doc)
            && theirs.verify == Verify::Asked
        {
            self.verifying = self.verifying.saturating_sub(1);
            let (upto, hash) = (begin.upto, begin.hash);
            theirs.verify = Verify::Early { upto, packed, hash };
        }
        self.take_state(begin.doc);
    }

    fn take_state(&mut self, doc: DocId) {
        if self.taking.is_some() {
            return;
        }
        let Some(theirs) = self.theirs.get_mut(&doc) else {
            return;
        };
        let Some(into) = theirs.into.clone() else {
            return;
        };
        match &theirs.verify {
            Verify::Early { upto, packed, hash } if *upto <= theirs.taken => {
                let (packed, hash) = (packed.clone(), *hash);
                theirs.verify = Verify::Done;
                self.taking = Some(Taking {
                    number: 0,
                    theirs: doc,
                    content: Content::State,
                    round: 0,
                    upto: Seq::ZERO,
                });
                self.tasks.push_back(Task::Take {
                    number: 0,
                    content: Content::State,
                    into,
                    packed,
                    hash,
                });
            }
            _ => {}
        }
    }

    /// Whether all that came is taken and looked into.
    pub(super) fn has_taken_all(&self) -> bool {
        let open = |v: &Verify| matches!(v, Verify::Asked | Verify::Early { .. });
        self.arrived.is_empty()
            && self.taking.is_none()
            && !self.theirs.values().any(|theirs| open(&theirs.verify))
    }
}
