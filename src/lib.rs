//! Mapweave: a collaborative geodata engine.

pub mod formats;
pub mod geometry;
pub mod model;
