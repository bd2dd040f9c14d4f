//! Files in zip archives, unpacked into temporary files within bounds.

use std::io::{self, Read, Seek, Write};

use tempfile::SpooledTempFile;
use zip::ZipArchive;

use super::error::Fault;

/// Bytes that are kept in memory, at most; what is larger lies in a temporary file.
pub(super) const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Entries of an archive, at most.
const ENTRIES_MAX: usize = 10_000;
/// Bytes that one file may unpack to whatever its packed size.
const FREE_BYTES: u64 = 64 << 20;
/// How many times larger than its packed form a file may be beyond that: tables of spaces reach 100, bombs 1 000.
const RATIO_MAX: u64 = 300;
/// Bytes that all files of an archive may unpack to.
const TOTAL_BYTES_MAX: u64 = 8 << 30;

/// A zip archive, read as a whole before.
pub(super) struct Archive {
    zip: ZipArchive<SpooledTempFile>,
    unpacked: u64,
}

impl Archive {
    /// Copies the archive to a temporary file and reads its list of files.
    pub(super) fn open(reader: impl Read) -> Result<Self, Fault> {
        let zip = ZipArchive::new(spooled(reader)?).map_err(|error| broken(&error.to_string()))?;
        if zip.len() > ENTRIES_MAX {
            return Err(broken(&format!(
                "it has {} files; {ENTRIES_MAX} are allowed",
                zip.len()
            )));
        }
        Ok(Self { zip, unpacked: 0 })
    }

    /// Names of the files in it, in their order; those that are no UTF-8 are left out.
    pub(super) fn names(&self) -> Vec<String> {
        (0..self.zip.len())
            .filter_map(|at| Some(self.zip.name_for_index(at)?.ok()?.into_owned()))
            .collect()
    }

    /// The file of this name, from its start.
    pub(super) fn unpack(&mut self, name: &str) -> Result<SpooledTempFile, Fault> {
        let left = TOTAL_BYTES_MAX.saturating_sub(self.unpacked);
        let mut packed = self
            .zip
            .by_name(name)
            .map_err(|error| broken(&format!("{name}: {error}")))?;
        let limit = packed
            .compressed_size()
            .saturating_mul(RATIO_MAX)
            .saturating_add(FREE_BYTES)
            .min(left);
        let mut out = SpooledTempFile::new(MEMORY_BYTES_MAX);
        let copied = io::copy(&mut packed.by_ref().take(limit.saturating_add(1)), &mut out)
            .map_err(|error| broken(&format!("{name}: {error}")))?;
        if copied > limit {
            return Err(Fault::Unreadable {
                what: format!("{name:?} in the archive unpacks to more than {limit} bytes"),
                hint: "this looks like an attack; if it is none, unpack the archive and import the files",
            });
        }
        self.unpacked += copied;
        out.rewind().map_err(|error| Fault::Io(error.to_string()))?;
        Ok(out)
    }
}

/// Everything that the reader gives, from its start.
pub(super) fn spooled(mut reader: impl Read) -> Result<SpooledTempFile, Fault> {
    let io = |error: io::Error| Fault::Io(error.to_string());
    let mut file = SpooledTempFile::new(MEMORY_BYTES_MAX);
    io::copy(&mut reader, &mut file).map_err(io)?;
    file.flush().map_err(io)?;
    file.rewind().map_err(io)?;
    Ok(file)
}

fn broken(why: &str) -> Fault {
    Fault::Unreadable {
        what: format!("the zip archive cannot be read: {why}"),
        hint: "copy or download the file again",
    }
}
