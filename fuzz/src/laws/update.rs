use bytes::Bytes;
use mapweave::model::{MapView, Watch};
use mapweave::room::{HeldLimits, Outcome, Refused, Replica, StateCache, content, summarize};
use mapweave_proto::{LargeUpdate, Ledger, PieceLimits, Scanned, Verdict, concat, scan};
use yrs::updates::decoder::Decode;
use yrs::{ReadTxn, Transact};

use super::Script;
use crate::saw;

/// Updates of one input.
const UPDATES_MAX: usize = 12;

/// What pieces are filled up to, in bytes: a struct or two.
const PIECE_BYTES: usize = 60;

/// Largest input, so that every run is short.
const INPUT_BYTES_MAX: usize = 16 << 10;

/// Tag of a 64-bit integer in a value.
const BIG_INTEGER: u8 = 122;

/// Bounds that inputs reach.
const HELD: HeldLimits = HeldLimits {
    map_bytes_max: 12 << 10,
    source_bytes_max: 8 << 10,
    ..HeldLimits::NONE
};

/// Any updates, one after the other, go through the door, the document and back: nothing panics or breaks, what is
/// refused changes nothing, what was taken is no news a second time, the state carries everything, and a view that
/// follows shows what a fresh one does.
///
/// # Panics
/// Where that is not so.
pub fn update_path(data: &[u8]) {
    let mut script = Script(data.get(..INPUT_BYTES_MAX).unwrap_or(data));
    let mut replica = Replica::new(HELD);
    let mut cache = StateCache::default();
    // From here on the cache has to follow.
    assert!(cache.state(&replica).is_ok());
    let watch = Watch::attach(replica.doc());
    let mut followed = MapView::new(&replica.doc().transact());
    let mut taken = Vec::new();
    for _ in 0..UPDATES_MAX {
        let Some(piece) = script.piece() else { break };
        match scan(Bytes::copy_from_slice(piece), INPUT_BYTES_MAX) {
            Ok(update) => {
                check_scanned(&update);
                check_pieces(replica.ledger(), &update);
                if take(&mut replica, &mut cache, &update) {
                    taken.push(update);
                }
                if let Some(delta) = watch.take(&replica.doc().transact()) {
                    followed.apply(delta);
                }
            }
            Err(error) => saw(std::mem::discriminant(&error)),
        }
    }
    check_spare(&mut replica, &taken);
    // yrs writes JavaScript's big integers back as other numbers, whose text differs.
    let holds_big_integers = taken
        .iter()
        .any(|update| update.bytes().contains(&BIG_INTEGER));
    check_state(&replica, &mut cache, holds_big_integers);
    let view = MapView::new(&replica.doc().transact());
    assert!(followed.features().eq(view.features()), "features");
    assert_eq!(followed.report(), view.report());
    saw(("features", view.features().count().min(4)));
    saw(("problems", view.report().len().min(4)));
    let _ = summarize(replica.doc());
}

/// What the scanner lets through, yrs decodes.
fn check_scanned(update: &Scanned) {
    assert!(
        yrs::Update::decode_v1(update.bytes()).is_ok(),
        "yrs cannot decode what was let through"
    );
    let alone = concat(&[update]);
    let alone = alone.map(|bytes| scan(bytes, usize::MAX));
    let Ok(Ok(alone)) = alone else {
        panic!("one update cannot be joined with nothing: {alone:?}");
    };
    let runs = |update: &Scanned| {
        let mut runs: Vec<_> = update.clients().collect();
        runs.sort_unstable();
        runs
    };
    assert_eq!(runs(&alone), runs(update), "joined with nothing");
}

