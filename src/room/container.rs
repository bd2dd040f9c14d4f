//! What a stored snapshot of a map holds: the encoded state, the updates whose base is still missing, and what the room
//! knows beside the document.
//!
//! ```text
//! "MWSTATE3"   magic and version
//! u64 LE       number of features shown
//! u16 LE       length of the title, 0 where there is none; the title in UTF-8
//! u32 LE       number of held updates; each: u64 LE ms since 1970 when it came, u32 LE length, bytes (v1 update)
//! u32 LE       number of people with clients; each: u16 LE length, name in UTF-8, u32 LE clients, each u64 LE
//! u32 LE       number of updates in quarantine; each: u64 LE place of its record in the log
//! u32 LE       number of rejected updates; each: 16 bytes, the first of the BLAKE3 of its own
//! rest         the state as one v1 update
//! ```
//! "MWSTATE2" is the same without people, quarantine and rejected updates, of which there were none; "MWSTATE1" is that
//! without the times. Both are read as well.
//!
//! Storage frames this with length and checksum; this module only tells the parts apart.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mapweave_proto::{ClientId, Seq};

use super::replica::{HELD_ID_BYTES, HeldId, Owners, Replica};

const MAGIC: &[u8; 8] = b"MWSTATE3";

/// Of the format that holds nothing beside the document.
const MAGIC_ALONE: &[u8; 8] = b"MWSTATE2";

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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredState {
    /// The document as one v1 update, without pending parts.
    pub state: Bytes,
    /// Updates that came before what they build on, oldest first.
    pub held: Vec<Held>,
    /// What is known beside it.
    pub beside: Beside,
    /// What a list of maps tells of it.
    pub summary: Summary,
}

/// What a room knows beside the document and what waits for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// Whose the document's clients are.
    pub owners: Owners,
    /// Places in the log of the updates that wait for an owner's decision, oldest first.
    pub quarantined: Vec<Seq>,
    /// Names of updates that were rejected, oldest first.
    pub rejected: Vec<HeldId>,
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
        self.beside.encode(&mut out);
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
        let (with_beside, with_times) = (magic == MAGIC[..], magic != MAGIC_WITHOUT_TIMES[..]);
        if !with_beside && magic != MAGIC_ALONE[..] && with_times {
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
        let beside = match with_beside {
            true => Beside::decode(&mut bytes)?,
            false => Beside::default(),
        };
        Ok(Self {
            state: bytes,
            held,
            beside,
            summary: Summary { features, title },
        })
    }
}

impl Beside {
    /// What `replica` knows.
    pub fn of(replica: &Replica) -> Self {
        let quarantine = replica.quarantine();
        Self {
            owners: replica.owners().clone(),
            quarantined: quarantine.kept().iter().map(|kept| kept.seq).collect(),
            rejected: quarantine.rejected().copied().collect(),
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        let people = self.owners.people();
        out.put_u32_le(people.len() as u32);
        for (user, clients) in people {
            // The log bounds a name far below 64 KiB.
            let user = &user.as_bytes()[..user.floor_char_boundary(usize::from(u16::MAX))];
            out.put_u16_le(user.len() as u16);
            out.put_slice(user);
            out.put_u32_le(clients.len() as u32);
            clients.iter().for_each(|client| out.put_u64_le(client.0));
        }
        out.put_u32_le(self.quarantined.len() as u32);
        self.quarantined
            .iter()
            .for_each(|seq| out.put_u64_le(seq.0));
        out.put_u32_le(self.rejected.len() as u32);
        self.rejected.iter().for_each(|id| out.put_slice(id));
    }

    fn decode(bytes: &mut Bytes) -> Result<Self, UnknownContainer> {
        let count = |bytes: &mut Bytes| bytes.try_get_u32_le().map_err(|_| UnknownContainer);
        let number = |bytes: &mut Bytes| bytes.try_get_u64_le().map_err(|_| UnknownContainer);
        let mut beside = Self::default();
        for _ in 0..count(bytes)? {
            let length = bytes.try_get_u16_le().map_err(|_| UnknownContainer)?;
            let user = take(bytes, usize::from(length))?;
            let user = std::str::from_utf8(&user).map_err(|_| UnknownContainer)?;
            for _ in 0..count(bytes)? {
                beside.owners.claim(ClientId(number(bytes)?), user);
            }
        }
        for _ in 0..count(bytes)? {
            beside.quarantined.push(Seq(number(bytes)?));
        }
        for _ in 0..count(bytes)? {
            let id = take(bytes, HELD_ID_BYTES)?;
            let id = id.as_ref().try_into().map_err(|_| UnknownContainer)?;
            beside.rejected.push(id);
        }
        Ok(beside)
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
        let mut beside = Beside {
            quarantined: vec![Seq(7), Seq(9)],
            rejected: vec![[5; 16]],
            ..Beside::default()
        };
        beside.owners.claim(ClientId(3), "ana");
        beside.owners.claim(ClientId(1 << 40), "ana");
        beside.owners.claim(ClientId(4), "ben");
        let stored = StoredState {
            state: Bytes::from_static(&[0, 0]),
            held,
            beside,
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
        let alone = b"MWSTATE2\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0ab\0\0";
        let alone = StoredState::decode(Bytes::from_static(alone)).unwrap();
        assert_eq!(alone.held[0].since_ms, Some(5));
        assert_eq!(
            (alone.beside, &alone.state[..]),
            (Beside::default(), &[0, 0][..])
        );
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
