//! The bytes of a journal file: its header, and one frame a record. Pure. Layouts are in `docs/storage.md`.

use bytes::Bytes;

use crate::Record;
use crate::header::{HEADER_BYTES_MAX, Header, Input};
use crate::record::PAYLOAD_BYTES_MAX;

/// What the version of this code writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Bytes of a file before its first frame.
pub(crate) const FILE_HEADER_BYTES: u64 = 64;

/// Bytes of a frame before the record's header.
pub(crate) const FRAME_HEAD_BYTES: usize = 84;

pub(crate) const FRAME_MAGIC: [u8; 4] = *b"MWf\xa7";
const FILE_MAGIC: [u8; 8] = *b"MWjournl";

const BODY_BYTES_MAX: usize = HEADER_BYTES_MAX + PAYLOAD_BYTES_MAX;
const FLAG_CONTINUES: u8 = 1;

/// What stands at the start of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// Number of the file, as in its name.
    pub(crate) id: u64,
    /// Drawn at random for every file and repeated in each frame: bytes inside somebody's payload cannot
    /// pass for a frame when a reader looks for the next one behind a damaged place.
    pub(crate) salt: u64,
    /// Id of the store.
    pub(crate) store: [u8; 16],
    /// Number of the first frame.
    pub(crate) first_lsn: u64,
    /// Checksum of the frame before the first one, in the file before.
    pub(crate) prev_crc: u32,
}

/// Why a file header is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged(&'static str),
    Version(u32),
}

impl FileHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES as usize);
        out.extend_from_slice(&FILE_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.first_lsn.to_le_bytes());
        out.extend_from_slice(&self.prev_crc.to_le_bytes());
        debug_assert_eq!(out.len(), FILE_HEADER_BYTES as usize - 4);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(file: &[u8]) -> Result<Self, HeaderFault> {
        let damaged = HeaderFault::Damaged;
        let bytes = file
            .get(..FILE_HEADER_BYTES as usize)
            .ok_or(damaged("its header is cut short"))?;
        let (fields, crc) = bytes
            .split_last_chunk::<4>()
            .ok_or(damaged("its header is cut short"))?;
        if crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
            return Err(damaged("the checksum of its header is wrong"));
        }
        let mut input = Input(fields);
        let magic: [u8; 8] = input.array().map_err(damaged)?;
        let version = input.u32().map_err(damaged)?;
        if magic != FILE_MAGIC {
            return Err(damaged("it does not start like a journal file"));
        }
        if version != FORMAT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        input.take(4).map_err(damaged)?;
        Ok(Self {
            id: input.u64().map_err(damaged)?,
            salt: input.u64().map_err(damaged)?,
            store: input.array().map_err(damaged)?,
            first_lsn: input.u64().map_err(damaged)?,
            prev_crc: input.u32().map_err(damaged)?,
        })
    }
}

/// What a frame says besides its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Checksum of the frame before.
    pub(crate) prev_crc: u32,
    /// Number of the file.
    pub(crate) file: u64,
    /// The file's salt.
    pub(crate) salt: u64,
    /// Number of the frame in the store, counted from 1 without gaps.
    pub(crate) lsn: u64,
    /// Where in the file the batch begins that the frame was written with. All bytes before it were
    /// durable before the batch was written.
    pub(crate) batch_offset: u64,
    /// More frames of the same append follow.
    pub(crate) continues: bool,
}

/// A whole frame that was read and found right.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) head: FrameHead,
    pub(crate) crc: u32,
    /// Bytes that the frame takes.
    pub(crate) len: usize,
    pub(crate) record: Record,
}

/// Appends the frame of `record` to `out` and returns its checksum.
pub(crate) fn encode_frame(out: &mut Vec<u8>, head: &FrameHead, record: &Record) -> u32 {
    let header = Header::of(record).encode();
    let start = out.len();
    // Both parts are within their bounds, see `BODY_BYTES_MAX`.
    let len = u32::try_from(header.len() + record.payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.prev_crc.to_le_bytes());
    out.extend_from_slice(&head.file.to_le_bytes());
    out.extend_from_slice(&head.salt.to_le_bytes());
    out.extend_from_slice(&head.lsn.to_le_bytes());
    out.extend_from_slice(&head.batch_offset.to_le_bytes());
    out.extend_from_slice(&record.chain);
    out.extend_from_slice(&[if head.continues { FLAG_CONTINUES } else { 0 }, 0, 0, 0]);
    debug_assert_eq!(out.len() - start, FRAME_HEAD_BYTES);
    out.extend_from_slice(&header);
    out.extend_from_slice(&record.payload);
    let crc = frame_crc(out.get(start..).unwrap_or_default());
    if let Some(field) = out.get_mut(start + 8..start + 12) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
    crc
}

/// Over everything but the checksum's own four bytes.
fn frame_crc(frame: &[u8]) -> u32 {
    let before = crc32c::crc32c(frame.get(..8).unwrap_or_default());
    crc32c::crc32c_append(before, frame.get(12..).unwrap_or_default())
}

