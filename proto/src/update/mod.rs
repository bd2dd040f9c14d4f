//! Updates, as far as a server must understand them before yrs does.
//!
//! Nothing here holds content. [`scan`] walks an update's bytes without recursion and refuses what yrs or
//! Yjs 13 would misread, reserve memory for, or choke on; [`Ledger`] knows what a document holds and judges
//! what a [`Scanned`] update would add; [`concat`] joins updates by their bytes, and [`LargeUpdate`] cuts one that is
//! too large for memory. No update reaches yrs on any
//! path without having passed `scan` and [`Ledger::judge`].
//!
//! The format is update v1 as Yjs 13.6 and yrs 0.28.1 write it: `varUint sections`, each `varUint structs,
//! varUint client, varUint clock, structs…`, then the delete set: `varUint clients`, each `varUint client,
//! varUint ranges, (varUint clock, varUint length)…`.

mod comment;
mod concat;
mod content;
mod cut;
mod error;
mod json;
mod large;
mod ledger;
mod ranges;
mod scan;
mod walk;

pub use comment::{COMMENT_ROOTS, CommentError};
pub use concat::{concat, extend};
pub use error::{ConcatError, DoorError, ScanError};
pub use large::{LARGE_DELETE_RANGES_MAX, LargeError, LargeUpdate, PieceLimits, Pieces, ReadAt};
pub use ledger::{Ledger, Verdict};
pub use scan::{DeleteRange, Outline, Scanned, scan};

#[cfg(test)]
pub(in crate::update) mod tests;
