//! Comma-separated values (RFC 4180), also with semicolons, tabs or bars: one feature a line, a header before them.
//!
//! Geometry is in two columns of numbers or in one of well-known text; [`columns`] says which. What stands in quotes
//! is text; without quotes it is a number or a boolean where it would be written exactly so again. An empty cell
//! without quotes is no property.

mod columns;
mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::write;

/// Whether the start of a file looks like a header with coordinates.
pub(super) fn looks_like(start: &[u8]) -> bool {
    reader::header(start).is_some()
}
