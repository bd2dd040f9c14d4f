//! What a stored snapshot of a map holds: the encoded state, and the updates whose base is still missing.
//!
//! ```text
//! "MWSTATE2"   magic and version
//! u64 LE       number of features shown
//! u16 LE       length of the title, 0 where there is none; the title in UTF-8
//! u32 LE       number of held updates; each: u64 LE ms since 1970 when it came, u32 LE length, bytes (v1 update)
//! rest         the state as one v1 update
//! ```
//! "MWSTATE1" is the same without the times, and is read as well.
//!
//! Storage frames this with length and checksum; this module only tells the parts apart.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const MAGIC: &[u8; 8] = b"MWSTATE2";

/// Of the format whose held updates have no times.
const MAGIC_WITHOUT_TIMES: &[u8; 8] = b"MWSTATE1";

/// What a list of maps tells of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Features shown.
    pub features: u64,
    /// The title that people gave, empty if none. Cut at [`TITLE_BYTES_MAX`] bytes.
    pub title: String,
}

/// Longest title in a summary, in bytes.
pub const TITLE_BYTES_MAX: usize = 1_000;

/// A map at one place of its log, ready to be sent or loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredState {
    /// The document as one v1 update, without pending parts.
    pub state: Bytes,
    /// Updates that came before what they build on, oldest first.
    pub held: Vec<Held>,
    /// What a list of maps tells of it.
    pub summary: Summary,
}

/// An update that came before what it builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// As it came (v1).
    pub update: Bytes,
    /// When it came, in milliseconds since 1970, where that is known.
    pub since_ms: Option<u64>,
}

/// The bytes are no stored state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is not in a format that this version knows")]
pub struct UnknownContainer;

impl StoredState {
    /// The bytes for [`StoredState::decode`].
    pub fn encode(&self) -> Bytes {
        let held: usize = self.held.iter().map(|h| 12 + h.update.len()).sum();
        let title = &self.summary.title.as_bytes()
            [..self.summary.title.floor_char_boundary(TITLE_BYTES_MAX)];
        let mut out = BytesMut::with_capacity(HEADER_BYTES + title.len() + held + self.state.len());
        out.put_slice(MAGIC);
        out.put_u64_le(self.summary.features);
        out.put_u16_le(title.len() as u16);
        out.put_slice(title);
        out.put_u32_le(self.held.len() as u32);
        for Held { update, since_ms } in &self.held {
            out.put_u64_le(since_ms.unwrap_or(UNKNOWN_TIME));
            out.put_u32_le(update.len() as u32);
            out.put_slice(update);
        }
        out.put_slice(&self.state);
        out.freeze()
    }

    /// Takes the parts out of `bytes` without copying.
    ///
    /// # Errors
    /// For anything that [`StoredState::encode`] does not make.
    pub fn decode(mut bytes: Bytes) -> Result<Self, UnknownContainer> {
        if bytes.len() < HEADER_BYTES {
            return Err(UnknownContainer);
        }
        let magic = bytes.split_to(MAGIC.len());
        let with_times = magic == MAGIC[..];
        if !with_times && magic != MAGIC_WITHOUT_TIMES[..] {
            return Err(UnknownContainer);
        }
        let features = bytes.get_u64_le();
        let title = usize::from(bytes.get_u16_le());
        let title =
            String::from_utf8(take(&mut bytes, title)?.to_vec()).map_err(|_| UnknownContainer)?;
        let count = bytes.try_get_u32_le().map_err(|_| UnknownContainer)?;
        let mut held = Vec::new();
        for _ in 0..count {
            let since_ms = if with_times {
                bytes.try_get_u64_le().map_err(|_| UnknownContainer)?
            } else {
                UNKNOWN_TIME
            };
            let length = bytes.try_get_u32_le().map_err(|_| UnknownContainer)? as usize;
            held.push(Held {
                update: take(&mut bytes, length)?,
                since_ms: Some(since_ms).filter(|since| *since != UNKNOWN_TIME),
            });
        }
        Ok(Self {
            state: bytes,
            held,
            summary: Summary { features, title },
        })
    }
}

/// Stands for no time.
const UNKNOWN_TIME: u64 = u64::MAX;

/// Magic, features, and the two lengths.
const HEADER_BYTES: usize = MAGIC.len() + 8 + 2 + 4;

fn take(bytes: &mut Bytes, length: usize) -> Result<Bytes, UnknownContainer> {
    if length > bytes.len() {
        Err(UnknownContainer)
    } else {
        Ok(bytes.split_to(length))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn held_before() -> Held {
        Held {
            update: Bytes::from_static(b"ab"),
            since_ms: None,
        }
    }

    #[test]
    fn parts_come_back_and_nothing_else_is_taken_for_one() {
        let held = |update, since_ms| Held {
            update: Bytes::from_static(update),
            since_ms,
        };
        let held = vec![held(b"ab", Some(7)), held(b"", None)];
        let summary = Summary {
            features: 3,
            title: "Höfe".into(),
        };
        let stored = StoredState {
            state: Bytes::from_static(&[0, 0]),
            held,
            summary,
        };
        let bytes = stored.encode();
        assert_eq!(StoredState::decode(bytes.clone()), Ok(stored));
        for end in 0..bytes.len() - 2 {
            assert_eq!(
                StoredState::decode(bytes.slice(..end)),
                Err(UnknownContainer),
                "{end}"
            );
        }
        let old = b"MWSTATE1\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0ab\0\0";
        let old = StoredState::decode(Bytes::from_static(old)).unwrap();
        assert_eq!(
            (&old.held[..], &old.state[..]),
            (&[held_before()][..], &[0, 0][..])
        );
        let mut other = bytes.to_vec();
        other[0] ^= 1;
        assert_eq!(StoredState::decode(other.into()), Err(UnknownContainer));
    }
}
