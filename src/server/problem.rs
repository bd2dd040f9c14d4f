//! Errors as HTTP answers: RFC 9457 `application/problem+json`.

use serde::Serialize;
use warp::Reply;
use warp::http::{HeaderValue, Response, StatusCode, header};
use warp::hyper::body::Bytes;

use crate::room::{EnterError, Refused, RequestError};

/// An error for a client: what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    #[serde(skip)]
    headers: Vec<(header::HeaderName, &'static str)>,
}

impl Problem {
    /// A problem with a short name that programs can tell apart (`unknown-map`) and a text for people.
    pub fn new(
        status: StatusCode,
        name: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let kind = format!("urn:mapweave:problem:{name}");
        Self {
            kind,
            title,
            status,
            detail: detail.into(),
            retry_after_s: None,
            headers: Vec::new(),
        }
    }

    /// The same with one header more in its answer, which tells what would be taken.
    #[must_use]
    pub fn with_header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with another time after which the request may succeed, in seconds; at least one.
    #[must_use]
    pub fn come_again_in(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the same request may succeed later.
    pub fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether it says that there is no such map.
    pub fn is_unknown_map(&self) -> bool {
        self.kind.ends_with(":unknown-map")
    }

    /// What is wrong with this request in particular, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// A map name that is none.
    pub fn bad_name(error: &mapweave_proto::NameError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-map-name",
            "This is no map name",
            error.to_string(),
        )
    }

    /// A map that was to be made under the name of another.
    pub fn name_taken(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "name-taken",
            "The name is taken",
            detail,
        )
    }

    /// Something in the request that is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request cannot be understood",
            detail,
        )
    }

    /// A body of a type that this address does not take.
    pub fn media_type(expected: &'static str) -> Self {
        let detail = format!("send the body as `Content-Type: {expected}`");
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The body has the wrong media type",
            detail,
        )
    }

    /// More bytes than the limit, which the setting `key` has.
    pub fn too_large(limit_bytes: u64, key: &str) -> Self {
        let detail = format!(
            "the limit is {limit_bytes} bytes ({key}); nothing was changed: send less at once, or have an operator raise the limit or import the data"
        );
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            detail,
        )
    }

    /// An update that breaks a rule: which, and where.
    pub fn refused_update(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused-update",
            "The update was refused; nothing was changed",
            detail,
        )
    }

    /// The same, of an update that goes in in pieces, `written` of which are stored.
    #[must_use]
    pub fn after_pieces(mut self, written: u64) -> Self {
        if written > 0 {
            self.title = "The update was not written to its end";
            self.detail = format!(
                "{}; {written} pieces were written and stay: send the same again to go on",
                self.detail
            );
        }
        self
    }

    /// No such address.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            "see /api/v1/maps for the maps of this server",
        )
    }

    /// The server cannot do it now, and may later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The server cannot do this now",
            detail,
        );
        problem.retry_after_s = Some(5);
        problem
    }
}

impl Reply for Problem {
    fn into_response(self) -> warp::reply::Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body).into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in self.headers {
            headers.insert(name, HeaderValue::from_static(value));
        }
        metrics::counter!("mapweave_http_problems_total", "status" => self.status.as_str().to_owned()).increment(1);
        response
    }
}

impl From<EnterError> for Problem {
    fn from(error: EnterError) -> Self {
        let (status, name, title) = match error {
            EnterError::Deleted { .. } => (StatusCode::GONE, "deleted-map", "This map was deleted"),
            EnterError::Unknown { .. } => {
                (StatusCode::NOT_FOUND, "unknown-map", "There is no such map")
            }
            EnterError::Stopping => return Self::unavailable(error.to_string()),
        };
        Self::new(status, name, title, error.to_string())
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unavailable { .. } => Self::unavailable(error.to_string()),
            RequestError::Refused(refused) => refused.into(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let (status, name, title) = match refused {
            Refused::Exists => return Self::name_taken(detail),
            Refused::ReadOnly | Refused::Forbidden { .. } => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "You may not make this edit; nothing was changed",
            ),
            Refused::Kept => (
                StatusCode::FORBIDDEN,
                "quarantined",
                "The edit is kept for an owner to decide about",
            ),
            Refused::Early { .. } => (
                StatusCode::CONFLICT,
                "early-update",
                "Edits that this one builds on are missing; nothing was changed",
            ),
            Refused::NotQuarantined { .. } => (
                StatusCode::NOT_FOUND,
                "not-quarantined",
                "No such edit waits for a decision",
            ),
            _ => return Self::refused_update(detail),
        };
        Self::new(status, name, title, detail)
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
