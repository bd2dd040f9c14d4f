//! Mapweave: a collaborative geodata engine.

pub mod config;
pub mod telemetry;
