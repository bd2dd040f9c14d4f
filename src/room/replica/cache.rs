//! The encoded state of a map for those who join.

use bytes::Bytes;
use mapweave_proto::{Outline, Scanned, extend, scan};

use super::{Refused, Replica};

/// Encoded state of a map for those who join, made once and shared: a state and the updates since.
#[derive(Default)]
pub struct StateCache {
    base: Option<Outline>,
    tail: Vec<Outline>,
    tail_bytes: usize,
    joined: Option<Bytes>,
}

impl StateCache {
    /// A cache that begins with `state`.
    ///
    /// # Errors
    /// Where `state` is no update.
    pub fn new(state: Scanned) -> Self {
        Self {
            base: Some(state.outline()),
            ..Self::default()
        }
    }

    /// Notes what the document newly took in.
    pub fn push(&mut self, brought: &Scanned) {
        let Some(base) = &self.base else { return };
        self.joined = None;
        self.tail_bytes += brought.bytes().len();
        if self.tail_bytes > base.bytes().len().max(TAIL_BYTES_MIN) {
            self.clear();
        } else {
            self.tail.push(brought.clone().outline());
        }
    }

    /// Gives the memory back; the next one who joins pays for encoding.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        let part = |b: Option<&Bytes>| b.map_or(0, Bytes::len);
        part(self.base.as_ref().map(Outline::bytes)) + part(self.joined.as_ref()) + self.tail_bytes
    }

    /// The whole state of `replica` as one update.
    ///
    /// # Errors
    /// As [`Replica::encode_state`].
    pub fn state(&mut self, replica: &Replica) -> Result<Bytes, Refused> {
        if let Some(state) = self.ready() {
            return Ok(state);
        }
        let state = replica.encode_state()?;
        self.clear();
        self.base = scan(state.clone(), usize::MAX).ok().map(Scanned::outline);
        Ok(state)
    }

    /// The state if it can be told without the document.
    fn ready(&mut self) -> Option<Bytes> {
        let base = self.base.as_ref()?;
        if self.tail.is_empty() {
            return Some(base.bytes().clone());
        }
        if self.joined.is_none() {
            self.joined = extend(base, &self.tail).ok();
        }
        self.joined.clone()
    }
}

/// Below this many bytes of updates a cached state is joined with them rather than encoded anew.
pub(super) const TAIL_BYTES_MIN: usize = 64 << 10;