/// What can be taken at once can be taken in pieces, and means the same.
fn check_pieces(ledger: &Ledger, update: &Scanned) {
    let limits = PieceLimits {
        bytes_max: 2 * INPUT_BYTES_MAX,
        bytes_wanted: PIECE_BYTES,
    };
    let large = match LargeUpdate::scan(update.bytes(), limits) {
        Ok(large) => large,
        Err(error) => panic!("what is let through is refused as a large update: {error}"),
    };
    let Ok(verdict @ (Verdict::Nothing | Verdict::Fresh | Verdict::Overlap)) = ledger.judge(update)
    else {
        return;
    };
    let mut by_pieces = ledger.clone();
    let mut pieces = large.pieces(update.bytes());
    let mut count = 0;
    loop {
        let piece = match pieces.next_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => panic!("what can be taken cannot be cut: {error}"),
        };
        count += 1;
        match scan(piece, limits.bytes_max).map(|piece| (by_pieces.judge(&piece), piece)) {
            Ok((Ok(Verdict::Nothing), _)) => {}
            Ok((Ok(Verdict::Fresh | Verdict::Overlap), piece)) => by_pieces.admit(&piece),
            other => panic!("piece {count} of what can be taken: {other:?}"),
        }
    }
    assert_eq!(by_pieces.judge(update), Ok(Verdict::Nothing));
    let mut at_once = ledger.clone();
    if verdict != Verdict::Nothing {
        at_once.admit(update);
    }
    assert_eq!(by_pieces.state_vector(), at_once.state_vector());
    saw(("pieces", count.min(4)));
}

/// Whether the update is part of the replica now, in the document or waiting.
fn take(replica: &mut Replica, cache: &mut StateCache, update: &Scanned) -> bool {
    let before = snapshot(replica);
    match replica.receive(update.clone(), 1) {
        Ok(outcome) => {
            let brought: Vec<Scanned> = match outcome {
                Outcome::Nothing => {
                    assert_eq!(snapshot(replica), before, "nothing changed something");
                    saw("nothing");
                    Vec::new()
                }
                Outcome::Applied { brought, released } => {
                    saw(("applied", released.len()));
                    std::iter::once(brought).chain(released).collect()
                }
                Outcome::Held { went_in, .. } => {
                    saw(("held", went_in.len()));
                    went_in
                }
            };
            brought.iter().for_each(|update| cache.push(update));
            true
        }
        Err(Refused::Broken { why }) => panic!("the document broke: {why}"),
        Err(refused) => {
            if let Refused::Door(error) = &refused {
                saw(std::mem::discriminant(error));
            }
            saw(std::mem::discriminant(&refused));
            assert_eq!(snapshot(replica), before, "a refusal changed something");
            false
        }
    }
}

fn snapshot(replica: &Replica) -> (Result<Bytes, Refused>, usize, usize) {
    (
        replica.encode_state(),
        replica.held().len(),
        replica.held_bytes(),
    )
}

/// What was taken once is no news.
fn check_spare(replica: &mut Replica, taken: &[Scanned]) {
    let before = snapshot(replica);
    for update in taken {
        match replica.receive(update.clone(), 2) {
            // An update that waited and broke a rule once its base came is refused when it comes again.
            Ok(Outcome::Nothing) | Err(Refused::Door(_)) => {}
            other => panic!("an update is news a second time: {other:?}"),
        }
    }
    assert_eq!(snapshot(replica), before, "repeats changed something");
    assert!(replica.held_bytes() <= HELD.map_bytes_max);
}

#[allow(clippy::expect_used)]
fn check_state(replica: &Replica, cache: &mut StateCache, holds_big_integers: bool) {
    let txn = replica.doc().transact();
    assert!(!txn.has_missing_updates(), "the document has pending parts");
    drop(txn);
    let ours = content(replica).expect("a document that can be encoded");
    let state = replica
        .encode_state()
        .expect("a document that can be encoded");
    let cached = cache
        .state(replica)
        .expect("a document that can be encoded");
    for (what, state) in [("the state", state), ("the cached state", cached)] {
        let state = match scan(state, usize::MAX) {
            Ok(state) => state,
            Err(error) => panic!("{what} does not pass the scanner: {error}"),
        };
        let mut copy = Replica::new(HeldLimits::NONE);
        match copy.receive(state, 1) {
            Ok(Outcome::Applied { .. } | Outcome::Nothing) => {}
            other => panic!("{what} does not stand alone: {other:?}"),
        }
        let mut theirs = content(&copy).expect("a document that can be encoded");
        if holds_big_integers {
            theirs.shown = ours.shown;
        }
        assert_eq!(ours, theirs, "{what} does not carry everything");
    }
}
