//! A sealed journal file, compressed for keeping: `archive/NNNNNNNN.mwj`.
//!
//! The journal's bytes in blocks of [`BLOCK_BYTES`], each a zstd frame of its own, then an index of the
//! blocks and a trailer. A place (offset, length) in the journal file stays readable without the rest.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;

use super::frame::{FORMAT_VERSION, HeaderFault};
use crate::disk::Disk;
use crate::header::Input;
use crate::{Damage, StoreError};

/// Journal bytes in one block.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Largest journal file that is ever written or read back, in bytes: one file of the usual size and the
/// largest append with the longest headers.
pub(crate) const JOURNAL_FILE_BYTES_MAX: u64 = 1 << 30;

const LEVEL: i32 = 3;
const MAGIC: [u8; 8] = *b"MWarchiv";
const END_MAGIC: [u8; 8] = *b"MWarcend";
const HEADER_BYTES: usize = 8 + 4 + 8 + 4;
const ENTRY_BYTES: usize = 8 + 4 + 4 + 4;
const TRAILER_BYTES: usize = 8 + 8 + 4 + 4 + 4 + 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    offset: u64,
    stored_len: u32,
    raw_len: u32,
    /// Of the stored bytes.
    crc: u32,
}

/// The block index of an archive file.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    blocks: Vec<Block>,
    raw_len: u64,
}

/// Why an archive file cannot be used as a whole, and where.
#[derive(Debug)]
pub(crate) enum Fault {
    Store(StoreError),
    Header(u64, HeaderFault),
}

/// The archive file of a journal file's bytes.
pub(crate) fn pack(file: u64, journal: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = header(file);
    let mut index = Vec::new();
    for raw in journal.chunks(BLOCK_BYTES) {
        let offset = out.len() as u64;
        let stored = zstd::bulk::compress(raw, LEVEL)?;
        index.extend_from_slice(&offset.to_le_bytes());
        for len in [stored.len(), raw.len()] {
            index.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        }
        index.extend_from_slice(&crc32c::crc32c(&stored).to_le_bytes());
        out.extend_from_slice(&stored);
    }
    let index_offset = out.len() as u64;
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    trailer.extend_from_slice(&index_offset.to_le_bytes());
    trailer.extend_from_slice(&(journal.len() as u64).to_le_bytes());
    let blocks = journal.len().div_ceil(BLOCK_BYTES);
    trailer.extend_from_slice(&u32::try_from(blocks).unwrap_or(u32::MAX).to_le_bytes());
    trailer.extend_from_slice(&crc32c::crc32c(&index).to_le_bytes());
    let crc = crc32c::crc32c(&trailer);
    trailer.extend_from_slice(&crc.to_le_bytes());
    trailer.extend_from_slice(&END_MAGIC);
    out.extend_from_slice(&index);
    out.extend_from_slice(&trailer);
    Ok(out)
}

