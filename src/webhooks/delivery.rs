//! One delivery: signed, tried again with pauses that grow, given up after a while. Start at [`Courier::carry`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::StatusCode;
use ring::hmac;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::queue::Batch;
use crate::auth::Secret;
use crate::time::{now_unix_ms, rfc3339_ms};
use crate::tls::Service;

/// Has the signature of the body: `sha256=` and the HMAC-SHA256 in hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-mapweave-signature";

/// Has the id of the delivery, the same each time it is tried.
pub const DELIVERY_HEADER: &str = "x-mapweave-delivery";

/// How long an answer may take.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes, so that the connection can be used again.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// How often a delivery is tried.
const TRIES_MAX: u32 = 8;

/// The pause after the first try; each later one is twice as long …
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The service has it.
    Taken,
    /// The service does not want it, and would not later.
    Refused,
    /// The service was not there, or not able, each time.
    Unreachable,
}

/// Carries deliveries to one service.
pub(super) struct Courier {
    service: Service,
    secret: Secret,
    /// Whether the service could not be reached the last time, which is told once and not with every try.
    silent: AtomicBool,
}

impl Courier {
    /// To a service; `secret`, where there is one, signs what it is told.
    pub(super) fn new(service: Service, secret: Secret) -> Self {
        Self {
            service,
            secret,
            silent: AtomicBool::new(false),
        }
    }

    /// Delivers, trying again while that may help and `stop` has not rung.
    pub(super) async fn carry(&self, batch: &Batch, stop: &CancellationToken) -> Outcome {
        let (id, body) = self.written(batch);
        for tried in 1..=TRIES_MAX {
            match self.try_once(&id, &body).await {
                Outcome::Unreachable => {}
                known => return known,
            }
            if tried == TRIES_MAX || stop.is_cancelled() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(pause(tried, random())) => {}
                () = stop.cancelled() => {}
            }
        }
        tracing::warn!(
            events = batch.events.len(),
            "the webhook cannot be reached, what it was to be told is given up"
        );
        Outcome::Unreachable
    }

    /// Delivers, or not.
    pub(super) async fn carry_once(&self, batch: &Batch) -> Outcome {
        let (id, body) = self.written(batch);
        self.try_once(&id, &body).await
    }

    fn written(&self, batch: &Batch) -> (String, Bytes) {
        let id = Uuid::now_v7().to_string();
        let body = json!({
            "id": id,
            "sent_at": rfc3339_ms(now_unix_ms()),
            "dropped": batch.dropped,
            "events": batch.events,
        });
        (id, body.to_string().into())
    }

    async fn try_once(&self, id: &str, body: &Bytes) -> Outcome {
        let mut request = self.service.post().header(DELIVERY_HEADER, id);
        if !self.secret.is_empty() {
            let signed = signature(self.secret.expose().as_bytes(), body);
            request = request.header(SIGNATURE_HEADER, signed);
        }
        let Ok(request) = request.body(Full::new(body.clone())) else {
            return Outcome::Refused;
        };
        let answer = async {
            let response = self.service.ask(request).await;
            let response = response.map_err(|silent| silent.to_string())?;
            let (head, body) = response.into_parts();
            // A connection whose answer was read can be used again; what the answer says does not matter.
            let _ = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok(head.status)
        };
        let status = tokio::time::timeout(ANSWER_LIMIT, answer).await;
        let late = |_| Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs()));
        let status = status.unwrap_or_else(late);
        self.note(status.as_ref().err());
        let outcome = status.map_or(Outcome::Unreachable, judged);
        if outcome == Outcome::Refused {
            tracing::warn!("the webhook refuses what it is told");
        }
        outcome
    }

    /// Tells the operator why the service cannot be reached, once until it is reached again.
    fn note(&self, why: Option<&String>) {
        let was_silent = self.silent.swap(why.is_some(), Ordering::Relaxed);
        if let Some(why) = why.filter(|_| !was_silent) {
            tracing::warn!(why, "the webhook cannot be reached, it is tried again");
        }
    }
}

/// What a status says about trying again.
fn judged(status: StatusCode) -> Outcome {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    match status {
        status if status.is_success() => Outcome::Taken,
        status if status.is_server_error() || later.contains(&status) => Outcome::Unreachable,
        _ => Outcome::Refused,
    }
}

/// How long to wait after a try, between half and all of what is twice as long each time. `random` is any number.
fn pause(tried: u32, random: u64) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1_u32.checked_shl(tried - 1).unwrap_or(u32::MAX));
    let longest = doubled.min(PAUSE_MAX);
    let half_ms = u64::try_from(longest.as_millis() / 2).unwrap_or(0);
    Duration::from_millis(half_ms + random % (half_ms + 1))
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

/// The signature of a body, as it stands in [`SIGNATURE_HEADER`].
pub fn signature(secret: &[u8], body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, body);
    let digits: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_signed_as_rfc_4231_has_it() {
        let signed = signature(b"Jefe", b"what do ya want for nothing?");
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signed, format!("sha256={wanted}"));
    }

    #[test]
    fn pauses_grow_and_spread_and_have_an_end() {
        for tried in 1..40 {
            let (shortest, longest) = (pause(tried, 0), pause(tried, u64::MAX));
            assert!(shortest <= longest && longest <= PAUSE_MAX);
            assert!(shortest >= pause(tried.saturating_sub(1).max(1), 0));
        }
        assert_eq!(pause(1, 0), PAUSE_MIN / 2);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, outcome) in [
            (200, Outcome::Taken),
            (204, Outcome::Taken),
            (301, Outcome::Refused),
            (400, Outcome::Refused),
            (404, Outcome::Refused),
            (408, Outcome::Unreachable),
            (429, Outcome::Unreachable),
            (503, Outcome::Unreachable),
        ] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(judged(status), outcome, "{status}");
        }
    }
}
