//! Live maps. One task owns one map: it validates, logs, broadcasts and acknowledges, in this order.
//!
//! The decisions lie in [`Core`], [`Replica`] and [`Presence`], which know no task, socket or disk; the room's
//! task carries them out. Start at [`Rooms::enter`].

mod actor;
mod appending;
mod container;
mod core;
mod coverage;
mod features;
mod listening;
mod live;
mod load;
mod news;
mod peer;
mod presence;
mod registry;
mod replica;
mod summary;
#[cfg(test)]
mod tests;
mod verify;

pub use actor::{RequestError, RoomOptions, StateAnswer};
pub use container::{Beside, Held, StoredState, Summary, TITLE_BYTES_MAX, UnknownContainer};
pub use core::{
    Audience, Broadcast, Core, CoreOptions, EARLY_COMMENT_BYTES_MAX, EARLY_COMMENT_MS,
    EARLY_COMMENTS_MAX, Effects, Foreign, HELD_EXPIRY_MS, Input, PRESENCE_EVERY_MS, STATE_CACHE_MS,
    Start, Ticket, Writing,
};
pub use features::{Change, FeaturesError, Followed, LiveFeatures};
pub use listening::Beginning;
pub use load::{Fetched, LoadError, Loaded, build, fetch, fetch_upto, load, replay};
pub use news::Follows;
pub use peer::{Framing, Outgoing, Peer};
pub use presence::{
    PRESENCE_BYTES_PER_SESSION_MAX, PRESENCE_CLIENTS_MAX, PRESENCE_CLIENTS_PER_SESSION_MAX,
    PRESENCE_MEMORY_MS, Presence,
};
pub use registry::{EnterError, IfUnknown, RoomGone, RoomHandle, RoomPlace, Rooms};
pub use replica::{
    Comment, Decision, Expired, HELD_ID_BYTES, HeldId, HeldLimits, Kept, Outcome, Owners,
    Quarantine, QuarantineLimits, Quarantined, REJECTED_MAX, Refused, Replica, StateCache, Written,
};
pub use summary::summarize;
pub use verify::{Content, Found, Verified, VerifiedMap, content, verify};
