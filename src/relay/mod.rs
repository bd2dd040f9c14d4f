//! Relays: two Mapweaves exchange what their logs hold, both ways, over one WebSocket that either of them opens.
//!
//! What travels are log records with their origin, each named for ever by the log of the store that first acknowledged
//! it. A map's log says of every other log how far it is held ([`Known`](mapweave_storage::Known)), so that nothing is
//! taken in twice, whatever way it comes: chains, diamonds and rings of stores are alike. `docs/relay.md` has the whole
//! picture, `docs/protocol.md` the bytes.
//!
//! [`Link`] decides, without IO; [`Intake`] and [`read`] act on the store; [`connection`] carries a link over a socket;
//! [`upstream`] keeps one connection to head office. Start at [`Relay`].

mod batch;
pub mod bridge;
pub mod connection;
mod intake;
mod link;
mod memory;
mod message;
mod outlet;
mod pace;
mod status;
pub mod upstream;

pub use batch::{BatchError, Packed, Packing, travels, unpack};
pub use intake::{Intake, Interrupted};
pub use link::{
    Allow, Into, Link, LinkError, LocalMap, Progress, ReadRecords, Standing, Task, WINDOW_BYTES,
};
pub use message::{
    Begin, Content, MESSAGE_BYTES_MAX, MapState, Message, MessageError, Outcome, PART_BYTES,
    VERSION,
};
pub use outlet::{local_map, read};
pub use status::{Board, ConnectionStatus, Way};

use std::sync::Arc;

use mapweave_storage::UpdateLog;

use crate::room::Rooms;
use memory::Memory;

/// Says whether the rights that a person had at a moment (seconds since 1970) were taken back since; of nobody in
/// particular, whether anybody's ever were.
pub type Revoked = Arc<dyn Fn(Option<&str>, u64) -> bool + Send + Sync>;

/// What all connections of a process share.
pub struct Relay {
    /// The maps.
    pub rooms: Arc<Rooms>,
    /// The connections that there are, for people.
    pub board: Board,
    intake: Intake,
    memory: Memory,
    update_bytes_max: usize,
    revoked: Revoked,
}

impl Relay {
    /// Exchanges the maps of `rooms`; takes updates of at most `update_bytes_max` bytes, and keeps those beside their
    /// maps whose authors may not edit any more, as `revoked` says.
    pub fn new(rooms: Arc<Rooms>, update_bytes_max: usize, revoked: Revoked) -> Arc<Self> {
        Arc::new(Self {
            intake: Intake::new(rooms.clone()),
            rooms,
            board: Board::default(),
            memory: Memory::default(),
            update_bytes_max,
            revoked,
        })
    }

    fn store(&self) -> &Arc<dyn UpdateLog> {
        self.rooms.store()
    }
}
