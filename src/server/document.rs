//! `/api/v1/maps/{map}/state`: the document as a Yjs update, read and written over plain HTTP.
//!
//! A state has a strong tag that names a place of the map's log and its bytes. While it is downloaded it is pinned, so that
//! a download over a link that breaks goes on where it broke (`Range` with `If-Range`).

mod encode;
mod pins;
mod range;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use mapweave_proto::{Access, Seq, StateVector, scan};
use mapweave_storage::Protocol;
use serde::Deserialize;
use serde_json::json;
use warp::Reply;
use warp::http::{HeaderMap, Response, StatusCode, header};

use self::encode::Encoding;
use self::range::{Asked, ENCODING_MARK, Part};
use super::entrance::{Caller, Entered};
use super::events::{Epoch, Place};
use super::problem::Problem;
use super::state::{App, map_name};
use super::upload::{self, Sent, Upload, UploadLimits};
use crate::auth::Role;
use crate::room::{IfUnknown, Refused, RequestError, RoomHandle};

pub use self::pins::{Pinned, Pins};

/// The only media type of a posted update. Pages of other origins cannot send it without asking first.
pub const UPDATE_MEDIA_TYPE: &str = "application/octet-stream";

/// Digits of the hash in a tag: 64 bits, beside the place of the log.
const HASH_DIGITS: usize = 16;

/// How often pinned states are looked through while there are any.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// The update of a map that nobody has written to.
const EMPTY_UPDATE: Bytes = Bytes::from_static(&[0, 0]);

/// Query of GET `state`. Others are passed over, as cache busters are common.
#[derive(Debug, Default, Deserialize)]
pub struct StateQuery {
    /// State vector that the reader has, in base64url.
    sv: Option<String>,
    /// What a map that is not there is.
    #[serde(default)]
    unknown: Unknown,
}

/// What a reader takes a map for that is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// An error: it asked for something that it believes is there.
    #[default]
    Refused,
    /// Empty: it would be made by the first edit.
    Empty,
}

/// GET and HEAD `/api/v1/maps/{map}/state[?sv=][&unknown=empty]`.
pub async fn read(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    query: StateQuery,
    headers: HeaderMap,
) -> Result<warp::reply::Response, Problem> {
    let have = match query.sv.as_deref() {
        None | Some("") => StateVector::default(),
        Some(text) => state_vector(text)?,
    };
    let asked = Asked::read(&headers);
    let entered = app.enter(&caller, &segment, IfUnknown::Refuse, Role::Viewer);
    let room = match entered.await {
        Err(problem) if query.unknown == Unknown::Empty && problem.is_unknown_map() => {
            let empty = Pinned {
                tag: "\"none\"".into(),
                bytes: EMPTY_UPDATE,
                seq: Seq::ZERO,
                whole: true,
            };
            return answer(empty, &asked, &headers, None).await;
        }
        entered => entered?.room,
    };
    let epoch = Epoch::of(app.rooms.store().identity(), room.doc());
    let state = match pinned(&app, &room, &asked) {
        Some(state) => state,
        None => present(&app, &room, have, epoch).await?,
    };
    answer(state, &asked, &headers, Some(epoch)).await
}

/// The bytes that a broken download began with, if they are still there.
fn pinned(app: &App, room: &RoomHandle, asked: &Asked) -> Option<Pinned> {
    app.pins.find(room.doc(), asked.of()?, Instant::now())
}

/// The state as it is, under a tag that stays with these bytes.
async fn present(
    app: &Arc<App>,
    room: &RoomHandle,
    have: StateVector,
    epoch: Epoch,
) -> Result<Pinned, Problem> {
    let whole = have.is_empty();
    let state = room.state(have).await?;
    let (doc, now) = (room.doc(), Instant::now());
    if whole && let Some(pinned) = app.pins.whole_at(doc, state.seq, now) {
        return Ok(pinned);
    }
    let place = Place {
        epoch,
        seq: state.seq,
    };
    // Nobody promises that one state is always encoded alike.
    let hash = blake3::hash(&state.update).to_hex();
    let hash: String = hash.chars().take(HASH_DIGITS).collect();
    let pinned = Pinned {
        tag: format!("\"{place}.{hash}\"").into(),
        bytes: state.update,
        seq: state.seq,
        whole,
    };
    if app.pins.pin(doc, &pinned, now) {
        app.tasks.spawn(sweep(app.clone()));
    }
    tell_pinned(app);
    Ok(pinned)
}

/// Lets go of pinned states as their time comes, until none is left.
async fn sweep(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        let is_left = app.pins.sweep(Instant::now());
        tell_pinned(&app);
        if !is_left {
            return;
        }
    }
}

fn tell_pinned(app: &App) {
    metrics::gauge!("mapweave_pinned_states_bytes").set(app.pins.bytes() as f64);
}

