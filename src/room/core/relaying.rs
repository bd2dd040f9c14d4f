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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave_proto::{DocId, MapName, Seq, scan};
    use mapweave_storage::{Known, NewRecord, Relayed};
    use yrs::{Doc, Map, ReadTxn, Transact};

    use super::*;
    use crate::room::core::{CoreOptions, Input, Start};
    use crate::room::replica::{HeldLimits, Replica, StateCache};

    const THERE: LogId = LogId {
        store: [7; 16],
        epoch: 1,
        doc: DocId::from_bytes([8; 16]),
    };

    fn core(exists: bool) -> Core {
        let head = if exists { Seq(1) } else { Seq::ZERO };
        let start = Start {
            name: MapName::parse("here").unwrap(),
            replica: Replica::new(HeldLimits::default()),
            cache: StateCache::default(),
            head,
            exists,
            tail: (0, 0),
            update_bytes: 0,
        };
        Core::new(start, CoreOptions::default())
    }

    fn record(seq: u64, kind: Kind, update: Option<&Scanned>) -> Foreign {
        let relayed = Relayed {
            log: THERE,
            seq: Seq(seq),
            at_ms: 5,
            via: "truck".into(),
        };
        Foreign {
            kind,
            origin: Arc::new(Origin {
                user: "eva".into(),
                relayed: Some(relayed),
                ..Origin::default()
            }),
            update: update.cloned(),
            access: Access::ReadWrite,
        }
    }

    /// Updates of one person, each building on the one before.
    fn updates(count: usize) -> Vec<Scanned> {
        let doc = Doc::new();
        let feat = doc.get_or_insert_map("feat");
        let one = |number| {
            let before = doc.transact().state_vector();
            feat.insert(&mut doc.transact_mut(), "key", number as f64);
            let bytes = doc.transact().encode_diff_v1(&before);
            scan(bytes.into(), usize::MAX).unwrap()
        };
        (0..count).map(one).collect()
    }

    fn relay(core: &mut Core, records: Vec<Foreign>) -> Effects {
        relay_onto(core, records, Known::default())
    }

    /// Where the log holds `durable` by then.
    fn relay_onto(core: &mut Core, records: Vec<Foreign>, durable: Known) -> Effects {
        let mut fx = Effects::default();
        let input = Input::Relay {
            ticket: Ticket(1),
            records,
            durable,
        };
        core.handle(0, input, &mut fx);
        core.end_turn(0, &mut fx);
        fx
    }

    /// What the log gets: kind, and place in the other log.
    fn kept(records: &[NewRecord]) -> Vec<(&'static str, Option<u64>)> {
        let place = |r: &NewRecord| r.origin.relayed.as_ref().map(|relayed| relayed.seq.0);
        records.iter().map(|r| (r.kind.name(), place(r))).collect()
    }

    #[test]
    fn a_map_comes_to_be_with_the_records_of_another_store_each_once() {
        let (mut core, all) = (core(false), updates(2));
        let name = MapName::parse("there").unwrap();
        let records = vec![
            record(1, Kind::Created { name }, None),
            record(2, Kind::Update, Some(&all[0])),
            record(5, Kind::Update, Some(&all[1])),
        ];
        let fx = relay(&mut core, records.clone());
        let expected = [
            ("created", Some(1)),
            ("update", Some(2)),
            ("update", Some(5)),
        ];
        assert_eq!(kept(&fx.append), expected);
        assert_eq!(fx.append[0].kind.detail(), "here".as_bytes());
        assert!(fx.replies.is_empty(), "nothing is durable yet");
        let fx = relay(&mut core, records);
        assert!(fx.append.is_empty() && fx.replies.is_empty());
        let mut fx = Effects::default();
        let (records, last) = (3, Seq(3));
        core.handle(0, Input::Durable { records, last }, &mut fx);
        assert!(matches!(fx.replies[..], [(_, Ok(Seq(3))), (_, Ok(Seq(3)))]));
    }

    #[test]
    fn a_record_that_the_log_got_by_another_way_meanwhile_leaves_none() {
        let (mut core, all) = (core(true), updates(2));
        // On its way to the log, and so not in what is durable.
        relay(&mut core, vec![record(2, Kind::Update, Some(&all[0]))]);
        let again = vec![
            record(2, Kind::Update, Some(&all[0])),
            record(3, Kind::Update, Some(&all[0])),
            record(4, Kind::Restored, None),
            record(5, Kind::Update, Some(&all[1])),
        ];
        let durable = Known::from_iter([(THERE, Seq(4))]);
        let fx = relay_onto(&mut core, again, durable);
        assert_eq!(kept(&fx.append), [("update", Some(5))]);
    }

    #[test]
    fn what_brings_nothing_leaves_one_word_that_it_is_held() {
        let (mut core, all) = (core(true), updates(3));
        relay(&mut core, vec![record(2, Kind::Update, Some(&all[0]))]);
        let again = vec![
            record(3, Kind::Update, Some(&all[0])),
            record(4, Kind::Restored, None),
            record(6, Kind::Update, Some(&all[0])),
        ];
        let fx = relay(&mut core, again);
        assert_eq!(
            kept(&fx.append),
            [("restored", Some(4)), ("known", Some(6))]
        );
        // Where something comes behind it, that says it.
        let more = vec![
            record(7, Kind::Update, Some(&all[0])),
            record(8, Kind::Update, Some(&all[1])),
        ];
        assert_eq!(kept(&relay(&mut core, more).append), [("update", Some(8))]);
    }

    #[test]
    fn a_refused_record_stops_those_behind_it_and_not_those_before() {
        let (mut core, all) = (core(true), updates(3));
        // The second lacks its base and may not wait.
        core.replica.set_limits(HeldLimits {
            map_updates_max: 0,
            ..HeldLimits::default()
        });
        let records = vec![
            record(1, Kind::Update, Some(&all[0])),
            record(2, Kind::Update, Some(&all[2])),
            record(3, Kind::Update, Some(&all[1])),
        ];
        let fx = relay(&mut core, records.clone());
        assert_eq!(kept(&fx.append), [("update", Some(1))]);
        assert!(matches!(
            fx.replies[..],
            [(_, Err(Refused::TooManyHeld { .. }))]
        ));
        core.replica.set_limits(HeldLimits::default());
        let fx = relay(&mut core, records);
        assert_eq!(kept(&fx.append), [("gapped", Some(2)), ("update", Some(3))]);
    }

    #[test]
    fn what_those_wrote_who_may_not_edit_is_kept_beside_the_map_under_its_name() {
        let (mut core, all) = (core(true), updates(1));
        let late = Foreign {
            access: Access::Quarantine,
            ..record(4, Kind::Update, Some(&all[0]))
        };
        let fx = relay(&mut core, vec![late.clone()]);
        assert_eq!(kept(&fx.append), [("quarantined", Some(4))]);
        assert_eq!(core.replica.ledger().clients(), 0);
        assert!(relay(&mut core, vec![late]).append.is_empty());
    }
}
