//! What stands in sled's trees: keys in big-endian order, and rows that each carry their checksum. Pure.

use std::path::PathBuf;

use bytes::Bytes;
use mapweave_proto::{DocId, MapName, Seq};

use crate::catalog::MapState;
use crate::header::{Header, Input};
use crate::journal::{Mark, Place};
use crate::{Damage, Head, Known, LogId, Record};

/// Longest record that stands in sled itself, in bytes of its header and payload; of longer ones sled has
/// the place in the journal. A value over sled's page limits would become a file that sled never syncs.
pub(crate) const INLINE_BYTES_MAX: usize = 4000;

const INLINE: u8 = 1;
const BY_PLACE: u8 = 2;

/// Longest text about a damage that is kept in a row, in bytes.
const WHAT_BYTES_MAX: usize = 400;

/// A row of the tree `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogRow {
    /// The record.
    Inline(Record),
    /// Where the record lies, and its chain.
    ByPlace { place: Place, chain: [u8; 32] },
}

impl LogRow {
    pub(crate) const fn chain(&self) -> &[u8; 32] {
        match self {
            Self::Inline(record) => &record.chain,
            Self::ByPlace { chain, .. } => chain,
        }
    }
}

/// doc, then seq, both big-endian: the order of the keys is the order of the log.
pub(crate) fn log_key(doc: DocId, seq: Seq) -> [u8; 24] {
    let mut key = [0; 24];
    let (left, right) = key.split_at_mut(16);
    left.copy_from_slice(&doc.to_bytes());
    right.copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(crate) fn parse_log_key(key: &[u8]) -> Result<(DocId, Seq), &'static str> {
    let mut input = Input(key);
    let doc = DocId::from_bytes(input.array()?);
    let seq = Seq(u64::from_be_bytes(input.array()?));
    if input.0.is_empty() {
        Ok((doc, seq))
    } else {
        Err("a key is too long")
    }
}

pub(crate) fn encode_log_row(record: &Record, place: Place) -> Vec<u8> {
    let header = Header::of(record).encode();
    let mut out = Vec::with_capacity(64 + header.len());
    if header.len() + record.payload.len() <= INLINE_BYTES_MAX {
        out.push(INLINE);
        out.extend_from_slice(&record.chain);
        out.extend_from_slice(&header);
        out.extend_from_slice(&record.payload);
    } else {
        out.push(BY_PLACE);
        out.extend_from_slice(&record.chain);
        out.extend_from_slice(&place.file.to_le_bytes());
        out.extend_from_slice(&place.offset.to_le_bytes());
        out.extend_from_slice(&place.len.to_le_bytes());
    }
    seal(out)
}

pub(crate) fn decode_log_row(row: &[u8]) -> Result<LogRow, &'static str> {
    let mut input = Input(unseal(row)?);
    let [form]: [u8; 1] = input.array()?;
    let chain = input.array()?;
    match form {
        INLINE => {
            let (header, payload) = Header::decode(input.0)?;
            Ok(LogRow::Inline(
                header.with(Bytes::copy_from_slice(payload), chain),
            ))
        }
        BY_PLACE => {
            let place = Place {
                file: input.u64()?,
                offset: input.u64()?,
                len: input.u32()?,
            };
            Ok(LogRow::ByPlace { place, chain })
        }
        _ => Err("a row has a form of a later version"),
    }
}

/// A row of the tree `doc`. The newest snapshot and what the log holds of others are not in
/// it: the trees `snap` and `known` have them.
pub(crate) fn encode_state(state: &MapState) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    out.push(u8::from(state.deleted));
    put_bytes(
        &mut out,
        state
            .name
            .as_ref()
            .map_or(&[], |name| name.as_str().as_bytes()),
    );
    let head = &state.head;
    for number in [
        state.created_ms,
        head.first.0,
        head.last.0,
        head.count,
        head.payload_bytes,
        head.last_time_ms,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&head.chain);
    out.push(u8::from(head.damaged.is_some()));
    if let Some(damage) = &head.damaged {
        put_bytes(&mut out, damage.file.to_string_lossy().as_bytes());
        out.extend_from_slice(&damage.offset.to_le_bytes());
        out.extend_from_slice(&damage.seq.unwrap_or_default().0.to_le_bytes());
        put_bytes(&mut out, damage.what.as_bytes());
    }
    // As all rows were before there were relays.
    if state.native != head.last || state.turned_at_ms != state.created_ms {
        out.extend_from_slice(&state.native.0.to_le_bytes());
        out.extend_from_slice(&state.turned_at_ms.to_le_bytes());
    }
    seal(out)
}