async fn answer(
    state: Pinned,
    asked: &Asked,
    headers: &HeaderMap,
    epoch: Option<Epoch>,
) -> Result<warp::reply::Response, Problem> {
    let length = state.bytes.len();
    let mut tag = state.tag.to_string();
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, UPDATE_MEDIA_TYPE)
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::VARY, "accept-encoding")
        .header("mapweave-seq", state.seq.0)
        .header("mapweave-whole", if state.whole { "1" } else { "0" });
    if let Some(epoch) = epoch {
        response = response.header("mapweave-epoch", epoch.to_string());
    }
    let body = match asked.answer(&tag, length) {
        Part::Known => {
            response = response.status(StatusCode::NOT_MODIFIED);
            Bytes::new()
        }
        Part::Outside => {
            response = response
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, format!("bytes */{length}"));
            Bytes::new()
        }
        Part::Some { start, end } => {
            let last = end.saturating_sub(1);
            response = response.status(StatusCode::PARTIAL_CONTENT).header(
                header::CONTENT_RANGE,
                format!("bytes {start}-{last}/{length}"),
            );
            state.bytes.slice(start..end)
        }
        Part::Whole => match encoded(&state.bytes, asked, headers).await {
            Some((encoding, body)) => {
                response = response.header(header::CONTENT_ENCODING, encoding.name());
                tag.insert_str(
                    tag.len().saturating_sub(1),
                    &format!("{ENCODING_MARK}{}", encoding.name()),
                );
                body
            }
            None => state.bytes,
        },
    };
    response
        .header(header::ETAG, tag)
        .body(body.into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}

/// Bytes made smaller for a client that takes all of them at once; ranges are of the bytes as they are.
async fn encoded(bytes: &Bytes, asked: &Asked, headers: &HeaderMap) -> Option<(Encoding, Bytes)> {
    if asked.wants_range() {
        return None;
    }
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let encoding = Encoding::choose(accepted)?;
    Some((encoding, encoding.encode(bytes).await?))
}

/// POST `/api/v1/maps/{map}/state`: answers once the update is durable, in the map or, with 202, in quarantine. One that
/// is too large to be one update is written in pieces once all of it has arrived and was checked.
pub async fn write(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    sent: Sent,
) -> Result<impl Reply, Problem> {
    sent.require(UPDATE_MEDIA_TYPE)?;
    app.check_writable()?;
    let Entered { room, permit } = entered(&app, &caller, &segment).await?;
    let sent = sent.of_person(&app, &permit.who)?;
    let limits = &app.config.limits;
    // What only an editor may write is judged as one update of everybody else, so that is all they may send.
    let is_editor = permit.access == Access::ReadWrite;
    let (state_bytes_max, named) = match is_editor {
        true => (limits.state_bytes_max, "limits.state_bytes_max"),
        false => (limits.update_bytes_max as u64, "limits.update_bytes_max"),
    };
    let limits = UploadLimits {
        update_bytes_max: limits.update_bytes_max,
        state_bytes_max,
        named,
        pause_max: upload::PAUSE_MAX,
    };
    let into = upload::Intake {
        spool: is_editor.then_some(&app.spool),
        unfinished: &app.unfinished,
        stop: &app.stop,
    };
    let origin = caller.origin(&permit.who, Protocol::Rest);
    let seq = match sent.receive(limits, into).await? {
        Upload::Small(body) => {
            let update = scan(body.bytes.clone(), limits.update_bytes_max)
                .map_err(|error| Problem::refused_update(error.to_string()))?;
            match room.submit_as(permit.access, update, origin).await {
                Err(RequestError::Refused(kept @ Refused::Kept)) => {
                    let told = json!({ "quarantined": true, "reason": kept.to_string() });
                    let told = warp::reply::json(&told);
                    return Ok(warp::reply::with_status(told, StatusCode::ACCEPTED));
                }
                submitted => submitted?,
            }
        }
        Upload::Large(spooled) => upload::apply(app.clone(), room, spooled, origin).await?,
    };
    let told = warp::reply::json(&json!({ "seq": seq.0, "durable": true }));
    Ok(warp::reply::with_status(told, StatusCode::OK))
}

/// A way into a map for whoever may send it something; what of that it takes, the room decides. Editors make the map
/// by that.
async fn entered(app: &Arc<App>, caller: &Caller, segment: &str) -> Result<Entered, Problem> {
    let name = map_name(segment)?;
    let permit = app.depositor(caller, &name).await?;
    let if_unknown = match permit.access {
        Access::ReadWrite => IfUnknown::Open,
        _ => IfUnknown::Refuse,
    };
    let room = app.rooms.enter(&name, if_unknown)?;
    Ok(Entered { room, permit })
}

fn state_vector(text: &str) -> Result<StateVector, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let vector = bytes.and_then(|bytes| StateVector::decode(bytes.into()).ok());
    vector.ok_or_else(|| Problem::bad_request("`sv` is no state vector in base64url"))
}
