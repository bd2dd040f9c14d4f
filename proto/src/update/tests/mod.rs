//! The scanner, the ledger and `concat` against yrs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod build;
mod fixtures;
pub(super) mod laws;
pub(super) mod replicas;
mod wild;
