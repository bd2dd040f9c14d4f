//! The bytes of a record in front of its payload: the same in the journal, in sled and in the hash chain.
//!
//! Little-endian, nothing optional but by flag: doc 16 B · seq u64 · time_ms u64 · payload length u32 ·
//! kind u8 · protocol u8 · flags u8 · detail (u16 length, bytes) · user (same) · session (same) ·
//! client u64 (flag 1) · made_at_ms u64 (flag 2) · store 16 B and seq u64 of a record of
//! another log (flag 4) · epoch u64, doc 16 B, at_ms u64 and via (u16 length, bytes) of that log (flag 8; without it
//! they are 1, the same map, 0 and empty).

use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};

use crate::known::{FIRST_EPOCH, LogId};
use crate::record::{Kind, Origin, PAYLOAD_BYTES_MAX, Protocol, Record, Relayed, TEXT_BYTES_MAX};

/// Most bytes that a header takes.
pub(crate) const HEADER_BYTES_MAX: usize =
    16 + 8 + 8 + 4 + 3 + 4 * (2 + TEXT_BYTES_MAX) + 8 + 8 + 24 + 32;

const FLAG_CLIENT: u8 = 1;
const FLAG_MADE_AT: u8 = 2;
const FLAG_RELAYED: u8 = 4;
const FLAG_LOG: u8 = 8;

/// A record without payload and chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) doc: DocId,
    pub(crate) seq: Seq,
    pub(crate) time_ms: u64,
    pub(crate) payload_len: u32,
    pub(crate) kind: Kind,
    pub(crate) origin: Arc<Origin>,
}

impl Header {
    /// The header of `record`. Its texts and payload are within their bounds: only such are ever stored.
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            doc: record.doc,
            seq: record.seq,
            time_ms: record.time_ms,
            payload_len: u32::try_from(record.payload.len()).unwrap_or(u32::MAX),
            kind: record.kind.clone(),
            origin: Arc::clone(&record.origin),
        }
    }

    pub(crate) fn with(self, payload: Bytes, chain: [u8; 32]) -> Record {
        let Self {
            doc,
            seq,
            time_ms,
            kind,
            origin,
            ..
        } = self;
        Record {
            doc,
            seq,
            time_ms,
            origin,
            kind,
            payload,
            chain,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.origin.user.len() + self.origin.session.len());
        out.extend_from_slice(&self.doc.to_bytes());
        out.extend_from_slice(&self.seq.0.to_le_bytes());
        out.extend_from_slice(&self.time_ms.to_le_bytes());
        out.extend_from_slice(&self.payload_len.to_le_bytes());
        out.push(self.kind.code());
        out.push(self.origin.protocol.code());
        out.push(self.flags());
        put_text(&mut out, &self.kind.detail());
        put_text(&mut out, self.origin.user.as_bytes());
        put_text(&mut out, self.origin.session.as_bytes());
        if let Some(client) = self.origin.client {
            out.extend_from_slice(&client.to_le_bytes());
        }
        if let Some(made_at_ms) = self.origin.made_at_ms {
            out.extend_from_slice(&made_at_ms.to_le_bytes());
        }
        if let Some(relayed) = &self.origin.relayed {
            out.extend_from_slice(&relayed.log.store);
            out.extend_from_slice(&relayed.seq.0.to_le_bytes());
            if self.names_log(relayed) {
                out.extend_from_slice(&relayed.log.epoch.to_le_bytes());
                out.extend_from_slice(&relayed.log.doc.to_bytes());
                out.extend_from_slice(&relayed.at_ms.to_le_bytes());
                put_text(&mut out, relayed.via.as_bytes());
            }
        }
        out
    }

    /// Reads a header from the start of `bytes`; the rest is the payload and must have the length it says.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), &'static str> {
        let mut input = Input(bytes);
        let doc = DocId::from_bytes(input.array()?);
        let seq = Seq(input.u64()?);
        let time_ms = input.u64()?;
        let payload_len = u32::from_le_bytes(input.array()?);
        let [kind, protocol, flags] = input.array()?;
        let kind = Kind::from_code(kind, input.text()?);
        let user = input.utf8()?;
        let session = input.utf8()?;
        let client = input.flagged(flags, FLAG_CLIENT)?;
        let made_at_ms = input.flagged(flags, FLAG_MADE_AT)?;
        let relayed = if flags & FLAG_RELAYED == 0 {
            None
        } else {
            Some(input.relayed(flags, doc)?)
        };
        if flags & !(FLAG_CLIENT | FLAG_MADE_AT | FLAG_RELAYED | FLAG_LOG) != 0
            || flags & FLAG_LOG != 0 && flags & FLAG_RELAYED == 0
        {
            return Err("an origin has flags of a later version");
        }
        if payload_len as usize > PAYLOAD_BYTES_MAX || input.0.len() != payload_len as usize {
            return Err("a payload does not have the length its header says");
        }
        let origin = Origin {
            user,
            session,
            client,
            protocol: Protocol::from_code(protocol),
            made_at_ms,
            relayed,
        };
        Ok((
            Self {
                doc,
                seq,
                time_ms,
                payload_len,
                kind,
                origin: Arc::new(origin),
            },
            input.0,
        ))
    }

    fn flags(&self) -> u8 {
        let origin = &*self.origin;
        let relayed = origin.relayed.as_ref();
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        flag(origin.client.is_some(), FLAG_CLIENT)
            | flag(origin.made_at_ms.is_some(), FLAG_MADE_AT)
            | flag(relayed.is_some(), FLAG_RELAYED)
            | flag(relayed.is_some_and(|r| self.names_log(r)), FLAG_LOG)
    }

    /// Whether the log of a relayed record is told in full: else it is of the same map in its store's first life.
    fn names_log(&self, relayed: &Relayed) -> bool {
        let Relayed {
            log, at_ms, via, ..
        } = relayed;
        log.epoch != FIRST_EPOCH || log.doc != self.doc || *at_ms != 0 || !via.is_empty()
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    // Bounded by TEXT_BYTES_MAX when the record was taken in, so the length fits.
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text);
}

/// Bytes from a disk, taken from the front, never past the end.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

const SHORT: &str = "a record ends before its fields do";

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a [u8], &'static str> {
        let len = usize::from(u16::from_le_bytes(self.array()?));
        if len > TEXT_BYTES_MAX {
            return Err("a text is longer than a record may hold");
        }
        self.take(len)
    }

    fn utf8(&mut self) -> Result<String, &'static str> {
        std::str::from_utf8(self.text()?)
            .map(str::to_owned)
            .map_err(|_| "a text is not UTF-8")
    }

    fn relayed(&mut self, flags: u8, doc: DocId) -> Result<Relayed, &'static str> {
        let store = self.array()?;
        let seq = Seq(self.u64()?);
        let (epoch, doc, at_ms, via) = if flags & FLAG_LOG == 0 {
            (FIRST_EPOCH, doc, 0, String::new())
        } else {
            let (epoch, doc) = (self.u64()?, DocId::from_bytes(self.array()?));
            (epoch, doc, self.u64()?, self.utf8()?)
        };
        let log = LogId { store, epoch, doc };
        Ok(Relayed {
            log,
            seq,
            at_ms,
            via,
        })
    }

    fn flagged(&mut self, flags: u8, bit: u8) -> Result<Option<u64>, &'static str> {
        if flags & bit == 0 {
            Ok(None)
        } else {
            self.u64().map(Some)
        }
    }
}
