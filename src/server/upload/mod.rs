//! Bodies of requests: small ones in memory, a large state in a file of the data folder until it is applied.
//!
//! Nothing of a body is applied before all of it has arrived and was checked. Start at [`receive`].

mod apply;
mod places;
mod sent;
mod spool;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use warp::http::StatusCode;

use super::problem::Problem;
use super::state::App;
use super::unfinished::{Share, Unfinished};

pub use apply::apply;
pub use sent::{JSON_MEDIA_TYPE, Sent, sent};
pub use spool::{FREE_BYTES_MIN, Spool, Spooled};

/// How long a body may pause, so that whoever goes silent does not hold on to memory or disk for ever.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How many bytes a second a body has to bring for long, beside such a pause: a modem of the eighties brings more, and
/// whoever sends a byte now and then does not hold on for ever.
const PACE_BYTES_PER_S: u64 = 256;

/// Fewer bytes at once are a crumb: a packet of any network has more.
const CRUMB_BYTES: usize = 256;

/// So many crumbs of a body cost nothing: its head, its end and some hiccups.
const CRUMBS_FREE: u32 = 16;

/// Before a body is looked at again of which only crumbs come.
const CRUMB_PAUSE: Duration = Duration::from_millis(25);

/// How long after a pause what has gathered is taken: a chunked body comes chunk by chunk, however much of it is there.
const CRUMB_WINDOW: Duration = Duration::from_millis(5);

/// Takes in a small body to its end, into memory.
///
/// # Errors
/// As [`receive`].
pub async fn collect<B: Buf, E: std::fmt::Display>(
    app: &App,
    body: impl Stream<Item = Result<B, E>>,
    limit_bytes: usize,
) -> Result<Body, Problem> {
    let limits = UploadLimits {
        update_bytes_max: limit_bytes,
        state_bytes_max: limit_bytes as u64,
        named: "of this address",
        pause_max: PAUSE_MAX,
    };
    let into = Intake {
        spool: None,
        unfinished: &app.unfinished,
        stop: &app.stop,
    };
    match receive(body, None, limits, into).await? {
        Upload::Small(body) => Ok(body),
        Upload::Large(_) => Err(Problem::too_large(limits.state_bytes_max, limits.named)),
    }
}

/// Whether the body is of the media type that this address takes; parameters such as a character set do not count.
///
/// # Errors
/// Where it is of another or says none: pages of other origins can send those without asking first.
pub fn require(media_type: Option<&str>, expected: &'static str) -> Result<(), Problem> {
    let essence = media_type
        .and_then(|said| said.split(';').next())
        .map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(expected)) {
        Ok(())
    } else {
        Err(Problem::media_type(expected))
    }
}

/// A body in memory, which counts as long as this is kept: keep it until what was made of it is written.
pub struct Body {
    /// All of it.
    pub bytes: Bytes,
    _counted: Share,
}

/// A body that has arrived whole.
pub enum Upload {
    /// At most one update's bytes.
    Small(Body),
    /// More, in a file.
    Large(Spooled),
}

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// What is kept in memory and applied at once, in bytes.
    pub update_bytes_max: usize,
    /// What is taken at all, in bytes.
    pub state_bytes_max: u64,
    /// What the second bound is called, for whoever exceeds it.
    pub named: &'static str,
    /// How long it may pause.
    pub pause_max: Duration,
}

/// Where a body goes.
#[derive(Clone, Copy)]
pub struct Intake<'a> {
    /// What is too large for memory; nowhere if there is none.
    pub spool: Option<&'a Spool>,
    /// Counts what is in memory.
    pub unfinished: &'a Arc<Unfinished>,
    /// Rings when the server stops, which does not wait for the rest of a body.
    pub stop: &'a CancellationToken,
}

