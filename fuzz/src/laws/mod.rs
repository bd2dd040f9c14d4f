//! The laws, each in a module of its own.

mod awareness;
mod canary;
mod frames;
mod geojson;
mod hocuspocus;
mod journal;
mod map;
mod session;
mod update;

pub use awareness::awareness;
pub use canary::canary;
pub use frames::{frame_decoder, websocket_frames};
pub use geojson::geojson_import;
pub use hocuspocus::{hocuspocus_frames, switchboard};
pub use journal::journal_reader;
pub use map::map_reading;
pub use session::session;
pub use update::update_path;

/// A cursor over an input that is read as a row of small decisions.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// A piece after its length in two bytes, little endian; what is left where the length is too large.
    pub(crate) fn piece(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        self.0 = rest;
        Some(piece)
    }
}
