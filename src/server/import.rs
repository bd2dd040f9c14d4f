//! `/api/v1/maps/{map}/import`: a file of unsent edits into a map.
//!
//! All edits are tried on a copy of the map's ledger before the first is written, so that a file which the map cannot
//! take changes nothing. Edits that the map has already add nothing, so that a file may be sent again and again.

use std::sync::Arc;

use mapweave_proto::{Ledger, Scanned, UNSENT_MEDIA_TYPE, UnsentEdits, UnsentError, Verdict, scan};
use mapweave_storage::{Origin, Protocol};
use serde::{Deserialize, Serialize};
use warp::Reply;
use warp::http::StatusCode;

use super::entrance::{Caller, Entered};
use super::problem::Problem;
use super::state::App;
use super::upload::Sent;
use crate::auth::Role;
use crate::room::{IfUnknown, Refused, RequestError, RoomHandle};

/// Refused edits that are named; the others are counted.
const NAMED_MAX: usize = 20;

/// Query of POST `import`.
#[derive(Debug, Default, Deserialize)]
pub struct ImportQuery {
    /// Whether the good edits go in where others are refused.
    #[serde(default)]
    keep_going: bool,
}

/// What came of an import.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// The last place of the log that has any of them.
    seq: u64,
    durable: bool,
    /// Edits in the file.
    edits: usize,
    /// Of these, how many brought anything.
    written: usize,
    /// Of these, how many the map does not take.
    refused: usize,
    /// The first of those.
    problems: Vec<RefusedEdit>,
}

/// An edit that the map does not take.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedEdit {
    /// Its number in the file, from 1.
    edit: usize,
    why: String,
}

/// POST `/api/v1/maps/{map}/import[?keep_going=true]`: answers once everything is durable.
pub async fn import(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    query: ImportQuery,
    sent: Sent,
) -> Result<impl Reply, Problem> {
    sent.require(UNSENT_MEDIA_TYPE)?;
    app.check_writable()?;
    let entered = app.enter(&caller, &segment, IfUnknown::Open, Role::Editor);
    let Entered { room, permit } = entered.await?;
    let bytes_max = app.config.limits.update_bytes_max;
    let sent = sent.of_person(&app, &permit.who)?;
    let body = sent.collect(&app, bytes_max).await?;
    let file = UnsentEdits::read(body.bytes.clone()).map_err(|error| unreadable(&error))?;
    let origin = Origin {
        session: format!("unsent edits of {}", file.who),
        ..(*caller.origin(&permit.who, Protocol::Import)).clone()
    };
    let ledger = room.ledger().await?;
    let import = Import {
        bytes_max,
        origin: with_short_session(origin),
    };
    // Up to the largest upload is walked.
    let trying = tokio::task::spawn_blocking(move || {
        let tried = import.try_all(&file, ledger);
        (import, file, tried)
    });
    let (import, file, tried) = trying
        .await
        .map_err(|error| Problem::unavailable(format!("the import ended abruptly: {error}")))?;
    if !tried.refused.is_empty() && !query.keep_going {
        return Err(tried.problem(&file));
    }
    let imported = import.write(&room, &file, tried).await?;
    Ok(warp::reply::json(&imported))
}

struct Import {
    bytes_max: usize,
    origin: Origin,
}

/// The edits of a file, judged.
#[derive(Default)]
struct Tried {
    good: Vec<Good>,
    refused: Vec<RefusedEdit>,
}

struct Good {
    number: usize,
    made_at_ms: u64,
    update: Scanned,
    /// Whether the map lacked it.
    is_new: bool,
}

impl Import {
    /// Judges the edits as the map would, one after the other.
    fn try_all(&self, file: &UnsentEdits, mut ledger: Ledger) -> Tried {
        let mut tried = Tried::default();
        for (number, edit) in (1..).zip(&file.edits) {
            let judged = scan(edit.update.clone(), self.bytes_max)
                .map_err(|error| error.to_string())
                .and_then(|update| {
                    let verdict = ledger
                        .judge(&update)
                        .map_err(|error| Refused::from(error).to_string())?;
                    Ok((update, verdict))
                });
            let why = match judged {
                Ok((_, Verdict::Gap { missing })) => format!(
                    "it builds on edits of {} clients that this map does not have: import those first (the file is of map {:?} at {})",
                    missing.len(),
                    file.map,
                    file.origin
                ),
                Ok((update, verdict)) => {
                    let is_new = !matches!(verdict, Verdict::Nothing);
                    if is_new {
                        ledger.admit(&update);
                    }
                    tried.good.push(Good {
                        number,
                        made_at_ms: edit.made_at_ms,
                        update,
                        is_new,
                    });
                    continue;
                }
                Err(why) => why,
            };
            tried.refused.push(RefusedEdit { edit: number, why });
        }
        tried
    }

    /// Writes what is good, each edit with its own time.
    async fn write(
        self,
        room: &RoomHandle,
        file: &UnsentEdits,
        tried: Tried,
    ) -> Result<Imported, Problem> {
        let Tried { good, mut refused } = tried;
        let (mut seq, mut written) = (0, 0);
        for edit in good {
            let origin = Arc::new(Origin {
                made_at_ms: Some(edit.made_at_ms),
                ..self.origin.clone()
            });
            match room.submit(edit.update, origin).await {
                Ok(at) => {
                    seq = seq.max(at.0);
                    written += usize::from(edit.is_new);
                }
                // The map knows rules that its ledger does not.
                Err(RequestError::Refused(why)) => refused.push(RefusedEdit {
                    edit: edit.number,
                    why: why.to_string(),
                }),
                Err(error) => return Err(Problem::from(error).after_pieces(written as u64)),
            }
        }
        Ok(Imported {
            seq,
            durable: true,
            edits: file.edits.len(),
            written,
            refused: refused.len(),
            problems: refused.into_iter().take(NAMED_MAX).collect(),
        })
    }
}

impl Tried {
    fn problem(&self, file: &UnsentEdits) -> Problem {
        let named: Vec<String> = self
            .refused
            .iter()
            .take(3)
            .map(|refused| format!("edit {}: {}", refused.edit, refused.why))
            .collect();
        Problem::refused_update(format!(
            "of {} edits {} cannot be taken in; {}. With ?keep_going=true the others go in",
            file.edits.len(),
            self.refused.len(),
            named.join("; ")
        ))
    }
}

fn unreadable(error: &UnsentError) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "unreadable-edits",
        "The file of unsent edits cannot be read; nothing was changed",
        error.to_string(),
    )
}

/// The log keeps a label of so many bytes.
fn with_short_session(mut origin: Origin) -> Origin {
    let max = mapweave_storage::TEXT_BYTES_MAX;
    while origin.session.len() > max {
        origin.session.pop();
    }
    origin
}