/// Takes in a body to its end: what is too large for memory into `spool`.
///
/// # Errors
/// A problem where it is too large, breaks off or pauses for too long, or finds no room on the disk. Nothing is left
/// of it then.
pub async fn receive<S, B, E>(
    body: S,
    declared_bytes: Option<u64>,
    limits: UploadLimits,
    into: Intake<'_>,
) -> Result<Upload, Problem>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: std::fmt::Display,
{
    let UploadLimits {
        update_bytes_max,
        state_bytes_max,
        named,
        pause_max,
    } = limits;
    let too_large = || Problem::too_large(state_bytes_max, named);
    if declared_bytes.is_some_and(|bytes| bytes > state_bytes_max) {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let mut memory = BytesMut::new();
    let mut file: Option<Spooled> = None;
    let mut received: u64 = 0;
    let began = Instant::now();
    let evicted = CancellationToken::new();
    let share = into.unfinished.share(Arc::new(evicted.clone()));
    let mut crumbs = Crumbs::default();
    loop {
        let slowest = Duration::from_secs(received / PACE_BYTES_PER_S).saturating_add(pause_max);
        let late = slowest.saturating_sub(began.elapsed()).min(pause_max);
        let next = tokio::select! {
            // Before the body, of which there may always be more.
            biased;
            () = evicted.cancelled() => return Err(crowded()),
            () = into.stop.cancelled() => {
                return Err(Problem::unavailable("the server is stopping; nothing was changed"));
            }
            next = tokio::time::timeout(late, body.next()) => next,
        };
        let Some(chunk) = next.map_err(|_| paused(pause_max))? else {
            break;
        };
        let mut chunk =
            chunk.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let length = chunk.remaining();
        received = received.saturating_add(length as u64);
        if received > state_bytes_max {
            return Err(too_large());
        }
        if file.is_none() && memory.len() + chunk.remaining() > update_bytes_max {
            let spool = into.spool.ok_or_else(too_large)?;
            let mut spooled = spool.file(evicted.clone()).await?;
            spooled.write(&std::mem::take(&mut memory)).await?;
            file = Some(spooled);
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            match &mut file {
                Some(file) => file.write(part).await?,
                None => memory.extend_from_slice(part),
            }
            let taken = part.len();
            chunk.advance(taken);
        }
        let pause = share
            .set(memory.len())
            .max(crumbs.pause_after(length, Instant::now()));
        if let Some(pause) = pause {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Each of them ends the next turn.
                () = evicted.cancelled() => {}
                () = into.stop.cancelled() => {}
            }
        }
    }
    match file {
        Some(mut file) => {
            file.finish().await?;
            metrics::counter!("mapweave_uploads_spooled_total").increment(1);
            Ok(Upload::Large(file))
        }
        None if !share.is_whole() => Err(crowded()),
        None => Ok(Upload::Small(Body {
            bytes: memory.freeze(),
            _counted: share,
        })),
    }
}

/// Bodies that come in crumbs are looked at less often: each crumb wakes a thread, and what comes meanwhile waits together.
#[derive(Default)]
struct Crumbs {
    taken: u32,
    /// Until then what has gathered during a pause is taken at once, one chunk after the other.
    free_until: Option<Instant>,
}

impl Crumbs {
    /// How long to leave a body alone of which `length` bytes have come.
    fn pause_after(&mut self, length: usize, now: Instant) -> Option<Duration> {
        let gathered = self.free_until.is_some_and(|until| now < until);
        if length >= CRUMB_BYTES || gathered {
            return None;
        }
        self.taken = self.taken.saturating_add(1);
        (self.taken > CRUMBS_FREE).then(|| {
            self.free_until = Some(now + CRUMB_PAUSE + CRUMB_WINDOW);
            CRUMB_PAUSE
        })
    }
}

fn crowded() -> Problem {
    Problem::unavailable(
        "too many large messages are on their way (limits.unfinished_bytes_max), or others arrive faster; nothing was changed",
    )
}

fn paused(pause_max: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        "The body did not go on",
        format!(
            "nothing came for {} s, or less than {PACE_BYTES_PER_S} bytes a second for long; nothing was changed: send it again",
            pause_max.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests;
