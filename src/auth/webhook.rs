//! Tokens of others: a service of the operator's is asked what their bearers may do.
//!
//! `POST {"token", "map", "address"}` is answered with `{"user", "name", "role", "maps", "expires"}`. Whatever goes
//! wrong, nobody is let in. Questions and answers are bounded, and an answer is kept for as long as it says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{StatusCode, header};
use mapweave_proto::MapName;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::claims::{Claims, Grant, NumericDate};
use super::gate::Clock;
use super::key::fingerprint;
use super::permit::{Passport, Refused, Rights, TokenFacts, Who};
use super::role::Role;
use super::secret::Secret;
use crate::config;
use crate::tls::{Service, ServiceAt, ServiceError};

/// How long an answer may take, the wait for a place included.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Most questions at once.
const QUESTIONS_MAX: usize = 32;

/// Most answers that are kept.
const ANSWERS_MAX: usize = 8_192;

/// How long an answer is good that does not say it, in seconds.
const GOOD_S: u64 = 3_600;

/// How long a yes is kept at most, in seconds: so soon the service is asked again by whoever comes anew.
const KEPT_S: u64 = 300;

/// How long a no is kept, in seconds: clients that come back without pause ask no more often.
const REFUSAL_KEPT_S: u64 = 5;

/// The operator's service.
pub(super) struct Webhook {
    service: Service,
    secret: Secret,
    places: Semaphore,
    answers: Mutex<Answers>,
}

/// A question.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub token: &'a str,
    /// None where it is not about one map.
    pub map: Option<&'a MapName>,
    pub from: IpAddr,
}

type Answers = HashMap<([u8; 32], Option<MapName>), Kept>;

/// An answer until a moment in milliseconds since 1970.
struct Kept {
    answer: Result<Passport, Refused>,
    until_ms: u64,
}

/// What the service says of those it lets in.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    user: String,
    #[serde(default)]
    name: String,
    /// In the map asked for; in all, where none was named.
    #[serde(default)]
    role: Option<Role>,
    /// Instead of a role.
    #[serde(default)]
    maps: Vec<Grant>,
    #[serde(default)]
    expires: Option<NumericDate>,
}

impl Webhook {
    /// The service of the configuration, if it names one. Its secret, where there is one, goes with every question as a
    /// bearer's token.
    pub(super) fn of(auth: &config::Auth) -> Result<Option<Self>, ServiceError> {
        let Some(url) = &auth.webhook_url else {
            return Ok(None);
        };
        let service = Service::new(ServiceAt {
            url,
            ca_file: auth.webhook_ca_file.as_deref(),
            ca_key: "auth.webhook_ca_file",
            connect_limit: ANSWER_LIMIT,
        })?;
        Ok(Some(Self {
            service,
            secret: auth.webhook_secret.clone(),
            places: Semaphore::new(QUESTIONS_MAX),
            answers: Mutex::default(),
        }))
    }

    /// Who the bearer of a token is, by the service's word now or of late.
    pub(super) async fn ask(&self, asked: Asked<'_>, clock: &Clock) -> Result<Passport, Refused> {
        let key = (fingerprint(asked.token), asked.map.cloned());
        if let Some(kept) = self.lock().get(&key).filter(|kept| clock() < kept.until_ms) {
            return kept.answer.clone();
        }
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.fetch(asked, clock)).await;
        let answer = answer.unwrap_or_else(|_| Err(unavailable("it does not answer in time")));
        let word = match &answer {
            Ok(_) => "yes",
            Err(Refused::Unavailable(_)) => "none",
            Err(_) => "no",
        };
        metrics::counter!("mapweave_auth_webhook_total", "answer" => word).increment(1);
        let kept_s = match &answer {
            Ok(_) => KEPT_S,
            Err(Refused::Unavailable(_)) => return answer,
            Err(_) => REFUSAL_KEPT_S,
        };
        let now_ms = clock();
        let ends_ms = answer
            .as_ref()
            .ok()
            .and_then(|passport| passport.expires_at_ms);
        let kept_ms = now_ms.saturating_add(kept_s * 1_000);
        let until_ms = kept_ms.min(ends_ms.unwrap_or(u64::MAX));
        let mut answers = self.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, kept| kept.until_ms > now_ms);
        }
        if answers.len() < ANSWERS_MAX {
            let answer = answer.clone();
            answers.insert(key, Kept { answer, until_ms });
        }
        answer
    }

    /// Forgets all answers.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    async fn fetch(&self, asked: Asked<'_>, clock: &Clock) -> Result<Passport, Refused> {
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|_| unavailable("it is not asked any more"))?;
        let body = json!({
            "token": asked.token,
            "map": asked.map.map(MapName::as_str),
            "address": asked.from.to_string(),
        });
        let mut request = self.service.post();
        if !self.secret.is_empty() {
            let bearer = format!("Bearer {}", self.secret.expose());
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(Full::new(Bytes::from(body.to_string())));
        let request = request.map_err(|_| unavailable("it cannot be asked this"))?;
        let response = self.service.ask(request).await.map_err(|why| {
            tracing::warn!(%why, "the auth webhook cannot be reached");
            unavailable("it cannot be reached")
        })?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                return Err(Refused::BadToken("the token is not valid".to_owned()));
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                return Err(Refused::Forbidden(
                    "your token is not for this map".to_owned(),
                ));
            }
            status => {
                tracing::warn!(%status, "the auth webhook gives no answer");
                return Err(unavailable("it gives no answer"));
            }
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| unavailable("its answer breaks off or is too large"))?;
        let said: Said = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
            tracing::warn!(%error, "the answer of the auth webhook is not as it should be");
            unavailable("its answer cannot be read")
        })?;
        said.passport(clock())
    }

    /// Held for a look-up only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn passport(self, now_ms: u64) -> Result<Passport, Refused> {
        let now_s = now_ms / 1_000;
        let expires = self
            .expires
            .unwrap_or(NumericDate(now_s.saturating_add(GOOD_S)));
        let claims = Claims {
            sub: self.user,
            name: self.name,
            exp: Some(expires),
            maps: self.maps,
            ..Claims::default()
        };
        claims.check(now_ms, 0, "").map_err(|error| {
            tracing::warn!(%error, "the auth webhook answers with what cannot be taken");
            unavailable("its answer cannot be taken")
        })?;
        let rights = match self.role {
            Some(role) => Rights::Everywhere(role),
            None => Rights::Granted(claims.maps.into()),
        };
        Ok(Passport {
            who: Arc::new(Who {
                id: claims.sub,
                name: claims.name,
            }),
            rights,
            expires_at_ms: Some(expires.ms()),
            // What is revoked from now on concerns what was asked before.
            token: Some(Arc::new(TokenFacts {
                id: None,
                issued_at_s: Some(now_s),
            })),
        })
    }
}

fn unavailable(why: &str) -> Refused {
    Refused::Unavailable(format!(
        "whether you may cannot be found out now ({why}); nobody is let in meanwhile, try again"
    ))
}
