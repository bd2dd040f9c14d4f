//! What the tests stand on: the built server as a process, clients, requests, and waiting for conditions.

#![allow(
    dead_code,
    reason = "a harness offers more than the tests of the day use"
)]

pub mod certificates;
pub mod client;
pub mod content;
pub mod endpoint;
pub mod events;
pub mod hosted;
pub mod http;
pub mod process;
pub mod random;
pub mod raw;
pub mod server;
pub mod token;
pub mod tunnel;
pub mod wait;
pub mod wire;

pub use client::Client;
pub use content::Content;
pub use endpoint::Endpoint;
pub use events::Listener;
pub use hosted::Hosted;
pub use http::Request;
pub use random::Random;
pub use raw::Raw;
pub use server::Server;
pub use tunnel::Tunnel;
