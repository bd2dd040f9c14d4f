//! The sending half of a [`Link`]: maps in turn, a window of batches under way, large ones in parts.

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};
use mapweave_storage::Known;

use super::super::batch::Packed;
use super::super::message::{Begin, Content, Message, Outcome, PART_BYTES};
use super::{Link, LinkError, Local, Task, There, WINDOW_BATCHES, WINDOW_BYTES};

/// A batch whose parts are going out.
#[derive(Debug)]
pub(super) struct Sending {
    number: u64,
    bytes: Bytes,
    /// Sent up to here; `None` until the other end has said where to begin.
    offset: Option<usize>,
}

/// A batch that the other end has not answered.
#[derive(Debug)]
pub(super) struct Flight {
    number: u64,
    doc: DocId,
    content: Content,
    round: u64,
    upto: Seq,
    bytes: usize,
    reach: Known,
}

/// What was read of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecords {
    /// The last record that was looked at.
    pub upto: Seq,
    /// Those that the other end lacks; `None` where there is none.
    pub packed: Option<Packed>,
}

impl Link {
    /// What [`Task::Read`] of `doc` came to.
    pub fn read(&mut self, doc: DocId, records: ReadRecords) {
        let Some((_, round)) = self.reading.take_if(|(reading, _)| *reading == doc) else {
            return;
        };
        let left = self.left_behind(doc, records.upto);
        let Some(local) = self.local.get_mut(&doc) else {
            return;
        };
        // The other end may have said meanwhile that it wants something else.
        if !matches!(local.there, There::Holds { round: now, .. } if now == round) {
            return self.queue(doc);
        }
        local.cursor = local.cursor.max(records.upto);
        let upto = local.cursor;
        if let Some(packed) = records.packed {
            let begin = (Content::Records, round, upto, left);
            self.begin(doc, begin, packed.bytes, packed.reach);
        } else {
            self.say_reached(doc);
        }
        self.queue(doc);
    }

    /// [`Task::Read`] of `doc` failed: the map waits for another connection.
    pub fn unreadable(&mut self, doc: DocId, why: &str) {
        self.reading.take_if(|(reading, _)| *reading == doc);
        if let Some(local) = self.local.get_mut(&doc) {
            local.there = There::Waits(format!("it cannot be read here: {why}"));
        }
    }

    /// What [`Task::State`] of `doc` came to: packed, and the last record in it. `None` where nothing can be told.
    pub fn state(&mut self, doc: DocId, state: Option<(Seq, Bytes)>) {
        self.encoding = self.encoding.saturating_sub(1);
        if let Some((upto, packed)) = state {
            self.level_said = false;
            self.states.push_back((doc, upto, packed));
        }
    }

    /// The other end answers an offer.
    pub(super) fn there_is(&mut self, doc: DocId, round: u64, known: Known) {
        let Some(local) = self.local.get(&doc) else {
            return;
        };
        let from = self.start(local, &known);
        if let Some(local) = self.local.get_mut(&doc) {
            (local.cursor, local.taken, local.reached) = (from, from, None);
            local.there = There::Holds { round, known };
        }
        self.say_reached(doc);
        self.queue(doc);
    }

    /// From which record on the log has to be looked through for what the other end lacks.
    fn start(&self, local: &Local, there: &Known) -> Seq {
        let map = &local.map;
        if there.covers(&map.known) {
            return map.last;
        }
        if let Some((taken, held)) = self.progress.get(&map.doc)
            && *taken <= map.last
            && there.covers(held)
        {
            return *taken;
        }
        // Records of this store have their place here in their name.
        let mut lacking = map
            .known
            .iter()
            .filter(|(log, seq)| !there.holds(log, *seq));
        let own = |log: &mapweave_storage::LogId| log.store == self.me.store && log.doc == map.doc;
        let from = lacking.try_fold(map.last, |from, (log, _)| {
            own(&log).then(|| from.min(there.upto(&log)))
        });
        from.unwrap_or_default()
    }

    /// Puts a map in line if it may have something to send.
    pub(super) fn queue(&mut self, doc: DocId) {
        if let Some(local) = self.local.get_mut(&doc)
            && !local.queued
            && local.cursor < local.map.last
        {
            local.queued = true;
            self.level_said = false;
            self.turn.push_back(doc);
        }
    }

    /// The next log to read, if there is room under way.
    pub(super) fn next_read(&mut self) -> Option<Task> {
        let full = self.flight_bytes >= WINDOW_BYTES || self.flights.len() >= WINDOW_BATCHES;
        if full || self.reading.is_some() || self.sending.is_some() {
            return None;
        }
        while let Some(doc) = self.turn.pop_front() {
            let Some(local) = self.local.get_mut(&doc) else {
                continue;
            };
            local.queued = false;
            let There::Holds { round, known } = &local.there else {
                continue;
            };
            if local.cursor < local.map.last {
                self.reading = Some((doc, *round));
                return Some(Task::Read {
                    doc,
                    from: local.cursor.next(),
                    upto: local.map.last,
                    skip: known.clone(),
                });
            }
        }
        None
    }

