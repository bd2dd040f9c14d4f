//! WebSockets: the upgrade, and one task a connection.

pub mod backlog;
mod connection;
mod deliveries;
mod door;
pub mod echo;
mod errands;
pub mod frame;
mod hocuspocus;
mod keyed;
mod lanes;
mod outbox;
mod upgrade;

pub use connection::{Connection, Pause, Peering, turn_away};
pub use deliveries::Deliveries;
pub use door::{Door, Entry, Grant, NoEntry};
pub use hocuspocus::Socket;
pub use upgrade::switching_protocols;
