//! What a damaged place still says about the records that stood there. Pure, and never believed by itself:
//! [`super::naming`] holds it against the records around it.

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};

use super::frame::FRAME_HEAD_BYTES;
use crate::header::Input;

/// The fields of a frame whose checksum is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Where the frame begins, from the start of the damaged place.
    pub(crate) offset: usize,
    pub(crate) lsn: u64,
    pub(crate) doc: DocId,
    pub(crate) seq: Seq,
    chain: [u8; 32],
    /// Record header and payload, up to the next frame.
    body: Bytes,
}

impl Claim {
    /// Whether the record would be whole as record `seq` of `doc`, behind a record with the chain `before`.
    /// True by accident for nobody: the hash takes in every field and the payload.
    pub(crate) fn is_whole_as(&self, doc: DocId, seq: Seq, before: &[u8; 32]) -> bool {
        let Some(rest) = self.body.get(DOC_BYTES + SEQ_BYTES..) else {
            return false;
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(before);
        hasher.update(&doc.to_bytes());
        hasher.update(&seq.0.to_le_bytes());
        hasher.update(rest);
        hasher.finalize().as_bytes() == &self.chain
    }

    /// Chain after the record, as its frame says.
    pub(crate) const fn chain(&self) -> &[u8; 32] {
        &self.chain
    }
}

/// What the frames in the damaged bytes `lost` say, in order. The first begins at their start; a further one
/// is found by the number of its file and the file's salt, which no payload knows.
pub(crate) fn claims(lost: &Bytes, file: u64, salt: Option<u64>) -> Vec<Claim> {
    let mut starts = vec![0];
    if let Some(salt) = salt {
        let mut wanted = [0; 16];
        let (left, right) = wanted.split_at_mut(8);
        left.copy_from_slice(&file.to_le_bytes());
        right.copy_from_slice(&salt.to_le_bytes());
        let behind = lost.get(FILE_AT + 1..).unwrap_or_default();
        let found = behind.windows(wanted.len()).enumerate();
        starts.extend(
            found
                .filter(|(_, window)| *window == wanted)
                .map(|(at, _)| at + 1)
                .take(CLAIMS_MAX),
        );
    }
    let ends = starts.iter().skip(1).copied().chain([lost.len()]);
    let places = starts.iter().copied().zip(ends);
    places
        .filter_map(|(start, end)| claim(lost, start, end))
        .collect()
}

fn claim(lost: &Bytes, offset: usize, end: usize) -> Option<Claim> {
    let frame = lost.get(offset..end)?;
    let mut input = Input(frame.get(LSN_AT..)?);
    let lsn = input.u64().ok()?;
    let _batch_offset = input.u64().ok()?;
    let chain = input.array().ok()?;
    let body = frame.get(FRAME_HEAD_BYTES..)?;
    let mut input = Input(body);
    let doc = DocId::from_bytes(input.array().ok()?);
    let seq = Seq(input.u64().ok()?);
    Some(Claim {
        offset,
        lsn,
        doc,
        seq,
        chain,
        body: lost.slice_ref(body),
    })
}

const DOC_BYTES: usize = 16;
const SEQ_BYTES: usize = 8;

/// Offsets in a frame.
const FILE_AT: usize = 16;
const LSN_AT: usize = 32;

/// Most records that are looked for in one damaged place.
const CLAIMS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::frame::{FrameHead, encode_frame};
    use super::*;
    use crate::record::CHAIN_START;
    use crate::{Kind, Origin, Record};

    const FILE: u64 = 3;
    const SALT: u64 = 0x5a17_5a17_5a17_5a17;

    /// Frames of one map, each with its offset.
    fn frames(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut offsets, mut chain) = (Vec::new(), Vec::new(), CHAIN_START);
        for (at, payload) in payloads.iter().enumerate() {
            let lsn = at as u64 + 1;
            let mut record = Record {
                doc: DocId::from_bytes([7; 16]),
                seq: Seq(lsn),
                time_ms: 1,
                origin: Arc::new(Origin::default()),
                kind: Kind::Update,
                payload: payload.clone().into(),
                chain,
            };
            record.chain = record.chain_after(&chain);
            chain = record.chain;
            let head = FrameHead {
                prev_crc: 0,
                file: FILE,
                salt: SALT,
                lsn,
                batch_offset: 64,
                continues: false,
            };
            offsets.push(out.len());
            encode_frame(&mut out, &head, &record);
        }
        (out, offsets)
    }

    proptest! {
        #[test]
        fn frames_next_to_each_other_are_told_apart_and_prove_whose_they_are(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6), hit: [u8; 16],
        ) {
            let (mut bytes, offsets) = frames(&payloads);
            // The ids of all maps are gone.
            for at in &offsets {
                bytes[at + FRAME_HEAD_BYTES..][..16].copy_from_slice(&hit);
            }
            let found = claims(&Bytes::from(bytes), FILE, Some(SALT));
            let mut chain = CHAIN_START;
            prop_assert_eq!(found.len(), offsets.len());
            for (claim, (at, seq)) in found.iter().zip(offsets.iter().zip(1..)) {
                prop_assert_eq!((claim.offset, claim.seq, claim.lsn), (*at, Seq(seq), seq));
                prop_assert!(claim.is_whole_as(DocId::from_bytes([7; 16]), Seq(seq), &chain));
                prop_assert!(!claim.is_whole_as(DocId::from_bytes([8; 16]), Seq(seq), &chain));
                prop_assert!(!claim.is_whole_as(DocId::from_bytes([7; 16]), Seq(seq + 1), &chain));
                chain = *claim.chain();
            }
        }

        #[test]
        fn foreign_bytes_never_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), salts in prop::collection::vec(0usize..400, 0..5),
        ) {
            for at in salts {
                if let Some(place) = bytes.get_mut(at..at + 16) {
                    place[..8].copy_from_slice(&FILE.to_le_bytes());
                    place[8..].copy_from_slice(&SALT.to_le_bytes());
                }
            }
            let bytes = Bytes::from(bytes);
            for claim in claims(&bytes, FILE, Some(SALT)) {
                claim.is_whole_as(claim.doc, claim.seq, claim.chain());
            }
            claims(&bytes, FILE, None);
        }
    }
}
