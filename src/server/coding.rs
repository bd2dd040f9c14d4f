//! Bodies of requests come as they are: packed ones are refused before anything of them is unpacked, since a few
//! kilobytes could be gigabytes.

use warp::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::Problem;

/// What is wrong with the coding of a request's body, if anything is (RFC 9110 §8.4).
pub fn refused(headers: &HeaderMap) -> Option<Problem> {
    let codings = headers.get_all(header::CONTENT_ENCODING);
    let plain = |value: &HeaderValue| {
        let names = value.to_str().unwrap_or("unreadable").split(',');
        names
            .map(str::trim)
            .all(|name| name.is_empty() || name.eq_ignore_ascii_case("identity"))
    };
    if codings.iter().all(plain) {
        return None;
    }
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content-encoding",
        "The body is packed",
        "send the body as it is, without Content-Encoding; nothing was changed",
    );
    Some(problem.with_header(header::ACCEPT_ENCODING, "identity"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use warp::Reply;

    use super::*;

    fn coded(values: &[&'static str]) -> Option<Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        refused(&headers)
    }

    #[test]
    fn only_bodies_as_they_are_are_taken() {
        for plain in [&[][..], &["identity"], &["Identity, identity"], &[""]] {
            assert_eq!(coded(plain), None, "{plain:?}");
        }
        for packed in [
            &["gzip"][..],
            &["identity", "zstd"],
            &["identity,br"],
            &["\u{7f}"],
        ] {
            let answer = coded(packed).unwrap().into_response();
            assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(answer.headers()["accept-encoding"], "identity");
        }
    }
}
