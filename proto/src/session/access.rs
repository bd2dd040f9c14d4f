//! What a peer may do in a map, and why an edit of its was not taken.

/// What a peer may do in the map that it is connected to.
///
/// Decided where it comes in, from its token; the session and the room act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read, and show presence.
    ReadOnly,
    /// Read, show presence, and write below the roots of [`COMMENT_ROOTS`](crate::COMMENT_ROOTS); what exactly,
    /// [`Ledger::comments`](crate::Ledger::comments) decides by the update.
    Comment,
    /// Read and write; what exactly, the room decides by the update.
    ReadWrite,
    /// As [`Access::ReadOnly`], for somebody who could write once and has lost that right: what it wrote meanwhile is
    /// kept beside the map until an owner decides about it, and is neither applied nor told to others.
    Quarantine,
    /// As [`Access::Quarantine`], for somebody who may not even read any more: it hears nothing of the map.
    Deposit,
}

impl Access {
    /// Whether it is told what the map holds and who is there.
    pub const fn reads(self) -> bool {
        !matches!(self, Self::Deposit)
    }

    /// Whether some of what it writes goes into the map.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Comment | Self::ReadWrite)
    }

    /// Whether what it writes is kept for an owner to decide about.
    pub const fn is_quarantined(self) -> bool {
        matches!(self, Self::Quarantine | Self::Deposit)
    }
}

/// Why the room did not apply an update.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The peer may only read, and the update brought something.
    ReadOnly,
    /// The peer's role does not allow this edit: what and why, for the user.
    Forbidden(String),
    /// The peer may not edit any more; the update is kept, durably, until an owner decides about it.
    Kept,
    /// The update must never be applied (a [`DoorError`](crate::DoorError) or worse): what is wrong.
    Corrupt(String),
    /// Too much is held that depends on something missing.
    TooMuchHeld,
    /// It waited too long for earlier updates that never came, and is given up.
    Expired,
    /// The room cannot take updates now.
    Unavailable(&'static str),
}

impl Refusal {
    /// What a peer is told whose edit is refused for good while its connection goes on; nothing where the connection
    /// has to end instead.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::ReadOnly => Some("this connection may only read"),
            Self::Forbidden(why) => Some(why),
            Self::Kept => Some(
                "you may not edit this map any more: what you changed is not part of it, and is kept for an owner to decide about",
            ),
            Self::Expired => {
                Some("an edit waited too long for earlier ones that never came: load the map anew")
            }
            Self::Corrupt(what) => Some(what),
            Self::TooMuchHeld | Self::Unavailable(_) => None,
        }
    }
}
