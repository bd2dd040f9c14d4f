//! What every answer tells a browser not to do with it.

use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use warp::http::{Response, StatusCode};

use super::accept::Scheme;

/// Nothing of an answer that is no page is to be run, loaded or shown in a frame. The page says its own.
const NO_CONTENT: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// A page may ask for the device's position, and for nothing else.
const POSITION_ONLY: HeaderValue = HeaderValue::from_static(
    "geolocation=(self), fullscreen=(self), screen-wake-lock=(self), camera=(), microphone=(), payment=(), usb=(), \
     serial=(), bluetooth=(), midi=(), display-capture=()",
);

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The headers that are put on every answer.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    /// `Strict-Transport-Security`, over https only.
    hsts: Option<HeaderValue>,
}

impl Protection {
    /// The usual headers, and a promise to speak https for `hsts_s` seconds where that is not 0.
    pub fn new(hsts_s: u64) -> Self {
        let promise = (hsts_s > 0).then(|| format!("max-age={hsts_s}"));
        Self {
            hsts: promise.and_then(|promise| HeaderValue::from_str(&promise).ok()),
        }
    }

    /// Puts them on an answer to a request that came over `scheme`, where the answer does not have its own.
    pub fn put_on<B>(&self, answer: &mut Response<B>, scheme: Scheme) {
        // From here on it is no HTTP any more.
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = answer.headers_mut();
        let same_origin = HeaderValue::from_static("same-origin");
        add(headers, header::CONTENT_SECURITY_POLICY, &NO_CONTENT);
        add(
            headers,
            header::X_CONTENT_TYPE_OPTIONS,
            &HeaderValue::from_static("nosniff"),
        );
        add(
            headers,
            header::X_FRAME_OPTIONS,
            &HeaderValue::from_static("DENY"),
        );
        add(
            headers,
            header::REFERRER_POLICY,
            &HeaderValue::from_static("no-referrer"),
        );
        add(headers, PERMISSIONS_POLICY, &POSITION_ONLY);
        add(headers, CROSS_ORIGIN_OPENER_POLICY, &same_origin);
        add(headers, CROSS_ORIGIN_RESOURCE_POLICY, &same_origin);
        if let Some(promise) = self.hsts.as_ref().filter(|_| scheme == Scheme::Https) {
            add(headers, header::STRICT_TRANSPORT_SECURITY, promise);
        }
    }
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    headers.entry(name).or_insert_with(|| value.clone());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(hsts_s: u64, scheme: Scheme, status: u16) -> HeaderMap {
        let mut answer = Response::builder().status(status).body(()).unwrap();
        Protection::new(hsts_s).put_on(&mut answer, scheme);
        answer.headers().clone()
    }

    #[test]
    fn https_is_promised_over_https_and_where_it_is_set() {
        let promised =
            |hsts_s, scheme| put(hsts_s, scheme, 200).contains_key("strict-transport-security");
        assert!(promised(60, Scheme::Https));
        assert!(!promised(60, Scheme::Http) && !promised(0, Scheme::Https));
    }

    #[test]
    fn an_answer_keeps_its_own_policy_and_sockets_have_none() {
        let mut answer = Response::new(());
        let own = HeaderValue::from_static("default-src 'self'");
        answer
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, own.clone());
        Protection::default().put_on(&mut answer, Scheme::Http);
        assert_eq!(answer.headers()[header::CONTENT_SECURITY_POLICY], own);
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(put(0, Scheme::Http, 101).is_empty());
    }

    #[test]
    fn no_policy_allows_what_is_unsafe() {
        for value in put(0, Scheme::Http, 200).values() {
            assert!(!value.to_str().unwrap().contains("unsafe"), "{value:?}");
        }
    }
}
