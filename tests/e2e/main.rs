//! End-to-end tests: the built server as users meet it, one module a promise.
//!
//! Every test starts the binary on a free port with a folder of its own, waits for conditions and never for time
//! to pass, and ends with the server's messages checked: no panic, and no error that the test did not provoke.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod auth;
mod cli;
mod downloads;
mod durability;
mod events;
mod faults;
mod features;
mod hard_cases;
mod harness;
mod hostile;
mod lifecycle;
mod people;
mod presence;
mod proxies;
mod refusals;
mod relays;
mod roles;
mod sync;
mod tls;
mod uploads;
mod webhooks;
mod ysweet;
