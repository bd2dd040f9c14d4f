//! Every operation on files that durability rests on, behind one small trait, so that tests can make each
//! of them fail. [`RealDisk`] is the machine's.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// A file system, as far as the store uses one. sled's own files do not go through it.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes a folder and those above it, where they are missing. Durable after [`Disk::sync_dir`] of the folder above.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that must not exist yet. Its name is durable after [`Disk::sync_dir`] of its folder.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Cuts a file to `len` bytes and makes what is left durable.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Exactly `len` bytes from `offset` on, or [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Names in a folder, sorted; none where there is no folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames a file, in place of the one that bears the name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that may still be written below `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// A file that is written at its end.
pub trait DiskFile: fmt::Debug + Send {
    /// Writes all of `bytes` at the end. After an error any part of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written so far durable. After an error nothing is known: never try again.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() != len {
            file.set_len(len)?;
        }
        file.sync_all()
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let end = offset
            .checked_add(len as u64)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        // Checked before the buffer is made, so that a wrong length costs no memory.
        if file.metadata()?.len() < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// Puts `bytes` at `path` so that after a power cut there is the old file or the new one, never a mixture:
/// written beside it, synced, renamed, folder synced.
pub(crate) fn write_durable(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary(path);
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove", &temporary, error));
        }
        _ => {}
    }
    let written = write_synced(disk, &temporary, bytes);
    if written.is_err() {
        // Whatever is left there is removed before the next attempt.
        let _ = disk.remove(&temporary);
    }
    written?;
    disk.rename(&temporary, path)
        .map_err(|e| StoreError::io("rename to", path, e))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(dir)
        .map_err(|e| StoreError::io("sync", dir, e))
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = disk
        .create_new(path)
        .map_err(|e| StoreError::io("create", path, e))?;
    file.append(bytes)
        .map_err(|e| StoreError::io("write", path, e))?;
    file.sync_data()
        .map_err(|e| StoreError::io("sync", path, e))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// The whole of a file; `None` where there is none. `max` bounds the memory that this may take.
pub(crate) fn read_whole(
    disk: &dyn Disk,
    path: &Path,
    max: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let len = match disk.len(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        len => len.map_err(|e| StoreError::io("read", path, e))?,
    };
    let len = usize::try_from(len.min(max)).unwrap_or(usize::MAX);
    match disk.read_at(path, 0, len) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some).map_err(|e| StoreError::io("read", path, e)),
    }
}
