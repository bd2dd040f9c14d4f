//! The opening handshake (RFC 6455 §4.2): which requests become sockets.

use tungstenite::handshake::derive_accept_key;
use warp::http::header::{self, HeaderMap, HeaderValue};
use warp::http::{Response, StatusCode};
use warp::hyper::Method;

/// Why a request cannot become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// An ordinary request.
    #[error(
        "this address speaks WebSocket only: connect with a Yjs provider, or read /api/v1/maps/{{map}}/state"
    )]
    NotAnUpgrade,
    /// Another version of the protocol.
    #[error("WebSocket version 13 is needed")]
    Version,
    /// No key, or one that is no key.
    #[error("the Sec-WebSocket-Key header is missing or wrong")]
    Key,
}

/// The answer that turns a request with `headers` into a WebSocket.
///
/// A browser that asked for subprotocols gives up unless one of them is named in the answer: the first is.
///
/// # Errors
/// What the request lacks.
pub fn switching_protocols(
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<()>, UpgradeError> {
    let upgrades = lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket");
    if *method != Method::GET || !upgrades {
        return Err(UpgradeError::NotAnUpgrade);
    }
    if headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_none_or(|v| v != "13")
    {
        return Err(UpgradeError::Version);
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .map(HeaderValue::as_bytes)
        .filter(|k| k.len() == 24);
    let accept = derive_accept_key(key.ok_or(UpgradeError::Key)?);
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(
        header::SEC_WEBSOCKET_ACCEPT,
        HeaderValue::from_str(&accept).map_err(|_| UpgradeError::Key)?,
    );
    if let Some(first) = first_protocol(headers) {
        out.insert(header::SEC_WEBSOCKET_PROTOCOL, first);
    }
    Ok(response)
}

fn lists(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name);
    values
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(word))
}

fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    HeaderValue::from_str(asked.split(',').next()?.trim())
        .ok()
        .filter(|v| !v.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(changes: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in usual.iter().chain(changes) {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_example_of_the_standard_is_answered_as_it_says() {
        let answer = switching_protocols(&Method::GET, &request(&[])).unwrap();
        assert_eq!(
            answer.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!answer.headers().contains_key("sec-websocket-protocol"));
    }

    #[test]
    fn the_first_subprotocol_is_taken() {
        let answer = switching_protocols(
            &Method::GET,
            &request(&[("sec-websocket-protocol", "yjs, other")]),
        );
        assert_eq!(answer.unwrap().headers()["sec-websocket-protocol"], "yjs");
    }

    #[test]
    fn other_requests_are_told_what_they_lack() {
        let refused = |method: Method, changes: &[(&'static str, &str)]| {
            switching_protocols(&method, &request(changes))
                .err()
                .unwrap()
        };
        assert_eq!(refused(Method::POST, &[]), UpgradeError::NotAnUpgrade);
        assert_eq!(
            refused(Method::GET, &[("upgrade", "h2c")]),
            UpgradeError::NotAnUpgrade
        );
        assert_eq!(
            refused(Method::GET, &[("sec-websocket-version", "8")]),
            UpgradeError::Version
        );
        assert_eq!(
            refused(Method::GET, &[("sec-websocket-key", "short")]),
            UpgradeError::Key
        );
    }
}
