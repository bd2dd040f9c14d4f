//! Reads the frames of one journal file and tells an unfinished write at its end from damage. Pure.
//!
//! A batch is written only after everything before it is durable. So a bad place that a *later batch*
//! follows was durable once and is damage. A bad place that nothing follows is an unfinished write. A bad
//! place inside the last batch is an unfinished write where sectors of it never reached the disk (new
//! space reads as zeros), else damage.

use bytes::Bytes;

use super::claim::{Claim, claims};
use super::frame::{
    FILE_HEADER_BYTES, FRAME_MAGIC, FileHeader, Frame, HeaderFault, parse_frame, peek_salt,
};

/// What a power cut leaves whole or not at all.
const SECTOR_BYTES: usize = 512;

/// One step of a scan.
#[derive(Debug)]
pub(crate) enum Found {
    /// A whole record at this offset.
    Frame(u64, Frame),
    /// Bytes that were durable once and are no records now.
    Damage {
        from: u64,
        to: u64,
        what: &'static str,
    },
    /// The record that stands here is whole but does not follow the one before it. It is the next step.
    OutOfOrder { at: u64 },
    /// From here on an unfinished write. The last step.
    Torn { from: u64, to: u64 },
}

/// What is known of the file before it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Number of the file, by its name.
    pub(crate) file: u64,
    /// Bytes at the start of the file that are known to have been durable: all where a later file exists.
    pub(crate) durable: u64,
}

/// Goes over a file's bytes from frame to frame.
#[derive(Debug)]
pub(crate) struct Scan {
    bytes: Bytes,
    known: Known,
    salt: Option<u64>,
    prev_crc: Option<u32>,
    pos: usize,
    ended: bool,
}

impl Scan {
    /// A scan from the file's start, with its header where that can be read.
    pub(crate) fn whole(bytes: Bytes, known: Known) -> (Self, Result<FileHeader, HeaderFault>) {
        let header = FileHeader::decode(&bytes).and_then(|header| {
            if header.id == known.file {
                Ok(header)
            } else {
                Err(HeaderFault::Damaged("it bears another file's number"))
            }
        });
        let good = header.ok();
        let pos = (FILE_HEADER_BYTES as usize).min(bytes.len());
        let scan = Self {
            bytes,
            known,
            salt: good.map(|header| header.salt),
            prev_crc: good.map(|header| header.prev_crc),
            pos,
            ended: false,
        };
        (scan, header)
    }

    /// Goes on at `offset`, where the frame before had the checksum `prev_crc`.
    pub(crate) fn skip_to(&mut self, offset: u64, prev_crc: u32) {
        self.pos = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        self.prev_crc = Some(prev_crc);
    }

    /// What the records in the damaged bytes between two offsets say to be, each with its offset in the file
    /// and what is wrong with it.
    pub(crate) fn claims(&self, from: u64, to: u64) -> Vec<(u64, &'static str, Claim)> {
        let at = |offset: u64| {
            usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(self.bytes.len())
        };
        let (from, to) = (at(from), at(to));
        let lost = self.bytes.slice(from..to.max(from));
        let claims = claims(&lost, self.known.file, self.salt).into_iter();
        claims
            .map(|claim| {
                let at = from + claim.offset;
                let wrong = parse_frame(&self.bytes, at).err();
                let what = wrong.unwrap_or("a record stands where none of its batch can");
                (at as u64, what, claim)
            })
            .collect()
    }

    /// Checksum of the last frame that was read, or the one before the file.
    pub(crate) const fn prev_crc(&self) -> Option<u32> {
        self.prev_crc
    }