fn header(file: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&file.to_le_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

impl Index {
    /// Reads header, trailer and index of the archive file at `path`. The header is told apart, since the
    /// blocks can be read without it.
    pub(crate) fn read(
        disk: &dyn Disk,
        path: &Path,
        file: u64,
    ) -> Result<(Self, Option<Fault>), Fault> {
        let io = |e| Fault::Store(StoreError::io("read", path, e));
        let len = disk.len(path).map_err(io)?;
        let damaged = |at: u64, what| Fault::Header(at, HeaderFault::Damaged(what));
        let start = disk
            .read_at(
                path,
                0,
                HEADER_BYTES.min(usize::try_from(len).unwrap_or(usize::MAX)),
            )
            .map_err(io)?;
        let fault = check_header(&start, file)
            .err()
            .map(|fault| Fault::Header(0, fault));
        if let Some(Fault::Header(_, HeaderFault::Version(_))) = fault {
            return Err(fault.unwrap_or(damaged(0, "")));
        }
        let trailer_at = len
            .checked_sub(TRAILER_BYTES as u64)
            .ok_or(damaged(0, "it is cut short"))?;
        let trailer = disk.read_at(path, trailer_at, TRAILER_BYTES).map_err(io)?;
        let trailer = Trailer::decode(&trailer).map_err(|what| damaged(trailer_at, what))?;
        let index_len = u64::from(trailer.blocks) * ENTRY_BYTES as u64;
        if trailer.index_offset.checked_add(index_len) != Some(trailer_at) {
            return Err(damaged(
                trailer_at,
                "its index does not lie where its trailer says",
            ));
        }
        let index_len =
            usize::try_from(index_len).map_err(|_| damaged(trailer_at, "its index is too long"))?;
        let index = disk
            .read_at(path, trailer.index_offset, index_len)
            .map_err(io)?;
        if crc32c::crc32c(&index) != trailer.index_crc {
            return Err(damaged(
                trailer.index_offset,
                "the checksum of its index is wrong",
            ));
        }
        let blocks =
            blocks(&index, &trailer).map_err(|what| damaged(trailer.index_offset, what))?;
        Ok((
            Self {
                blocks,
                raw_len: trailer.raw_len,
            },
            fault,
        ))
    }

    /// Length of the journal file.
    pub(crate) const fn raw_len(&self) -> u64 {
        self.raw_len
    }

    /// `len` bytes of the journal file from `offset` on.
    pub(crate) fn read_at(
        &self,
        disk: &dyn Disk,
        path: &Path,
        offset: u64,
        len: usize,
    ) -> Result<Bytes, Damage> {
        let place = |what: &str| Damage {
            file: path.to_owned(),
            offset,
            doc: None,
            seq: None,
            what: what.to_owned(),
        };
        let end = offset
            .checked_add(len as u64)
            .filter(|end| *end <= self.raw_len);
        let end =
            end.ok_or_else(|| place("a record lies behind the end of the journal file kept here"))?;
        let block_bytes = BLOCK_BYTES as u64;
        let first = usize::try_from(offset / block_bytes).unwrap_or(usize::MAX);
        let last = usize::try_from(end.div_ceil(block_bytes)).unwrap_or(usize::MAX);
        let mut raw = Vec::with_capacity(len.saturating_add(2 * BLOCK_BYTES));
        for block in self.blocks.get(first..last).unwrap_or_default() {
            // Whether the record survived is for its own checksum to say.
            raw.extend_from_slice(&unpack(disk, path, block).0);
        }
        let start = usize::try_from(offset % block_bytes).unwrap_or(usize::MAX);
        let raw = Bytes::from(raw);
        if raw.len() < start.saturating_add(len) {
            return Err(place("a record lies behind the blocks kept here"));
        }
        Ok(raw.slice(start..start + len))
    }

    /// The whole journal file; a block that is damaged is named, and what cannot be unpacked of it is zeros.
    pub(crate) fn read_all(&self, disk: &dyn Disk, path: &Path) -> (Bytes, Vec<Damage>) {
        let mut raw = Vec::with_capacity(usize::try_from(self.raw_len).unwrap_or(0));
        let mut problems = Vec::new();
        for block in &self.blocks {
            let (bytes, damage) = unpack(disk, path, block);
            raw.extend_from_slice(&bytes);
            problems.extend(damage);
        }
        (Bytes::from(raw), problems)
    }
}

struct Trailer {
    index_offset: u64,
    raw_len: u64,
    blocks: u32,
    index_crc: u32,
}

impl Trailer {
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut input = Input(bytes);
        let trailer = Self {
            index_offset: input.u64()?,
            raw_len: input.u64()?,
            blocks: input.u32()?,
            index_crc: input.u32()?,
        };
        let fields = bytes.get(..24).unwrap_or_default();
        if input.u32()? != crc32c::crc32c(fields) || input.array()? != END_MAGIC {
            return Err("the checksum of its trailer is wrong, or it is cut short");
        }
        if trailer.raw_len > JOURNAL_FILE_BYTES_MAX {
            return Err("it says to hold a longer journal file than there can be");
        }
        Ok(trailer)
    }
}

