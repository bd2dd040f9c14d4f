//! Records of other stores, as a relay hands them on: taken in once, each under the origin that it came with.
//!
//! They pass the same judgement as any update. What brings something becomes one record with its origin; what brings
//! nothing leaves no record of its own, but the map remembers that it is held: of each log that ended so, one record of
//! kind [`Kind::Known`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Access, Scanned};
use mapweave_storage::{Kind, LogId, Origin};

use super::{Core, Effects, Ticket, Waiter};
use crate::room::replica::Refused;

/// A record of another store.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// What it means there.
    pub kind: Kind,
    /// Who made it, and its name: one without [`Origin::relayed`] is passed over.
    pub origin: Arc<Origin>,
    /// What it says, for [`Kind::Update`] and [`Kind::Gapped`].
    pub update: Option<Scanned>,
    /// What its author may do here: what those wrote who may not edit any more is kept beside the map.
    pub access: Access,
}

/// Whether a record left one of its own in this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Record,
    Nothing,
}

impl Core {
    /// Takes in records in the order of their log. Where one is refused, those before it are in all the same.
    pub(super) fn relay(
        &mut self,
        now_ms: u64,
        ticket: Ticket,
        records: Vec<Foreign>,
        fx: &mut Effects,
    ) {
        let mut passed: BTreeMap<LogId, Arc<Origin>> = BTreeMap::new();
        let mut outcome = Ok(());
        for record in records {
            let origin = record.origin.clone();
            let Some(relayed) = &origin.relayed else {
                continue;
            };
            if self.known.holds(&relayed.log, relayed.seq) {
                continue;
            }
            match self.take_in_foreign(now_ms, record, fx) {
                Ok(Left::Record) => passed.remove(&relayed.log),
                Ok(Left::Nothing) => passed.insert(relayed.log, origin.clone()),
                Err(refused) => {
                    outcome = Err(refused);
                    break;
                }
            };
            self.known.raise(relayed.log, relayed.seq);
        }
        for origin in passed.into_values() {
            self.append(Kind::Known, Bytes::new(), &origin, fx);
        }
        match outcome {
            Ok(()) => self.wait(Waiter::Ticket(ticket), fx),
            Err(refused) => {
                if let Refused::Broken { why } = &refused {
                    fx.broken = Some(why.clone());
                }
                fx.replies.push((ticket, Err(refused)));
            }
        }
    }

    fn take_in_foreign(
        &mut self,
        now_ms: u64,
        record: Foreign,
        fx: &mut Effects,
    ) -> Result<Left, Refused> {
        let before = self.log.appended;
        let Foreign {
            kind,
            origin,
            update,
            access,
        } = record;
        match (kind, update) {
            (Kind::Update | Kind::Gapped, Some(update)) if access != Access::ReadWrite => {
                self.keep_foreign(now_ms, update, &origin, fx)?;
            }
            (Kind::Update | Kind::Gapped, Some(update)) => {
                self.take_in(update, None, &origin, fx)?;
            }
            // Whatever it is called there: the map has its name here already.
            (Kind::Created { .. }, _) if !self.log.exists => {
                self.log.exists = true;
                let name = self.name.clone();
                self.append(Kind::Created { name }, Bytes::new(), &origin, fx);
            }
            (kind @ (Kind::Deleted | Kind::Restored), _) => {
                self.append(kind, Bytes::new(), &origin, fx);
            }
            _ => {}
        }
        Ok(if self.log.appended > before {
            Left::Record
        } else {
            Left::Nothing
        })
    }
}
