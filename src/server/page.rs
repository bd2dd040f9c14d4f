//! The web map, embedded in the binary: no request to any other host.

use rust_embed::{Embed, EmbeddedFile};
use warp::http::{HeaderValue, Response, StatusCode, header};

use super::problem::Problem;

/// What `npm run build` made of `web/`.
#[derive(Embed)]
#[folder = "web/dist/"]
#[allow_missing = true]
struct Assets;

/// Only what this server itself serves is loaded or connected to.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A year: the names of built files change with their content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The page at `/` and `/m/…`.
pub fn index(if_none_match: Option<&str>) -> Result<warp::reply::Response, Problem> {
    match Assets::get("index.html") {
        Some(file) => answer("index.html", file, if_none_match),
        None => {
            let detail =
                "the web map was not built into this binary: run `make web`, then build again";
            Err(Problem::new(
                StatusCode::NOT_FOUND,
                "no-page",
                "There is no web page in this binary",
                detail,
            ))
        }
    }
}

/// A file of the page, by its path.
pub fn asset(path: &str, if_none_match: Option<&str>) -> Result<warp::reply::Response, Problem> {
    let file = Assets::get(path).ok_or_else(Problem::not_found)?;
    answer(path, file, if_none_match)
}

fn answer(
    path: &str,
    file: EmbeddedFile,
    if_none_match: Option<&str>,
) -> Result<warp::reply::Response, Problem> {
    let hash = file.metadata.sha256_hash();
    let tag = format!(
        "\"{}\"",
        hash.iter()
            .take(12)
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    );
    let known = if_none_match.is_some_and(|tags| tags.contains(&tag));
    let immutable = path.starts_with("assets/");
    let response = Response::builder()
        .status(if known {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        })
        .header(header::CONTENT_TYPE, media_type(path))
        .header(header::ETAG, tag)
        .header(
            header::CACHE_CONTROL,
            if immutable { FOR_EVER } else { "no-cache" },
        )
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        )
        .header(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
    let body = if known {
        Vec::new()
    } else {
        file.data.into_owned()
    };
    response
        .body(body.into())
        .map_err(|error| Problem::unavailable(error.to_string()))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("geojson") => "application/geo+json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