fn blocks(index: &[u8], trailer: &Trailer) -> Result<Vec<Block>, &'static str> {
    let mut input = Input(index);
    let mut blocks = Vec::with_capacity(trailer.blocks as usize);
    let (mut expected, mut raw_len) = (HEADER_BYTES as u64, 0u64);
    for _ in 0..trailer.blocks {
        let block = Block {
            offset: input.u64()?,
            stored_len: input.u32()?,
            raw_len: input.u32()?,
            crc: input.u32()?,
        };
        if block.offset != expected || block.raw_len as usize > BLOCK_BYTES {
            return Err("a block does not lie where its index says");
        }
        expected += u64::from(block.stored_len);
        raw_len += u64::from(block.raw_len);
        blocks.push(block);
    }
    if expected != trailer.index_offset || raw_len != trailer.raw_len {
        return Err("its blocks are fewer or more than its trailer says");
    }
    Ok(blocks)
}

fn check_header(bytes: &[u8], file: u64) -> Result<(), HeaderFault> {
    if bytes == header(file) {
        return Ok(());
    }
    let mut input = Input(bytes);
    let magic: [u8; 8] = input.array().map_err(HeaderFault::Damaged)?;
    let version = input.u32().map_err(HeaderFault::Damaged)?;
    let crc = bytes.last_chunk::<4>().map(|crc| u32::from_le_bytes(*crc));
    let sound = crc == bytes.get(..HEADER_BYTES - 4).map(crc32c::crc32c);
    if magic == MAGIC && sound && version != FORMAT_VERSION {
        return Err(HeaderFault::Version(version));
    }
    Err(HeaderFault::Damaged(
        "its header is not that of this archive file",
    ))
}

/// The journal bytes of a block, as many as it has, and what is wrong with it. Of a damaged block as much is
/// unpacked as can be: its records have checksums of their own.
fn unpack(disk: &dyn Disk, path: &Path, block: &Block) -> (Vec<u8>, Option<Damage>) {
    let raw_len = block.raw_len as usize;
    let damaged = |raw: Vec<u8>, what: String| {
        let damage = Damage {
            file: path.to_owned(),
            offset: block.offset,
            doc: None,
            seq: None,
            what,
        };
        (raw, Some(damage))
    };
    let stored = match disk.read_at(path, block.offset, block.stored_len as usize) {
        Ok(stored) => stored,
        Err(error) => return damaged(vec![0; raw_len], format!("a block cannot be read: {error}")),
    };
    if crc32c::crc32c(&stored) != block.crc {
        let raw = salvage(&stored, raw_len);
        return damaged(raw, "the checksum of a block is wrong".into());
    }
    match zstd::bulk::decompress(&stored, raw_len) {
        Ok(raw) if raw.len() == raw_len => (raw, None),
        Ok(_) => {
            let what = "a block does not have the length that the index says";
            damaged(salvage(&stored, raw_len), what.into())
        }
        Err(error) => {
            let what = format!("a block cannot be unpacked: {error}");
            damaged(salvage(&stored, raw_len), what)
        }
    }
}

/// What comes out of damaged bytes before they end to make sense, and zeros behind it.
fn salvage(stored: &[u8], raw_len: usize) -> Vec<u8> {
    let mut raw = vec![0; raw_len];
    let mut filled = 0;
    if let Ok(mut decoder) = zstd::stream::read::Decoder::new(stored) {
        while let Some(room) = raw.get_mut(filled..).filter(|room| !room.is_empty()) {
            match decoder.read(room) {
                Ok(read) if read > 0 => filled += read,
                _ => break,
            }
        }
    }
    raw
}
