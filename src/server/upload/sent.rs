//! What a request brings with it, before anything of its body is taken in.

use std::fmt::Display;

use bytes::{Buf, Bytes};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use warp::http::{HeaderMap, header};
use warp::{Filter, Rejection};

use super::{Body, Intake, Upload, UploadLimits, collect, receive, require};
use crate::auth::Who;
use crate::server::problem::Problem;
use crate::server::state::App;

/// The only media type of JSON.
pub const JSON_MEDIA_TYPE: &str = "application/json";

/// A request's headers, and its body as far as nobody has asked for it: whoever is turned away sends it in vain.
pub struct Sent {
    /// What it says of itself.
    pub headers: HeaderMap,
    body: BoxStream<'static, Result<Bytes, String>>,
}

/// Takes what a request brings.
pub fn sent() -> impl Filter<Extract = (Sent,), Error = Rejection> + Clone {
    warp::header::headers_cloned()
        // A media type that is no text is wrong as a header before it is as a type.
        .and(warp::header::optional("content-type"))
        .and(warp::body::stream())
        .map(|headers, _: Option<String>, body| Sent::new(headers, body))
}

impl Sent {
    /// A body with its headers.
    pub fn new<B: Buf, E: Display>(
        headers: HeaderMap,
        body: impl Stream<Item = Result<B, E>> + Send + 'static,
    ) -> Self {
        let body = body
            .map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))
            .map_err(|error| error.to_string())
            .boxed();
        Self { headers, body }
    }

    /// The same, counted for the person who sends it as it arrives.
    ///
    /// # Errors
    /// As [`App::pay`].
    pub fn of_person(self, app: &App, who: &Who) -> Result<Self, Problem> {
        app.pay(who, 0)?;
        let Some(pace) = app.pace(who) else {
            return Ok(self);
        };
        let rooms = app.rooms.clone();
        let counted = move |chunk: &Bytes| {
            // The request was let in: what it brings delays those after it.
            let _ = pace.take(rooms.now_ms(), 0, chunk.len() as u64);
        };
        Ok(Self {
            headers: self.headers,
            body: self.body.inspect_ok(counted).boxed(),
        })
    }

    /// As [`require`], of its headers.
    ///
    /// # Errors
    /// Where the body is of another media type or says none.
    pub fn require(&self, expected: &'static str) -> Result<(), Problem> {
        let said = self.headers.get(header::CONTENT_TYPE);
        require(said.and_then(|value| value.to_str().ok()), expected)
    }

    /// As [`collect`].
    ///
    /// # Errors
    /// As [`receive`].
    pub async fn collect(self, app: &App, limit_bytes: usize) -> Result<Body, Problem> {
        collect(app, self.body, limit_bytes).await
    }

    /// As [`receive`], with the length that it says.
    ///
    /// # Errors
    /// As [`receive`].
    pub async fn receive(self, limits: UploadLimits, into: Intake<'_>) -> Result<Upload, Problem> {
        let said = self.headers.get(header::CONTENT_LENGTH);
        let declared_bytes = said.and_then(|value| value.to_str().ok()?.parse().ok());
        receive(self.body, declared_bytes, limits, into).await
    }

    /// Takes in a small JSON body.
    ///
    /// # Errors
    /// Where it is of another media type, too large, breaks off or is not of the form `T`.
    pub async fn json<T: DeserializeOwned>(
        self,
        app: &App,
        limit_bytes: usize,
    ) -> Result<T, Problem> {
        self.require(JSON_MEDIA_TYPE)?;
        let body = self.collect(app, limit_bytes).await?;
        serde_json::from_slice(&body.bytes).map_err(|error| {
            Problem::bad_request(format!("the body is not as it should be: {error}"))
        })
    }
}
