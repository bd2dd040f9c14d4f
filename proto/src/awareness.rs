//! Presence on the wire: who is there and what they show of themselves.

use bytes::Bytes;

use crate::error::DecodeError;
use crate::id::ClientId;
use crate::limits::{AWARENESS_BYTES_MAX, AWARENESS_ENTRIES_MAX};
use crate::varint::{Reader, Writer};

const WHAT: &str = "awareness";

/// States of some clients, each of them at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwarenessUpdate {
    /// The states, in the order of the wire.
    pub entries: Vec<AwarenessEntry>,
}

/// One client's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwarenessEntry {
    /// Whose it is.
    pub client: ClientId,
    /// Counts the states of this client; only a higher one is news. At most 2^32 − 1.
    pub clock: u64,
    /// UTF-8 text that should be JSON (not checked here, as nobody but clients reads it); `null` = gone.
    pub state: Bytes,
}

impl AwarenessEntry {
    /// Whether the state says that the client is gone.
    pub fn is_gone(&self) -> bool {
        &*self.state == b"null"
    }
}

impl AwarenessUpdate {
    /// Reads exactly these bytes; states are slices of them.
    ///
    /// # Errors
    /// More than [`AWARENESS_BYTES_MAX`] bytes or [`AWARENESS_ENTRIES_MAX`] entries, a client twice, a clock
    /// above 2^32 − 1, a state that is no UTF-8, bytes cut short or left over.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        at_most(
            "bytes of awareness",
            bytes.len() as u64,
            AWARENESS_BYTES_MAX as u64,
        )?;
        let mut reader = Reader::new(bytes);
        let malformed = DecodeError::malformed(WHAT);
        let count = reader.var_uint().map_err(&malformed)?;
        // An entry takes at least three bytes: client, clock, length.
        let possible = (reader.left() / 3).min(AWARENESS_ENTRIES_MAX) as u64;
        at_most("entries of awareness", count, possible)?;
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let client = ClientId(reader.var_uint().map_err(&malformed)?);
            let clock = reader.var_uint().map_err(&malformed)?;
            at_most("clock of awareness", clock, u64::from(u32::MAX))?;
            let mut text = reader.clone();
            text.string().map_err(&malformed)?;
            let state = reader.buf().map_err(&malformed)?;
            entries.push(AwarenessEntry {
                client,
                clock,
                state,
            });
        }
        if reader.left() > 0 {
            return Err(DecodeError::TrailingBytes {
                what: WHAT,
                at: reader.at(),
                bytes: reader.left(),
            });
        }
        refuse_twice(&entries)?;
        Ok(Self { entries })
    }

    /// The bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(
            8 + self
                .entries
                .iter()
                .map(|e| e.state.len() + 16)
                .sum::<usize>(),
        );
        writer.var_uint(self.entries.len() as u64);
        for entry in &self.entries {
            writer.var_uint(entry.client.0);
            writer.var_uint(entry.clock);
            writer.buf(&entry.state);
        }
        writer.finish()
    }
}

fn refuse_twice(entries: &[AwarenessEntry]) -> Result<(), DecodeError> {
    let mut clients: Vec<u64> = entries.iter().map(|entry| entry.client.0).collect();
    clients.sort_unstable();
    match clients
        .windows(2)
        .find(|pair| matches!(pair, [a, b] if a == b))
    {
        Some([client, ..]) => Err(DecodeError::DuplicateClient {
            what: WHAT,
            client: *client,
        }),
        _ => Ok(()),
    }
}

fn at_most(what: &'static str, size: u64, size_max: u64) -> Result<(), DecodeError> {
    if size <= size_max {
        Ok(())
    } else {
        Err(DecodeError::TooLarge {
            what,
            size,
            size_max,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;
    use yrs::updates::decoder::Decode;

    use super::*;

    fn decode(bytes: &'static [u8]) -> Result<AwarenessUpdate, DecodeError> {
        AwarenessUpdate::decode(Bytes::from_static(bytes))
    }

    #[test]
    fn a_state_of_null_means_gone() {
        let update = decode(&[1, 7, 2, 4, b'n', b'u', b'l', b'l']).unwrap();
        assert_eq!(update.entries.len(), 1);
        assert!(update.entries.iter().all(AwarenessEntry::is_gone));
    }

    #[test]
    fn hostile_counts_duplicates_text_and_sizes_are_refused() {
        assert!(matches!(
            decode(&[0xcc, 0xf5, 0xa7, 0x42]),
            Err(DecodeError::TooLarge { size_max: 0, .. })
        ));
        assert!(matches!(
            decode(&[2, 1, 1, 0, 1, 2, 0]),
            Err(DecodeError::DuplicateClient { client: 1, .. })
        ));
        assert!(matches!(
            decode(&[1, 1, 1, 1, 0xff]),
            Err(DecodeError::Malformed { .. })
        ));
        assert!(matches!(
            decode(&[0, 0]),
            Err(DecodeError::TrailingBytes { .. })
        ));
        let huge = AwarenessUpdate::decode(vec![0; AWARENESS_BYTES_MAX + 1].into());
        assert!(matches!(huge, Err(DecodeError::TooLarge { .. })));
        let crowd: Vec<_> = (0..AWARENESS_ENTRIES_MAX as u64 + 1)
            .map(|client| AwarenessEntry {
                client: ClientId(client),
                clock: 1,
                state: Bytes::new(),
            })
            .collect();
        let crowd = AwarenessUpdate { entries: crowd }.encode();
        assert!(matches!(
            AwarenessUpdate::decode(crowd),
            Err(DecodeError::TooLarge { size: 1025, .. })
        ));
    }

    proptest! {
        #[test]
        fn yrs_reads_what_we_write(states in prop::collection::hash_map(0u64..1 << 53, (0u32.., ".{0,9}"), 0..9)) {
            let entries = states.iter().map(|(client, (clock, state))| AwarenessEntry {
                client: ClientId(*client), clock: u64::from(*clock), state: state.clone().into(),
            });
            let update = AwarenessUpdate { entries: entries.collect() };
            prop_assert_eq!(AwarenessUpdate::decode(update.encode()).unwrap(), update.clone());
            let theirs = yrs::sync::AwarenessUpdate::decode_v1(&update.encode()).unwrap();
            prop_assert_eq!(theirs.clients.len(), states.len());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok(update) = AwarenessUpdate::decode(bytes.into()) {
                prop_assert_eq!(AwarenessUpdate::decode(update.encode()), Ok(update));
            }
        }
    }
}
