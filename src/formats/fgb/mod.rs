//! FlatGeobuf 3: one layer, streamed in, written with a spatial index.
//!
//! Features are in the order of a Hilbert curve and have no ids of their own, so that the property `mapweave_id` holds
//! ours. Layers are not told apart: a file of one layer has its name.

mod geometry;
mod properties;
mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::write;

/// What a file starts with: the format's name, version 3, again, and the patch level.
const MAGIC: [u8; 8] = *b"fgb\x03fgb\x00";
