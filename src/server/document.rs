//! `/api/v1/maps/{map}/state`: the document as a Yjs update, read and written over plain HTTP.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, Bytes};
use futures_util::Stream;
use mapweave_proto::{StateVector, scan};
use mapweave_storage::Protocol;
use serde::Deserialize;
use serde_json::json;
use warp::Reply;
use warp::http::{Response, StatusCode, header};

use super::accept::PeerAddress;
use super::problem::Problem;
use super::state::{App, origin};
use super::upload::{self, Upload, UploadLimits};
use crate::room::IfUnknown;

/// The only media type of a posted update. Pages of other origins cannot send it without asking first.
pub const UPDATE_MEDIA_TYPE: &str = "application/octet-stream";

/// Query of GET `state`. Others are passed over, as cache busters are common.
#[derive(Debug, Default, Deserialize)]
pub struct StateQuery {
    /// State vector that the reader has, in base64url.
    sv: Option<String>,
}

/// GET `/api/v1/maps/{map}/state[?sv=]`.
pub async fn read(
    app: Arc<App>,
    segment: String,
    query: StateQuery,
    if_none_match: Option<String>,
) -> Result<warp::reply::Response, Problem> {
    let have = match query.sv.as_deref() {
        None | Some("") => StateVector::default(),
        Some(text) => state_vector(text)?,
    };
    let room = app.enter(&segment, IfUnknown::Refuse)?;
    let whole = have.is_empty();
    let state = room.state(have).await?;
    let tag = format!(
        "\"{}\"",
        blake3::hash(&state.update)
            .to_hex()
            .get(..32)
            .unwrap_or_default()
    );
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, UPDATE_MEDIA_TYPE)
        .header(header::CACHE_CONTROL, "no-cache")
        .header("mapweave-seq", state.seq.0)
        .header("mapweave-whole", if whole { "1" } else { "0" })
        .header(header::ETAG, &tag);
    let known = if_none_match
        .is_some_and(|tags| tags.split(',').any(|t| t.trim() == tag || t.trim() == "*"));
    let body = if known {
        response = response.status(StatusCode::NOT_MODIFIED);
        Bytes::new()
    } else {
        state.update
    };
    response
        .body(body.into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}

/// POST `/api/v1/maps/{map}/state`: answers once the update is durable. One that is too large to be one update is
/// written in pieces once all of it has arrived and was checked.
pub async fn write<S, B, E>(
    app: Arc<App>,
    segment: String,
    (media_type, declared_bytes): (Option<String>, Option<u64>),
    body: S,
    address: PeerAddress,
) -> Result<impl Reply, Problem>
where
    S: Stream<Item = Result<B, E>> + Send,
    B: Buf,
    E: std::fmt::Display,
{
    upload::require(media_type.as_deref(), UPDATE_MEDIA_TYPE)?;
    app.check_writable()?;
    let room = app.enter(&segment, IfUnknown::Open)?;
    let limits = &app.config.limits;
    let limits = UploadLimits {
        update_bytes_max: limits.update_bytes_max,
        state_bytes_max: limits.state_bytes_max,
        named: "limits.state_bytes_max",
        pause_max: upload::PAUSE_MAX,
    };
    let into = upload::Intake {
        spool: Some(&app.spool),
        unfinished: &app.unfinished,
    };
    let origin = origin(address, Protocol::Rest);
    let seq = match upload::receive(body, declared_bytes, limits, into).await? {
        Upload::Small(body) => {
            let update = scan(body.bytes.clone(), limits.update_bytes_max)
                .map_err(|error| Problem::refused_update(error.to_string()))?;
            room.submit(update, origin).await?
        }
        Upload::Large(spooled) => upload::apply(app.clone(), room, spooled, origin).await?,
    };
    Ok(warp::reply::json(&json!({ "seq": seq.0, "durable": true })))
}

fn state_vector(text: &str) -> Result<StateVector, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let vector = bytes.and_then(|bytes| StateVector::decode(bytes.into()).ok());
    vector.ok_or_else(|| Problem::bad_request("`sv` is no state vector in base64url"))
}
