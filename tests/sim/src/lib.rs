//! Seeded simulation: browsers, a network, a clock, a disk and faults around the real room, sessions, frame
//! readers and backlogs of the server, and checkers beside them.
//!
//! Everything that happens follows from a [`Scenario`]: no task, socket, file or clock of the machine is used,
//! so a failure replays from its seed. Nothing here knows the server's accept loop or its store on disk; those
//! have tests of their own. Start at [`Scenario::run`].
//!
//! What is checked, at every step or once everything has come to rest:
//!
//! - an acknowledgement names only edits that durable records contain, and so they are there after every crash;
//! - a restart finds what the durable records say, whether it starts from a snapshot or not;
//! - all browsers and the server have the same state vector, deletions and content;
//! - who comes back with nothing new adds nothing to the log;
//! - no effect is meant for a session that has left, and nothing waits when nobody is there;
//! - honest clients are never turned away for good, and everybody agrees on who is present.

mod client;
mod content;
mod copy;

mod edits;
pub use edits::{Crew, updates};

mod hostile;
mod link;
mod presence;

mod rng;
pub use rng::Rng;

mod scenario;
pub use scenario::{Failure, Report, Sabotage, Scenario};

mod server;
mod simulation;
mod store;
mod trace;
mod ws;
