//! Mapweave: a collaborative geodata engine for people whose network fails.
//!
//! A map is a Yjs-compatible CRDT document. Clients edit it at once, or offline for days; every update is
//! durable before it is acknowledged, merges without locks, and stays in the log as history.
//! `ARCHITECTURE.md` tells how the parts fit together.

pub mod auth;
pub mod cli;
pub mod config;
mod error;
pub use error::{Error, Exit};
pub mod formats;
pub mod geometry;
pub mod index;
pub mod model;
pub mod relay;
pub mod room;
pub mod server;
pub mod telemetry;
pub mod time;
pub mod tls;
pub mod webhooks;
