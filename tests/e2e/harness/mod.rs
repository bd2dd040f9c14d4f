//! What the tests stand on: the built server as a process, clients, requests, and waiting for conditions.

pub mod client;
pub mod content;
pub mod http;
pub mod process;
pub mod random;
pub mod server;
pub mod wait;
pub mod wire;

pub use client::Client;
pub use content::Content;
pub use http::Request;
pub use random::Random;
pub use server::Server;
