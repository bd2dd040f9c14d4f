//! Tells a service of the operator's what happens in live maps: who comes and goes, that a map has changed, and
//! messages to whoever runs the server. `docs/webhooks.md` is for those who write such a service.
//!
//! Rooms hand over what happens without waiting; one task delivers it, several events together, and tries again where
//! the service does not answer. What finds no room meanwhile is dropped and counted. Start at [`Webhooks`].

mod delivery;
mod queue;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mapweave_proto::{MapName, Seq};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::delivery::{ANSWER_LIMIT, Courier, Outcome};
pub use self::delivery::{SIGNATURE_HEADER, signature};
use self::queue::{Batch, Now, Queue};
use crate::auth::Secret;
use crate::config;
use crate::room::{Observer, PeopleNews, Person, Sender};
use crate::time::{now_unix_ms, rfc3339_ms};
use crate::tls::{Service, ServiceAt, ServiceError};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// Who comes and goes.
    pub people: bool,
    /// That a map has changed.
    pub changes: bool,
    /// Messages of clients to whoever runs the server.
    pub messages: bool,
}

/// Where it is told, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the service.
    pub url: String,
    /// File with the authorities that vouch for it over https, if not those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// What deliveries are signed with.
    pub secret: Secret,
    /// What is told.
    pub kinds: Kinds,
    /// How long changes of one map are collected.
    pub collect: Duration,
}

/// The service that is told.
pub struct Webhooks {
    courier: Courier,
    kinds: Kinds,
    queue: Mutex<Queue>,
    news: Notify,
    began: Instant,
}

impl Webhooks {
    /// The service of the settings, if they name one.
    ///
    /// # Errors
    /// As [`Webhooks::new`].
    pub fn of(config: &config::Webhooks) -> Result<Option<Arc<Self>>, ServiceError> {
        let Some(url) = config.url.clone() else {
            return Ok(None);
        };
        Self::new(Settings {
            url,
            ca_file: config.ca_file.clone(),
            secret: config.secret.clone(),
            kinds: Kinds {
                people: config.people,
                changes: config.changes,
                messages: config.messages,
            },
            collect: Duration::from_secs(config.collect_s),
        })
        .map(Some)
    }

    /// A service that was told nothing so far.
    ///
    /// # Errors
    /// Where the address is none, or there is nobody to trust.
    pub fn new(settings: Settings) -> Result<Arc<Self>, ServiceError> {
        let service = Service::new(ServiceAt {
            url: &settings.url,
            ca_file: settings.ca_file.as_deref(),
            ca_key: "webhooks.ca_file",
            connect_limit: ANSWER_LIMIT,
        })?;
        let collect_ms = u64::try_from(settings.collect.as_millis()).unwrap_or(u64::MAX);
        Ok(Arc::new(Self {
            courier: Courier::new(service, settings.secret),
            kinds: settings.kinds,
            queue: Mutex::new(Queue::new(collect_ms)),
            news: Notify::new(),
            began: Instant::now(),
        }))
    }

    /// Delivers until `stop` rings; what waits then is tried once more.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let now_ms = self.now().ms;
            let batch = self.lock().take(now_ms);
            match batch {
                Some(batch) => {
                    let outcome = self.deliver(batch, &stop).await;
                    // A stop does not wait for who does not answer.
                    if stop.is_cancelled() && outcome == Outcome::Unreachable {
                        return;
                    }
                }
                None => {
                    tokio::select! {
                        () = self.wait(now_ms) => {}
                        () = stop.cancelled() => break,
                    }
                }
            }
        }
        // What was being collected is due now.
        loop {
            let Some(batch) = self.lock().take(u64::MAX) else {
                return;
            };
            if self.courier.carry_once(&batch).await != Outcome::Taken {
                return;
            }
        }
    }

    /// Completes when there may be something to deliver.
    async fn wait(&self, now_ms: u64) {
        let due_ms = self.lock().due_ms();
        let due = async {
            match due_ms {
                Some(due) => {
                    tokio::time::sleep(Duration::from_millis(due.saturating_sub(now_ms))).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = self.news.notified() => {}
        }
    }

    async fn deliver(&self, batch: Batch, stop: &CancellationToken) -> Outcome {
        let outcome = self.courier.carry(&batch, stop).await;
        let word = match outcome {
            Outcome::Taken => "taken",
            Outcome::Refused => "refused",
            Outcome::Unreachable => "unreachable",
        };
        metrics::counter!("mapweave_webhook_events_total", "outcome" => word)
            .increment(batch.events.len() as u64);
        outcome
    }

    fn push(&self, event: Value) -> bool {
        let taken = self.lock().push(event);
        if !taken {
            metrics::counter!("mapweave_webhook_events_total", "outcome" => "dropped").increment(1);
        }
        self.news.notify_one();
        taken
    }

    fn now(&self) -> Now {
        Now {
            ms: self.began.elapsed().as_millis() as u64,
            unix_ms: now_unix_ms(),
        }
    }

    /// Held for a few steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Webhooks {
    fn people(&self, map: &MapName, news: &PeopleNews) {
        if !self.kinds.people {
            return;
        }
        let at = rfc3339_ms(self.now().unix_ms);
        let tell = |kind: &str, person: &Person| {
            self.push(json!({
                "kind": kind,
                "map": map.as_str(),
                "at": at,
                "client": person.client,
                "name": person.name,
                "user": person.user,
                "count": news.count,
            }));
        };
        news.joined.iter().for_each(|person| tell("join", person));
        news.left.iter().for_each(|person| tell("leave", person));
    }

    fn changed(&self, map: &MapName, upto: Seq) {
        if self.kinds.changes {
            let now = self.now();
            self.lock().change(map, upto, now);
            self.news.notify_one();
        }
    }

    fn message(&self, map: &MapName, from: &Sender, text: &str) -> bool {
        self.kinds.messages
            && self.push(json!({
                "kind": "message",
                "map": map.as_str(),
                "at": rfc3339_ms(self.now().unix_ms),
                "from": from,
                "text": text,
            }))
    }
}
