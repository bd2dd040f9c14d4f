//! The scanner, the ledger and `concat` against yrs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod build;
mod fixtures;
mod laws;
mod replicas;
mod wild;
