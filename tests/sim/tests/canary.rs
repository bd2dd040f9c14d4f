use mapweave_sim::{Sabotage, Scenario};

/// Seeds within which a defect has to be noticed.
const SEEDS: u64 = 60;

/// What the first seed that notices the defect says.
fn caught(sabotage: Sabotage) -> String {
    (0..SEEDS)
        .find_map(|seed| Scenario::of_seed(seed).with(sabotage).run().err())
        .unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed in {SEEDS} seeds"))
        .what
}

#[test]
fn an_acknowledgement_before_its_sync_is_noticed() {
    let what = caught(Sabotage::AcknowledgeEarly);
    assert!(what.contains("before it was durable"), "{what}");
}

#[test]
fn a_message_that_is_not_passed_on_is_noticed() {
    let what = caught(Sabotage::DropBroadcasts);
    assert!(what.contains("disagree") || what.contains("sees"), "{what}");
}

#[test]
fn a_durable_record_that_vanishes_is_noticed() {
    let what = caught(Sabotage::ForgetDurable);
    assert!(
        what.contains("the log and the restarted map disagree") || what.contains("waiting"),
        "{what}"
    );
}

#[test]
fn a_failure_shrinks_to_a_smaller_one() {
    let failure = (0..SEEDS)
        .find_map(|seed| {
            Scenario::of_seed(seed)
                .with(Sabotage::AcknowledgeEarly)
                .run()
                .err()
        })
        .expect("a defect that is noticed");
    let shrunk = failure.clone().shrunk();
    assert!(shrunk.scenario.steps < failure.scenario.steps);
    assert!(shrunk.scenario.run().is_err(), "it still fails");
}
