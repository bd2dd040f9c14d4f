//! WebSockets: the upgrade, and one task a connection.

pub mod backlog;
mod connection;
pub mod echo;
pub mod frame;
mod hocuspocus;
mod lanes;
mod outbox;
mod upgrade;

pub use connection::{Connection, Peering, turn_away};
pub use hocuspocus::{Door, Entry, NoEntry, Socket};
pub use upgrade::switching_protocols;
