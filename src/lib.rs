//! Mapweave: a collaborative geodata engine for people whose network fails.
//!
//! A map is a Yjs-compatible CRDT document. Clients edit it at once, or offline for days; every update is
//! durable before it is acknowledged, merges without locks, and stays in the log as history.
//! `ARCHITECTURE.md` tells how the parts fit together.

pub mod config;
pub mod room;
pub mod server;
pub mod telemetry;
pub mod time;
