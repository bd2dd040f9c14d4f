//! `/api/v1/maps/{map}/features`: features in and out as GeoJSON, over the same pipeline as every other edit.
//!
//! Reading goes through the map's index ([`crate::room::RoomHandle::features`]); an edit is planned against it and
//! written by the room, durable before it is answered. An edit of an older version (`If-Match`) is merged: it is
//! planned against that version, as if its author had been offline since.

mod answer;
mod body;
mod edit;
mod etag;
mod patch;
mod problems;
mod query;
mod read;
mod repeat;
mod routes;
mod version;

pub use answer::feature_text;
pub use edit::{delete, patch, post, put, undelete};
pub use problems::{ToldProblems, problems, problems_of, problems_since};
pub use read::{get, list};
pub use routes::routes;

use super::problem::Problem;
use warp::http::StatusCode;

/// No feature of this id.
fn unknown(fid: &str) -> Problem {
    let detail = format!(
        "there is no feature {fid:?} in this map; `features?id=` finds by the id of the source"
    );
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-feature",
        "There is no such feature",
        detail,
    )
}

/// A feature that somebody deleted.
fn deleted(fid: &str) -> Problem {
    let detail = format!(
        "the feature {fid:?} was deleted; POST to its address with /undelete brings it back"
    );
    Problem::new(
        StatusCode::GONE,
        "deleted-feature",
        "This feature was deleted",
        detail,
    )
}
