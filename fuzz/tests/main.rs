//! Attacks every law, replays what once broke one, and proves that an attack finds something.
//!
//! `FUZZ_ITERATIONS=1000000` attacks longer, `FUZZ_LAW=session` one law only, `FUZZ_SEED=7` from another seed.
//! `cargo test -p mapweave-fuzz -- --ignored` writes the generated part of the corpus anew.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod attack;
mod seeds;
