//! Laws over honest updates, made by yrs.

use bytes::Bytes;
use proptest::prelude::*;

use super::replicas::{Replica, Server, apply, content, doc, scanned, state, vector};
use crate::update::{Ledger, Verdict, concat};

/// What happens to some replicas and the server.
#[derive(Debug, Clone)]
pub(in crate::update) enum Step {
    Edit {
        replica: usize,
        what: u8,
        n: u32,
    },
    /// One replica tells another what that lacks.
    Sync {
        from: usize,
        to: usize,
    },
    /// A replica sends the server what it has not sent yet: one by one in any order, or merged with holes.
    Send {
        replica: usize,
        order: u64,
        merged: bool,
    },
    /// A replica reconnects.
    Step2 {
        replica: usize,
    },
}

const REPLICAS: usize = 3;

pub(in crate::update) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = || 0..REPLICAS;
    prop::collection::vec(
        prop_oneof![
            8 => (replica(), any::<u8>(), any::<u32>()).prop_map(|(replica, what, n)| Step::Edit { replica, what, n }),
            2 => (replica(), replica()).prop_map(|(from, to)| Step::Sync { from, to }),
            3 => (replica(), any::<u64>(), any::<bool>())
                .prop_map(|(replica, order, merged)| Step::Send { replica, order, merged }),
            1 => replica().prop_map(|replica| Step::Step2 { replica }),
        ],
        1..60,
    )
}

pub(in crate::update) fn run(steps: &[Step]) -> (Server, Vec<Replica>) {
    let replicas: Vec<_> = [5, 1 << 40, 70_000].map(Replica::new).into();
    let mut server = Server::new();
    let send = |server: &mut Server, replica: &Replica, order: u64, merged: bool| {
        let mut updates = replica.sent();
        shuffle(&mut updates, order);
        if merged && updates.len() > 1 {
            let rest = updates.split_off(updates.len() / 2);
            for part in [updates, rest] {
                server.receive(scanned(yrs::merge_updates_v1(part).unwrap()));
            }
        } else {
            updates
                .into_iter()
                .for_each(|update| server.receive(scanned(update)));
        }
    };
    for step in steps {
        match step {
            Step::Edit { replica, what, n } => replicas[*replica].edit(*what, *n),
            Step::Sync { from, to } if from != to => {
                let update = replicas[*from].step2(&vector(&replicas[*to].doc));
                apply(&replicas[*to].doc, &update);
            }
            Step::Sync { .. } => {}
            Step::Send {
                replica,
                order,
                merged,
            } => send(&mut server, &replicas[*replica], *order, *merged),
            Step::Step2 { replica } => {
                let update = replicas[*replica].step2(&server.ledger.state_vector());
                server.receive(scanned(update));
            }
        }
    }
    for replica in &replicas {
        send(&mut server, replica, 7, false);
    }
    assert!(
        server.held.is_empty(),
        "everything was sent, yet something is missing"
    );
    (server, replicas)
}

fn shuffle(updates: &mut [Bytes], mut order: u64) {
    for index in (1..updates.len()).rev() {
        updates.swap(index, (order % (index as u64 + 1)) as usize);
        order = order.rotate_right(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

proptest! {
    #[test]
    fn the_ledger_follows_the_document_and_all_ways_lead_to_the_same_one(steps in steps()) {
        let (server, replicas) = run(&steps);
        let expected = content(&server.doc);
        prop_assert_eq!(&content(&server.whole), &expected);

        let joined = doc();
        apply(&joined, &server.joined());
        prop_assert_eq!(&content(&joined), &expected);

        for replica in &replicas {
            apply(&replica.doc, &state(&server.doc));
            prop_assert_eq!(&content(&replica.doc), &expected);
        }

        // A ledger built from the stored state alone judges the same clocks, and what was logged is nothing to it.
        let mut restarted = Ledger::default();
        let stored = scanned(state(&server.doc));
        prop_assert!(matches!(restarted.judge(&stored), Ok(Verdict::Fresh | Verdict::Nothing)));
        restarted.admit(&stored);
        prop_assert_eq!(restarted.state_vector(), server.ledger.state_vector());
        for update in &server.log {
            prop_assert_eq!(restarted.judge(update), Ok(Verdict::Nothing));
        }
    }

    #[test]
    fn runs_and_deletes_are_those_that_yrs_sees(steps in steps()) {
        let (server, _) = run(&steps);
        for update in &server.log {
            let theirs = <yrs::Update as yrs::updates::decoder::Decode>::decode_v1(update.bytes()).unwrap();
            let ours: u64 = update.clients().map(|(_, start, end)| end - start).sum();
            let inserted: u64 = theirs.insertions(true).iter()
                .flat_map(|(_, ranges)| ranges.iter().map(|range| u64::from(range.end - range.start)).collect::<Vec<_>>())
                .sum();
            prop_assert_eq!(ours, inserted);
            let ours: u64 = update.deletes().map(|range| range.end - range.start).sum();
            let deleted: u64 = theirs.delete_set().iter()
                .flat_map(|(_, ranges)| ranges.iter().map(|range| u64::from(range.end - range.start)).collect::<Vec<_>>())
                .sum();
            prop_assert_eq!(ours, deleted);
        }
    }

    #[test]
    fn joining_in_steps_or_at_once_gives_the_same_bytes(steps in steps(), cut in any::<prop::sample::Index>()) {
        let (server, _) = run(&steps);
        let log: Vec<_> = server.log.iter().collect();
        let cut = cut.index(log.len() + 1);
        let halves = [&log[..cut], &log[cut..]].map(|half| scanned(concat(half).unwrap()));
        prop_assert_eq!(concat(&[&halves[0], &halves[1]]).unwrap(), concat(&log).unwrap());
    }

    #[test]
    fn an_update_in_format_v2_is_refused(steps in steps()) {
        let (server, _) = run(&steps);
        let v2 = yrs::ReadTxn::encode_state_as_update_v2(&yrs::Transact::transact(&server.doc), &Default::default());
        prop_assert!(crate::update::scan(v2.into(), usize::MAX).is_err());
    }
}
