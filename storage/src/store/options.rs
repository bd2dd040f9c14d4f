//! How to open a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, RealDisk};
use crate::journal::JOURNAL_FILE_BYTES;

/// How a store is opened; [`StoreOptions::default`] suits a server.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Make the store where there is none. Default: yes.
    pub create: bool,
    /// Whether to take appends. Default: [`Access::ReadWrite`].
    pub access: Access,
    /// Size at which a journal file is sealed, in bytes. Default: 16 MiB.
    pub journal_file_bytes: u64,
    /// Memory that sled may use for its pages, in bytes; it takes about three times as much. Default: 64 MiB.
    pub cache_bytes: u64,
    /// The store takes no appends while the disk has less room than this, in bytes: sled does not survive a
    /// disk that is quite full. Default: 64 MiB.
    pub free_bytes_min: u64,
    /// How long sled may take to open before it is taken for hung and rebuilt. Default: 60 s.
    pub index_open_limit: Duration,
    /// How often to look whether a disk that refused writes takes them again. Default: 1 s.
    pub probe_interval: Duration,
    /// How often sled is made durable while records come in. Default: 1 s.
    pub checkpoint_interval: Duration,
    /// Where all files but sled's lie. Default: [`RealDisk`].
    pub disk: Arc<dyn Disk>,
    /// What time it is. Default: the machine's clock.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            create: true,
            access: Access::ReadWrite,
            journal_file_bytes: JOURNAL_FILE_BYTES,
            cache_bytes: 64 << 20,
            free_bytes_min: 64 << 20,
            index_open_limit: Duration::from_secs(60),
            probe_interval: Duration::from_secs(1),
            checkpoint_interval: Duration::from_secs(1),
            disk: Arc::new(RealDisk),
            clock: Clock::machine(),
        }
    }
}

/// Whether a store takes appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It does.
    ReadWrite,
    /// It does not: for checks of a stopped store. Journal, archive and snapshots are left as they are;
    /// sled may still be brought up to date or rebuilt.
    ReadOnly,
}

/// Milliseconds since 1970 (UTC), from wherever.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn machine() -> Self {
        Self(Arc::new(crate::memory::now_ms))
    }

    /// A clock for tests.
    pub fn new(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
