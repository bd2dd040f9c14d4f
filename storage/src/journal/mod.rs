//! The journal: framed files that are written at the end, one write and one `fdatasync` a batch. What an
//! acknowledgement means is that its records lie here. Start from [`Journal`]; [`Files`] reads them back.

mod archive;
mod claim;
mod files;
mod frame;
mod naming;
mod scan;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapweave_proto::DocId;

use crate::disk::{Disk, DiskFile};
use crate::{Record, StoreError};

pub(crate) use claim::Claim;
pub(crate) use files::{Files, Walk, Walked};
pub(crate) use frame::{FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, FrameHead};
pub(crate) use naming::{Named, Namer, Reach};
pub(crate) use scan::{Found, Known, Scan};

/// Size of a journal file in bytes before the next one is begun. One append larger than this makes one
/// larger file.
pub const JOURNAL_FILE_BYTES: u64 = 16 << 20;

/// A place between two frames of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// Number of the file.
    pub(crate) file: u64,
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Number of the last frame before the place, counted from 1; 0 before the first.
    pub(crate) lsn: u64,
    /// Checksum of the last frame before the place.
    pub(crate) prev_crc: u32,
}

impl Mark {
    /// Before everything.
    pub(crate) const START: Self = Self {
        file: 0,
        offset: 0,
        lsn: 0,
        prev_crc: 0,
    };
}

/// Where a record's frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the file.
    pub(crate) file: u64,
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) len: u32,
}

/// A record with its place, and the place after it.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) record: Record,
    pub(crate) place: Place,
    pub(crate) end: Mark,
}

/// Why a batch is not in the journal.
#[derive(Debug)]
pub enum WriteError {
    /// The disk refused it. Nothing of it is left; the journal can be used again when the disk takes writes.
    Refused(io::Error),
    /// A sync failed, or what was written could not be cut off again: the journal must not be used any more.
    Poisoned(io::Error),
}

/// The writing end of the journal. Also the yardstick for measurements: nothing durable is faster than this.
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    store: [u8; 16],
    file_bytes: u64,
    salt: u64,
    file: Box<dyn DiskFile>,
    end: Mark,
    /// The next file could not be made whole; what is left of it is in the way.
    leftover: bool,
    buffer: Vec<u8>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("dir", &self.dir)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Begins a journal in the empty folder `dir`, for measurements.
    ///
    /// # Errors
    /// The file could not be made.
    pub fn begin(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        let store = DocId::fresh().to_bytes();
        Self::create(
            disk,
            dir,
            store,
            JOURNAL_FILE_BYTES,
            Mark {
                file: 1,
                ..Mark::START
            },
        )
    }

    /// Begins file `after.file` in `dir`, going on from the frame before `after`.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        store: [u8; 16],
        file_bytes: u64,
        after: Mark,
    ) -> Result<Self, StoreError> {
        let salt = fresh_salt();
        let header = header(store, salt, after);
        let path = file_path(dir, after.file);
        let file = create_file(&*disk, dir, &header).map_err(|error| match error {
            WriteError::Refused(source) | WriteError::Poisoned(source) => {
                StoreError::io("create", &path, source)
            }
        })?;
        let end = Mark {
            offset: FILE_HEADER_BYTES,
            ..after
        };
        let dir = dir.to_owned();
        Ok(Self {
            disk,
            dir,
            store,
            file_bytes,
            salt,
            file,
            end,
            leftover: false,
            buffer: Vec::new(),
        })
    }

    /// The place after the last durable frame.
    pub(crate) const fn end(&self) -> Mark {
        self.end
    }

    /// Writes a batch of appends and makes it durable: one write, one `fdatasync`.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing of the batch counts.
    pub fn write(&mut self, appends: &[Vec<Record>]) -> Result<(), WriteError> {
        self.write_placed(appends).map(drop)
    }

    pub(crate) fn write_placed(
        &mut self,
        appends: &[Vec<Record>],
    ) -> Result<Vec<(Place, Mark)>, WriteError> {
        if self.end.offset > FILE_HEADER_BYTES && self.end.offset >= self.file_bytes {
            self.roll()?;
        }
        let (places, end) = self.encode(appends);
        if let Err(error) = self.file.append(&self.buffer) {
            return Err(match self.file.truncate(self.end.offset) {
                Ok(()) => WriteError::Refused(error),
                Err(_) => WriteError::Poisoned(error),
            });
        }
        self.file.sync_data().map_err(WriteError::Poisoned)?;
        self.end = end;
        // One huge append must not hold its memory for ever.
        self.buffer.shrink_to(8 << 20);
        Ok(places)
    }

    /// Whether the disk takes writes again: writes, syncs and removes a small file.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let path = self.dir.join("probe");
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = self.disk.create_new(&path).and_then(|mut file| {
            file.append(&[0; PROBE_BYTES])?;
            file.sync_data()
        });
        let removed = self.disk.remove(&path);
        written.and(removed)
    }

    fn encode(&mut self, appends: &[Vec<Record>]) -> (Vec<(Place, Mark)>, Mark) {
        self.buffer.clear();
        let mut places = Vec::new();
        let (start, mut end) = (self.end.offset, self.end);
        for append in appends {
            for (index, record) in append.iter().enumerate() {
                let head = FrameHead {
                    prev_crc: end.prev_crc,
                    file: end.file,
                    salt: self.salt,
                    lsn: end.lsn + 1,
                    batch_offset: start,
                    continues: index + 1 < append.len(),
                };
                let offset = end.offset;
                end.prev_crc = frame::encode_frame(&mut self.buffer, &head, record);
                end.lsn += 1;
                end.offset = start + self.buffer.len() as u64;
                let len = u32::try_from(end.offset - offset).unwrap_or(u32::MAX);
                places.push((
                    Place {
                        file: end.file,
                        offset,
                        len,
                    },
                    end,
                ));
            }
        }
        (places, end)
    }

    fn roll(&mut self) -> Result<(), WriteError> {
        let after = Mark {
            file: self.end.file + 1,
            offset: FILE_HEADER_BYTES,
            ..self.end
        };
        let salt = fresh_salt();
        if self.leftover {
            let _ = self.disk.remove(&file_path(&self.dir, after.file));
        }
        let header = header(self.store, salt, after);
        self.leftover = true;
        self.file = create_file(&*self.disk, &self.dir, &header)?;
        self.leftover = false;
        (self.salt, self.end) = (salt, after);
        Ok(())
    }
}

/// Bytes of a trial write while the disk refuses writes.
const PROBE_BYTES: usize = 64 << 10;

fn header(store: [u8; 16], salt: u64, after: Mark) -> FileHeader {
    FileHeader {
        id: after.file,
        salt,
        store,
        first_lsn: after.lsn + 1,
        prev_crc: after.prev_crc,
    }
}

fn create_file(
    disk: &dyn Disk,
    dir: &Path,
    header: &FileHeader,
) -> Result<Box<dyn DiskFile>, WriteError> {
    let mut file = disk
        .create_new(&file_path(dir, header.id))
        .map_err(WriteError::Refused)?;
    file.append(&header.encode()).map_err(WriteError::Refused)?;
    file.sync_data().map_err(WriteError::Poisoned)?;
    disk.sync_dir(dir).map_err(WriteError::Poisoned)?;
    Ok(file)
}

/// Random bits of a fresh version 7 UUID, without its time and version.
fn fresh_salt() -> u64 {
    let bytes = DocId::fresh().to_bytes();
    let random = bytes.last_chunk::<8>().copied().unwrap_or_default();
    u64::from_le_bytes(random)
}

pub(crate) fn file_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:08}.log"))
}
