//! Which map here and which map there are one.
//!
//! Kin first: two maps of which one holds records of the other are one for ever, whatever they are called. Else by name:
//! maps that are there on both sides under one name become one, since a name means one map on every protocol. Two that
//! bear one name where one side's is kin to a third (it was deleted there and made anew) stay apart: the new one waits
//! until the old one is deleted here as well.

use mapweave_proto::DocId;

use super::super::message::{MapState, Message};
use super::{Into, Link, Local, LocalMap};

/// What becomes of a map of the other end.
#[derive(Debug, PartialEq, Eq)]
enum Pairing {
    Into(Into),
    Wait(&'static str),
}

impl Link {
    /// Answers the offer of a map, if there is something new to say.
    pub(super) fn answer(&mut self, doc: DocId) {
        let pairing = self.pair(doc);
        let Some(theirs) = self.theirs.get_mut(&doc) else {
            return;
        };
        match pairing {
            Pairing::Into(into) => {
                let same = theirs.into.as_ref() == Some(&into);
                if same && !theirs.failed {
                    return;
                }
                let known = self.local.get(&into.doc).map(|l| l.map.known.clone());
                theirs.into = Some(into);
                (theirs.failed, theirs.waits) = (false, None);
                theirs.round += 1;
                self.out.push_back(Message::Have {
                    doc,
                    round: theirs.round,
                    known: known.unwrap_or_default(),
                });
            }
            Pairing::Wait(why) => {
                if theirs.into.is_none() && theirs.waits.as_deref() == Some(why) {
                    return;
                }
                theirs.into = None;
                theirs.waits = Some(why.to_owned());
                let why = why.to_owned();
                self.out.push_back(Message::Wait { doc, why });
            }
        }
    }

    /// Answers all offers, those of kin first: names go to what is left.
    pub(super) fn answer_all(&mut self) {
        let all: Vec<DocId> = self.theirs.keys().copied().collect();
        let (kin, others): (Vec<DocId>, Vec<DocId>) =
            all.into_iter().partition(|doc| self.kin(*doc).is_some());
        kin.into_iter()
            .chain(others)
            .for_each(|doc| self.answer(doc));
    }

    /// Looks again at all maps of the other end that wait.
    pub(super) fn answer_waiting(&mut self) {
        let waiting = self.theirs.iter().filter(|(_, t)| t.into.is_none());
        let waiting: Vec<DocId> = waiting.map(|(doc, _)| *doc).collect();
        waiting.into_iter().for_each(|doc| self.answer(doc));
    }

    /// The map `here` has changed: those that wait may go on.
    pub(super) fn answer_again(&mut self, here: DocId) {
        if !self.listed_there {
            return;
        }
        let concerned = self.theirs.iter().filter(|(_, theirs)| match &theirs.into {
            None => true,
            // A record that was refused once is refused again, until another connection begins.
            Some(into) => into.doc == here && theirs.failed && theirs.waits.is_none(),
        });
        let concerned: Vec<DocId> = concerned.map(|(doc, _)| *doc).collect();
        concerned.into_iter().for_each(|doc| self.answer(doc));
    }

    fn pair(&self, doc: DocId) -> Pairing {
        let Some(theirs) = self.theirs.get(&doc) else {
            return Pairing::Wait("it was not offered");
        };
        let into = |map: &LocalMap| {
            Pairing::Into(Into {
                doc: map.doc,
                name: map.name.clone(),
            })
        };
        if let Some(here) = self.kin(doc) {
            return into(&here.map);
        }
        if !(self.allow)(&theirs.name) {
            return Pairing::Wait("the right to exchange does not cover it");
        }
        if theirs.state == MapState::Deleted {
            return Pairing::Wait("it is deleted, and was never known at the other end");
        }
        let live = |map: &LocalMap| map.state == MapState::Live && map.name == theirs.name;
        match self.local.values().find(|local| live(&local.map)) {
            Some(local) if self.is_taken(local.map.doc, doc) => {
                Pairing::Wait("another map bears its name at the other end")
            }
            Some(local) => into(&local.map),
            None => Pairing::Into(Into {
                doc,
                name: theirs.name.clone(),
            }),
        }
    }

    /// The map here that is one with `doc` by its records; of several the one that is there.
    fn kin(&self, doc: DocId) -> Option<&Local> {
        if let Some(local) = self.local.get(&doc) {
            return Some(local);
        }
        let theirs = self.theirs.get(&doc)?;
        let kin = |local: &&Local| {
            let here = local.map.doc;
            let there = || theirs.known.iter().any(|(log, _)| log.doc == here);
            there() || local.map.known.iter().any(|(log, _)| log.doc == doc)
        };
        let kin = self.local.values().filter(kin);
        kin.max_by_key(|local| {
            (
                local.map.state == MapState::Live,
                local.map.name == theirs.name,
            )
        })
    }

    /// Whether a map here goes with another one of the other end than `doc`.
    fn is_taken(&self, here: DocId, doc: DocId) -> bool {
        let goes_in = |into: &Option<Into>| into.as_ref().is_some_and(|into| into.doc == here);
        self.theirs
            .iter()
            .any(|(other, theirs)| *other != doc && goes_in(&theirs.into))
    }
}
