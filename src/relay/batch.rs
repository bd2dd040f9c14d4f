//! Records on their way between stores: packed into one compressed batch, and back. Pure; start from [`Packing`] and
//! [`unpack`].
//!
//! A batch is one zstd frame of: logs (varUint count; each store 16 B, epoch varUint, doc 16 B), then records (varUint
//! count; each log index, seq, at ms, kind byte, detail buf, protocol byte, user string, session string, flags byte, client
//! (flag 1), made-at ms (flag 2), payload buf). Packing the same records again gives the same bytes, so that a batch that
//! broke off is gone on with.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use mapweave_proto::{Access, Reader, Seq, Writer, scan};
use mapweave_storage::{
    Kind, Known, LogId, Origin, PAYLOAD_BYTES_MAX, Protocol, Record, Relayed, TEXT_BYTES_MAX,
};

use super::message::{LOGS_MAX, MessageError, log_id, put_log};
use crate::room::Foreign;

/// Bytes of records after which a batch is full; one record may be larger.
pub const BATCH_BYTES: usize = 256 << 10;

/// Most records of a batch.
pub const BATCH_RECORDS_MAX: usize = 1_024;

/// Most bytes of a batch, unpacked: the largest record and what goes with it.
pub const UNPACKED_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + BATCH_BYTES + (64 << 10);

/// Most bytes of a batch as sent: zstd adds next to nothing where it gains nothing.
pub const PACKED_BYTES_MAX: usize = UNPACKED_BYTES_MAX + (UNPACKED_BYTES_MAX >> 8) + (64 << 10);

/// How hard to compress: the field's links are slower than any processor.
const ZSTD_LEVEL: i32 = 3;

/// What a record adds to its payload, about, in bytes.
const RECORD_BYTES: usize = 64;

/// The latest time that a record may bear, in milliseconds since 1970: far from the end of all numbers.
const AT_MS_MAX: u64 = 1 << 48;

const FLAG_CLIENT: u8 = 1;
const FLAG_MADE_AT: u8 = 2;

/// Whether records of this kind are handed on. Names, revocations, expiry and what waits for a decision are a store's own
/// business; what a later version means is not known here.
pub fn travels(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Update
            | Kind::Gapped
            | Kind::Created { .. }
            | Kind::Deleted
            | Kind::Restored
            | Kind::Known
    )
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub struct Packing {
    logs: BTreeMap<LogId, u64>,
    order: Vec<LogId>,
    records: Writer,
    count: u64,
    bytes: usize,
    reach: Known,
}

/// A batch ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The compressed bytes.
    pub bytes: Bytes,
    /// How far each log is held by whoever has taken it.
    pub reach: Known,
    /// How many records it holds.
    pub records: u64,
}

impl Packing {
    /// Puts in a record of store `store`.
    pub fn put(&mut self, store: [u8; 16], record: &Record) {
        let (log, seq) = record.born(store);
        let next = self.order.len() as u64;
        let index = *self.logs.entry(log).or_insert(next);
        if index == next {
            self.order.push(log);
        }
        let origin = &record.origin;
        let out = &mut self.records;
        out.var_uint(index);
        out.var_uint(seq.0);
        out.var_uint(record.born_at_ms().min(AT_MS_MAX));
        out.byte(record.kind.code());
        out.buf(&record.kind.detail());
        out.byte(origin.protocol.code());
        out.string(&origin.user);
        out.string(&origin.session);
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        out.byte(
            flag(origin.client.is_some(), FLAG_CLIENT)
                | flag(origin.made_at_ms.is_some(), FLAG_MADE_AT),
        );
        for number in [origin.client, origin.made_at_ms].into_iter().flatten() {
            out.var_uint(number);
        }
        out.buf(&record.payload);
        self.count += 1;
        self.bytes += record.payload.len() + RECORD_BYTES;
        self.reach.raise(log, seq);
    }

    /// Whether nothing more should be put in.
    pub fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.count >= BATCH_RECORDS_MAX as u64
    }

    /// Whether a record with `payload` bytes still fits: a large one travels alone, so that it can be gone on with.
    pub fn fits(&self, payload: usize) -> bool {
        self.count == 0 || self.bytes + payload <= BATCH_BYTES
    }

    /// The batch; `None` where there is nothing in it. Takes time in proportion to its bytes.
    ///
    /// # Errors
    /// zstd's, for want of memory.
    pub fn finish(self) -> std::io::Result<Option<Packed>> {
        if self.count == 0 {
            return Ok(None);
        }
        let mut out = Writer::with_capacity(self.records.len() + 64 * self.order.len());
        out.var_uint(self.order.len() as u64);
        for log in &self.order {
            put_log(&mut out, log);
        }
        out.var_uint(self.count);
        out.raw(&self.records.finish());
        Ok(Some(Packed {
            bytes: compress(&out.finish())?,
            reach: self.reach,
            records: self.count,
        }))
    }
}

