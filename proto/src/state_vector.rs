//! What a replica has: for each client the clock that it expects next.

use bytes::Bytes;

use crate::error::DecodeError;
use crate::id::ClientId;
use crate::limits::{CLIENTS_MAX, CLOCK_MAX, STATE_VECTOR_BYTES_MAX};
use crate::varint::{Reader, Writer};

const WHAT: &str = "state vector";

/// Per client the next clock, clients descending, clocks above 0.
///
/// ```
/// use mapweave_proto::{ClientId, StateVector};
/// let vector: StateVector = [(ClientId(7), 3)].into_iter().collect();
/// assert_eq!(StateVector::decode(vector.encode()), Ok(vector.clone()));
/// assert_eq!((vector.get(ClientId(7)), vector.get(ClientId(8))), (3, 0));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateVector {
    entries: Vec<(ClientId, u64)>,
}

impl StateVector {
    /// Reads a vector from exactly these bytes. Entries with clock 0 say nothing and are left out.
    ///
    /// # Errors
    /// More than [`STATE_VECTOR_BYTES_MAX`] bytes or [`CLIENTS_MAX`] clients, more clients than the bytes can
    /// hold, a client twice, a clock above [`CLOCK_MAX`], bytes cut short or left over.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > STATE_VECTOR_BYTES_MAX {
            return Err(too_large(
                "bytes of a state vector",
                bytes.len() as u64,
                STATE_VECTOR_BYTES_MAX as u64,
            ));
        }
        let mut reader = Reader::new(bytes);
        let count = reader.var_uint().map_err(DecodeError::malformed(WHAT))?;
        let possible = (reader.left() / 2).min(CLIENTS_MAX) as u64;
        if count > possible {
            return Err(too_large("clients of a state vector", count, possible));
        }
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let client = reader.var_uint().map_err(DecodeError::malformed(WHAT))?;
            let clock = reader.var_uint().map_err(DecodeError::malformed(WHAT))?;
            if clock > CLOCK_MAX {
                return Err(too_large("clock in a state vector", clock, CLOCK_MAX));
            }
            entries.push((ClientId(client), clock));
        }
        if reader.left() > 0 {
            return Err(DecodeError::TrailingBytes {
                what: WHAT,
                at: reader.at(),
                bytes: reader.left(),
            });
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        if let Some((client, _)) = entries.windows(2).find_map(|pair| match pair {
            [a, b] if a.0 == b.0 => Some(*a),
            _ => None,
        }) {
            return Err(DecodeError::DuplicateClient {
                what: WHAT,
                client: client.0,
            });
        }
        entries.retain(|(_, clock)| *clock > 0);
        Ok(Self { entries })
    }

    /// The bytes, clients descending: equal vectors have equal bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(5 + self.entries.len() * 10);
        writer.var_uint(self.entries.len() as u64);
        for (client, clock) in &self.entries {
            writer.var_uint(client.0);
            writer.var_uint(*clock);
        }
        writer.finish()
    }

    /// The next clock of `client`, 0 if nothing of it is here.
    pub fn get(&self, client: ClientId) -> u64 {
        let found = self.entries.binary_search_by(|(c, _)| client.cmp(c));
        found
            .ok()
            .and_then(|index| self.entries.get(index))
            .map_or(0, |(_, clock)| *clock)
    }

    /// Clients with their next clocks, clients descending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ClientId, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// How many clients are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the replica has nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether everything that `other` has is here too. Says nothing about deletions.
    pub fn covers(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(client, clock)| self.get(client) >= clock)
    }
}

impl FromIterator<(ClientId, u64)> for StateVector {
    /// Of a client that occurs twice the higher clock counts.
    fn from_iter<I: IntoIterator<Item = (ClientId, u64)>>(iter: I) -> Self {
        let mut entries: Vec<_> = iter.into_iter().filter(|(_, clock)| *clock > 0).collect();
        entries.sort_unstable_by(|a, b| b.cmp(a));
        entries.dedup_by_key(|(client, _)| *client);
        Self { entries }
    }
}

fn too_large(what: &'static str, size: u64, size_max: u64) -> DecodeError {
    DecodeError::TooLarge {
        what,
        size,
        size_max,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;
    use yrs::updates::decoder::Decode;
    use yrs::updates::encoder::Encode;

    use super::*;

    #[test]
    fn a_count_that_the_bytes_cannot_hold_is_refused_before_anything_is_reserved() {
        let error = StateVector::decode(Bytes::from_static(&[0xcc, 0xf5, 0xa7, 0x42])).unwrap_err();
        let what = "clients of a state vector";
        assert_eq!(
            error,
            DecodeError::TooLarge {
                what,
                size: 139_066_060,
                size_max: 0
            }
        );
    }

    #[test]
    fn a_client_twice_trailing_bytes_and_huge_clocks_are_refused() {
        let decode = |bytes: &'static [u8]| StateVector::decode(Bytes::from_static(bytes));
        assert!(matches!(
            decode(&[2, 1, 1, 1, 2]),
            Err(DecodeError::DuplicateClient { client: 1, .. })
        ));
        assert!(matches!(
            decode(&[0, 0]),
            Err(DecodeError::TrailingBytes {
                at: 1,
                bytes: 1,
                ..
            })
        ));
        assert!(matches!(
            decode(&[1, 1, 0x80, 0x80, 0x80, 0x80, 8]),
            Err(DecodeError::TooLarge { .. })
        ));
        assert_eq!(decode(&[1, 1, 0]), Ok(StateVector::default()));
    }

    proptest! {
        #[test]
        fn yrs_and_we_read_each_other(clocks in prop::collection::hash_map(0u64..1 << 53, 1u64..1 << 31, 0..20)) {
            let ours: StateVector = clocks.iter().map(|(client, clock)| (ClientId(*client), *clock)).collect();
            let theirs = yrs::StateVector::decode_v1(&ours.encode()).unwrap();
            prop_assert_eq!(theirs.len(), clocks.len());
            prop_assert_eq!(StateVector::decode(theirs.encode_v1().into()).unwrap(), ours.clone());
            for (client, clock) in clocks {
                prop_assert_eq!(ours.get(ClientId(client)), clock);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic_and_what_is_accepted_is_stable(bytes: Vec<u8>) {
            if let Ok(vector) = StateVector::decode(bytes.into()) {
                prop_assert_eq!(StateVector::decode(vector.encode()), Ok(vector));
            }
        }
    }
}
