//! What a stored snapshot of a map holds: the encoded state, and the updates whose base is still missing.
//!
//! ```text
//! "MWSTATE1"   magic and version
//! u64 LE       number of features shown, u64::MAX where not counted
//! u32 LE       number of held updates; each: u32 LE length, bytes (v1 update)
//! rest         the state as one v1 update
//! ```
//! Storage frames this with length and checksum; this module only tells the parts apart.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const MAGIC: &[u8; 8] = b"MWSTATE1";
const NOT_COUNTED: u64 = u64::MAX;

/// A map at one place of its log, ready to be sent or loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredState {
    /// The document as one v1 update, without pending parts.
    pub state: Bytes,
    /// Updates that came before what they build on, oldest first.
    pub held: Vec<Bytes>,
    /// Features shown, if counted.
    pub features: Option<u64>,
}

/// The bytes are no stored state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is not in a format that this version knows")]
pub struct UnknownContainer;

impl StoredState {
    /// The bytes for [`StoredState::decode`].
    pub fn encode(&self) -> Bytes {
        let held: usize = self.held.iter().map(|h| 4 + h.len()).sum();
        let mut out = BytesMut::with_capacity(MAGIC.len() + 12 + held + self.state.len());
        out.put_slice(MAGIC);
        out.put_u64_le(self.features.unwrap_or(NOT_COUNTED));
        out.put_u32_le(self.held.len() as u32);
        for update in &self.held {
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
        if bytes.len() < MAGIC.len() + 12 || bytes.split_to(MAGIC.len()) != MAGIC[..] {
            return Err(UnknownContainer);
        }
        let features = bytes.get_u64_le();
        let count = bytes.get_u32_le();
        let mut held = Vec::new();
        for _ in 0..count {
            let length = bytes.try_get_u32_le().map_err(|_| UnknownContainer)? as usize;
            if length > bytes.len() {
                return Err(UnknownContainer);
            }
            held.push(bytes.split_to(length));
        }
        Ok(Self { state: bytes, held, features: (features != NOT_COUNTED).then_some(features) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_nothing_else_is_taken_for_one() {
        let held = vec![Bytes::from_static(b"ab"), Bytes::new()];
        let stored = StoredState { state: Bytes::from_static(&[0, 0]), held, features: Some(3) };
        let bytes = stored.encode();
        assert_eq!(StoredState::decode(bytes.clone()), Ok(stored));
        for end in 0..bytes.len() - 2 {
            assert_eq!(StoredState::decode(bytes.slice(..end)), Err(UnknownContainer), "{end}");
        }
        let mut other = bytes.to_vec();
        other[0] ^= 1;
        assert_eq!(StoredState::decode(other.into()), Err(UnknownContainer));
    }
}