    fn frame_at(&self, pos: usize) -> Result<Frame, &'static str> {
        let frame = parse_frame(&self.bytes, pos)?;
        let head = frame.head;
        if head.file != self.known.file || self.salt.is_some_and(|salt| salt != head.salt) {
            return Err("a record of another file stands here");
        }
        if head.batch_offset > pos as u64 || head.batch_offset < FILE_HEADER_BYTES {
            return Err("a record says to belong to a batch that cannot be");
        }
        Ok(frame)
    }

    fn take(&mut self, pos: usize, frame: Frame) -> Found {
        self.salt = Some(frame.head.salt);
        self.prev_crc = Some(frame.crc);
        self.pos = pos + frame.len;
        Found::Frame(pos as u64, frame)
    }

    /// What follows a bad place at `self.pos`.
    fn beyond(&mut self, what: &'static str) -> Found {
        let from = self.pos;
        let end = self.bytes.len();
        let next = self.next_whole(from + 1);
        let durable = (from as u64) < self.known.durable || self.a_later_batch_follows(from, next);
        let hole = next.is_none_or(|next| self.has_hole(from, next));
        if !durable && hole {
            self.ended = true;
            return Found::Torn {
                from: from as u64,
                to: end as u64,
            };
        }
        let to = next.unwrap_or(end);
        self.pos = to;
        // The frame behind a bad place follows one that cannot be read, so nothing is known of its checksum.
        self.prev_crc = None;
        Found::Damage {
            from: from as u64,
            to: to as u64,
            what,
        }
    }

    /// Offset of the first whole frame at or behind `from`.
    fn next_whole(&self, from: usize) -> Option<usize> {
        let mut pos = from;
        loop {
            let rest = self.bytes.get(pos..)?;
            let step = rest
                .windows(FRAME_MAGIC.len())
                .position(|window| window == FRAME_MAGIC)?;
            pos += step;
            let plausible = peek_salt(self.bytes.get(pos..)?).is_some_and(|(file, salt)| {
                file == self.known.file && self.salt.is_none_or(|known| known == salt)
            });
            if plausible && self.frame_at(pos).is_ok() {
                return Some(pos);
            }
            pos += 1;
        }
    }

    fn a_later_batch_follows(&self, bad: usize, next: Option<usize>) -> bool {
        let mut next = next;
        while let Some(pos) = next {
            let Ok(frame) = self.frame_at(pos) else {
                return false;
            };
            if frame.head.batch_offset > bad as u64 {
                return true;
            }
            let after = pos + frame.len;
            next = if self.frame_at(after).is_ok() {
                Some(after)
            } else {
                self.next_whole(after)
            };
        }
        false
    }

    /// Whether a sector between the two places was never written. One that holds the end of a whole frame
    /// was; so it lies wholly between them, or begins the bad place with zeros.
    fn has_hole(&self, from: usize, to: usize) -> bool {
        let zero = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0);
        let edge = from.next_multiple_of(SECTOR_BYTES).min(to);
        let inside = self.bytes.get(edge..to).unwrap_or_default();
        self.bytes.get(from..edge).is_some_and(zero) || inside.chunks_exact(SECTOR_BYTES).any(zero)
    }
}

