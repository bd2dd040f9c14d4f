//! Mapweave: a collaborative geodata engine.
