//! Waiting for conditions, never for time to pass.

use std::time::{Duration, Instant};

/// After so long, a condition that has not come true will not: generous, since test machines are busy.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The condition's first value.
///
/// # Panics
/// Where none comes.
pub async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    until_async(what, || std::future::ready(condition())).await
}

/// The same for a condition that asks somebody.
///
/// # Panics
/// Where none comes.
pub async fn until_async<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            Instant::now() < end,
            "waited {LIMIT:?} in vain until {what}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the condition holds.
///
/// # Panics
/// Where it never does.
pub async fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || condition().then_some(())).await;
}

/// Something that happens on its own, within the limit.
///
/// # Panics
/// Where it does not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain until {what}"))
}