impl Iterator for Scan {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.ended || self.pos >= self.bytes.len() {
            return None;
        }
        let pos = self.pos;
        match self.frame_at(pos) {
            Ok(frame) if self.prev_crc.is_none_or(|crc| crc == frame.head.prev_crc) => {
                Some(self.take(pos, frame))
            }
            Ok(frame) => {
                // The frame is whole but does not follow the one before: it is reported, then read.
                self.prev_crc = Some(frame.head.prev_crc);
                Some(Found::OutOfOrder { at: pos as u64 })
            }
            Err(what) => Some(self.beyond(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use mapweave_proto::{DocId, Seq};
    use proptest::prelude::*;

    use super::super::frame::{FrameHead, encode_frame};
    use super::*;
    use crate::{CHAIN_START, Kind, Origin, Record};

    /// A file of batches, each a list of payload sizes; the offsets of all frames.
    fn file(batches: &[Vec<usize>]) -> (Vec<u8>, Vec<u64>) {
        let header = FileHeader {
            id: 1,
            salt: 5,
            store: [7; 16],
            first_lsn: 1,
            prev_crc: 9,
        };
        let (mut bytes, mut offsets, mut prev_crc, mut lsn) = (header.encode(), Vec::new(), 9, 1);
        for batch in batches {
            let batch_offset = bytes.len() as u64;
            for size in batch {
                let head = FrameHead {
                    prev_crc,
                    file: 1,
                    salt: 5,
                    lsn,
                    batch_offset,
                    continues: false,
                };
                let payload = vec![0xab; *size].into();
                let (origin, kind, doc) = (
                    Arc::new(Origin::default()),
                    Kind::Update,
                    DocId::from_bytes([1; 16]),
                );
                let record = Record {
                    doc,
                    seq: Seq(lsn),
                    time_ms: 1,
                    origin,
                    kind,
                    payload,
                    chain: CHAIN_START,
                };
                offsets.push(bytes.len() as u64);
                prev_crc = encode_frame(&mut bytes, &head, &record);
                lsn += 1;
            }
        }
        (bytes, offsets)
    }

    fn scan(bytes: Vec<u8>, durable: u64) -> Vec<Found> {
        Scan::whole(Bytes::from(bytes), Known { file: 1, durable })
            .0
            .collect()
    }

    fn frames(found: &[Found]) -> Vec<u64> {
        found
            .iter()
            .filter_map(|f| {
                if let Found::Frame(at, _) = f {
                    Some(*at)
                } else {
                    None
                }
            })
            .collect()
    }

    fn batches() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(prop::collection::vec(0usize..3000, 1..5), 1..5)
    }

    proptest! {
        #[test]
        fn a_cut_file_is_read_up_to_its_last_whole_frame(batches in batches(), cut: prop::sample::Index) {
            let (mut bytes, offsets) = file(&batches);
            let whole = bytes.len();
            bytes.truncate(64 + cut.index(whole - 63));
            let cut = bytes.len() as u64;
            let found = scan(bytes, 0);
            let mut ends = offsets.clone();
            ends.push(whole as u64);
            let expected: Vec<_> = ends.windows(2).filter(|w| w[1] <= cut).map(|w| w[0]).collect();
            prop_assert_eq!(frames(&found), expected);
            prop_assert!(!found.iter().any(|f| matches!(f, Found::Damage { .. })), "{:?}", found);
        }

        #[test]
        fn a_flipped_bit_before_the_last_batch_is_damage_and_costs_one_record(
            batches in batches(), bit: prop::sample::Index,
        ) {
            prop_assume!(batches.len() > 1);
            let (mut bytes, offsets) = file(&batches);
            let last_batch = offsets[offsets.len() - batches.last().unwrap().len()] as usize;
            let bit = 64 * 8 + bit.index((last_batch - 64) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = scan(bytes, 0);
            prop_assert_eq!(found.iter().filter(|f| matches!(f, Found::Damage { .. })).count(), 1);
            prop_assert_eq!(frames(&found).len(), offsets.len() - 1);
        }

        #[test]
        fn lost_sectors_of_the_last_batch_are_an_unfinished_write(
            batches in batches(), lost: prop::sample::Index,
        ) {
            let (mut bytes, offsets) = file(&batches);
            let last_batch = offsets[offsets.len() - batches.last().unwrap().len()] as usize;
            // The sector that the batch shares with durable bytes was on disk before, so it is not lost.
            let sectors: Vec<_> = (last_batch.next_multiple_of(512)..bytes.len()).step_by(512).collect();
            prop_assume!(!sectors.is_empty());
            let at = sectors[lost.index(sectors.len())];
            let end = (at + 512).min(bytes.len());
            bytes[at..end].fill(0);
            let found = scan(bytes, last_batch as u64);
            prop_assert!(!found.iter().any(|f| matches!(f, Found::Damage { .. })), "{:?}", found);
            prop_assert!(matches!(found.last(), Some(Found::Torn { .. })), "{:?}", found);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), durable: u64) {
            scan(bytes, durable);
        }
    }

    #[test]
    fn a_frame_inside_a_payload_is_not_taken_for_one() {
        let (inner, _) = file(&[vec![10]]);
        let (mut bytes, offsets) = file(&[vec![2000], vec![5]]);
        let at = offsets[0] as usize + 500;
        // Same file number, another salt: what somebody can forge who knows all but the salt.
        let mut forged = inner[64..].to_vec();
        forged[24] ^= 1;
        bytes[at..at + forged.len()].copy_from_slice(&forged);
        assert_eq!(frames(&scan(bytes, 0)), [offsets[1]]);
    }
}
