//! Updates that wait to be written, in memory while they are few and in a temporary file beyond.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use tempfile::SpooledTempFile;

use crate::Error;

/// What is kept in memory, in bytes.
const MEMORY_BYTES_MAX: usize = 8 << 20;

/// Updates in their order, each behind its length (u64, little-endian).
pub(super) struct Spool {
    file: BufWriter<SpooledTempFile>,
    updates: u64,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self {
            file: BufWriter::new(SpooledTempFile::new(MEMORY_BYTES_MAX)),
            updates: 0,
        }
    }

    pub(super) fn push(&mut self, update: &[u8]) -> io::Result<()> {
        self.file.write_all(&(update.len() as u64).to_le_bytes())?;
        self.file.write_all(update)?;
        self.updates += 1;
        Ok(())
    }

    /// How many updates wait.
    pub(super) fn len(&self) -> u64 {
        self.updates
    }

    /// The updates, one at a time.
    pub(super) fn into_updates(
        self,
    ) -> Result<impl Iterator<Item = Result<Vec<u8>, Error>>, Error> {
        let mut file = self
            .file
            .into_inner()
            .map_err(|error| spool_error(error.into_error()))?;
        file.rewind().map_err(spool_error)?;
        let mut reader = BufReader::new(file);
        Ok((0..self.updates).map(move |_| next(&mut reader).map_err(spool_error)))
    }
}

fn next(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut update = Vec::new();
    reader.take(length).read_to_end(&mut update)?;
    if update.len() as u64 == length {
        Ok(update)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

pub(super) fn spool_error(source: io::Error) -> Error {
    Error::Io {
        what: "spool to",
        path: std::env::temp_dir(),
        source,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_back_in_order_from_memory_and_from_disk() {
        let mut spool = Spool::new();
        let updates: Vec<Vec<u8>> = (0..5_u8).map(|i| vec![i; usize::from(i) << 20]).collect();
        updates
            .iter()
            .for_each(|update| spool.push(update).unwrap());
        assert_eq!(spool.len(), 5);
        let back: Result<Vec<_>, _> = spool.into_updates().unwrap().collect();
        assert_eq!(back.unwrap(), updates);
    }
}