/// The frame at `offset` of `file`, if a whole one is there whose checksum is right.
pub(crate) fn parse_frame(file: &Bytes, offset: usize) -> Result<Frame, &'static str> {
    let bytes = file.get(offset..).unwrap_or_default();
    let mut input = Input(bytes);
    if input.array()? != FRAME_MAGIC {
        return Err("no record starts here");
    }
    let body_len = input.u32()? as usize;
    if body_len > BODY_BYTES_MAX {
        return Err("a record is longer than any can be");
    }
    let len = FRAME_HEAD_BYTES + body_len;
    let frame = bytes
        .get(..len)
        .ok_or("a record ends behind the end of the file")?;
    let crc = input.u32()?;
    if frame_crc(frame) != crc {
        return Err("the checksum of a record is wrong");
    }
    let head = FrameHead {
        prev_crc: input.u32()?,
        file: input.u64()?,
        salt: input.u64()?,
        lsn: input.u64()?,
        batch_offset: input.u64()?,
        continues: false,
    };
    let chain: [u8; 32] = input.array()?;
    let [flags, ..]: [u8; 4] = input.array()?;
    let body = frame.get(FRAME_HEAD_BYTES..).unwrap_or_default();
    let (header, payload) = Header::decode(body)?;
    let head = FrameHead {
        continues: flags & FLAG_CONTINUES != 0,
        ..head
    };
    Ok(Frame {
        head,
        crc,
        len,
        record: header.with(file.slice_ref(payload), chain),
    })
}

/// File and salt of what may be a frame at the start of `bytes`, without checking it.
pub(crate) fn peek_salt(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut input = Input(bytes.get(16..)?);
    Some((input.u64().ok()?, input.u64().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use mapweave_proto::{DocId, MapName, Seq};
    use proptest::prelude::*;

    use super::*;
    use crate::{Kind, LogId, Origin, Protocol, Relayed};

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Update),
            Just(Kind::Gapped),
            Just(Kind::Deleted),
            Just(Kind::Restored),
            Just(Kind::Quarantined),
            any::<u64>().prop_map(|of| Kind::Admitted { of: Seq(of) }),
            any::<u64>().prop_map(|of| Kind::Rejected { of: Seq(of) }),
            "[a-z]{1,200}".prop_map(|n| Kind::Created {
                name: MapName::parse(&n).unwrap()
            }),
            "[a-z]{1,9}/[a-z]{1,9}".prop_map(|n| Kind::Renamed {
                name: MapName::parse(&n).unwrap()
            }),
            ".{0,200}".prop_map(|what| Kind::Revoked { what }),
            ".{0,200}".prop_map(|what| Kind::Issued { what }),
            (100u8.., prop::collection::vec(any::<u8>(), 0..100)).prop_map(|(code, detail)| {
                Kind::Other {
                    code,
                    detail: detail.into(),
                }
            }),
        ]
    }

    prop_compose! {
        fn records()(
            doc: [u8; 16], seq: u64, time_ms: u64, kind in kinds(), user in ".{0,200}", session in ".{0,50}",
            client: Option<u64>, protocol: u8, made_at_ms: Option<u64>, relayed: Option<([u8; 16], u64, [u8; 16], u64, u64, String)>,
            payload in prop::collection::vec(any::<u8>(), 0..300), chain: [u8; 32],
        ) -> Record {
            let relayed = relayed.map(|(store, epoch, doc, seq, at_ms, via)| {
                let log = LogId { store, epoch, doc: DocId::from_bytes(doc) };
                Relayed { log, seq: Seq(seq), at_ms, via: via.chars().take(200).collect() }
            });
            let protocol = Protocol::from_code(protocol);
            let origin = Arc::new(Origin { user, session, client, protocol, made_at_ms, relayed });
            Record { doc: DocId::from_bytes(doc), seq: Seq(seq), time_ms, origin, kind, payload: payload.into(), chain }
        }
    }

    const HEAD: FrameHead = FrameHead {
        prev_crc: 7,
        file: 3,
        salt: 99,
        lsn: 12,
        batch_offset: 64,
        continues: true,
    };

    proptest! {
        #[test]
        fn a_frame_reads_as_it_was_written(record in records()) {
            let mut bytes = vec![1, 2, 3];
            let crc = encode_frame(&mut bytes, &HEAD, &record);
            let frame = parse_frame(&Bytes::from(bytes.clone()), 3).unwrap();
            prop_assert_eq!(frame.record, record);
            prop_assert_eq!((frame.head, frame.crc, frame.len), (HEAD, crc, bytes.len() - 3));
        }

        #[test]
        fn no_flipped_bit_and_no_cut_passes(record in records(), bit: prop::sample::Index, cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode_frame(&mut bytes, &HEAD, &record);
            let cut = cut.index(bytes.len());
            prop_assert!(parse_frame(&Bytes::copy_from_slice(&bytes[..cut]), 0).is_err());
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(parse_frame(&Bytes::from(bytes), 0).is_err());
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_frame(&Bytes::from(bytes.clone()), 0);
            let _ = FileHeader::decode(&bytes);
            let _ = Header::decode(&bytes);
        }
    }

    #[test]
    fn no_flipped_bit_of_a_file_header_passes() {
        let header = FileHeader {
            id: 1,
            salt: 2,
            store: [3; 16],
            first_lsn: 4,
            prev_crc: 5,
        };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
