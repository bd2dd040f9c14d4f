//! Which methods an address takes: told in the `Allow` of an answer 405 (RFC 9110 §15.5.6).
//!
//! A route asks for its method behind its path. So whatever asks in vain while one request looks for its route is what its
//! address would take; nobody keeps a second table of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use warp::filters::BoxedFilter;
use warp::http::HeaderValue;
use warp::hyper::Method;
use warp::{Filter, Rejection};

/// Methods that a request's address would have taken; lies among the extensions of every request.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<AtomicU8>);

/// The address takes other methods.
#[derive(Debug)]
pub struct WrongMethod;

impl warp::reject::Reject for WrongMethod {}

const NAMES: [(Method, &str); 6] = [
    (Method::GET, "GET"),
    (Method::HEAD, "HEAD"),
    (Method::POST, "POST"),
    (Method::PUT, "PUT"),
    (Method::PATCH, "PATCH"),
    (Method::DELETE, "DELETE"),
];

impl Asked {
    fn note(&self, methods: u8) {
        self.0.fetch_or(methods, Relaxed);
    }

    /// The value of `Allow`; `None` where no route asked for a method.
    pub fn allow(&self) -> Option<HeaderValue> {
        let noted = self.0.load(Relaxed);
        let names = NAMES.iter().enumerate();
        let names = names.filter(|(place, _)| noted & (1 << place) != 0);
        let names: Vec<&str> = names.map(|(_, (_, name))| *name).collect();
        let listed = (!names.is_empty()).then(|| names.join(", "));
        listed.and_then(|listed| HeaderValue::from_str(&listed).ok())
    }
}

/// Lets GET through.
pub fn get() -> BoxedFilter<()> {
    takes(&[Method::GET])
}

/// Lets GET and HEAD through.
pub fn get_or_head() -> BoxedFilter<()> {
    takes(&[Method::GET, Method::HEAD])
}

/// Lets POST through.
pub fn post() -> BoxedFilter<()> {
    takes(&[Method::POST])
}

/// Lets PUT through.
pub fn put() -> BoxedFilter<()> {
    takes(&[Method::PUT])
}

/// Lets PATCH through.
pub fn patch() -> BoxedFilter<()> {
    takes(&[Method::PATCH])
}

/// Lets DELETE through.
pub fn delete() -> BoxedFilter<()> {
    takes(&[Method::DELETE])
}

fn takes(methods: &[Method]) -> BoxedFilter<()> {
    let bits = NAMES.iter().enumerate();
    let bits = bits.filter(|(_, (method, _))| methods.contains(method));
    let bits = bits.fold(0, |bits, (place, _)| bits | 1 << place);
    warp::method()
        .and(warp::ext::optional::<Asked>())
        .and_then(move |method: Method, asked: Option<Asked>| async move {
            let place = NAMES.iter().position(|(known, _)| *known == method);
            if place.is_some_and(|place| bits & (1 << place) != 0) {
                return Ok(());
            }
            if let Some(asked) = asked {
                asked.note(bits);
            }
            Err::<(), Rejection>(warp::reject::custom(WrongMethod))
        })
        .untuple_one()
        .boxed()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_listed_once() {
        let asked = Asked::default();
        assert!(asked.allow().is_none());
        for bits in [4, 1, 4] {
            asked.note(bits);
        }
        assert_eq!(asked.allow().unwrap(), "GET, POST");
    }
}
