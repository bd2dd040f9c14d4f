//! Live maps. One task owns one map: it validates, logs, broadcasts and acknowledges, in this order.
//!
//! The decisions lie in [`Core`], [`Replica`] and [`Presence`], which know no task, socket or disk; the room's
//! task carries them out. Start at [`Rooms::enter`].

mod actor;
mod appending;
mod container;
mod core;
mod coverage;
mod errand;
mod features;
mod gathering;
mod handle;
mod listening;
mod live;
mod load;
mod news;
mod observer;
mod peer;
mod people;
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
    EARLY_COMMENTS_MAX, Effects, ForOutside, Foreign, HELD_EXPIRY_MS, Input, MESSAGE_BYTES_MAX,
    NOTICE_PREFIX, PRESENCE_EVERY_MS, Recipient, STATE_CACHE_MS, Sender, Start, Ticket, Writing,
};
pub use errand::Errand;
pub use features::{Change, FeaturesError, Followed, LiveFeatures};
pub use gathering::{Gathering, MessageFrom};
pub use handle::{RoomGone, RoomHandle, RoomPlace};
pub use listening::Beginning;
pub use load::{Fetched, LoadError, Loaded, build, fetch, fetch_upto, load, replay};
pub use news::Follows;
pub use observer::Observer;
pub use peer::{Framing, Outgoing, Peer};
pub use people::{AWAY_MS, NAME_WAIT_MS, PEOPLE_EVERY_MS, People, PeopleNews, Person};
pub use presence::{
    PRESENCE_BYTES_PER_SESSION_MAX, PRESENCE_CLIENTS_MAX, PRESENCE_CLIENTS_PER_SESSION_MAX,
    PRESENCE_MEMORY_MS, Presence,
};
pub use registry::{EnterError, IfUnknown, Rooms};
pub use replica::{
    Comment, Decision, Expired, HELD_ID_BYTES, HeldId, HeldLimits, Kept, Outcome, Owners,
    Quarantine, QuarantineLimits, Quarantined, REJECTED_MAX, Refused, Replica, StateCache, Written,
};
pub use summary::summarize;
pub use verify::{Content, Found, Verified, VerifiedMap, content, verify};
