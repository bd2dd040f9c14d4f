//! WebSockets: the upgrade, and one task a connection.

mod connection;
pub mod frame;
mod outbox;
mod upgrade;

pub use connection::{Connection, Peering};
pub use upgrade::switching_protocols;
