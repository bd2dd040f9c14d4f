//! Reading an update through windows, as if it were one slice.

use std::io;

use super::{LargeError, ReadAt};
use crate::update::error::ScanError;
use crate::varint::Cursor;

/// The first window at a place that was jumped to, in bytes: a hostile update jumps for every struct.
pub(super) const WINDOW_BYTES: usize = 4 << 10;

/// A window that is read on from becomes twice as large, up to this many times [`WINDOW_BYTES`].
const GROWTH_MAX: usize = 64;

/// Windows kept open: one for each client whose structs are being read.
const WINDOWS_MAX: usize = 64;

/// Some windows on an update.
pub(super) struct Windows<'a, R> {
    source: &'a R,
    windows: Vec<Window>,
    /// Place of the one used last.
    last: usize,
    uses: u64,
    window_bytes: usize,
    /// The largest thing that is read at once, in bytes.
    thing_bytes_max: usize,
}

struct Window {
    at: u64,
    bytes: Vec<u8>,
    used: u64,
}

/// What was read, and how many bytes it took.
pub(super) struct Taken<T> {
    pub(super) value: T,
    pub(super) bytes: u64,
}

/// Why something could not be read.
pub(super) enum Unread {
    /// By the rules of the format; with offsets in the whole update.
    Scan(ScanError),
    /// It reaches beyond the largest window, and is not at its end there.
    TooLarge,
    Read(io::Error),
}

impl<'a, R: ReadAt> Windows<'a, R> {
    pub(super) fn new(source: &'a R, window_bytes: usize, thing_bytes_max: usize) -> Self {
        Self {
            source,
            windows: Vec::new(),
            last: 0,
            uses: 0,
            window_bytes: window_bytes.max(1),
            thing_bytes_max,
        }
    }

    /// Reads one thing at `at`. `read` sees at first only some of the bytes, and again with more where it fails.
    pub(super) fn read<T>(
        &mut self,
        at: u64,
        read: impl Fn(&mut Cursor<'_>) -> Result<T, ScanError>,
    ) -> Result<Taken<T>, Unread> {
        let left = self.source.bytes().saturating_sub(at);
        let index = self.window_at(at)?;
        let mut wanted = self.window_bytes;
        loop {
            let Some(window) = self.windows.get_mut(index) else {
                return Err(Unread::Read(io::ErrorKind::UnexpectedEof.into()));
            };
            window.used = self.uses;
            let skipped = usize::try_from(at.saturating_sub(window.at)).unwrap_or(usize::MAX);
            let seen = window.bytes.get(skipped..).unwrap_or_default();
            let mut cursor = Cursor::new(seen, 0);
            let error = match read(&mut cursor) {
                Ok(value) => {
                    let bytes = cursor.at();
                    return if bytes <= self.thing_bytes_max {
                        let bytes = bytes as u64;
                        Ok(Taken { value, bytes })
                    } else {
                        Err(Unread::TooLarge)
                    };
                }
                Err(error) => error,
            };
            if seen.len() as u64 == left || !error.may_go_on() {
                return Err(Unread::Scan(error.behind(at)));
            }
            if seen.len() > self.thing_bytes_max {
                return Err(Unread::TooLarge);
            }
            // One byte more than the largest thing tells whether it ends there.
            wanted = wanted
                .max(seen.len().saturating_mul(2))
                .min(self.thing_bytes_max.saturating_add(1));
            window.fill(self.source, at, wanted)?;
        }
    }

    /// The place of a window that has the byte at `at`.
    fn window_at(&mut self, at: u64) -> Result<usize, Unread> {
        self.uses += 1;
        let has = |window: &Window| window.has(at);
        if self.windows.get(self.last).is_some_and(has) {
            return Ok(self.last);
        }
        let goes_on = |window: &Window| window.end() == at;
        if let Some(index) = self.windows.iter().position(has) {
            self.last = index;
        } else if let Some(index) = self.windows.iter().position(goes_on) {
            self.last = index;
            let most = self.window_bytes.saturating_mul(GROWTH_MAX);
            if let Some(window) = self.windows.get_mut(index) {
                let wanted = window.bytes.len().saturating_mul(2).min(most);
                window.fill(self.source, at, wanted.max(self.window_bytes))?;
            }
        } else {
            self.last = self.spare();
            if let Some(window) = self.windows.get_mut(self.last) {
                window.fill(self.source, at, self.window_bytes)?;
            }
        }
        Ok(self.last)
    }

    /// A new window, or the one that was not used for longest.
    fn spare(&mut self) -> usize {
        if self.windows.len() < WINDOWS_MAX {
            self.windows.push(Window {
                at: 0,
                bytes: Vec::new(),
                used: 0,
            });
            return self.windows.len() - 1;
        }
        let oldest = self
            .windows
            .iter()
            .enumerate()
            .min_by_key(|(_, window)| window.used);
        oldest.map_or(0, |(index, _)| index)
    }
}

impl Window {
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn has(&self, at: u64) -> bool {
        self.at <= at && at < self.end()
    }

    /// Moves the window to `at`, with `wanted` bytes if there are so many.
    fn fill(&mut self, source: &impl ReadAt, at: u64, wanted: usize) -> Result<(), Unread> {
        let left = source.bytes().saturating_sub(at);
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
        if bytes > self.bytes.capacity() || bytes < self.bytes.capacity() / 4 {
            // A window that was large for one struct does not stay so.
            self.bytes = Vec::with_capacity(bytes);
        }
        self.bytes.resize(bytes, 0);
        self.at = at;
        source
            .read_exact_at(&mut self.bytes, at)
            .map_err(Unread::Read)
    }
}

impl From<Unread> for LargeError {
    /// For things that are small by themselves: what is too large for a window ends too early.
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Scan(error) => Self::Scan(error),
            Unread::TooLarge => Self::Read(io::ErrorKind::UnexpectedEof.into()),
            Unread::Read(error) => Self::Read(error),
        }
    }
}
