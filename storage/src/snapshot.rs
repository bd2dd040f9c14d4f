//! Snapshot files, and which of them to keep. Pure but for the two functions that touch the disk.
//!
//! `snapshots/<doc>/<upto>.mws`: a header of [`HEADER_BYTES`], then the payload, packed by zstd where that
//! makes it smaller. The BLAKE3 in the header is over all of the file but itself.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use mapweave_proto::{DocId, Seq};

use crate::disk::{Disk, read_whole, write_durable};
use crate::header::Input;
use crate::row::SnapRow;
use crate::{Damage, StoreError};

/// Largest snapshot, in bytes as the caller gives it (1 GiB).
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// Whatever their age, snapshots are kept so densely that at most this many records lie between two: a
/// replay does over 120 000 records a second, so any moment is reached within one.
const SPACING_RECORDS: u64 = 50_000;

const NEWEST_KEPT: usize = 2;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const DAYS_KEPT: u64 = 30;

const MAGIC: [u8; 8] = *b"MWsnapsh";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 128;
const HASHED_HEADER_BYTES: usize = HEADER_BYTES - 32;
const PACKED: u32 = 1;
const LEVEL: i32 = 1;

/// What a snapshot file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Title {
    pub(crate) doc: DocId,
    pub(crate) upto: Seq,
    /// The map's chain at `upto`: a snapshot of another history is not used.
    pub(crate) chain: [u8; 32],
    pub(crate) time_ms: u64,
}

pub(crate) fn dir_of(root: &Path, doc: DocId) -> PathBuf {
    root.join("snapshots").join(doc.to_string())
}

pub(crate) fn path_of(root: &Path, doc: DocId, upto: Seq) -> PathBuf {
    dir_of(root, doc).join(format!("{:020}.mws", upto.0))
}

/// The place that a snapshot file's name says.
pub(crate) fn parse_file_name(name: &str) -> Option<Seq> {
    name.strip_suffix(".mws")?.parse().ok().map(Seq)
}

pub(crate) fn encode(title: &Title, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(bytes, LEVEL)?;
    let (flags, stored) = if packed.len() < bytes.len() {
        (PACKED, &packed[..])
    } else {
        (0, bytes)
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + stored.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&title.doc.to_bytes());
    out.extend_from_slice(&title.upto.0.to_le_bytes());
    out.extend_from_slice(&title.chain);
    out.extend_from_slice(&title.time_ms.to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(&(stored.len() as u64).to_le_bytes());
    debug_assert_eq!(out.len(), HASHED_HEADER_BYTES);
    let hash = hash(&out, stored);
    out.extend_from_slice(&hash);
    out.extend_from_slice(stored);
    Ok(out)
}

fn hash(header: &[u8], stored: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    hasher.update(stored);
    *hasher.finalize().as_bytes()
}

pub(crate) fn decode(file: &[u8]) -> Result<(Title, Bytes), &'static str> {
    let mut input = Input(file);
    let magic: [u8; 8] = input.array()?;
    let (version, flags) = (input.u32()?, input.u32()?);
    let doc = DocId::from_bytes(input.array()?);
    let upto = Seq(input.u64()?);
    let chain = input.array()?;
    let (time_ms, raw_len, stored_len) = (input.u64()?, input.u64()?, input.u64()?);
    let expected: [u8; 32] = input.array()?;
    let stored = input.0;
    let header = file.get(..HASHED_HEADER_BYTES).unwrap_or_default();
    if magic != MAGIC {
        return Err("it does not start like a snapshot");
    }
    if stored_len != stored.len() as u64 || hash(header, stored) != expected {
        return Err("the checksum of the snapshot is wrong");
    }
    if version != VERSION || flags > PACKED {
        return Err("the snapshot was written by a later version");
    }
    let raw_len = usize::try_from(raw_len)
        .ok()
        .filter(|len| *len <= SNAPSHOT_BYTES_MAX);
    let raw_len = raw_len.ok_or("the snapshot is larger than any can be")?;
    let bytes = if flags == PACKED {
        zstd::bulk::decompress(stored, raw_len).map_err(|_| "the snapshot cannot be unpacked")?
    } else {
        stored.to_vec()
    };
    if bytes.len() != raw_len {
        return Err("the snapshot does not have the length it says");
    }
    Ok((
        Title {
            doc,
            upto,
            chain,
            time_ms,
        },
        bytes.into(),
    ))
}

/// Writes a snapshot durably, reads it back and compares.
pub(crate) fn write(
    disk: &dyn Disk,
    root: &Path,
    title: &Title,
    bytes: &Bytes,
) -> Result<SnapRow, StoreError> {
    let (dir, path) = (
        dir_of(root, title.doc),
        path_of(root, title.doc, title.upto),
    );
    disk.create_dir_all(&dir)
        .map_err(|e| StoreError::io("create", &dir, e))?;
    let above = root.join("snapshots");
    disk.sync_dir(&above)
        .map_err(|e| StoreError::io("sync", &above, e))?;
    let file = encode(title, bytes).map_err(|e| StoreError::io("compress", &path, e))?;
    write_durable(disk, &path, &file)?;
    let back = read_whole(disk, &path, file.len() as u64 + 1)?.unwrap_or_default();
    if back != file || decode(&back).as_ref() != Ok(&(*title, bytes.clone())) {
        let what = "the snapshot does not read back as it was written".into();
        return Err(damage(root, &path, title.doc, title.upto, what).into());
    }
    Ok(row_of(title, &file))
}

