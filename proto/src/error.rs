//! What can be wrong with bytes from a peer, and why a connection ends.

use std::fmt;
use std::ops::RangeInclusive;

use crate::limits::CLOSE_REASON_BYTES_MAX;

/// The close code of what exceeds its bound.
pub const TOO_LARGE_CODE: u16 = 4413;

/// Close codes after which a client should not come back as it is; older clients do not know that.
pub const TERMINAL_CODES: RangeInclusive<u16> = 4400..=4499;

/// What is wrong at one place of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end, or a length reaches beyond their end.
    Ends,
    /// A number above 2^53 − 1 or written in more than eight bytes.
    NumberTooLarge,
    /// A text that is not UTF-8.
    NotUtf8,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ends => "the bytes end too early",
            Self::NumberTooLarge => "a number is too large",
            Self::NotUtf8 => "a text is not UTF-8",
        })
    }
}

/// A primitive that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (byte {at})")]
pub struct Malformed {
    /// Offset of the primitive from the start of the bytes being read.
    pub at: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Why a frame, a state vector or an awareness message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A primitive is broken.
    #[error("{what}: {cause}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong, and where.
        cause: Malformed,
    },
    /// Bytes follow after the end.
    #[error("{what}: {bytes} bytes follow after its end (byte {at})")]
    TrailingBytes {
        /// What ended.
        what: &'static str,
        /// Offset of the first of them.
        at: usize,
        /// How many.
        bytes: usize,
    },
    /// More than its bound allows.
    #[error("{what} is too large: {size}, at most {size_max}")]
    TooLarge {
        /// What, with its unit.
        what: &'static str,
        /// How large it is or says it is.
        size: u64,
        /// The bound.
        size_max: u64,
    },
    /// A message type that we do not know, with a body that we cannot pass over.
    #[error("unknown message type {tag}")]
    UnknownMessage {
        /// The type.
        tag: u64,
    },
    /// A sync or auth message of a kind that does not exist.
    #[error("unknown {what} kind {tag} (byte {at})")]
    UnknownKind {
        /// `sync` or `auth`.
        what: &'static str,
        /// The kind.
        tag: u64,
        /// Where it stands.
        at: usize,
    },
    /// One client twice in a state vector or awareness message.
    #[error("{what}: client {client} occurs twice")]
    DuplicateClient {
        /// What was being read.
        what: &'static str,
        /// The client.
        client: u64,
    },
}

impl DecodeError {
    pub(crate) fn malformed(what: &'static str) -> impl Fn(Malformed) -> Self {
        move |cause| Self::Malformed { what, cause }
    }
}

/// Why we end a connection. [`CloseReason::code`] is for y-websocket and y-sweet; a stock y-websocket 3.1
/// client gives up on 4400–4499 and comes back after every other code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The map's name breaks a rule.
    BadName,
    /// The token is not valid.
    BadToken,
    /// The token is valid but not for this map.
    Forbidden,
    /// The map was deleted.
    Deleted,
    /// Something exceeds its bound; what, how large, and the bound, in its own unit.
    TooLarge {
        /// What, with its unit.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// The bound.
        size_max: u64,
    },
    /// A frame or update that cannot be read or must not be applied: what is wrong, and where.
    Corrupt(String),
    /// The token expired while the connection was open.
    TokenExpired,
    /// The server is busy, is loading or lost its disk: what, in a few words.
    Unavailable(&'static str),
    /// The peer does not read what it is sent.
    SlowConsumer,
    /// The server stops for good or moves.
    GoingAway,
    /// The server restarts.
    Restarting,
}

impl CloseReason {
    /// The WebSocket close code.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadName => 4400,
            Self::BadToken => 4401,
            Self::Forbidden => 4403,
            Self::Deleted => 4404,
            Self::TooLarge { .. } => TOO_LARGE_CODE,
            Self::Corrupt(_) => 4422,
            Self::TokenExpired => 4501,
            Self::Unavailable(_) => 4503,
            Self::SlowConsumer => 4508,
            Self::GoingAway => 1001,
            Self::Restarting => 1012,
        }
    }

    /// Whether a client should give up instead of coming back.
    pub fn is_terminal(&self) -> bool {
        TERMINAL_CODES.contains(&self.code())
    }

    /// The text beside the code, at most [`CLOSE_REASON_BYTES_MAX`] bytes.
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let end = (0..=CLOSE_REASON_BYTES_MAX.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str("this is no valid map name"),
            Self::BadToken => f.write_str("the token is not valid"),
            Self::Forbidden => f.write_str("the token does not allow this map"),
            Self::Deleted => f.write_str("this map was deleted"),
            Self::TooLarge {
                what,
                size,
                size_max,
            } => write!(f, "{what}: {size}, at most {size_max}"),
            Self::Corrupt(what) => f.write_str(what),
            Self::TokenExpired => f.write_str("the token expired, come back with a fresh one"),
            Self::Unavailable(what) => f.write_str(what),
            Self::SlowConsumer => f.write_str("too slow in reading"),
            Self::GoingAway => f.write_str("the server stops"),
            Self::Restarting => f.write_str("the server restarts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let text = CloseReason::Corrupt("ü".repeat(200)).text();
        assert_eq!(text.len(), 122);
        assert!(text.chars().all(|c| c == 'ü'));
    }

    #[test]
    fn only_what_the_client_must_change_is_terminal() {
        assert!(CloseReason::Corrupt(String::new()).is_terminal());
        assert!(CloseReason::Deleted.is_terminal());
        assert!(!CloseReason::TokenExpired.is_terminal());
        assert!(!CloseReason::SlowConsumer.is_terminal());
        assert!(!CloseReason::Restarting.is_terminal());
    }
}