/// Compresses what is sent beside records.
///
/// # Errors
/// As [`Packing::finish`].
pub fn compress(bytes: &[u8]) -> std::io::Result<Bytes> {
    zstd::bulk::compress(bytes, ZSTD_LEVEL).map(Bytes::from)
}

/// Why a batch cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// It is no zstd frame, or larger than any batch.
    #[error("a batch cannot be unpacked: {0}")]
    Zstd(std::io::Error),
    /// Its fields are wrong.
    #[error(transparent)]
    Field(#[from] MessageError),
    /// An update in it is none.
    #[error("record {seq} of a batch holds no update: {why}")]
    Update {
        /// Place of the record in its log.
        seq: Seq,
        /// What the scanner said.
        why: String,
    },
}

/// Unpacks what [`compress`] packed, at most `bytes_max` bytes of it.
///
/// # Errors
/// [`BatchError::Zstd`].
pub fn decompress(bytes: &[u8], bytes_max: usize) -> Result<Bytes, BatchError> {
    let mut out = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(BatchError::Zstd)?;
    let mut limited = decoder.take(bytes_max as u64 + 1);
    limited.read_to_end(&mut out).map_err(BatchError::Zstd)?;
    if out.len() > bytes_max {
        let what = format!("it has more than {bytes_max} bytes");
        return Err(BatchError::Zstd(std::io::Error::other(what)));
    }
    Ok(out.into())
}

/// The records of a batch that `via` handed on, in their order. Takes time in proportion to their bytes.
///
/// # Errors
/// [`BatchError`]; who sent it is not to be trusted further. A record that is too large for this server's
/// `update_bytes_max` is an error of its own update.
pub fn unpack(
    packed: &[u8],
    via: &str,
    update_bytes_max: usize,
) -> Result<Vec<Foreign>, BatchError> {
    let mut input = Reader::new(decompress(packed, UNPACKED_BYTES_MAX)?);
    let bad = |what| BatchError::Field(MessageError::Field(what));
    let count = input.var_uint().map_err(MessageError::from)?;
    if count > LOGS_MAX as u64 {
        return Err(bad("more logs than one may have"));
    }
    let mut logs = Vec::new();
    for _ in 0..count {
        logs.push(log_id(&mut input)?);
    }
    let count = input.var_uint().map_err(MessageError::from)?;
    if count > BATCH_RECORDS_MAX as u64 {
        return Err(bad("more records than a batch may have"));
    }
    let mut records = Vec::new();
    for _ in 0..count {
        let (record, payload) = record(&mut input, &logs, via)?;
        let update = match record.kind {
            Kind::Update | Kind::Gapped => {
                let seq = record.origin.relayed.as_ref().map_or(Seq::ZERO, |r| r.seq);
                // A copy: a small update must not keep the whole batch in memory.
                let scanned = scan(Bytes::copy_from_slice(&payload), update_bytes_max);
                Some(scanned.map_err(|error| BatchError::Update {
                    seq,
                    why: error.to_string(),
                })?)
            }
            _ => None,
        };
        records.push(Foreign { update, ..record });
    }
    if input.left() == 0 {
        Ok(records)
    } else {
        Err(bad("bytes behind its last record"))
    }
}

fn record(input: &mut Reader, logs: &[LogId], via: &str) -> Result<(Foreign, Bytes), MessageError> {
    let index = usize::try_from(input.var_uint()?).ok();
    let log = index.and_then(|index| logs.get(index));
    let log = *log.ok_or(MessageError::Field("a record of no log"))?;
    let seq = Seq(input.var_uint()?);
    let at_ms = input.var_uint()?;
    if seq == Seq::ZERO || at_ms > AT_MS_MAX {
        return Err(MessageError::Field("a place or a time that cannot be"));
    }
    let code = input.byte()?;
    let kind = Kind::from_code(code, &input.buf()?);
    if !travels(&kind) {
        return Err(MessageError::Field(
            "a record of a kind that does not travel",
        ));
    }
    let protocol = Protocol::from_code(input.byte()?);
    let user = text(input)?;
    let session = text(input)?;
    let flags = input.byte()?;
    let mut flagged = |bit: u8| match flags & bit {
        0 => Ok(None),
        _ => input.var_uint().map(Some),
    };
    let client = flagged(FLAG_CLIENT)?;
    let made_at_ms = flagged(FLAG_MADE_AT)?;
    let payload = input.buf()?;
    let origin = Arc::new(Origin {
        user,
        session,
        client,
        protocol,
        made_at_ms,
        relayed: Some(Relayed {
            log,
            seq,
            at_ms,
            via: via.to_owned(),
        }),
    });
    let update = None;
    Ok((
        Foreign {
            kind,
            origin,
            update,
            access: Access::ReadWrite,
        },
        payload,
    ))
}

