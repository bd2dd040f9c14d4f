//! Seeded simulations, and proof that they notice what they should.
//!
//! `SIM_SEEDS=5000` runs more of them, `SIM_SEED=17` one, `SIM_STEPS` and `SIM_CLIENTS` change their size.

#![allow(clippy::expect_used, clippy::print_stdout)]

mod canary;
mod relays;
mod seeds;