pub(crate) fn decode_state(doc: DocId, row: &[u8]) -> Result<MapState, &'static str> {
    let mut input = Input(unseal(row)?);
    let [deleted]: [u8; 1] = input.array()?;
    let name = text(&mut input)?;
    let name = if name.is_empty() {
        None
    } else {
        Some(MapName::parse(&name).map_err(|_| "a row has a bad name")?)
    };
    let created_ms = input.u64()?;
    let mut head = Head {
        first: Seq(input.u64()?),
        last: Seq(input.u64()?),
        count: input.u64()?,
        payload_bytes: input.u64()?,
        last_time_ms: input.u64()?,
        ..Head::EMPTY
    };
    head.chain = input.array()?;
    let [damaged]: [u8; 1] = input.array()?;
    if damaged != 0 {
        let file = PathBuf::from(text(&mut input)?);
        let offset = input.u64()?;
        let seq = Some(Seq(input.u64()?)).filter(|seq| *seq != Seq::ZERO);
        head.damaged = Some(Damage {
            file,
            offset,
            doc: Some(doc),
            seq,
            what: text(&mut input)?,
        });
    }
    let (native, turned_at_ms) = if input.0.is_empty() {
        (head.last, created_ms)
    } else {
        (Seq(input.u64()?), input.u64()?)
    };
    Ok(MapState {
        name,
        deleted: deleted != 0,
        created_ms,
        head,
        native,
        known: Known::default(),
        turned_at_ms,
    })
}

/// Key of the tree `known`: a map, then another log.
pub(crate) fn known_key(doc: DocId, log: &LogId) -> [u8; 56] {
    let mut key = [0; 56];
    let parts: [&[u8]; 4] = [
        &doc.to_bytes(),
        &log.store,
        &log.epoch.to_be_bytes(),
        &log.doc.to_bytes(),
    ];
    for (place, byte) in key.iter_mut().zip(parts.concat()) {
        *place = byte;
    }
    key
}

pub(crate) fn parse_known_key(key: &[u8]) -> Result<(DocId, LogId), &'static str> {
    let mut input = Input(key);
    let of = DocId::from_bytes(input.array()?);
    let store = input.array()?;
    let epoch = u64::from_be_bytes(input.array()?);
    let doc = DocId::from_bytes(input.array()?);
    if input.0.is_empty() {
        Ok((of, LogId { store, epoch, doc }))
    } else {
        Err("a key is too long")
    }
}

pub(crate) fn encode_known(seq: Seq) -> Vec<u8> {
    seal(seq.0.to_le_bytes().to_vec())
}

pub(crate) fn decode_known(row: &[u8]) -> Result<Seq, &'static str> {
    Input(unseal(row)?).u64().map(Seq)
}

/// The row `checkpoint` of the tree `meta`.
pub(crate) fn encode_mark(mark: Mark) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    for number in [mark.file, mark.offset, mark.lsn, u64::from(mark.prev_crc)] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    seal(out)
}

pub(crate) fn decode_mark(row: &[u8]) -> Result<Mark, &'static str> {
    let mut input = Input(unseal(row)?);
    let (file, offset, lsn) = (input.u64()?, input.u64()?, input.u64()?);
    let prev_crc = u32::try_from(input.u64()?).map_err(|_| "a checksum is too long")?;
    Ok(Mark {
        file,
        offset,
        lsn,
        prev_crc,
    })
}

/// A row of the tree `snap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapRow {
    /// When the snapshot was stored, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// Length of its file.
    pub(crate) len: u64,
    /// BLAKE3 of its file.
    pub(crate) hash: [u8; 32],
}

