//! The scanner, the ledger and `concat` against yrs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod laws;
mod replicas;