    /// Begins to send a state that was asked for; whether there was one, and room for it.
    pub(super) fn begin_state(&mut self) -> bool {
        let full = self.flight_bytes >= WINDOW_BYTES || self.flights.len() >= WINDOW_BATCHES;
        if full || self.sending.is_some() {
            return false;
        }
        let Some((doc, upto, packed)) = self.states.pop_front() else {
            return false;
        };
        self.begin(doc, (Content::State, 0, upto, 0), packed, Known::default());
        true
    }

    fn begin(
        &mut self,
        doc: DocId,
        (content, round, upto, left): (Content, u64, Seq, u64),
        bytes: Bytes,
        reach: Known,
    ) {
        self.sent_batches += 1;
        let number = self.sent_batches;
        let mut hash = [0; 16];
        blake3::Hasher::new()
            .update(&bytes)
            .finalize_xof()
            .fill(&mut hash);
        self.out.push_back(Message::Begin(Begin {
            number,
            doc,
            round,
            content,
            upto,
            left,
            bytes: bytes.len() as u64,
            hash,
            reach: reach.clone(),
        }));
        self.flight_bytes += bytes.len();
        self.flights.push_back(Flight {
            number,
            doc,
            content,
            round,
            upto,
            bytes: bytes.len(),
            reach,
        });
        let offset = (bytes.len() <= PART_BYTES).then_some(0);
        self.sending = Some(Sending {
            number,
            bytes,
            offset,
        });
        self.level_said = false;
    }

    /// The next part of the batch that is going out, if the other end waits for one.
    pub(super) fn next_part(&mut self) -> Option<Message> {
        let sending = self.sending.as_mut()?;
        let from = sending.offset?;
        let end = from.saturating_add(PART_BYTES).min(sending.bytes.len());
        let part = sending.bytes.slice(from.min(end)..end);
        sending.offset = Some(end);
        if end == sending.bytes.len() {
            self.sending = None;
        }
        (!part.is_empty()).then_some(Message::Part(part))
    }

    /// The other end says from where on it lacks a large batch.
    pub(super) fn go_on(&mut self, number: u64, offset: u64) -> Result<(), LinkError> {
        let sending = self.sending.as_mut();
        let sending = sending.filter(|s| s.number == number && s.offset.is_none());
        let sending = sending.ok_or(LinkError::Protocol("it goes on with no batch"))?;
        let offset = usize::try_from(offset).ok();
        let offset = offset.filter(|offset| *offset <= sending.bytes.len());
        sending.offset = Some(offset.ok_or(LinkError::Protocol("it has more than was sent"))?);
        if offset == Some(sending.bytes.len()) {
            self.sending = None;
        }
        Ok(())
    }

    /// The other end answers its oldest batch.
    pub(super) fn done(&mut self, number: u64, outcome: Outcome) -> Result<(), LinkError> {
        let going = self.sending.as_ref().is_some_and(|s| s.number == number);
        let flight = self.flights.pop_front_if(|f| f.number == number && !going);
        let flight = flight.ok_or(LinkError::Protocol("it answers what was not sent"))?;
        self.flight_bytes = self.flight_bytes.saturating_sub(flight.bytes);
        if flight.content == Content::State {
            return Ok(());
        }
        let Some(local) = self.local.get_mut(&flight.doc) else {
            return Ok(());
        };
        let There::Holds { round, known } = &mut local.there else {
            return Ok(());
        };
        if *round != flight.round {
            return Ok(());
        }
        match outcome {
            Outcome::Taken => {
                known.join(&flight.reach);
                local.taken = local.taken.max(flight.upto);
                self.say_reached(flight.doc);
            }
            Outcome::Refused(why) => {
                local.cursor = local.taken;
                local.there = There::Waits(why);
            }
            // Another answer to the offer is on its way, or the map waits.
            Outcome::Passed => {}
        }
        Ok(())
    }

    /// Says that all of a map was sent and taken, once it is so.
    fn say_reached(&mut self, doc: DocId) {
        let under_way = self
            .flights
            .iter()
            .any(|f| f.doc == doc && f.content == Content::Records);
        let Some(local) = self.local.get_mut(&doc) else {
            return;
        };
        if under_way || local.cursor < local.map.last {
            return;
        }
        let upto = local.cursor;
        local.taken = upto;
        if local.reached != Some(upto) {
            local.reached = Some(upto);
            self.out.push_back(Message::Reached { doc, upto });
        }
    }

    /// Records that are still to be sent once `doc` is sent up to `upto`, about.
    fn left_behind(&self, doc: DocId, upto: Seq) -> u64 {
        let left = |(of, local): (&DocId, &Local)| {
            let cursor = if *of == doc { upto } else { local.cursor };
            match local.there {
                There::Holds { .. } => local.map.last.0.saturating_sub(cursor.0),
                _ => 0,
            }
        };
        self.local.iter().map(left).sum()
    }

    /// Whether the other end has taken all that is here, as far as it wants it.
    pub(super) fn has_sent_all(&self) -> bool {
        let sent = |local: &Local| match local.there {
            There::Unanswered => false,
            There::Holds { .. } => local.taken >= local.map.last,
            There::Waits(_) => true,
        };
        let idle = self.sending.is_none() && self.reading.is_none() && self.flights.is_empty();
        let answered = self.states.is_empty() && self.tasks.is_empty() && self.encoding == 0;
        self.peer.is_some()
            && self.listed_here
            && self.listed_there
            && idle
            && answered
            && self.has_taken_all()
            && self.local.values().all(sent)
    }
}
