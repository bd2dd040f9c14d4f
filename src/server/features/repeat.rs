//! Requests that are sent again because their answer was lost: `Idempotency-Key`.
//!
//! A feature that comes without an id gets one that follows from the key, so that the same request finds what the first
//! one made, also after a restart, and nothing has to be remembered.

use warp::http::HeaderMap;

use super::super::problem::Problem;
use crate::model::Fid;

/// The header, as the IETF's draft of that name has it.
const HEADER: &str = "idempotency-key";

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What a client calls a request, so that it can send it twice.
#[derive(Debug, Clone)]
pub struct RepeatKey(String);

impl RepeatKey {
    /// The key of a request of `user`, if it has one.
    ///
    /// # Errors
    /// Where it is empty, too long, or not visible ASCII.
    pub fn read(headers: &HeaderMap, user: &str) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(HEADER) else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| {
            Problem::bad_request(format!(
                "`Idempotency-Key` has 1 to {KEY_BYTES_MAX} visible ASCII characters, as a random UUID has"
            ))
        })?;
        Ok(Some(Self(format!("idempotency\0{user}\0{key}"))))
    }

    /// The id of the feature at `place` of the request.
    pub fn fid(&self, place: usize) -> Fid {
        Fid::of_row(&self.0, i64::try_from(place).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_person_key_and_place() {
        let fid = |user: &str, key: &str, place| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, key.parse().unwrap());
            RepeatKey::read(&headers, user).unwrap().unwrap().fid(place)
        };
        assert_eq!(fid("ana", "k", 0), fid("ana", "k", 0));
        for other in [fid("ben", "k", 0), fid("ana", "l", 0), fid("ana", "k", 1)] {
            assert_ne!(fid("ana", "k", 0), other);
        }
        assert!(RepeatKey::read(&HeaderMap::new(), "ana").unwrap().is_none());
        for bad in ["", &"k".repeat(KEY_BYTES_MAX + 1)] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, bad.parse().unwrap());
            assert!(RepeatKey::read(&headers, "ana").is_err());
        }
    }
}