fn text(input: &mut Reader) -> Result<String, MessageError> {
    let text = input.string()?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(MessageError::Field("a text longer than a record may hold"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use mapweave_proto::{DocId, MapName};
    use mapweave_storage::CHAIN_START;
    use proptest::prelude::*;

    const HERE: [u8; 16] = [1; 16];

    fn record(seq: u64, kind: Kind, payload: &[u8], relayed: Option<(u8, u64)>) -> Record {
        let log = |store| LogId {
            store: [store; 16],
            epoch: 5,
            doc: DocId::from_bytes([9; 16]),
        };
        let origin = Origin {
            user: "ada".into(),
            session: "phone".into(),
            client: Some(7),
            protocol: Protocol::Hocuspocus,
            made_at_ms: seq.is_multiple_of(2).then_some(3),
            relayed: relayed.map(|(store, seq)| Relayed {
                log: log(store),
                seq: Seq(seq),
                at_ms: 11,
                via: "before".into(),
            }),
        };
        Record {
            doc: DocId::from_bytes([2; 16]),
            seq: Seq(seq),
            time_ms: 12,
            origin: Arc::new(origin),
            kind,
            payload: Bytes::copy_from_slice(payload),
            chain: CHAIN_START,
        }
    }

    #[test]
    fn records_arrive_as_they_were_with_who_handed_them_on() {
        let name = MapName::parse("m").unwrap();
        let sent = [
            record(1, Kind::Created { name }, b"", None),
            record(2, Kind::Update, &[0, 0], None),
            record(3, Kind::Gapped, &[0, 0], Some((7, 40))),
            record(4, Kind::Known, b"", Some((7, 41))),
            record(5, Kind::Deleted, b"", None),
        ];
        let mut packing = Packing::default();
        sent.iter().for_each(|record| packing.put(HERE, record));
        let packed = packing.finish().unwrap().unwrap();
        let got = unpack(&packed.bytes, "truck", 1 << 20).unwrap();
        assert_eq!((packed.records, got.len()), (5, 5));
        for (sent, got) in sent.iter().zip(&got) {
            let relayed = got.origin.relayed.as_ref().unwrap();
            assert_eq!(sent.born(HERE), (relayed.log, relayed.seq));
            assert_eq!((sent.born_at_ms(), "truck"), (relayed.at_ms, &*relayed.via));
            assert_eq!(
                (&sent.kind, &sent.origin.user),
                (&got.kind, &got.origin.user)
            );
            assert_eq!(sent.origin.made_at_ms, got.origin.made_at_ms);
            let update = got.update.as_ref().map(|update| update.bytes().clone());
            assert_eq!(update.unwrap_or_default(), sent.payload);
            assert!(packed.reach.holds(&relayed.log, relayed.seq));
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = compress(&vec![0; 1 << 20]).unwrap();
        assert!(bomb.len() < 1 << 10);
        assert!(decompress(&bomb, 1 << 16).is_err());
        assert!(decompress(&bomb, 1 << 20).is_ok());
    }

    #[test]
    fn a_store_s_own_business_does_not_travel() {
        let what = "token".to_owned();
        let mut packing = Packing::default();
        packing.put(HERE, &record(1, Kind::Revoked { what }, b"", None));
        let packed = packing.finish().unwrap().unwrap();
        assert!(unpack(&packed.bytes, "", 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_unpacking_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), packed: bool) {
            let bytes = if packed { compress(&bytes).unwrap() } else { bytes.into() };
            let _ = unpack(&bytes, "", 1 << 20);
        }

        #[test]
        fn the_same_records_make_the_same_bytes(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 1..20)) {
            let pack = || {
                let mut packing = Packing::default();
                for (seq, payload) in payloads.iter().enumerate() {
                    packing.put(HERE, &record(seq as u64 + 1, Kind::Update, payload, None));
                }
                packing.finish().unwrap()
            };
            prop_assert_eq!(pack(), pack());
        }
    }
}
