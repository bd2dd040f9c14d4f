//! A document as Yjs 13 keeps it: what came too early waits beside it, and is sent along with the rest.
//!
//! yrs from 0.28 on takes such parts in behind a hole, as Yjs 14 does; browsers with Yjs 13 do not.

use bytes::Bytes;
use mapweave_proto::{Ledger, Scanned, Verdict, scan};
use yrs::updates::decoder::Decode;
use yrs::{Doc, ReadTxn, Transact, Update, merge_updates_v1};

/// A document and what waits for it.
pub(crate) struct Copy {
    doc: Doc,
    ledger: Ledger,
    waiting: Vec<Scanned>,
}

impl Copy {
    pub(crate) fn new(doc: Doc) -> Self {
        Self {
            doc,
            ledger: Ledger::default(),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn doc(&self) -> &Doc {
        &self.doc
    }

    /// Notes an update that was made here.
    pub(crate) fn made(&mut self, update: &Bytes) -> Result<(), String> {
        self.ledger.admit(&scanned(update.clone())?);
        Ok(())
    }

    /// Takes in an update, as far as its base is here, and then what waited for it.
    ///
    /// # Errors
    /// Where an honest client's update breaks a rule.
    pub(crate) fn apply(&mut self, update: &[u8]) -> Result<(), String> {
        self.take(scanned(Bytes::copy_from_slice(update))?)?;
        loop {
            let waiting = std::mem::take(&mut self.waiting);
            let before = self.ledger.state_vector();
            for update in waiting {
                self.take(update)?;
            }
            if self.ledger.state_vector() == before {
                return Ok(());
            }
        }
    }

    fn take(&mut self, update: Scanned) -> Result<(), String> {
        let whole = match self.ledger.judge(&update).map_err(|e| e.to_string())? {
            Verdict::Nothing => return Ok(()),
            Verdict::Fresh | Verdict::Overlap => true,
            Verdict::Gap { .. } => false,
        };
        let ready = if whole {
            update.clone()
        } else {
            let ready = self.ledger.ready_part(&update);
            self.waiting.push(update);
            scanned(ready.map_err(|error| error.to_string())?)?
        };
        let decoded = Update::decode_v1(ready.bytes()).map_err(|error| error.to_string())?;
        let mut txn = self.doc.transact_mut();
        txn.apply_update(decoded)
            .map_err(|error| error.to_string())?;
        if txn.has_missing_updates() {
            return Err("the document itself has something that waits".to_owned());
        }
        self.ledger.admit(&ready);
        Ok(())
    }

    /// What somebody with `have` lacks, with all that waits, as one update.
    ///
    /// # Errors
    /// Where the parts cannot be merged.
    pub(crate) fn encode(&self, have: &yrs::StateVector) -> Result<Bytes, String> {
        let state = self.doc.transact().encode_diff_v1(have);
        if self.waiting.is_empty() {
            return Ok(state.into());
        }
        let parts = std::iter::once(&*state).chain(self.waiting.iter().map(|u| &**u.bytes()));
        let merged = merge_updates_v1(parts).map_err(|error| error.to_string())?;
        Ok(merged.into())
    }
}

fn scanned(update: Bytes) -> Result<Scanned, String> {
    scan(update, usize::MAX).map_err(|error| error.to_string())
}
