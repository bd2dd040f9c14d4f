//! Mapweave's durable update log: a journal in front of sled.
