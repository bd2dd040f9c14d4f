//! Files for bodies that are too large for memory.
//!
//! A file has no name, or loses it as soon as it is made, so that it is gone with its last handle however the
//! process ends. What a system without such files may leave behind is removed at the next start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapweave_proto::ReadAt;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::http::StatusCode;

use super::places::{Place, Places};
use crate::server::problem::Problem;

/// Folder of the files, in the data folder.
const FOLDER: &str = "uploads";

/// Most files at once. With the largest body they bound what uploads take of the disk.
const FILES_MAX: usize = 4;

/// What uploads leave free on the disk, in bytes: twice what the store needs to go on taking writes.
pub const FREE_BYTES_MIN: u64 = 128 << 20;

/// The free space is looked at again after so many bytes.
const LOOK_EVERY_BYTES: u64 = 8 << 20;

/// Where large bodies wait.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    free_bytes_min: u64,
    places: Arc<Places>,
    /// One at a time is applied: each takes a copy of its map's ledger, and a thread for long.
    pub(super) turn: Semaphore,
}

/// A body on disk.
#[derive(Debug)]
pub struct Spooled {
    file: tokio::fs::File,
    folder: PathBuf,
    free_bytes_min: u64,
    bytes: u64,
    looked_at_bytes: u64,
    place: Place,
}

/// A body on disk that is read back.
#[derive(Debug)]
pub struct Stored {
    file: File,
    bytes: u64,
    _place: Place,
}

impl Spool {
    /// A spool in the data folder `data`, which leaves `free_bytes_min` bytes of its disk free. Makes nothing yet.
    pub fn new(data: &Path, free_bytes_min: u64) -> Self {
        Self {
            folder: data.join(FOLDER),
            free_bytes_min,
            places: Places::new(FILES_MAX),
            turn: Semaphore::new(1),
        }
    }

    /// Removes what an earlier process left. Call it before the first file is made.
    ///
    /// # Errors
    /// The system's.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A new, empty file. Whoever fills it so slowly that it keeps others out has to give way, as `gives_way` tells.
    ///
    /// # Errors
    /// A problem where there are too many already, or the disk has no room.
    pub async fn file(&self, gives_way: CancellationToken) -> Result<Spooled, Problem> {
        let place = self.places.enter(gives_way).ok_or_else(|| {
            Problem::unavailable(format!(
                "{FILES_MAX} large uploads are on their way already"
            ))
        })?;
        let folder = self.folder.clone();
        let made = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            tempfile::tempfile_in(&folder)
        });
        let file = made.await.map_err(io::Error::other).and_then(|made| made);
        let file = file.map_err(|error| failed(&error))?;
        let spooled = Spooled {
            file: tokio::fs::File::from_std(file),
            folder: self.folder.clone(),
            free_bytes_min: self.free_bytes_min,
            bytes: 0,
            looked_at_bytes: 0,
            place,
        };
        spooled.check_free()?;
        Ok(spooled)
    }
}

impl Spooled {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// A problem where the disk does not take them or would be too full. The file is of no more use then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let written = self.file.write_all(bytes).await;
        written.map_err(|error| failed(&error))?;
        self.bytes += bytes.len() as u64;
        self.place.has(self.bytes);
        if self.bytes - self.looked_at_bytes >= LOOK_EVERY_BYTES {
            self.looked_at_bytes = self.bytes;
            self.check_free()?;
        }
        Ok(())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// As [`Spooled::write`].
    pub async fn finish(&mut self) -> Result<(), Problem> {
        self.place.settle();
        self.file.flush().await.map_err(|error| failed(&error))
    }

    /// The file for reading.
    pub(super) async fn stored(self) -> Stored {
        Stored {
            file: self.file.into_std().await,
            bytes: self.bytes,
            _place: self.place,
        }
    }

    fn check_free(&self) -> Result<(), Problem> {
        // A file system that does not tell how full it is says so when it is.
        let Ok(stat) = rustix::fs::statvfs(&self.folder) else {
            return Ok(());
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.free_bytes_min {
            let why = format!(
                "the disk has {free} bytes left, uploads leave {} free",
                self.free_bytes_min
            );
            return Err(no_room(&why));
        }
        Ok(())
    }
}

impl ReadAt for Stored {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }
}

fn failed(error: &io::Error) -> Problem {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => no_room(&error.to_string()),
        _ => Problem::unavailable(format!("the upload cannot be kept: {error}")),
    }
}

fn no_room(why: &str) -> Problem {
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "no-room",
        "The disk has no room for this upload",
        format!("{why}; nothing was changed: make room on the server's disk and send it again"),
    )
}