pub(crate) fn encode_snap(row: &SnapRow) -> Vec<u8> {
    let mut out = Vec::with_capacity(52);
    out.extend_from_slice(&row.time_ms.to_le_bytes());
    out.extend_from_slice(&row.len.to_le_bytes());
    out.extend_from_slice(&row.hash);
    seal(out)
}

pub(crate) fn decode_snap(row: &[u8]) -> Result<SnapRow, &'static str> {
    let mut input = Input(unseal(row)?);
    Ok(SnapRow {
        time_ms: input.u64()?,
        len: input.u64()?,
        hash: input.array()?,
    })
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = bytes.get(..WHAT_BYTES_MAX).unwrap_or(bytes);
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn text(input: &mut Input<'_>) -> Result<String, &'static str> {
    input
        .text()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn seal(mut row: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&row);
    row.extend_from_slice(&crc.to_le_bytes());
    row
}

fn unseal(row: &[u8]) -> Result<&[u8], &'static str> {
    let (row, crc) = row.split_last_chunk::<4>().ok_or("a row is too short")?;
    if crc32c::crc32c(row) == u32::from_le_bytes(*crc) {
        Ok(row)
    } else {
        Err("the checksum of a row is wrong")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Kind, Origin};

    proptest! {
        #[test]
        fn foreign_rows_never_panic_and_never_pass(row in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(unseal(&row).is_err());
            prop_assert!(decode_log_row(&row).is_err() && decode_mark(&row).is_err() && decode_snap(&row).is_err());
            prop_assert!(decode_state(DocId::from_bytes([0; 16]), &row).is_err());
            let _ = parse_log_key(&row);
        }

        #[test]
        fn keys_sort_as_places_do(a: ([u8; 16], u64), b: ([u8; 16], u64)) {
            let key = |(doc, seq): ([u8; 16], u64)| log_key(DocId::from_bytes(doc), Seq(seq));
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert_eq!(parse_log_key(&key(a)), Ok((DocId::from_bytes(a.0), Seq(a.1))));
        }

        #[test]
        fn records_up_to_the_bound_stand_in_the_row_and_no_row_is_longer_than_4_kib(size in 0usize..9000) {
            let doc = DocId::from_bytes([1; 16]);
            let payload = Bytes::from(vec![7; size]);
            let (origin, kind) = (Arc::new(Origin::default()), Kind::Update);
            let record = Record { doc, seq: Seq(1), time_ms: 2, origin, kind, payload, chain: [3; 32] };
            let place = Place { file: 1, offset: 2, len: 3 };
            let row = encode_log_row(&record, place);
            prop_assert!(row.len() <= 4096);
            let chain = record.chain;
            let fits = Header::of(&record).encode().len() + size <= INLINE_BYTES_MAX;
            let expected = if fits { LogRow::Inline(record) } else { LogRow::ByPlace { place, chain } };
            prop_assert_eq!(decode_log_row(&row), Ok(expected));
        }
    }

    #[test]
    fn a_state_reads_as_it_was_written() {
        let doc = DocId::from_bytes([9; 16]);
        let damage = Damage {
            file: "journal/1".into(),
            offset: 7,
            doc: Some(doc),
            seq: Some(Seq(4)),
            what: "bad".into(),
        };
        let head = Head {
            last: Seq(5),
            count: 4,
            chain: [1; 32],
            damaged: Some(damage),
            ..Head::EMPTY
        };
        let name = Some(MapName::parse("a/b").unwrap());
        let state = MapState {
            name,
            deleted: true,
            created_ms: 3,
            head,
            native: Seq(2),
            known: Known::default(),
            turned_at_ms: 9,
        };
        assert_eq!(decode_state(doc, &encode_state(&state)), Ok(state));
        let mark = Mark {
            file: 1,
            offset: 2,
            lsn: 3,
            prev_crc: 4,
        };
        assert_eq!(decode_mark(&encode_mark(mark)), Ok(mark));
        let snap = SnapRow {
            time_ms: 1,
            len: 2,
            hash: [3; 32],
        };
        assert_eq!(decode_snap(&encode_snap(&snap)), Ok(snap));
    }
}
