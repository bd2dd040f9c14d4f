//! The bounds of a session that a deployment may change.

use crate::limits;

/// What a deployment may change of a session's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// See [`limits::UPDATE_BYTES_MAX`].
    pub update_bytes_max: usize,
    /// See [`limits::AWARENESS_BYTES_MAX`]; never above it.
    pub awareness_bytes_max: usize,
    /// See [`limits::KEEPALIVE_MS`].
    pub keepalive_ms: u64,
    /// See [`limits::MESSAGES_PER_S`].
    pub messages_per_s: u64,
    /// See [`limits::MESSAGES_BURST`].
    pub messages_burst: u64,
    /// See [`limits::BYTES_PER_S`].
    pub bytes_per_s: u64,
    /// See [`limits::BYTES_BURST`].
    pub bytes_burst: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            update_bytes_max: limits::UPDATE_BYTES_MAX,
            awareness_bytes_max: limits::AWARENESS_BYTES_MAX,
            keepalive_ms: limits::KEEPALIVE_MS,
            messages_per_s: limits::MESSAGES_PER_S,
            messages_burst: limits::MESSAGES_BURST,
            bytes_per_s: limits::BYTES_PER_S,
            bytes_burst: limits::BYTES_BURST,
        }
    }
}
