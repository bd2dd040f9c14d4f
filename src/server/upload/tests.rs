#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use futures_util::stream;

use super::*;

const LIMITS: UploadLimits = UploadLimits {
    update_bytes_max: 100,
    state_bytes_max: 1_000,
    named: "limits.state_bytes_max",
    pause_max: PAUSE_MAX,
};

fn into(spool: &Spool) -> Intake<'_> {
    static UNFINISHED: std::sync::LazyLock<Arc<Unfinished>> =
        std::sync::LazyLock::new(|| Unfinished::new(1 << 20));
    static STOP: std::sync::LazyLock<CancellationToken> =
        std::sync::LazyLock::new(CancellationToken::new);
    Intake {
        spool: Some(spool),
        unfinished: &UNFINISHED,
        stop: &STOP,
    }
}

fn body(chunks: &[usize]) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let chunks: Vec<_> = chunks
        .iter()
        .map(|n| Ok(Bytes::from(vec![7; *n])))
        .collect();
    stream::iter(chunks)
}

#[tokio::test]
async fn a_body_waits_in_memory_until_it_is_too_large_for_that() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    let small = receive(body(&[60, 40]), None, LIMITS, into(&spool)).await;
    assert!(matches!(small, Ok(Upload::Small(body)) if body.bytes.len() == 100));
    let Ok(Upload::Large(large)) = receive(body(&[60, 41, 899]), None, LIMITS, into(&spool)).await
    else {
        panic!("it has to wait in a file");
    };
    let stored = large.stored().await;
    let mut bytes = vec![0; 1_000];
    mapweave_proto::ReadAt::read_exact_at(&stored, &mut bytes, 0).unwrap();
    assert_eq!(bytes, [7; 1_000]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_turned_away_whether_it_says_so_or_not() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    for (chunks, declared) in [(vec![900, 101], None), (vec![], Some(1_001))] {
        let refused = receive(body(&chunks), declared, LIMITS, into(&spool)).await;
        let refused = refused.err().unwrap();
        assert!(
            refused
                .detail()
                .contains("1000 bytes (limits.state_bytes_max)")
        );
    }
}

#[tokio::test]
async fn an_upload_that_would_fill_the_disk_is_turned_away_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), u64::MAX);
    let refused = receive(body(&[60, 60]), None, LIMITS, into(&spool))
        .await
        .err();
    let refused = refused.unwrap();
    assert!(refused.detail().contains("make room"));
    let answer = warp::Reply::into_response(refused);
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let left = std::fs::read_dir(data.path().join("uploads")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn what_an_earlier_process_left_is_removed() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    spool.clear().unwrap();
    std::fs::create_dir(data.path().join("uploads")).unwrap();
    std::fs::write(data.path().join("uploads/left"), "over").unwrap();
    spool.clear().unwrap();
    assert!(!data.path().join("uploads").exists());
}

#[tokio::test]
async fn a_body_that_goes_silent_is_given_up() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    let silent = body(&[10]).chain(stream::pending());
    let limits = UploadLimits {
        pause_max: Duration::ZERO,
        ..LIMITS
    };
    let refused = receive(silent, None, limits, into(&spool))
        .await
        .err()
        .unwrap();
    assert!(refused.detail().contains("nothing came for 0 s"));
}

#[test]
fn a_media_type_counts_without_its_parameters() {
    let json = "application/json";
    for good in [json, "Application/JSON", "application/json; charset=utf-8"] {
        assert!(require(Some(good), json).is_ok(), "{good}");
    }
    for bad in [
        None,
        Some(""),
        Some("text/plain"),
        Some("text/plain;application/json"),
        Some("application/json-patch+json"),
    ] {
        assert!(require(bad, json).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn of_bodies_that_are_too_much_together_the_largest_is_turned_away() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    let unfinished = Unfinished::new(100);
    let into = Intake {
        spool: Some(&spool),
        unfinished: &unfinished,
        stop: &CancellationToken::new(),
    };
    let slow = body(&[60]).chain(stream::pending());
    let slow = receive(slow, None, LIMITS, into);
    // The second comes once the first has sent what it has.
    let later = stream::once(async {
        while unfinished.bytes() < 60 {
            tokio::task::yield_now().await;
        }
        Ok::<_, Infallible>(Bytes::from(vec![7; 41]))
    });
    let later = receive(later, None, LIMITS, into);
    let (slow, later) = tokio::join!(slow, later);
    let refused = slow.err().unwrap();
    assert!(refused.detail().contains("limits.unfinished_bytes_max"));
    assert!(matches!(later, Ok(Upload::Small(_))));
    let later = later.ok().unwrap();
    assert_eq!(unfinished.bytes(), 41, "it counts until it is applied");
    drop(later);
    assert_eq!(unfinished.bytes(), 0);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_although_it_never_pauses_for_long() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    let bytes = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(&[7])), ()))
    });
    let limits = UploadLimits {
        pause_max: Duration::from_millis(50),
        ..LIMITS
    };
    let refused = receive(bytes, None, limits, into(&spool)).await.err();
    assert!(refused.unwrap().detail().contains("256 bytes a second"));
}

#[tokio::test]
async fn only_so_many_large_uploads_are_on_their_way_at_once() {
    let data = tempfile::tempdir().unwrap();
    let spool = Spool::new(data.path(), 0);
    let mut files = Vec::new();
    let refused = loop {
        match spool.file(CancellationToken::new()).await {
            Ok(file) => files.push(file),
            Err(problem) => break problem,
        }
    };
    assert_eq!(files.len(), 4);
    let answer = warp::Reply::into_response(refused);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    files.pop();
    assert!(spool.file(CancellationToken::new()).await.is_ok());
}

#[test]
fn crumbs_are_waited_for_and_what_has_gathered_meanwhile_is_taken_at_once() {
    let mut crumbs = Crumbs::default();
    let now = Instant::now();
    assert!((0..CRUMBS_FREE).all(|_| crumbs.pause_after(1, now).is_none()));
    assert_eq!(crumbs.pause_after(1, now), Some(CRUMB_PAUSE));
    let after = now + CRUMB_PAUSE;
    assert!((0..10_000).all(|_| crumbs.pause_after(5, after).is_none()));
    let later = after + CRUMB_WINDOW;
    assert_eq!(crumbs.pause_after(CRUMB_BYTES, later), None);
    assert_eq!(crumbs.pause_after(1, later), Some(CRUMB_PAUSE));
}