/// A snapshot that was read and found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) title: Title,
    pub(crate) bytes: Bytes,
    /// What sled is to say of it.
    pub(crate) row: SnapRow,
}

/// Reads the snapshot of `doc` up to `upto`.
pub(crate) fn read(
    disk: &dyn Disk,
    root: &Path,
    doc: DocId,
    upto: Seq,
) -> Result<Stored, StoreError> {
    let path = path_of(root, doc, upto);
    let max = (SNAPSHOT_BYTES_MAX + HEADER_BYTES) as u64;
    let Some(file) = read_whole(disk, &path, max)? else {
        return Err(damage(root, &path, doc, upto, "the file is missing".into()).into());
    };
    match decode(&file) {
        Ok((title, bytes)) if (title.doc, title.upto) == (doc, upto) => Ok(Stored {
            title,
            bytes,
            row: row_of(&title, &file),
        }),
        Ok(_) => Err(damage(
            root,
            &path,
            doc,
            upto,
            "it is the snapshot of something else".into(),
        )
        .into()),
        Err(what) => Err(damage(root, &path, doc, upto, what.into()).into()),
    }
}

fn row_of(title: &Title, file: &[u8]) -> SnapRow {
    SnapRow {
        time_ms: title.time_ms,
        len: file.len() as u64,
        hash: *blake3::hash(file).as_bytes(),
    }
}

pub(crate) fn damage(root: &Path, path: &Path, doc: DocId, upto: Seq, what: String) -> Damage {
    let file = path.strip_prefix(root).unwrap_or(path).to_owned();
    Damage {
        file,
        offset: 0,
        doc: Some(doc),
        seq: Some(upto),
        what,
    }
}

/// Which of a map's snapshots (place, time; oldest first) may go: all but the newest two, the newest of
/// each of the last 30 days, and as many as keep any two neighbours within [`SPACING_RECORDS`].
pub(crate) fn superfluous(snapshots: &[(Seq, u64)], now_ms: u64) -> Vec<Seq> {
    let newest = snapshots.len().saturating_sub(NEWEST_KEPT);
    let mut gone = Vec::new();
    let mut kept = Seq::ZERO;
    for (index, (seq, time_ms)) in snapshots.iter().enumerate() {
        let next = snapshots.get(index + 1);
        let young = now_ms.saturating_sub(*time_ms) < DAYS_KEPT * DAY_MS;
        let last_of_day = next.is_none_or(|(_, next_ms)| next_ms / DAY_MS != time_ms / DAY_MS);
        let spacing = next.is_none_or(|(next, _)| next.0.saturating_sub(kept.0) > SPACING_RECORDS);
        if index >= newest || (young && last_of_day) || spacing {
            kept = *seq;
        } else {
            gone.push(*seq);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const TITLE: Title = Title {
        doc: DocId::from_bytes([4; 16]),
        upto: Seq(9),
        chain: [5; 32],
        time_ms: 1_700_000_000_000,
    };

    proptest! {
        #[test]
        fn a_snapshot_reads_as_it_was_written(bytes in prop::collection::vec(any::<u8>(), 0..500), repeat in 1usize..50) {
            let bytes = Bytes::from(bytes.repeat(repeat));
            let file = encode(&TITLE, &bytes).unwrap();
            prop_assert_eq!(decode(&file), Ok((TITLE, bytes)));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn pruning_keeps_the_newest_each_day_and_the_spacing(
            steps in prop::collection::vec((1u64..30_000, 0u64..DAY_MS / 3), 1..100),
        ) {
            let (mut seq, mut time) = (0, 0);
            let all: Vec<_> = steps.iter().map(|(records, ms)| { seq += records; time += ms; (Seq(seq), time) }).collect();
            let gone = superfluous(&all, time);
            let kept: Vec<_> = all.iter().filter(|(seq, _)| !gone.contains(seq)).collect();
            prop_assert!(kept.ends_with(&all[all.len().saturating_sub(2)..].iter().collect::<Vec<_>>()));
            prop_assert!(kept.windows(2).all(|w| w[1].0.0 - w[0].0.0 <= SPACING_RECORDS));
            for (_, time) in &all {
                prop_assert!(kept.iter().any(|(_, kept)| kept / DAY_MS == time / DAY_MS) || time + DAYS_KEPT * DAY_MS <= all[all.len() - 1].1);
            }
            prop_assert!(superfluous(&kept.into_iter().copied().collect::<Vec<_>>(), time).is_empty());
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        let file = encode(&TITLE, &[7; 300]).unwrap();
        for bit in 0..file.len() * 8 {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&file).is_err(), "bit {bit}");
        }
    }
}
